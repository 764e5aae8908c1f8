//! The store keeps responses in memory and on disk, and finds them again after a restart. It is the boundary between the
//! proxy and whatever keeps stored responses.
//!
//! # The layers
//!
//! Each layer uses only those above it in this table (tests/larder/tidy/layers.rs).
//!
//! | layer | what it knows |
//! |---|---|
//! | `error`, `options`, `stats`, `budget`, `notice`, `hop` | plain types; a `notice` tells the writer what happened in a lower layer |
//! | `format` | the bytes of records, of the journal's lines and of sums; opens no file |
//! | `disk` | the files: the folder, generations, bodies, the journal, and the room that they take |
//! | `response` | [`StoredResponse`] and [`Slot`], which the proxy gets and gives |
//! | `tiers` | where a lookup looks: memory, what waits to be written, the index, the disk |
//! | `writer` | the one thread that opens, writes, evicts, sweeps and clears the disk |
//! | this file, `storing`, `purging`, `scan`, `inspect` | what the rest of Larder calls |
//!
//! # Which one wins
//!
//! For a key, the first of these that knows it is right:
//!
//! 1. *The memory tier* (`tiers/memory.rs`). It may lack any key, because it is bounded. What it holds is never older than
//!    the rest: a put, a freshening and an invalidation change it together with `pending`, under one lock for each key.
//! 2. *Pending* (`tiers/pending.rs`): what was put or forgotten and is not on the disk yet. A forgotten key is not found,
//!    although its record is still on the disk. Each lock has a version. A lookup that reads the disk compares the version
//!    before and after, and looks again if a change came between.
//! 3. *The index* (`tiers/index.rs`): for the print of each key the generations that hold its newest record and its body. It is in
//!    memory and complete. A record that the index does not name does not exist.
//! 4. *The record* in the database of that generation. The database holds it under the whole key, and the sum of the record
//!    covers that key. So two keys with the same print are told apart.
//!
//! Two rules stand above all four. While a clearing is under way nothing is found (`tiers/epochs.rs`), and a response that a
//! purge rule reaches is dead wherever it is (`tiers/purges.rs`). Of the variants of a URL the index knows the prints
//! (`tiers/variants.rs`); each variant is a response of its own.
//!
//! # On the disk
//!
//! A *generation* is a folder with one sled database (records: heads, and bodies up to 256 bytes), segments (bodies up to
//! 256 KiB, one behind the other) and one file for each larger body. A large body streams into a file of `filling/`, and is
//! moved into the generation when its response is written. A generation is *active* (written to), *sealed* (full), *spared*
//! (full, and kept as it is because most of it is asked for) or *leaving* (about to be removed). Its class is *fresh* if it
//! holds what was put, *proven* if it holds what survived another generation.
//!
//! A response that the origin confirmed (304) gets a new record in the generation that is written to. The record names the
//! body where it is, in the older generation: a location says which one, and so does the index. Before a generation is
//! removed, what survives of it is copied: that are records and bodies that it holds, also those of which it holds only one.
//!
//! The *journal* is one file for all generations. It says in order what was stored, forgotten and purged. An opening reads
//! it into the index and reads no record. Where journal and records disagree, the journal is right. Each database notes how
//! far the journal was on the disk, so that a journal that lost its end is noticed.
//!
//! A large body is verified piece by piece when it is read. The generation remembers which pieces were found right, so that
//! they are verified once in a process's life, also if the body leaves the memory tier and comes back. Where all pieces are
//! right, a *span* says which bytes of which file they are.
//!
//! # Parts
//!
//! A part of a representation (a 206) is a stored response of its own: a variant of its URL, with a record, a body and a
//! key that its range and its strong validator are part of. So a part is written once and never changed, a crash loses whole
//! parts only, and the limits, eviction, purges, invalidation and clearing need no rule for parts. There is no list of parts
//! that could disagree with them: the index knows the variants of the URL, and each record says which bytes it holds. A URL
//! has at most 64 variants and parts; the next one pushes the oldest out.
//!
//! A lookup puts the parts that a request needs together ([`Parts`]), if all have the same strong validator. The newest part
//! gives the head, and a 304 is written to it alone. The proxy asks for the gaps, and stores each as a part. When the last gap
//! is closed, the parts together are the whole, without a copy. Eight parts of about the same length that touch are joined
//! to one by a copy, so that a file that comes in many short parts stays one of few parts. When the validator changes, or the
//! whole is stored, the old parts are forgotten.
//!
//! # The writer
//!
//! The writer gathers changes for 50 ms and writes them in this order: bodies, records, lines of the journal, the index. It
//! syncs within 400 ms: bodies, then records, then the journal. So no line ever names what a crash could lose.
//!
//! - *Rotation* makes room. It removes the generation that is worth least, after it copied what is asked for often.
//! - A *sweep* looks now and then for responses that have long been of no use, also where there is room.
//! - *Clearing* moves the epoch (a fetch that began before is not stored after), forgets everything, moves `live/` away and
//!   opens an empty one.
//!
//! Files and folders are removed by a thread of its own (`disk/removing.rs`). What is not removed yet counts in the limit:
//! where that leaves no room, the writer goes on with what was forgotten, and writes the rest when there is room.
//!
//! The disk may fail: then the memory tier works alone, and the writer tries again.
//!
//! # Purging
//!
//! A purge is one line of the journal and one rule in memory (`tiers/purges.rs`, [`crate::purge`]). Nothing is searched.
//! Before a stored response is used, it is compared with the rules that came since the last use. A sweep gives the room
//! back, and removes the rules that reach nothing any more.
//!
//! # Words
//!
//! | word | its one meaning |
//! |---|---|
//! | forget | a key is not found any more; its record may stay on the disk |
//! | sweep | the pass that forgets what is long dead |
//! | gone | moved away, and not removed yet |
//! | filling | a large body on its way into a file; bodies on their way that memory holds are *incoming* |
//! | close | the end of the store, and of an open file or database; the end of writing to one generation is *seal* |
//! | active | written to |
//! | proven | of the class that holds what survived |

