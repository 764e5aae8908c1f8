//! The catalog of the disk: the index of all keys, and the open generations.

use std::sync::{
    Arc, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::index::Index;
use crate::{
    key::CacheKey,
    store::{
        disk::generation::{Generation, State},
        format::print::{Entry, Print},
    },
};

pub struct Catalog {
    pub index: Index,
    /// True if the index names all that the disk holds: after the first opening, except while the journal is read anew.
    pub index_known: AtomicBool,
    /// In the order in which they leave: the oldest first, those that were spared after the others of their time. Empty while
    /// the store is not open.
    generations: RwLock<Vec<Arc<Generation>>>,
}

impl Catalog {
    pub fn new() -> Catalog {
        Catalog { index: Index::new(), index_known: AtomicBool::new(false), generations: RwLock::default() }
    }

    /// Returns where the newest record of a key is, if there is one.
    pub fn entry(&self, key: &CacheKey) -> Option<Entry> {
        self.index.find(Print::of(key))
    }

    /// Returns true if the index names all that the disk holds.
    pub fn is_known(&self) -> bool {
        self.index_known.load(Relaxed)
    }

    /// Returns true if the disk may hold a record of this key. The index knows, also while the disk is down.
    pub fn may_hold(&self, key: &CacheKey) -> bool {
        !self.is_known() || self.entry(key).is_some()
    }

    /// Returns true if the entry is still that of the key, and the generations that it names are there.
    pub fn is_current(&self, print: Print, entry: Entry) -> bool {
        self.index.find(print) == Some(entry)
            && self.generation(entry.generation).is_some()
            && self.generation(entry.body).is_some()
    }

    pub fn generation(&self, number: u32) -> Option<Arc<Generation>> {
        self.generations().iter().rev().find(|generation| generation.number == number).cloned()
    }

    pub fn generations(&self) -> RwLockReadGuard<'_, Vec<Arc<Generation>>> {
        self.generations.read().unwrap_or_else(|poison| poison.into_inner())
    }

    pub fn generations_mut(&self) -> RwLockWriteGuard<'_, Vec<Arc<Generation>>> {
        self.generations.write().unwrap_or_else(|poison| poison.into_inner())
    }

    /// Returns the bytes of pages that the databases which are only read hold.
    pub fn pages(&self) -> u64 {
        let generations = self.generations();
        generations
            .iter()
            .filter(|generation| generation.state() != State::Active)
            .map(|generation| generation.database.pages())
            .sum()
    }

    /// Returns the bytes that all generations occupy, as they were measured last.
    pub fn bytes(&self) -> u64 {
        self.generations().iter().map(|generation| generation.bytes()).sum()
    }
}
