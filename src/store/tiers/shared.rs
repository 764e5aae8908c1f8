//! The state that the workers and the writer share.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread,
};

use tokio::sync::{Notify, watch};

use super::{
    catalog::Catalog,
    epochs::Epochs,
    lookups::Lookups,
    memory::Memory,
    pending::{Change, Pending},
    purges::Purges,
    sketch::Sketch,
    unreadable::Unreadable,
};
use crate::{
    key::CacheKey,
    message::StoredHead,
    purge::Liveness,
    store::{
        Options, State,
        budget::{Budget, Incoming},
        disk::{filling::Finishing, removing::Remover, space::Space},
        format::print::Print,
        notice::{Notice, Notices},
        response::Slot,
        stats::Counters,
    },
};

/// Returns true if a stored response has been of no use for so long that it may be forgotten.
pub type IsDead = Box<dyn Fn(&StoredHead) -> bool + Send + Sync>;

pub struct Shared {
    pub options: Options,
    pub budget: Budget,
    pub memory: Memory,
    pub pending: Pending,
    pub incoming: Arc<Incoming>,
    pub catalog: Catalog,
    pub epochs: Arc<Epochs>,
    pub purges: Purges,
    pub space: Arc<Space>,
    pub remover: Remover,
    /// Counts how often each key is asked for.
    pub sketch: Sketch,
    pub counters: Counters,
    /// The state of the disk. `None` until the first opening has ended.
    pub state: watch::Sender<Option<State>>,
    /// True if the writer was told that something waits to be written.
    pub woken: AtomicBool,
    /// True if the writer was told that enough waits.
    pub has_enough: AtomicBool,
    /// It is known that the databases hold too many pages, or many more than the memory tier makes way for.
    pub easing: AtomicBool,
    /// True if no database may be opened anew: for benches/easing.rs.
    pub keeps_pages: AtomicBool,
    /// Bytes of pages that the memory tier makes way for.
    shared_pages: AtomicU64,
    /// Tells the lookups that wait for it when a database was opened anew.
    pub reopened: Notify,
    /// Something was forgotten, and the journal on the disk does not say so yet.
    pub forgetting: AtomicBool,
    /// The name of the next body that streams into a file.
    pub next_filling: AtomicU64,
    /// Counts the whole bodies that are about to be stored.
    pub finishing: Finishing,
    pub notices: Notices,
    pub is_dead: IsDead,
    pub lookups: Arc<Lookups>,
    /// The keys that could not be read from the disk.
    pub unreadable: Unreadable,
    /// The last problem that was logged. It is not logged again.
    said: Mutex<String>,
}

impl Shared {
    pub fn new(options: Options, is_dead: IsDead, notices: Notices) -> Shared {
        let budget = Budget::new(options.memory);
        let space = Arc::new(Space::new(options.disk, notices.clone()));
        Shared {
            memory: Memory::new(Budget::tier(options.memory, 0, 0)),
            pending: Pending::new(budget.waiting()),
            incoming: Arc::new(Incoming::new(budget)),
            catalog: Catalog::new(),
            epochs: Arc::default(),
            purges: Purges::default(),
            forgetting: AtomicBool::new(false),
            easing: AtomicBool::new(false),
            keeps_pages: AtomicBool::new(false),
            shared_pages: AtomicU64::new(0),
            reopened: Notify::new(),
            remover: Remover::start(space.clone()),
            space,
            notices,
            is_dead,
            sketch: Sketch::new(budget.counters(options.disk)),
            counters: Counters::default(),
            state: watch::Sender::new(None),
            woken: AtomicBool::new(false),
            has_enough: AtomicBool::new(false),
            next_filling: AtomicU64::new(0),
            finishing: Finishing::default(),
            lookups: Arc::new(Lookups::new()),
            unreadable: Unreadable::default(),
            said: Mutex::default(),
            budget,
            options,
        }
    }

    /// Tells the writer, once until it writes, that something waits, and that enough does.
    pub fn wake(&self) {
        if !self.woken.swap(true, SeqCst) {
            self.notices.send(Notice::Wake);
        }
        if self.pending.has_enough() && !self.has_enough.swap(true, SeqCst) {
            self.notices.send(Notice::Enough);
        }
        // where both share a processor, a worker with nothing but misses would leave the writer behind
        if self.pending.is_crowded() {
            thread::yield_now();
        }
    }

    /// Tells the thread that opens databases anew, if they hold too many pages or the memory tier must make way for them.
    pub fn ease_if_needed(&self) {
        let (pages, shared) = (self.catalog.pages(), self.shared_pages.load(Relaxed));
        let most = self.budget.read_pages().min(shared + self.budget.growth());
        if pages > most && !self.keeps_pages.load(Relaxed) && !self.easing.swap(true, Relaxed) {
            self.notices.send(Notice::Ease);
        }
    }

