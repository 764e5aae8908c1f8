//! Large bodies. They are read piece by piece, also while they stream in, and verified before a byte of them is sent.

use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut, Write},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering::*},
    },
};

use bytes::Bytes;
use rustix::io::{ReadWriteFlags, preadv2};

use super::{folder, removing::Remover, segment, space::Space};
use crate::{
    key::CacheKey,
    store::{
        StoreError,
        format::{
            location::{FileName, Home, Location},
            sums::{Algorithm, PIECE, Sum, WRITTEN},
        },
        hop::hop,
        notice::{Notice, Notices},
    },
};

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Yes,
    No,
}

/// The most bytes that one `read` returns.
const READ: usize = 256 * 1024;
/// Bytes of a body whose file is closed by the thread that removes files.
const LONG: u64 = 8 << 20;

/// A body on disk. Keeps its bytes readable as long as it lives, also after eviction. Cheap to clone.
#[derive(Clone)]
pub struct DiskBody(Arc<Body>);

struct Body {
    /// Set when the first byte is written.
    file: OnceLock<Arc<File>>,
    offset: u64,
    /// The bytes that can be read.
    length: AtomicU64,
    piece: u32,
    /// Set once the body is whole.
    sums: OnceLock<Verified>,
    /// The place of the body. `None` while it is not stored.
    home: Mutex<Option<Home>>,
    /// The key of the response, and who is told if the body cannot be read.
    watch: OnceLock<(CacheKey, Notices)>,
    /// The file of a body that streamed in. It is removed if the body is dropped before it is stored.
    filling: Option<Filling>,
    /// Closes and removes what takes long.
    remover: Remover,
}

struct Filling {
    path: PathBuf,
    space: Arc<Space>,
}

/// The sums of the pieces, and which pieces were found right.
struct Verified {
    sums: Vec<Sum>,
    algorithm: Algorithm,
    right: Arc<Right>,
}

/// Says which pieces of a body were found right in this process's life: one bit for each.
pub struct Right(Box<[AtomicU64]>);

/// Bytes of a stored body where they stand in a file. All of them were found right. The file stays readable, also after
/// the body was evicted.
#[derive(Debug, Clone)]
pub struct Span {
    pub file: Arc<File>,
    pub offset: u64,
    pub length: u64,
}

impl Span {
    /// Returns true if the kernel has its first and its last byte in memory: no read of them waits for the disk.
    pub fn is_in_memory(&self) -> bool {
        let has = |offset| {
            let read = preadv2(&self.file, &mut [IoSliceMut::new(&mut [0])], offset, ReadWriteFlags::NOWAIT);
            read == Ok(1)
        };
        self.length > 0 && has(self.offset) && has(self.offset + self.length - 1)
    }
}

impl DiskBody {
    pub fn length(&self) -> u64 {
        self.0.length.load(Acquire)
    }

    /// Reads `from..from + length` (less at the end of the body, and at most 256 KiB at a time; empty behind the end).
    /// Verified once the body is whole.
    pub async fn read(&self, from: u64, length: usize) -> Result<Bytes, StoreError> {
        // a change of threads costs more than reading what the kernel has in memory
        match self.reported(self.0.read(from, length.min(READ), Wait::No)) {
            Err(StoreError::Busy) => {}
            read => return read,
        }
        let body = self.clone();
        hop(move || body.read_now(from, length)).await
    }

    /// Returns where bytes `from..from + length` stand (fewer at the end of the body). Returns `None` if there are none, or
    /// if the body is whole and a piece of them was not found right yet: a read verifies it. What was just written to a body
    /// that still grows needs no proof. If the file turns out to have fewer bytes than the span, [`DiskBody::is_cut`] must be
    /// called, and the answer broken off.
    pub fn span(&self, from: u64, length: u64) -> Option<Span> {
        let body = &*self.0;
        let end = from.saturating_add(length).min(body.length.load(Acquire));
        let file = body.file.get().filter(|_| from < end)?;
        let piece = u64::from(body.piece);
        let is_right = body
            .sums
            .get()
            .is_none_or(|verified| (from / piece..=(end - 1) / piece).all(|piece| verified.right.has(piece)));
        is_right.then(|| Span { file: file.clone(), offset: body.offset + from, length: end - from })
    }

