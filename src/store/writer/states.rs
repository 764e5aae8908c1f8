//! Changes the state of the disk: opens, clears and closes it, and goes on without it if it fails.

use std::{io, sync::atomic::Ordering::Relaxed, thread, time::Duration};

use super::{
    super::{
        Cleared, OpenError, State, StoreError,
        disk::folder::{self, FolderLock},
        tiers::epochs::Clearing,
    },
    FIRST_SWEEP, Generations, MEASURE, Open, Rotation, Sweeping, Writer, answer, opening,
};
use crate::clock;

/// How long after a failure the disk is tried again: at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));
/// How long the end waits for room for what is not written yet.
const LAST_ROOM: Duration = Duration::from_secs(1);

impl Writer {
    /// Opens the disk, or tries again soon.
    pub(super) fn open_first(&mut self) {
        self.open(RETRY.0);
    }

    /// Opens the disk, which must not be open. If it fails, tries again `retry_after` later.
    pub(super) fn open(&mut self, retry_after: Duration) {
        debug_assert!(self.open.is_none(), "a second opening takes the folder from the first one");
        match self.try_open() {
            Ok(set) => {
                self.open = Some(Open { set, rotation: Rotation::default(), sweeping: Sweeping::default() });
                self.retry = None;
                self.measure_at = Some(clock::instant() + MEASURE);
                self.sweep_at = Some(clock::instant() + FIRST_SWEEP);
                // the limit may be lower than the last time
                self.rotate_if_over();
                self.shared.state.send_replace(Some(State::Open));
                if self.shared.has_recovered() {
                    log::info!("the cache on disk works again");
                }
                if self.shared.purges.waiting().is_some() {
                    self.sync();
                }
                if !self.shared.pending.is_empty() {
                    self.write_at = Some(clock::instant());
                }
            }
            Err(error) => self.down(error.to_string(), retry_after),
        }
    }

    fn try_open(&mut self) -> Result<Generations, OpenError> {
        let folder = &self.shared.options.folder;
        if !self.lock.as_ref().is_some_and(FolderLock::holds) {
            self.lock = None;
            self.lock = Some(folder::lock(folder)?);
        }
        let io = |error| OpenError::Io(folder.clone(), error);
        if self.shared.pending.overflowed() {
            self.shared.pending.clear();
            self.move_live_away().map_err(io)?;
        }
        let set = loop {
            match opening::open(&self.shared, self.commands.clone(), self.next_number) {
                Err(error) if opening::give_room_back(folder, &error).map_err(io)? => {
                    log::debug!("the disk is full ({error}); some of the cache was removed");
                }
                opened => break opened.map_err(io)?,
            }
        };
        self.next_number = Some(set.next_number);
        if self.shared.catalog.index.len() == 0 {
            self.shared.purges.paths.complete();
        }
        Ok(set)
    }

    /// Moves all that is stored out of the way, to be removed behind.
    fn move_live_away(&self) -> io::Result<()> {
        let (shared, folder) = (&self.shared, &self.shared.options.folder);
        let stored = shared.space.leaves(shared.space.stored());
        let live = folder::clear_live(folder)?;
        shared.space.set_measured(0, folder);
        if let Some(live) = live {
            shared.remover.remove(live, Some(stored));
        }
        // what was set aside
        folder::gone(folder)?.into_iter().for_each(|path| shared.remover.remove(path, None));
        Ok(())
    }

    /// Works without the disk from now on, and tries again later.
    pub(super) fn down(&mut self, why: String, retry_after: Duration) {
        if let Some(open) = self.open.take() {
            open.set.forget_unsynced();
        }
        self.shared.warn_once(format!("the cache works in memory alone: {why}"));
        self.shared.state.send_replace(Some(State::Down(why)));
        self.waits_for_room = false;
        self.rooms.clear();
        answer(&mut self.flushes);
        answer(&mut self.forgotten);
        self.await_wake();
        (self.sync_at, self.rotate_at, self.measure_at, self.sweep_at) = Default::default();
        self.retry = Some((clock::instant() + retry_after, (retry_after * 2).min(RETRY.1)));
    }

    pub(super) fn failed(&mut self, error: StoreError) {
        self.shared.counters.errors.fetch_add(1, Relaxed);
        self.down(format!("writing failed: {error}"), RETRY.0);
    }

    pub(super) fn clear(&mut self, clearing: Clearing) -> Result<Cleared, StoreError> {
        let shared = self.shared.clone();
        let (responses, bytes) = shared.held();
        let cleared = Cleared { responses, bytes };
        let open = self.open.take();
        // before what waits goes: what comes after that is woken for
        self.await_wake();
        shared.catalog.generations_mut().clear();
        shared.catalog.index.remove_all();
        shared.pending.clear();
        shared.memory.clear();
        drop(clearing);
        (self.sync_at, self.rotate_at, self.measure_at, self.sweep_at) = Default::default();
        if let Some(Open { set, rotation, sweeping }) = open {
            self.next_number = Some(set.next_number);
            // closing many databases takes a while
            shared.remover.work(move || drop((set, rotation, sweeping)));
        }
        let moved = match &self.lock {
            Some(_) => self.move_live_away(),
            None => Err(io::Error::other("the cache folder is not ours")),
        };
        self.open(RETRY.0);
        self.waits_for_room = false;
        answer(&mut self.flushes);
        answer(&mut self.forgotten);
        self.answer_rooms();
        moved.map(|()| cleared).map_err(StoreError::Io)
    }

    pub(super) fn close(&mut self) {
        let began = clock::instant();
        self.write_all();
        while self.waits_for_room && began.elapsed() < LAST_ROOM {
            thread::park_timeout(LAST_ROOM / 100);
            self.write_all();
        }
        self.sync();
        answer(&mut self.flushes);
        answer(&mut self.forgotten);
        self.easing.end();
        if let Some(Open { set, rotation, sweeping }) = self.open.take() {
            // they may hold a generation, whose database could not be opened once more
            drop((rotation, sweeping));
            set.close();
        }
        self.shared.catalog.index.remove_all();
        self.shared.state.send_replace(Some(State::Closed));
        self.shared.remover.end();
        self.lock = None;
    }
}
