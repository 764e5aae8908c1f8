//! The figures that a store reports.

use std::sync::{Arc, atomic::AtomicU64};

use serde::Serialize;

/// The responses that a clearing removed, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Cleared {
    pub responses: u64,
    pub bytes: u64,
}

/// The state of the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    #[default]
    Opening,
    Open,
    /// The disk cannot be used, for this reason. The memory tier works alone, and the disk is tried again.
    Down(String),
    Closed,
}

/// The figures of the store. Sizes are in bytes. Events are counted since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    pub state: State,
    /// Stored responses, those that wait for the disk included.
    pub responses: u64,
    /// The bytes of these responses, heads included.
    pub bytes: u64,
    /// What the memory tier holds.
    pub memory_used: u64,
    /// The limit for the memory tier and all else that the store holds in memory.
    pub memory_limit: u64,
    /// What the cache folder occupies.
    pub disk_used: u64,
    /// The configured limit of the cache folder.
    pub disk_limit: u64,
    /// What the cache folder may occupy now: the limit, or less if the disk itself has no more room.
    pub effective_disk_limit: u64,
    /// The bytes of changes that are not on the disk yet.
    pub waiting: u64,
    pub memory_hits: u64,
    /// Lookups that the disk, or what waits for it, answered.
    pub disk_hits: u64,
    pub misses: u64,
    /// Stored responses that were removed to make room for others.
    pub evicted: u64,
    /// Stored responses that a sweep forgot because they had long been of no use.
    pub swept: u64,
    /// Responses that reached memory only, because the disk was too slow or down.
    pub not_written: u64,
    /// Lookups that got no turn to read the disk, because it hangs or too many waited for it.
    pub not_read: u64,
    /// Records and bodies that were not what was written.
    pub damaged: u64,
    /// Errors of the disk.
    pub errors: u64,
    /// Files and folders that could not be read and were set aside.
    pub set_aside: u64,
}

/// The counters of the events in [`Stats`].
#[derive(Default)]
pub struct Counters {
    pub memory_hits: AtomicU64,
    pub disk_hits: AtomicU64,
    pub misses: AtomicU64,
    pub evicted: AtomicU64,
    pub swept: AtomicU64,
    /// Also counted by the generations, which set files aside when they are looked up.
    pub set_aside: Arc<AtomicU64>,
    pub damaged: AtomicU64,
    pub errors: AtomicU64,
    pub refused: AtomicU64,
    /// Databases that were opened anew.
    pub eased: AtomicU64,
    /// The number of times that the writer synced.
    #[cfg(test)]
    pub syncs: AtomicU64,
}
