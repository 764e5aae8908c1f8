//! The database of one generation, how much of it is in memory, and how it lets go of that while others go on reading.

use std::{
    io,
    path::PathBuf,
    sync::{
        RwLock, RwLockReadGuard, TryLockError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use super::{
    folder,
    records::{DatabaseError, Records},
    touched::Touched,
};
use crate::{
    clock,
    key::CacheKey,
    store::{
        Options, StoreError,
        budget::Budget,
        format::{
            lines::Mark,
            print::Print,
            record::{self, Record},
        },
    },
};

/// Records on one page of sled, which reads and holds whole pages.
const OF_A_PAGE: u64 = 11;
/// Bytes that a record costs on a page beside its own.
const OVERHEAD: u64 = 112;
/// The time for which a database that is to be opened anew waits for its readers.
const MAKE_WAY: Duration = Duration::from_millis(250);

pub struct Database {
    folder: PathBuf,
    records: RwLock<Records>,
    /// Bytes of pages that sled holds once the database is only read.
    resting_cache: u64,
    is_reopening: AtomicBool,
    /// The bytes that it occupies on the disk, as they were measured last.
    bytes: AtomicU64,
    /// Bytes of the pages that were read or written since the database was opened, about.
    pages: AtomicU64,
    /// The pages that were read since then.
    touched: RwLock<Touched>,
    /// Records that were read since then.
    #[cfg(test)]
    pub reads: AtomicU64,
    /// The number of times that it was synced since then.
    #[cfg(test)]
    pub syncs: AtomicU64,
}

/// Returns the bytes of pages that sled holds of a database that is only read.
fn resting_cache(options: &Options) -> u64 {
    (options.memory / 64).clamp(256 << 10, 8 << 20)
}

impl Database {
    /// Opens a database, or begins it if it is not there. `share`: the bytes that its generation is meant to have.
    pub fn open(folder: PathBuf, options: &Options, share: u64) -> Result<Database, DatabaseError> {
        // while it is written to, sled is to hold most of its pages: else it reads them for each record that comes to them. (It
        // counts the bytes of a page as the next power of two. With room for all of them so, 331 MB were resident at 256M.)
        let cache = if folder.exists() { resting_cache(options) } else { Budget::new(options.memory).pages() / 4 * 3 };
        // a power of two, small if the share is small
        let segment = 1 << (share / 16).clamp(128 << 10, 512 << 10).ilog2();
        let segment = Records::segment_of(&folder).unwrap_or(segment);
        let records = RwLock::new(Records::open(&folder, cache, segment)?);
        folder::restrict(&folder).map_err(DatabaseError::Io)?;
        let bytes = folder::occupied(&folder);
        let (touched, bytes) = (RwLock::new(Touched::none_of(bytes)), AtomicU64::new(bytes));
        let (is_reopening, pages) = Default::default();
        Ok(Database {
            folder,
            records,
            resting_cache: resting_cache(options),
            is_reopening,
            bytes,
            pages,
            touched,
            #[cfg(test)]
            reads: AtomicU64::new(0),
            #[cfg(test)]
            syncs: AtomicU64::new(0),
        })
    }

    /// Returns the records. Waits while the database is being opened anew. A database that is written to never is.
    pub fn records(&self) -> RwLockReadGuard<'_, Records> {
        self.records.read().unwrap_or_else(|poison| poison.into_inner())
    }

    /// Returns the records for one read. Returns [`StoreError::Busy`] while the database is being opened anew.
    fn readable(&self) -> Result<RwLockReadGuard<'_, Records>, StoreError> {
        if self.is_reopening() {
            return Err(StoreError::Busy);
        }
        match self.records.try_read() {
            Ok(records) => Ok(records),
            Err(TryLockError::Poisoned(poison)) => Ok(poison.into_inner()),
            Err(TryLockError::WouldBlock) => Err(StoreError::Busy),
        }
    }

    /// Returns true if the database is being opened anew.
    pub fn is_reopening(&self) -> bool {
        self.is_reopening.load(SeqCst)
    }

    /// Makes what was written reach the disk.
    pub fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        self.syncs.fetch_add(1, Relaxed);
        self.records().sync()
    }

    /// Writes records, and how far the journal must have come.
    pub fn write(&self, records: &[(CacheKey, Vec<u8>)], journal: Mark) -> Result<(), StoreError> {
        let database = self.records();
        let bytes: u64 = records.iter().map(|(_, record)| record.len() as u64 + OVERHEAD).sum();
        // if the database was there before, sled reads the page of a record before it writes the record
        let read = if database.was_there() { OF_A_PAGE } else { 1 };
        self.pages.fetch_add(bytes * read, Relaxed);
        database.write(records, journal)
    }

    /// Returns the record of a key. An error: there is one, but it is damaged. [`StoreError::Busy`]: the database is being
    /// opened anew.
    pub fn find(&self, key: &CacheKey) -> Result<Option<Record>, StoreError> {
        let found = self.readable()?.find(key, |record| {
            self.has_read(Print::of(key), record.len());
            record::decode(key, record)
        });
        found?.map(|record| record.ok_or(StoreError::Damaged("a record"))).transpose()
    }

    /// Returns the key that begins with this print, and its record. [`StoreError::Busy`]: the database is being opened anew.
    pub fn find_print(&self, print: Print) -> Result<Option<(CacheKey, Vec<u8>)>, StoreError> {
        let found = self.readable()?.find_print(print)?;
        self.has_read(print, found.as_ref().map_or(0, |(_, record)| record.len()));
        Ok(found)
    }

    /// Counts the page of a record that was read, once. The record's neighbours are likely to be as long.
    fn has_read(&self, print: Print, length: usize) {
        let touched = self.touched.read().unwrap_or_else(|poison| poison.into_inner());
        let bytes = touched.read(print, OF_A_PAGE * (length as u64 + OVERHEAD));
        self.pages.fetch_add(bytes, Relaxed);
        #[cfg(test)]
        self.reads.fetch_add(1, Relaxed);
    }

    /// Counts every page as not read from now on.
    pub fn forget_touched(&self) {
        let none = Touched::none_of(self.bytes());
        *self.touched.write().unwrap_or_else(|poison| poison.into_inner()) = none;
    }

    /// Opens the database anew, because sled keeps most of what was written or read in memory. A read gets [`StoreError::Busy`]
    /// meanwhile. If the reads that have begun do not end, does nothing: one of them may wait for a disk that hangs. Returns
    /// true if the pages are gone.
    pub fn let_go_of_pages(&self) -> Result<bool, DatabaseError> {
        self.is_reopening.store(true, SeqCst);
        let done = self.reopen();
        self.is_reopening.store(false, SeqCst);
        done
    }

    fn reopen(&self) -> Result<bool, DatabaseError> {
        let began = clock::instant();
        let mut records = loop {
            match self.records.try_write() {
                Ok(records) => break records,
                Err(TryLockError::Poisoned(poison)) => break poison.into_inner(),
                Err(TryLockError::WouldBlock) if began.elapsed() > MAKE_WAY => return Ok(false),
                Err(TryLockError::WouldBlock) => thread::park_timeout(MAKE_WAY / 1_000),
            }
        };
        records.reopen(&self.folder, self.resting_cache)?;
        drop(records);
        // sled takes another segment when it opens
        self.measure();
        self.forget_touched();
        self.pages.store(0, Relaxed);
        Ok(true)
    }

    /// Returns the bytes of pages that the database holds in memory, about. They are no more than all of its pages.
    pub fn pages(&self) -> u64 {
        self.pages.load(Relaxed).min(self.bytes())
    }

    /// Returns the bytes that the database occupies on the disk, as they were measured last.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub fn measure(&self) {
        self.bytes.store(folder::occupied(&self.folder), Relaxed);
    }
}
