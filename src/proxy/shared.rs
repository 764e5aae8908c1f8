//! What the workers of one process share about requests under way.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    collapse::Flights,
    landing::{FlightKey, Landing},
};
use crate::{
    clock::{Seconds, Timestamp},
    key::CacheKey,
    store::Store,
};

/// For how long a key whose answer could not be shared is not collapsed again.
const ALONE: Seconds = Seconds(10);
/// For how long an invalidation is remembered: longer than a request to the origin takes.
const INVALIDATED: Seconds = Seconds(600);
/// Keys that either memory holds; past that the oldest half goes.
const KEYS: usize = 16 * 1024;

#[derive(Default)]
pub struct Shared {
    pub(super) flights: Flights<FlightKey, Landing>,
    alone: Mutex<HashMap<CacheKey, Timestamp>>,
    invalidated: Mutex<Invalidated>,
}

/// When which URL was invalidated.
#[derive(Default)]
struct Invalidated {
    keys: HashMap<CacheKey, Timestamp>,
    /// Of what was invalidated until then not every key is known any more.
    forgotten: Option<Timestamp>,
}

impl Shared {
    /// The answer for this key was for one client alone: the next ones do not wait for each other.
    pub(super) fn note_alone(&self, key: CacheKey, now: Timestamp) {
        remember(&mut lock(&self.alone), key, now);
    }

    pub(super) fn note_shareable(&self, key: &CacheKey) {
        lock(&self.alone).remove(key);
    }

    pub(super) fn goes_alone(&self, key: &CacheKey, now: Timestamp) -> bool {
        lock(&self.alone).get(key).is_some_and(|noted| now.since(*noted) < ALONE)
    }

    /// What was asked for before now is not to be stored, nor followed by those who come after.
    pub(super) fn note_invalidated(&self, primary: CacheKey, now: Timestamp) {
        let mut invalidated = lock(&self.invalidated);
        if invalidated.keys.len() >= KEYS {
            invalidated.keys.retain(|_, noted| now.since(*noted) < INVALIDATED);
        }
        let forgotten = remember(&mut invalidated.keys, primary, now);
        invalidated.forgotten = invalidated.forgotten.max(forgotten);
        drop(invalidated);
        self.flights.forget(|flight| flight.primary == primary);
    }

    /// Whether this URL was invalidated at or after this time.
    pub(super) fn invalidated_since(&self, primary: &CacheKey, time: Timestamp) -> bool {
        let invalidated = lock(&self.invalidated);
        invalidated.forgotten.max(invalidated.keys.get(primary).copied()).is_some_and(|noted| noted >= time)
    }

    /// Behind a put: an invalidation that came between the look whether there was one and the put has missed it.
    pub(super) fn forget_if_invalidated(&self, store: &Store, primary: &CacheKey, since: Timestamp) {
        if self.invalidated_since(primary, since) {
            store.invalidate(primary);
        }
    }

    /// After a clearing nobody follows what began before it.
    pub fn forget_flights(&self) {
        self.flights.forget(|_| true);
    }
}

/// The newest time of what was forgotten to make room for it.
fn remember(keys: &mut HashMap<CacheKey, Timestamp>, key: CacheKey, now: Timestamp) -> Option<Timestamp> {
    let median = (keys.len() >= KEYS).then(|| {
        let mut times: Vec<Timestamp> = keys.values().copied().collect();
        *times.select_nth_unstable(KEYS / 2).1
    });
    if let Some(median) = median {
        keys.retain(|_, noted| *noted > median);
    }
    keys.insert(key, now);
    median
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
