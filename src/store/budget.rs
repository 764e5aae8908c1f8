//! How `--memory` is divided. The databases, the index, the purge rules (20 MiB at most), the bodies on their way and the
//! changes that wait for the disk come first, each within its bound. The memory tier has the rest.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The least memory of a store, in bytes.
pub const LEAST: u64 = 64 << 20;
/// Bytes that a record on disk costs in the index and in its database, however seldom it is asked for: measured.
const OF_A_RECORD: u64 = 80;

/// Bytes up to which a body on its way from the origin is held in memory alone.
const WINDOW: u64 = 256 * 1024;
/// The same, if all bodies on their way hold more than their part of `--memory` together.
const CROWDED: u64 = 32 * 1024;

/// Bytes of memory for a store.
#[derive(Debug, Clone, Copy)]
pub struct Budget(u64);

impl Budget {
    /// Returns the budget of a store with `memory` configured, in bytes.
    pub fn new(memory: u64) -> Budget {
        Budget(memory.max(LEAST))
    }

    /// Returns the most records that may be on the disk: a million with 256 MiB, 63,000 with the least memory.
    pub fn records(self) -> u64 {
        (self.0 - LEAST / 16 * 13) / 5 * 2 / OF_A_RECORD
    }

    /// Bytes of pages that a database which is written to may hold.
    pub fn pages(self) -> u64 {
        self.0 / 12
    }

    /// Bytes of pages that the databases which are read only may hold together: the memory tier has them while they do not.
    pub fn read_pages(self) -> u64 {
        self.0 / 12 + (self.0 - LEAST) / 4
    }

    /// Bytes of pages that the same may hold until the next of them is opened anew. The memory tier makes way for them.
    pub fn pages_in_a_pause(self) -> u64 {
        self.read_pages() + self.0 / 6
    }

    /// The memory tier makes way for so many bytes of pages at a time.
    pub fn growth(self) -> u64 {
        self.0 / 64
    }

    /// Bytes that may wait to be written.
    pub fn waiting(self) -> u64 {
        (self.0 / 16).min(64 << 20)
    }

    /// Returns the bytes of bodies on their way from the origin above which memory holds less of each.
    pub fn incoming(self) -> u64 {
        self.0 / 8
    }

    /// Returns the most bytes that are written, or copied from one generation to another, at a time.
    pub fn step(self) -> u64 {
        (self.0 / 64).min(4 << 20)
    }

    /// Returns the number of one-byte counters of how often each key is asked for: eight for each response of 1 KiB that so
    /// many bytes of disk hold.
    pub fn counters(self, disk: u64) -> usize {
        usize::try_from((disk / 1024).min(self.records()) * 8).unwrap_or(usize::MAX)
    }

    /// Returns the bytes for the memory tier: what `taken`, so many records and the allocator's holes leave of the configured
    /// bytes, and at least an eighth of them.
    pub fn tier(memory: u64, taken: u64, records: u64) -> u64 {
        let holes = memory / 16;
        memory.saturating_sub(taken + records * OF_A_RECORD + holes).clamp(memory / 8, memory - memory / 4)
    }
}

/// Counts the bodies on their way from the origin, and the bytes of them that memory holds.
#[derive(Debug)]
pub struct Incoming {
    bodies: AtomicU64,
    held: AtomicU64,
    limit: u64,
}

impl Incoming {
    pub fn new(budget: Budget) -> Incoming {
        Incoming { bodies: AtomicU64::new(0), held: AtomicU64::new(0), limit: budget.incoming() }
    }

    pub fn begin(&self) {
        self.bodies.fetch_add(1, Relaxed);
    }

    pub fn end(&self) {
        self.bodies.fetch_sub(1, Relaxed);
    }

    pub fn add(&self, bytes: u64) {
        self.held.fetch_add(bytes, Relaxed);
    }

    pub fn remove(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Relaxed);
    }

    pub fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// Returns the most bytes of one body that memory holds. A longer body goes through the disk.
    pub fn window(&self) -> u64 {
        if self.is_crowded() { CROWDED } else { WINDOW }
    }

    /// Returns the bytes of each body that may wait to be written together: half of what all may hold, divided among them.
    pub fn share(&self) -> u64 {
        (self.limit / 2 / self.bodies.load(Relaxed).max(1)).min(WINDOW)
    }

    /// Returns true if each body must hold less.
    pub fn is_crowded(&self) -> bool {
        self.held() > self.limit
    }
}
