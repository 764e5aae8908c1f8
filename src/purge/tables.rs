//! Tables of a fixed size for rules of which there may be any number. A table's memory is touched, and so counted by the
//! system, only where a rule was put.

use std::ops::Range;

use super::{Position, Print, Strength, standing::Reach};

/// The rules that a table holds.
pub(super) const RULES: usize = 1 << 18;
/// Rules that share a bucket of a `PrintTable`.
const WAYS: usize = 4;
const BUCKETS: usize = RULES / WAYS;

/// Print, milliseconds, sequence.
type Word = u64;
const WAY: usize = 3;
/// The ways, the bucket's floor, and one bit for each way that is soft.
const BUCKET: usize = WAYS * WAY + 3;

/// The newest rules for each of 65,536 buckets of prints, four in each. The oldest one makes room for the fifth and
/// becomes the bucket's floor: whatever falls into the bucket and is older must be validated.
#[derive(Debug, Default)]
pub(super) struct PrintTable {
    /// Empty as long as there is no rule. An empty bucket is all zeros, and the system gives memory of zeros without a cost.
    buckets: Vec<[Word; BUCKET]>,
    /// The number of buckets that hold something.
    used: usize,
}

/// The number of parts in which a table is looked through. A caller that waits for the table waits for one part only.
pub(super) const PARTS: usize = 64;

/// Returns the places of a table of this length that belong to a part.
fn places(length: usize, part: usize) -> Range<usize> {
    length * part / PARTS..length * (part + 1) / PARTS
}

fn bucket_of(print: Print) -> usize {
    (print.0 >> (64 - BUCKETS.trailing_zeros())) as usize
}

fn position(words: &[Word]) -> Position {
    Position { milliseconds: words[0], sequence: words[1] }
}

fn set(words: &mut [Word], position: Position) {
    [words[0], words[1]] = [position.milliseconds, position.sequence];
}

/// One rule of a bucket. It is there if its position is above zero.
#[derive(Clone, Copy)]
struct Held {
    print: Print,
    position: Position,
    strength: Strength,
}

const NOTHING: Held = Held { print: Print(0), position: Position::ZERO, strength: Strength::Hard };

fn held(bucket: &[Word; BUCKET]) -> [Held; WAYS] {
    std::array::from_fn(|way| {
        let words = &bucket[way * WAY..];
        let soft = bucket[BUCKET - 1] >> way & 1 == 1;
        let strength = if soft { Strength::Soft } else { Strength::Hard };
        Held { print: Print(words[0]), position: position(&words[1..]), strength }
    })
}

fn floor(bucket: &[Word; BUCKET]) -> Position {
    position(&bucket[WAYS * WAY..])
}

fn hold(bucket: &mut [Word; BUCKET], way: usize, rule: Held) {
    bucket[way * WAY] = rule.print.0;
    set(&mut bucket[way * WAY + 1..], rule.position);
    bucket[BUCKET - 1] &= !(1 << way);
    bucket[BUCKET - 1] |= u64::from(rule.strength == Strength::Soft) << way;
}

impl PrintTable {
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    pub fn add(&mut self, print: Print, strength: Strength, position: Position) {
        if position == Position::ZERO {
            return;
        }
        let new = Held { print, position, strength };
        let bucket = self.bucket(bucket_of(print));
        let rules = held(bucket);
        let same = |rule: &Held| rule.print == print && rule.position > Position::ZERO;
        // a harder rule that came later reaches all that this one reaches
        if rules.iter().any(|rule| same(rule) && rule.position >= position && rule.strength >= strength) {
            return;
        }
        let superseded = |rule: &Held| same(rule) && rule.position <= position && rule.strength <= strength;
        for way in (0..WAYS).filter(|way| superseded(&rules[*way])) {
            hold(bucket, way, NOTHING);
        }
        let rules = held(bucket);
        let (oldest, rule) =
            (0..WAYS).map(|way| (way, rules[way])).min_by_key(|(_, rule)| rule.position).unwrap_or((0, new));
        let gone = if rule.position < position {
            hold(bucket, oldest, new);
            rule.position
        } else {
            position
        };
        let raised = gone.max(floor(bucket));
        set(&mut bucket[WAYS * WAY..], raised);
    }

    pub fn add_floor(&mut self, bucket: u16, position: Position) {
        if position == Position::ZERO {
            return;
        }
        let bucket = self.bucket(usize::from(bucket));
        let raised = position.max(floor(bucket));
        set(&mut bucket[WAYS * WAY..], raised);
    }

