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
    store::{format::record::Variant, response::StoredResponse},
};

/// What is to happen on the disk under a key.
#[derive(Debug, Clone)]
pub enum Change {
    Response(Arc<StoredResponse>),
    /// `whole`: these are all of the variants; else they are added to what the disk holds.
    Variants {
        list: Arc<Vec<Variant>>,
        whole: bool,
    },
    Forgotten,
}

/// A change in its turn: a later one under the same key takes its place.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub change: Change,
    pub turn: u64,
    cost: u64,
}

/// The keys that share a lock.
#[derive(Default)]
pub struct Shard {
    waiting: HashMap<CacheKey, Waiting>,
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
            overflowed: AtomicBool::new(false),
        }
    }

    /// The lock under which a key is changed.
    pub fn shard(&self, key: &CacheKey) -> MutexGuard<'_, Shard> {
        self.lock(usize::from(key.0[31]) % SHARDS)
    }

    /// Writes down a change; where too much waits already, that the key is forgotten, if it may be on the disk.
    pub fn add(&self, shard: &mut Shard, key: CacheKey, change: Change, on_disk: bool) {
        shard.version += 1;
        let waits = self.bytes.load(Relaxed);
        let change = if waits + cost(&change) > self.limit && !matches!(change, Change::Forgotten) {
            self.dropped.fetch_add(1, Relaxed);
            // an older change that waits still may be on its way there
            if !on_disk && !shard.waiting.contains_key(&key) {
                return;
            }
            Change::Forgotten
        } else {
            change
        };
        if waits + OVERHEAD > self.limit.saturating_mul(2) {
            self.overflowed.store(true, Relaxed);
            return;
        }
        let (turn, cost) = (self.turn.fetch_add(1, Relaxed), cost(&change));
        self.bytes.fetch_add(cost, Relaxed);
        if let Some(old) = shard.waiting.insert(key, Waiting { change, turn, cost }) {
            self.bytes.fetch_sub(old.cost, Relaxed);
        }
    }

    /// Changes of about so many bytes, to be written, and their bytes.
    pub fn batch(&self, bytes: u64) -> (Vec<(CacheKey, Waiting)>, u64) {
        let mut some = Vec::new();
        let mut sum = 0;
        for number in 0..SHARDS {
            for (key, waiting) in &self.lock(number).waiting {
                if sum >= bytes {
                    return (some, sum);
                }
                sum += waiting.cost;
                some.push((*key, waiting.clone()));
            }
        }
        (some, sum)
    }

    /// What waits under this key.
    pub fn one(&self, key: &CacheKey) -> Option<Waiting> {
        self.shard(key).waiting.get(key).cloned()
    }

    /// It was written; nothing waits any more, unless a later change does. Was it the last one?
    pub fn written(&self, shard: &mut Shard, key: &CacheKey, turn: u64) -> bool {
        let last = shard.waiting.get(key).is_some_and(|waiting| waiting.turn == turn);
        if last && let Some(waiting) = shard.waiting.remove(key) {
            self.bytes.fetch_sub(waiting.cost, Relaxed);
        }
        last
    }

    /// Nothing waits any more; whoever reads the disk now must not believe it.
    pub fn clear(&self) {
        for number in 0..SHARDS {
            let mut shard = self.lock(number);
            shard.version += 1;
            for (_, waiting) in shard.waiting.drain() {
                self.bytes.fetch_sub(waiting.cost, Relaxed);
            }
        }
        self.overflowed.store(false, Relaxed);
    }

    /// How many responses wait under keys that `known` does not hold, and their bytes.
    pub fn responses(&self, known: impl Fn(&CacheKey) -> bool) -> (u64, u64) {
        let (mut count, mut bytes) = (0, 0);
        for number in 0..SHARDS {
            for (key, waiting) in &self.lock(number).waiting {
                if let Change::Response(response) = &waiting.change
                    && !known(key)
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
        self.waiting.get(key).map(|waiting| &waiting.change)
    }
}

fn cost(change: &Change) -> u64 {
    OVERHEAD
        + match change {
            Change::Response(response) => memory::size(response),
            Change::Variants { list, .. } => list.len() as u64 * 256,
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
            let key = key(name);
            let change = Change::Response(Arc::new(response(name, length)));
            pending.add(&mut pending.shard(&key), key, change, false);
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
