//! The part of a worker that each of its connections uses.

use std::{cell::Cell, rc::Rc, sync::Arc};

use super::Options;

/// Shared by the connections of one worker and one listener. The tick (`deadline`) keeps it up to date.
pub(super) struct Worker {
    pub options: Arc<Options>,
    /// Milliseconds since the start, without those during which the worker was too busy to tick.
    now: Cell<u64>,
    stopping: Cell<bool>,
}

impl Worker {
    pub fn new(options: Arc<Options>) -> Rc<Worker> {
        Rc::new(Worker { options, now: Cell::new(0), stopping: Cell::new(false) })
    }

    /// The clock that deadlines are measured on, in milliseconds. It may be one tick behind.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    pub fn advance(&self, milliseconds: u64) {
        self.now.set(self.now() + milliseconds);
    }

    /// Returns true if the server is being stopped: nothing new is begun.
    pub fn stopping(&self) -> bool {
        self.stopping.get()
    }

    pub fn stop(&self) {
        self.stopping.set(true);
    }
}
