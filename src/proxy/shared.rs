//! The knowledge about running requests that all workers of the process share.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    collapse::Flights,
    counts::Counts,
    landing::{FlightKey, Landing},
    tail::Tails,
};
use crate::{
    clock::{Seconds, Timestamp},
    key::CacheKey,
    policy::reuse::RELOADED,
    purge::Target,
    store::Store,
};

/// How long requests with a key are not collapsed after an answer for it could not be shared.
const ALONE: Seconds = Seconds(10);
/// How long it is remembered that the fetching of a response was given up.
const ABANDONED: Seconds = Seconds(600);
/// How long an invalidation is remembered. It is longer than any request to the origin takes.
const INVALIDATED: Seconds = Seconds(600);
/// The shortest time between two purges of the other queries of a path.
const CHANGED: Duration = Duration::from_secs(1);
/// The most keys that each of these maps holds. If it is full, the older half is forgotten.
const KEYS: usize = 16 * 1024;

#[derive(Default)]
pub struct Shared {
    /// The counts of outcomes, by worker.
    pub counts: Counts,
    /// Those who look on while requests end.
    pub tails: Tails,
    pub(super) flights: Flights<FlightKey, Landing>,
    alone: Mutex<HashMap<CacheKey, Timestamp>>,
    abandoned: Mutex<HashMap<CacheKey, Timestamp>>,
    invalidated: Mutex<Invalidated>,
    /// The paths whose other queries were purged a moment ago.
    changed: Mutex<HashMap<Target, Change>>,
    /// The times at which URLs were reloaded because a client wished it.
    reloaded: Mutex<HashMap<CacheKey, Timestamp>>,
}

/// The time at which the other queries of a path must be purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    Now,
    /// After this time. The caller must wait for it, and purge.
    Later(Duration),
    /// Another request waits already, and will purge.
    Awaited,
}

struct Change {
    at: Timestamp,
    /// True if another change came since, and a request waits to purge.
    awaited: bool,
}

/// The URLs that were invalidated, and when.
#[derive(Default)]
struct Invalidated {
    keys: HashMap<CacheKey, Timestamp>,
    /// The time up to which invalidated keys may have been forgotten.
    forgotten: Option<Timestamp>,
}

impl Shared {
    /// Notes that the answer for this key was for one client alone. The next requests do not wait for each other.
    pub(super) fn note_alone(&self, key: CacheKey, now: Timestamp) {
        remember(&mut lock(&self.alone), key, now);
    }

    /// Notes that the fetching of this URL was given up, because no client waited for it.
    pub(super) fn note_abandoned(&self, primary: CacheKey, now: Timestamp) {
        remember(&mut lock(&self.abandoned), primary, now);
    }

    /// Returns true if the fetching of this URL was given up lately. A request with conditions should not begin it
    /// again.
    pub(super) fn is_abandoned(&self, primary: &CacheKey, now: Timestamp) -> bool {
        lock(&self.abandoned).get(primary).is_some_and(|noted| now.since(*noted) < ABANDONED)
    }

    pub(super) fn note_shareable(&self, key: &CacheKey) {
        lock(&self.alone).remove(key);
    }

    pub(super) fn goes_alone(&self, key: &CacheKey, now: Timestamp) -> bool {
        lock(&self.alone).get(key).is_some_and(|noted| now.since(*noted) < ALONE)
    }

    /// Returns true if a client's wish to reload this URL is followed now, and notes the time. The next wish is not
    /// followed before a second has passed, so that one client cannot keep the origin busy.
    pub(super) fn may_reload(&self, primary: CacheKey, now: Timestamp) -> bool {
        let mut reloaded = lock(&self.reloaded);
        let follows = !is_reloaded(&reloaded, &primary, now);
        if follows {
            remember(&mut reloaded, primary, now);
        }
        follows
    }

    /// Returns true if a client's wish to reload this URL would be followed now.
    pub(super) fn would_reload(&self, primary: &CacheKey, now: Timestamp) -> bool {
        !is_reloaded(&lock(&self.reloaded), primary, now)
    }

    /// Notes that an unsafe request changed something at this path.
    pub(super) fn note_changed(&self, path: Target, now: Timestamp) -> Changed {
        let mut changed = lock(&self.changed);
        let ago = |at: Timestamp| Duration::from_millis(now.0.saturating_sub(at.0).max(0) as u64);
        if let Some(change) = changed.get_mut(&path).filter(|change| ago(change.at) < CHANGED) {
            return match std::mem::replace(&mut change.awaited, true) {
                true => Changed::Awaited,
                false => Changed::Later(CHANGED - ago(change.at)),
            };
        }
        if changed.len() >= KEYS {
            changed.retain(|_, change| change.awaited || ago(change.at) < CHANGED);
        }
        if changed.len() < KEYS {
            changed.insert(path, Change { at: now, awaited: false });
        }
        Changed::Now
    }

    /// Notes that a change which had to wait takes effect now.
    pub(super) fn note_changed_late(&self, path: Target, now: Timestamp) {
        if let Some(change) = lock(&self.changed).get_mut(&path) {
            *change = Change { at: now, awaited: false };
        }
    }

    /// Notes that a URL was invalidated. Responses that were asked for before now are not stored, and later requests do
    /// not follow those flights.
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

    /// Returns true if this URL was, or may have been, invalidated at or after this time.
    pub(super) fn invalidated_since(&self, primary: &CacheKey, time: Timestamp) -> bool {
        let invalidated = lock(&self.invalidated);
        invalidated.forgotten.max(invalidated.keys.get(primary).copied()).is_some_and(|noted| noted >= time)
    }

    /// Invalidates a response that was just stored, if the URL was invalidated at or after `since`. Call this after a
    /// put: an invalidation may have come between the check and the put.
    pub(super) fn forget_if_invalidated(&self, store: &Store, primary: &CacheKey, since: Timestamp) {
        if self.invalidated_since(primary, since) {
            store.invalidate(primary);
        }
    }

    /// The number of requests that wait for the answer to another one.
    pub fn following(&self) -> usize {
        self.flights.following()
    }

    /// Returns true if no flight is under way.
    pub fn has_landed(&self) -> bool {
        self.flights.is_empty()
    }

    /// Ends the sharing of all flights. Call this when a clearing begins, so that no later request follows an earlier flight.
    pub fn forget_flights(&self) {
        self.flights.forget(|_| true);
    }
}

/// Returns true if a URL was reloaded a moment ago.
fn is_reloaded(reloaded: &HashMap<CacheKey, Timestamp>, primary: &CacheKey, now: Timestamp) -> bool {
    reloaded.get(primary).is_some_and(|noted| now.since(*noted) < RELOADED)
}

/// Remembers a key. Returns the newest time that was forgotten to make room for it.
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
