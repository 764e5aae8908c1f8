//! The requests that have ended, for those who look on while Larder runs. Nobody who looks on slows a request down: what they
//! do not read in time is lost to them, and counted.

use std::{
    fmt::{self, Display as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    access,
    outcome::{Kind, Outcome},
};
use crate::{clock::Timestamp, terminal::Style};

/// The most lines that wait for one onlooker. Later ones are lost to it.
const WAITING: usize = 4096;

/// One request that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TailLine {
    /// Milliseconds since the Unix epoch.
    pub time: i64,
    /// `HIT`, `STALE`, `MISS` or `----`.
    pub word: String,
    /// What became of the request: `fresh`, `miss`, `not_cached` ...
    pub kind: String,
    /// `null`: no answer was begun.
    pub status: Option<u16>,
    /// The method and the target, without credentials.
    pub request: String,
    /// The time from the request's head to the answer's end, in seconds.
    pub seconds: f64,
    /// The bytes of the answer's body.
    pub bytes: u64,
    /// Why it became that.
    pub why: String,
    /// The address of the client.
    pub client: Option<String>,
}

impl TailLine {
    pub fn of(outcome: &Outcome, at: Timestamp) -> TailLine {
        let kind = Kind::of(outcome);
        TailLine {
            time: at.0,
            word: kind.word().to_owned(),
            kind: kind.name().to_owned(),
            status: outcome.status.map(|status| status.as_u16()),
            request: access::request(outcome).to_string(),
            seconds: outcome.took.as_secs_f64(),
            bytes: outcome.sent,
            why: access::why(outcome).to_string(),
            client: outcome.peer.map(|peer| peer.to_string()),
        }
    }

    /// Returns the line for people.
    pub fn show(&self, style: Style) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| {
            let status = self.status.map_or("-".to_owned(), |status| status.to_string());
            let took = Duration::from_secs_f64(self.seconds.max(0.0));
            let TailLine { word, request, bytes, why, .. } = self;
            let shown = access::Shown { word, status: &status, took, bytes: *bytes, request, why };
            match style.columns {
                true => shown.in_columns(Timestamp(self.time), style).fmt(f),
                false => shown.plain().fmt(f),
            }
        })
    }
}

/// What an onlooker gets through the control socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TailItem {
    Line(Box<TailLine>),
    /// So many lines were lost, because the onlooker was too slow.
    Lost(u64),
    /// Nothing has ended for a while.
    Beat,
}

/// Those who look on.
#[derive(Default)]
pub struct Tails {
    /// There is one at least. Each request reads this.
    is_watched: AtomicBool,
    onlookers: Mutex<Vec<Onlooker>>,
    is_closed: AtomicBool,
}

struct Onlooker {
    lines: SyncSender<Arc<TailLine>>,
    lost: Arc<AtomicU64>,
}

/// Larder stops.
#[derive(Debug)]
pub struct Stopping;

/// The lines for one onlooker.
pub struct Tail {
    lines: Receiver<Arc<TailLine>>,
    lost: Arc<AtomicU64>,
}

impl Tails {
    /// Returns true if somebody looks on.
    pub fn is_watched(&self) -> bool {
        self.is_watched.load(Relaxed)
    }

    /// Begins to look on.
    pub fn watch(&self) -> Tail {
        let (sender, lines) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let mut onlookers = self.lock();
        if !self.is_closed.load(Acquire) {
            onlookers.push(Onlooker { lines: sender, lost: lost.clone() });
            self.is_watched.store(true, Release);
        }
        Tail { lines, lost }
    }

    /// Tells a request that has ended to all who look on.
    pub fn tell(&self, outcome: &Outcome, at: Timestamp) {
        let line = Arc::new(TailLine::of(outcome, at));
        let mut onlookers = self.lock();
        onlookers.retain(|onlooker| match onlooker.lines.try_send(line.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                onlooker.lost.fetch_add(1, Relaxed);
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        });
        self.is_watched.store(!onlookers.is_empty(), Release);
    }

    /// Ends all tails, and every later one at once.
    pub fn close(&self) {
        let mut onlookers = self.lock();
        self.is_closed.store(true, Release);
        self.is_watched.store(false, Release);
        onlookers.clear();
    }

    // a panic while the lock was held cannot have left the list half changed: every change is one call
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Onlooker>> {
        self.onlookers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    /// Waits for the next line, for so long.
    pub fn next(&self, patience: Duration) -> Result<Option<Arc<TailLine>>, Stopping> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Stopping),
        }
    }

    /// Returns how many lines were lost since the last call.
    pub fn take_lost(&self) -> u64 {
        self.lost.swap(0, AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_read_loses_lines_which_are_counted_and_others_lose_none() {
        let tails = Tails::default();
        assert!(!tails.is_watched());
        let (slow, fast) = (tails.watch(), tails.watch());
        for _ in 0..WAITING + 10 {
            tails.tell(&Outcome::default(), Timestamp(0));
            assert!(matches!(fast.next(Duration::ZERO), Ok(Some(_))));
        }
        assert_eq!((slow.take_lost(), slow.take_lost(), fast.take_lost()), (10, 0, 0));
        drop((slow, fast));
        tails.tell(&Outcome::default(), Timestamp(0));
        assert!(!tails.is_watched(), "who has left is forgotten");
        let last = tails.watch();
        tails.close();
        assert!(last.next(Duration::from_secs(60)).is_err() && tails.watch().next(Duration::from_secs(60)).is_err());
    }
}
