//! Bytes that survive a restart: the boundary between the proxy and whatever keeps stored responses.
//!
//! A put is at once in the memory tier ([`memory`]) and in what waits to be written ([`pending`]). One thread ([`writer`])
//! writes it to the newest generation on disk ([`generation`]): the record to its database ([`disk`], [`record`]), a body
//! that is not small to a file beside it ([`segment`], [`body`]), then a line to the [`journal`]. The journal
//! is read at opening and becomes the [`index`], which knows of each key which generation holds it. When a
//! generation is full another is begun, and one is dropped after what is asked for often was copied out of it
//! ([`rotation`], [`eviction`]). What has long been of no use goes also where there is room ([`sweep`]). What takes long at an
//! opening is done behind it ([`counting`]). A lookup that memory does not answer reads the disk in its turn ([`lookups`]).
//!
//! A purge is one line of the journal and one rule in memory ([`purges`], [`crate::purge`]). Nothing is searched: whoever finds
//! a stored response asks the rules that came since it was looked at last. A sweep gives the room back, and forgets the rules
//! that reach nothing any more.

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
#[cfg(test)]
mod tests;
mod tiers;
mod writer;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, SeqCst},
        mpsc,
    },
    time::Duration,
};

use tokio::sync::oneshot;

pub use budget::{Incoming, LEAST as LEAST_MEMORY};
use disk::folder;
pub use disk::{
    body::DiskBody,
    filling::{BodyWriter, WholeBody},
    folder::{FolderLock, is_cache, restrict_umask},
};
pub use error::{OpenError, StoreError};
use format::print::Print;
pub use format::record::Variant;
pub use inspect::{clear_folder, stats_of};
use notice::{Notice, Notices};
pub use options::Options;
pub use response::{Slot, StoredBody, StoredResponse, read};
pub use scan::{Listed, Scan};
pub use stats::{Cleared, State, Stats};
use tiers::{admission, epochs::Clearing, index::Index, pending::Change, shared::Shared, variants};
pub use tiers::{admission::AdmitError, epochs::Epoch};
use writer::Command;

