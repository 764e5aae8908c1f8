//! The control socket, through which `larder stats`, `purge`, `ls` and the like reach a running Larder.
//!
//! It is the Unix socket `control` (mode 0600) in the cache folder. The client sends one line, a [`Command`]: its word
//! (`stats`), or an object with its arguments (`{"purge": {...}}`). The answer is lines of JSON: first any number of
//! `{"item": ...}`, then `{"ok": ...}` or `{"error": "..."}`. Then the connection ends.
//!
//! | limit | value | what happens at it |
//! |---|---|---|
//! | clients that are answered at once (`CLIENTS`) | 16 | the next one waits |
//! | those of them that read items ([`STREAMS`]) | 8 | the next one gets an error |
//! | bytes of a command ([`LONGEST_LINE`]) | 1 MiB | an error |
//! | time to send a command (`PATIENCE`) | 10 s | the connection ends |
//! | time in which nothing of the items is read (`STREAM_PATIENCE`) | 10 min | the connection ends |

mod ask;
pub mod clear;
mod command;
pub mod figures;
#[doc(hidden)]
pub mod fuzzing;
pub mod list;
mod listen;
pub mod purge;
mod reply;
mod show;
mod stats;

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd, unix::net::SocketAddr},
    path::{Path, PathBuf},
};

pub use ask::{AskError, ask, ask_each};
pub use command::{Command, LONGEST_LINE};
pub use listen::{Listening, listen};
pub use reply::{Item, Reply, STREAMS};
use serde_json::{Value, json};
pub use show::show;
pub use stats::{is_empty, stats};

/// The name of the socket in the cache folder.
pub const SOCKET: &str = "control";

/// Returns the answer to [`Command::Ping`]: `{"pid": n, "version": "..."}`.
pub fn identity() -> Value {
    json!({ "pid": std::process::id(), "version": env!("CARGO_PKG_VERSION") })
}

/// A path to the socket. It fits into a socket address (108 bytes) even if the folder's own path does not.
struct Address {
    path: PathBuf,
    /// The open folder, if `path` goes through its descriptor.
    _folder: Option<File>,
}

impl Address {
    fn of(folder: &Path) -> io::Result<Address> {
        let path = folder.join(SOCKET);
        if SocketAddr::from_pathname(&path).is_ok() {
            return Ok(Address { path, _folder: None });
        }
        let folder = File::open(folder)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()));
        Ok(Address { path, _folder: Some(folder) })
    }
}

#[cfg(test)]
mod tests;