mod budget;
mod disk;
mod error;
mod format;
#[doc(hidden)]
pub mod fuzzing;
mod hop;
mod inspect;
mod notice;
mod options;
mod purging;
mod response;
mod scan;
mod stats;
mod storing;
#[cfg(test)]
mod tests;
mod tiers;
mod writer;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    time::Duration,
};

use tokio::sync::oneshot;

pub use budget::{Incoming, LEAST as LEAST_MEMORY};
use disk::folder;
pub use disk::{
    body::{DiskBody, Span},
    filling::{BodyWriter, WholeBody, take_first},
    folder::{FolderLock, is_cache, restrict_umask},
};
pub use error::{OpenError, StoreError};
pub use format::record::Variant;
pub use inspect::{clear_folder, stats_of};
use notice::Notices;
pub use options::Options;
pub use response::{Parts, Slot, StoredBody, StoredResponse, read};
pub use scan::{Listed, Scan};
pub use stats::{Cleared, State, Stats};
use tiers::{admission, epochs::Clearing, shared::Shared};
pub use tiers::{admission::AdmitError, epochs::Epoch};
use writer::Command;

use crate::{key::CacheKey, message::StoredHead, purge::Target};

/// The store. Cheap to clone; shared by all workers. When the last clone goes, what waits is written and the folder is
/// let go, behind; [`Store::close`] waits for that.
#[derive(Clone)]
pub struct Store(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl Store {
    /// Takes the cache folder before the store is opened, so that a second process can be refused in words.
    pub fn lock(folder: &Path) -> Result<FolderLock, OpenError> {
        folder::lock(folder)
    }

    /// Returns the secret of a cache folder that is locked; it is made at the first time. Without a folder it lasts as long
    /// as the process.
    pub fn secret(lock: Option<&FolderLock>) -> io::Result<[u8; 32]> {
        match lock.map(|lock| folder::secret(lock.folder())) {
            Some(Err(error)) => {
                log::warn!(
                    "the secret of the cache folder cannot be used ({error}); responses that vary by credentials are \
                     not found again after a restart"
                );
                folder::random()
            }
            Some(secret) => secret,
            None => folder::random(),
        }
    }

    /// Returns a store at once, and never fails. The disk is opened behind; until then nothing on it is found. If the folder
    /// cannot be used, the store says so in the log, works in memory alone, and tries again.
    pub fn open(options: Options) -> Store {
        Store::open_with(options, |_| false, None)
    }

    /// Returns a store as [`Store::open`] does. `is_dead` says which stored responses have been of no use for so long that they
    /// may be removed. `lock`: the folder's lock, if it is taken already.
    pub fn open_with(
        options: Options,
        is_dead: impl Fn(&StoredHead) -> bool + Send + Sync + 'static,
        lock: Option<FolderLock>,
    ) -> Store {
        let (commands, receiver) = mpsc::channel();
        let notices = Notices::new({
            let commands = commands.clone();
            move |notice| {
                // an error: the writer has ended
                let _ = commands.send(Command::Notice(notice));
            }
        });
        let shared = Arc::new(Shared::new(options, Box::new(is_dead), notices));
        let started = std::thread::Builder::new().name("larder-store".to_owned()).spawn({
            let (shared, commands) = (shared.clone(), commands.clone());
            move || {
                let ran = catch_unwind(AssertUnwindSafe(|| writer::run(shared.clone(), (commands, receiver), lock)));
                if ran.is_err() {
                    shared.warn_once(
                        "the cache works in memory alone until Larder is started anew: its writer failed".to_owned(),
                    );
                    shared.state.send_replace(Some(State::Down("the writer failed".to_owned())));
                    shared.catalog.generations_mut().clear();
                }
            }
        });
        if let Err(error) = started {
            shared.warn_once(format!("the store works in memory alone, no thread could be started: {error}"));
            shared.state.send_replace(Some(State::Down(error.to_string())));
        }
        Store(Arc::new(Handle { shared, commands }))
    }

    /// Returns an empty store without a folder and without a writer, which decides as an open one. Nothing may be put into it.
    pub fn empty(options: Options) -> Store {
        let (commands, _) = mpsc::channel();
        let shared = Arc::new(Shared::new(options, Box::new(|_| false), Notices::new(|_| ())));
        shared.state.send_replace(Some(State::Open));
        Store(Arc::new(Handle { shared, commands }))
    }

    /// Waits until opening was tried for the first time.
    pub async fn opened(&self) {
        // an error: the store is gone, and with it the wait
        let _ = self.0.shared.state.subscribe().wait_for(Option::is_some).await;
    }

    pub fn stats(&self) -> Stats {
        self.0.shared.stats()
    }

    pub fn epoch(&self) -> Epoch {
        self.0.shared.epochs.now()
    }

    /// Lets no database be opened anew from now on, or any. For benches/easing.rs. Returns how many were since the last call.
    #[doc(hidden)]
    pub fn keep_pages(&self, keeps: bool) -> u64 {
        self.0.shared.keeps_pages.store(keeps, Relaxed);
        self.0.shared.counters.eased.swap(0, Relaxed)
    }

    /// Looks in the memory tier alone, without waiting or I/O. `None`: ask `lookup`.
    pub fn recall(&self, key: &CacheKey) -> Option<Slot> {
        self.0.shared.recall(key)
    }

    /// Looks in memory, then on the disk. An error is counted and logged here, and is `None`.
    pub async fn lookup(&self, key: &CacheKey) -> Option<Slot> {
        self.0.shared.lookup(key).await
    }

    /// Forgets what is stored for these URLs as [`Store::invalidate`] does. No crash brings it back after the return, or takes
    /// the last rule with the target `path` back, unless the disk takes longer than a second. Waits for the disk once, and not
    /// at all if neither reaches anything that is stored.
    pub async fn invalidate_durably(&self, primaries: &[CacheKey], path: Option<Target>) {
        let shared = &self.0.shared;
        let forgotten = primaries.iter().filter(|primary| self.forget(primary)).count();
        let is_awaited = forgotten > 0
            || shared.forgetting.load(Relaxed)
            || shared.pending.has_forgotten()
            || path.is_some_and(|path| shared.purges.is_awaited(path));
        if is_awaited && shared.is_open() {
            let (reply, done) = oneshot::channel();
            if self.0.commands.send(Command::Forgotten(reply)).is_ok() {
                let _ = tokio::time::timeout(INVALIDATION, done).await;
            }
        }
    }

    /// Returns whether a body of this length would be stored if it came now. Does not wait and reserves nothing: the body
    /// may still be refused later. A body of unknown length is admitted if a small one is.
    pub fn admits(&self, length: Option<u64>) -> Result<(), AdmitError> {
        admission::admits(&self.0.shared, length)
    }

    /// Begins a body that goes to the disk. `length`: its length in bytes, if that is known.
    pub fn begin_body(&self, length: Option<u64>) -> Result<BodyWriter, StoreError> {
        let shared = &self.0.shared;
        if !shared.is_open() {
            return Err(StoreError::Closed);
        }
        let longest = shared.space.longest(shared.options.max_object);
        if length.is_some_and(|length| length > longest) {
            return Err(StoreError::TooLarge);
        }
        let promise = shared.space.promise(length.unwrap_or(0)).ok_or(StoreError::Busy)?;
        let number = shared.next_filling.fetch_add(1, Relaxed);
        let path = shared.options.folder.join("filling").join(number.to_string());
        let (space, finishing, remover) = (shared.space.clone(), shared.finishing.clone(), shared.remover.clone());
        Ok(BodyWriter::new(path, space, length.unwrap_or(longest), promise, finishing, remover))
    }

    /// Counts what bodies on their way here hold in memory.
    pub fn incoming(&self) -> Arc<Incoming> {
        self.0.shared.incoming.clone()
    }

    /// Forgets everything, durably on return. The disk is given back behind. From the call on, before the first poll, nothing
    /// is found that was put before, and nothing is stored that was asked for before.
    pub fn clear(&self) -> impl Future<Output = Result<Cleared, StoreError>> + use<> {
        let clearing = Clearing::begin(&self.0.shared.epochs);
        let (reply, done) = oneshot::channel();
        let sent = self.0.commands.send(Command::Clear(clearing, reply)).map_err(|_| StoreError::Closed);
        async move {
            sent?;
            done.await.map_err(|_| StoreError::Closed)?
        }
    }

    /// Waits until everything that was put is on the disk, or cannot be.
    pub async fn flush(&self) {
        let (reply, done) = oneshot::channel();
        if self.0.commands.send(Command::Flush(reply)).is_ok() {
            let _ = done.await;
        }
    }

    /// Sweeps all that is on the disk now, without waiting until it is due. Returns how many responses were forgotten.
    pub async fn sweep(&self) -> u64 {
        let (reply, done) = oneshot::channel();
        match self.0.commands.send(Command::Sweep(reply)) {
            Ok(()) => done.await.unwrap_or(0),
            Err(_) => 0,
        }
    }

    /// Writes what waits, makes it durable and unlocks the folder. The memory tier stays.
    pub async fn close(&self) {
        self.0.shared.finishing.ended().await;
        let (reply, done) = oneshot::channel();
        if self.0.commands.send(Command::Close(Some(reply))).is_ok() {
            let _ = done.await;
        }
    }

    fn wake(&self) {
        self.0.shared.wake();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Close(None));
    }
}

/// The longest time that an unsafe request waits for the disk.
const INVALIDATION: Duration = Duration::from_secs(1);
