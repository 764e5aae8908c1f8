//! What the tests stand on: an origin that sends any bytes, a client that hides nothing, and Larder between them.
// Each topic uses its own part of it.
#![allow(dead_code, unused_imports)]

pub mod client;
pub mod dns;
pub mod message;
pub mod origin;
pub mod proxy;
pub mod slow;
pub mod stored;
pub mod terminal;
mod tests;
pub mod tls;
pub mod traces;

pub use client::{Client, End, Response, request};
pub use origin::{Gate, Origin, RecordedRequest, Step, respond};
pub use proxy::{Proxy, Spawned, config, stats};
pub use slow::SlowDisk;
pub use tls::{TlsEnd, TlsOrigin};

use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

/// A secret: every field, credential and content that the tests send may hold it, and no output of the program does.
/// `./test` looks for it in all that is printed.
pub const CANARY: &str = "c4n4ry-7f3a-51c9";

/// How long a test waits for what must happen before it fails. Never how long something takes: a busy machine may take a
/// hundred times as long as a quiet one.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until this holds; what it looks at is changed by others.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = larder::clock::instant();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "waited for {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// How many files this process may have open, raised as far as it can be.
pub fn open_files() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
