//! Makes room. Full generations are sealed. The one that is worth least is removed, after what is asked for often was copied
//! out of it.

use std::{
    cmp::Reverse,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
};

use super::{
    active::Active,
    generations::{Generations, REOPENING},
};
use crate::{
    key::CacheKey,
    store::{
        StoreError,
        disk::{
            folder,
            generation::{Class, Generation, State},
            space::{FRESH, SHARES},
        },
        format::{
            lines::{self, Line},
            location::FileName,
            prefix,
            print::{Entry, Print},
            record,
        },
        tiers::{catalog::Catalog, shared::Shared, sketch},
    },
};

/// A generation is removed early if less than one in so many of its bytes is alive.
const LITTLE: u64 = 4;

/// The most bytes that a record without its body usually has.
const RECORD: u64 = 2 << 10;

/// The generation that is about to be removed.
struct Leaving {
    generation: Arc<Generation>,
    /// The records that are still to be copied, the next one last.
    survivors: Vec<Print>,
    /// The bytes that they need, about.
    bytes: u64,
}

impl Leaving {
    /// Marks a generation as leaving. The survivors are copied in the order of the database, so that each page is read once.
    fn new(generation: Arc<Generation>, mut survivors: Vec<Print>, bytes: u64) -> Leaving {
        generation.set_state(State::Leaving);
        survivors.sort_unstable_by_key(|print| Reverse(print.0));
        Leaving { generation, survivors, bytes }
    }
}

/// The state of making room.
#[derive(Default)]
pub struct Rotation {
    /// The generation that is about to be removed.
    leaving: Option<Leaving>,
    /// The number of generations that were spared since one was removed.
    spared: usize,
}

impl Rotation {
    pub fn is_dropping(&self) -> bool {
        self.leaving.is_some()
    }

    /// Removes this generation next, after these records of it were copied, which need so many bytes.
    pub fn drop_next(&mut self, generation: Arc<Generation>, survivors: Vec<Print>, bytes: u64) {
        self.leaving = Some(Leaving::new(generation, survivors, bytes));
    }

    /// Does a step of what the limit needs. Returns true if there is more to do.
    pub fn step(&mut self, set: &mut Generations) -> Result<bool, StoreError> {
        let shared = set.shared.clone();
        shared.fade();
        seal_full(set)?;
        if shared.space.is_over() {
            // no time for survivors
            return self.drop_one(set);
        }
        if self.leaving.is_none() && !shared.is_tight() {
            return Ok(false);
        }
        self.advance(set)
    }

    /// Does a step of making room for a body on its way, which waits for it. Returns false if there is nothing to remove.
    pub fn make_way(&mut self, set: &mut Generations) -> Result<bool, StoreError> {
        seal_full(set)?;
        Ok(self.advance(set)? || self.drop_one(set)?)
    }

    /// Copies a part of what survives the generation that leaves, and removes it after that; or chooses the one that leaves.
    /// Returns false if none may leave.
    fn advance(&mut self, set: &mut Generations) -> Result<bool, StoreError> {
        let advanced = match self.leaving.take() {
            Some(mut leaving) => {
                copy_some(set, &mut leaving)?;
                set.shared.ease_if_needed();
                if leaving.survivors.is_empty() {
                    remove(set, &leaving.generation)?;
                } else {
                    self.leaving = Some(leaving);
                }
                true
            }
            None => self.choose(set),
        };
        self.keep_room(set);
        Ok(advanced)
    }

    /// Chooses the generation that leaves, or spares one. Returns false if none may leave.
    fn choose(&mut self, set: &Generations) -> bool {
        let shared = &set.shared;
        if let Some(leaving) = mostly_dead(shared) {
            self.leaving = Some(leaving);
            return true;
        }
        let Some(generation) = least_worth(set) else { return false };
        let room = shared.space.room_for_survivors();
        let (survivors, worthy) = survivors(shared, &generation);
        let is_worth_keeping = worthy > generation.bytes() / 2 && worthy > room;
        if !(is_worth_keeping && self.spare(&shared.catalog, &generation)) {
            self.spared = 0;
            self.leaving = Some(Leaving::new(generation, survivors, worthy.min(room)));
        }
        true
    }

    /// Bodies on their way leave room for what survives.
    fn keep_room(&self, set: &Generations) {
        set.shared.space.keep_for_survivors(self.leaving.as_ref().map(|leaving| leaving.bytes));
    }

    /// Makes room at once, whatever it costs. Returns true if there was something to drop.
    pub fn drop_one(&mut self, set: &mut Generations) -> Result<bool, StoreError> {
        let leaving = self.leaving.take().map(|leaving| leaving.generation);
        self.keep_room(set);
        let generation = match leaving.or_else(|| lightest(&set.shared)) {
            Some(generation) => generation,
            // only what is written to is left
            None if !set.shared.catalog.index.of_generation(set.fresh.generation.number).is_empty() => {
                let next = set.begin(Class::Fresh)?;
                std::mem::replace(&mut set.fresh, next).generation
            }
            None => match set.proven.take() {
                Some(proven) => proven.generation,
                None => return Ok(false),
            },
        };
        remove(set, &generation)?;
        Ok(true)
    }

