//! What the workers and the writer share.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use tokio::sync::watch;

use super::{
    catalog::Catalog,
    epochs::Epochs,
    lookups::{Lookups, Turn},
    memory::Memory,
    pending::{Change, Pending, Shard},
    sketch::Sketch,
};
use crate::{
    key::CacheKey,
    message::StoredHead,
    store::{
        Options, State, Stats, StoreError,
        budget::{Budget, Incoming},
        disk::{
            filling::Finishing,
            generation::{Found, FoundBody},
            space::Space,
        },
        format::{
            print::{Print, Size},
            record::Variant,
        },
        hop::patient_hop,
        notice::{Notice, Notices},
        response::{Slot, StoredBody, StoredResponse},
        stats::Counters,
    },
};

/// So many variants of one URL are kept.
pub const VARIANTS: usize = 32;

/// Whether a stored response has been of no use for so long that it may go.
pub type IsDead = Box<dyn Fn(&StoredHead) -> bool + Send + Sync>;

pub struct Shared {
    pub options: Options,
    pub budget: Budget,
    pub memory: Memory,
    pub pending: Pending,
    pub incoming: Arc<Incoming>,
    pub catalog: Catalog,
    pub epochs: Arc<Epochs>,
    pub space: Arc<Space>,
    /// How often is asked for what.
    pub sketch: Sketch,
    pub counters: Counters,
    /// What the store is doing; `None` until opening was tried.
    pub state: watch::Sender<Option<State>>,
    /// The writer knows that there is something to write.
    pub woken: AtomicBool,
    /// The writer knows that the databases hold too many pages.
    pub easing: AtomicBool,
    /// Something was forgotten, and the journal on the disk does not say so yet.
    pub forgetting: AtomicBool,
    /// A name for the next body that is being filled.
    pub next_filling: AtomicU64,
    /// Bodies that are about to be stored.
    pub finishing: Finishing,
    pub notices: Notices,
    pub is_dead: IsDead,
    lookups: Arc<Lookups>,
    /// The last problem that was said, so that it is said once.
    said: Mutex<String>,
}

impl Shared {
    pub fn new(options: Options, is_dead: IsDead, notices: Notices) -> Shared {
        let budget = Budget::new(options.memory);
        Shared {
            memory: Memory::new(Budget::tier(options.memory, 0, 0)),
            pending: Pending::new(budget.waiting()),
            incoming: Arc::new(Incoming::new(budget)),
            catalog: Catalog::new(),
            epochs: Arc::default(),
            forgetting: AtomicBool::new(false),
            easing: AtomicBool::new(false),
            space: Arc::new(Space::new(options.disk, notices.clone())),
            notices,
            is_dead,
            sketch: Sketch::new(budget.counters(options.disk)),
            counters: Counters::default(),
            state: watch::Sender::new(None),
            woken: AtomicBool::new(false),
            next_filling: AtomicU64::new(0),
            finishing: Finishing::default(),
            lookups: Arc::new(Lookups::new()),
            said: Mutex::default(),
            budget,
            options,
        }
    }

    /// The memory tier has what is left of `--memory` beside these bytes of databases.
    pub fn share_memory(&self, databases: u64) {
        let taken = databases + self.pending.bytes() + self.incoming.held() + self.sketch.size();
        self.memory.resize(Budget::tier(self.options.memory, taken, self.catalog.index.len()));
    }

    /// Is it time to make room: on the disk, or in memory for what is on the disk?
    pub fn is_tight(&self) -> bool {
        self.space.is_tight() || self.has_many_records()
    }

    /// Returns true if more is held than the limits allow: on the disk, or in memory for what is on the disk.
    pub fn is_over(&self) -> bool {
        self.space.is_over() || self.has_many_records()
    }

    pub fn has_many_records(&self) -> bool {
        self.catalog.index.len() > self.budget.records()
    }

    pub fn is_open(&self) -> bool {
        *self.state.borrow() == Some(State::Open)
    }

