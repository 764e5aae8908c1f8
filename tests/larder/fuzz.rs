//! The fuzz targets on their seeds, and on some thousands of mutations of them. A failure prints the seed that repeats it.

mod decoder;

use std::{fs, panic, path::PathBuf};

use larder::fuzzing::{Fuzz, TARGETS};

const MUTATIONS: u64 = 4000;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound.max(1) as u64) as usize
    }
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Some bytes changed, doubled, dropped, or taken from another seed.
fn mutated(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut data = seeds[rng.below(seeds.len())].clone();
    for _ in 0..1 + rng.below(6) {
        let at = rng.below(data.len() + 1);
        let end = (at + rng.below(8)).min(data.len());
        match rng.below(6) {
            0 if at < data.len() => data[at] ^= 1 << rng.below(8),
            1 if at < data.len() => data[at] = b"\r\n\0 ,;=\"\\-:*0915/\x80\xff"[rng.below(19)],
            2 => drop(data.drain(at..end)),
            3 => data.extend_from_within(at..end),
            4 => data.insert(at, rng.below(256) as u8),
            _ => {
                let other = &seeds[rng.below(seeds.len())];
                let from = rng.below(other.len() + 1);
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
        }
    }
    data
}

#[test]
fn no_parser_breaks_its_laws_on_the_seeds_and_on_what_is_near_them() {
    let chosen = std::env::var("LARDER_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = chosen.unwrap_or(u64::from(std::process::id()));
    println!("LARDER_FUZZ_SEED={seed}");
    let others: [(&str, Fuzz); 1] = [("chunks_decoded", decoder::chunks_decoded)];
    for (name, target) in TARGETS.into_iter().chain(others) {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let mut rng = Rng(seed);
        let mutations = (0..MUTATIONS).map(|_| mutated(&seeds, &mut rng));
        for data in seeds.iter().cloned().chain(mutations) {
            let ran = panic::catch_unwind(|| target(&data));
            assert!(ran.is_ok(), "{name} fails on b\"{}\"", data.escape_ascii());
        }
    }
}