    /// Halves the weights of what was asked for, if it is time.
    pub fn fade(&self) {
        if self.sketch.has_aged(self.catalog.index.responses()) {
            self.sketch.fade();
        }
    }

    /// Gives the memory tier what is left of `--memory` beside the databases.
    pub fn share_memory(&self) {
        let databases = {
            let generations = self.catalog.generations();
            generations.iter().map(|generation| generation.memory() + generation.database.pages()).sum::<u64>()
        };
        self.shared_pages.store(self.catalog.pages(), Relaxed);
        let taken = databases + self.pending.bytes() + self.incoming.held() + self.sketch.size() + self.purges.size();
        self.memory.resize(Budget::tier(self.options.memory, taken, self.catalog.index.len()));
    }

    /// Returns true if it is time to make room, on the disk or in memory for what is on the disk.
    pub fn is_tight(&self) -> bool {
        self.space.is_tight() || self.has_many_records()
    }

    /// Returns true if more is held than the limits allow, on the disk or in memory for what is on the disk.
    pub fn is_over(&self) -> bool {
        self.space.is_over() || self.has_many_records()
    }

    pub fn has_many_records(&self) -> bool {
        self.catalog.index.len() > self.budget.records()
    }

    pub fn is_open(&self) -> bool {
        *self.state.borrow() == Some(State::Open)
    }

    pub fn recall(&self, key: &CacheKey) -> Option<Slot> {
        let slot = self.memory.recall(key).filter(|_| !self.epochs.is_clearing())?;
        if self.is_purged(&slot) {
            return None;
        }
        self.sketch.asked(Print::of(key).0);
        self.counters.memory_hits.fetch_add(1, Relaxed);
        Some(slot)
    }

    /// Returns true if a purge has killed the response. Otherwise the response carries what the rules say of it.
    pub fn is_purged(&self, slot: &Slot) -> bool {
        match slot {
            Slot::Response(response) => self.purges.standing(response).liveness == Liveness::Dead,
            // each variant has its own standing
            Slot::Variants(_) => false,
        }
    }

    /// Removes the variants that are neither on disk nor wait to be written. For the writer alone.
    pub fn remove_lost_variants(&self) {
        for (primary, variants) in self.catalog.index.variants.all() {
            variants.into_iter().for_each(|print| self.remove_if_lost(primary, print));
        }
    }

    /// Removes a variant that is neither on disk nor waits to be written. For the writer alone.
    pub fn remove_if_lost(&self, primary: Print, variant: Print) {
        let index = &self.catalog.index;
        if index.find(variant).is_some() {
            return;
        }
        // a response waits before it becomes a variant, and becomes one under this lock
        let shard = self.pending.shard_of(primary);
        if !self.pending.is_waiting_beside(&shard, primary, variant) && index.find(variant).is_none() {
            index.variants.remove(primary, variant);
        }
    }

    /// Makes the variants that a journal named agree with what was stored and forgotten while it was read. For the writer
    /// alone.
    pub fn reconcile_variants(&self) {
        let index = &self.catalog.index;
        index.remove_lost_variants();
        for (print, waiting) in self.pending.all(|_| true) {
            // a forgotten URL has no older variants, nor has one with a response that does not vary
            let is_primary = !matches!(&waiting.change, Change::Response(response) if response.primary != response.key);
            let older = if is_primary { index.variants.take(print) } else { Vec::new() };
            for variant in older {
                let mut shard = self.pending.shard_of(variant);
                if shard.is_waiting(variant) {
                    drop(shard);
                    index.variants.add(print, variant);
                } else {
                    self.pending.forget(&mut shard, variant);
                }
            }
            if let Change::Response(response) = &waiting.change
                && response.primary != response.key
            {
                index.variants.put(Print::of(&response.primary), print);
            }
        }
    }

    /// Counts a response that was damaged on the disk, and says so for the first one.
    pub fn note_damage(&self) {
        if self.counters.damaged.fetch_add(1, Relaxed) == 0 {
            log::warn!(
                "a stored response was damaged on the disk, and is fetched again; larder stats counts such responses"
            );
        }
    }

    /// Logs a problem once, until another one comes up.
    pub fn warn_once(&self, problem: String) {
        let mut said = self.said.lock().unwrap_or_else(|poison| poison.into_inner());
        if *said != problem {
            log::warn!("{problem}");
            *said = problem;
        }
    }

    /// Ends the problem that was logged last, so that the next one is logged again. Returns true if there was one.
    pub fn has_recovered(&self) -> bool {
        !std::mem::take(&mut *self.said.lock().unwrap_or_else(|poison| poison.into_inner())).is_empty()
    }
}
