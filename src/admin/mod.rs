//! The control socket, through which `larder --clear-cache` and `larder stats` reach a running Larder.
//!
//! It is the Unix socket `control` (mode 0600) in the cache folder. The client sends one line, the word of a
//! [`Command`]. The answer is one line of JSON, `{"ok": ...}` or `{"error": "..."}`. Then the connection ends.

mod ask;
pub mod clear;
pub mod figures;
#[doc(hidden)]
pub mod fuzzing;
mod listen;
mod show;
mod stats;

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd, unix::net::SocketAddr},
    path::{Path, PathBuf},
};

pub use ask::{AskError, ask};
pub use listen::{Listening, listen};
use serde_json::{Value, json};
pub use show::show;
pub use stats::{is_empty, stats};

/// The name of the socket in the cache folder.
pub const SOCKET: &str = "control";

/// What a client of the socket can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Forgets everything. The answer is `{"responses": n, "bytes": n}`.
    Clear,
    /// Tells what is stored. The answer is an object of numbers.
    Stats,
    /// Reads the settings once more, and takes them over. The answer is a text that says what has changed.
    Reload,
    /// Tells which process runs. The answer is [`identity`].
    Ping,
}

impl Command {
    pub fn as_str(self) -> &'static str {
        match self {
            Command::Clear => "clear",
            Command::Stats => "stats",
            Command::Reload => "reload",
            Command::Ping => "ping",
        }
    }

    fn parse(line: &str) -> Option<Command> {
        [Command::Clear, Command::Stats, Command::Reload, Command::Ping]
            .into_iter()
            .find(|command| command.as_str() == line)
    }
}

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
