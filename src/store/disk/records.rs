//! The database of one generation. The only file that names sled, and the walls around it: sled panics where its files
//! are damaged, stays broken after the first error of a write, and does not fsync.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs::File,
    io,
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::folder::{odd_file, odd_folder};
use crate::{
    blocking::caught,
    clock,
    key::CacheKey,
    store::{
        StoreError,
        error::Odd,
        format::{lines::Mark, print::Print},
    },
};

/// The key of the mark that says how far the journal was on the disk when a record was last written.
const JOURNAL: &[u8] = b"journal";
/// The longest time that a process takes from its start to its own program, on a busy machine.
const STARTING: Duration = Duration::from_secs(1);

/// Says why a database could not be opened.
#[derive(Debug)]
pub enum DatabaseError {
    /// The disk is full, read-only or broken. Worth another try.
    Io(io::Error),
    /// The files are not what was written.
    Damaged(String),
    /// One of them is not a regular file.
    Odd(Odd),
}

impl std::fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DatabaseError::Io(error) => error.fmt(f),
            DatabaseError::Damaged(why) => f.write_str(why),
            DatabaseError::Odd(odd) => odd.fmt(f),
        }
    }
}

impl From<DatabaseError> for io::Error {
    fn from(failure: DatabaseError) -> io::Error {
        match failure {
            DatabaseError::Io(error) => error,
            other => io::Error::other(other.to_string()),
        }
    }
}

/// Done when sled's own threads were started.
static THREADS: Once = Once::new();

