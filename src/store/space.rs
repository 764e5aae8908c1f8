//! The disk limit, and who has taken how much of it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::StoreError;

/// Bytes of the folder: what the generations occupy (the writer measures it) and what bodies that are being filled took.
#[derive(Default)]
pub struct Space {
    limit: AtomicU64,
    kept: AtomicU64,
    filling: AtomicU64,
}

impl Space {
    pub fn new(limit: u64) -> Space {
        Space { limit: AtomicU64::new(limit), ..Space::default() }
    }

    /// Takes room for a part of a body.
    pub async fn take(&self, bytes: u64) -> Result<(), StoreError> {
        let filling = self.filling.fetch_add(bytes, Relaxed) + bytes;
        if self.kept.load(Relaxed).saturating_add(filling) > self.limit.load(Relaxed) {
            self.give_back(bytes);
            return Err(StoreError::TooLarge);
        }
        Ok(())
    }

    pub fn give_back(&self, bytes: u64) {
        self.filling.fetch_sub(bytes, Relaxed);
    }

    pub fn keeps(&self, bytes: u64) {
        self.kept.store(bytes, Relaxed);
    }

    /// Bytes taken.
    pub fn used(&self) -> u64 {
        self.kept.load(Relaxed).saturating_add(self.filling.load(Relaxed))
    }
}
