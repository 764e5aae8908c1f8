//! Which stored responses leave when room is needed: those that were asked for least, and least lately.
//!
//! There are two classes of generations: fresh ones hold what was put, proven ones what was asked for again before its fresh
//! generation was dropped. A scan runs through the fresh ones and leaves the proven ones alone. How often is
//! counted in a sketch of fixed size (a count-min sketch whose counters fade), so that memory does not grow with the store.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// What one request adds to its counters.
const ASKED: u8 = 16;
/// The least weight that survives: asked for twice, not long ago. Whatever is stored was asked for once.
const LEAST: u8 = ASKED + 1;
/// The counters fade when each stored response could have been asked for so often.
const FADES: u64 = 8;
/// Counters that a key has.
const ROWS: u32 = 4;

/// How often keys were asked for lately, about.
pub struct Sketch {
    counters: Vec<AtomicU8>,
    /// Since the counters faded.
    requests: AtomicU64,
}

impl Sketch {
    /// With so many counters of one byte, rounded up to a power of two. Four to eight for a key that is to be told apart
    /// from the others.
    pub fn new(counters: usize) -> Sketch {
        let counters = (0..counters.max(64).next_power_of_two()).map(|_| AtomicU8::new(0)).collect();
        Sketch { counters, requests: AtomicU64::new(0) }
    }

    /// Bytes that it holds.
    pub fn size(&self) -> u64 {
        self.counters.len() as u64
    }

    /// The key with this print was asked for. Counts that race may be lost.
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

    /// How often and how lately: 0 never, 255 very.
    pub fn weight(&self, print: u64) -> u8 {
        self.row(print).map(|counter| counter.load(Relaxed)).min().unwrap_or(0)
    }

    /// Is it time to fade, with so many stored responses?
    pub fn has_aged(&self, stored: u64) -> bool {
        self.requests.load(Relaxed) > FADES * stored.max(1000)
    }

    /// Half of everything is forgotten.
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

/// Which of a generation's keys (weight, bytes) survive it, the heaviest first, and the bytes of all that weigh enough: only
/// as many survive as fit into `room` bytes together.
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
