//! Large bodies: written while they stream in, read piece by piece, verified before a byte of them is sent.

use std::{
    fs::File,
    io::IoSliceMut,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering::*},
        mpsc::Sender,
    },
    time::Duration,
};

use bytes::Bytes;
use rustix::io::{ReadWriteFlags, preadv2};

use super::{
    StoreError,
    finishing::{Counted, Finishing},
    generation::create_file,
    record::first_half,
    segment::{self, FileName, Location, PIECE, Sum},
    space::{Promise, Space},
    writer::Command,
};
use crate::{
    blocking::{self, HopError},
    key::CacheKey,
};

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Yes,
    No,
}

/// The most that one `read` gives.
const READ: usize = 256 * 1024;
/// So many bytes are written before they are made to reach the disk, so that the end of a large body waits for few.
const SYNC: u64 = 32 * 1024 * 1024;

/// A body on disk. Keeps its bytes readable as long as it lives, also after eviction. Cheap to clone.
#[derive(Clone)]
pub struct DiskBody(Arc<Body>);

struct Body {
    /// Set when the first byte is written.
    file: OnceLock<Arc<File>>,
    offset: u64,
    /// What can be read.
    length: AtomicU64,
    piece: u32,
    /// Set once the body is whole.
    sums: OnceLock<Verified>,
    /// Where it is stored; `None` while it is not.
    home: Mutex<Option<Home>>,
    /// Who is told, and under which key, when it cannot be read.
    watch: OnceLock<(CacheKey, Sender<Command>)>,
    /// While it is not stored: the file to remove when nobody wants it any more.
    filling: Option<Filling>,
}

/// The place of a stored body.
#[derive(Debug, Clone, Copy)]
pub struct Home {
    pub generation: u32,
    pub location: Location,
}

struct Filling {
    path: PathBuf,
    space: Arc<Space>,
}

/// The sums of the pieces, and which of them were found right in this process's life.
struct Verified {
    sums: Vec<Sum>,
    right: Vec<AtomicU64>,
}

impl DiskBody {
    pub fn length(&self) -> u64 {
        self.0.length.load(Acquire)
    }

    /// Reads `from..from + length` (less at the end of the body, and at most 256 KiB at a time; empty behind the end).
    /// Verified once the body is whole.
    pub async fn read(&self, from: u64, length: usize) -> Result<Bytes, StoreError> {
        // a look at another thread costs more than reading what the kernel has in memory
        match self.told(self.0.read(from, length.min(READ), Wait::No)) {
            Err(StoreError::Busy) => {}
            read => return read,
        }
        let body = self.clone();
        hop(move || body.read_now(from, length)).await
    }

    /// When it turns out that it cannot be read, it is forgotten under this key.
    pub(super) fn watch(&self, key: CacheKey, commands: &Sender<Command>) {
        self.0.watch.get_or_init(|| (key, commands.clone()));
    }

    /// A stored body. Reads its sums.
    pub(super) fn stored(file: Arc<File>, generation: u32, location: Location) -> Result<DiskBody, StoreError> {
        let sums = segment::read_sums(&file, &location)?;
        Ok(DiskBody(Arc::new(Body {
            file: OnceLock::from(file),
            offset: location.offset,
            length: AtomicU64::new(location.length),
            piece: location.piece,
            sums: OnceLock::from(Verified::new(sums)),
            home: Mutex::new(Some(Home { generation, location })),
            watch: OnceLock::new(),
            filling: None,
        })))
    }

    /// All of it. Blocks.
    pub(super) fn read_whole(&self) -> Result<Bytes, StoreError> {
        self.0.read(0, usize::try_from(self.length()).map_err(|_| StoreError::TooLarge)?, Wait::Yes)
    }

    /// Looks whether its first piece is right. Blocks.
    pub(super) fn read_first(&self) -> Result<(), StoreError> {
        self.0.read(0, 1, Wait::Yes).map(drop)
    }

    /// `read` without leaving the thread. Blocks.
    pub(super) fn read_now(&self, from: u64, length: usize) -> Result<Bytes, StoreError> {
        self.told(self.0.read(from, length.min(READ), Wait::Yes))
    }

    fn told(&self, read: Result<Bytes, StoreError>) -> Result<Bytes, StoreError> {
        if let (Err(error), Some((key, commands))) = (&read, self.0.watch.get())
            && !matches!(error, StoreError::Busy)
        {
            let _ = commands.send(Command::Forget(*key));
        }
        read
    }

    /// Bytes of memory that it holds.
    pub(super) fn held(&self) -> u64 {
        256 + self.0.sums.get().map_or(0, |verified| verified.sums.len() as u64 * 17)
    }

