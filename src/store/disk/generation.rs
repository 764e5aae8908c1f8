//! One generation of the disk: a database and files of bodies in a folder of its own. When it has its share it is sealed, and
//! later removed as a whole. That keeps the disk limit, and gives disk space back.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;

use super::{
    body::{DiskBody, Right},
    database::Database,
    folder,
    records::DatabaseError,
    removing::Remover,
};
use crate::{
    key::CacheKey,
    store::{
        Options, StoreError,
        format::{
            lines::Mark,
            location::{FileName, Home, Location},
            print::Print,
            record,
        },
    },
};

/// A body up to this length is read with its record and held in memory.
const READ_WHOLE: u64 = 256 * 1024;
/// The most bodies of a generation of which it is known which pieces are right.
const KNOWN: usize = 4096;
/// Bytes that an open database costs, whatever is in it; one that is written to costs more. Measured.
const OPEN: u64 = 1536 << 10;
const WRITTEN: u64 = 4 << 20;
const FRESH: &str = "fresh-";
const PROVEN: &str = "proven-";

pub struct Generation {
    pub number: u32,
    /// The class that the folder is named after.
    class: Class,
    state: AtomicU8,
    /// Records that were written since the opening.
    pub written: AtomicU64,
    pub folder: PathBuf,
    /// Its records.
    pub database: Database,
    /// The folder of the whole cache.
    cache_folder: PathBuf,
    /// Bytes of the segment that is written to, as they were measured last.
    segment: AtomicU64,
    /// Bytes of all other files: those of large bodies, and segments that are full.
    beside: AtomicU64,
    /// Bytes of the responses that were found dead since the opening.
    pub dead: AtomicU64,
    segments: Mutex<HashMap<u32, Arc<File>>>,
    /// Which pieces of the bodies with files of their own were found right, by the number of the file. The body itself may
    /// leave the memory tier and come back.
    right: Mutex<HashMap<u32, Arc<Right>>>,
    remover: Remover,
    /// Counts what was set aside.
    set_aside: Arc<AtomicU64>,
}

/// The origin of the responses in a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// They were put.
    Fresh,
    /// They were asked for often, and copied out of a generation that was removed.
    Proven,
}

/// The state of a generation. It begins as active or, if an opening finds it, as sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It is written to.
    Active,
    /// It is full, or was found by an opening: nothing more is written to it.
    Sealed,
    /// It was to be removed, but most of it is worth keeping: from now on it counts as proven. The next opening does not know
    /// that.
    Spared,
    /// It is about to be removed, after what survives of it was copied.
    Leaving,
}

/// A stored body that was found.
pub enum FoundBody {
    Memory(Bytes),
    Disk(DiskBody),
}

impl Generation {
    pub fn folder_name(class: Class, number: u32) -> String {
        match class {
            Class::Fresh => format!("{FRESH}{number}"),
            Class::Proven => format!("{PROVEN}{number}"),
        }
    }

    /// Lists the generations in a folder, by number.
    pub fn list(live: &Path) -> io::Result<Vec<(u32, Class)>> {
        let mut found = Vec::new();
        for (prefix, class) in [(FRESH, Class::Fresh), (PROVEN, Class::Proven)] {
            found.extend(folder::numbered(live, prefix)?.into_iter().map(|(number, _)| (number, class)));
        }
        found.sort_by_key(|(number, _)| *number);
        Ok(found)
    }

    /// Opens a generation, or begins it if it is not there. `share`: the bytes that it is meant to have. Does not count the
    /// files of large bodies, because many of them take long.
    pub fn open(
        class: Class,
        number: u32,
        options: &Options,
        share: u64,
        remover: &Remover,
        set_aside: &Arc<AtomicU64>,
    ) -> Result<Generation, DatabaseError> {
        let folder = options.folder.join("live").join(Generation::folder_name(class, number));
        if let Some(odd) = folder::odd_folder(&folder) {
            return Err(DatabaseError::Odd(odd));
        }
        folder::create(&folder).map_err(DatabaseError::Io)?;
        let database = Database::open(folder.join("db"), options, share)?;
        let (state, beside) = (AtomicU8::new(State::Sealed as u8), AtomicU64::new(segments(&folder)));
        let (written, segment, dead, segments, right) = Default::default();
        let (remover, cache_folder, set_aside) = (remover.clone(), options.folder.clone(), set_aside.clone());
        Ok(Generation {
            number,
            class,
            state,
            written,
            folder,
            database,
            cache_folder,
            segment,
            beside,
            dead,
            segments,
            right,
            remover,
            set_aside,
        })
    }

    /// The class that the generation counts for: a spared one counts as proven.
    pub fn class(&self) -> Class {
        if self.state() == State::Spared { Class::Proven } else { self.class }
    }

    pub fn state(&self) -> State {
        match self.state.load(Relaxed) {
            state if state == State::Active as u8 => State::Active,
            state if state == State::Spared as u8 => State::Spared,
            state if state == State::Leaving as u8 => State::Leaving,
            _ => State::Sealed,
        }
    }

    /// Returns true if the generation may be removed to make room.
    pub fn may_leave(&self) -> bool {
        matches!(self.state(), State::Sealed | State::Spared)
    }

    pub fn set_state(&self, state: State) {
        self.state.store(state as u8, Relaxed);
    }

    /// Writes records, and how far the journal must have come.
    pub fn write(&self, records: &[(CacheKey, Vec<u8>)], journal: Mark) -> Result<(), StoreError> {
        self.written.fetch_add(records.len() as u64, Relaxed);
        self.database.write(records, journal)
    }