    /// Reports that the file has fewer bytes than it had: the response is forgotten.
    pub fn is_cut(&self) {
        // there is nothing to return: the caller has an error already
        let _ = self.reported(Err(StoreError::Damaged("a file of bodies")));
    }

    /// Returns which pieces were found right. `None` while the body is not whole.
    pub(in crate::store) fn right(&self) -> Option<Arc<Right>> {
        self.0.sums.get().map(|verified| verified.right.clone())
    }

    /// Names the key that is forgotten if the body turns out to be unreadable.
    pub(in crate::store) fn watch(&self, key: CacheKey, notices: &Notices) {
        self.0.watch.get_or_init(|| (key, notices.clone()));
    }

    /// Returns a stored body. Reads its sums. `right`: which pieces are known to be right, if that is known.
    pub(in crate::store) fn stored(
        file: Arc<File>,
        generation: u32,
        location: Location,
        right: Option<Arc<Right>>,
        remover: Remover,
    ) -> Result<DiskBody, StoreError> {
        let sums = segment::read_sums(&file, &location)?;
        Ok(DiskBody(Arc::new(Body {
            file: OnceLock::from(file),
            offset: location.offset,
            length: AtomicU64::new(location.length),
            piece: location.piece,
            sums: OnceLock::from(Verified {
                right: right.unwrap_or_else(|| Right::none_of(sums.len())),
                sums,
                algorithm: location.algorithm,
            }),
            home: Mutex::new(Some(Home { generation, location })),
            watch: OnceLock::new(),
            filling: None,
            remover,
        })))
    }

    /// Returns a body that is about to stream into this file.
    pub(super) fn begin(path: PathBuf, space: Arc<Space>, remover: Remover) -> DiskBody {
        DiskBody(Arc::new(Body {
            file: OnceLock::new(),
            offset: 0,
            length: AtomicU64::new(0),
            piece: PIECE,
            sums: OnceLock::new(),
            home: Mutex::new(None),
            watch: OnceLock::new(),
            filling: Some(Filling { path, space }),
            remover,
        }))
    }

    /// The room that a body takes while it streams in. `None` if it did not stream in.
    pub(super) fn space(&self) -> Option<&Arc<Space>> {
        self.0.filling.as_ref().map(|filling| &filling.space)
    }

