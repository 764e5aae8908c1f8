//! The purge log of this store: its rules are in force at once, and in the journal soon.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::{
    message::StoredHead,
    purge::{Counter, Liveness, PREFIXES, Position, Rule, Rules, Standing, Stored, Strength, Target},
    store::{
        format::{lines::Line, rules},
        response::StoredResponse,
        tiers::paths::Paths,
    },
};

/// Rules that may wait for the journal while the disk is down. One more, and a floor takes the place of all of them: what is
/// older must be validated after a restart.
const WAITING: usize = 4096;

/// How long a response is on its way at most, usually, in milliseconds. One that takes longer must be validated if it may
/// have been purged.
pub const ON_ITS_WAY: u64 = 600_000;

#[derive(Default)]
pub struct Purges {
    counter: Counter,
    rules: Rules,
    /// The paths of what is stored.
    pub paths: Paths,
    log: Mutex<Log>,
    /// True if the log says already that there are too many rules.
    said: AtomicBool,
}

#[derive(Default)]
struct Log {
    /// Rules that are in force, and that the journal does not have yet; the oldest first.
    waiting: Vec<Rule>,
    /// Rules that come in force after a crash only. In this process a later rule with the same target will.
    deferred: Vec<Rule>,
    /// Which log the positions are of; all zeros before the first opening.
    identity: [u8; 16],
    /// True if the journal has positions that no log can reach by counting, or rules of an unknown kind.
    lost: bool,
    /// True if a journal was read.
    opened: bool,
    /// The highest position that the journal tells of.
    read: Position,
    /// The lowest position that was written to the disk since somebody asked.
    written: Option<Position>,
}

impl Purges {
    /// Returns the position of whatever begins now. `now_ms`: the wall clock.
    pub fn position(&self, now_ms: u64) -> Position {
        self.counter.next(now_ms)
    }

    pub fn newest(&self) -> Position {
        self.counter.newest()
    }

    pub fn identity(&self) -> [u8; 16] {
        self.log().identity
    }

    /// Adds a rule at a position of its own. It is in force on return, and waits for the journal.
    pub fn add(&self, target: Target, strength: Strength, now_ms: u64) -> Rule {
        let mut log = self.log();
        let rule = Rule { target, strength, position: self.counter.next(now_ms) };
        let is_prefix = matches!(target, Target::Prefix(_) | Target::Below(_));
        let floor = is_prefix.then(|| self.rules.floor());
        self.rules.add(rule);
        log.add(rule);
        drop(log);
        if floor.is_some_and(|floor| self.rules.floor() > floor) && !self.said.swap(true, Relaxed) {
            log::warn!(
                "more than {PREFIXES} prefixes were purged: what is older than the first half of them is validated before it is used"
            );
        }
        rule
    }

    /// Adds a rule that waits for the journal, and is in force after a crash only. The caller soon adds one with the same
    /// target that is in force here.
    pub fn defer(&self, target: Target, strength: Strength, now_ms: u64) {
        let mut log = self.log();
        let rule = Rule { target, strength, position: self.counter.next(now_ms) };
        log.add(rule);
        log.deferred.push(rule);
    }

    /// Returns true if a rule of this target waits for the journal and may reach anything that is stored.
    pub fn is_awaited(&self, target: Target) -> bool {
        self.paths.may_have(target)
            && self.log().waiting.iter().any(|rule| rule.target == target || rule.target == Target::Floor)
    }

    /// Returns what the rules say about a stored response: one comparison where none came since it was looked at last.
    pub fn standing(&self, response: &StoredResponse) -> Standing {
        self.rules.standing(&response.checked, || self.seen(&response.head))
    }

    /// Returns what the rules say about a head that is looked at once.
    pub fn standing_of(&self, head: &StoredHead) -> Standing {
        self.rules.standing_once(&self.seen(head))
    }

    pub fn is_dead(&self, head: &StoredHead) -> bool {
        self.standing_of(head).liveness == Liveness::Dead
    }

