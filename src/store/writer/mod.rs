//! The one thread that opens, writes, syncs and clears the disk, and tries again if the disk failed.
//!
//! | file | what it does |
//! |---|---|
//! | this file | takes commands and does what is due: write, sync, measure, rotate, sweep, try again |
//! | [`command`] | the commands of the writer |
//! | [`states`] | opens, clears and closes the disk, and goes on without it if it fails |
//! | [`opening`] | makes generations of a folder, in whatever state it is |
//! | [`generations`] | writes changes: bodies, records, lines of the journal, the index |
//! | [`active`] | the generation that is written to |
//! | [`rotation`] | makes room |
//! | [`sweep`] | forgets what is long dead |

mod active;
mod command;
mod generations;
mod opening;
mod rotation;
mod states;
mod sweep;

use std::{
    sync::{
        Arc, Weak,
        atomic::Ordering::{Relaxed, SeqCst},
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

pub use command::Command;
use generations::Generations;
use rotation::Rotation;
use sweep::Sweeping;

use tokio::sync::oneshot;

use super::{
    StoreError,
    disk::{folder::FolderLock, generation::Generation},
    format::print::Print,
    notice::Notice,
    tiers::{pending::Change, shared::Shared},
};
use crate::{clock, key::CacheKey};

/// The time for which changes are gathered before they are written.
const GATHER: Duration = Duration::from_millis(50);
/// The time after which what was written is synced, at the latest.
const SYNC: Duration = Duration::from_millis(400);
/// The time after which the disk is tried again: at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));
/// The times before a sweep: after an opening, after the last sweep, between the steps of one.
const FIRST_SWEEP: Duration = Duration::from_secs(60);
const SWEEP: Duration = Duration::from_secs(6 * 3600);
const SWEEP_STEP: Duration = Duration::from_millis(50);
/// The time after which the disk is measured again, also if nothing is written: others may fill it. (The store's own tests do
/// not wait for a minute.)
const MEASURE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 60 });
/// The time for which the end waits for room for what is not written yet.
const LAST_ROOM: Duration = Duration::from_secs(1);
/// The least and the most bytes that are written together.
const BATCH: (u64, u64) = (64 << 10, 1 << 20);

struct Writer {
    shared: Arc<Shared>,
    /// Takes the commands of the thread that counts files after an opening.
    commands: Sender<Command>,
    lock: Option<FolderLock>,
    open: Option<Open>,
    /// The least number of the next generation. A database that is still being closed never shares a folder with another.
    /// `None` before the first opening.
    next_number: Option<u32>,
    /// Those who wait for everything to be written, and for room.
    flushes: Vec<oneshot::Sender<()>>,
    rooms: Vec<oneshot::Sender<()>>,
    /// True if what waits cannot be written before something was removed.
    waits_for_room: bool,
    /// When the disk is tried again, and the time to the next try if that fails.
    retry: Option<(Instant, Duration)>,
    write_at: Option<Instant>,
    sync_at: Option<Instant>,
    rotate_at: Option<Instant>,
    measure_at: Option<Instant>,
    sweep_at: Option<Instant>,
}

/// The disk while it is open, and how far the work on it has come that is done in steps.
struct Open {
    set: Generations,
    rotation: Rotation,
    sweeping: Sweeping,
}

/// Runs the writer until it is told to close.
pub fn run(shared: Arc<Shared>, (commands, received): (Sender<Command>, Receiver<Command>), lock: Option<FolderLock>) {
    let (retry, write_at, sync_at, rotate_at, measure_at, sweep_at) = Default::default();
    let (open, next_number, flushes, rooms, waits_for_room) = Default::default();
    let mut writer = Writer {
        shared,
        commands,
        lock,
        open,
        next_number,
        flushes,
        rooms,
        waits_for_room,
        retry,
        write_at,
        sync_at,
        rotate_at,
        measure_at,
        sweep_at,
    };
    writer.open(RETRY.0);
    loop {
        match writer.next(&received) {
            Ok(Command::Notice(Notice::Wake)) => {
                writer.shared.woken.store(false, SeqCst);
                writer.write_at.get_or_insert_with(|| clock::instant() + GATHER);
            }
            Ok(Command::Notice(Notice::Unreadable(key))) => writer.forget_unreadable(&key),
            Ok(Command::Notice(Notice::Purged)) => {
                writer.sync_at.get_or_insert_with(|| clock::instant() + SYNC);
            }
            Ok(Command::Notice(Notice::Ease)) => writer.ease(),
            Ok(Command::Counted { generation, guess, counted }) => writer.counted(&generation, guess, counted),
            Ok(Command::Notice(Notice::Room(reply))) => {
                writer.rooms.push(reply);
                writer.answer_rooms();
            }
            Ok(Command::Notice(Notice::Removed)) => {
                writer.answer_rooms();
                if !writer.shared.pending.is_empty() {
                    writer.write_at = Some(clock::instant());
                }
            }
            Ok(Command::Flush(reply)) => {
                writer.flushes.push(reply);
                writer.flush();
            }
            Ok(Command::Forgotten(reply)) => {
                writer.write_forgotten();
                let _ = reply.send(());
            }
            Ok(Command::Purge(reply)) => {
                let _ = reply.send(writer.purge());
            }
            Ok(Command::Sweep(reply)) => {
                let _ = reply.send(writer.sweep_all());
            }
            Ok(Command::Clear(clearing, reply)) => {
                let cleared = writer.clear(clearing);
                let _ = reply.send(cleared);
            }
            Ok(Command::Close(reply)) => {
                writer.close();
                if let Some(reply) = reply {
                    let _ = reply.send(());
                }
                return;
            }
            Err(RecvTimeoutError::Timeout) => writer.tick(),
            Err(RecvTimeoutError::Disconnected) => return writer.close(),
        }
    }
}