    /// Keeps a generation of which most is worth keeping, as a proven one. Returns false if all others were spared already.
    fn spare(&mut self, catalog: &Catalog, generation: &Arc<Generation>) -> bool {
        let mut generations = catalog.generations_mut();
        self.spared += 1;
        let spare = self.spared < generations.len();
        if spare {
            generation.set_state(State::Spared);
            // behind the others
            generations.retain(|other| other.number != generation.number);
            generations.push(generation.clone());
        }
        spare
    }
}

/// Seals the generations that have their share, and begins new ones.
fn seal_full(set: &mut Generations) -> Result<(), StoreError> {
    let budget = set.shared.budget;
    let (bytes, records, pages) = (set.shared.space.share(), budget.records() / SHARES, budget.pages());
    // memory holds all pages of what is written to
    let is_full = |Active { generation, .. }: &Active| {
        generation.bytes() >= bytes
            || generation.written.load(Relaxed) >= records
            || generation.database.pages() >= pages
    };
    if is_full(&set.fresh) {
        let next = set.begin(Class::Fresh)?;
        std::mem::replace(&mut set.fresh, next).seal()?;
    }
    match set.proven.take_if(|proven| is_full(proven)) {
        Some(full) => full.seal(),
        None => Ok(()),
    }
}

/// Returns a sealed generation of which little is alive. All of that survives, whatever it weighs.
fn mostly_dead(shared: &Shared) -> Option<Leaving> {
    let living = shared.catalog.index.bytes_by_generation(0);
    let lives = |generation: &Generation| living.get(&generation.number).copied().unwrap_or(0);
    let generations = shared.catalog.generations();
    let room = shared.space.room_for_survivors();
    let candidates = generations.iter().filter(|generation| {
        let lives = lives(generation);
        generation.may_leave() && lives < generation.bytes() / LITTLE && lives <= room
    });
    let generation = candidates.max_by_key(|generation| generation.bytes() - lives(generation))?.clone();
    let (survivors, bytes) = (shared.catalog.index.of_generation(generation.number), lives(&generation));
    Some(Leaving::new(generation, survivors.into_iter().map(|(print, _)| print).collect(), bytes))
}

/// Returns the oldest generation of the class that has more than its share.
fn least_worth(set: &Generations) -> Option<Arc<Generation>> {
    let generations = set.shared.catalog.generations();
    let of_class = |class| {
        let may_leave = move |generation: &&Arc<Generation>| generation.class() == class && generation.may_leave();
        generations.iter().filter(may_leave)
    };
    let all: u64 = generations.iter().map(|generation| generation.bytes()).sum();
    let of_fresh: u64 = of_class(Class::Fresh).map(|generation| generation.bytes()).sum();
    let too_fresh = (of_fresh + set.fresh.generation.bytes()) * (SHARES - 1) > all * FRESH;
    let (fresh, proven) = (of_class(Class::Fresh).next(), of_class(Class::Proven).next());
    if too_fresh { fresh.or(proven) } else { proven.or(fresh) }.cloned()
}

/// Returns the keys that are asked for often enough to be copied, as far as there is room, and the bytes of all of those.
fn survivors(shared: &Shared, generation: &Generation) -> (Vec<Print>, u64) {
    let all = shared.catalog.index.of_generation(generation.number);
    // a record takes twice its bytes in sled, a body beside it does not
    let needs = |entry: Entry| {
        let bytes = entry.bytes_in(generation.number);
        bytes + bytes.min(RECORD)
    };
    let mut room = shared.space.room_for_survivors();
    if shared.has_many_records() {
        // half of them at least have to go
        room = room.min(all.iter().map(|(_, entry)| needs(*entry)).sum::<u64>() / 2);
    }
    let weigh = |(print, entry): (Print, Entry)| (print, shared.sketch.weight(print.0), needs(entry));
    sketch::survivors(all.into_iter().map(weigh).collect(), room)
}

/// Returns the generation that loses least, for each byte that is freed, if nothing of it is copied. Of those that lose about
/// the same it is the oldest.
fn lightest(shared: &Shared) -> Option<Arc<Generation>> {
    let generations = shared.catalog.generations().clone();
    let worth = |generation: &Arc<Generation>| {
        let all = shared.catalog.index.of_generation(generation.number).into_iter();
        let weigh =
            |(print, entry): (Print, Entry)| (print, shared.sketch.weight(print.0), entry.bytes_in(generation.number));
        let (_, worthy) = sketch::survivors(all.map(weigh).collect(), u64::MAX);
        // in eighths
        worthy.saturating_mul(8) / generation.bytes().max(1)
    };
    generations.into_iter().filter(|generation| generation.may_leave()).min_by_key(worth)
}

