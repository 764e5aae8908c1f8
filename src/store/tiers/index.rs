//! The index: for each key on the disk, the generation that holds its record. It takes 16 bytes for each key, in memory, and 12
//! more if the body is in another generation than the record. The index decides what is stored: a record that it does not name
//! does not exist. An opening builds it from the journal. It also knows which variants a URL has.

use std::{
    collections::{HashMap, HashSet},
    hash::BuildHasherDefault,
    sync::{
        RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::variants::{Same, Variants};
use crate::store::format::{
    lines::{self, Event, LINE, Line},
    print::{Entry, Print, Size},
};

type Prints<T> = HashMap<Print, T, BuildHasherDefault<Same>>;

const SHARDS: usize = 64;
/// So many lines of a journal are gathered by shard, 24 bytes each, before they are applied shard by shard. A shard fits into
/// the processor's cache, all of them do not.
const GATHERED: usize = 1 << 19;

/// What a line of a journal says of a key. `None`: the key is forgotten.
type Said = (Print, Option<Entry>);

/// The entries of some keys.
#[derive(Default)]
struct Shard {
    /// The generation of each record, and its size.
    records: Prints<(u32, Size)>,
    /// The generation of each body that is not in its record's: few are, and so the others need no room for it.
    elsewhere: Prints<u32>,
}

impl Shard {
    fn find(&self, print: Print) -> Option<Entry> {
        self.records.get(&print).map(|record| self.entry(print, record))
    }

    fn entry(&self, print: Print, &(generation, size): &(u32, Size)) -> Entry {
        let body = if self.elsewhere.is_empty() { None } else { self.elsewhere.get(&print).copied() };
        Entry { generation, size, body: body.unwrap_or(generation) }
    }

    fn entries(&self) -> impl Iterator<Item = (Print, Entry)> {
        self.records.iter().map(|(print, record)| (*print, self.entry(*print, record)))
    }

    /// Returns the entry that was there.
    fn set(&mut self, print: Print, Entry { generation, size, body }: Entry) -> Option<Entry> {
        let old = self.remove_body(print);
        if body != generation {
            self.elsewhere.insert(print, body);
        }
        let replaced = self.records.insert(print, (generation, size));
        replaced.map(|(generation, size)| Entry { generation, size, body: old.unwrap_or(generation) })
    }

    fn remove(&mut self, print: Print) -> Option<Entry> {
        let body = self.remove_body(print);
        let removed = self.records.remove(&print);
        removed.map(|(generation, size)| Entry { generation, size, body: body.unwrap_or(generation) })
    }

    fn remove_body(&mut self, print: Print) -> Option<u32> {
        if self.elsewhere.is_empty() { None } else { self.elsewhere.remove(&print) }
    }

    fn shrink(&mut self) {
        self.records.shrink_to_fit();
        self.elsewhere.shrink_to_fit();
    }
}

pub struct Index {
    shards: Vec<RwLock<Shard>>,
    /// The variants of each URL that has some.
    pub variants: Variants,
    responses: AtomicU64,
    bytes: AtomicU64,
}

impl Index {
    pub fn new() -> Index {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Index { shards, variants: Variants::new(), responses: AtomicU64::new(0), bytes: AtomicU64::new(0) }
    }

    pub fn find(&self, print: Print) -> Option<Entry> {
        self.read(print).find(print)
    }

    pub fn set(&self, print: Print, entry: Entry) {
        let old = self.write(print).set(print, entry);
        self.count(difference(old, Some(entry)));
    }

    pub fn remove(&self, print: Print) -> Option<Entry> {
        let old = self.write(print).remove(print);
        self.count(difference(old, None));
        old
    }

    /// Removes the keys that need a generation. Returns how many there were.
    pub fn remove_generation(&self, generation: u32) -> u64 {
        let before = self.responses();
        self.retain(|entry| !entry.needs(generation));
        before - self.responses().min(before)
    }

    pub fn remove_all(&self) {
        self.retain(|_| false);
        self.variants.clear();
    }

    /// Removes the keys that need other generations than these.
    pub fn keep_generations(&self, numbers: &[u32]) {
        if self.generations().iter().any(|number| !numbers.contains(number)) {
            self.retain(|entry| numbers.contains(&entry.generation) && numbers.contains(&entry.body));
        }
    }

    /// Applies the lines of a journal. `other` gets those that are not about a key.
    pub fn read_journal(&self, bytes: &[u8], mut other: impl FnMut(&Line)) -> lines::Read {
        self.reserve(bytes.len() / LINE);
        let (mut gathered, mut count) = (vec![Vec::new(); SHARDS], 0);
        let read = lines::read(bytes, |event| {
            match event {
                Event::Line(Line::Record { print, entry, primary }) => {
                    gathered[number(print)].push((print, Some(entry)));
                    count += 1;
                    if print != primary {
                        self.variants.add(primary, print);
                    }
                }
                Event::Line(Line::Forgotten(print)) => {
                    gathered[number(print)].push((print, None));
                    count += 1;
                }
                Event::Line(line) => other(&line),
                Event::Forget => {
                    gathered.iter_mut().for_each(Vec::clear);
                    self.remove_all();
                }
            }
            if count >= GATHERED {
                self.apply_all(&mut gathered);
                count = 0;
            }
        });
        self.apply_all(&mut gathered);
        read
    }

    /// Applies what a journal says of keys, gathered by shard, and empties the lists.
    fn apply_all(&self, gathered: &mut [Vec<Said>]) {
        for (shard, gathered) in self.shards.iter().zip(gathered) {
            let mut shard = shard.write().unwrap_or_else(|poison| poison.into_inner());
            let mut more = (0, 0);
            for (print, entry) in gathered.drain(..) {
                let old = match entry {
                    Some(entry) => shard.set(print, entry),
                    None => shard.remove(print),
                };
                more = plus(more, difference(old, entry));
            }
            self.count(more);
        }
    }

    /// Applies a line of the journal, except what it says of variants.
    pub fn apply(&self, line: &Line) {
        match line {
            Line::Record { print, entry, .. } => self.set(*print, *entry),
            Line::Forgotten(print) => _ = self.remove(*print),
            Line::Rule(_) | Line::HighWater(_) | Line::Identity(_) => {}
        }
    }

    /// Removes the variants that have no record.
    pub fn remove_lost_variants(&self) {
        for (primary, variants) in self.variants.all() {
            let lost = variants.into_iter().filter(|print| self.find(*print).is_none());
            lost.for_each(|print| self.variants.remove(primary, print));
        }
    }

    /// Makes room for so many more keys.
    fn reserve(&self, keys: usize) {
        for shard in &self.shards {
            shard.write().unwrap_or_else(|poison| poison.into_inner()).records.reserve(keys / SHARDS);
        }
    }

    /// Returns the keys that need a generation: their record is there, or their body.
    pub fn of_generation(&self, generation: u32) -> Vec<(Print, Entry)> {
        self.collect(|print, entry| entry.needs(generation).then_some((print, entry)))
    }

    /// Returns the bytes of the responses in each generation. Counts only responses of at least so many bytes.
    pub fn bytes_by_generation(&self, least: u64) -> HashMap<u32, u64> {
        let mut bytes = HashMap::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(|poison| poison.into_inner());
            for (_, entry) in shard.entries().filter(|(_, entry)| entry.size.bytes() >= least) {
                *bytes.entry(entry.body).or_default() += entry.bytes_in(entry.body);
                if entry.body != entry.generation {
                    *bytes.entry(entry.generation).or_default() += entry.bytes_in(entry.generation);
                }
            }
        }
        bytes
    }

    /// Returns the whole index as lines of a journal. Of the variants of a URL the oldest comes first.
    pub fn lines(&self) -> Vec<Line> {
        let variants = self.variants.all();
        let primaries: HashMap<Print, Print, BuildHasherDefault<Same>> =
            variants.iter().flat_map(|(primary, known)| known.iter().map(|print| (*print, *primary))).collect();
        let line = |print, entry, primary| Line::Record { print, entry, primary };
        let mut lines =
            self.collect(|print, entry| (!primaries.contains_key(&print)).then(|| line(print, entry, print)));
        for (primary, known) in variants {
            let stored = known.into_iter().rev().filter_map(|print| Some(line(print, self.find(print)?, primary)));
            lines.extend(stored);
        }
        lines
    }

    /// Returns the generations that a key needs.
    pub fn generations(&self) -> HashSet<u32> {
        let (mut found, mut last) = (HashSet::new(), None);
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(|poison| poison.into_inner());
            let numbers = shard.records.values().map(|(generation, _)| generation).chain(shard.elsewhere.values());
            for number in numbers.filter(|number| last.replace(**number) != Some(**number)) {
                found.insert(*number);
            }
        }
        found
    }

    /// Returns the number of keys.
    pub fn len(&self) -> u64 {
        let shards = self.shards.iter().map(|shard| shard.read().unwrap_or_else(|poison| poison.into_inner()));
        shards.map(|shard| shard.records.len() as u64).sum()
    }

    pub fn responses(&self) -> u64 {
        self.responses.load(Relaxed)
    }

    /// Returns the bytes of all stored responses, heads included.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    fn collect<T>(&self, pick: impl Fn(Print, Entry) -> Option<T>) -> Vec<T> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(|poison| poison.into_inner());
            found.extend(shard.entries().filter_map(|(print, entry)| pick(print, entry)));
        }
        found
    }

    fn retain(&self, keep: impl Fn(&Entry) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(|poison| poison.into_inner());
            let leaving: Vec<Print> =
                shard.entries().filter(|(_, entry)| !keep(entry)).map(|(print, _)| print).collect();
            for print in leaving {
                let old = shard.remove(print);
                self.count(difference(old, None));
            }
            shard.shrink();
        }
    }

    /// Counts so many more responses and bytes, modulo 2^64.
    fn count(&self, (responses, bytes): (u64, u64)) {
        self.responses.fetch_add(responses, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    fn shard(&self, print: Print) -> &RwLock<Shard> {
        &self.shards[number(print)]
    }

    fn read(&self, print: Print) -> RwLockReadGuard<'_, Shard> {
        self.shard(print).read().unwrap_or_else(|poison| poison.into_inner())
    }

    fn write(&self, print: Print) -> RwLockWriteGuard<'_, Shard> {
        self.shard(print).write().unwrap_or_else(|poison| poison.into_inner())
    }
}

/// The number of a print's shard.
fn number(print: Print) -> usize {
    // not the bits that the maps use for their buckets
    (print.0 >> 40) as usize % SHARDS
}

/// Returns how many more responses and bytes there are with a new entry in place of an old one, modulo 2^64.
fn difference(old: Option<Entry>, new: Option<Entry>) -> (u64, u64) {
    let of = |entry: Option<Entry>| entry.map_or((0_u64, 0_u64), |entry| (1, entry.size.bytes()));
    let ((responses, bytes), (old_responses, old_bytes)) = (of(new), of(old));
    (responses.wrapping_sub(old_responses), bytes.wrapping_sub(old_bytes))
}

fn plus((responses, bytes): (u64, u64), (more, more_bytes): (u64, u64)) -> (u64, u64) {
    (responses.wrapping_add(more), bytes.wrapping_add(more_bytes))
}
