//! The variants of each URL: the prints of their keys under the print of the URL's own key, in memory. The variants are on
//! disk or wait to be written. A part of a representation is a variant, too: it has a key and a record of its own. A print
//! may outlive its record for a while; then a lookup of it finds nothing.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Mutex, MutexGuard},
};

use crate::store::format::print::Print;

/// The most responses that are stored for a URL: variants, and parts of them. The next one pushes the oldest out.
pub const MOST: usize = 64;

const SHARDS: usize = 64;

/// Hashes a print to itself: prints are uniform already.
#[derive(Default)]
pub struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// The variants of each URL, the newest first.
type Shard = HashMap<Print, Vec<Print>, BuildHasherDefault<Same>>;

pub struct Variants(Vec<Mutex<Shard>>);

impl Variants {
    pub fn new() -> Variants {
        Variants((0..SHARDS).map(|_| Mutex::default()).collect())
    }

    /// Returns the variants of a URL, the newest first.
    pub fn of(&self, primary: Print) -> Vec<Print> {
        self.shard(primary).get(&primary).cloned().unwrap_or_default()
    }

    pub fn any(&self, primary: Print) -> bool {
        self.shard(primary).contains_key(&primary)
    }

    pub fn has(&self, primary: Print, variant: Print) -> bool {
        self.shard(primary).get(&primary).is_some_and(|known| known.contains(&variant))
    }

    /// Puts a variant before all others. Returns the one that it pushes out.
    pub fn put(&self, primary: Print, variant: Print) -> Option<Print> {
        let mut shard = self.shard(primary);
        let known = shard.entry(primary).or_default();
        known.retain(|other| *other != variant);
        known.insert(0, variant);
        if known.len() > MOST { known.pop() } else { None }
    }

    /// Adds a variant that a journal names. A variant that is known keeps its place.
    pub fn add(&self, primary: Print, variant: Print) {
        if !self.has(primary, variant) {
            self.put(primary, variant);
        }
    }

    pub fn remove(&self, primary: Print, variant: Print) {
        let mut shard = self.shard(primary);
        if let Some(known) = shard.get_mut(&primary) {
            known.retain(|other| *other != variant);
            if known.is_empty() {
                shard.remove(&primary);
            }
        }
    }

    /// Removes all variants of a URL and returns them.
    pub fn take(&self, primary: Print) -> Vec<Print> {
        self.shard(primary).remove(&primary).unwrap_or_default()
    }

    pub fn clear(&self) {
        self.0.iter().for_each(|shard| *lock(shard) = Shard::default());
    }

    /// Returns the variants of all URLs, the newest of each first.
    pub fn all(&self) -> Vec<(Print, Vec<Print>)> {
        let of_shard = |shard| lock(shard).iter().map(|(primary, known)| (*primary, known.clone())).collect::<Vec<_>>();
        self.0.iter().flat_map(of_shard).collect()
    }

    fn shard(&self, primary: Print) -> MutexGuard<'_, Shard> {
        // not the bits that the maps use for their buckets
        lock(&self.0[(primary.0 >> 40) as usize % SHARDS])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(|poison| poison.into_inner())
}