    /// Returns true if a list of variants is stored under this key. `shard` is the key's.
    pub fn holds_variants(&self, shard: &Shard, key: &CacheKey) -> bool {
        match (self.memory.recall(key), shard.waiting(key)) {
            (Some(slot), _) => matches!(slot, Slot::Variants(_)),
            (None, Some(change)) => matches!(change, Change::Variants { .. }),
            (None, None) => self.catalog.entry(key).is_some_and(|entry| entry.size == Size::LIST),
        }
    }

    pub fn recall(&self, key: &CacheKey) -> Option<Slot> {
        let slot = self.memory.recall(key).filter(|_| !self.epochs.is_clearing())?;
        self.sketch.asked(Print::of(key).0);
        self.counters.memory_hits.fetch_add(1, Relaxed);
        Some(slot)
    }

    /// Memory, then what waits to be written, then the disk.
    pub async fn lookup(self: &Arc<Self>, key: &CacheKey) -> Option<Slot> {
        if let Some(slot) = self.recall(key) {
            return Some(slot);
        }
        self.sketch.asked(Print::of(key).0);
        if self.epochs.is_clearing() {
            return self.missed();
        }
        let mut turn = None;
        // a lookup that waits for its turn needs two tries for each read
        let mut tries = 0..8;
        while tries.next().is_some() {
            let (version, added) = {
                let shard = self.pending.shard(key);
                match shard.waiting(key) {
                    Some(Change::Forgotten) => return self.missed(),
                    Some(Change::Response(response)) => return self.hit(Slot::Response(response.clone())),
                    Some(Change::Variants { list, whole: true }) => return self.hit(Slot::Variants(list.clone())),
                    Some(Change::Variants { list, whole: false }) => (shard.version, Some(list.clone())),
                    None => (shard.version, None),
                }
            };
            let there = self.is_open() && self.catalog.entry(key).is_some();
            let found = if there {
                match turn.take().or_else(|| self.lookups.free().map(Ok)) {
                    Some(Ok(turn)) => self.read_behind(key, turn).await,
                    Some(Err(refused)) => Err(refused),
                    None => {
                        turn = Some(self.turn().await);
                        // what waits to be written may have changed meanwhile
                        continue;
                    }
                }
            } else {
                Ok(None)
            };
            let mut shard = self.pending.shard(key);
            if shard.version != version {
                // it changed while the disk was read
                continue;
            }
            let slot = match (found, added) {
                (Ok(Some(Slot::Variants(stored))), Some(added)) => Some(Slot::Variants(merged(&added, &stored).into())),
                (Ok(slot), None) => slot,
                (Ok(_), Some(added)) if self.is_open() => Some(Slot::Variants(added)),
                // not to be taken for all of them
                (_, Some(added)) => return self.hit(Slot::Variants(added)),
                (Err(StoreError::Damaged(what)), None) => {
                    self.counters.damaged.fetch_add(1, Relaxed);
                    log::debug!("{key:?} is damaged on disk ({what}) and is forgotten");
                    self.pending.add(&mut shard, *key, Change::Forgotten, true);
                    None
                }
                (Err(_), None) => None,
            };
            let Some(slot) = slot else { break };
            self.memory.keep(*key, slot.clone());
            if slot.home().is_some_and(|generation| self.catalog.generation(generation).is_none()) {
                // dropped meanwhile: an open file keeps its room on the disk
                self.memory.remove(key);
            }
            drop(shard);
            return self.hit(slot);
        }
        self.missed()
    }

    /// Waits for a turn to read the disk. Counts a refusal.
    async fn turn(&self) -> Result<Turn, StoreError> {
        self.lookups.turn().await.ok_or_else(|| {
            self.counters.refused.fetch_add(1, Relaxed);
            StoreError::Busy
        })
    }

    /// Reads the disk on a thread that may block. The turn ends with the read.
    async fn read_behind(self: &Arc<Self>, key: &CacheKey, turn: Turn) -> Result<Option<Slot>, StoreError> {
        let (shared, key) = (self.clone(), *key);
        let found = patient_hop(move || {
            let slot = shared.read(&key);
            drop(turn);
            slot
        });
        let found = found.await;
        if let Err(StoreError::Io(error)) = &found {
            self.counters.errors.fetch_add(1, Relaxed);
            self.warn_once(format!("reading the cache failed: {error}"));
        }
        found
    }

