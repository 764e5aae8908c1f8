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
//! | [`room`] | measures what the disk holds, and sees to it that there is room |
//! | [`rotation`] | makes room |
//! | [`sweep`] | forgets what is long dead |
//! | [`easing`] | the thread that opens databases anew, so that they let go of their pages |

mod active;
mod command;
mod easing;
mod generations;
mod opening;
mod room;
mod rotation;
mod states;
mod sweep;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, SeqCst},
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

pub use command::Command;
use easing::Easing;
use generations::{Generations, REOPENING};
use rotation::Rotation;
use sweep::Sweeping;
use tokio::sync::oneshot;

use super::{
    StoreError,
    disk::folder::FolderLock,
    format::print::Print,
    notice::Notice,
    tiers::{pending::Change, shared::Shared},
};
use crate::{clock, key::CacheKey};

/// The time for which changes are gathered before they are written.
pub(super) const GATHER: Duration = Duration::from_millis(50);
/// The time after which what was written is synced, at the latest.
const SYNC: Duration = Duration::from_millis(400);
/// When stored responses are looked through for what is dead: after opening, after each pass, between its steps.
const FIRST_SWEEP: Duration = Duration::from_secs(60);
const SWEEP: Duration = Duration::from_secs(6 * 3600);
const SWEEP_STEP: Duration = Duration::from_millis(50);
/// The time after which the disk is measured again, also if nothing is written: others may fill it. (The store's own tests do
/// not wait for a minute.)
const MEASURE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 60 });
/// The least bytes that are written together if so many wait. The most are [`Budget::step`](super::budget::Budget::step).
const BATCH: u64 = 64 << 10;

