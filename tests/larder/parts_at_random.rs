//! Random requests for ranges of a file that changes, by a Larder that is killed: no wrong byte (W31).

use std::sync::{Arc, Mutex, atomic::Ordering::SeqCst};

use crate::{
    parts::{FRESH, File, multipart},
    support::{End, Origin, Spawned, Step},
};

/// Numbers by a seed that is printed, and that LARDER_SEED names.
pub struct Random(blake3::OutputReader);

impl Random {
    pub fn seeded() -> Random {
        let seed = std::env::var("LARDER_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed: u64 = seed.unwrap_or_else(rand_seed);
        println!("LARDER_SEED={seed}");
        Random(blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof())
    }

    pub fn below(&mut self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % bound as u64) as usize
    }
}

fn rand_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

#[test]
fn w31_random_parts_versions_cuts_and_crashes_give_no_wrong_byte() {
    const LENGTHS: [usize; 4] = [300_000, 300_000, 420_000, 300_000];
    let mut random = Random::seeded();
    let file = File::new(&LENGTHS);
    let (changing, cuts) = (file.clone(), Arc::new(Mutex::new(0usize)));
    let cut = cuts.clone();
    let origin = Origin::answering(move |request| {
        let mut answer = changing.answer(request, FRESH);
        let after = std::mem::take(&mut *cut.lock().unwrap());
        if let (Some(Step::Send(bytes)), true) = (answer.first_mut(), after > 0) {
            bytes.truncate(after.min(bytes.len()));
            answer.push(Step::Close);
        }
        answer
    });
    let folder = tempfile::tempdir().unwrap();
    let start = || Spawned::start(&origin.url(), folder.path(), &[]);
    let mut larder = start();
    let (mut wholes, mut parts, mut hits) = (0, 0, 0);
    for _ in 0..400 {
        match random.below(40) {
            0 => {
                larder.kill();
                larder = start();
            }
            1 => _ = larder.client().ask("POST", "/f", &["Content-Length: 0"]),
            2 => file.version.store(random.below(LENGTHS.len()) as u64, SeqCst),
            3..6 => *cuts.lock().unwrap() = 100 + random.below(150_000),
            _ => {}
        }
        let (first, length) = (random.below(300_000), 1 + random.below(120_000));
        let line = format!("Range: bytes={first}-{}", first + length - 1);
        let two = format!("{line},{}-", first + length + random.below(50_000));
        let fields: &[&str] = match random.below(12) {
            0 => &[],
            1 => &[&two],
            _ => &[&line],
        };
        let answer = larder.client().ask("GET", "/f", fields);
        hits += usize::from(answer.field("X-Cache") == Some("HIT"));
        let version = answer.field("ETag").and_then(|tag| tag.trim_matches('"').parse::<usize>().ok());
        let Some(body) = version.map(|version| &file.versions[version]) else { continue };
        match (answer.status, answer.field("Content-Range")) {
            (200, None) => {
                wholes += 1;
                let got = &answer.body;
                assert!(got.len() <= body.len() && *got == body[..got.len()], "wrong bytes of a whole");
                assert!(answer.end == End::Cut || got.len() == body.len(), "too few bytes");
            }
            (206, Some(range)) => {
                parts += 1;
                let (first, _) = range.strip_prefix("bytes ").unwrap().split_once('-').unwrap();
                let first: usize = first.parse().unwrap();
                assert!(answer.body == body[first..first + answer.body.len()], "wrong bytes of {range}");
            }
            (206, None) => {
                for (first, bytes) in multipart(&answer) {
                    assert!(body[first..].starts_with(bytes), "wrong bytes of a part at {first}");
                }
            }
            _ => {}
        }
    }
    assert!(wholes > 5 && parts > 100 && hits > 20, "{wholes} {parts} {hits}");
}