    pub fn reach(&self, print: Print, stored: Position) -> Reach {
        let Some(bucket) = self.buckets.get(bucket_of(print)) else { return Reach::NONE };
        let below_floor = if stored < floor(bucket) { Reach::MUST_VALIDATE } else { Reach::NONE };
        let same = held(bucket).into_iter().filter(|rule| rule.print == print);
        same.map(|rule| Reach::of(rule.strength, rule.position, stored)).fold(below_floor, Reach::and)
    }

    /// Removes the rules up to this position in a part of the table. Returns the newest one that went.
    pub fn remove_until(&mut self, last: Position, part: usize) -> Position {
        let mut newest = Position::ZERO;
        let places = places(self.buckets.len(), part);
        for bucket in self.buckets[places].iter_mut().filter(|bucket| **bucket != [0; BUCKET]) {
            for (way, rule) in held(bucket).into_iter().enumerate() {
                if rule.position <= last {
                    newest = newest.max(rule.position);
                    hold(bucket, way, NOTHING);
                }
            }
            if floor(bucket) <= last {
                newest = newest.max(floor(bucket));
                set(&mut bucket[WAYS * WAY..], Position::ZERO);
            }
            self.used -= usize::from(*bucket == [0; BUCKET]);
        }
        if self.used == 0 {
            self.buckets = Vec::new();
        }
        newest
    }

    /// Returns the rules in a part of the table.
    pub fn rules(&self, part: usize) -> impl Iterator<Item = (Print, Strength, Position)> {
        let rules = self.buckets[places(self.buckets.len(), part)].iter().flat_map(held);
        rules.filter(|rule| rule.position > Position::ZERO).map(|rule| (rule.print, rule.strength, rule.position))
    }

    /// Returns the floors of the buckets in a part of the table.
    pub fn floors(&self, part: usize) -> impl Iterator<Item = (u16, Position)> {
        let places = places(self.buckets.len(), part);
        let floors = places.map(|bucket| (bucket as u16, floor(&self.buckets[bucket])));
        floors.filter(|(_, floor)| *floor > Position::ZERO)
    }

    /// Returns the bytes of memory that the table may touch.
    pub fn size(&self) -> usize {
        size_of_val(&self.buckets[..])
    }

    /// A bucket in which something is about to be put.
    fn bucket(&mut self, number: usize) -> &mut [Word; BUCKET] {
        if self.buckets.is_empty() {
            self.buckets = vec![[0; BUCKET]; BUCKETS];
        }
        let bucket = &mut self.buckets[number];
        self.used += usize::from(*bucket == [0; BUCKET]);
        bucket
    }
}

/// The newest position for each of 2^18 places, found by print: for rules that ask for validation only, so that it does
/// not matter which print it was. No number of rules makes it forget one.
#[derive(Debug, Default)]
pub(super) struct NewestTable {
    /// Milliseconds, sequence. Empty as long as there is no rule.
    newest: Vec<[Word; 2]>,
    /// The number of places that hold something.
    used: usize,
}

const PLACE_SHIFT: u32 = 64 - RULES.trailing_zeros();

impl NewestTable {
    pub fn is_empty(&self) -> bool {
        self.newest.is_empty()
    }

    pub fn add(&mut self, print: Print, position: Position) {
        if position == Position::ZERO {
            return;
        }
        if self.newest.is_empty() {
            self.newest = vec![[0; 2]; RULES];
        }
        let words = &mut self.newest[(print.0 >> PLACE_SHIFT) as usize];
        self.used += usize::from(*words == [0; 2]);
        if position > self::position(words) {
            set(words, position);
        }
    }

    pub fn reaches(&self, print: Print, stored: Position) -> bool {
        self.newest.get((print.0 >> PLACE_SHIFT) as usize).is_some_and(|words| stored < position(words))
    }

    /// Removes the rules up to this position in a part of the table. Returns the newest one that went.
    pub fn remove_until(&mut self, last: Position, part: usize) -> Position {
        let mut newest = Position::ZERO;
        let places = places(self.newest.len(), part);
        for words in self.newest[places].iter_mut().filter(|words| **words != [0; 2]) {
            let position = position(&*words);
            if position <= last {
                newest = newest.max(position);
                *words = [0; 2];
                self.used -= 1;
            }
        }
        if self.used == 0 {
            self.newest = Vec::new();
        }
        newest
    }

    /// Returns each place in a part of the table, as a print that falls into it.
    pub fn rules(&self, part: usize) -> impl Iterator<Item = (Print, Position)> {
        let places = places(self.newest.len(), part);
        let rules = places.map(|place| (Print((place as u64) << PLACE_SHIFT), position(&self.newest[place])));
        rules.filter(|(_, position)| *position > Position::ZERO)
    }

    /// Returns the bytes of memory that the table may touch.
    pub fn size(&self) -> usize {
        size_of_val(&self.newest[..])
    }
}
