//! The rules as all threads see them.

use std::sync::{
    PoisonError, RwLock, RwLockReadGuard,
    atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
    },
};

use super::{Index, Liveness, Position, Rule, Standing, Stored};

/// The index, and a version that each new rule changes. A stored response that was compared with this version need not be
/// compared again.
#[derive(Debug)]
pub struct Rules {
    version: AtomicU64,
    index: RwLock<Index>,
}

/// The standing of one stored response when it was compared with the rules last, and the version of the rules then. A clone
/// has none, because it may stand beside another response.
#[derive(Debug, Default)]
pub struct Checked {
    /// The version, then a standing.
    seen: AtomicU64,
    /// The `soft_since` of the standing, or the maximum.
    soft_since: AtomicU64,
}

impl Clone for Checked {
    fn clone(&self) -> Checked {
        Checked::default()
    }
}

impl Checked {
    /// Returns the last standing; alive if there is none.
    pub fn last(&self) -> Standing {
        self.decode(self.seen.load(Acquire))
    }

    fn note(&self, version: u64, standing: Standing) {
        let Standing { liveness, if_invented, soft_since } = standing;
        // stored before the version: a thread that reads the version then reads this value or a later one
        self.soft_since.store(soft_since.unwrap_or(NEVER), Relaxed);
        self.seen.store(version << STANDING_BITS | (liveness as u64) << 2 | if_invented as u64, Release);
    }

    fn decode(&self, seen: u64) -> Standing {
        let word = |bits: u64| WORDS[(bits & 3) as usize];
        let soft_since = Some(self.soft_since.load(Relaxed)).filter(|_| seen != 0).filter(|since| *since != NEVER);
        Standing { liveness: word(seen >> 2), if_invented: word(seen), soft_since }
    }
}

const NEVER: u64 = u64::MAX;

/// A standing takes two bits for each liveness.
const STANDING_BITS: u32 = 4;

impl Default for Rules {
    fn default() -> Rules {
        // 0 is the version of a response that was never compared
        Rules { version: AtomicU64::new(1), index: RwLock::default() }
    }
}

impl Rules {
    /// Adds a rule. Every call of `standing` that begins after the return sees the rule.
    pub fn add(&self, rule: Rule) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.add(rule);
        self.version.fetch_add(1, SeqCst);
    }

    /// Returns the floor: a response with a lower position must be validated, because a rule that reached it may have gone.
    pub fn floor(&self) -> Position {
        self.index.read().unwrap_or_else(PoisonError::into_inner).floor()
    }

    /// Adds many rules, as a journal has them.
    pub fn extend(&self, rules: impl IntoIterator<Item = Rule>) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        rules.into_iter().for_each(|rule| index.add(rule));
        self.version.fetch_add(1, SeqCst);
    }

    /// Returns what the rules say about a stored response. It costs one comparison where no rule came since `checked`.
    pub fn standing<'a>(&self, checked: &Checked, stored: impl FnOnce() -> Stored<'a>) -> Standing {
        let seen = checked.seen.load(Acquire);
        if seen >> STANDING_BITS == self.version.load(SeqCst) {
            return checked.decode(seen);
        }
        let stored = stored();
        let index = self.read();
        let standing = index.standing(&stored);
        // the lock is held: no rule comes between the look and the version
        checked.note(self.version.load(SeqCst), standing);
        standing
    }

    /// Returns what the rules say about a response that is compared only once.
    pub fn standing_once(&self, stored: &Stored<'_>) -> Standing {
        self.read().standing(stored)
    }

    /// Removes the rules that reach nothing any more, because all that is stored has this position or a later one.
    pub fn remove_until(&self, oldest: Position) {
        // the version stays: nothing that is stored was reached by what goes. Others get their turn after each part
        for part in Index::parts() {
            self.index.write().unwrap_or_else(PoisonError::into_inner).remove_until(oldest, part);
        }
    }

    /// Returns rules that say the same as these.
    pub fn all(&self) -> Vec<Rule> {
        let mut all = Vec::new();
        for part in Index::parts() {
            all.extend(self.read().rules(part));
        }
        all
    }

    /// Returns the bytes of memory that the rules take, about: 20 MiB at most.
    pub fn size(&self) -> usize {
        self.read().size()
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }
}

const WORDS: [Liveness; 4] = [Liveness::Alive, Liveness::Stale, Liveness::MustValidate, Liveness::Dead];
