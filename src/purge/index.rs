//! Holds all rules, in bounded memory.

use std::ops::Range;

use super::{
    Liveness, Position, Print, Rule, Standing, Stored, Strength, Target,
    prefixes::Prefixes,
    rule::{path_print, url_print},
    standing::Reach,
    tables::{NewestTable, PARTS, PrintTable},
};

#[derive(Debug, Default)]
pub struct Index {
    all_hard: Position,
    all_soft: Position,
    floor: Position,
    urls: PrintTable,
    tags: PrintTable,
    prefixes: Prefixes,
    paths: NewestTable,
}

impl Index {
    pub fn floor(&self) -> Position {
        self.floor
    }

    /// Adds a rule. The order does not matter, and neither does it if a rule comes twice.
    pub fn add(&mut self, rule: Rule) {
        let Rule { target, strength, position } = rule;
        match target {
            Target::All if strength == Strength::Hard => self.all_hard = position.max(self.all_hard),
            // all that is older is dead
            _ if position <= self.all_hard => {}
            Target::All => self.all_soft = position.max(self.all_soft),
            Target::Url(print) => self.urls.add(print, strength, position),
            Target::Tag(hash) => self.tags.add(Print(hash), strength, position),
            Target::Prefix(print) => self.add_prefix(print, false, strength, position),
            Target::Below(print) => self.add_prefix(print, true, strength, position),
            Target::Path(print) => self.paths.add(print, position),
            Target::Floor => self.floor = position.max(self.floor),
            Target::UrlFloor(bucket) => self.urls.add_floor(bucket, position),
            Target::TagFloor(bucket) => self.tags.add_floor(bucket, position),
        }
    }

    fn add_prefix(&mut self, print: Print, below: bool, strength: Strength, position: Position) {
        self.floor = self.prefixes.add(print, below, strength, position).max(self.floor);
    }

    /// Returns what the rules say about a stored response.
    pub fn standing(&self, stored: &Stored<'_>) -> Standing {
        let Reach { liveness, soft } = self.reach(stored);
        // only these look at the path alone
        let validate = liveness < Liveness::MustValidate
            && !self.paths.is_empty()
            && self.paths.reaches(path_print(stored.site, stored.path_and_query), stored.position);
        let if_invented = if validate { Liveness::MustValidate } else { liveness };
        Standing { liveness, if_invented, soft_since: soft.map(|rule| rule.milliseconds) }
    }

    fn reach(&self, stored: &Stored<'_>) -> Reach {
        let Stored { position, site, authority, path_and_query, tags } = *stored;
        let mut reach = Reach::of(Strength::Hard, self.all_hard, position);
        if reach.liveness == Liveness::Dead {
            return reach;
        }
        reach = reach.and(Reach::of(Strength::Soft, self.all_soft, position));
        if position < self.floor {
            reach = reach.and(Reach::MUST_VALIDATE);
        }
        if !self.urls.is_empty() {
            for authority in [None, Some(authority)] {
                reach = reach.and(self.urls.reach(url_print(site, authority, path_and_query), position));
            }
        }
        if !self.tags.is_empty() {
            for tag in tags {
                reach = reach.and(self.tags.reach(Print(*tag), position));
            }
        }
        reach.and(self.prefixes.reach(site, authority, path_and_query, position))
    }

    /// Returns the parts in which [`Index::remove_until`] and [`Index::rules`] go through all rules.
    pub fn parts() -> Range<usize> {
        0..PARTS
    }

    /// Removes the rules of a part that reach nothing any more, because all that is stored has this position or a later one.
    /// A fill may still be under way that began before: if any rule went, what is older than it must be validated.
    pub fn remove_until(&mut self, oldest: Position, part: usize) {
        let tables = [self.urls.remove_until(oldest, part), self.tags.remove_until(oldest, part)];
        let mut gone = self.paths.remove_until(oldest, part).max(tables[0]).max(tables[1]);
        if part == 0 {
            gone = gone.max(self.prefixes.remove_until(oldest));
            for newest in [&mut self.all_hard, &mut self.all_soft] {
                if *newest <= oldest {
                    gone = gone.max(*newest);
                    *newest = Position::ZERO;
                }
            }
        }
        self.floor = self.floor.max(gone);
    }

    /// Returns rules that say the same as a part of this index. All together they are no more than some hundred thousand.
    pub fn rules(&self, part: usize) -> impl Iterator<Item = Rule> {
        let (hard, soft, all_hard) = (Strength::Hard, Strength::Soft, self.all_hard);
        let single =
            [(Target::All, hard, all_hard), (Target::All, soft, self.all_soft), (Target::Floor, hard, self.floor)];
        let first = single.into_iter().chain(self.prefixes.rules()).filter(move |_| part == 0);
        let urls = self.urls.rules(part).map(|(print, strength, at)| (Target::Url(print), strength, at));
        let tags = self.tags.rules(part).map(|(print, strength, at)| (Target::Tag(print.0), strength, at));
        let url_floors = self.urls.floors(part).map(move |(bucket, at)| (Target::UrlFloor(bucket), hard, at));
        let tag_floors = self.tags.floors(part).map(move |(bucket, at)| (Target::TagFloor(bucket), hard, at));
        let paths = self.paths.rules(part).map(move |(print, at)| (Target::Path(print), hard, at));
        let all = first.chain(urls).chain(tags).chain(url_floors).chain(tag_floors).chain(paths);
        // what is older than a hard purge of everything is dead, whatever the others say
        let counts = move |(target, strength, at): &(Target, Strength, Position)| {
            *at > all_hard || (*target, *strength) == (Target::All, hard) && *at > Position::ZERO
        };
        all.filter(counts).map(|(target, strength, position)| Rule { target, strength, position })
    }

    /// Returns the bytes of memory that the rules take, about.
    pub fn size(&self) -> usize {
        self.urls.size() + self.tags.size() + self.paths.size() + self.prefixes.size()
    }
}
