//! Forgets responses that have long been dead, also if there is room for them. Now and then a sweep looks through one
//! generation after the other. A generation that holds little else is removed.

use std::{
    cmp::Reverse,
    collections::HashSet,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
};

use super::{
    generations::{Generations, REOPENING},
    rotation::Rotation,
};
use crate::{
    purge::Position,
    store::{
        StoreError,
        disk::{
            generation::{Class, Generation},
            segment,
        },
        format::{
            lines::Line,
            location::FileName,
            print::Print,
            record::{self, RecordBody},
        },
    },
};

/// The records of one step. Then other work gets its turn.
const STEP: usize = 64;

/// The state of a sweep.
#[derive(Default)]
pub struct Sweeping {
    /// The numbers of the generations that are still to be looked through. `None`: there is no sweep.
    left: Option<Vec<u32>>,
    /// The lowest position of the living responses so far.
    oldest: Option<Position>,
    /// True if a record could not be read.
    missed: bool,
    looking: Option<Looking>,
}

/// A generation that is looked through.
struct Looking {
    generation: Arc<Generation>,
    /// The records that are still to be looked at, the next one last.
    left: Vec<Print>,
    /// The files of bodies that were there at the beginning, without those that a record names.
    unnamed: HashSet<FileName>,
}

impl Sweeping {
    /// Does a step of a sweep. Begins one if there is none. Returns true if there is more of it.
    pub fn step(&mut self, set: &mut Generations, rotation: &mut Rotation) -> Result<bool, StoreError> {
        if rotation.is_dropping() {
            return rotation.step(set).map(|_| true);
        }
        if let Some(mut looking) = self.looking.take() {
            let seen = forget_dead(set, &mut looking)?;
            self.oldest = [self.oldest, seen.oldest].into_iter().flatten().min();
            self.missed |= seen.missed;
            if looking.left.is_empty() {
                // a process that was killed before it wrote the record has left them behind
                looking.unnamed.iter().for_each(|file| looking.generation.remove_body(*file));
                give_back(set, rotation, looking.generation)?;
            } else {
                self.looking = Some(looking);
            }
            return Ok(true);
        }
        let Some(left) = &mut self.left else {
            (self.oldest, self.missed) = (None, false);
            set.shared.purges.take_written();
            let generations = set.shared.catalog.generations();
            self.left = Some(generations.iter().map(|generation| generation.number).collect());
            return Ok(true);
        };
        let Some(number) = left.pop() else {
            self.left = None;
            let shared = &set.shared;
            // what waits may be written meanwhile: then `take_written` has it
            let elsewhere = [shared.memory.oldest(), shared.pending.oldest()];
            let oldest = [self.oldest, shared.purges.take_written()].into_iter().chain(elsewhere).flatten().min();
            if !self.missed {
                set.shared.purges.remove_until(oldest);
                set.shared.purges.paths.complete();
            }
            return Ok(false);
        };
        self.looking = set.shared.catalog.generation(number).map(|generation| {
            let records = set.shared.catalog.index.of_generation(number);
            let mut left: Vec<Print> = records.into_iter().map(|(print, _)| print).collect();
            // in the order of the database each of its pages is read once
            left.sort_unstable_by_key(|print| Reverse(print.0));
            let unnamed = segment::body_files(&generation.folder).unwrap_or_default().into_iter().collect();
            Looking { generation, left, unnamed }
        });
        Ok(true)
    }
}

/// The findings of a step.
#[derive(Default)]
struct Seen {
    oldest: Option<Position>,
    missed: bool,
}

fn forget_dead(set: &mut Generations, looking: &mut Looking) -> Result<Seen, StoreError> {
    let mut seen = Seen::default();
    let shared = set.shared.clone();
    let from = &looking.generation;
    let (mut lines, mut files, mut swept): (Vec<Line>, Vec<_>, u64) = Default::default();
    for _ in 0..STEP {
        let Some(print) = looking.left.pop() else { break };
        // replaced or forgotten since, or damaged
        let Some(entry) = shared.catalog.index.find(print).filter(|entry| entry.needs(from.number)) else {
            continue;
        };
        let Some(holder) = shared.catalog.generation(entry.generation) else { continue };
        let record = match holder.database.find_print(print) {
            Ok(Some((key, record))) => record::decode(&key, &record).map(|record| (key, record)),
            Ok(None) => None,
            Err(StoreError::Busy) => {
                looking.left.push(print);
                thread::park_timeout(REOPENING);
                break;
            }
            Err(_) => {
                // it may name any of them
                looking.unnamed.clear();
                seen.missed = true;
                None
            }
        };
        let Some((key, record)) = record else { continue };
        let home = match record.body {
            RecordBody::Beside(home) => Some(home),
            RecordBody::Inline(_) => None,
        };
        if let Some(home) = home.filter(|home| home.generation == from.number) {
            looking.unnamed.remove(&home.location.file);
        }
        let lives = !(shared.is_dead)(&record.head) && !shared.purges.is_dead(&record.head);
        let shard = shared.pending.shard(&key);
        if lives || shard.waiting(&key).is_some() {
            shared.purges.paths.add(&record.head);
            let position = record.head.position;
            seen.oldest = Some(seen.oldest.map_or(position, |oldest| oldest.min(position)));
            continue;
        }
        // from here on no 304 freshens the response, which is about to lose its body
        shared.catalog.index.remove(print);
        shared.memory.remove(&key);
        drop(shard);
        // the list of variants, if it is one
        shared.memory.remove(&record.primary);
        shared.remove_if_lost(Print::of(&record.primary), print);
        lines.push(Line::Forgotten(print));
        let holders = [Some(holder), shared.catalog.generation(entry.body).filter(|_| entry.body != entry.generation)];
        for holder in holders.into_iter().flatten() {
            holder.dead.fetch_add(entry.bytes_in(holder.number), Relaxed);
        }
        swept += 1;
        files.extend(home);
    }
    set.record(&lines);
    for home in files {
        if let Some(generation) = shared.catalog.generation(home.generation) {
            generation.remove_body(home.location.file);
        }
    }
    shared.counters.swept.fetch_add(swept, Relaxed);
    Ok(seen)
}

/// Begins to remove a generation of which more is dead than alive. What lives is copied first.
fn give_back(set: &mut Generations, rotation: &mut Rotation, generation: Arc<Generation>) -> Result<(), StoreError> {
    if set.shared.catalog.generation(generation.number).is_none() {
        // it was removed meanwhile
        return Ok(());
    }
    let live = set.shared.catalog.index.of_generation(generation.number);
    let alive: u64 = live.iter().map(|(_, entry)| entry.bytes_in(generation.number)).sum();
    let dead = generation.dead.load(Relaxed);
    if dead == 0 || dead < alive || alive > set.shared.space.room_for_survivors() {
        return Ok(());
    }
    if set.fresh.generation.number == generation.number {
        let next = set.begin(Class::Fresh)?;
        std::mem::replace(&mut set.fresh, next).seal()?;
    }
    if let Some(full) = set.proven.take_if(|proven| proven.generation.number == generation.number) {
        full.seal()?;
    }
    let survivors = live.into_iter().map(|(print, _)| print).collect();
    rotation.drop_next(generation, survivors, alive);
    Ok(())
}