    fn seen<'a>(&self, head: &'a StoredHead) -> Stored<'a> {
        Stored {
            position: self.counter.place(head.position),
            site: head.line.site(),
            authority: head.line.authority(),
            path_and_query: head.line.path_and_query(),
            tags: &head.tags,
        }
    }

    /// Notes that a record of this position is written, or copied. A sweep may have looked through its generation already.
    pub fn note_written(&self, position: Position) {
        let mut log = self.log();
        log.written = Some(log.written.map_or(position, |lowest| lowest.min(position)));
    }

    /// Returns the lowest position that was written since this was asked last.
    pub fn take_written(&self) -> Option<Position> {
        self.log().written.take()
    }

    /// Removes the rules that reach nothing any more, because all that is stored has this position or a later one. `None`:
    /// nothing is stored. A rule that came lately stays: what was asked for before it may still be on its way.
    pub fn remove_until(&self, oldest: Option<Position>) {
        let newest = self.counter.newest();
        let lately = newest.milliseconds.saturating_sub(ON_ITS_WAY);
        let before = Position { milliseconds: lately, sequence: 0 };
        self.rules.remove_until(oldest.unwrap_or(newest).min(before));
    }

    /// Applies a line of the journal, if it is about purging.
    pub fn take(&self, line: &Line) {
        let believed = match (line, rules::rule(line)) {
            (_, Ok(Some(rule))) => {
                self.rules.add(rule);
                self.raise(rule.position)
            }
            (_, Err(())) => false,
            (Line::HighWater(mark), _) => self.raise(*mark),
            (Line::Identity(identity), _) => {
                self.log().identity = *identity;
                true
            }
            _ => true,
        };
        if !believed {
            self.log().lost = true;
        }
    }

    fn raise(&self, read: Position) -> bool {
        let mut log = self.log();
        log.read = log.read.max(read);
        self.counter.raise(read)
    }

    /// Ends the reading of the journal. If rules may be lost, or positions are of another log, all that is stored must be
    /// validated. `random` becomes the identity of a log that has none yet. Returns true if this log gets it.
    pub fn were_read(&self, rules_lost: bool, random: [u8; 16]) -> bool {
        let mut log = self.log();
        let (lost, read) = (std::mem::take(&mut log.lost), std::mem::take(&mut log.read));
        let renewed = lost || log.identity == [0; 16];
        if renewed {
            log.identity = random;
        }
        // those that came before a journal told how high the positions are
        let early = std::mem::take(&mut log.waiting);
        let too_low = if log.opened { Position::ZERO } else { read };
        log.opened = true;
        let next = |rule: Rule| match rule.position < too_low {
            true => Rule { position: self.counter.next(0), ..rule },
            false => rule,
        };
        let mut waiting: Vec<Rule> = early.into_iter().map(next).collect();
        if lost || rules_lost {
            let position = self.counter.next(0);
            waiting.push(Rule { target: Target::Floor, strength: Strength::Hard, position });
        }
        waiting.sort_by_key(|rule| rule.position);
        self.rules.extend(waiting.iter().copied());
        log.waiting = waiting;
        renewed
    }

    /// Returns the lines of the rules that wait, and the position up to which they are.
    pub fn waiting(&self) -> Option<(Vec<Line>, Position)> {
        let log = self.log();
        let last = log.waiting.last()?.position;
        Some((log.waiting.iter().map(rules::line).collect(), last))
    }

    /// Returns true if a rule up to this position waits for the journal.
    pub fn is_waiting(&self, last: Position) -> bool {
        self.log().waiting.iter().any(|rule| rule.position <= last)
    }

    /// Notes that the rules up to this position are in the journal on the disk.
    pub fn are_written(&self, last: Position) {
        self.log().waiting.retain(|rule| rule.position > last);
    }

    /// Returns the rules, the high-water mark and the identity of the log as lines of a new journal.
    pub fn state(&self) -> Vec<Line> {
        let (identity, deferred) = {
            let log = self.log();
            (log.identity, log.deferred.clone())
        };
        let first = [Line::Identity(identity), Line::HighWater(self.counter.newest())];
        first.into_iter().chain(self.rules.all().iter().chain(&deferred).map(rules::line)).collect()
    }

    /// Returns the bytes of memory that the rules take, about.
    pub fn size(&self) -> u64 {
        self.rules.size() as u64 + self.paths.size()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// Adds a rule to those that wait for the journal.
    fn add(&mut self, rule: Rule) {
        let is_older = |older: &Rule| older.target == rule.target;
        if let Target::Path(_) = rule.target {
            // the newest rule of a target reaches all that the older ones reach
            self.waiting.retain(|older| !is_older(older));
            self.deferred.retain(|older| !is_older(older));
        }
        let full = self.waiting.len() >= WAITING;
        if full {
            self.waiting.clear();
        }
        self.waiting.push(if full { Rule { target: Target::Floor, ..rule } } else { rule });
    }
}
