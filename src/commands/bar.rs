//! How far a command has come, on stderr: a bar or a line that changes on a terminal, now and then a line elsewhere.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{clock, logging, terminal, units::show_count};

/// If stderr is not a terminal, a line is written each time that this span has passed.
const EACH: Duration = Duration::from_secs(5);

/// The progress of a command.
pub(super) struct Progress {
    /// The number of things to do. `None`: it is not known; stored responses are looked at.
    all: Option<u64>,
    done: Cell<u64>,
    last: Cell<Instant>,
    quiet: bool,
    /// What the terminal shows now.
    bar: RefCell<Option<ProgressBar>>,
}

impl Progress {
    /// Begins a command that does so many things. `quiet`: nothing is shown.
    pub fn of(all: u64, quiet: bool) -> Progress {
        Progress { all: Some(all), quiet, ..Progress::of_scan() }
    }

    /// Begins a command that looks at stored responses.
    pub fn of_scan() -> Progress {
        let last = Cell::new(clock::instant());
        Progress { all: None, done: Cell::new(0), last, quiet: false, bar: RefCell::default() }
    }

    /// Notes that one more is done.
    pub fn advance(&self) {
        self.show(self.done.get() + 1);
    }

    /// Shows how many are done.
    pub fn show(&self, done: u64) {
        self.done.set(done);
        if self.quiet {
            return;
        }
        if terminal::stderr().columns {
            self.bar.borrow_mut().get_or_insert_with(|| self.begun()).set_position(done);
        } else if self.last.get().elapsed() >= EACH {
            logging::say(&match self.all {
                Some(all) => format!("{done} of {all}"),
                None => format!("{} stored responses looked at", show_count(done)),
            });
            self.last.set(clock::instant());
        }
    }

    /// Wipes it from the terminal, so that a line can be written there.
    pub fn wipe(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn begun(&self) -> ProgressBar {
        let (bar, template) = match self.all {
            Some(all) => (ProgressBar::new(all), "{bar:30} {pos}/{len}  {eta} left"),
            None => (ProgressBar::no_length(), "{human_pos} stored responses looked at ..."),
        };
        ProgressStyle::with_template(template).into_iter().for_each(|style| bar.set_style(style));
        bar
    }
}
