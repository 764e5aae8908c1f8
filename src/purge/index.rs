//! All rules, in bounded memory.

use super::{
    Liveness, Position, Print, Rule, Standing, Stored, Strength, Target,
    prefixes::Prefixes,
    rule::{key_print, path_print, url_print},
    standing::Reach,
    tables::{NewestTable, PrintTable},
};

#[derive(Debug, Default)]
pub struct Index {
    all_hard: Position,
    all_soft: Position,
    floor: Position,
    urls: PrintTable,
    tags: PrintTable,
    prefixes: Prefixes,
    invalidations: NewestTable,
    paths: NewestTable,
}

impl Index {
    /// Adds a rule. The order does not matter, and neither does it if a rule comes twice.
    pub fn add(&mut self, rule: Rule) {
        let Rule { target, strength, position } = rule;
        match target {
            Target::All if strength == Strength::Hard => {
                self.all_hard = position.max(self.all_hard);
                // whatever the others reached is dead
                self.forget_narrow(self.all_hard);
            }
            // all that is older is dead
            _ if position <= self.all_hard => {}
            Target::All => self.all_soft = position.max(self.all_soft),
            Target::Url(print) => self.urls.add(print, strength, position),
            Target::Tag(hash) => self.tags.add(Print(hash), strength, position),
            Target::Prefix(print) => self.add_prefix(print, false, strength, position),
            Target::Below(print) => self.add_prefix(print, true, strength, position),
            Target::Invalidation(print) => self.invalidations.add(print, position),
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
        let Stored { position, primary, site, authority, path_and_query, tags } = *stored;
        let mut reach = Reach::of(Strength::Hard, self.all_hard, position);
        if reach.liveness == Liveness::Dead {
            return reach;
        }
        reach = reach.and(Reach::of(Strength::Soft, self.all_soft, position));
        if position < self.floor || self.invalidations.reaches(key_print(primary), position) {
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

    /// Forgets the rules that reach nothing any more, because all that is stored has this position or a later one. A fill
    /// may still be under way that began before: if any rule went, what is older than it must be validated.
    pub fn forget_until(&mut self, oldest: Position) {
        let mut gone = self.forget_narrow(oldest);
        for newest in [&mut self.all_hard, &mut self.all_soft] {
            if *newest <= oldest {
                gone = gone.max(*newest);
                *newest = Position::ZERO;
            }
        }
        self.floor = self.floor.max(gone);
    }

    /// Forgets the rules up to this position that do not reach everything. Returns the newest one that went.
    fn forget_narrow(&mut self, last: Position) -> Position {
        let tables = [self.urls.forget_until(last), self.tags.forget_until(last), self.prefixes.forget_until(last)];
        let newest = [self.invalidations.forget_until(last), self.paths.forget_until(last)];
        tables.into_iter().chain(newest).max().unwrap_or_default()
    }

    /// Returns rules that say the same as this index: no more than some hundred thousand.
    pub fn rules(&self) -> impl Iterator<Item = Rule> {
        let rule = |target, strength, position| Rule { target, strength, position };
        let (hard, soft) = (Strength::Hard, Strength::Soft);
        let single =
            [(Target::All, hard, self.all_hard), (Target::All, soft, self.all_soft), (Target::Floor, hard, self.floor)];
        let single = single.into_iter().filter(|(_, _, position)| *position > Position::ZERO);
        let urls = self.urls.rules().map(|(print, strength, at)| (Target::Url(print), strength, at));
        let tags = self.tags.rules().map(|(print, strength, at)| (Target::Tag(print.0), strength, at));
        let url_floors = self.urls.floors().map(move |(bucket, at)| (Target::UrlFloor(bucket), hard, at));
        let tag_floors = self.tags.floors().map(move |(bucket, at)| (Target::TagFloor(bucket), hard, at));
        let invalidations = self.invalidations.rules().map(move |(print, at)| (Target::Invalidation(print), hard, at));
        let paths = self.paths.rules().map(move |(print, at)| (Target::Path(print), hard, at));
        let all = single.chain(self.prefixes.rules()).chain(urls).chain(tags).chain(url_floors).chain(tag_floors);
        all.chain(invalidations).chain(paths).map(move |(target, strength, at)| rule(target, strength, at))
    }
}
