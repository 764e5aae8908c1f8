//! Clearing as the readers see it: what was fetched before a clearing is not stored after it, and nothing is found until all
//! is forgotten.

use std::sync::{
    Arc,
    atomic::{
        AtomicU64,
        Ordering::{Acquire, Release, SeqCst},
    },
};

/// Moves when everything is cleared: a fill that began before must not be stored after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(pub u64);

/// The epoch, and the clearings that are under way.
#[derive(Default)]
pub struct Epochs {
    epoch: AtomicU64,
    /// So many clearings have begun and have not forgotten everything yet: until then nothing is found.
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

/// A clearing that has begun: what was fetched before is not stored any more, and nothing is found while this is there.
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
