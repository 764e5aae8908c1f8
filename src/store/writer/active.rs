//! The generation that is written to.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::Arc,
};

use crate::{
    key::CacheKey,
    store::{
        StoreError,
        disk::{
            body::DiskBody,
            generation::{Class, Generation, State},
            segment::Segment,
        },
        format::{
            lines::Mark,
            location::{FileName, Home, Location},
        },
        tiers::shared::Shared,
    },
};

pub struct Active {
    pub generation: Arc<Generation>,
    /// The segment that is appended to. Each process begins one with its first body.
    segment: Option<Segment>,
    next_file: u32,
    unsynced: bool,
}

impl Active {
    /// Begins to write to a generation that is there.
    pub fn resume(generation: Arc<Generation>) -> io::Result<Active> {
        let next_file = generation.unused_file_number()?;
        generation.set_state(State::Active);
        // a process that was killed may have left records that were never synced
        Ok(Active { generation, segment: None, next_file, unsynced: true })
    }

    /// Begins a generation. Readers see it from now on.
    pub fn begin(shared: &Shared, class: Class, number: u32) -> Result<Active, StoreError> {
        let Shared { options, remover, counters, .. } = shared;
        let opened = Generation::open(class, number, options, shared.space.share(), remover, &counters.set_aside);
        let generation = Arc::new(opened.map_err(|failure| StoreError::Io(failure.into()))?);
        shared.catalog.generations_mut().push(generation.clone());
        Active::resume(generation).map_err(StoreError::Io)
    }

    /// Writes records, and the bodies that were appended before.
    pub fn write(&mut self, records: &[(CacheKey, Vec<u8>)], journal: Mark) -> Result<(), StoreError> {
        self.unsynced = true;
        if let Some(segment) = &mut self.segment {
            segment.write().map_err(StoreError::Io)?;
        }
        self.generation.write(records, journal)
    }

    /// Appends a body to the segment. It is in the file after the next `write`.
    pub fn append(&mut self, body: &[u8]) -> Result<Home, StoreError> {
        if self.segment.is_none() {
            let number = self.file_number();
            self.segment = Some(Segment::create(&self.generation.folder, number).map_err(StoreError::Io)?);
        }
        self.unsynced = true;
        let location = self.segment.as_mut().ok_or(StoreError::Closed)?.append(body);
        Ok(self.home(location))
    }

    /// Returns a place in this generation.
    fn home(&self, location: Location) -> Home {
        Home { generation: self.generation.number, location }
    }

    /// Shares another generation's file of one body, or copies it where the file system has no hard links, or no more of
    /// them for this file. `None`: it is gone, or cannot be copied.
    pub fn link(&mut self, from: &Generation, location: Location) -> Result<Option<Home>, StoreError> {
        let file = FileName::Body(self.file_number());
        let path = file.path(&self.generation.folder);
        let there = location.file.path(&from.folder);
        let linked = match fs::hard_link(&there, &path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::debug!("a stored body is copied, it could not be linked: {error}");
                copied(&there, &path)
            }
            linked => found(linked)?,
        };
        Ok(linked.map(|()| {
            self.generation.add_file(&path);
            self.generation.note_right(file, from.right(location.file));
            self.home(Location { file, ..location })
        }))
    }

    /// Moves in a body that was just filled. `None`: an opening in between has removed its file.
    pub fn take_in(&mut self, body: &DiskBody) -> Result<Option<Home>, StoreError> {
        let Some((path, location)) = body.filled() else { return Ok(None) };
        let file = FileName::Body(self.file_number());
        let place = file.path(&self.generation.folder);
        let moved = found(fs::rename(path, &place))?;
        Ok(moved.map(|()| {
            self.generation.add_file(&place);
            self.home(Location { file, ..location })
        }))
    }

    /// Waits until bodies and records are on the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unsynced) {
            if let Some(segment) = &mut self.segment {
                segment.sync()?;
            }
            self.generation.database.sync()?;
        }
        Ok(())
    }

    /// Syncs the generation, and ends the writing to it.
    pub fn seal(mut self) -> Result<(), StoreError> {
        self.sync().map_err(StoreError::Io)?;
        self.measure();
        self.generation.seal();
        Ok(())
    }

    pub fn measure(&self) {
        self.generation.measure(self.segment.as_ref().map_or(0, Segment::occupied));
    }

    /// Returns the number of the next file of bodies.
    pub fn next_file(&self) -> u32 {
        self.next_file
    }

    fn file_number(&mut self) -> u32 {
        let number = self.next_file;
        self.next_file += 1;
        number
    }
}

/// Copies a file, durably. `None`: it could not be copied.
fn copied(from: &Path, to: &Path) -> Option<()> {
    let copied = fs::copy(from, to).and_then(|_| File::open(to)?.sync_all());
    let failed = |error: &io::Error| {
        log::debug!("a stored body could not be copied: {error}");
        // what there is of the copy
        let _ = fs::remove_file(to);
    };
    copied.inspect_err(failed).ok()
}

fn found(done: io::Result<()>) -> Result<Option<()>, StoreError> {
    match done {
        Ok(()) => Ok(Some(())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::Io(error)),
    }
}
