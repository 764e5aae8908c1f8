//! A lookup: it looks in the memory tier, then in what waits to be written, then on the disk. The first that knows the key
//! wins.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{lookups::Turn, pending::Change, shared::Shared, together};
use crate::{
    key::CacheKey,
    purge::Checked,
    store::{
        StoreError,
        disk::generation::{FoundBody, Generation},
        format::{
            print::{Entry, Print},
            record::{self, Record, RecordBody, Variant},
        },
        hop::PATIENCE,
        response::{Slot, StoredBody, StoredResponse},
    },
};

/// What a lookup has read from the disk.
#[derive(Default)]
struct Read {
    slot: Option<Slot>,
    variants: Vec<Variant>,
    /// Some variants could not be read.
    missed: bool,
    /// A database that it needs is being opened anew.
    is_reopening: bool,
}

impl Shared {
    /// Looks in memory, then in what waits to be written, then on the disk.
    pub async fn lookup(self: &Arc<Self>, key: &CacheKey) -> Option<Slot> {
        if let Some(slot) = self.recall(key) {
            return Some(slot);
        }
        self.sketch.asked(Print::of(key).0);
        let found = self.find(key, true).await;
        let counter = if found.is_some() { &self.counters.disk_hits } else { &self.counters.misses };
        counter.fetch_add(1, Relaxed);
        found
    }

    /// Looks a key up, but counts nothing and makes nothing more worth keeping.
    pub async fn peek(self: &Arc<Self>, key: &CacheKey) -> Option<Slot> {
        let in_memory = self.memory.peek(key).filter(|slot| !self.epochs.is_clearing() && !self.is_purged(slot));
        if in_memory.is_some() {
            return in_memory;
        }
        self.find(key, false).await
    }

    /// Looks in what waits to be written, then on the disk. `keeps`: memory holds what was found from then on.
    async fn find(self: &Arc<Self>, key: &CacheKey, keeps: bool) -> Option<Slot> {
        if self.epochs.is_clearing() {
            return None;
        }
        let mut turn = None;
        // a lookup that waits for its turn needs two tries for each read, and two more for each database that is opened anew
        let mut tries = 0..16;
        while tries.next().is_some() {
            let (version, variants) = {
                let shard = self.pending.shard(key);
                let variants = self.catalog.index.variants.of(Print::of(key));
                match shard.waiting(key) {
                    Some(Change::Response(response)) => {
                        let slot = Slot::Response(response.clone());
                        return if self.is_purged(&slot) { None } else { Some(slot) };
                    }
                    Some(Change::Forgotten) if variants.is_empty() => return None,
                    _ => (shard.version, variants),
                }
            };
            let is_varying = !variants.is_empty();
            let (waiting, written) = self.known_variants(key, variants);
            // what was forgotten is not known any more: nothing on the disk can be believed
            let is_open = self.is_open() && !self.pending.overflowed();
            let there = is_open && (!written.is_empty() || !is_varying && self.catalog.entry(key).is_some());
            let found = if there {
                match turn.take().or_else(|| self.lookups.free().map(Ok)) {
                    Some(Ok(turn)) => match self.read_behind(key, version, written, turn).await {
                        Ok(Read { is_reopening: true, .. }) => {
                            self.reopened().await;
                            continue;
                        }
                        read => read,
                    },
                    Some(Err(refused)) => Err(refused),
                    None => {
                        turn = Some(self.turn().await);
                        // what waits to be written may have changed meanwhile
                        continue;
                    }
                }
            } else {
                Ok(Read::default())
            };
            let mut shard = self.pending.shard(key);
            if shard.version != version {
                // it changed while the disk was read
                continue;
            }
            let slot = match found {
                _ if is_varying => {
                    let read = found.unwrap_or(Read { missed: true, ..Read::default() });
                    let mut list = [waiting, read.variants].concat();
                    list.sort_by_key(|variant| std::cmp::Reverse(variant.response_time));
                    let is_whole = is_open && !read.missed;
                    match list.is_empty() {
                        true => None,
                        false if is_whole => Some(Slot::Variants(list.into())),
                        // memory must not take it for all of them
                        false => return Some(Slot::Variants(list.into())),
                    }
                }
                Ok(read) => read.slot,
                Err(StoreError::Damaged(what)) => {
                    self.note_damage();
                    log::debug!("{key:?} is damaged on disk ({what}) and is forgotten");
                    self.unreadable.note(Print::of(key));
                    self.pending.forget(&mut shard, Print::of(key));
                    None
                }
                Err(StoreError::Io(_)) => {
                    self.unreadable.note(Print::of(key));
                    None
                }
                Err(_) => None,
            };
            let Some(slot) = slot else { break };
            if self.is_purged(&slot) {
                // to give its room back
                self.memory.remove(key);
                self.pending.forget(&mut shard, Print::of(key));
                drop(shard);
                self.wake();
                return None;
            }
            if keeps {
                self.memory.keep(*key, slot.clone());
            }
            if slot.home().is_some_and(|generation| self.catalog.generation(generation).is_none()) {
                // the generation was removed meanwhile: an open file would keep its room on the disk
                self.memory.remove(key);
            }
            drop(shard);
            return Some(slot);
        }
        None
    }

