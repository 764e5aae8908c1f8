//! Holds the rules for prefixes.

use std::collections::HashMap;

use super::{
    Position, Print, Strength, Target,
    rule::{Chain, MAX_SEGMENTS, path_of},
    standing::Reach,
};

/// The most prefixes that are held. One more, and the older half goes: a floor takes its place.
pub const PREFIXES: usize = 4096;

/// The newest rules of one prefix.
#[derive(Debug, Clone, Copy, Default)]
struct Newest {
    /// Of rules for the path and what is below it.
    path: Pair,
    /// Of rules for what is below it only.
    below: Pair,
}

#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    hard: Position,
    soft: Position,
}

impl Pair {
    fn add(&mut self, strength: Strength, position: Position) {
        let newest = match strength {
            Strength::Hard => &mut self.hard,
            Strength::Soft => &mut self.soft,
        };
        *newest = position.max(*newest);
    }

    fn reach(&self, stored: Position) -> Reach {
        Reach::of(Strength::Hard, self.hard, stored).and(Reach::of(Strength::Soft, self.soft, stored))
    }

    fn newest(&self) -> Position {
        self.hard.max(self.soft)
    }

    fn rules(self) -> impl Iterator<Item = (Strength, Position)> {
        [(Strength::Hard, self.hard), (Strength::Soft, self.soft)].into_iter().filter(|(_, at)| *at > Position::ZERO)
    }
}

impl Newest {
    fn newest(&self) -> Position {
        self.path.newest().max(self.below.newest())
    }
}

#[derive(Debug, Default)]
pub(super) struct Prefixes(HashMap<Print, Newest>);

impl Prefixes {
    /// Adds a rule. Returns the floor that must hold from now on if prefixes had to go.
    pub fn add(&mut self, print: Print, below: bool, strength: Strength, position: Position) -> Position {
        let newest = self.0.entry(print).or_default();
        let pair = if below { &mut newest.below } else { &mut newest.path };
        pair.add(strength, position);
        if self.0.len() <= PREFIXES { Position::ZERO } else { self.forget_older_half() }
    }

    fn forget_older_half(&mut self) -> Position {
        let mut ages: Vec<Position> = self.0.values().map(Newest::newest).collect();
        let middle = (ages.len() - 1) / 2;
        let last = *ages.select_nth_unstable(middle).1;
        self.remove_until(last)
    }

    pub fn reach(&self, site: &str, authority: &str, path_and_query: &str, stored: Position) -> Reach {
        if self.0.is_empty() {
            return Reach::NONE;
        }
        let of = |authority| self.of(Chain::new(site, authority), path_of(path_and_query), stored);
        of(None).and(of(Some(authority)))
    }

    /// Looks up the root, and each of the segments that a prefix can have.
    fn of(&self, root: Chain, path: &str, stored: Position) -> Reach {
        let below = |newest: &Newest| newest.below.reach(stored);
        let mut reach = self.0.get(&root.print()).map_or(Reach::NONE, below);
        let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
        let mut chain = root;
        for _ in 0..MAX_SEGMENTS {
            let Some(segment) = segments.next() else { break };
            chain = chain.below(segment);
            if let Some(newest) = self.0.get(&chain.print()) {
                reach = reach.and(newest.path.reach(stored));
                if segments.peek().is_some() {
                    reach = reach.and(below(newest));
                }
            }
        }
        reach
    }

    /// Forgets the prefixes that had their newest rule up to this position. Returns the newest one that went.
    pub fn remove_until(&mut self, last: Position) -> Position {
        let mut gone = Position::ZERO;
        self.0.retain(|_, newest| {
            let stays = newest.newest() > last;
            if !stays {
                gone = gone.max(newest.newest());
            }
            stays
        });
        gone
    }

    /// Returns the bytes of memory that they take, about.
    pub fn size(&self) -> usize {
        self.0.capacity() * size_of::<(Print, Newest)>()
    }

    pub fn rules(&self) -> impl Iterator<Item = (Target, Strength, Position)> {
        self.0.iter().flat_map(|(print, newest)| {
            let path = newest.path.rules().map(|(strength, at)| (Target::Prefix(*print), strength, at));
            path.chain(newest.below.rules().map(|(strength, at)| (Target::Below(*print), strength, at)))
        })
    }
}
