//! Keeps the counts of answers across restarts: in the file `counters` of the cache folder, written each minute and at the
//! end. A crash loses the counts of a minute.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    admin::figures::{Answers, Figures, Times},
    clock::Clock,
    policy::Reason,
    proxy::{Kind, Shared, Total},
    regular,
};

/// The time between two writes.
const EACH: Duration = Duration::from_secs(60);

/// The file in the cache folder.
const FILE: &str = "counters";

/// The longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// The counts of this process and of those before it.
pub(super) struct Counters {
    shared: Arc<Shared>,
    /// What was counted before this process. Without a folder nothing is kept.
    before: Kept,
    path: Option<PathBuf>,
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
        Arc::new(Counters { shared, before, path })
    }

    /// Writes the file now and then, until the sender goes.
    pub fn write_regularly(self: &Arc<Counters>) -> mpsc::Sender<()> {
        let (running, ended) = mpsc::channel();
        let counters = self.clone();
        let write = move || {
            while ended.recv_timeout(EACH) == Err(mpsc::RecvTimeoutError::Timeout) {
                counters.write();
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

    /// Returns the figures, with all that was counted. `known` has what is not counted.
    pub fn figures(&self, known: Figures) -> Figures {
        let mut total = self.shared.counts.total();
        total.hits.add_buckets(&self.before.hits);
        total.origin.add_buckets(&self.before.origin);
        let times = |times: &crate::proxy::Times| Times::new(times.count(), times.quantile(0.5), times.quantile(0.95));
        Figures {
            running_seconds: total.running.as_secs(),
            counted_since: (!self.before.answers.is_empty()).then_some(self.before.since),
            hit_time: times(&total.hits),
            origin_time: times(&total.origin),
            answers: self.answers(&total),
            ..known
        }
        .derive(total.unasked + self.before.unasked)
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
