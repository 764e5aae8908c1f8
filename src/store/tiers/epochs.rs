//! Clearing as the readers see it. What was fetched before a clearing is not stored after it, and nothing is found until
//! everything is forgotten.

use std::sync::{
    Arc,
    atomic::{
        AtomicU64,
        Ordering::{Acquire, Release, SeqCst},
    },
};

/// The number of clearings. A fill that began in an older epoch must not be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(pub u64);

/// The epoch, and the number of clearings that are under way.
#[derive(Default)]
pub struct Epochs {
    epoch: AtomicU64,
    /// The number of clearings that have not forgotten everything yet. While there is one, nothing is found.
    clearing: AtomicU64,
}

impl Epochs {
    pub fn now(&self) -> Epoch {
        Epoch(self.epoch.load(Acquire))
    }

    pub fn is_clearing(&self) -> bool {
        self.clearing.load(Acquire) > 0
    }
}

/// A clearing that has begun. What was fetched before is not stored any more, and nothing is found as long as this lives.
pub struct Clearing(Arc<Epochs>);

impl Clearing {
    pub fn begin(epochs: &Arc<Epochs>) -> Clearing {
        // in this order: a put that is refused must not leave the older response to be found
        epochs.clearing.fetch_add(1, SeqCst);
        epochs.epoch.fetch_add(1, SeqCst);
        Clearing(epochs.clone())
    }
}

impl Drop for Clearing {
    fn drop(&mut self) {
        self.0.clearing.fetch_sub(1, Release);
    }
}
