//! The generations of the disk as the writer sees them: it alone changes them.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::active::Active;
use crate::{
    key::CacheKey,
    store::{
        StoreError,
        disk::{
            body::{DiskBody, Home},
            generation::{Class, Generation, State},
            journal::Journal,
            records::Records,
        },
        format::{
            journal_lines::Line,
            location::Location,
            print::{Entry, Print, Size},
            record::{self, BodyForm, Variant},
        },
        response::{Slot, StoredBody},
        tiers::{
            pending::{Change, Waiting},
            shared::{Shared, left_out, merged},
        },
    },
};

/// A body up to this length, in bytes, stands in the record. Measured, see benches/store.rs.
pub const INLINE: usize = 256;

pub struct Generations {
    pub shared: Arc<Shared>,
    pub journal: Journal,
    /// What is put goes here.
    pub fresh: Active,
    /// What survived a generation goes here; begun when something did.
    pub proven: Option<Active>,
    pub next_number: u32,
    /// What was written and may not be in the journal on the disk yet.
    unsynced: Vec<CacheKey>,
}

/// What is to be written under a key.
struct Write {
    key: CacheKey,
    turn: u64,
    /// `None`: forgotten.
    record: Option<(Vec<u8>, Size)>,
    /// The variants, where the record completed them.
    completed: Option<Arc<Vec<Variant>>>,
    /// A body whose file came here with the record.
    body: Option<(DiskBody, Home)>,
    /// The variants that go with a list that is forgotten, or have no place in it any more.
    variants: Vec<CacheKey>,
}

impl Generations {
    pub fn new(shared: Arc<Shared>, journal: Journal, fresh: Active, proven: Option<Active>, next_number: u32) -> Self {
        Generations { shared, journal, fresh, proven, next_number, unsynced: Vec::new() }
    }

