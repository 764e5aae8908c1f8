//! A body on its way from the origin: written once, read by many, each at its own pace.
//!
//! A small body stays in memory. Past [`WINDOW`] it goes to the store's disk as well and memory keeps a window of its end,
//! so that a reader which lags reads from disk and holds no memory. Where the disk does not take it the fill turns into
//! a relay: the origin is then read no faster than its slowest reader reads.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

use crate::{
    origin::OriginError,
    store::{self, BodyWriter, DiskBody, Filling, Store, StoreError, StoredBody, WholeBody},
};

/// Bytes up to which a body is held in memory alone; of a longer one memory keeps so many for its readers.
const WINDOW: u64 = 256 * 1024;
/// The same, where all fills together hold too much.
const CROWDED: u64 = 32 * 1024;
/// Bytes up to which a body that nobody waits for any more is fetched to its end all the same.
const ABANDONED: u64 = 64 * 1024 * 1024;
/// What a reader takes from disk at a time.
const READ: usize = 64 * 1024;
/// Pieces that are written together at most.
const TOGETHER: usize = 64;

/// How far a fill has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Growing(u64),
    Whole(u64),
    Broken,
}

struct State {
    /// The bytes that memory holds: each piece behind its offset.
    pieces: VecDeque<(u64, Bytes)>,
    /// Counts them.
    filling: Arc<Filling>,
    total: u64,
    /// The length, where it is known.
    known: Option<u64>,
    /// What was spilled; holds everything that `pieces` has lost, but in a relay.
    disk: Option<DiskBody>,
    /// Where each reader is.
    readers: HashMap<u64, u64>,
    next_reader: u64,
    /// A relay: readers that come now have missed the beginning.
    relay: bool,
}

/// The shared side of a fill.
pub struct Fill {
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
    /// Says that a reader moved on or left.
    consumed: tokio::sync::Notify,
}

/// A body that came to its end.
pub enum Filled {
    Memory(Bytes),
    /// Still to be finished.
    Disk(Box<WholeBody>),
}

/// Why a fill ended without a body to store.
#[derive(Debug)]
pub enum FillError {
    /// The origin did not bring it to its end; the readers were broken off.
    Origin(OriginError),
    /// Its readers got all of it, the store could not take it.
    Store(StoreError),
    /// Nobody waits for it any more, and too much of it is missing.
    Abandoned,
}

impl std::fmt::Display for FillError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FillError::Origin(error) => error.fmt(f),
            FillError::Store(error) => error.fmt(f),
            FillError::Abandoned => f.write_str("nobody waits for the rest of it"),
        }
    }
}

impl Fill {
    /// `filling` counts what it holds.
    pub fn new(filling: Arc<Filling>) -> Arc<Fill> {
        let (progress, _) = watch::channel(Progress::Growing(0));
        let (pieces, total, known, disk, readers, next_reader, relay) = Default::default();
        let state = Mutex::new(State { pieces, filling, total, known, disk, readers, next_reader, relay });
        Arc::new(Fill { state, progress, consumed: tokio::sync::Notify::new() })
    }

    /// A reader from the first byte on; `None`: the beginning is gone.
    pub fn reader(self: &Arc<Fill>) -> Option<FillReader> {
        let mut state = self.lock();
        if state.relay {
            return None;
        }
        let id = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(id, 0);
        Some(FillReader { fill: self.clone(), progress: self.progress.subscribe(), id, at: 0 })
    }