use crate::{
    key::CacheKey,
    message::{FieldValue, Fields, StoredHead},
    purge::{Checked, Liveness},
};

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

    /// Never fails, and returns at once: the disk is opened behind, and until then holds nothing. Where the folder cannot
    /// be used the store says so in the log, works in memory alone, and tries again.
    pub fn open(options: Options) -> Store {
        Store::open_with(options, |_| false, None)
    }

    /// The same; `is_dead` says which stored responses have been of no use for so long that they may go, and the folder's
    /// lock may be taken already.
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
                }
            }
        });
        if let Err(error) = started {
            shared.warn_once(format!("the store works in memory alone, no thread could be started: {error}"));
            shared.state.send_replace(Some(State::Down(error.to_string())));
        }
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

    /// The memory tier alone: no waiting, no I/O. `None`: ask `lookup`.
    pub fn recall(&self, key: &CacheKey) -> Option<Slot> {
        self.0.shared.recall(key)
    }

    /// Memory, then disk. An error is `None`, counted and logged here.
    pub async fn lookup(&self, key: &CacheKey) -> Option<Slot> {
        self.0.shared.lookup(key).await
    }

    /// Stores a response under the key of its URL (`primary`); one with nominated fields becomes a variant there, and so
    /// does any other if variants are there already. At once visible to `lookup`, and to `recall` where the memory tier
    /// takes it; written behind. Nothing happens where the epoch has moved. Copies the fields to their exact size; a body
    /// in memory should have its exact size already.
    pub fn put(&self, primary: CacheKey, response: StoredResponse, epoch: Epoch) {
        let shared = &self.0.shared;
        if response.body.length() > shared.options.max_object {
            return;
        }
        let response = StoredResponse { primary, ..exact(response) };
        // dead on arrival: it was asked for before a purge
        if shared.purges.standing(&response).liveness == Liveness::Dead {
            return;
        }
        let key = response.key;
        let response = {
            let mut shard = shared.pending.shard(&key);
            if shared.epochs.now() != epoch {
                return;
            }
            if key == primary && shared.catalog.index.variants.any(Print::of(&primary)) {
                drop(shard);
                return self.put(primary, StoredResponse { key: primary.beside_variants(), ..response }, epoch);
            }
            let response = Arc::new(response);
            shared.memory.keep(key, Slot::Response(response.clone()));
            shared.pending.put(&mut shard, response.clone(), shared.catalog.may_hold(&key));
            response
        };
        if key != primary {
            self.put_variant(primary, &response, epoch);
        }
        self.wake();
    }

    /// Adds a stored response to the variants of its URL. They take the place of a response that does not vary.
    fn put_variant(&self, primary: CacheKey, response: &StoredResponse, epoch: Epoch) {
        let shared = &self.0.shared;
        let index = &shared.catalog.index;
        let (of, print) = (Print::of(&primary), Print::of(&response.key));
        let mut shard = shared.pending.shard(&primary);
        if shared.epochs.now() != epoch {
            return;
        }
        let known = match shared.memory.recall(&primary) {
            Some(Slot::Variants(list)) => Some(list),
            _ if shared.catalog.is_known() && !index.variants.any(of) => Some(Arc::default()),
            _ => None,
        };
        let pushed_out = index.variants.put(of, print);
        match known {
            Some(known) => {
                let others = known.iter().filter(|variant| variant.key != response.key).cloned();
                let list = [Variant::of(response.key, &response.head)].into_iter().chain(others);
                shared.memory.keep(primary, Slot::Variants(Arc::new(list.take(variants::MOST).collect())));
            }
            // a lookup reads the others
            None => shared.memory.remove(&primary),
        }
        if shared.catalog.may_hold(&primary) || shard.is_waiting(of) {
            shared.pending.forget(&mut shard, of);
        } else {
            shard.version += 1;
        }
        drop(shard);
        if let Some(print) = pushed_out {
            self.forget_variant(print);
        }
    }

    /// Replaces the head of a stored response, the body stays; if it is still the one that is stored. Where the new head
    /// nominates fields and the old one did not, the response becomes a variant.
    pub fn freshen(&self, primary: CacheKey, stored: &StoredResponse, head: StoredHead, epoch: Epoch) {
        let shared = &self.0.shared;
        {
            let shard = shared.pending.shard(&stored.key);
            let is_variant = |index: &Index| index.variants.has(Print::of(&primary), Print::of(&stored.key));
            let held = match (shared.memory.recall(&stored.key), shard.waiting(&stored.key)) {
                // what was forgotten with its URL may be in memory still
                _ if stored.key != primary && !is_variant(&shared.catalog.index) => false,
                (Some(Slot::Response(held)), _) => same(&held, stored),
                (_, Some(Change::Response(held))) => same(held, stored),
                (Some(Slot::Variants(_)), _) | (_, Some(_)) => false,
                // only the disk holds it, and nothing was put there since it was read that memory has forgotten again
                (None, None) => shared.catalog.entry(&stored.key).is_some(),
            };
            if !held {
                return;
            }
        }
        let becomes_variant = stored.key == primary && !head.nominated.is_empty();
        if becomes_variant && matches!(stored.body, StoredBody::Disk(_)) {
            // the file would go with the record that it belongs to
            self.forget(&primary);
            return;
        }
        let key = if becomes_variant { primary.variant(&head.nominated) } else { stored.key };
        self.put(
            primary,
            StoredResponse { key, primary, head, body: stored.body.clone(), checked: Checked::default() },
            epoch,
        );
    }

    /// Forgets what is stored for a URL, all variants of it (RFC 9111 §4.4). Gone from `recall` and `lookup` on return.
    pub fn invalidate(&self, primary: &CacheKey) {
        self.forget(primary);
    }

    /// `true`: something of it may be on the disk still.
    fn forget(&self, primary: &CacheKey) -> bool {
        let shared = &self.0.shared;
        let print = Print::of(primary);
        let (there, variants) = {
            let mut shard = shared.pending.shard(primary);
            let list = shared.memory.recall(primary);
            shared.memory.remove(primary);
            if let Some(Slot::Variants(list)) = list {
                list.iter().for_each(|variant| shared.memory.remove(&variant.key));
            }
            let variants = shared.catalog.index.variants.take(print);
            let there = shared.catalog.may_hold(primary) || shard.is_waiting(print);
            if there {
                shared.pending.forget(&mut shard, print);
            } else {
                shard.version += 1;
            }
            (there, variants)
        };
        variants.iter().for_each(|print| self.forget_variant(*print));
        self.wake();
        there || !variants.is_empty()
    }

    /// Forgets a response that is no variant of its URL any more.
    fn forget_variant(&self, print: Print) {
        let shared = &self.0.shared;
        if let Some(Change::Response(response)) = shared.pending.one(print) {
            shared.memory.remove(&response.key);
        }
        let mut shard = shared.pending.shard_of(print);
        if shared.catalog.index.find(print).is_some() || shard.is_waiting(print) {
            shared.pending.forget(&mut shard, print);
        } else {
            shard.version += 1;
        }
    }

    /// Forgets what is stored for a URL as [`Store::invalidate`] does, and no crash brings it back after the return, unless the disk takes longer than a second.
    pub async fn invalidate_durably(&self, primary: &CacheKey) {
        let shared = &self.0.shared;
        let forgetting = |shared: &Shared| shared.forgetting.load(Relaxed) || shared.pending.has_forgotten();
        if (self.forget(primary) || forgetting(shared)) && shared.is_open() {
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

    /// Begins a body on disk, for one that does not stay in memory. `length`: if it is known.
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
        Ok(BodyWriter::new(path, shared.space.clone(), length.unwrap_or(longest), promise, shared.finishing.clone()))
    }

    /// Counts what bodies on their way here hold in memory.
    pub fn incoming(&self) -> Arc<Incoming> {
        self.0.shared.incoming.clone()
    }

    /// Forgets everything and gives the disk back. From the first poll on nothing is found that was put before.
    pub async fn clear(&self) -> Result<Cleared, StoreError> {
        let clearing = Clearing::begin(&self.0.shared.epochs);
        let (reply, done) = oneshot::channel();
        self.0.commands.send(Command::Clear(clearing, reply)).map_err(|_| StoreError::Closed)?;
        done.await.map_err(|_| StoreError::Closed)?
    }

    /// Waits until everything that was put is on the disk, or cannot be.
    pub async fn flush(&self) {
        let (reply, done) = oneshot::channel();
        if self.0.commands.send(Command::Flush(reply)).is_ok() {
            let _ = done.await;
        }
    }

    /// Looks through all that is on the disk now, not only now and then: what has long been of no use goes, and gives its
    /// space back. How many that were.
    pub async fn sweep(&self) -> u64 {
        let (reply, done) = oneshot::channel();
        match self.0.commands.send(Command::Sweep(reply)) {
            Ok(()) => done.await.unwrap_or(0),
            Err(_) => 0,
        }
    }

    /// Writes what is queued, makes it durable and lets the folder go. The memory tier stays.
    pub async fn close(&self) {
        self.0.shared.finishing.ended().await;
        let (reply, done) = oneshot::channel();
        if self.0.commands.send(Command::Close(Some(reply))).is_ok() {
            let _ = done.await;
        }
    }

    fn wake(&self) {
        if !self.0.shared.woken.swap(true, SeqCst) {
            self.0.shared.notices.send(Notice::Wake);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Close(None));
    }
}

/// What an unsafe request waits for the disk at most.
const INVALIDATION: Duration = Duration::from_secs(1);

/// Is it the response that was looked up, not one that was stored in its place since?
fn same(held: &StoredResponse, stored: &StoredResponse) -> bool {
    held.head == stored.head && held.body.length() == stored.body.length()
}

/// Fields that do not hold on to the buffer that they were read into.
fn exact(mut response: StoredResponse) -> StoredResponse {
    let fields = &response.head.head.fields;
    let copy = |value: &FieldValue| FieldValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| value.clone());
    response.head.head.fields = fields.iter().map(|(name, value)| (name.clone(), copy(value))).collect::<Fields>();
    response
}