/// Makes sled start its threads. sled does that at the first work for them, once in a process. If the system gave it no threads
/// then, a caller would wait for ever for that work. So the first work is an empty one, now, which nobody needs.
fn start_threads(db: &sled::Db) {
    struct Waiting(Thread);
    impl Wake for Waiting {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    if thread::Builder::new().spawn(|| ()).is_err() {
        return;
    }
    let mut flushed = pin!(db.flush_async());
    let waker = Waker::from(Arc::new(Waiting(thread::current())));
    let began = clock::instant();
    // the flush holds the database until it is done
    while flushed.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() && began.elapsed() < STARTING {
        thread::park_timeout(STARTING);
    }
}

pub struct Records {
    /// `None` only while this is dropped or opened anew.
    db: Option<sled::Db>,
    /// sled's file, for fsync.
    file: File,
    /// The folder where sled has a file of its own for each page that is too long for a segment, and those of these files
    /// that have reached the disk.
    blobs: PathBuf,
    synced: Mutex<HashSet<OsString>>,
    /// sled failed once: it may never come to the end of its drop.
    broken: AtomicBool,
}

impl Records {
    /// Opens a database. `cache`: the bytes of pages that sled holds. `segment`: the bytes that it takes from the disk at a time,
    /// a power of two.
    pub fn open(folder: &Path, cache: u64, segment: usize) -> Result<Records, DatabaseError> {
        if let Some(odd) = odd(folder).map_err(DatabaseError::Io)? {
            return Err(DatabaseError::Odd(odd));
        }
        if is_locked(&folder.join("db")) {
            // a reader of this process that hangs holds it: no damage
            return Err(DatabaseError::Io(io::ErrorKind::WouldBlock.into()));
        }
        remove_begun_snapshots(folder).map_err(DatabaseError::Io)?;
        let config = sled::Config::new().path(folder).cache_capacity(cache).segment_size(segment).flush_every_ms(None);
        let db = match caught(|| config.open()) {
            Some(Ok(db)) => db,
            Some(Err(sled::Error::Io(error))) => return Err(DatabaseError::Io(error)),
            Some(Err(error)) => return Err(DatabaseError::Damaged(error.to_string())),
            None => return Err(DatabaseError::Damaged("sled panicked on opening".to_owned())),
        };
        THREADS.call_once(|| _ = caught(|| start_threads(&db)));
        let file = File::open(folder.join("db")).map_err(DatabaseError::Io)?;
        let (blobs, synced, broken) = (folder.join("blobs"), Mutex::default(), AtomicBool::new(false));
        Ok(Records { db: Some(db), file, blobs, synced, broken })
    }

    /// Returns true if the database was there before it was opened.
    pub fn was_there(&self) -> bool {
        self.db.as_ref().is_some_and(sled::Db::was_recovered)
    }

    /// Closes the database and opens it again. `cache`: as in [`Records::open`].
    pub fn reopen(&mut self, folder: &Path, cache: u64) -> Result<(), DatabaseError> {
        let segment = Records::segment_of(folder).ok_or_else(|| DatabaseError::Damaged("no conf".to_owned()))?;
        caught(|| drop(self.db.take()));
        *self = Records::open(folder, cache, segment)?;
        Ok(())
    }

    /// Returns the segment size that a database was made with. sled opens it with no other.
    pub fn segment_of(folder: &Path) -> Option<usize> {
        let conf = folder.join("conf");
        if odd_file(&conf).is_some() { None } else { segment_size(&std::fs::read(conf).ok()?) }
    }

    /// Opens a closed database and closes it again, so that the next opening is quick: sled writes down where its pages are when
    /// it opens, not when it closes.
    pub fn catch_up(folder: &Path) {
        let Some(segment) = Records::segment_of(folder) else { return };
        if let Err(failure) = Records::open(folder, 1 << 20, segment) {
            log::debug!("a database did not catch up: {failure:?}");
        }
    }

    /// Shows the record of a key to `read`.
    pub fn find<T>(&self, key: &CacheKey, read: impl FnOnce(&[u8]) -> T) -> Result<Option<T>, StoreError> {
        self.guard(|db| Ok(db.get(key.0)?.map(|record| read(&record))))
    }

    /// Returns the key that begins with this print, and its record.
    pub fn find_print(&self, print: Print) -> Result<Option<(CacheKey, Vec<u8>)>, StoreError> {
        self.guard(|db| {
            let Some(found) = db.scan_prefix(print.0.to_be_bytes()).next() else { return Ok(None) };
            let (key, record) = found?;
            Ok(<[u8; 32]>::try_from(&key[..]).ok().map(|key| (CacheKey(key), record.to_vec())))
        })
    }

    /// Writes records, and how far the journal must have come. On return the kernel has them, but the disk may not.
    pub fn write(&self, records: &[(CacheKey, Vec<u8>)], journal: Mark) -> Result<(), StoreError> {
        self.guard(|db| {
            // no Batch, because that locks every database of the process against readers
            for (key, record) in records {
                db.insert(key.0, &record[..])?;
            }
            let mark = [journal.serial.to_be_bytes(), journal.lines.to_be_bytes()];
            db.insert(JOURNAL, mark.as_flattened())?;
            db.flush().map(drop)
        })
    }

    /// Returns how far the journal must have come at least.
    pub fn journal(&self) -> Result<Mark, StoreError> {
        let stored = self.guard(|db| db.get(JOURNAL))?.unwrap_or_default();
        let (Some((serial, _)), Some(lines)) = (stored.split_first_chunk(), stored.get(8..)) else {
            return Ok(Mark::default());
        };
        let lines = lines.try_into().map_or(0, u64::from_be_bytes);
        Ok(Mark { serial: u64::from_be_bytes(*serial), lines })
    }

    /// Makes what was written reach the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.sync_blobs()?;
        self.file.sync_data()
    }

    /// Makes the files that sled has added reach the disk: it does not do that itself.
    fn sync_blobs(&self) -> io::Result<()> {
        let there: HashSet<OsString> = match std::fs::read_dir(&self.blobs) {
            Ok(files) => files.flatten().map(|file| file.file_name()).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut synced = self.synced.lock().unwrap_or_else(|poison| poison.into_inner());
        let mut is_new = false;
        for name in there.difference(&synced) {
            match File::open(self.blobs.join(name)).and_then(|file| file.sync_data()) {
                Ok(()) => is_new = true,
                // sled has replaced the page meanwhile
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if is_new {
            File::open(&self.blobs)?.sync_all()?;
        }
        *synced = there;
        Ok(())
    }

    fn guard<T>(&self, call: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, StoreError> {
        let db = self.db.as_ref().ok_or(StoreError::Closed)?;
        let done = caught(|| call(db));
        if !matches!(done, Some(Ok(_))) {
            self.broken.store(true, Relaxed);
        }
        match done {
            Some(Ok(value)) => Ok(value),
            Some(Err(sled::Error::Io(error))) => Err(StoreError::Io(error)),
            Some(Err(sled::Error::Corruption { .. })) => Err(StoreError::Damaged("sled reports corruption")),
            Some(Err(error)) => Err(StoreError::Io(io::Error::other(error.to_string()))),
            None => Err(StoreError::Damaged("sled panicked")),
        }
    }
}

/// Returns what a database's folder holds that sled did not make. sled would open it, and wait or follow it.
fn odd(folder: &Path) -> io::Result<Option<Odd>> {
    let blobs = folder.join("blobs");
    let no_folder = [folder, &blobs].into_iter().find_map(odd_folder);
    if no_folder.is_some() {
        return Ok(no_folder);
    }
    let mut found = None;
    for folder in [folder, &blobs].into_iter().filter(|folder| folder.exists()) {
        for file in std::fs::read_dir(folder)? {
            let file = file?;
            if !file.file_type()?.is_file() && file.path() != blobs {
                found = found.or_else(|| odd_file(&file.path()));
            }
        }
    }
    Ok(found)
}

/// Removes what a crash left of a snapshot. sled would take it for the newest one, and the database for damaged.
fn remove_begun_snapshots(folder: &Path) -> io::Result<()> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let mut begun = files.filter(|path| path.extension().is_some_and(|extension| extension == "generating"));
    begun.try_for_each(std::fs::remove_file)
}

/// Returns true if sled still has this file open, here or in another process. A process that this one starts holds what was
/// open here until it runs its own program; waits for that.
fn is_locked(file: &Path) -> bool {
    let Ok(file) = File::open(file) else { return false };
    let began = clock::instant();
    while let Err(Errno::WOULDBLOCK) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if began.elapsed() > STARTING {
            return true;
        }
        thread::sleep(STARTING / 500);
    }
    // closing it is not enough: a process that starts now may hold it
    let _ = flock(&file, FlockOperation::Unlock);
    false
}

impl Drop for Records {
    fn drop(&mut self) {
        let db = self.db.take();
        // sled unwraps an fsync when it is dropped, and after a panic it can wait for ever for a buffer that nobody writes
        let close = move || {
            if caught(|| drop(db)).is_none() {
                log::debug!("a database panicked while it was closed");
            }
        };
        if *self.broken.get_mut() {
            let closing = thread::Builder::new().name("larder-closing".to_owned()).spawn(close);
            closing.map_or_else(|error| log::debug!("a broken database was not closed: {error}"), drop);
        } else {
            close();
        }
    }
}

/// Returns the segment size that a database's conf names.
pub fn segment_size(conf: &[u8]) -> Option<usize> {
    // a sum stands behind the text
    let text = String::from_utf8_lossy(conf);
    let size = text.lines().find_map(|line| line.strip_prefix("segment_size:"))?.trim().parse().ok()?;
    usize::is_power_of_two(size).then_some(size)
}
