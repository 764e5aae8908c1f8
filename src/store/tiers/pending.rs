//! What was stored but is not on the disk yet. Until it is, `lookup` finds it here; and what was forgotten here hides what the
//! disk still holds.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use super::memory;
use crate::{
    key::CacheKey,
    purge::Position,
    store::{format::print::Print, response::StoredResponse},
};

/// What is to happen on the disk to the record of a key.
#[derive(Debug, Clone)]
pub enum Change {
    Response(Arc<StoredResponse>),
    Forgotten,
}

/// A change in its turn: a later one under the same key takes its place.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub change: Change,
    pub turn: u64,
    cost: u64,
}

/// The keys that share a lock. Two keys that share a print displace one another, as in the index.
#[derive(Default)]
pub struct Shard {
    waiting: HashMap<Print, Waiting>,
    /// Moves with every change: who read the disk in the meantime must not believe what was found there.
    pub version: u64,
}

const SHARDS: usize = 64;
/// What a key that waits costs beside its response.
const OVERHEAD: u64 = 128;

pub struct Pending {
    shards: Vec<Mutex<Shard>>,
    turn: AtomicU64,
    bytes: AtomicU64,
    /// Bytes of responses that may wait; above it only forgetting is written down.
    limit: u64,
    dropped: AtomicU64,
    /// So many of the changes that wait are that something is forgotten.
    forgotten: AtomicU64,
    /// More was forgotten than could be remembered: all that the disk holds must go.
    overflowed: AtomicBool,
}

impl Pending {
    pub fn new(limit: u64) -> Pending {
        Pending {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            turn: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            limit,
            dropped: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            overflowed: AtomicBool::new(false),
        }
    }

    /// Returns the lowest position of what waits.
    pub fn oldest(&self) -> Option<Position> {
        let of_shard = |number| {
            let shard = self.lock(number);
            let responses = shard.waiting.values().filter_map(|waiting| match &waiting.change {
                Change::Response(response) => Some(response.head.position),
                Change::Forgotten => None,
            });
            responses.min()
        };
        (0..SHARDS).filter_map(of_shard).min()
    }

