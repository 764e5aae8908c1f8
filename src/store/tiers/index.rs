//! Which keys are on disk, and in which generation: 16 bytes each, in memory, and 12 more where the body is in another
//! generation than the record. The truth of what is stored: a record that is not named here does not exist. Built from the journal at opening. Beside it stands which variants a URL has.

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
        self.count(old, Some(entry));
    }

    pub fn remove(&self, print: Print) -> Option<Entry> {
        let old = self.write(print).remove(print);
        self.count(old, None);
        old
    }

    /// Forgets what needs a generation. How many stored responses that were.
    pub fn remove_generation(&self, generation: u32) -> u64 {
        let before = self.responses();
        self.retain(|entry| !entry.needs(generation));
        before - self.responses().min(before)
    }

    pub fn remove_all(&self) {
        self.retain(|_| false);
        self.variants.clear();
    }

    /// Keeps what needs no other generations than these.
    pub fn keep_generations(&self, numbers: &[u32]) {
        if self.generations().iter().any(|number| !numbers.contains(number)) {
            self.retain(|entry| numbers.contains(&entry.generation) && numbers.contains(&entry.body));
        }
    }

    /// Adds what a journal says of records.
    pub fn read_journal(&self, bytes: &[u8], mut other: impl FnMut(&Line)) -> lines::Read {
        self.reserve(bytes.len() / LINE);
        lines::read(bytes, |event| match event {
            Event::Line(line @ (Line::Record { .. } | Line::Forgotten(_))) => {
                self.apply(&line);
                if let Line::Record { print, primary, .. } = line
                    && print != primary
                {
                    self.variants.add(primary, print);
                }
            }
            Event::Line(line) => other(&line),
            Event::Forget => self.remove_all(),
        })
    }

    /// Does what a line of the journal says of a record.
    pub fn apply(&self, line: &Line) {
        match line {
            Line::Record { print, entry, .. } => self.set(*print, *entry),
            Line::Forgotten(print) => _ = self.remove(*print),
            Line::Rule(_) | Line::Invalidation { .. } | Line::HighWater(_) | Line::Identity(_) => {}
        }
    }

    /// Forgets the variants that no record stands for.
    pub fn forget_lost_variants(&self) {
        for (primary, variants) in self.variants.all() {
            let lost = variants.into_iter().filter(|print| self.find(*print).is_none());
            lost.for_each(|print| self.variants.remove(primary, print));
        }
    }

    /// So many keys are about to come.
    fn reserve(&self, keys: usize) {
        for shard in &self.shards {
            shard.write().unwrap_or_else(|poison| poison.into_inner()).records.reserve(keys / SHARDS);
        }
    }

    /// What needs this generation: its record is there, or its body.
    pub fn of_generation(&self, generation: u32) -> Vec<(Print, Entry)> {
        self.collect(|print, entry| entry.needs(generation).then_some((print, entry)))
    }

    /// Bytes of what is in each generation, of responses that have so many at least.
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

    /// All that it knows, as lines of a journal. Of the variants of a URL the oldest comes first.
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

    /// The generations that are needed by something.
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

    /// Of how many keys it knows.
    pub fn len(&self) -> u64 {
        let shards = self.shards.iter().map(|shard| shard.read().unwrap_or_else(|poison| poison.into_inner()));
        shards.map(|shard| shard.records.len() as u64).sum()
    }

    pub fn responses(&self) -> u64 {
        self.responses.load(Relaxed)
    }

    /// Of all stored responses, heads included.
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
                self.count(old, None);
            }
            shard.shrink();
        }
    }

    fn count(&self, old: Option<Entry>, new: Option<Entry>) {
        if let Some(entry) = new {
            self.responses.fetch_add(1, Relaxed);
            self.bytes.fetch_add(entry.size.bytes(), Relaxed);
        }
        if let Some(entry) = old {
            self.responses.fetch_sub(1, Relaxed);
            self.bytes.fetch_sub(entry.size.bytes(), Relaxed);
        }
    }

    fn shard(&self, print: Print) -> &RwLock<Shard> {
        // not the bits that the maps use for their buckets
        &self.shards[(print.0 >> 40) as usize % SHARDS]
    }

    fn read(&self, print: Print) -> RwLockReadGuard<'_, Shard> {
        self.shard(print).read().unwrap_or_else(|poison| poison.into_inner())
    }

    fn write(&self, print: Print) -> RwLockWriteGuard<'_, Shard> {
        self.shard(print).write().unwrap_or_else(|poison| poison.into_inner())
    }
}
