//! The task that reads the origin's body into a fill.

use std::{
    fmt,
    pin::{Pin, pin},
    time::Instant,
};

use bytes::Bytes;

use super::{
    deserted::{Deserted, JUDGED_AFTER},
    spill::Spill,
    state::{Fill, Progress},
};
use crate::{
    clock,
    origin::OriginError,
    policy::Reason,
    store::{Store, StoreError, WholeBody},
};

/// A body that came to its end.
pub enum Filled {
    Memory(Bytes),
    /// The body on disk must still be finished.
    Disk(Box<WholeBody>),
}

/// The error of a fill that ended without a body to store.
#[derive(Debug)]
pub enum FillError {
    /// The origin did not bring the body to its end. The readers were broken off.
    Origin(OriginError),
    /// The readers got all of the body, but the store could not take it.
    Store(StoreError),
    /// No client waits for the body any more, and its rest is not expected soon.
    Abandoned,
}

impl fmt::Display for FillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FillError::Origin(error) => error.fmt(f),
            FillError::Store(error) => error.fmt(f),
            FillError::Abandoned => f.write_str("nobody waits for the rest of it"),
        }
    }
}

/// Reads the origin's body into a fill, to its end. `next` returns the pieces of the body. `known` is the length, if it
/// is known; a body of another length is an error. A body that grows beyond `longest` is relayed. `on_relay` is called when the store refuses the body. `alone` returns a place among the few bodies that are
/// fetched although no client waits for them.
pub async fn run<P>(
    fill: &Fill,
    mut next: impl AsyncFnMut() -> Option<Result<Bytes, OriginError>>,
    known: Option<u64>,
    longest: Option<u64>,
    store: &Store,
    mut on_relay: impl FnMut(),
    alone: impl Fn() -> Option<P>,
) -> Result<Filled, FillError> {
    let _broken_unless_whole = BreakOff(fill);
    fill.lock().known = known;
    let mut spill = Spill::Memory;
    let mut attendance = Attendance { fill, began: clock::instant(), deserted: None, alone };
    loop {
        let began = clock::instant();
        let next = {
            let next = pin!(next());
            let mut coming = pin!(attendance.attended(next));
            loop {
                tokio::select! {
                    biased;
                    written = spill.written(fill) => if let Err(why) = written {
                        refuse(fill, &mut spill, why, &mut on_relay);
                    },
                    next = &mut coming => break next?,
                }
            }
        };
        spill.note_origin(began.elapsed());
        let Some(piece) = next else { break };
        let piece = piece.map_err(FillError::Origin)?;
        if piece.is_empty() {
            continue;
        }
        let total = fill.push(piece.clone());
        if known.is_some_and(|known| total > known) {
            return Err(FillError::Origin(OriginError::Truncated));
        }
        // the clients need not wait for the disk
        fill.progress.send_replace(Progress::Growing(total));
        let is_too_long = longest.is_some_and(|longest| total > longest) && !matches!(spill, Spill::Refused(_));
        let mut taken = match is_too_long {
            true => Err(StoreError::TooLarge),
            false => spill.take(piece, total, known, fill, store),
        };
        if taken.is_ok() && known != Some(total) {
            taken = spill.room(fill).await;
        }
        if let Err(why) = taken {
            refuse(fill, &mut spill, why, &mut on_relay);
        }
        // when all bytes of a relay have come, its readers wait only for the proof of the end
        if matches!(spill, Spill::Refused(_)) && known != Some(total) {
            wait_for_readers(fill).await?;
        }
    }
    let total = fill.lock().total;
    if known.is_some_and(|known| known != total) {
        return Err(FillError::Origin(OriginError::Truncated));
    }
    // the readers need not wait until the disk has the body
    let whole = || fill.progress.send_replace(Progress::Whole(total));
    match spill {
        Spill::Memory => {
            let bytes = fill.gather();
            whole();
            Ok(Filled::Memory(bytes))
        }
        Spill::Disk(behind) => {
            whole();
            // boxed, so that a body in memory does not pay for its state
            match Box::pin(behind.end(fill)).await {
                Ok(body) => Ok(Filled::Disk(Box::new(body))),
                Err(why) => {
                    fill.become_relay(reason(&why));
                    Err(FillError::Store(why))
                }
            }
        }
        Spill::Refused(why) => {
            whole();
            Err(FillError::Store(why))
        }
    }
}

/// From now on the body is not stored, only passed on.
fn refuse(fill: &Fill, spill: &mut Spill, why: StoreError, on_relay: &mut impl FnMut()) {
    fill.become_relay(reason(&why));
    on_relay();
    *spill = Spill::Refused(why);
}

impl Fill {
    /// The store has not taken the body that came whole.
    pub fn is_refused(&self, why: &StoreError) {
        self.become_relay(reason(why));
    }
}

/// Returns the reason for a body that the store does not take.
fn reason(why: &StoreError) -> Reason {
    match why {
        StoreError::TooLarge => Reason::TooLarge,
        StoreError::Busy => Reason::NoRoom,
        StoreError::TooSlow => Reason::DiskTooSlow,
        StoreError::Closed | StoreError::Io(_) | StoreError::Damaged(_) => Reason::StoreNotAvailable,
    }
}

/// Tells the task that runs a fill whether any client waits for it.
struct Attendance<'a, P, A: Fn() -> Option<P>> {
    fill: &'a Fill,
    began: Instant,
    /// The time since which no client waits, and the place that allows the fill to go on.
    deserted: Option<(Instant, P)>,
    alone: A,
}

impl<P, A: Fn() -> Option<P>> Attendance<'_, P, A> {
    /// Waits for the origin's next bytes. Fails when no client waits any more and the rest is not expected soon.
    async fn attended<T>(&mut self, mut next: Pin<&mut impl Future<Output = T>>) -> Result<T, FillError> {
        loop {
            let deserted = self.judge()?;
            tokio::select! {
                biased;
                next = &mut next => return Ok(next),
                () = self.fill.attendance.notified() => {}
                () = tokio::time::sleep(JUDGED_AFTER), if deserted => {}
            }
        }
    }

    /// Returns true if no client waits for the fill and the fill may go on all the same. Fails if it may not go on.
    fn judge(&mut self) -> Result<bool, FillError> {
        let (total, known) = {
            let state = self.fill.lock();
            if !state.is_deserted() {
                self.deserted = None;
                return Ok(false);
            }
            (state.total, state.known)
        };
        let now = clock::instant();
        if self.deserted.is_none() {
            self.deserted = Some((now, (self.alone)().ok_or(FillError::Abandoned)?));
        }
        let since = self.deserted.as_ref().map_or(now, |(since, _)| *since);
        let deserted = Deserted { total, known, coming: now - self.began, alone: now - since };
        if deserted.may_go_on() { Ok(true) } else { Err(FillError::Abandoned) }
    }
}

/// Waits until the fastest reader of a relay is near the end of the bytes that have come. Fails if there is no reader.
async fn wait_for_readers(fill: &Fill) -> Result<(), FillError> {
    loop {
        let moved = fill.readers_moved.notified();
        let may_go_on = fill.lock().relay_on().ok_or(FillError::Abandoned)?;
        if may_go_on {
            return Ok(());
        }
        moved.await;
    }
}

/// Breaks off the readers of a fill when it is dropped before the body is whole.
struct BreakOff<'a>(&'a Fill);

impl Drop for BreakOff<'_> {
    fn drop(&mut self) {
        self.0.progress.send_if_modified(|progress| {
            let growing = matches!(progress, Progress::Growing(_));
            if growing {
                *progress = Progress::Broken;
            }
            growing
        });
    }
}