    /// The lock under which a key is changed. Nobody may hold two, but for [`Pending::is_waiting_beside`].
    pub fn shard(&self, key: &CacheKey) -> MutexGuard<'_, Shard> {
        self.shard_of(Print::of(key))
    }

    /// The same, for a key of which only the print is known.
    pub fn shard_of(&self, print: Print) -> MutexGuard<'_, Shard> {
        self.lock(number(print))
    }

    /// Writes down that a response is stored; where too much waits already, that its key is forgotten, if it may be on the
    /// disk.
    pub fn put(&self, shard: &mut Shard, response: Arc<StoredResponse>, on_disk: bool) {
        let print = Print::of(&response.key);
        let change = Change::Response(response);
        if self.bytes.load(Relaxed) + cost(&change) <= self.limit {
            return self.add(shard, print, change);
        }
        self.dropped.fetch_add(1, Relaxed);
        // an older change that waits still may be on its way there
        if on_disk || shard.waiting.contains_key(&print) {
            self.add(shard, print, Change::Forgotten);
        } else {
            shard.version += 1;
        }
    }

    /// Writes down that a key is forgotten.
    pub fn forget(&self, shard: &mut Shard, print: Print) {
        self.add(shard, print, Change::Forgotten);
    }

    fn add(&self, shard: &mut Shard, print: Print, change: Change) {
        shard.version += 1;
        if self.bytes.load(Relaxed) + OVERHEAD > self.limit.saturating_mul(2) {
            self.overflowed.store(true, Relaxed);
            return;
        }
        let (turn, cost) = (self.turn.fetch_add(1, Relaxed), cost(&change));
        self.bytes.fetch_add(cost, Relaxed);
        self.forgotten.fetch_add(u64::from(matches!(change, Change::Forgotten)), Relaxed);
        if let Some(old) = shard.waiting.insert(print, Waiting { change, turn, cost }) {
            self.no_longer_waits(&old);
        }
    }

    fn no_longer_waits(&self, old: &Waiting) {
        self.bytes.fetch_sub(old.cost, Relaxed);
        self.forgotten.fetch_sub(u64::from(matches!(old.change, Change::Forgotten)), Relaxed);
    }

    /// Changes of about so many bytes, to be written, in their order, and their bytes.
    pub fn batch(&self, bytes: u64) -> (Vec<(Print, Waiting)>, u64) {
        let (mut some, mut sum) = (Vec::new(), 0);
        'enough: for number in 0..SHARDS {
            for (print, waiting) in &self.lock(number).waiting {
                if sum >= bytes {
                    break 'enough;
                }
                sum += waiting.cost;
                some.push((*print, waiting.clone()));
            }
        }
        some.sort_unstable_by_key(|(_, waiting)| waiting.turn);
        (some, sum)
    }

    /// All changes of a kind, in their order.
    pub fn all(&self, pick: impl Fn(&Change) -> bool) -> Vec<(Print, Waiting)> {
        let mut all = Vec::new();
        for number in 0..SHARDS {
            let shard = self.lock(number);
            let picked = shard.waiting.iter().filter(|(_, waiting)| pick(&waiting.change));
            all.extend(picked.map(|(print, waiting)| (*print, waiting.clone())));
        }
        all.sort_unstable_by_key(|(_, waiting)| waiting.turn);
        all
    }

    /// Returns true if it waits to be written that something is forgotten.
    pub fn has_forgotten(&self) -> bool {
        self.forgotten.load(Relaxed) > 0
    }

    /// What waits under the key with this print.
    pub fn one(&self, print: Print) -> Option<Change> {
        self.shard_of(print).waiting.get(&print).map(|waiting| waiting.change.clone())
    }

    /// Returns true if something waits under the key with this print, for who holds the shard of another key. Only the
    /// writer does that, so that no two threads wait for each other.
    pub fn is_waiting_beside(&self, held: &Shard, of: Print, print: Print) -> bool {
        if number(of) == number(print) {
            held.waiting.contains_key(&print)
        } else {
            self.shard_of(print).waiting.contains_key(&print)
        }
    }

    /// It was written; nothing waits any more, unless a later change does.
    pub fn written(&self, print: Print, turn: u64) {
        let mut shard = self.shard_of(print);
        if shard.waiting.get(&print).is_some_and(|waiting| waiting.turn == turn)
            && let Some(waiting) = shard.waiting.remove(&print)
        {
            self.no_longer_waits(&waiting);
        }
    }

    /// Forgets all that waits. A lookup that is reading the disk now looks again.
    pub fn clear(&self) {
        for number in 0..SHARDS {
            let mut shard = self.lock(number);
            shard.version += 1;
            for (_, waiting) in shard.waiting.drain() {
                self.no_longer_waits(&waiting);
            }
        }
        self.overflowed.store(false, Relaxed);
    }

    /// How many responses wait under keys that `known` does not hold, and their bytes.
    pub fn responses(&self, known: impl Fn(Print) -> bool) -> (u64, u64) {
        let (mut count, mut bytes) = (0, 0);
        for number in 0..SHARDS {
            for (print, waiting) in &self.lock(number).waiting {
                if let Change::Response(response) = &waiting.change
                    && !known(*print)
                {
                    count += 1;
                    bytes += memory::size(response);
                }
            }
        }
        (count, bytes)
    }

    /// Returns true if a response with a body of this length in memory may wait for the disk now.
    pub fn takes(&self, length: u64) -> bool {
        self.bytes.load(Relaxed).saturating_add(OVERHEAD).saturating_add(length) <= self.limit
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.load(Relaxed) == 0
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// How many responses were not written because too many waited.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    pub fn overflowed(&self) -> bool {
        self.overflowed.load(Relaxed)
    }

    fn lock(&self, number: usize) -> MutexGuard<'_, Shard> {
        self.shards[number].lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

impl Shard {
    pub fn waiting(&self, key: &CacheKey) -> Option<&Change> {
        let change = &self.waiting.get(&Print::of(key))?.change;
        match change {
            Change::Response(response) if response.key != *key => None,
            change => Some(change),
        }
    }

    /// Returns true if something waits under the key with this print.
    pub fn is_waiting(&self, print: Print) -> bool {
        self.waiting.contains_key(&print)
    }
}

fn number(print: Print) -> usize {
    print.0 as usize % SHARDS
}

fn cost(change: &Change) -> u64 {
    OVERHEAD
        + match change {
            Change::Response(response) => memory::size(response),
            Change::Forgotten => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::support::{key, response};

    #[test]
    fn what_no_longer_fits_leaves_a_mark_where_an_older_change_may_be_on_its_way_to_the_disk() {
        let pending = Pending::new(20_000);
        let add = |name: &str, length| {
            pending.put(&mut pending.shard(&key(name)), Arc::new(response(name, length)), false);
        };
        add("written now", 5_000);
        let (under_way, _) = pending.batch(u64::MAX);
        assert_eq!(under_way.len(), 1);
        add("written now", 50_000);
        assert!(matches!(pending.shard(&key("written now")).waiting(&key("written now")), Some(Change::Forgotten)));
        add("new", 50_000);
        assert!(pending.shard(&key("new")).waiting(&key("new")).is_none());
        assert_eq!(pending.dropped(), 2);
    }
}