    /// Returns the variants of a URL that wait to be written, and the prints of those that may be on disk.
    fn known_variants(&self, primary: &CacheKey, prints: Vec<Print>) -> (Vec<Variant>, Vec<Print>) {
        let (mut waiting, mut written) = (Vec::new(), Vec::new());
        for print in prints {
            match self.pending.one(print) {
                Some(Change::Response(response)) if response.primary == *primary => {
                    waiting.push(Variant::of(response.key, &response.head));
                }
                Some(_) => {}
                None if self.catalog.index.find(print).is_some() => written.push(print),
                None => {}
            }
        }
        (waiting, written)
    }

    /// Waits until a database was opened anew. The lookup has no turn meanwhile, so that others can read.
    async fn reopened(&self) {
        let reopened = self.reopened.notified();
        if self.catalog.generations().iter().any(|generation| generation.database.is_reopening()) {
            // late: the next try says if it is still so
            let _ = tokio::time::timeout(PATIENCE, reopened).await;
        }
    }

    /// Waits for a turn to read the disk. Counts a refusal.
    async fn turn(&self) -> Result<Turn, StoreError> {
        self.lookups.turn().await.ok_or_else(|| {
            self.counters.refused.fetch_add(1, Relaxed);
            StoreError::Busy
        })
    }

    /// Reads the disk on a thread that may block: the variants with these prints, or the response where there are none. The
    /// turn ends with the read.
    async fn read_behind(
        self: &Arc<Self>,
        key: &CacheKey,
        version: u64,
        variants: Vec<Print>,
        turn: Turn,
    ) -> Result<Read, StoreError> {
        let (shared, key) = (self.clone(), *key);
        let found = together::read(move || {
            let read = match variants.is_empty() {
                true => match shared.read(&key, version) {
                    Ok(slot) => Ok(Read { slot, ..Read::default() }),
                    Err(StoreError::Busy) => Ok(Read { is_reopening: true, ..Read::default() }),
                    Err(error) => Err(error),
                },
                false => Ok(shared.read_variants(&key, &variants)),
            };
            drop(turn);
            read
        });
        let found = found.await;
        if let Err(StoreError::Io(error)) = &found {
            self.failed_to_read(error);
        }
        found
    }

    fn failed_to_read(&self, error: &std::io::Error) {
        self.counters.errors.fetch_add(1, Relaxed);
        self.warn_once(format!("reading the cache failed: {error}"));
    }

    /// Reads what the disk holds under a key, at this version of the key's shard. Blocks.
    pub fn read(&self, key: &CacheKey, version: u64) -> Result<Option<Slot>, StoreError> {
        self.newest(Print::of(key), |generation| {
            generation.database.find(key)?.map(|record| self.understand(*key, version, record)).transpose()
        })
    }

    /// Reads the variants of a URL that have these prints. What is damaged is forgotten. Blocks.
    fn read_variants(&self, primary: &CacheKey, prints: &[Print]) -> Read {
        let mut read = Read::default();
        for print in prints {
            let found = self.newest(*print, |generation| match generation.database.find_print(*print)? {
                Some((key, record)) => match record::decode_variant(&key, &record) {
                    Some(variant) => Ok(Some(variant)),
                    None => Err(StoreError::Damaged("a record")),
                },
                None => Ok(None),
            });
            match found {
                Ok(Some((of, variant))) if of == *primary => read.variants.push(variant),
                Ok(_) => {}
                Err(StoreError::Damaged(_)) => {
                    self.note_damage();
                    self.pending.forget(&mut self.pending.shard_of(*print), *print);
                }
                Err(StoreError::Busy) => read.is_reopening = true,
                Err(error) => {
                    if let StoreError::Io(error) = &error {
                        self.failed_to_read(error);
                    }
                    read.missed = true;
                }
            }
        }
        read
    }

    /// Finds something in the generation that holds the newest record of a key.
    pub fn newest<T>(
        &self,
        print: Print,
        find: impl Fn(&Generation) -> Result<Option<T>, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut entry: Option<Entry> = self.catalog.index.find(print);
        while let Some(now) = entry {
            let read = self.catalog.generation(now.generation).map(|generation| find(&generation));
            self.ease_if_needed();
            match read {
                Some(Ok(found)) => return Ok(found),
                Some(Err(error)) if self.catalog.is_current(print, now) => return Err(error),
                // the generation was removed a moment ago, and its record may have been copied
                _ => entry = self.catalog.index.find(print).filter(|later| *later != now),
            }
        }
        Ok(None)
    }

    /// Finds the body of a record, which may be in another generation.
    fn understand(
        &self,
        key: CacheKey,
        version: u64,
        Record { primary, head, body }: Record,
    ) -> Result<Slot, StoreError> {
        let body = match body {
            RecordBody::Inline(bytes) => StoredBody::Memory(bytes),
            RecordBody::Beside(home) => {
                let generation = self.catalog.generation(home.generation);
                let generation = generation.ok_or(StoreError::Damaged("the generation of a body"))?;
                match generation.find_body(home.location)? {
                    FoundBody::Memory(bytes) => StoredBody::Memory(bytes),
                    FoundBody::Disk(body) => {
                        body.watch(key, &self.notices);
                        StoredBody::Disk(body)
                    }
                }
            }
        };
        Ok(Slot::Response(Arc::new(StoredResponse {
            key,
            primary,
            head,
            body,
            version,
            checked: Checked::default(),
            derived: Default::default(),
            hits: Default::default(),
            parts: None,
        })))
    }
}