    pub(super) fn home(&self) -> Option<Home> {
        *self.0.home.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// It has (another) place now.
    pub(super) fn settle(&self, home: Home) {
        let before = self.0.home.lock().unwrap_or_else(|poison| poison.into_inner()).replace(home);
        if let (None, Some(filling)) = (before, &self.0.filling) {
            filling.space.give_back(self.length());
        }
    }

    /// The file of a body that is whole but not stored yet.
    pub(super) fn filled(&self) -> Option<(PathBuf, Location)> {
        let (filling, verified) = (self.0.filling.as_ref()?, self.0.sums.get()?);
        let location = Location {
            file: FileName::Body(0),
            offset: 0,
            length: self.length(),
            piece: self.0.piece,
            sums: segment::sum_of_sums(&verified.sums),
        };
        Some((filling.path.clone(), location))
    }
}

impl std::fmt::Debug for DiskBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DiskBody({} bytes)", self.length())
    }
}

impl Body {
    /// An error: it cannot be read, or [`StoreError::Busy`]: not without waiting.
    fn read(&self, from: u64, length: usize, wait: Wait) -> Result<Bytes, StoreError> {
        let end = from.saturating_add(length as u64).min(self.length.load(Acquire));
        let Some(file) = self.file.get().filter(|_| from < end) else { return Ok(Bytes::new()) };
        let piece = u64::from(self.piece);
        let (first, last) = (from / piece, (end - 1) / piece);
        let unverified = self.sums.get().filter(|verified| !(first..=last).all(|piece| verified.is_right(piece)));
        let Some(verified) = unverified else { return self.read_exact(file, from, end, wait) };
        // whole pieces, to be verified
        let start = first * piece;
        let bytes = self.read_exact(file, start, ((last + 1) * piece).min(self.length.load(Acquire)), wait)?;
        for (number, part) in (first..).zip(bytes.chunks(self.piece as usize)) {
            verified.verify(number, part)?;
        }
        Ok(bytes.slice((from - start) as usize..(end - start) as usize))
    }

    fn read_exact(&self, file: &File, from: u64, end: u64, wait: Wait) -> Result<Bytes, StoreError> {
        let mut bytes = vec![0; usize::try_from(end - from).map_err(|_| StoreError::TooLarge)?];
        match wait {
            Wait::Yes => file.read_exact_at(&mut bytes, self.offset + from).map_err(StoreError::Io)?,
            Wait::No => {
                let length = bytes.len();
                let read =
                    preadv2(file, &mut [IoSliceMut::new(&mut bytes)], self.offset + from, ReadWriteFlags::NOWAIT);
                // not all of it is there, or the file system has no such reads
                if read != Ok(length) {
                    return Err(StoreError::Busy);
                }
            }
        }
        Ok(bytes.into())
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let home = self.home.get_mut().unwrap_or_else(|poison| poison.into_inner());
        if let (None, Some(filling)) = (home, &self.filling) {
            filling.space.give_back(*self.length.get_mut());
            if self.file.get().is_some()
                && let Err(error) = std::fs::remove_file(&filling.path)
            {
                log::debug!("an unfinished body could not be removed: {error}");
            }
        }
    }
}

impl Verified {
    fn new(sums: Vec<Sum>) -> Verified {
        let right = (0..sums.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Verified { sums, right }
    }

    fn is_right(&self, piece: u64) -> bool {
        self.right.get((piece / 64) as usize).is_some_and(|word| word.load(Relaxed) & (1 << (piece % 64)) != 0)
    }

    fn verify(&self, piece: u64, bytes: &[u8]) -> Result<(), StoreError> {
        if self.sums.get(piece as usize) != Some(&first_half(blake3::hash(bytes))) {
            return Err(StoreError::Damaged("a piece of a body"));
        }
        if let Some(word) = self.right.get((piece / 64) as usize) {
            word.fetch_or(1 << (piece % 64), Relaxed);
        }
        Ok(())
    }
}

/// A body that is being written. Dropped without `finish`: its space is given back.
pub struct BodyWriter {
    body: DiskBody,
    /// `None` while, and for ever after, an `append` did not come to its end.
    sums: Option<Sums>,
    /// The body may not become longer.
    longest: u64,
    unsynced: u64,
    _promise: Promise,
    finishing: Finishing,
}

/// A body of which all was appended: the store closes when it is finished, or dropped.
pub struct WholeBody {
    writer: BodyWriter,
    counted: Counted,
}

/// The sums of what was written, and of the piece that is not full yet.
#[derive(Default)]
struct Sums {
    whole: Vec<Sum>,
    part: blake3::Hasher,
    in_part: usize,
}

impl BodyWriter {
    pub(super) fn new(
        path: PathBuf,
        space: Arc<Space>,
        longest: u64,
        promise: Promise,
        finishing: Finishing,
    ) -> BodyWriter {
        let body = DiskBody(Arc::new(Body {
            file: OnceLock::new(),
            offset: 0,
            length: AtomicU64::new(0),
            piece: PIECE,
            sums: OnceLock::new(),
            home: Mutex::new(None),
            watch: OnceLock::new(),
            filling: Some(Filling { path, space }),
        }));
        BodyWriter { body, sums: Some(Sums::default()), longest, unsynced: 0, _promise: promise, finishing }
    }

