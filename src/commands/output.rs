//! What a command writes to stdout, and the errors that end it.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::{config::ConfigError, logging};

/// What the program writes to stdout.
#[derive(Default)]
pub struct Output {
    /// The first line that could not be written, and why.
    failed: Option<io::Error>,
    has_ended: bool,
}

impl Output {
    /// Returns true if nobody reads it any more.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Writes a line.
    pub fn say(&mut self, line: &str) {
        self.note(writeln!(io::stdout(), "{line}"));
    }

    /// Notes what became of a write to stdout.
    pub fn note(&mut self, written: io::Result<()>) {
        match written {
            // the reader has closed the pipe: nothing is wrong
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => drop(self.failed.get_or_insert(error)),
            Err(_) => self.has_ended = true,
            Ok(()) => {}
        }
    }

    /// Returns the exit code of the program, which is `code` if everything could be written.
    pub fn end(mut self, code: ExitCode) -> ExitCode {
        self.note(io::stdout().flush());
        match self.failed {
            Some(error) => fail(1, &format!("cannot write to stdout: {error}")),
            None => code,
        }
    }
}

/// Says an error. Returns the exit code `code`.
pub fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    logging::say(&format!("error: {error}"));
    ExitCode::from(code)
}

/// Says everything that is wrong with the settings.
pub fn fail_all(errors: &[ConfigError]) -> ExitCode {
    errors.iter().for_each(|error| logging::say(&format!("error: {error}")));
    ExitCode::from(2)
}