struct Writer {
    shared: Arc<Shared>,
    easing: Easing,
    /// For what is done behind an opening.
    commands: Sender<Command>,
    lock: Option<FolderLock>,
    open: Option<Open>,
    /// The least number of the next generation. A database that is still being closed never shares a folder with another.
    /// `None` before the first opening.
    next_number: Option<u32>,
    /// Those who wait for everything to be written, and for room.
    flushes: Vec<oneshot::Sender<()>>,
    rooms: VecDeque<(u64, oneshot::Sender<bool>)>,
    /// Those who wait for what was forgotten to be durable. It is made so once for all of them.
    forgotten: Vec<oneshot::Sender<()>>,
    forget_at: Option<Instant>,
    /// What waits cannot be written before something was removed.
    waits_for_room: bool,
    /// The number of responses that were not written, when that was looked at last.
    not_written: u64,
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
    let (open, next_number, flushes, rooms, forgotten, forget_at, waits_for_room, not_written) = Default::default();
    let mut writer = Writer {
        easing: Easing::start(&shared),
        shared,
        commands,
        lock,
        open,
        next_number,
        flushes,
        rooms,
        forgotten,
        forget_at,
        waits_for_room,
        not_written,
        retry,
        write_at,
        sync_at,
        rotate_at,
        measure_at,
        sweep_at,
    };
    writer.open_first();
    loop {
        let next = if writer.is_late() { Err(RecvTimeoutError::Timeout) } else { writer.next(&received) };
        match next {
            Ok(Command::Notice(Notice::Wake)) => {
                writer.write_at.get_or_insert_with(|| clock::instant() + GATHER);
            }
            Ok(Command::Notice(Notice::Enough)) => writer.write_at = Some(clock::instant()),
            Ok(Command::Notice(Notice::Unreadable(key))) => writer.forget_unreadable(&key),
            Ok(Command::Notice(Notice::Purged)) => {
                writer.sync_at.get_or_insert_with(|| clock::instant() + SYNC);
            }
            Ok(Command::Notice(Notice::Ease)) => writer.easing.wake(),
            Ok(Command::Notice(Notice::Failed(error))) => writer.failed(StoreError::Io(error)),
            Ok(Command::Counted { generation, guess, counted }) => writer.counted(&generation, guess, counted),
            Ok(Command::Notice(Notice::Room(bytes, reply))) => {
                writer.rooms.push_back((bytes, reply));
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
                writer.forgotten.push(reply);
                writer.forget_at.get_or_insert_with(clock::instant);
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
    /// When something is due.
    fn due(&self) -> Option<Instant> {
        let retry_at = self.retry.map(|(at, _)| at);
        let (write_at, sync_at) = (self.write_at, self.sync_at);
        let due = [retry_at, self.forget_at, write_at, sync_at, self.rotate_at, self.measure_at, self.sweep_at];
        due.into_iter().flatten().min()
    }

    /// Returns true if something has been due for so long that it comes before further commands.
    fn is_late(&self) -> bool {
        self.due().is_some_and(|due| due + GATHER < clock::instant())
    }

    /// The next command, or a timeout when something is due.
    fn next(&self, commands: &Receiver<Command>) -> Result<Command, RecvTimeoutError> {
        match self.due() {
            Some(due) => commands.recv_timeout(due.saturating_duration_since(clock::instant())),
            None => commands.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn tick(&mut self) {
        let now = clock::instant();
        if let Some((_, after)) = self.retry.take_if(|(at, _)| *at <= now) {
            self.open(after);
        }
        if self.forget_at.is_some_and(|at| at <= now) {
            self.write_forgotten();
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

    /// Nothing is due to be written until the next change, which wakes this thread. The changes that follow that one do not wake
    /// it: where each did, 25,000 misses made it run 31,000 times.
    fn await_wake(&mut self) {
        self.write_at = None;
        self.shared.woken.store(false, SeqCst);
    }

    /// Writes what waits, for 50 ms at most, because other commands wait, too. What comes meanwhile is gathered first, because a
    /// batch costs more than a few records. If there is room only for what was forgotten, the rest waits until something was
    /// removed.
    fn write(&mut self) {
        self.await_wake();
        if self.open.is_some() && self.shared.pending.overflowed() {
            // opening it anew throws away what cannot be believed
            self.failed(StoreError::Busy);
            return;
        }
        let enough = clock::instant() + GATHER;
        loop {
            if clock::instant() > enough {
                self.write_at = Some(enough);
                break;
            }
            let share = self.shared.space.share();
            let most = (share / 8).min(self.shared.budget.step()).max(BATCH);
            let (mut some, bytes) = self.shared.pending.batch(most);
            if some.is_empty() {
                self.waits_for_room = false;
                break;
            }
            // sled needs twice the bytes of small records; large bodies are in files already
            self.waits_for_room = !self.make_room(bytes + bytes.min(share / 4));
            if self.waits_for_room {
                some = self.shared.pending.all(|change| matches!(change, Change::Forgotten));
            }
            let Some(open) = self.open.as_mut().filter(|_| !some.is_empty()) else { break };
            let mut is_done = bytes < most && !self.shared.pending.has_enough();
            let written = open.set.write(some).and_then(|all| {
                if !all {
                    is_done = false;
                    thread::park_timeout(REOPENING);
                }
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
            if is_done {
                break;
            }
        }
        // while the disk takes nothing, the flag stays set: no further change tells the writer the same
        if !self.shared.pending.has_enough() {
            self.shared.has_enough.store(false, SeqCst);
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

    /// Writes what was forgotten, and answers those who wait for that when it has reached the disk.
    fn write_forgotten(&mut self) {
        self.forget_at = None;
        self.forgotten.retain(|reply| !reply.is_closed());
        if self.forgotten.is_empty() {
            // they do not wait any more; it is written with all else
            return;
        }
        let waiting = self.shared.pending.all(|change| matches!(change, Change::Forgotten));
        // it may have been written a moment ago
        let written = self.open.as_mut().map_or(Ok(true), |open| open.set.write(waiting));
        match written {
            Ok(_) => self.sync(),
            Err(error) => self.failed(error),
        }
        answer(&mut self.forgotten);
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

    fn forget_unreadable(&mut self, key: &CacheKey) {
        let shared = &self.shared;
        shared.note_damage();
        shared.unreadable.note(Print::of(key));
        let mut shard = shared.pending.shard(key);
        shared.memory.remove(key);
        shared.pending.forget(&mut shard, Print::of(key));
        drop(shard);
        self.write_at.get_or_insert_with(|| clock::instant() + GATHER);
    }

    /// Looks through a part of what is stored for what is dead. Is there more of this pass?
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
}

fn answer(waiting: &mut Vec<oneshot::Sender<()>>) {
    for reply in waiting.drain(..) {
        // an error: nobody waits any more
        let _ = reply.send(());
    }
}
