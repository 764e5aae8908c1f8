//! The keys whose record or body on the disk could not be read. The next response of such a key is written with its body, also
//! if the origin sent the same bytes once more: a record that names the old body would be as unreadable. So no other body has
//! to be read before a new record names it.

use std::{
    collections::HashSet,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use crate::store::format::print::Print;

/// The most keys that are remembered. Above this limit all are let go. Such a key is noted again by its next lookup.
const LIMIT: usize = 4096;

#[derive(Default)]
pub struct Unreadable {
    keys: Mutex<HashSet<Print>>,
    /// False if there are none, which is nearly always so.
    some: AtomicBool,
}

impl Unreadable {
    pub fn note(&self, print: Print) {
        let mut keys = self.lock();
        if keys.len() >= LIMIT {
            keys.clear();
        }
        keys.insert(print);
        self.some.store(true, Relaxed);
    }

    /// Returns true if the key was noted, and lets it go.
    pub fn take(&self, print: Print) -> bool {
        if !self.some.load(Relaxed) {
            return false;
        }
        let mut keys = self.lock();
        let was_noted = keys.remove(&print);
        self.some.store(!keys.is_empty(), Relaxed);
        was_noted
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Print>> {
        self.keys.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}
