//! The figures of the store.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::shared::Shared;
use crate::store::{State, Stats};

impl Shared {
    /// Returns how many responses are stored, those that wait for the disk included, and their bytes.
    pub fn held(&self) -> (u64, u64) {
        let (waiting, bytes) = self.pending.responses(|print| self.catalog.index.find(print).is_some());
        (self.catalog.index.responses() + waiting, self.catalog.index.bytes() + bytes)
    }

    pub fn stats(&self) -> Stats {
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        let (responses, bytes) = self.held();
        Stats {
            state: self.state.borrow().clone().unwrap_or(State::Opening),
            responses,
            bytes,
            memory_used: self.memory.used(),
            memory_limit: self.options.memory,
            disk_used: self.space.used(),
            disk_limit: self.options.disk,
            effective_disk_limit: self.space.limit(),
            waiting: self.pending.bytes(),
            memory_hits: count(&self.counters.memory_hits),
            disk_hits: count(&self.counters.disk_hits),
            misses: count(&self.counters.misses),
            evicted: count(&self.counters.evicted),
            swept: count(&self.counters.swept),
            not_written: self.pending.dropped(),
            not_read: count(&self.counters.refused),
            damaged: count(&self.counters.damaged),
            errors: count(&self.counters.errors),
            set_aside: count(&self.counters.set_aside),
        }
    }
}