impl Writer {
    /// Returns the next command, or a timeout when something is due.
    fn next(&self, commands: &Receiver<Command>) -> Result<Command, RecvTimeoutError> {
        let retry_at = self.retry.map(|(at, _)| at);
        let due = [retry_at, self.write_at, self.sync_at, self.rotate_at, self.measure_at, self.sweep_at];
        match due.into_iter().flatten().min() {
            Some(due) => commands.recv_timeout(due.saturating_duration_since(clock::instant())),
            None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn tick(&mut self) {
        let now = clock::instant();
        if let Some((_, after)) = self.retry.take_if(|(at, _)| *at <= now) {
            self.open(after);
        }
        if self.write_at.is_some_and(|at| at <= now) {
            if self.flushes.is_empty() { self.write() } else { self.flush() }
        }
        if self.measure_at.is_some_and(|at| at <= now) {
            self.measure();
        }
        if self.rotate_at.is_some_and(|at| at <= now) {
            self.rotate();
        }
        if self.sync_at.is_some_and(|at| at <= now) {
            self.sync();
        }
        if self.sweep_at.is_some_and(|at| at <= now) {
            let more = self.sweep();
            self.sweep_at = self.open.as_ref().map(|_| clock::instant() + if more { SWEEP_STEP } else { SWEEP });
        }
    }

    /// Writes what waits, for 50 ms at most, because other commands wait, too. If there is room only for what was forgotten, the
    /// rest waits until something was removed.
    fn write(&mut self) {
        self.write_at = None;
        let enough = clock::instant() + GATHER;
        loop {
            if clock::instant() > enough {
                self.write_at = Some(enough);
                break;
            }
            let share = self.shared.space.share();
            let (mut some, bytes) = self.shared.pending.batch((share / 8).clamp(BATCH.0, BATCH.1));
            // sled needs twice the bytes of small records; large bodies are in files already
            self.waits_for_room = !self.make_room(bytes + bytes.min(share / 4));
            if self.waits_for_room {
                some = self.shared.pending.all(|change| matches!(change, Change::Forgotten));
            }
            let Some(open) = self.open.as_mut().filter(|_| !some.is_empty()) else { break };
            let written = open.set.write(some).and_then(|()| {
                open.set.measure()?;
                open.rotation.step(&mut open.set)
            });
            self.sync_at.get_or_insert_with(|| clock::instant() + SYNC);
            match written {
                Ok(true) => self.rotate_at = Some(clock::instant()),
                Ok(false) => {}
                Err(error) => self.failed(error),
            }
            if self.sync_at.is_some_and(|at| at <= clock::instant()) {
                self.sync();
            }
        }
        if self.shared.is_tight() {
            self.rotate_at = Some(clock::instant());
        }
    }

    fn write_all(&mut self) {
        self.write();
        while self.write_at.is_some() {
            self.write();
        }
    }

    /// Writes everything and answers those who wait for that, unless it has to wait for room.
    fn flush(&mut self) {
        self.write_all();
        if !self.waits_for_room {
            self.sync();
            answer(&mut self.flushes);
        }
    }

    /// Answers those who wait for room, if there is some or there will be none.
    fn answer_rooms(&mut self) {
        if !self.rooms.is_empty() && self.make_room(0) {
            answer(&mut self.rooms);
        }
    }

    /// Writes what was forgotten. It is on the disk on return, with the rules that waited.
    fn write_forgotten(&mut self) {
        let waiting = self.shared.pending.all(|change| matches!(change, Change::Forgotten));
        // even if nothing waits, a line that was written a moment ago may need the sync
        let written = self.open.as_mut().map_or(Ok(()), |open| open.set.write(waiting));
        match written {
            Ok(()) => self.sync(),
            Err(error) => self.failed(error),
        }
    }

    fn sync(&mut self) {
        self.sync_at = None;
        if let Some(Err(error)) = self.open.as_mut().map(|open| open.set.sync()) {
            self.failed(StoreError::Io(error));
        }
    }

    /// Makes the rules that wait reach the disk, and lets a sweep soon give back the room of what they kill.
    fn purge(&mut self) -> Result<(), StoreError> {
        if let Some((_, last)) = self.shared.purges.waiting() {
            self.sync();
            // others may have come meanwhile
            if self.shared.purges.is_waiting(last) {
                // the disk is down
                return Err(StoreError::Closed);
            }
        }
        let soon = clock::instant() + FIRST_SWEEP;
        self.sweep_at = self.sweep_at.map(|at| at.min(soon));
        Ok(())
    }

    fn ease(&mut self) {
        if let Some(Err(error)) = self.open.as_ref().map(|open| open.set.ease()) {
            self.failed(StoreError::Io(error));
        }
        self.shared.easing.store(false, Relaxed);
    }

    fn counted(&mut self, generation: &Weak<Generation>, guess: u64, counted: u64) {
        let Some(generation) = generation.upgrade() else { return };
        generation.correct(guess, counted);
        self.measure();
    }

    /// Measures what the disk holds and has left, and makes room if that is needed.
    fn measure(&mut self) {
        self.measure_at = self.open.as_ref().map(|_| clock::instant() + MEASURE);
        match self.open.as_ref().map(|open| open.set.measure()) {
            Some(Ok(())) => self.rotate_if_over(),
            Some(Err(error)) => self.failed(error),
            None => {}
        }
    }

    /// Makes room if more is held than may be. A store that only has little room left keeps what it holds until something is
    /// written.
    fn rotate_if_over(&mut self) {
        if self.shared.is_over() {
            self.rotate_at = Some(clock::instant());
        }
    }

    fn forget_unreadable(&mut self, key: &CacheKey) {
        let shared = &self.shared;
        shared.note_damage();
        let mut shard = shared.pending.shard(key);
        shared.memory.remove(key);
        shared.pending.forget(&mut shard, Print::of(key));
        drop(shard);
        self.write_at.get_or_insert_with(|| clock::instant() + GATHER);
    }

    /// Goes on making room.
    fn rotate(&mut self) {
        self.rotate_at = None;
        match self.open.as_mut().map(|open| open.rotation.step(&mut open.set)) {
            Some(Ok(true)) => self.rotate_at = Some(clock::instant()),
            Some(Err(error)) => self.failed(error),
            _ => {}
        }
        self.sync_at.get_or_insert_with(|| clock::instant() + SYNC);
    }

    /// Does a step of a sweep. Returns true if there is more of it.
    fn sweep(&mut self) -> bool {
        let swept = self.open.as_mut().map(|open| open.sweeping.step(&mut open.set, &mut open.rotation));
        self.sync_at.get_or_insert_with(|| clock::instant() + SYNC);
        match swept {
            Some(Ok(more)) => more,
            Some(Err(error)) => {
                self.failed(error);
                false
            }
            None => false,
        }
    }

    fn sweep_all(&mut self) -> u64 {
        let before = self.shared.counters.swept.load(Relaxed);
        while self.sweep() {}
        self.shared.counters.swept.load(Relaxed) - before
    }

    /// Makes room for so many bytes, as far as a generation is left to remove. Returns false if the room will be there only when
    /// what was moved away is removed: a notice says so.
    fn make_room(&mut self, bytes: u64) -> bool {
        let space = self.shared.space.clone();
        while let Some(open) = &mut self.open {
            let measured = open.set.measure();
            if measured.is_ok() && space.will_have_room(bytes) {
                // once more: it may have been removed before it was waited for
                return space.has_room(bytes) || !space.await_removal() || space.has_room(bytes);
            }
            match measured.and_then(|()| open.rotation.drop_one(&mut open.set)) {
                Ok(true) => {}
                Ok(false) => return true,
                Err(error) => self.failed(error),
            }
        }
        true
    }
}

fn answer(waiting: &mut Vec<oneshot::Sender<()>>) {
    for reply in waiting.drain(..) {
        // an error: nobody waits any more
        let _ = reply.send(());
    }
}
