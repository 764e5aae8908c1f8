//! Counts how often each key was asked for lately. When room is needed, the least and least lately requested leave.
//!
//! There are two classes of generations: fresh ones hold what was put, proven ones what was asked for again before its fresh
//! generation was removed. A scan runs through the fresh ones and leaves the proven ones alone. The counts are in a sketch
//! of fixed size (a count-min sketch whose counters fade), so that memory does not grow with the store.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// The number that one request adds to the counters of its key.
const ASKED: u8 = 16;
/// The least weight that survives: the key was asked for twice, not long ago. Every stored response was asked for once.
const LEAST: u8 = ASKED + 1;
/// The counters fade after so many requests for each stored response.
const FADES: u64 = 8;
/// The number of counters of a key.
const ROWS: u32 = 4;

/// Knows about how often each key was asked for lately.
pub struct Sketch {
    counters: Vec<AtomicU8>,
    /// The number of requests since the counters faded.
    requests: AtomicU64,
}

impl Sketch {
    /// Returns a sketch of so many counters of one byte, rounded up to a power of two. A key that is to be told apart from the
    /// others needs four to eight.
    pub fn new(counters: usize) -> Sketch {
        let counters = (0..counters.max(64).next_power_of_two()).map(|_| AtomicU8::new(0)).collect();
        Sketch { counters, requests: AtomicU64::new(0) }
    }

    /// Returns its bytes of memory.
    pub fn size(&self) -> u64 {
        self.counters.len() as u64
    }

    /// Counts a request for the key with this print. A count may be lost to another thread.
    pub fn asked(&self, print: u64) {
        self.requests.fetch_add(1, Relaxed);
        let lowest = self.weight(print);
        for counter in self.row(print) {
            // only the lowest ones: the others count other keys too
            if counter.load(Relaxed) == lowest {
                counter.store(lowest.saturating_add(ASKED), Relaxed);
            }
        }
    }

    /// Returns how often and how lately the key was asked for: from 0, never, to 255.
    pub fn weight(&self, print: u64) -> u8 {
        self.row(print).map(|counter| counter.load(Relaxed)).min().unwrap_or(0)
    }

    /// Returns true if it is time to fade, with so many stored responses.
    pub fn has_aged(&self, stored: u64) -> bool {
        self.requests.load(Relaxed) > FADES * stored.max(1000)
    }

    /// Halves all counters.
    pub fn fade(&self) {
        self.requests.store(0, Relaxed);
        for counter in &self.counters {
            counter.store(counter.load(Relaxed) / 2, Relaxed);
        }
    }

    fn row(&self, print: u64) -> impl Iterator<Item = &AtomicU8> {
        // prints are uniform: two halves make as many positions as are wanted
        let (first, step) = (print, (print >> 32) | 1);
        let mask = self.counters.len() - 1;
        (0..ROWS).map(move |row| {
            let position = first.wrapping_add(step.wrapping_mul(u64::from(row))).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            &self.counters[(position >> 24) as usize & mask]
        })
    }
}

/// Returns which of a generation's keys (weight, bytes) survive it, the heaviest first, and the bytes of all that weigh enough.
/// No more survive than fit into `room` bytes together.
pub fn survivors<K: Copy>(mut candidates: Vec<(K, u8, u64)>, room: u64) -> (Vec<K>, u64) {
    candidates.retain(|(_, weight, _)| *weight >= LEAST);
    candidates.sort_unstable_by_key(|(_, weight, _)| std::cmp::Reverse(*weight));
    let mut worthy = 0;
    let mut fit = Vec::new();
    for (key, _, size) in candidates {
        worthy += size;
        if worthy <= room {
            fit.push(key);
        }
    }
    (fit, worthy)
}
