//! What origin and clients agree on: which resources there are, what each answer's bytes must be, what has been seen.

#![expect(clippy::disallowed_methods, reason = "the load has a clock of its own; what it measures does not hang on it")]

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

/// SplitMix64.
#[derive(Clone)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True in so many of 1,000 cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub fn hash(text: &str) -> u64 {
    mix(text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)))
}

/// How the resources behind one letter behave.
pub struct Kind {
    pub letter: char,
    pub fields: &'static [&'static str],
    /// Milliseconds for which an answer may be given again; `None`: it must be this request's own.
    pub lifetime: Option<u64>,
    pub own: Own,
}

#[derive(PartialEq, Clone, Copy)]
pub enum Own {
    /// Anybody's.
    Shared,
    /// Varies on X-Kind.
    Varies,
    /// Made for one request: its number is in the answer.
    Request,
    /// Shared, but it has to be validated each time.
    Validated,
}

const HOUR: u64 = 3_600_000;

#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    Kind { letter: 'c', fields: &["Cache-Control: max-age=30"], lifetime: Some(30_000), own: Own::Shared },
    Kind { letter: 'd', fields: &["Cache-Control: max-age=2, public"], lifetime: Some(2_000), own: Own::Shared },
    Kind { letter: 'm', fields: &["Cache-Control: max-age=1, must-revalidate"], lifetime: Some(1_000), own: Own::Shared },
    Kind { letter: 'w', fields: &["Cache-Control: max-age=1, stale-while-revalidate=2"], lifetime: Some(3_000), own: Own::Shared },
    Kind { letter: 'i', fields: &["Cache-Control: max-age=1, stale-if-error=5"], lifetime: Some(6_000), own: Own::Shared },
    Kind { letter: 'h', fields: &[], lifetime: Some(HOUR), own: Own::Shared },
    Kind { letter: 'v', fields: &["Cache-Control: max-age=20", "Vary: X-Kind"], lifetime: Some(20_000), own: Own::Varies },
    Kind { letter: 'q', fields: &["Cache-Control: public, max-age=20"], lifetime: Some(20_000), own: Own::Shared },
    Kind { letter: 'e', fields: &["Cache-Control: no-cache"], lifetime: Some(0), own: Own::Validated },
    Kind { letter: 'p', fields: &["Cache-Control: private, max-age=60"], lifetime: None, own: Own::Request },
    Kind { letter: 'a', fields: &["Cache-Control: max-age=60"], lifetime: None, own: Own::Request },
    Kind { letter: 's', fields: &["Cache-Control: max-age=60"], lifetime: None, own: Own::Request },
    Kind { letter: 'n', fields: &["Cache-Control: no-store"], lifetime: None, own: Own::Request },
];

/// URLs of each kind.
pub const URLS: u64 = 1500;

/// Which resource: a kind and a number.
#[derive(Clone, Copy)]
pub struct Resource {
    pub kind: usize,
    pub number: u64,
}

impl Resource {
    pub fn kind(self) -> &'static Kind {
        &KINDS[self.kind]
    }

    pub fn path(self) -> String {
        format!("/{}/{}", self.kind().letter, self.number)
    }

    pub fn of(path: &str) -> Option<Resource> {
        let (letter, number) = path.strip_prefix('/')?.split_once('/')?;
        let kind = KINDS.iter().position(|kind| letter == kind.letter.to_string())?;
        Some(Resource { kind, number: number.parse().ok().filter(|number| *number < URLS)? })
    }

    pub fn slot(self) -> usize {
        self.kind * URLS as usize + self.number as usize
    }
}

/// What an answer is: its bytes follow from all of this.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    pub path: String,
    pub user: u64,
    pub variant: String,
    pub version: u64,
    /// The request it was made for; 0 where it is shared.
    pub request: u64,
    pub length: u64,
}

impl Identity {
    pub fn text(&self) -> String {
        let Identity { path, user, variant, version, request, length } = self;
        format!("{path}|{user}|{variant}|{version}|{request}|{length}")
    }

    pub fn parse(text: &str) -> Option<Identity> {
        let mut parts = text.split('|');
        let mut next = || parts.next().map(str::to_owned);
        let (path, user, variant) = (next()?, next()?, next()?);
        let mut number = || next()?.parse().ok();
        Some(Identity {
            path,
            user: user.parse().ok()?,
            variant,
            version: number()?,
            request: number()?,
            length: number()?,
        })
    }

    pub fn tag(&self) -> String {
        format!("\"{}-{:x}\"", self.version, hash(&self.text()))
    }

    /// The body's bytes: no two identities share them.
    pub fn body(&self) -> Vec<u8> {
        bytes(hash(&self.text()), self.length as usize)
    }
}

pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut rng = Rng(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&rng.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// 0 B to 2 MiB, mostly small.
pub fn length(seed: u64) -> u64 {
    let mut rng = Rng(seed);
    match rng.below(1000) {
        0..20 => 0,
        20..700 => rng.below(2 << 10),
        700..930 => rng.below(24 << 10),
        930..994 => rng.below(320 << 10),
        _ => rng.below(2 << 20),
    }
}

/// What is counted for the summary.
#[derive(Clone, Copy, PartialEq)]
pub enum Count {
    Whole,
    Hits,
    NotModified,
    Parts,
    OriginErrors,
    Refused,
    Cut,
    Aborted,
    Unsafe,
    Clears,
    Stops,
    Kills,
    OriginRequests,
    Faults,
}

pub const COUNTS: [&str; 14] = [
    "whole",
    "hits",
    "304",
    "206",
    "origin-5xx",
    "refused",
    "cut",
    "aborted",
    "unsafe",
    "clears",
    "stops",
    "kills",
    "origin-requests",
    "faults",
];

pub struct World {
    pub seed: u64,
    began: Instant,
    /// What the origin has now, by slot.
    versions: Vec<AtomicU64>,
    /// What no later answer may be older than, by slot.
    floors: Vec<AtomicU64>,
    raised: Mutex<VecDeque<(Instant, usize)>>,
    /// The number of the origin's newest answer.
    pub serial: AtomicU64,
    /// No answer to a later request may be older than this: the cache was cleared.
    pub cleared: AtomicU64,
    request: AtomicU64,
    posts: Mutex<HashSet<u64>>,
    counts: [AtomicU64; COUNTS.len()],
    problems: Mutex<Vec<String>>,
    pub stopping: AtomicBool,
}

impl World {
    pub fn new(seed: u64) -> World {
        let slots = || (0..KINDS.len() * URLS as usize).map(|_| AtomicU64::new(1)).collect();
        World {
            seed,
            began: Instant::now(),
            versions: slots(),
            floors: slots(),
            raised: Mutex::default(),
            serial: AtomicU64::new(1),
            cleared: AtomicU64::new(0),
            request: AtomicU64::new(1),
            posts: Mutex::default(),
            counts: Default::default(),
            problems: Mutex::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// Milliseconds since the beginning.
    pub fn now(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// A number for a request, never used before.
    pub fn number(&self) -> u64 {
        self.request.fetch_add(1, SeqCst)
    }

    pub fn version(&self, resource: Resource) -> u64 {
        self.versions[resource.slot()].load(SeqCst)
    }

    pub fn change(&self, resource: Resource) -> u64 {
        self.versions[resource.slot()].fetch_add(1, SeqCst) + 1
    }

    pub fn floor(&self, resource: Resource) -> u64 {
        self.floors[resource.slot()].load(SeqCst)
    }

    /// A client saw its unsafe request succeed, and with it this version.
    pub fn raise(&self, resource: Resource, version: u64) {
        self.floors[resource.slot()].fetch_max(version, SeqCst);
        let mut raised = self.raised.lock().unwrap();
        while raised.front().is_some_and(|(at, _)| at.elapsed() > Duration::from_secs(5)) {
            raised.pop_front();
        }
        raised.push_back((Instant::now(), resource.slot()));
    }

    /// A SIGKILL may lose what the store was told within the last second; two are granted.
    pub fn forget_newest_floors(&self) {
        let raised = self.raised.lock().unwrap();
        for (_, slot) in raised.iter().filter(|(at, _)| at.elapsed() < Duration::from_secs(2)) {
            self.floors[*slot].store(0, SeqCst);
        }
    }

    /// A POST reached the origin.
    pub fn posted(&self, number: u64) {
        if !self.posts.lock().unwrap().insert(number) {
            self.problem(format!("POST {number} reached the origin twice"));
        }
    }

    pub fn count(&self, what: Count) {
        self.counts[what as usize].fetch_add(1, SeqCst);
    }

    pub fn counted(&self, what: Count) -> u64 {
        self.counts[what as usize].load(SeqCst)
    }

    pub fn counts(&self) -> String {
        let count = |(i, name): (usize, &&str)| format!("{name}={}", self.counts[i].load(SeqCst));
        COUNTS.iter().enumerate().map(count).collect::<Vec<_>>().join(" ")
    }

    pub fn problem(&self, what: String) {
        let mut problems = self.problems.lock().unwrap();
        if problems.len() < 40 {
            eprintln!("PROBLEM at {:.3} s: {what}", self.now() as f64 / 1000.0);
        }
        problems.push(what);
    }

    pub fn problems(&self) -> usize {
        self.problems.lock().unwrap().len()
    }
}

/// Lets time go by: this is a load, no test of what happens meanwhile.
pub fn pause(milliseconds: u64) {
    let end = Instant::now() + Duration::from_millis(milliseconds);
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}
