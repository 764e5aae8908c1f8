//! The state of a fill: the bytes in memory, the progress, and the readers.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, watch};

use crate::{
    message::Fields,
    policy::Reason,
    store::{DiskBody, Incoming},
};

/// The number of windows by which a reader of a relay may lag behind the origin. A reader that lags more is broken off.
pub const LAG: u64 = 16;

/// The progress of a fill, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Growing(u64),
    Whole(u64),
    Broken,
}

/// A fill, as its task and its readers share it.
pub struct Fill {
    state: Mutex<State>,
    pub(super) progress: watch::Sender<Progress>,
    /// Notified when a reader moved on or left.
    pub(super) readers_moved: Notify,
    /// Notified when the last reader left, or when a reader came after that.
    pub(super) attendance: Notify,
}

pub struct State {
    /// The bytes that memory holds: each piece with its offset before it.
    pieces: VecDeque<(u64, Bytes)>,
    /// Counts the bytes of `pieces`.
    incoming: Arc<Incoming>,
    pub total: u64,
    /// The length of the body, if it is known.
    pub known: Option<u64>,
    /// The trailers of the body. They are empty until the body is whole.
    pub trailers: Fields,
    /// The bytes that were written to disk. Except in a relay, these include all bytes that were dropped from `pieces`.
    pub disk: Option<DiskBody>,
    /// The offset of each reader.
    readers: HashMap<u64, u64>,
    next_reader: u64,
    /// Why the store does not take the body, if it does not. The fill is a relay then, and a new reader would miss its
    /// beginning.
    relay: Option<Reason>,
}

/// Whether a body will be stored, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prospect {
    /// The body came whole.
    Whole,
    /// The body is still coming, and a client waits for it.
    Open,
    /// The body is still coming, and no client waits for it: it may be given up.
    Deserted,
    /// The body was broken off or given up.
    Broken,
    /// The store does not take the body.
    Refused(Reason),
}

impl Fill {
    /// Makes an empty fill. `incoming` counts the bytes that the fill holds in memory.
    pub fn new(incoming: Arc<Incoming>) -> Arc<Fill> {
        incoming.begin();
        let (progress, _) = watch::channel(Progress::Growing(0));
        let (pieces, total, known, trailers, disk, readers, next_reader, relay) = Default::default();
        let state = Mutex::new(State { pieces, incoming, total, known, trailers, disk, readers, next_reader, relay });
        Arc::new(Fill { state, progress, readers_moved: Notify::new(), attendance: Notify::new() })
    }

    /// Adds a reader at the first byte, and returns its number. Returns `None` if the fill no longer holds its
    /// beginning.
    pub(super) fn join(&self) -> Option<u64> {
        let mut state = self.lock();
        if state.relay.is_some() {
            return None;
        }
        let id = state.next_reader;
        state.next_reader += 1;
        if state.readers.is_empty() {
            self.attendance.notify_one();
        }
        state.readers.insert(id, 0);
        Some(id)
    }

    /// Returns how many bytes have come.
    pub fn came(&self) -> u64 {
        self.lock().total
    }

    pub(super) fn move_reader(&self, id: u64, at: u64) {
        if let Some(reader) = self.lock().readers.get_mut(&id) {
            *reader = at;
        }
        self.readers_moved.notify_one();
    }

    pub(super) fn leave(&self, id: u64) {
        let mut state = self.lock();
        state.readers.remove(&id);
        if state.readers.is_empty() {
            self.attendance.notify_one();
        }
        drop(state);
        self.readers_moved.notify_one();
    }

    /// Adds bytes at the end, and returns how many have come in all.
    pub(super) fn push(&self, piece: Bytes) -> u64 {
        let mut state = self.lock();
        let at = state.total;
        state.total += piece.len() as u64;
        state.incoming.add(piece.len() as u64);
        state.pieces.push_back((at, piece));
        state.total
    }