    /// Reads what the disk holds under a key. Blocks.
    pub fn read(&self, key: &CacheKey) -> Result<Option<Slot>, StoreError> {
        let print = Print::of(key);
        let mut entry = self.catalog.index.find(print);
        while let Some(now) = entry {
            let read = self.catalog.generation(now.generation).map(|generation| generation.find(key));
            if self.catalog.pages() > self.budget.pages() && !self.easing.swap(true, Relaxed) {
                self.notices.send(Notice::Ease);
            }
            match read {
                Some(Ok(found)) => return Ok(found.map(|found| self.slot(*key, found))),
                Some(Err(error)) if self.catalog.is_current(print, now) => return Err(error),
                // the generation was dropped a moment ago, and what was in it may have moved
                _ => entry = self.catalog.index.find(print).filter(|later| *later != now),
            }
        }
        Ok(None)
    }

    fn slot(&self, key: CacheKey, found: Found) -> Slot {
        let (head, body) = match found {
            Found::Variants(list) => return Slot::Variants(list.into()),
            Found::Response(head, body) => (head, body),
        };
        let body = match body {
            FoundBody::Memory(bytes) => StoredBody::Memory(bytes),
            FoundBody::Disk(body) => {
                body.watch(key, &self.notices);
                StoredBody::Disk(body)
            }
        };
        Slot::Response(Arc::new(StoredResponse { key, head, body }))
    }

    /// Says a problem once, until another one comes up.
    pub fn warn_once(&self, problem: String) {
        let mut said = self.said.lock().unwrap_or_else(|poison| poison.into_inner());
        if *said != problem {
            log::warn!("{problem}");
            *said = problem;
        }
    }

    /// The problems are over: the next one is said again.
    pub fn has_recovered(&self) -> bool {
        !std::mem::take(&mut *self.said.lock().unwrap_or_else(|poison| poison.into_inner())).is_empty()
    }

    fn hit(&self, slot: Slot) -> Option<Slot> {
        self.counters.disk_hits.fetch_add(1, Relaxed);
        Some(slot)
    }

    fn missed(&self) -> Option<Slot> {
        self.counters.misses.fetch_add(1, Relaxed);
        None
    }

    /// How many responses are stored, those that wait for the disk included, and their bytes.
    pub fn held(&self) -> (u64, u64) {
        let (waiting, bytes) = self.pending.responses(|key| self.catalog.entry(key).is_some());
        (self.catalog.index.responses() + waiting, self.catalog.index.bytes() + bytes)
    }

    pub fn stats(&self) -> Stats {
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        let (responses, bytes) = self.held();
        Stats {
            state: self.state.borrow().clone().unwrap_or(State::Opening),
            responses,
            bytes,
            memory_used: self.memory.used(),
            memory_limit: self.options.memory,
            disk_used: self.space.used(),
            disk_limit: self.options.disk,
            effective_disk_limit: self.space.limit(),
            waiting: self.pending.bytes(),
            memory_hits: count(&self.counters.memory_hits),
            disk_hits: count(&self.counters.disk_hits),
            misses: count(&self.counters.misses),
            evicted: count(&self.counters.evicted),
            swept: count(&self.counters.swept),
            not_written: self.pending.dropped(),
            not_read: count(&self.counters.refused),
            damaged: count(&self.counters.damaged),
            errors: count(&self.counters.errors),
            set_aside: count(&self.counters.set_aside),
        }
    }
}

/// The newer variants before the older ones, none twice, the oldest left out where they are too many.
pub fn merged(newer: &[Variant], older: &[Variant]) -> Vec<Variant> {
    let mut list = newer.to_vec();
    list.extend(older.iter().filter(|variant| newer.iter().all(|new| new.key != variant.key)).cloned());
    list.truncate(VARIANTS);
    list
}

/// The variants that a list had and its successor has not: no lookup leads to them any more.
pub fn left_out<'a>(before: &'a [Variant], after: &'a [Variant]) -> impl Iterator<Item = CacheKey> + 'a {
    let stays = |key: &CacheKey| after.iter().any(|variant| variant.key == *key);
    before.iter().map(|variant| variant.key).filter(move |key| !stays(key))
}
