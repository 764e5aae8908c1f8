//! The changes that are not on the disk yet. A lookup finds a stored response here until it is on the disk. A forgotten key is
//! not found, although the disk still has its record.

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

/// A change of the record of a key on the disk.
#[derive(Debug, Clone)]
pub enum Change {
    Response(Arc<StoredResponse>),
    Forgotten,
}

/// A change that waits. A later change of the same key takes its place.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub change: Change,
    /// Changes are written in the order of their turns.
    pub turn: u64,
    /// Bytes of memory.
    cost: u64,
}

/// The keys that share a lock. Two keys that share a print displace one another, as in the index.
#[derive(Default)]
pub struct Shard {
    waiting: HashMap<Print, Waiting>,
    /// Counts the changes. A lookup that read the disk while this moved looks again.
    pub version: u64,
    /// The version that the last change gave, for each group of keys that had one.
    changed: HashMap<u8, u64>,
}

const SHARDS: usize = 64;
/// Bytes of memory that a change costs beside its response.
const OVERHEAD: u64 = 128;
/// The part of the limit from which on what waits is written without gathering more.
const ENOUGH: u64 = 8;

pub struct Pending {
    shards: Vec<Mutex<Shard>>,
    turn: AtomicU64,
    bytes: AtomicU64,
    /// Bytes that may wait. Above this limit no response is added, only that its key is forgotten.
    limit: u64,
    /// The number of responses that were not written because too many waited.
    dropped: AtomicU64,
    /// The number of waiting changes that forget a key.
    forgotten: AtomicU64,
    /// True if a change was lost because twice the limit waited: everything on the disk must go.
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

    /// Returns true if so much waits that it should be written at once.
    pub fn has_enough(&self) -> bool {
        self.bytes.load(Relaxed) > self.limit / ENOUGH
    }

    /// Returns true if the half of what may wait does.
    pub fn is_crowded(&self) -> bool {
        self.bytes.load(Relaxed) > self.limit / 2
    }

    /// Returns the lowest position of all responses that wait.
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

    /// Returns the lock under which a key is changed. No thread may hold two of these locks, except in
    /// [`Pending::is_waiting_beside`].
    pub fn shard(&self, key: &CacheKey) -> MutexGuard<'_, Shard> {
        self.shard_of(Print::of(key))
    }

    /// Returns the lock of a key of which only the print is known.
    pub fn shard_of(&self, print: Print) -> MutexGuard<'_, Shard> {
        self.lock(number(print))
    }

    /// Adds the change that a response is stored. If too much waits already, adds that the key is forgotten instead, where an
    /// older record of it may be on the disk.
    pub fn put(&self, shard: &mut Shard, response: Arc<StoredResponse>, on_disk: bool) {
        let print = Print::of(&response.key);
        let change = Change::Response(response);
        if self.bytes.load(Relaxed) + cost(&change) <= self.limit {
            return self.add(shard, print, change);
        }
        self.dropped.fetch_add(1, Relaxed);
        // the writer may be writing an older change of this key now
        if on_disk || shard.waiting.contains_key(&print) {
            self.add(shard, print, Change::Forgotten);
        } else {
            shard.note_change(print);
        }
    }

    /// Adds the change that a key is forgotten.
    pub fn forget(&self, shard: &mut Shard, print: Print) {
        self.add(shard, print, Change::Forgotten);
    }

    fn add(&self, shard: &mut Shard, print: Print, change: Change) {
        shard.note_change(print);
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

    /// Returns changes of about `bytes` bytes in their order, and their bytes.
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

    /// Returns all changes that `pick` accepts, in their order.
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

    /// Returns true if a change that forgets a key waits.
    pub fn has_forgotten(&self) -> bool {
        self.forgotten.load(Relaxed) > 0
    }

    /// Returns the change of the key with this print.
    pub fn one(&self, print: Print) -> Option<Change> {
        self.shard_of(print).waiting.get(&print).map(|waiting| waiting.change.clone())
    }

    /// Returns true if a change of the key with this print waits. The caller holds the shard of another key. Only the writer
    /// may call this, so that no two threads wait for each other.
    pub fn is_waiting_beside(&self, held: &Shard, of: Print, print: Print) -> bool {
        if number(of) == number(print) {
            held.waiting.contains_key(&print)
        } else {
            self.shard_of(print).waiting.contains_key(&print)
        }
    }

    /// Removes a change that was written, unless a later one has taken its place.
    pub fn written(&self, print: Print, turn: u64) {
        let mut shard = self.shard_of(print);
        if shard.waiting.get(&print).is_some_and(|waiting| waiting.turn == turn)
            && let Some(waiting) = shard.waiting.remove(&print)
        {
            self.no_longer_waits(&waiting);
        }
    }

    /// Removes all changes. A lookup that is reading the disk now looks again.
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

    /// Returns how many responses wait under keys that `known` does not know, and their bytes.
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

    /// Returns how many responses were not written because too many waited.
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
    /// Returns the change of a key. Not that of another key with the same print.
    pub fn waiting(&self, key: &CacheKey) -> Option<&Change> {
        let change = &self.waiting.get(&Print::of(key))?.change;
        match change {
            Change::Response(response) if response.key != *key => None,
            change => Some(change),
        }
    }

    /// Counts a change of the key with this print.
    pub fn note_change(&mut self, print: Print) {
        self.version = self.next_version();
        self.changed.insert(group(print), self.version);
    }

    /// Returns the version that the next change gives.
    pub fn next_version(&self) -> u64 {
        self.version + 1
    }

    /// Returns true if the key with this print has not changed since this version. Returns false also if another key of its
    /// group has changed.
    pub fn is_unchanged(&self, print: Print, since: u64) -> bool {
        self.changed.get(&group(print)).is_none_or(|changed| *changed <= since)
    }

    /// Returns true if a change of the key with this print waits.
    pub fn is_waiting(&self, print: Print) -> bool {
        self.waiting.contains_key(&print)
    }
}

fn number(print: Print) -> usize {
    print.0 as usize % SHARDS
}

/// Returns the group of a key within its shard.
fn group(print: Print) -> u8 {
    (print.0 / SHARDS as u64) as u8
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