    /// Makes all bytes in memory one piece, copied to its exact size.
    pub(super) fn gather(&self) -> Bytes {
        let mut state = self.lock();
        let mut whole = BytesMut::with_capacity(state.total as usize);
        for (_, piece) in &state.pieces {
            whole.extend_from_slice(piece);
        }
        let whole = whole.freeze();
        state.pieces = VecDeque::from([(0, whole.clone())]);
        whole
    }

    /// Keeps the trailers for the readers. They are not stored.
    pub fn keep_trailers(&self, trailers: Fields) {
        self.lock().trailers = trailers;
    }

    pub(super) fn become_relay(&self, why: Reason) {
        self.lock().relay = Some(why);
    }

    /// Returns whether the body will be stored, as far as is known now.
    pub fn prospect(&self) -> Prospect {
        let progress = *self.progress.borrow();
        let state = self.lock();
        match (state.relay, progress) {
            (Some(why), _) => Prospect::Refused(why),
            (None, Progress::Whole(_)) => Prospect::Whole,
            (None, Progress::Broken) => Prospect::Broken,
            (None, Progress::Growing(_)) if state.is_deserted() => Prospect::Deserted,
            (None, Progress::Growing(_)) => Prospect::Open,
        }
    }

    /// The body is on the disk.
    pub fn is_written(&self) {
        self.lock().forget_written();
    }

    // after a panic while the lock was held the fill is broken at worst; its readers learn that from `progress`
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns the window: a body of up to so many bytes stays in memory; of a longer one memory keeps the last so many
    /// bytes.
    pub fn window(&self) -> u64 {
        self.incoming.window()
    }

    /// Returns how many bytes of the body may wait until they are written together.
    pub fn share(&self) -> u64 {
        self.incoming.share()
    }

    pub fn is_deserted(&self) -> bool {
        self.readers.is_empty()
    }

    /// Returns true if a reader has read all bytes that have come, and waits for more.
    pub fn is_awaited(&self) -> bool {
        self.readers.values().any(|at| *at >= self.total)
    }

    /// Drops the bytes of a relay that no reader may still need. Returns true if the origin may be read on: the fastest
    /// reader is near the end of the bytes that have come. Returns `None` if there is no reader.
    pub fn relay_on(&mut self) -> Option<bool> {
        let (slowest, fastest) = (*self.readers.values().min()?, *self.readers.values().max()?);
        let spilled = self.disk.as_ref().map_or(0, DiskBody::length);
        let kept = slowest.max(spilled).max(self.total.saturating_sub(LAG * self.window()));
        self.forget_before(kept.min(fastest));
        Some(self.total.saturating_sub(fastest.max(spilled)) <= self.window())
    }

    /// Drops the bytes that are on the disk, except for the last window.
    pub fn forget_written(&mut self) {
        let written = self.disk.as_ref().map_or(0, DiskBody::length);
        self.forget_before(self.total.saturating_sub(self.window()).min(written));
    }

    pub fn forget_before(&mut self, offset: u64) {
        while let Some((_, piece)) = self.pieces.pop_front_if(|(at, piece)| *at + piece.len() as u64 <= offset) {
            self.incoming.remove(piece.len() as u64);
        }
    }

    /// Returns the bytes at an offset, if memory holds them.
    pub fn piece_at(&self, offset: u64) -> Option<Bytes> {
        let behind = self.pieces.partition_point(|(at, _)| *at <= offset);
        let (at, piece) = self.pieces.get(behind.checked_sub(1)?)?;
        let skip = (offset - at) as usize;
        (skip < piece.len()).then(|| piece.slice(skip..))
    }

    pub fn held(&self) -> Vec<Bytes> {
        self.pieces.iter().map(|(_, piece)| piece.clone()).collect()
    }
}

impl fmt::Debug for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fill({:?})", self.prospect())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.incoming.remove(self.pieces.iter().map(|(_, piece)| piece.len() as u64).sum());
        self.incoming.end();
    }
}
