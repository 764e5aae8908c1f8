//! The generations of the disk as the writer sees them. The writer alone changes them.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::active::Active;
use crate::{
    key::CacheKey,
    purge::Position,
    store::{
        StoreError,
        disk::{body::DiskBody, generation::Class, journal::Journal, records::Records},
        error::is_the_disks,
        format::{
            lines::{self, Line},
            location::{FileName, Home, Location},
            prefix,
            print::{Entry, Print, Size},
            record::{self, BodyForm},
        },
        response::{StoredBody, StoredResponse},
        tiers::{
            pending::{Change, Waiting},
            shared::Shared,
        },
    },
};

/// The most bytes of a body that is in its record. Measured, see benches/store.rs.
pub const INLINE: u64 = 256;

/// The longest head, in bytes, whose record is read to see if a new body is the stored one.
const LONG_HEAD: u64 = 64 << 10;

/// How long the writer rests, between other work, if it can do no more until a database is open again.
pub const REOPENING: Duration = Duration::from_millis(5);

pub struct Generations {
    pub shared: Arc<Shared>,
    pub journal: Journal,
    /// The generation for what is put.
    pub fresh: Active,
    /// The generation for what survives others. It begins with the first survivor.
    pub proven: Option<Active>,
    pub next_number: u32,
    /// The keys that were written and may not be in the journal on the disk yet.
    unsynced: Vec<Print>,
    /// The last high-water mark that was written.
    marked: Position,
}

/// The change of a key that is to be written.
struct Write {
    print: Print,
    turn: u64,
    is_on_disk: bool,
    /// `None`: the key is forgotten.
    record: Option<Encoded>,
    /// The body, if it is in a file, and its place.
    body: Option<(CacheKey, DiskBody, Home)>,
    /// The body that loses its record.
    replaced: Option<Home>,
}

struct Encoded {
    key: CacheKey,
    primary: Print,
    record: Vec<u8>,
    /// The size of the response, with the body.
    size: Size,
    /// The generation of a body that is in a file.
    body: Option<u32>,
}

impl Generations {
    pub fn new(shared: Arc<Shared>, journal: Journal, fresh: Active, proven: Option<Active>, next_number: u32) -> Self {
        Generations { shared, journal, fresh, proven, next_number, unsynced: Vec::new(), marked: Position::ZERO }
    }

    /// Writes changes. They have left the process on return, but need not have reached the disk. Returns false if some
    /// still wait: what they replace is in a database that is being opened anew.
    pub fn write(&mut self, changes: Vec<(Print, Waiting)>) -> Result<bool, StoreError> {
        let shared = self.shared.clone();
        let mut writes = Vec::with_capacity(changes.len());
        let mut all = true;
        for (print, waiting) in changes {
            match self.prepare(print, waiting) {
                Ok(write) => writes.push(write),
                Err(StoreError::Busy) => all = false,
                Err(error) => return Err(error),
            }
        }
        let generation = self.fresh.generation.number;
        let mut records = Vec::with_capacity(writes.len());
        let mut lines: Vec<Line> = Vec::with_capacity(writes.len());
        for write in &mut writes {
            let print = write.print;
            match write.record.take() {
                Some(Encoded { key, primary, record, size, body }) => {
                    shared.purges.note_written(prefix::position(&record));
                    records.push((key, record));
                    let entry = Entry { generation, size, body: body.unwrap_or(generation) };
                    lines.push(Line::Record { print, entry, primary });
                }
                None if write.is_on_disk => lines.push(Line::Forgotten(print)),
                None => {}
            }
        }
        if !records.is_empty() {
            self.fresh.write(&records, self.journal.synced())?;
        }
        self.record(&lines);
        self.unsynced.extend(writes.iter().map(|write| write.print));
        // before the bodies give back the room that they took on their way: it is never counted as free
        self.measure()?;
        for write in writes {
            if let Some(home) = write.replaced
                && let Some(generation) = shared.catalog.generation(home.generation)
            {
                generation.remove_body(home.location.file);
            }
            if let Some((key, body, home)) = write.body {
                body.has_moved(home);
                if let Some(generation) = shared.catalog.generation(home.generation) {
                    generation.note_right(home.location.file, body.right());
                }
                body.watch(key, &shared.notices);
            }
            shared.pending.written(write.print, write.turn);
        }
        Ok(all)
    }

