//! Making room: full generations are closed, the one that is worth least is dropped, after what is asked for often was
//! copied out of it.

use std::{
    cmp::Reverse,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{
    StoreError,
    active::Active,
    eviction::{self, SHARES},
    folder,
    generation::{Class, Generation},
    generations::Generations,
    index::{Entry, Print, Size},
    record::{self, BodyForm, Record, RecordBody},
    segment::FileName,
};
use crate::key::CacheKey;

/// A generation of which less than one in so many bytes lives is worth more as room.
const LITTLE: u64 = 4;

/// What a record without its body needs at most, usually.
const RECORD: u64 = 2 << 10;

/// A generation on its way out.
pub struct Leaving {
    pub generation: Arc<Generation>,
    /// The records that are still to be copied, the next one last.
    survivors: Vec<Print>,
}

impl Leaving {
    /// Copies the survivors in the order of the database, so that each of its pages is read once.
    pub fn new(generation: Arc<Generation>, mut survivors: Vec<Print>) -> Leaving {
        survivors.sort_unstable_by_key(|print| Reverse(print.0));
        Leaving { generation, survivors }
    }
}

impl Generations {
    /// Does a part of what is needed to keep the limit. Is there more to do?
    pub fn rotate(&mut self) -> Result<bool, StoreError> {
        let shared = self.shared.clone();
        if shared.sketch.has_aged(shared.index.responses()) {
            shared.sketch.fade();
        }
        self.close_full()?;
        if shared.space.is_over() {
            // no time for survivors
            return self.drop_one();
        }
        match self.leaving.take() {
            Some(mut leaving) => {
                self.copy_some(&mut leaving)?;
                self.ease().map_err(StoreError::Io)?;
                if leaving.survivors.is_empty() {
                    self.remove(&leaving.generation)?;
                } else {
                    self.leaving = Some(leaving);
                }
                Ok(true)
            }
            None if shared.is_tight() => {
                if let Some(leaving) = self.mostly_dead() {
                    self.leaving = Some(leaving);
                    return Ok(true);
                }
                let Some(generation) = self.least_worth() else { return Ok(false) };
                let (survivors, worthy) = self.survivors(&generation);
                if worthy > generation.bytes() / 2
                    && worthy > shared.space.room_for_survivors()
                    && self.spare(&generation)
                {
                    return Ok(true);
                }
                self.spared = 0;
                self.leaving = Some(Leaving::new(generation, survivors));
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Makes room at once, whatever it costs. Was there something to drop?
    pub fn drop_one(&mut self) -> Result<bool, StoreError> {
        let leaving = self.leaving.take().map(|leaving| leaving.generation);
        let generation = match leaving.or_else(|| self.least_worth()) {
            Some(generation) => generation,
            // only what is written to is left
            None if !self.shared.index.of_generation(self.fresh.generation.number).is_empty() => {
                let next = self.begin(Class::Fresh)?;
                std::mem::replace(&mut self.fresh, next).generation
            }
            None => match self.proven.take() {
                Some(proven) => proven.generation,
                None => return Ok(false),
            },
        };
        self.remove(&generation)?;
        Ok(true)
    }

    /// Goes on in new generations where the old ones have their share.
    fn close_full(&mut self) -> Result<(), StoreError> {
        let budget = self.shared.budget;
        let (bytes, records, pages) = (self.shared.space.share(), budget.records() / SHARES, budget.pages());
        // what is written to holds all of its pages
        let is_full = |Active { generation, .. }: &Active| {
            generation.bytes() >= bytes || generation.written.load(Relaxed) >= records || generation.pages() >= pages
        };
        if is_full(&self.fresh) {
            let next = self.begin(Class::Fresh)?;
            std::mem::replace(&mut self.fresh, next).close()?;
        }
        match self.proven.take_if(|proven| is_full(proven)) {
            Some(full) => full.close(),
            None => Ok(()),
        }
    }

    /// A closed generation of which little lives: all of that is copied, whatever it weighs, before anything else has to go.
    fn mostly_dead(&self) -> Option<Leaving> {
        let living = self.shared.index.bytes_by_generation(0);
        let lives = |generation: &Generation| living.get(&generation.number).copied().unwrap_or(0);
        let generations = self.shared.generations.read().unwrap_or_else(|poison| poison.into_inner());
        let room = self.shared.space.room_for_survivors();
        let candidates = generations.iter().filter(|generation| {
            let lives = lives(generation);
            !generation.is_active() && lives < generation.bytes() / LITTLE && lives <= room
        });
        let generation = candidates.max_by_key(|generation| generation.bytes() - lives(generation))?.clone();
        let survivors = self.shared.index.of_generation(generation.number);
        Some(Leaving::new(generation, survivors.into_iter().map(|(print, _)| print).collect()))
    }

    /// The oldest of the class that has more than is meant for it.
    fn least_worth(&self) -> Option<Arc<Generation>> {
        let generations = self.shared.generations.read().unwrap_or_else(|poison| poison.into_inner());
        let closed = |class| {
            let of_class = move |generation: &&Arc<Generation>| generation.class() == class && !generation.is_active();
            generations.iter().filter(of_class)
        };
        let all: u64 = generations.iter().map(|generation| generation.bytes()).sum();
        let of_fresh: u64 = closed(Class::Fresh).map(|generation| generation.bytes()).sum();
        let too_fresh = (of_fresh + self.fresh.generation.bytes()) * (SHARES - 1) > all * eviction::FRESH;
        let (fresh, proven) = (closed(Class::Fresh).next(), closed(Class::Proven).next());
        if too_fresh { fresh.or(proven) } else { proven.or(fresh) }.cloned()
    }

    /// A generation of which most is worth keeping becomes a proven one as it is, unless all are like that.
    fn spare(&mut self, generation: &Arc<Generation>) -> bool {
        let mut generations = self.shared.generations.write().unwrap_or_else(|poison| poison.into_inner());
        self.spared += 1;
        let spare = self.spared < generations.len();
        if spare {
            generation.prove();
            // behind the others
            generations.retain(|other| other.number != generation.number);
            generations.push(generation.clone());
        }
        spare
    }

    /// What is asked for often enough to be copied, as far as there is room for it.
    fn survivors(&self, generation: &Generation) -> (Vec<Print>, u64) {
        let all = self.shared.index.of_generation(generation.number);
        // a record takes twice its bytes in sled, a body beside it does not
        let needs = |size: Size| size.bytes() + size.bytes().min(RECORD);
        let mut room = self.shared.space.room_for_survivors();
        if self.shared.has_many_records() {
            // half of them at least have to go
            room = room.min(all.iter().map(|(_, size)| needs(*size)).sum::<u64>() / 2);
        }
        let weigh = |(print, size): (Print, Size)| (print, self.shared.sketch.weight(print.0), needs(size));
        eviction::survivors(all.into_iter().map(weigh).collect(), room)
    }

    fn copy_some(&mut self, leaving: &mut Leaving) -> Result<(), StoreError> {
        let from = leaving.generation.clone();
        let mut proven = match self.proven.take() {
            Some(proven) => proven,
            None if leaving.survivors.is_empty() => return Ok(()),
            None => self.begin(Class::Proven)?,
        };
        let step = self.shared.budget.step();
        let (mut records, mut lines, mut bytes) = (Vec::new(), Vec::new(), 0);
        while bytes < step
            && let Some(print) = leaving.survivors.pop()
        {
            // replaced or forgotten since, or damaged: nothing to copy
            let Some(entry) = self.shared.index.find(print).filter(|entry| entry.generation == from.number) else {
                continue;
            };
            let Ok(Some((key, bytes_of_record))) = from.find_print(print) else { continue };
            let Some(record) = moved(&from, &mut proven, &key, bytes_of_record)? else { continue };
            bytes += entry.size.bytes();
            lines.push((print, Some(Entry { generation: proven.generation.number, ..entry })));
            records.push((key, record));
        }
        if !records.is_empty() {
            proven.write(&records, self.journal.synced())?;
            self.record(&lines);
            proven.measure();
        }
        self.proven = Some(proven);
        Ok(())
    }

    /// Takes a generation from the readers and from the disk.
    fn remove(&mut self, generation: &Arc<Generation>) -> Result<(), StoreError> {
        // what was copied out of it has to be there first
        self.sync().map_err(StoreError::Io)?;
        let shared = &self.shared;
        let evicted = shared.index.remove_generation(generation.number);
        shared.counters.evicted.fetch_add(evicted, Relaxed);
        let number = generation.number;
        let mut generations = shared.generations.write().unwrap_or_else(|poison| poison.into_inner());
        generations.retain(|generation| generation.number != number);
        drop(generations);
        // after that: who reads one of them now sees that it has no place any more
        shared.memory.forget_bodies_of(number);
        if let Err(error) = folder::discard(&shared.options.folder, &generation.folder) {
            shared.say(format!("a part of the cache could not be removed: {error}"));
        }
        self.measure()
    }
}

/// A record that stands in another generation from now on, with its body.
fn moved(from: &Generation, to: &mut Active, key: &CacheKey, bytes: Vec<u8>) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(Record::Response(head, RecordBody::Beside(location))) = record::decode(key, &bytes) else {
        return Ok(Some(bytes));
    };
    let location = match location.file {
        FileName::Body(_) => to.link(from, location)?,
        FileName::Segment(_) => match from.body(location).and_then(|body| body.read_whole()) {
            Ok(body) => Some(to.append(&body)?),
            Err(_) => None,
        },
    };
    Ok(location.and_then(|location| record::encode_response(key, &head, BodyForm::Beside(location))))
}
