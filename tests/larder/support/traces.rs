//! Made traces of requests, and what is found of them in a store and in an LRU cache with the same room.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use bytes::Bytes;
use larder::store::{Options, Store};

use super::stored::{key, response};

/// Requests for keys of which the n-th is asked for 1/n^skew times as often; with `scans` every second thousand of them asks
/// for keys that come once only.
#[derive(Debug, Clone, Copy)]
pub struct Trace {
    pub keys: usize,
    pub requests: usize,
    pub skew: f64,
    pub scans: bool,
    /// Bytes of a body: the shortest, and the longest.
    pub lengths: (usize, usize),
}

/// What was found of a trace.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// Of the requests after the first half, which warms up.
    pub ratio: f64,
    /// Bytes of responses that were stored at most.
    pub bytes: u64,
}

impl Trace {
    /// The part of the requests that are not a scan's: nobody can find more.
    pub fn most(&self) -> f64 {
        if self.scans { 0.5 } else { 1.0 }
    }

    /// Keys, in the order in which they are asked for.
    pub fn requests(&self) -> Vec<u64> {
        let mut sum = 0.0;
        let weights: Vec<f64> = (1..=self.keys)
            .map(|rank| {
                sum += (rank as f64).powf(-self.skew);
                sum
            })
            .collect();
        let request = |at: usize| {
            if self.scans && at / 1_000 % 2 == 1 {
                return (1 << 40) + at as u64;
            }
            let drawn = (mixed(at as u64) >> 11) as f64 / (1_u64 << 53) as f64;
            weights.partition_point(|weight| *weight < drawn * sum) as u64
        };
        (0..self.requests).map(request).collect()
    }

    /// Bytes of the body of a key: as many short ones as long ones, by the order of their size.
    fn length(&self, key: u64) -> usize {
        let (shortest, longest) = self.lengths;
        let part = (mixed(!key) >> 11) as f64 / (1_u64 << 53) as f64;
        (shortest as f64 * (longest as f64 / shortest as f64).powf(part)) as usize
    }

    /// In a store with so many bytes of disk, without a memory tier.
    pub async fn in_store(&self, folder: &Path, disk: u64) -> Found {
        let store = Store::open(Options { folder: folder.join("cache"), memory: 0, disk, max_object: disk / 4 });
        store.opened().await;
        let (mut hits, mut most, mut unflushed) = (0, 0, 0);
        let longest = Bytes::from(vec![b'x'; self.lengths.1]);
        for (at, number) in self.requests().into_iter().enumerate() {
            let key = key(number);
            if store.lookup(&key).await.is_some() {
                hits += u64::from(at >= self.requests / 2);
                continue;
            }
            let body = longest.slice(..self.length(number));
            unflushed += body.len();
            store.put(key, response(number, &["cache-control"], body), store.epoch());
            // no more than may wait to be written
            if unflushed > 1 << 19 {
                store.flush().await;
                (unflushed, most) = (0, most.max(store.stats().bytes));
            }
        }
        assert_eq!(store.stats().not_written, 0, "all was to be written");
        store.close().await;
        Found { ratio: self.ratio(hits), bytes: most }
    }

    /// In a cache that evicts what was asked for least lately, and has room for so many bytes of responses.
    pub fn in_lru(&self, room: u64) -> Found {
        let (mut last, mut order, mut hits, mut held, mut most) = (HashMap::new(), BTreeMap::new(), 0, 0, 0);
        for (at, number) in self.requests().into_iter().enumerate() {
            order.insert(at, number);
            if let Some(before) = last.insert(number, at) {
                hits += u64::from(at >= self.requests / 2);
                order.remove(&before);
                continue;
            }
            held += self.weight(number);
            while held > room
                && let Some((_, oldest)) = order.pop_first()
            {
                last.remove(&oldest);
                held -= self.weight(oldest);
            }
            most = most.max(held);
        }
        Found { ratio: self.ratio(hits), bytes: most }
    }

    /// Bytes that a response has in the store: its record, which is this long, and its body.
    fn weight(&self, number: u64) -> u64 {
        (self.length(number) as u64 + RECORD).next_multiple_of(64)
    }

    fn ratio(&self, hits: u64) -> f64 {
        hits as f64 / (self.requests - self.requests / 2) as f64
    }
}

/// Bytes of a record of [`response`] without its body.
const RECORD: u64 = 250;

/// Uniform numbers.
fn mixed(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