    /// Reads the origin's body (`next` gives its pieces) to its end into this fill. `known`: the length, where it is known:
    /// any other is a break. `before` and `after` are there already, on either side of the origin's bytes.
    pub async fn run(
        &self,
        mut next: impl AsyncFnMut() -> Option<Result<Bytes, OriginError>>,
        known: Option<u64>,
        [mut before, mut after]: [Side; 2],
        store: &Store,
        mut on_relay: impl FnMut(),
    ) -> Result<Filled, FillError> {
        let _broken_unless_whole = BreakOff(self);
        self.lock().known = known;
        let mut spill = Spill::Memory;
        let mut refused = None;
        loop {
            let piece = match before.next().await? {
                Some(piece) => Some(piece),
                None => match next().await {
                    Some(piece) => Some(piece.map_err(FillError::Origin)?),
                    None => after.next().await?,
                },
            };
            let Some(piece) = piece else { break };
            if piece.is_empty() {
                continue;
            }
            let total = self.push(piece.clone());
            if known.is_some_and(|known| total > known) {
                return Err(FillError::Origin(OriginError::Truncated));
            }
            if let Err(why) = spill.take(piece, total, known, self, store).await {
                self.lock().relay = true;
                on_relay();
                refused = Some(why);
                spill = Spill::Refused;
            }
            self.progress.send_replace(Progress::Growing(total));
            if matches!(spill, Spill::Refused) {
                // its readers wait for the end, where all of it is there
                if known != Some(total) {
                    self.wait_for_readers().await?;
                }
            } else if self.lock().readers.is_empty() && !worth_finishing(total, known) {
                return Err(FillError::Abandoned);
            }
        }
        let total = self.lock().total;
        if known.is_some_and(|known| known != total) {
            return Err(FillError::Origin(OriginError::Truncated));
        }
        let filled = match spill {
            Spill::Memory => Ok(Filled::Memory(self.gather())),
            Spill::Disk(mut behind) => match behind.write(self).await {
                Ok(()) => Ok(Filled::Disk(Box::new(behind.writer.whole()))),
                Err(why) => Err(FillError::Store(why)),
            },
            Spill::Refused => Err(FillError::Store(refused.unwrap_or(StoreError::Closed))),
        };
        // the readers need not wait for the disk to have it
        self.progress.send_replace(Progress::Whole(total));
        filled
    }

    fn push(&self, piece: Bytes) -> u64 {
        let mut state = self.lock();
        let at = state.total;
        state.total += piece.len() as u64;
        state.filling.add(piece.len() as u64);
        state.pieces.push_back((at, piece));
        state.total
    }

    /// In memory all of it is in one piece afterwards, copied to its exact size.
    fn gather(&self) -> Bytes {
        let mut state = self.lock();
        let mut whole = BytesMut::with_capacity(state.total as usize);
        for (_, piece) in &state.pieces {
            whole.extend_from_slice(piece);
        }
        let whole = whole.freeze();
        state.pieces = VecDeque::from([(0, whole.clone())]);
        whole
    }

    /// A relay goes on when its slowest reader is within the window.
    async fn wait_for_readers(&self) -> Result<(), FillError> {
        loop {
            let moved = self.consumed.notified();
            {
                let mut state = self.lock();
                let Some(slowest) = state.readers.values().copied().min() else { return Err(FillError::Abandoned) };
                let spilled = state.disk.as_ref().map_or(0, DiskBody::length);
                state.forget_before(slowest.max(spilled));
                if state.total - slowest.max(spilled).min(state.total) <= state.window() {
                    return Ok(());
                }
            }
            moved.await;
        }
    }

    // a panic while it was held is a broken fill at worst, and its readers learn that from `progress`
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Bytes that memory may keep.
    fn window(&self) -> u64 {
        if self.filling.is_crowded() { CROWDED } else { WINDOW }
    }

    fn forget_before(&mut self, offset: u64) {
        while let Some((_, piece)) = self.pieces.pop_front_if(|(at, piece)| *at + piece.len() as u64 <= offset) {
            self.filling.remove(piece.len() as u64);
        }
    }

    /// The bytes at an offset, if memory holds them.
    fn piece_at(&self, offset: u64) -> Option<Bytes> {
        let behind = self.pieces.partition_point(|(at, _)| *at <= offset);
        let (at, piece) = self.pieces.get(behind.checked_sub(1)?)?;
        let skip = (offset - at) as usize;
        (skip < piece.len()).then(|| piece.slice(skip..))
    }
}

/// Bytes of a stored part that a new one is joined to, read as they are needed.
#[derive(Default)]
pub struct Side {
    body: Option<StoredBody>,
    range: Range<u64>,
}

impl Side {
    pub fn of(body: &StoredBody, range: Range<u64>) -> Side {
        Side { body: Some(body.clone()), range }
    }

