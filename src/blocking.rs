//! What may block, and what panics where it should return an error: neither is a worker's business.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    thread,
};

thread_local! {
    /// What is at work here may panic, and that is caught.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
    /// The last thread that this runtime asked for was not given.
    static REFUSED: Cell<bool> = const { Cell::new(false) };
}

/// Panics that are caught are not printed, only logged (debug). Process-wide: for `main`.
pub fn quiet_caught_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(
        move |panic| {
            if CAUGHT.get() { log::debug!("caught: {panic}") } else { print(panic) }
        },
    ));
}

/// Calls what panics where it should return an error. `None`: it panicked.
pub fn caught<T>(call: impl FnOnce() -> T) -> Option<T> {
    CAUGHT.set(true);
    let done = catch_unwind(AssertUnwindSafe(call));
    CAUGHT.set(false);
    done.ok()
}

/// Why work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HopError {
    /// The system gives no thread for it: it has not begun, and will not.
    NoThread,
    /// It panicked, or the runtime is going down.
    Ended,
}

/// Leaves the worker's thread for what may block. Work that has begun goes on when nobody waits for it any more.
pub async fn hop<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, HopError> {
    // what finds no thread stays in tokio's queue: so not more than once
    if REFUSED.get() && thread::Builder::new().spawn(|| ()).is_err() {
        return Err(HopError::NoThread);
    }
    let work = Arc::new(Mutex::new(Some(work)));
    let take = |work: &Mutex<Option<_>>| work.lock().unwrap_or_else(|poison| poison.into_inner()).take();
    let kept = work.clone();
    // tokio panics where the system gives it no thread
    let hopped = caught(|| tokio::task::spawn_blocking(move || take(&kept).map(|work| work())));
    REFUSED.set(hopped.is_none());
    let Some(hopped) = hopped else {
        // what waits in the queue must neither be held nor be done later
        drop(take(&work));
        return Err(HopError::NoThread);
    };
    hopped.await.ok().flatten().ok_or(HopError::Ended)
}
