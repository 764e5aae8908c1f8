//! Counters of what the store did.

use std::sync::atomic::AtomicU64;

#[derive(Default)]
pub struct Counters {
    pub memory_hits: AtomicU64,
    pub disk_hits: AtomicU64,
    pub misses: AtomicU64,
    pub evicted: AtomicU64,
    pub swept: AtomicU64,
    pub set_aside: AtomicU64,
    pub damaged: AtomicU64,
    pub errors: AtomicU64,
    pub refused: AtomicU64,
}