    /// Applies lines to the journal and the index. From here on they are true.
    pub fn record(&mut self, lines: &[Line]) {
        // before the lines: the next process must not hand out the position of a record once more
        let newest = self.shared.purges.newest();
        if newest > self.marked && !lines.is_empty() {
            self.journal.append(&[Line::HighWater(newest)]);
            self.marked = newest;
        }
        self.journal.append(lines);
        for line in lines {
            if let Line::Forgotten(_) = line {
                self.shared.forgetting.store(true, Relaxed);
            }
            self.shared.catalog.index.apply(line);
        }
    }

    /// Waits until what was written is on the disk: bodies, then records, then the journal that names them.
    pub fn sync(&mut self) -> io::Result<()> {
        #[cfg(test)]
        self.shared.counters.syncs.fetch_add(1, Relaxed);
        self.fresh.sync()?;
        if let Some(proven) = &mut self.proven {
            proven.sync()?;
        }
        self.sync_journal()?;
        self.shared.forgetting.store(false, Relaxed);
        self.unsynced.clear();
        self.shared.share_memory();
        self.shared.ease_if_needed();
        if self.journal.is_long(self.shared.catalog.index.len()) {
            let path = self.shared.options.folder.join("live/journal");
            let (state, summary) = (self.shared.purges.state(), self.shared.catalog.index.lines());
            self.journal = Journal::summarize(&path, self.journal.serial() + 1, &state, &summary)?;
        }
        Ok(())
    }

    /// Syncs the journal, with the rules that wait for it.
    fn sync_journal(&mut self) -> io::Result<()> {
        let Some((rules, last)) = self.shared.purges.waiting() else { return self.journal.sync() };
        self.journal.append(&rules);
        self.journal.sync()?;
        self.shared.purges.are_written(last);
        Ok(())
    }

    /// The disk failed: what its journal does not say would come back as it was before.
    pub fn forget_unsynced(self) {
        self.shared.catalog.generations_mut().clear();
        for print in &self.unsynced {
            let mut shard = self.shared.pending.shard_of(*print);
            if !shard.is_waiting(*print) {
                self.shared.pending.forget(&mut shard, *print);
            }
        }
    }

