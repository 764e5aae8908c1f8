//! Keeps the counts of answers across restarts: in the file `counters` of the cache folder, written each minute and at the
//! end. A crash loses the counts of a minute. The counts of each minute of the last day are kept in memory, so that those of
//! the last hour can be told.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    admin::figures::{Answers, Figures, Times, Window},
    clock::{Clock, Seconds, Timestamp},
    policy::Reason,
    proxy::{Kind, Shared, Total},
    regular,
};

/// The time between two writes, and between two snapshots.
const EACH: Duration = Duration::from_secs(60);

/// The file in the cache folder.
const FILE: &str = "counters";

/// The longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// The most snapshots: those of a day and the one before it, about 2 KiB each. The oldest one makes room for the next.
const SNAPSHOTS: usize = 24 * 60 + 1;

/// The counts of this process and of those before it.
pub(super) struct Counters {
    shared: Arc<Shared>,
    clock: Clock,
    /// The counts at some points in time, the oldest first. The first one is that of the start.
    snapshots: Mutex<VecDeque<Snapshot>>,
    /// What was counted before this process. Without a folder nothing is kept.
    before: Kept,
    path: Option<PathBuf>,
}

struct Snapshot {
    at: Timestamp,
    /// A [`Kept`] as JSON, which is much shorter than its maps.
    counts: Box<[u8]>,
}

/// What the file holds. Missing numbers are zero, so that the file of another version can be read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// The wall clock when counting began, in milliseconds since 1970.
    since: i64,
    answers: BTreeMap<String, Answers>,
    unasked: u64,
    /// The buckets of the times of hits and of the origin.
    hits: Vec<u64>,
    origin: Vec<u64>,
}

impl Kept {
    /// Returns what was counted since `earlier`.
    fn minus(mut self, earlier: &Kept) -> Kept {
        for (kind, answers) in &mut self.answers {
            earlier.answers.get(kind).into_iter().for_each(|earlier| answers.subtract(earlier));
        }
        self.unasked = self.unasked.saturating_sub(earlier.unasked);
        for (all, earlier) in [(&mut self.hits, &earlier.hits), (&mut self.origin, &earlier.origin)] {
            all.iter_mut().zip(earlier).for_each(|(count, earlier)| *count = count.saturating_sub(*earlier));
        }
        self
    }
}

impl Counters {
    /// Goes on from what the folder keeps. A file that cannot be read counts as none.
    pub fn open(folder: Option<PathBuf>, shared: Arc<Shared>, clock: &Clock) -> Arc<Counters> {
        let path = folder.map(|folder| folder.join(FILE));
        let read = path.as_ref().filter(|path| path.symlink_metadata().is_ok()).and_then(|path| {
            let bytes = regular::read(path, LONGEST).inspect_err(|problem| {
                log::warn!("{} cannot be used: {problem}; the counts of answers begin anew", path.display());
            });
            serde_json::from_slice::<Kept>(&bytes.ok()?).ok()
        });
        let before = read.unwrap_or_else(|| Kept { since: clock.wall().0, ..Kept::default() });
        let counters = Counters { shared, clock: clock.clone(), snapshots: Mutex::default(), before, path };
        counters.take_snapshot();
        Arc::new(counters)
    }

    /// Writes the file and takes a snapshot now and then, until the sender goes.
    pub fn write_regularly(self: &Arc<Counters>) -> mpsc::Sender<()> {
        let (running, ended) = mpsc::channel();
        let counters = self.clone();
        let write = move || {
            while ended.recv_timeout(EACH) == Err(mpsc::RecvTimeoutError::Timeout) {
                counters.write();
                counters.take_snapshot();
            }
        };
        // without a thread the file is written at the end
        let _ = std::thread::Builder::new().name("counters".to_owned()).spawn(write);
        running
    }

    /// Writes the file. An error is logged: counts are worth no more.
    pub fn write(&self) {
        let Some(path) = &self.path else { return };
        let write = || -> io::Result<()> {
            let new = path.with_extension("new");
            // what is there may be a pipe, which would be waited for
            let _ = fs::remove_file(&new);
            fs::File::create_new(&new)?.write_all(&serde_json::to_vec(&self.kept())?)?;
            fs::rename(new, path)
        };
        if let Err(error) = write() {
            log::debug!("cannot keep the counters in {}: {error}", path.display());
        }
    }