fn copy_some(set: &mut Generations, leaving: &mut Leaving) -> Result<(), StoreError> {
    let from = leaving.generation.clone();
    let mut proven = match set.proven.take() {
        Some(proven) => proven,
        None if leaving.survivors.is_empty() => return Ok(()),
        None => set.begin(Class::Proven)?,
    };
    let step = set.shared.budget.step();
    let (mut records, mut lines, mut bytes) = (Vec::new(), Vec::new(), 0);
    while bytes < step
        && let Some(print) = leaving.survivors.pop()
    {
        // replaced or forgotten since, or damaged: nothing to copy
        let Some(entry) = set.shared.catalog.index.find(print).filter(|entry| entry.needs(from.number)) else {
            continue;
        };
        let Some(holder) = set.shared.catalog.generation(entry.generation) else { continue };
        let (key, record) = match holder.database.find_print(print) {
            Ok(Some(found)) => found,
            Err(StoreError::Busy) => {
                leaving.survivors.push(print);
                thread::park_timeout(REOPENING);
                break;
            }
            _ => continue,
        };
        // a sweep may have looked through the generation that it goes to already
        if !set.shared.purges.paths.is_complete()
            && let Some(record) = record::decode(&key, &record)
        {
            set.shared.purges.paths.add(&record.head);
        }
        let Some(moved) = moved(&from, &mut proven, &key, record)? else { continue };
        bytes += entry.bytes_in(from.number);
        let entry = Entry { generation: proven.generation.number, body: moved.body, ..entry };
        lines.push(Line::Record { print, entry, primary: moved.primary });
        set.shared.purges.note_written(prefix::position(&moved.record));
        records.push((key, moved.record));
    }
    if !records.is_empty() {
        proven.write(&records, set.journal.synced())?;
        set.record(&lines);
    }
    set.proven = Some(proven);
    set.measure()?;
    leaving.bytes = leaving.bytes.saturating_sub(bytes);
    Ok(())
}

/// Removes a generation: readers do not find it any more, and its folder is moved away.
fn remove(set: &mut Generations, generation: &Arc<Generation>) -> Result<(), StoreError> {
    // what was copied out of it has to be there first
    set.sync().map_err(StoreError::Io)?;
    let shared = &set.shared;
    let evicted = shared.catalog.index.remove_generation(generation.number);
    shared.counters.evicted.fetch_add(evicted, Relaxed);
    shared.remove_lost_variants();
    let number = generation.number;
    let mut generations = shared.catalog.generations_mut();
    generations.retain(|generation| generation.number != number);
    drop(generations);
    // after the generation left the list: a lookup that reads a body now sees that its generation is gone
    shared.memory.release_bodies_of(number);
    let occupies = shared.space.leaves(generation.bytes());
    // the last owner closes the database, which takes a while
    let last = generation.clone();
    shared.remover.work(move || drop(last));
    match folder::move_away(&shared.options.folder, &generation.folder) {
        Ok(gone) => {
            // an invalidation of what was in it writes no line, so that no crash may bring it back
            folder::sync_names(&shared.options.folder);
            shared.remover.remove(gone, Some(occupies));
        }
        Err(error) => shared.warn_once(format!("a part of the cache could not be removed: {error}")),
    }
    set.measure()
}

/// A record that is written to another generation.
struct Moved {
    record: Vec<u8>,
    /// The print of the primary key.
    primary: Print,
    /// The generation that holds the body.
    body: u32,
}

/// Makes a record one of another generation. Copies its body as well if that is in `from`. `None`: the record is damaged.
fn moved(from: &Generation, to: &mut Active, key: &CacheKey, record: Vec<u8>) -> Result<Option<Moved>, StoreError> {
    let Some(parts) = record::parts(key, &record) else { return Ok(None) };
    let (primary, own) = (Print::of(&parts.prefix.primary), to.generation.number);
    let Some(home) = parts.home() else { return Ok(Some(Moved { record, primary, body: own })) };
    if home.generation != from.number {
        let may_stay = lines::can_name(own, home.generation);
        return Ok(may_stay.then_some(Moved { record, primary, body: home.generation }));
    }
    let home = match home.location.file {
        FileName::Body(_) => to.link(from, home.location)?,
        FileName::Segment(_) => match from.body(home.location).and_then(|body| body.read_whole()) {
            Ok(body) => Some(to.append(&body)?),
            Err(_) => None,
        },
    };
    Ok(home.and_then(|home| prefix::relocated(key, &record, home)).map(|record| Moved { record, primary, body: own }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Options, tests::support::*};

    #[test]
    fn what_is_dropped_without_a_copy_is_what_is_asked_for_least_and_not_what_is_oldest() {
        run(async {
            let folder = folder();
            let store = open(Options { disk: 64 * MIB, ..disk_only(folder.path()) }).await;
            for number in 0..250 {
                put(&store, &number.to_string(), 100_000);
                if number % 10 == 9 {
                    store.flush().await;
                }
            }
            let shared = &store.0.shared;
            let number = lightest(shared).expect("a sealed generation").number;
            let oldest = shared.catalog.generations()[0].number;
            assert_eq!(number, oldest, "all are asked for as often");
            for _ in 0..3 {
                for number in 0..250 {
                    let name = number.to_string();
                    if shared.catalog.entry(&key(&name)).is_some_and(|entry| entry.generation == oldest) {
                        assert!(found(&store, &name).await.is_some());
                    }
                }
            }
            assert_ne!(lightest(shared).expect("a sealed generation").number, oldest);
        });
    }
}
