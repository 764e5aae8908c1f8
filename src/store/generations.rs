//! The generations of the disk, as the writer sees them: it alone changes them.

use std::{fs, io, sync::Arc};

use super::{
    Slot, StoreError, Variant,
    body::{DiskBody, Home},
    folder,
    generation::Generation,
    index::{Entry, Print, Size},
    journal::{Journal, Line},
    pending::{Change, Waiting},
    record::{self, BodyForm},
    segment::{FileName, Location, Segment},
    shared::{Shared, merged},
};
use crate::{key::CacheKey, message::StoredBody};

/// A body up to this length stands in the record.
pub const INLINE: usize = 16 * 1024;

pub struct Generations {
    pub shared: Arc<Shared>,
    /// The one that is written to.
    pub young: Arc<Generation>,
    pub journal: Journal,
    /// Begun with the first body that goes to one.
    pub segment: Option<Segment>,
    pub next_file: u32,
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
}

impl Generations {
    /// Writes changes. They have left the process on return, but need not have reached the disk.
    pub fn write(&mut self, changes: Vec<(CacheKey, Waiting)>) -> Result<(), StoreError> {
        let mut writes = Vec::with_capacity(changes.len());
        for (key, waiting) in changes {
            writes.push(self.prepare(key, waiting)?);
        }
        let index = &self.shared.index;
        let old: Vec<Option<Entry>> = writes.iter().map(|write| index.find(Print::of(&write.key))).collect();
        let replaced = self.replaced_bodies(&writes, &old);
        let mut records = Vec::with_capacity(writes.len());
        let mut lines: Vec<Line> = Vec::with_capacity(writes.len());
        for (write, old) in writes.iter_mut().zip(&old) {
            let size = write.record.as_ref().map(|(_, size)| *size);
            let record = write.record.take().map(|(record, _)| record);
            if size.is_some() || old.is_some_and(|entry| entry.generation == self.young.number) {
                records.push((write.key, record));
            }
            if size.is_some() || old.is_some() {
                lines.push((Print::of(&write.key), size));
            }
        }
        if !records.is_empty() {
            self.young.records.write(records, self.journal.synced())?;
        }
        self.journal.append(&lines).map_err(StoreError::Io)?;
        for (print, size) in lines {
            match size {
                Some(size) => index.set(print, Entry { generation: self.young.number, size }),
                None => _ = index.remove(print),
            }
        }
        for (generation, location) in replaced {
            generation.remove_body(&location);
        }
        for write in writes {
            if let Some((body, home)) = write.body {
                body.settle(home);
            }
            let mut shard = self.shared.pending.shard(&write.key);
            let last = self.shared.pending.written(&mut shard, &write.key, write.turn);
            if let Some(list) = write.completed.filter(|_| last) {
                self.shared.memory.keep(write.key, Slot::Variants(list));
            }
        }
        Ok(())
    }

    /// Makes what was written reach the disk: bodies, then records, then the journal that names them.
    pub fn sync(&mut self) -> io::Result<()> {
        if let Some(segment) = &mut self.segment {
            segment.sync()?;
        }
        self.young.records.sync()?;
        self.journal.sync()
    }

    fn prepare(&mut self, key: CacheKey, waiting: Waiting) -> Result<Write, StoreError> {
        let mut write = Write { key, turn: waiting.turn, record: None, completed: None, body: None };
        match waiting.change {
            Change::Forgotten => {}
            Change::Response(response) => {
                let (form, length) = match &response.body {
                    StoredBody::Memory(bytes) if bytes.len() <= INLINE => (BodyForm::Inline(bytes), 0),
                    StoredBody::Memory(bytes) => (BodyForm::Beside(self.append(bytes)?), bytes.len() as u64),
                    StoredBody::Disk(body) => match self.adopt(body)? {
                        None => return Ok(write),
                        Some(home) => {
                            write.body = Some((body.clone(), home));
                            (BodyForm::Beside(home.location), body.length())
                        }
                    },
                };
                write.record = record::encode_response(&key, &response.head, form).map(|record| {
                    let size = Size::of_response(record.len() as u64 + length);
                    (record, size)
                });
            }
            Change::Variants { list, whole } => {
                let stored = if whole { None } else { self.stored_variants(&key) };
                let list = stored.map_or(list.clone(), |stored| merged(&list, &stored).into());
                write.record = record::encode_variants(&key, &list).map(|record| (record, Size::LIST));
                write.completed = (!whole).then_some(list);
            }
        }
        Ok(write)
    }

    fn stored_variants(&self, key: &CacheKey) -> Option<Arc<Vec<Variant>>> {
        match self.shared.read(key) {
            Ok(Some(Slot::Variants(list))) => Some(list),
            _ => None,
        }
    }

    /// Appends a body to the segment.
    fn append(&mut self, body: &[u8]) -> Result<Location, StoreError> {
        if self.segment.is_none() {
            let number = self.file_number();
            self.segment = Some(Segment::create(&self.young.folder, number).map_err(StoreError::Io)?);
        }
        self.segment.as_mut().ok_or(StoreError::Closed)?.append(body).map_err(StoreError::Io)
    }

    /// Gives a body a place in the youngest generation. `None`: it cannot be read any more.
    fn adopt(&mut self, body: &DiskBody) -> Result<Option<Home>, StoreError> {
        let generation = self.young.number;
        if let Some(home) = body.home() {
            if home.generation == generation {
                return Ok(Some(home));
            }
            let location = match home.location.file {
                FileName::Segment(_) => match body.read_whole() {
                    Ok(bytes) => self.append(&bytes)?,
                    Err(_) => return Ok(None),
                },
                FileName::Body(_) => {
                    let Some(old) = self.shared.generation(home.generation) else { return Ok(None) };
                    let file = FileName::Body(self.file_number());
                    let linked = fs::hard_link(home.location.file.path(&old.folder), file.path(&self.young.folder));
                    match linked {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                        linked => linked.map_err(StoreError::Io)?,
                    }
                    Location { file, ..home.location }
                }
            };
            return Ok(Some(Home { generation, location }));
        }
        let Some((path, location)) = body.filled() else { return Ok(None) };
        let file = FileName::Body(self.file_number());
        match fs::rename(path, file.path(&self.young.folder)) {
            // swept away by an opening in between
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            renamed => renamed.map_err(StoreError::Io)?,
        }
        Ok(Some(Home { generation, location: Location { file, ..location } }))
    }

    fn file_number(&mut self) -> u32 {
        let number = self.next_file;
        self.next_file += 1;
        number
    }

    /// Bodies with a file of their own that lose their record by these writes.
    fn replaced_bodies(&self, writes: &[Write], old: &[Option<Entry>]) -> Vec<(Arc<Generation>, Location)> {
        let mut replaced = Vec::new();
        for (write, old) in writes.iter().zip(old) {
            // the record need not be read where no such body can be
            let Some(entry) = old.filter(|entry| entry.size.bytes() > INLINE as u64) else { continue };
            let Some(generation) = self.shared.generation(entry.generation) else { continue };
            if let Ok(Some(location)) = generation.location(&write.key)
                && write.body.as_ref().is_none_or(|(_, home)| home.location.file != location.file)
            {
                replaced.push((generation, location));
            }
        }
        replaced
    }

    /// Bytes that everything in the folder occupies.
    pub fn measure(&self) -> u64 {
        folder::occupied(&self.shared.options.folder)
    }
}