    /// Appends; on return `reader` can read it. 64 KiB or more at a time cost least. After an error, and after an
    /// `append` that was not waited for, the body cannot be finished.
    pub async fn append(&mut self, pieces: Vec<Bytes>) -> Result<(), StoreError> {
        let mut sums = self.sums.take().ok_or(StoreError::Closed)?;
        let body = self.body.clone();
        let (mut at, count) = (body.length(), pieces.iter().map(|piece| piece.len() as u64).sum());
        let filling = body.0.filling.as_ref().ok_or(StoreError::Closed)?;
        if at.saturating_add(count) > self.longest {
            return Err(StoreError::TooLarge);
        }
        let taken = filling.space.take(count).await?;
        self.unsynced += count;
        let sync = self.unsynced >= SYNC;
        let write = move || {
            for piece in &pieces {
                body.0.append(at, piece).map_err(StoreError::Io)?;
                sums.add(piece);
                at += piece.len() as u64;
            }
            if sync {
                body.0.sync().map_err(StoreError::Io)?;
            }
            body.0.length.store(at, Release);
            taken.fill();
            Ok(sums)
        };
        self.sums = Some(patient_hop(write).await?);
        if sync {
            self.unsynced = 0;
        }
        Ok(())
    }

    /// A body that grows: what has been appended so far can be read.
    pub fn reader(&self) -> DiskBody {
        self.body.clone()
    }

    /// The whole body was appended.
    pub fn whole(self) -> WholeBody {
        let counted = self.finishing.count();
        WholeBody { writer: self, counted }
    }
}

impl WholeBody {
    /// Makes it durable, so that it may be stored: that is what `then` does, also where nobody waits for this any more.
    pub async fn finish<T: Send + 'static>(
        self,
        then: impl FnOnce(DiskBody) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let WholeBody { writer, counted } = self;
        let sums = writer.sums.ok_or(StoreError::Closed)?.finish();
        let body = writer.body;
        hop(move || {
            let length = body.length();
            body.0.append(length, sums.as_flattened()).and_then(|()| body.0.sync()).map_err(StoreError::Io)?;
            body.0.sums.get_or_init(|| Verified::new(sums));
            let done = then(body);
            drop(counted);
            Ok(done)
        })
        .await
    }
}

impl Body {
    fn append(&self, at: u64, bytes: &[u8]) -> std::io::Result<()> {
        let file = match (self.file.get(), &self.filling) {
            (Some(file), _) => file,
            (None, Some(filling)) => {
                let file = Arc::new(create_file(&filling.path)?);
                self.file.get_or_init(|| file)
            }
            (None, None) => return Err(std::io::ErrorKind::NotFound.into()),
        };
        file.write_all_at(bytes, at)
    }

    fn sync(&self) -> std::io::Result<()> {
        self.file.get().map_or(Ok(()), |file| file.sync_data())
    }
}

impl Sums {
    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(PIECE as usize - self.in_part));
            self.part.update(now);
            self.in_part += now.len();
            bytes = rest;
            if self.in_part == PIECE as usize {
                self.close_piece();
            }
        }
    }

    fn close_piece(&mut self) {
        self.whole.push(first_half(self.part.finalize()));
        self.part.reset();
        self.in_part = 0;
    }

    fn finish(mut self) -> Vec<Sum> {
        if self.in_part > 0 {
            self.close_piece();
        }
        self.whole
    }
}

/// Leaves the worker's thread for what may block.
pub async fn hop<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match blocking::hop(work).await {
        Ok(done) => done,
        Err(HopError::NoThread) => {
            Err(StoreError::Io(std::io::Error::other("the system gives no thread for the disk")))
        }
        Err(HopError::Ended) => Err(StoreError::Closed),
    }
}

/// A disk that does not answer for so long is not waited for.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The same, but not for ever: [`StoreError::Busy`] where the disk hangs.
pub async fn patient_hop<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::time::timeout(PATIENCE, hop(work)).await.unwrap_or(Err(StoreError::Busy))
}