    /// Ends the writing to it.
    pub fn seal(&self) {
        self.set_state(State::Sealed);
        self.database.forget_touched();
    }

    /// Returns the bytes of memory that the database holds, beside its pages and what each record costs.
    pub fn memory(&self) -> u64 {
        OPEN + if self.state() == State::Active { WRITTEN } else { 0 }
    }

    /// Bytes that it occupies, as far as was measured.
    pub fn bytes(&self) -> u64 {
        self.database.bytes() + self.segment.load(Relaxed) + self.beside.load(Relaxed)
    }

    /// Measures the database. `segment`: what the segment that is written to occupies.
    pub fn measure(&self, segment: u64) {
        self.database.measure();
        self.segment.store(segment, Relaxed);
    }

    /// Counts a file of a body that came into the folder.
    pub fn add_file(&self, path: &Path) {
        self.beside.fetch_add(folder::occupied(path), Relaxed);
    }

    /// Counts `by` bytes instead of `bytes` for some of the files beside the database.
    pub fn correct(&self, bytes: u64, by: u64) {
        let corrected = |beside: u64| Some((beside + by).saturating_sub(bytes));
        let _ = self.beside.fetch_update(Relaxed, Relaxed, corrected);
    }

    /// Returns where the body of a record is, if it is in a file. The print is that of the record's key.
    pub fn home(&self, print: Print) -> Result<Option<Home>, StoreError> {
        let Some((key, record)) = self.database.find_print(print)? else { return Ok(None) };
        Ok(record::parts(&key, &record).and_then(|parts| parts.home()))
    }

    /// Reads a body up to 256 KiB, or begins to read a longer one.
    pub fn find_body(&self, location: Location) -> Result<FoundBody, StoreError> {
        let body = self.body(location)?;
        Ok(if location.length <= READ_WHOLE {
            FoundBody::Memory(body.read_whole()?)
        } else {
            // damage that is seen now is a miss, damage that is seen later breaks an answer off
            body.read_first()?;
            FoundBody::Disk(body)
        })
    }

    /// Returns a body with its sums.
    pub fn body(&self, location: Location) -> Result<DiskBody, StoreError> {
        let (file, right) = (self.file(location.file)?, self.right(location.file));
        let body = DiskBody::stored(file, self.number, location, right, self.remover.clone())?;
        self.note_right(location.file, body.right());
        Ok(body)
    }

    /// Returns which pieces of the body in this file are known to be right, if that is known.
    pub fn right(&self, file: FileName) -> Option<Arc<Right>> {
        let FileName::Body(number) = file else { return None };
        self.verified().get(&number).cloned()
    }

    /// Remembers which pieces of the body in this file are right.
    pub fn note_right(&self, file: FileName, right: Option<Arc<Right>>) {
        let (FileName::Body(number), Some(right)) = (file, right) else { return };
        let mut verified = self.verified();
        if verified.len() >= KNOWN {
            // the bodies that nobody reads now will be verified once more
            verified.retain(|_, right| Arc::strong_count(right) > 1);
        }
        if verified.len() < KNOWN {
            verified.insert(number, right);
        }
    }

    fn verified(&self) -> MutexGuard<'_, HashMap<u32, Arc<Right>>> {
        self.right.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// Opens a file of bodies for reading. Sets aside what has its name and is not a regular file.
    fn file(&self, name: FileName) -> Result<Arc<File>, StoreError> {
        let open = || {
            let path = name.path(&self.folder);
            let odd = folder::set_aside_unless_file(&self.cache_folder, &path).map_err(StoreError::Io)?;
            self.set_aside.fetch_add(odd.into(), Relaxed);
            match File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Damaged("a file of bodies")),
                file => file.map(Arc::new).map_err(StoreError::Io),
            }
        };
        match name {
            FileName::Body(_) => open(),
            FileName::Segment(number) => {
                let mut segments = self.segments.lock().unwrap_or_else(|poison| poison.into_inner());
                if let Some(file) = segments.get(&number) {
                    return Ok(file.clone());
                }
                let file = open()?;
                segments.insert(number, file.clone());
                Ok(file)
            }
        }
    }

    /// Returns a number that no file of bodies has yet.
    pub fn unused_file_number(&self) -> io::Result<u32> {
        let mut last = 0;
        for file in std::fs::read_dir(&self.folder)? {
            last = last.max(file?.file_name().to_str().and_then(FileName::parse).map_or(0, FileName::number));
        }
        Ok(last.saturating_add(1))
    }

    /// Lets the remover's thread remove the file of a body that nothing names any more.
    pub fn remove_body(self: &Arc<Self>, file: FileName) {
        let FileName::Body(number) = file else { return };
        self.verified().remove(&number);
        // a weak reference does not keep the database open
        let (generation, path) = (Arc::downgrade(self), file.path(&self.folder));
        self.remover.work(move || {
            let bytes = folder::occupied(&path);
            match std::fs::remove_file(path) {
                Ok(()) => generation.upgrade().into_iter().for_each(|generation| generation.correct(bytes, 0)),
                Err(error) => log::debug!("a stored body could not be removed: {error}"),
            }
        });
    }
}

/// Returns the bytes that a generation's segments and its folder itself occupy.
fn segments(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let segments = files.filter(|path| path.extension().is_some_and(|extension| extension == "seg"));
    let own = folder.symlink_metadata().map_or(0, |about| about.blocks() * 512);
    own + segments.map(|path| folder::occupied(&path)).sum::<u64>()
}