    pub fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Whether its first byte can; later a failure breaks the answer off.
    pub async fn can_be_read(&self) -> bool {
        match &self.body {
            Some(body) if !self.range.is_empty() => store::read(body, self.range.start, 1).await.is_ok(),
            _ => true,
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, FillError> {
        let Some(body) = self.body.as_ref().filter(|_| !self.range.is_empty()) else { return Ok(None) };
        let most = self.length().min(READ as u64) as usize;
        let piece = store::read(body, self.range.start, most).await.map_err(FillError::Store)?;
        if piece.is_empty() {
            return Err(FillError::Store(StoreError::Damaged("a stored part")));
        }
        self.range.start += piece.len() as u64;
        Ok(Some(piece))
    }
}

/// Whether the rest of a body is fetched though nobody waits for it.
fn worth_finishing(total: u64, known: Option<u64>) -> bool {
    match known {
        Some(length) => length <= ABANDONED || total >= length / 2,
        None => total <= ABANDONED,
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.filling.remove(self.pieces.iter().map(|(_, piece)| piece.len() as u64).sum());
    }
}

/// Where a fill's bytes go beside memory.
enum Spill {
    Memory,
    Disk(Box<Behind>),
    Refused,
}

/// What is written to the disk, a little behind memory: each write costs a hop to another thread.
struct Behind {
    writer: BodyWriter,
    waiting: Vec<Bytes>,
}

impl Behind {
    /// Writes what waits, and lets memory forget what it need not keep.
    async fn write(&mut self, fill: &Fill) -> Result<(), StoreError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.writer.append(std::mem::take(&mut self.waiting)).await?;
        let mut state = fill.lock();
        let window = state.total.saturating_sub(state.window());
        state.disk = Some(self.writer.reader());
        state.forget_before(window);
        Ok(())
    }
}

impl Spill {
    async fn take(
        &mut self,
        piece: Bytes,
        total: u64,
        known: Option<u64>,
        fill: &Fill,
        store: &Store,
    ) -> Result<(), StoreError> {
        match self {
            Spill::Memory if total <= fill.lock().window() => {}
            Spill::Memory => {
                let waiting = fill.lock().pieces.iter().map(|(_, piece)| piece.clone()).collect();
                let mut behind = Behind { writer: store.begin_body(known)?, waiting };
                behind.write(fill).await?;
                *self = Spill::Disk(Box::new(behind));
            }
            Spill::Disk(behind) => {
                behind.waiting.push(piece);
                let waiting: u64 = behind.waiting.iter().map(|piece| piece.len() as u64).sum();
                // what waits is in memory still
                if waiting >= fill.lock().window() / 2 || behind.waiting.len() >= TOGETHER {
                    behind.write(fill).await?;
                }
            }
            Spill::Refused => {}
        }
        Ok(())
    }
}

/// Readers of a fill that ends any other way than whole are broken off.
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

/// The body was broken off before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// One client's view of a fill.
pub struct FillReader {
    fill: Arc<Fill>,
    progress: watch::Receiver<Progress>,
    id: u64,
    at: u64,
}

impl FillReader {
    /// Goes on from another offset.
    pub fn skip_to(&mut self, offset: u64) {
        self.at = offset;
        self.note();
    }

    /// The next bytes, at most `most` of them; `None`: the body is whole and read.
    pub async fn next(&mut self, most: u64) -> Option<Result<Bytes, Broken>> {
        loop {
            let progress = *self.progress.borrow_and_update();
            let (in_memory, on_disk, total, known) = {
                let state = self.fill.lock();
                (state.piece_at(self.at), state.disk.clone(), state.total, state.known)
            };
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let bytes = match (in_memory, on_disk) {
                (Some(mut piece), _) => {
                    piece.truncate(most);
                    Some(piece)
                }
                (None, Some(disk)) if self.at < disk.length() => match disk.read(self.at, most.min(READ)).await {
                    Ok(bytes) if !bytes.is_empty() => Some(bytes),
                    _ => return Some(Err(Broken)),
                },
                (None, _) if self.at < total => return Some(Err(Broken)),
                (None, _) => None,
            };
            // whoever has all the bytes that were announced takes them for whole, and may rely on what was said of storing
            let is_last = |bytes: &Bytes| known.is_some_and(|known| self.at + bytes.len() as u64 >= known);
            let proven = matches!(progress, Progress::Whole(_));
            if let Some(bytes) = bytes.filter(|bytes| proven || !is_last(bytes)) {
                self.at += bytes.len() as u64;
                self.note();
                return Some(Ok(bytes));
            }
            match progress {
                Progress::Whole(length) if self.at >= length => return None,
                Progress::Broken => return Some(Err(Broken)),
                _ => {}
            }
            if self.progress.changed().await.is_err() {
                return Some(Err(Broken));
            }
        }
    }

    fn note(&self) {
        if let Some(at) = self.fill.lock().readers.get_mut(&self.id) {
            *at = self.at;
        }
        self.fill.consumed.notify_one();
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        self.fill.lock().readers.remove(&self.id);
        self.fill.consumed.notify_one();
    }
}
