//! Random requests for ranges of a file that changes, by a Larder that is killed: no wrong byte (W31).

use std::sync::{Arc, Mutex, atomic::Ordering::SeqCst};

use crate::{
    parts::{FRESH, File, multipart},
    support::{End, Origin, Spawned, Step, request},
};

/// Numbers by a seed.
pub struct Random(blake3::OutputReader);

impl Random {
    /// Prints its seed, which LARDER_SEED names.
    pub fn seeded() -> Random {
        let seed = number_in("LARDER_SEED").unwrap_or_else(random_seed);
        println!("LARDER_SEED={seed}");
        Random::of(seed)
    }

    fn of(seed: u64) -> Random {
        Random(blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof())
    }

    pub fn below(&mut self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        (u64::from_le_bytes(bytes) % bound as u64) as usize
    }
}

fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|number| number.parse().ok())
}

/// The seeds: the one that LARDER_SEED names, or random ones, as many as LARDER_SEEDS says.
fn seeds() -> Vec<u64> {
    match number_in("LARDER_SEED") {
        Some(seed) => vec![seed],
        None => (0..number_in("LARDER_SEEDS").unwrap_or(SEEDS)).map(|_| random_seed()).collect(),
    }
}

fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// So many seeds are tried, with so many requests each. Try more after a change: LARDER_SEEDS=100.
const SEEDS: u64 = 10;
const REQUESTS: usize = 60;
const LENGTHS: [usize; 4] = [300_000, 300_000, 420_000, 300_000];

/// What was answered, and how.
#[derive(Debug, Default)]
struct Answered {
    wholes: usize,
    parts: usize,
    hits: usize,
    crashes: usize,
}

#[test]
fn w31_random_parts_versions_cuts_and_crashes_give_no_wrong_byte() {
    let mut answered = Answered::default();
    for seed in seeds() {
        // what fails names it
        println!("LARDER_SEED={seed}");
        answer_at_random(&mut Random::of(seed), &mut answered);
    }
    println!("{answered:?}");
    let Answered { wholes, parts, hits, crashes } = answered;
    assert!(wholes > 2 && parts > 20 && hits > 2 && crashes > 0 || number_in("LARDER_SEED").is_some(), "{answered:?}");
}

fn answer_at_random(random: &mut Random, answered: &mut Answered) {
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
    for _ in 0..REQUESTS {
        let longest = [120_000, 20_000][random.below(2)];
        let (first, length) = (random.below(300_000), 1 + random.below(longest));
        let line = format!("Range: bytes={first}-{}", first + length - 1);
        let two = format!("{line},{}-", first + length + random.below(50_000));
        let fields: &[&str] = match random.below(12) {
            0 => &[],
            1 => &[&two],
            _ => &[&line],
        };
        match random.below(40) {
            // it dies with a request under way, or without one
            n @ 0..2 => {
                let mut client = larder.client();
                if n == 0 {
                    client.send(request("GET", "/f", fields));
                }
                larder.kill();
                answered.crashes += 1;
                larder = start();
            }
            2 => _ = larder.client().ask("POST", "/f", &["Content-Length: 0"]),
            3..7 => file.version.store(random.below(LENGTHS.len()) as u64, SeqCst),
            7..10 => *cuts.lock().unwrap() = 100 + random.below(150_000),
            _ => {}
        }
        let answer = larder.client().ask("GET", "/f", fields);
        answered.hits += usize::from(answer.field("X-Cache") == Some("HIT"));
        let version = answer.field("ETag").and_then(|tag| tag.trim_matches('"').parse::<usize>().ok());
        let Some(body) = version.map(|version| &file.versions[version]) else { continue };
        match (answer.status, answer.field("Content-Range")) {
            (200, None) => {
                answered.wholes += 1;
                let got = &answer.body;
                assert!(got.len() <= body.len() && *got == body[..got.len()], "wrong bytes of a whole");
                assert!(answer.end == End::Cut || got.len() == body.len(), "too few bytes");
            }
            (206, Some(range)) => {
                answered.parts += 1;
                let said =
                    range.strip_prefix("bytes ").and_then(|range| range.strip_suffix(&format!("/{}", body.len())));
                let (first, last) = said.expect("the whole length").split_once('-').unwrap();
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                let got = &answer.body;
                assert!(
                    first + got.len() <= last + 1 && *got == body[first..first + got.len()],
                    "wrong bytes of {range}"
                );
                assert!(answer.end == End::Cut || got.len() == last + 1 - first, "too few bytes of {range}");
            }
            (206, None) => {
                for (first, bytes) in multipart(&answer) {
                    assert!(body[first..].starts_with(bytes), "wrong bytes of a part at {first}");
                }
            }
            _ => {}
        }
    }
}
