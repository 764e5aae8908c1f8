//! How far a command has come, on stderr: a bar on a terminal, a line now and then elsewhere.

use std::{
    cell::Cell,
    fmt,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::{clock, logging, terminal};

/// The time between two lines, if stderr is no terminal.
const EACH: Duration = Duration::from_secs(5);

/// The progress of a command that has so many things to do.
pub(super) struct Progress {
    all: u64,
    done: Cell<u64>,
    last: Cell<Instant>,
    quiet: bool,
    /// The bar on a terminal. It is `None` if stderr is no terminal, and if the user wants no progress.
    bar: Option<ProgressBar>,
}

impl Progress {
    pub fn new(all: u64, quiet: bool) -> Progress {
        let bar = (terminal::stderr().columns && !quiet).then(|| {
            let bar = ProgressBar::new(all);
            let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
                let _ = write!(text, "{:.1}/s", state.per_sec());
            };
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {rate}  {eta} left");
            style.into_iter().for_each(|style| bar.set_style(style.with_key("rate", rate)));
            bar
        });
        Progress { all, done: Cell::new(0), last: Cell::new(clock::instant()), quiet, bar }
    }

    /// Notes that one more is done.
    pub fn advance(&self) {
        self.done.set(self.done.get() + 1);
        match &self.bar {
            Some(bar) => bar.inc(1),
            None if !self.quiet && self.last.get().elapsed() >= EACH => {
                logging::say(&format!("{} of {}", self.done.get(), self.all));
                self.last.set(clock::instant());
            }
            None => {}
        }
    }

    /// Wipes the bar.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
