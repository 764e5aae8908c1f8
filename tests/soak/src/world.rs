//! What origin and clients agree on: what each Larder may still answer with, what has been seen, what was counted.

#![expect(clippy::disallowed_methods, reason = "the load has a clock of its own; what it measures does not hang on it")]

use std::{
    collections::{HashSet, VecDeque},
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::resource::{KINDS, Resource, URLS};

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
    WithContent,
    Expecting,
    Pipelined,
    Attacks,
    Slow,
    TimedOut,
    Clears,
    Stops,
    Kills,
    OriginRequests,
    Faults,
    TlsFaults,
}

pub const COUNTS: [&str; 21] = [
    "whole",
    "hits",
    "304",
    "206",
    "origin-5xx",
    "refused",
    "cut",
    "aborted",
    "unsafe",
    "with-content",
    "expecting",
    "pipelined",
    "attacks",
    "slow",
    "408",
    "clears",
    "stops",
    "kills",
    "origin-requests",
    "faults",
    "tls-faults",
];

/// What is true of one of the two Larders, and of its cache alone.
pub struct Side {
    pub name: &'static str,
    /// Where it listens; `None`: nowhere.
    pub address: Mutex<Option<SocketAddr>>,
    /// How often its process was told to end.
    pub ends: AtomicU64,
    /// What no later answer may be older than, by slot.
    floors: Vec<AtomicU64>,
    raised: Mutex<VecDeque<(Instant, usize)>>,
    /// No answer to a later request may be older than this: the cache was cleared.
    pub cleared: AtomicU64,
}

impl Side {
    fn new(name: &'static str) -> Side {
        Side {
            name,
            address: Mutex::default(),
            ends: AtomicU64::new(0),
            floors: slots(),
            raised: Mutex::default(),
            cleared: AtomicU64::new(0),
        }
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
}

pub struct World {
    pub seed: u64,
    began: Instant,
    /// One Larder with a plain origin, one with a TLS origin.
    pub sides: [Side; 2],
    /// Requests left for all clients.
    left: AtomicU64,
    /// What the origins have now, by slot.
    versions: Vec<AtomicU64>,
    /// The number of the origins' newest answer.
    pub serial: AtomicU64,
    request: AtomicU64,
    posts: Mutex<HashSet<u64>>,
    counts: [AtomicU64; COUNTS.len()],
    problems: Mutex<Vec<String>>,
}

fn slots() -> Vec<AtomicU64> {
    (0..KINDS.len() * URLS as usize).map(|_| AtomicU64::new(1)).collect()
}

impl World {
    pub fn new(seed: u64, requests: u64) -> World {
        World {
            seed,
            began: Instant::now(),
            sides: [Side::new("plain"), Side::new("TLS")],
            left: AtomicU64::new(requests),
            versions: slots(),
            serial: AtomicU64::new(1),
            request: AtomicU64::new(1),
            posts: Mutex::default(),
            counts: Default::default(),
            problems: Mutex::default(),
        }
    }

    /// One request fewer is left; `false`: none was.
    pub fn take(&self) -> bool {
        self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    pub fn left(&self) -> u64 {
        self.left.load(SeqCst)
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

    /// A POST reached an origin.
    pub fn posted(&self, number: u64) {
        if !self.posts.lock().unwrap().insert(number) {
            self.problem(format!("POST {number} reached the origin twice"));
        }
    }

    pub fn count(&self, what: Count) {
        self.count_in_turn(what);
    }

    /// Counts one more; gives how many there were before.
    pub fn count_in_turn(&self, what: Count) -> u64 {
        self.counts[what as usize].fetch_add(1, SeqCst)
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