    /// Writes changes. They have left the process on return, but need not have reached the disk.
    pub fn write(&mut self, changes: Vec<(CacheKey, Waiting)>) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let mut writes = Vec::with_capacity(changes.len());
        for (key, waiting) in changes {
            writes.push(self.prepare(key, waiting)?);
        }
        let old: Vec<Option<Entry>> = writes.iter().map(|write| shared.catalog.entry(&write.key)).collect();
        let replaced = self.replaced_bodies(&writes, &old);
        let generation = self.fresh.generation.number;
        let mut records = Vec::with_capacity(writes.len());
        let mut lines: Vec<Line> = Vec::with_capacity(writes.len());
        for key in writes.iter().flat_map(|write| &write.variants) {
            if shared.catalog.entry(key).is_some() && shared.pending.one(key).is_none() {
                shared.memory.remove(key);
                lines.push((Print::of(key), None));
            }
        }
        for (write, old) in writes.iter_mut().zip(&old) {
            match write.record.take() {
                Some((record, size)) => {
                    records.push((write.key, record));
                    lines.push((Print::of(&write.key), Some(Entry { generation, size })));
                }
                None if old.is_some() => lines.push((Print::of(&write.key), None)),
                None => {}
            }
        }
        if !records.is_empty() {
            self.fresh.write(&records, self.journal.synced())?;
        }
        self.record(&lines);
        self.unsynced.extend(writes.iter().map(|write| write.key));
        for (generation, location) in replaced {
            generation.remove_body(location.file);
        }
        for write in writes {
            if let Some((body, home)) = write.body {
                body.has_moved(home);
                body.watch(write.key, &shared.notices);
            }
            let mut shard = shared.pending.shard(&write.key);
            let last = shared.pending.written(&mut shard, &write.key, write.turn);
            if let Some(list) = write.completed.filter(|_| last) {
                shared.memory.keep(write.key, Slot::Variants(list));
            }
        }
        Ok(())
    }

    /// From here on it is so: in the journal, and in the index.
    pub fn record(&mut self, lines: &[Line]) {
        self.journal.append(lines);
        if lines.iter().any(|(_, entry)| entry.is_none()) {
            self.shared.forgetting.store(true, Relaxed);
        }
        for (print, entry) in lines {
            match entry {
                Some(entry) => self.shared.catalog.index.set(*print, *entry),
                None => _ = self.shared.catalog.index.remove(*print),
            }
        }
    }

    /// Makes what was written reach the disk: bodies, then records, then the journal that names them.
    pub fn sync(&mut self) -> io::Result<()> {
        self.fresh.sync()?;
        if let Some(proven) = &mut self.proven {
            proven.sync()?;
        }
        self.journal.sync()?;
        self.shared.forgetting.store(false, Relaxed);
        self.unsynced.clear();
        self.ease()?;
        if self.journal.is_long(self.shared.catalog.index.len()) {
            let path = self.shared.options.folder.join("live/journal");
            self.journal = Journal::summarize(&path, self.journal.serial() + 1, &self.shared.catalog.index.entries())?;
        }
        Ok(())
    }

    /// Opens those databases anew that hold most pages, where those that are read only hold more than they may, and gives the
    /// memory tier what is left of `--memory`.
    pub fn ease(&self) -> io::Result<()> {
        let shared = &self.shared;
        let mut generations = shared.catalog.generations().clone();
        let (mut pages, may) = (shared.catalog.pages(), shared.budget.pages());
        if pages > may {
            generations.sort_unstable_by_key(|generation| std::cmp::Reverse(generation.pages()));
            for generation in generations.iter().filter(|generation| generation.state() != State::Active) {
                if pages <= may / 2 {
                    break;
                }
                pages = pages.saturating_sub(generation.pages());
                generation.let_go_of_pages()?;
            }
        }
        let databases = generations.iter().map(|generation| generation.memory() + generation.pages()).sum();
        shared.share_memory(databases);
        Ok(())
    }

    /// The disk failed: what its journal does not say would come back as it was before.
    pub fn forget_unsynced(self) {
        for key in &self.unsynced {
            let mut shard = self.shared.pending.shard(key);
            if shard.waiting(key).is_none() {
                self.shared.pending.add(&mut shard, *key, Change::Forgotten, true);
            }
        }
    }

    /// Closes the databases, so that they open quickly, and so that a journal that loses its end from now on is noticed.
    pub fn close(mut self) {
        let synced = self.journal.synced();
        let known = self.fresh.generation.journal().unwrap_or_default();
        if known != synced
            && let Err(error) = self.fresh.write(&[], synced).and_then(|()| self.fresh.sync().map_err(StoreError::Io))
        {
            log::debug!("the journal's end was not written down: {error}");
        }
        let shared = self.shared.clone();
        let generations = shared.catalog.generations().clone();
        let written = generations.iter().filter(|generation| generation.written.load(Relaxed) > 0);
        let folders: Vec<PathBuf> = written.map(|generation| generation.folder.join("db")).collect();
        drop(generations);
        drop(self);
        std::thread::scope(|threads| {
            for folder in &folders {
                threads.spawn(|| Records::catch_up(folder));
            }
        });
    }

    /// Begins the next generation of a class.
    pub fn begin(&mut self, class: Class) -> Result<Active, StoreError> {
        let number = self.next_number;
        self.next_number += 1;
        Active::begin(&self.shared, class, number)
    }

    /// Measures what is written to, and tells the limit. An error: the folder was removed.
    pub fn measure(&self) -> Result<(), StoreError> {
        self.fresh.measure();
        self.proven.iter().for_each(Active::measure);
        let folder = &self.shared.options.folder;
        let journal = std::fs::metadata(folder.join("live/journal")).map_err(StoreError::Io)?;
        let beside = journal.blocks() * 512 + self.shared.space.beside();
        self.shared.space.set_measured(self.shared.catalog.bytes() + beside, folder);
        Ok(())
    }

    fn prepare(&mut self, key: CacheKey, waiting: Waiting) -> Result<Write, StoreError> {
        let mut write =
            Write { key, turn: waiting.turn, record: None, completed: None, body: None, variants: Vec::new() };
        match waiting.change {
            Change::Forgotten if self.is_list(&key) => {
                let list = self.stored_variants(&key).unwrap_or_default();
                write.variants = list.iter().map(|variant| variant.key).collect();
            }
            Change::Forgotten => {}
            Change::Response(response) => {
                let (form, length) = match &response.body {
                    StoredBody::Memory(bytes) if bytes.len() <= INLINE => (BodyForm::Inline(bytes), 0),
                    StoredBody::Memory(bytes) => (BodyForm::Beside(self.fresh.append(bytes)?), bytes.len() as u64),
                    StoredBody::Disk(body) => match self.fresh.adopt(&self.shared.catalog, &key, body)? {
                        None => {
                            // memory would keep the room of a file that is gone
                            self.shared.memory.remove(&key);
                            return Ok(write);
                        }
                        Some(home) => {
                            write.body = Some((body.clone(), home));
                            (BodyForm::Beside(home.location), body.length())
                        }
                    },
                };
                let record = record::encode_response(&key, &response.head, form);
                write.record = record.map(|record| {
                    let size = Size::of_response(record.len() as u64 + length);
                    (record, size)
                });
            }
            Change::Variants { list, whole } => {
                let stored = if whole { None } else { self.stored_variants(&key) };
                let list = stored.map_or(list.clone(), |stored| {
                    let merged = merged(&list, &stored);
                    write.variants = left_out(&stored, &merged).collect();
                    merged.into()
                });
                write.record = record::encode_variants(&key, &list).map(|record| (record, Size::LIST));
                write.completed = (!whole).then_some(list);
            }
        }
        Ok(write)
    }

    fn is_list(&self, key: &CacheKey) -> bool {
        self.shared.catalog.entry(key).is_some_and(|entry| entry.size == Size::LIST)
    }

    fn stored_variants(&self, key: &CacheKey) -> Option<Arc<Vec<Variant>>> {
        match self.shared.read(key) {
            Ok(Some(Slot::Variants(list))) => Some(list),
            _ => None,
        }
    }

    /// Bodies with a file of their own that lose their record by these writes.
    fn replaced_bodies(&self, writes: &[Write], old: &[Option<Entry>]) -> Vec<(Arc<Generation>, Location)> {
        let mut replaced = Vec::new();
        for (write, old) in writes.iter().zip(old) {
            // the record need not be read where no such body can be
            let Some(entry) = old.filter(|entry| entry.size.bytes() > INLINE as u64) else { continue };
            let Some(generation) = self.shared.catalog.generation(entry.generation) else { continue };
            let here = write.body.as_ref().map(|(_, home)| (home.generation, home.location.file));
            if let Ok(Some(location)) = generation.location(&write.key)
                && here != Some((generation.number, location.file))
            {
                replaced.push((generation, location));
            }
        }
        replaced
    }
}

impl Drop for Generations {
    fn drop(&mut self) {
        self.shared.catalog.generations_mut().clear();
    }
}
