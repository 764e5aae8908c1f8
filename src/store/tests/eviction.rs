//! The choice of what stays, on made traces, beside LRU with the same room. Generations of one-byte responses.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::store::eviction::{FRESH, SHARES, Sketch, survivors};

/// A generator of uniform numbers.
struct Random(u64);

impl Random {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        print_of(self.0)
    }

    fn fraction(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn print_of(key: u64) -> u64 {
    let mixed = (key ^ (key >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

const KEYS: usize = 20_000;
const REQUESTS: usize = 150_000;

/// Requests for keys of which the n-th is asked for 1/n^skew times as often; in `scans`, every second thousand requests ask
/// for keys that come once only.
fn trace(skew: f64, scans: bool) -> Vec<u64> {
    let mut sum = 0.0;
    let mut weights = Vec::with_capacity(KEYS);
    for rank in 1..=KEYS {
        sum += (rank as f64).powf(-skew);
        weights.push(sum);
    }
    let mut random = Random(1);
    let zipf = |random: &mut Random| {
        let at = random.fraction() * sum;
        weights.partition_point(|weight| *weight < at) as u64
    };
    (0..REQUESTS)
        .map(|at| print_of(if scans && at / 1_000 % 2 == 1 { (1 << 40) + at as u64 } else { zipf(&mut random) }))
        .collect()
}

fn lru(trace: &[u64], room: usize) -> f64 {
    let (mut last, mut order, mut hits) = (HashMap::new(), BTreeMap::new(), 0);
    for (now, key) in trace.iter().enumerate() {
        if let Some(before) = last.insert(*key, now) {
            hits += 1;
            order.remove(&before);
        }
        order.insert(now, *key);
        if last.len() > room {
            let (_, oldest) = order.pop_first().expect("the oldest");
            last.remove(&oldest);
        }
    }
    hits as f64 / trace.len() as f64
}

/// A class of generations, the oldest first; the last one is written to.
type Class = VecDeque<(u32, Vec<u64>)>;

/// What `rotation.rs` does, in memory. The hit ratio, and how much was copied for each put.
fn ours(trace: &[u64], room: usize) -> (f64, f64) {
    let share = room / SHARES as usize;
    let sketch = Sketch::new(room * 8);
    let mut index: HashMap<u64, u32> = HashMap::new();
    let (mut fresh, mut proven): (Class, Class) =
        (VecDeque::from([(0, Vec::new())]), VecDeque::from([(1, Vec::new())]));
    let (mut next, mut used, mut hits, mut puts, mut copies) = (2, 0, 0, 0, 0);
    let mut add = |class: &mut Class, index: &mut HashMap<u64, u32>, key| {
        if class.back().expect("a generation").1.len() >= share {
            class.push_back((next, Vec::new()));
            next += 1;
        }
        let (number, keys) = class.back_mut().expect("a generation");
        keys.push(key);
        index.insert(key, *number);
    };
    for key in trace {
        sketch.asked(*key);
        if sketch.has_aged(index.len() as u64) {
            sketch.fade();
        }
        if index.contains_key(key) {
            hits += 1;
            continue;
        }
        add(&mut fresh, &mut index, *key);
        (puts, used) = (puts + 1, used + 1);
        if used <= room - share {
            continue;
        }
        let bytes: usize = fresh.iter().map(|(_, keys)| keys.len()).sum();
        let from_fresh = fresh.len() > 1 && bytes > share * FRESH as usize || proven.len() < 2;
        let (number, keys) = if from_fresh { &mut fresh } else { &mut proven }.pop_front().expect("a generation");
        used -= keys.len();
        let left = keys.into_iter().filter(|key| index.get(key) == Some(&number));
        let candidates: Vec<_> = left.map(|key| (key, sketch.weight(key), 1)).collect();
        candidates.iter().for_each(|(key, ..)| _ = index.remove(key));
        for key in survivors(candidates, share as u64 / 10 * 7).0 {
            add(&mut proven, &mut index, key);
            (copies, used) = (copies + 1, used + 1);
        }
    }
    (hits as f64 / trace.len() as f64, f64::from(copies) / f64::from(puts))
}

#[test]
fn more_is_found_than_with_lru_on_zipf_and_clearly_more_when_scans_run_through() {
    for (skew, scans, room, better) in [
        (0.7, false, 1_000, 1.1),
        (0.9, false, 1_000, 1.05),
        (0.9, false, 3_000, 1.0),
        (1.1, false, 1_000, 1.0),
        (0.9, true, 1_000, 1.1),
        (0.9, true, 3_000, 1.1),
        (1.1, true, 1_000, 1.1),
    ] {
        let trace = trace(skew, scans);
        let (theirs, (ours, copied)) = (lru(&trace, room), ours(&trace, room));
        println!("Zipf {skew}, scans {scans}, room {room}: LRU {theirs:.3}, ours {ours:.3}, {copied:.2} copied a put");
        assert!(ours >= theirs * better, "Zipf {skew}, scans {scans}, room {room}: LRU {theirs:.3}, ours {ours:.3}");
    }
}