    /// Closes the databases so that they open quickly, and notes in one how far the journal is, so that the loss of its end is
    /// noticed.
    pub fn close(mut self) {
        let synced = self.journal.synced();
        let known = self.fresh.generation.database.records().journal().unwrap_or_default();
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
        shared.catalog.generations_mut().clear();
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

    /// Measures what is written to, and tells `Space`. An error: the folder was removed.
    pub fn measure(&self) -> Result<(), StoreError> {
        self.fresh.measure();
        self.proven.iter().for_each(Active::measure);
        let folder = &self.shared.options.folder;
        let journal = std::fs::metadata(folder.join("live/journal")).map_err(StoreError::Io)?;
        let bytes = self.shared.catalog.bytes() + journal.blocks() * 512 + self.shared.space.set_aside();
        self.shared.space.set_measured(bytes, folder);
        Ok(())
    }

    fn prepare(&mut self, print: Print, Waiting { change, turn, .. }: Waiting) -> Result<Write, StoreError> {
        let old = self.shared.catalog.index.find(print);
        let mut write = Write { print, turn, is_on_disk: old.is_some(), record: None, body: None, replaced: None };
        let response = match &change {
            // a response that was purged while it waited counts as forgotten
            Change::Response(response) if !self.shared.purges.is_dead(&response.head) => response,
            Change::Response(_) | Change::Forgotten => {
                // where that is not known now, a sweep removes the file
                write.replaced = old.and_then(|entry| self.old_body(print, entry, 0).ok().flatten());
                return Ok(write);
            }
        };
        let StoredResponse { key, primary, head, body, .. } = &**response;
        let length = body.length();
        let old = old.map_or(Ok(None), |entry| self.old_body(print, entry, length))?;
        let form = match body {
            StoredBody::Memory(bytes) if length <= INLINE => BodyForm::Inline(bytes),
            StoredBody::Memory(bytes) => {
                // the origin confirmed the body, or sent the same once more: it stays where it is, unless it cannot be read there
                let is_unreadable = self.shared.unreadable.take(print);
                let stays = |old: &Home| !is_unreadable && self.may_keep(old) && self.is_there(old, bytes);
                match old.filter(stays) {
                    Some(old) => BodyForm::Beside(old),
                    None => BodyForm::Beside(self.fresh.append(bytes)?),
                }
            }
            StoredBody::Disk(body) => {
                let home = match body.home() {
                    None => self.take_in(body)?,
                    Some(known) => old.filter(|old| self.may_keep(old) && is_same(old, &known)),
                };
                let Some(home) = home else {
                    // memory would keep the room of a file that is gone
                    self.shared.memory.remove(key);
                    write.replaced = old;
                    return Ok(write);
                };
                write.body = Some((*key, body.clone(), home));
                BodyForm::Beside(home)
            }
        };
        let home = match form {
            BodyForm::Beside(home) => Some(home),
            BodyForm::Inline(_) => None,
        };
        write.replaced = old.filter(|old| home != Some(*old));
        let beside = if home.is_some() { length } else { 0 };
        let has_own_file = home.is_some_and(|home| matches!(home.location.file, FileName::Body(_)));
        write.record = record::encode(key, primary, head, form).map(|record| Encoded {
            key: *key,
            primary: Print::of(primary),
            size: Size::of_response(record.len() as u64 + beside, has_own_file),
            record,
            body: home.map(|home| home.generation),
        });
        Ok(write)
    }

    /// The place of the body that the record of a key names, if it matters: its file goes with the record, or a new body
    /// of this length may be the same one.
    /// [`StoreError::Busy`]: its database is being opened anew.
    fn old_body(&self, print: Print, entry: Entry, length: u64) -> Result<Option<Home>, StoreError> {
        let rest = entry.size.bytes().checked_sub(length).filter(|_| length > INLINE);
        if !entry.size.has_own_file() && rest.is_none_or(|head| head > LONG_HEAD) {
            return Ok(None);
        }
        match self.shared.catalog.generation(entry.generation).map(|generation| generation.home(print)) {
            Some(Ok(home)) => Ok(home),
            Some(Err(StoreError::Busy)) => Err(StoreError::Busy),
            // a record that cannot be read names nothing
            Some(Err(_)) | None => Ok(None),
        }
    }

    /// Moves in a body that was just filled. `None`: its file is gone, or cannot be moved. One file is no reason to go on without
    /// the disk.
    fn take_in(&mut self, body: &DiskBody) -> Result<Option<Home>, StoreError> {
        match self.fresh.take_in(body) {
            Err(StoreError::Io(error)) if !is_the_disks(&error) || error.kind() == io::ErrorKind::PermissionDenied => {
                self.shared
                    .warn_once(format!("a body is not stored, its file cannot be moved into the cache: {error}"));
                Ok(None)
            }
            taken => taken,
        }
    }

    /// Returns true if these bytes are in that place. Their sum does not tell: two bodies with the same one are easy to make.
    fn is_there(&self, home: &Home, bytes: &[u8]) -> bool {
        let generation = self.shared.catalog.generation(home.generation);
        let found = generation
            .filter(|_| home.location.length == bytes.len() as u64)
            .and_then(|generation| generation.body(home.location).and_then(|body| body.read_whole()).ok());
        found.is_some_and(|found| found == bytes)
    }

    /// Returns true if a record that is written now may name this body.
    fn may_keep(&self, old: &Home) -> bool {
        self.shared.catalog.generation(old.generation).is_some()
            && lines::can_name(self.fresh.generation.number, old.generation)
    }
}

/// Returns true if the same bytes are in both places: a body may have been copied since.
fn is_same(home: &Home, other: &Home) -> bool {
    let Location { length, sums, algorithm, .. } = home.location;
    (length, sums, algorithm) == (other.location.length, other.location.sums, other.location.algorithm)
}
