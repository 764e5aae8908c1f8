//! The part of a worker that each of its connections uses.

use std::{
    cell::Cell,
    rc::Rc,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use tokio::sync::Notify;

use super::{Options, encode::Date};
use crate::clock::Clock;

/// Shared by the connections of one worker and one listener. The tick (`deadline`) keeps it up to date.
pub(super) struct Worker {
    pub options: Arc<Options>,
    /// Milliseconds since the start, without those during which the worker was too busy to tick.
    now: Cell<u64>,
    stopping: Cell<bool>,
    /// The wall clock at the last tick.
    date: Cell<Date>,
    /// Tasks that must end before the worker does.
    holds: Cell<usize>,
    /// Notified when `holds` comes to zero.
    released: Notify,
    /// A connection's place is kept until `holds` is zero.
    awaited: Cell<bool>,
    /// An empty buffer for the next answer. To allocate one costs more than to fill it.
    pub buffer: Cell<Vec<u8>>,
}

/// A worker as the core sees it. It is bound to its thread.
#[derive(Clone)]
pub struct WorkerHandle(pub(super) Rc<Worker>);

impl WorkerHandle {
    /// Returns the handle of a worker that has no clients.
    pub fn idle() -> WorkerHandle {
        WorkerHandle(Worker::new(Arc::default()))
    }

    /// Keeps the worker from ending in a graceful stop, for as long as the result lives. To be called while a client of the
    /// worker is connected.
    pub fn hold(&self) -> Hold {
        self.0.holds.set(self.0.holds.get() + 1);
        Hold(self.0.clone())
    }
}

/// See [`WorkerHandle::hold`].
pub struct Hold(Rc<Worker>);

impl Drop for Hold {
    fn drop(&mut self) {
        let left = self.0.holds.get() - 1;
        self.0.holds.set(left);
        if left == 0 {
            self.0.released.notify_waiters();
        }
    }
}

/// The largest buffer that is kept for the next answer, in bytes.
const KEPT: usize = 8 << 10;

impl Worker {
    pub fn new(options: Arc<Options>) -> Rc<Worker> {
        Rc::new(Worker {
            options,
            now: Cell::new(0),
            stopping: Cell::new(false),
            date: Cell::new(date()),
            holds: Cell::new(0),
            released: Notify::new(),
            awaited: Cell::new(false),
            buffer: Cell::default(),
        })
    }

    /// Keeps a buffer for the next answer.
    pub fn reuse(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= KEPT {
            buffer.clear();
            self.buffer.set(buffer);
        }
    }

    /// Returns the clock that deadlines are measured on, in milliseconds. It may be one tick behind.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// Moves the clock on, and takes the date anew.
    pub fn advance(&self, milliseconds: u64) {
        self.now.set(self.now() + milliseconds);
        self.date.set(date());
    }

    /// Returns the date for responses that have none. It may be one tick behind.
    pub fn date(&self) -> Date {
        self.date.get()
    }

    /// Returns true if the server is being stopped: nothing new is begun.
    pub fn stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Waits until no task holds the worker. Where somebody waits already, one is enough: returns at once.
    ///
    /// actix ends a worker that has no connections. A connection that awaits this before it is given back keeps the worker.
    pub async fn released(&self) {
        if self.awaited.get() {
            return;
        }
        self.awaited.set(true);
        while self.holds.get() > 0 {
            self.released.notified().await;
        }
        self.awaited.set(false);
    }

    /// Notes that the server is being stopped.
    pub fn stop(&self) {
        self.stopping.set(true);
    }
}

/// The last second that HTTP can name, in milliseconds.
const LAST: i64 = 253_402_300_799_000;

/// Returns the wall clock's date.
fn date() -> Date {
    let wall = Clock::system().wall().0.clamp(0, LAST);
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(wall.unsigned_abs()));
    date.into_bytes().try_into().unwrap_or(*b"Thu, 01 Jan 1970 00:00:00 GMT")
}
