//! Counts the outcomes of requests since the start. Each worker has its own counts; a reader adds them up.
//!
//! Counting costs a few loads and stores to memory that no other thread writes to: no lock, no allocation, no clock.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    count::Count,
    histogram::{Histogram, Times},
    outcome::{Cut, End, Kind, Outcome},
};
use crate::{clock, policy::Reason};

const KINDS: usize = Kind::ALL.len();
const REASONS: usize = Reason::ALL.len();

/// The counts of one worker. Only its own thread writes to them.
pub struct WorkerCounts {
    /// The number of outcomes, by kind and reason.
    outcomes: [[Count; REASONS]; KINDS],
    /// The bytes of the answers' bodies, by kind.
    bytes: [Count; KINDS],
    begun: Count,
    ended: Count,
    /// The number of requests that the stop cut off.
    cut_off: Count,
    /// The number of requests that were answered without asking the origin.
    unasked: Count,
    /// The times from the head of a request to the head of an answer that came from the cache without asking the
    /// origin.
    hits: Histogram,
    /// The times from sending a request to the origin to the head of its answer.
    origin: Histogram,
}

impl WorkerCounts {
    fn new() -> WorkerCounts {
        WorkerCounts {
            outcomes: [const { [const { Count::new() }; REASONS] }; KINDS],
            bytes: [const { Count::new() }; KINDS],
            begun: Count::new(),
            ended: Count::new(),
            cut_off: Count::new(),
            unasked: Count::new(),
            hits: Histogram::default(),
            origin: Histogram::default(),
        }
    }

    /// Counts a request that begins.
    pub fn begin(&self) {
        self.begun.add(1);
    }

    /// Counts the outcome of a request that was begun. `waited` is the time to the head of the answer, if there is one.
    pub fn end(&self, outcome: &Outcome, waited: Option<Duration>) {
        let kind = Kind::of(outcome);
        let reason = outcome.verdict.as_ref().map_or(Reason::Refused, |verdict| verdict.reason);
        self.outcomes[kind as usize][reason as usize].add(1);
        self.bytes[kind as usize].add(outcome.sent);
        if let Some(verdict) = &outcome.verdict {
            if verdict.from_cache && verdict.fwd.is_none() {
                self.unasked.add(1);
                waited.into_iter().for_each(|waited| self.hits.add(waited));
            }
            // a request that waited for another one would count the same exchange twice
            if !verdict.collapsed {
                verdict.origin_time.into_iter().for_each(|time| self.origin.add(time));
            }
        }
        if outcome.end == End::CutOff(Cut::Stop) {
            self.cut_off.add(1);
        }
        self.ended.add(1);
    }
}

/// The counts of all workers.
pub struct Counts {
    since: Instant,
    workers: Mutex<Vec<Arc<WorkerCounts>>>,
    /// The number and the bytes of the client side's refusals. All workers share these counts, because refusals are
    /// rare.
    refused: (AtomicU64, AtomicU64),
}

impl Default for Counts {
    fn default() -> Counts {
        Counts { since: clock::instant(), workers: Mutex::default(), refused: Default::default() }
    }
}

impl Counts {
    /// Returns the counts of a new worker. The worker itself must call this.
    pub fn of_worker(&self) -> Arc<WorkerCounts> {
        let counts = Arc::new(WorkerCounts::new());
        self.lock().push(counts.clone());
        counts
    }

    /// Counts a refusal of the client side.
    pub fn refuse(&self, bytes: u64) {
        self.refused.0.fetch_add(1, Relaxed);
        self.refused.1.fetch_add(bytes, Relaxed);
    }

    /// Returns the number of requests that were begun and have not ended.
    pub fn under_way(&self) -> u64 {
        self.lock().iter().map(|worker| worker.begun.get().saturating_sub(worker.ended.get())).sum()
    }

    /// Returns the number of requests that the stop has cut off.
    pub fn cut_off(&self) -> u64 {
        self.lock().iter().map(|worker| worker.cut_off.get()).sum()
    }

    /// Returns the time since the start.
    pub fn running(&self) -> Duration {
        self.since.elapsed()
    }

    /// Returns the sums of the counts of all workers.
    pub fn total(&self) -> Total {
        let mut total = Total::default();
        total.outcomes[Kind::Refused as usize][Reason::Refused as usize] = self.refused.0.load(Relaxed);
        total.bytes[Kind::Refused as usize] = self.refused.1.load(Relaxed);
        for worker in self.lock().iter() {
            for (kind, reasons) in worker.outcomes.iter().enumerate() {
                total.bytes[kind] += worker.bytes[kind].get();
                for (reason, count) in reasons.iter().enumerate() {
                    total.outcomes[kind][reason] += count.get();
                }
            }
            total.unasked += worker.unasked.get();
            total.hits.add_all(&worker.hits);
            total.origin.add_all(&worker.origin);
        }
        total
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<WorkerCounts>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sums of the counts of all workers.
pub struct Total {
    pub outcomes: [[u64; REASONS]; KINDS],
    pub bytes: [u64; KINDS],
    pub unasked: u64,
    pub hits: Times,
    pub origin: Times,
}

impl Default for Total {
    fn default() -> Total {
        Total {
            outcomes: [[0; REASONS]; KINDS],
            bytes: [0; KINDS],
            unasked: 0,
            hits: Times::default(),
            origin: Times::default(),
        }
    }
}
