//! Long-dead stored responses go by themselves, also where there is room for them: now and then one generation after
//! another is looked through. What is dead is forgotten, and a generation that holds little else gives its space back.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    StoreError,
    generation::{Class, Generation},
    generations::Generations,
    index::Print,
    journal::Line,
    record::{self, Record, RecordBody},
    rotation::Leaving,
};

/// Records that are looked at before other work gets its turn.
const STEP: usize = 256;

/// How far a pass has come.
#[derive(Default)]
pub struct Sweeping {
    /// The numbers of the generations that it has not come to; `None`: there is no pass.
    left: Option<Vec<u32>>,
    looking: Option<Looking>,
}

/// A generation that is looked through.
struct Looking {
    generation: Arc<Generation>,
    left: Vec<Print>,
}

impl Generations {
    /// Does a part of a pass, and begins one where there is none. Is there more of it?
    pub fn sweep(&mut self) -> Result<bool, StoreError> {
        if self.leaving.is_some() {
            return self.rotate().map(|_| true);
        }
        if let Some(mut looking) = self.sweeping.looking.take() {
            self.forget_dead(&mut looking)?;
            if looking.left.is_empty() {
                self.give_back(looking.generation)?;
            } else {
                self.sweeping.looking = Some(looking);
            }
            return Ok(true);
        }
        let Some(left) = &mut self.sweeping.left else {
            let generations = self.shared.generations.read().unwrap_or_else(|poison| poison.into_inner());
            self.sweeping.left = Some(generations.iter().map(|generation| generation.number).collect());
            return Ok(true);
        };
        let Some(number) = left.pop() else {
            self.sweeping.left = None;
            return Ok(false);
        };
        self.sweeping.looking = self.shared.generation(number).map(|generation| {
            let left = self.shared.index.of_generation(number).into_iter().map(|(print, _)| print).collect();
            Looking { generation, left }
        });
        Ok(true)
    }

    fn forget_dead(&mut self, looking: &mut Looking) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let from = &looking.generation;
        let (mut lines, mut files, mut swept): (Vec<Line>, Vec<_>, u64) = Default::default();
        let step = looking.left.len().saturating_sub(STEP);
        for print in looking.left.split_off(step) {
            // replaced or forgotten since, or damaged
            let Some(entry) = shared.index.find(print).filter(|entry| entry.generation == from.number) else {
                continue;
            };
            let Ok(Some((key, record))) = from.records.find_print(print) else { continue };
            match record::decode(&key, &record) {
                Some(Record::Response(head, body)) if (shared.is_dead)(&head) => {
                    from.dead.fetch_add(entry.size.bytes(), Relaxed);
                    swept += 1;
                    if let RecordBody::Beside(location) = body {
                        files.push(location);
                    }
                }
                Some(Record::Variants(list))
                    if list.iter().all(|variant| shared.index.find(Print::of(&variant.key)).is_none()) => {}
                _ => continue,
            }
            lines.push((print, None));
        }
        self.record(&lines)?;
        files.iter().for_each(|location| from.remove_body(location));
        shared.counters.swept.fetch_add(swept, Relaxed);
        Ok(())
    }

    /// Drops a generation of which more is dead than alive; what lives is copied first.
    fn give_back(&mut self, generation: Arc<Generation>) -> Result<(), StoreError> {
        let live = self.shared.index.of_generation(generation.number);
        let (dead, alive) = (generation.dead.load(Relaxed), live.iter().map(|(_, size)| size.bytes()).sum::<u64>());
        if dead == 0 || dead < alive || alive > self.shared.space.room_for_survivors() {
            return Ok(());
        }
        if self.fresh.generation.number == generation.number {
            self.fresh.sync().map_err(StoreError::Io)?;
            self.fresh = self.begin(Class::Fresh)?;
        }
        if let Some(mut full) = self.proven.take_if(|proven| proven.generation.number == generation.number) {
            full.sync().map_err(StoreError::Io)?;
        }
        let survivors = live.into_iter().map(|(print, _)| print).collect();
        self.leaving = Some(Leaving { generation, survivors });
        Ok(())
    }
}