    /// Writes bytes to the end of its file, all of them at once if the system takes them. Nobody reads them yet. Blocks.
    pub(super) fn append<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        let file = match (self.0.file.get(), &self.0.filling) {
            (Some(file), _) => file,
            (None, Some(filling)) => {
                let file = Arc::new(folder::create_file(&filling.path)?);
                self.0.file.get_or_init(|| file)
            }
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        let mut slices: Vec<_> = pieces.filter(|piece| !piece.is_empty()).map(IoSlice::new).collect();
        let mut left = &mut slices[..];
        while !left.is_empty() {
            match (&**file).write_vectored(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes what was written reach the disk. Blocks.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.file.get().map_or(Ok(()), |file| file.sync_data())
    }

    /// Notes that so many bytes can be read now.
    pub(super) fn has_grown(&self, length: u64) {
        self.0.length.store(length, Release);
    }

    /// Notes that the body does not grow any more. From now on it is verified.
    pub(super) fn is_whole(&self, sums: Vec<Sum>) {
        self.0.sums.get_or_init(|| Verified { right: Right::none_of(sums.len()), sums, algorithm: WRITTEN });
    }

    /// Reads the whole body. Blocks.
    pub(in crate::store) fn read_whole(&self) -> Result<Bytes, StoreError> {
        self.0.read(0, usize::try_from(self.length()).map_err(|_| StoreError::TooLarge)?, Wait::Yes)
    }

    /// Verifies the first piece. Blocks.
    pub(in crate::store) fn read_first(&self) -> Result<(), StoreError> {
        self.0.read(0, 1, Wait::Yes).map(drop)
    }

    /// Reads as `read` does, without leaving the thread. Blocks.
    pub(in crate::store) fn read_now(&self, from: u64, length: usize) -> Result<Bytes, StoreError> {
        self.reported(self.0.read(from, length.min(READ), Wait::Yes))
    }

    fn reported(&self, read: Result<Bytes, StoreError>) -> Result<Bytes, StoreError> {
        if let (Err(error), Some((key, notices))) = (&read, self.0.watch.get())
            && !matches!(error, StoreError::Busy)
        {
            notices.send(Notice::Unreadable(*key));
        }
        read
    }

    /// Returns the bytes of memory that the body holds.
    pub(in crate::store) fn held(&self) -> u64 {
        256 + self.0.sums.get().map_or(0, |verified| verified.sums.len() as u64 * 17)
    }

    pub(in crate::store) fn home(&self) -> Option<Home> {
        *self.0.home.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// Sets the place of the body, which is stored, or was copied elsewhere.
    pub(in crate::store) fn has_moved(&self, home: Home) {
        let before = self.0.home.lock().unwrap_or_else(|poison| poison.into_inner()).replace(home);
        if let (None, Some(filling)) = (before, &self.0.filling) {
            filling.space.give_back(self.length());
        }
    }

    /// Returns the file of a body that is whole but not stored yet.
    pub(in crate::store) fn filled(&self) -> Option<(PathBuf, Location)> {
        let (filling, verified) = (self.0.filling.as_ref()?, self.0.sums.get()?);
        let location = Location {
            file: FileName::Body(0),
            offset: 0,
            length: self.length(),
            piece: self.0.piece,
            sums: verified.algorithm.of_sums(&verified.sums),
            algorithm: verified.algorithm,
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
    /// Reads and verifies. The error is [`StoreError::Busy`] if that is not possible without waiting.
    fn read(&self, from: u64, length: usize, wait: Wait) -> Result<Bytes, StoreError> {
        let end = from.saturating_add(length as u64).min(self.length.load(Acquire));
        let Some(file) = self.file.get().filter(|_| from < end) else { return Ok(Bytes::new()) };
        let piece = u64::from(self.piece);
        let (first, last) = (from / piece, (end - 1) / piece);
        let unverified = self.sums.get().filter(|verified| !(first..=last).all(|piece| verified.right.has(piece)));
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
                // not all is in memory, or the file system has no such reads
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
        let is_stored = self.home.get_mut().unwrap_or_else(|poison| poison.into_inner()).is_some();
        let (file, length) = (self.file.take(), *self.length.get_mut());
        match self.filling.take().filter(|_| !is_stored) {
            Some(Filling { path, space }) => self.remover.work(move || {
                if file.is_some()
                    && let Err(error) = std::fs::remove_file(&path)
                {
                    log::debug!("an unfinished body could not be removed: {error}");
                }
                // only after the file is closed
                drop(file);
                space.give_back(length);
            }),
            // if the file has no name any more, closing it removes it, which takes long
            None if length >= LONG => self.remover.work(move || drop(file)),
            None => {}
        }
    }
}

impl Verified {
    fn verify(&self, piece: u64, bytes: &[u8]) -> Result<(), StoreError> {
        if self.sums.get(piece as usize) != Some(&self.algorithm.of_piece(bytes)) {
            return Err(StoreError::Damaged("a piece of a body"));
        }
        if let Some(word) = self.right.0.get((piece / 64) as usize) {
            word.fetch_or(1 << (piece % 64), Relaxed);
        }
        Ok(())
    }
}

impl Right {
    /// Returns a set for so many pieces that has none of them.
    pub fn none_of(pieces: usize) -> Arc<Right> {
        Arc::new(Right((0..pieces.div_ceil(64)).map(|_| AtomicU64::new(0)).collect()))
    }

    fn has(&self, piece: u64) -> bool {
        self.0.get((piece / 64) as usize).is_some_and(|word| word.load(Relaxed) & (1 << (piece % 64)) != 0)
    }
}