    /// Returns the figures, with all that was counted, or with what the last time `since` has brought. `known` has what is not
    /// counted.
    pub fn figures(&self, known: Figures, since: Option<Seconds>) -> Figures {
        let (running, mut kept) = (self.shared.counts.running(), self.kept());
        let mut counted_since = (!self.before.answers.is_empty()).then_some(self.before.since);
        let mut window = None;
        if let Some(asked) = since {
            let now = self.clock.now();
            let (at, earlier) = self.snapshot_at(now.minus(asked));
            kept = kept.minus(&earlier);
            counted_since = Some(at.0);
            window = Some(Window { asked_seconds: asked.0, seconds: now.since(at).0 });
        }
        let times = |buckets: &[u64]| {
            let mut times = crate::proxy::Times::default();
            times.add_buckets(buckets);
            Times::new(times.count(), times.quantile(0.5), times.quantile(0.95))
        };
        let (hit_time, origin_time) = (times(&kept.hits), times(&kept.origin));
        let running_seconds = running.as_secs();
        Figures { running_seconds, counted_since, window, hit_time, origin_time, answers: kept.answers, ..known }
            .derive(kept.unasked)
    }

    /// Notes the counts as they are now.
    fn take_snapshot(&self) {
        let Ok(counts) = serde_json::to_vec(&self.kept()) else { return };
        let mut snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        if snapshots.len() >= SNAPSHOTS {
            snapshots.pop_front();
        }
        snapshots.push_back(Snapshot { at: self.clock.now(), counts: counts.into() });
    }

    /// Returns the last counts that were noted up to this point in time, or else the first ones, and when they were noted.
    fn snapshot_at(&self, at: Timestamp) -> (Timestamp, Kept) {
        let snapshots = self.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let found = snapshots.iter().rev().find(|snapshot| snapshot.at <= at).or_else(|| snapshots.front());
        let kept = |snapshot: &Snapshot| serde_json::from_slice(&snapshot.counts).ok();
        found.and_then(|found| Some((found.at, kept(found)?))).unwrap_or_else(|| (at, self.before.clone()))
    }

    fn kept(&self) -> Kept {
        let mut total = self.shared.counts.total();
        total.hits.add_buckets(&self.before.hits);
        total.origin.add_buckets(&self.before.origin);
        Kept {
            since: self.before.since,
            answers: self.answers(&total),
            unasked: total.unasked + self.before.unasked,
            hits: total.hits.buckets().to_vec(),
            origin: total.origin.buckets().to_vec(),
        }
    }

    /// Translates the counts of answers, and adds those from before.
    fn answers(&self, total: &Total) -> BTreeMap<String, Answers> {
        let answers = |kind: &Kind| {
            let reasons = &total.outcomes[*kind as usize];
            // an outcome without an answer has no reason
            let has_reason = !matches!(kind, Kind::Left | Kind::Lost);
            let occurred = Reason::ALL.iter().zip(reasons).filter(|(_, count)| has_reason && **count > 0);
            let mut answers = Answers {
                requests: reasons.iter().sum(),
                bytes: total.bytes[*kind as usize],
                reasons: occurred.map(|(reason, count)| (reason.name().to_owned(), *count)).collect(),
            };
            if let Some(before) = self.before.answers.get(kind.name()) {
                answers.add(before);
            }
            (kind.name().to_owned(), answers)
        };
        Kind::ALL.iter().map(answers).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_time_is_counted_from_the_minute_before_it_up_to_a_day_and_not_before_the_start() {
        let (shared, clock) = (Arc::new(Shared::default()), Clock::manual(Timestamp(1_000_000)));
        let counters = Counters::open(None, shared.clone(), &clock);
        let counted = |seconds| {
            let figures = counters.figures(Figures::default(), Some(Seconds(seconds)));
            (figures.answers["refused"].requests, figures.window.unwrap().seconds)
        };
        let minutes = |count: u64| {
            for _ in 0..count {
                shared.counts.refuse(1);
                clock.advance(EACH);
                counters.take_snapshot();
            }
        };
        shared.counts.refuse(1);
        assert_eq!(counted(60), (1, 0), "there is only the start");
        minutes(10);
        assert_eq!((counted(60), counted(90), counted(3600)), ((1, 60), (2, 120), (11, 600)));
        clock.advance(Duration::from_secs(30));
        assert_eq!((counted(60), counted(120)), ((1, 90), (2, 150)));
        minutes(2 * 24 * 60);
        assert_eq!((counted(3600), counted(86_400)), ((60, 3600), (1440, 86_400)));
        let snapshots = counters.snapshots.lock().unwrap();
        let bytes: usize = snapshots.iter().map(|snapshot| snapshot.counts.len()).sum();
        assert!(snapshots.len() == SNAPSHOTS && bytes / SNAPSHOTS < 3 << 10, "{bytes}");
    }
}
