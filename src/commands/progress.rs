//! How far a scan has come, on stderr: one line that changes on a terminal, now and then a line elsewhere.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use crate::{clock, terminal, units::show_count};

/// The time between two lines, if stderr is no terminal.
const EACH: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    is_terminal: bool,
    last: Instant,
    /// A line on the terminal is to be wiped.
    is_shown: bool,
}

impl Progress {
    pub fn new() -> Progress {
        Progress { is_terminal: terminal::stderr().columns, last: clock::instant(), is_shown: false }
    }

    pub fn show(&mut self, looked_at: u64) {
        let text = format!("{} stored responses looked at", show_count(looked_at));
        // whoever does not read it does not need it
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r{text} ...");
            self.is_shown = true;
        } else if self.last.elapsed() >= EACH {
            let _ = writeln!(io::stderr(), "{text}");
            self.last = clock::instant();
        }
    }

    /// Wipes the line, so that another one can be written.
    pub fn wipe(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
