//! One generation of the disk: a database, a journal and files of bodies in a folder of its own. Only the newest is written to; the
//! oldest is dropped as a whole. That is how the disk limit holds, and how the disk is given back.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use super::{
    StoreError,
    body::DiskBody,
    disk::{OpenFailure, Records},
    folder,
    record::{self, Record, RecordBody},
    segment::{FileName, Location},
};
use crate::{key::CacheKey, message::StoredHead};

/// A body up to this length is read with its record and held in memory.
const READ_WHOLE: u64 = 256 * 1024;

pub struct Generation {
    pub number: u32,
    pub folder: PathBuf,
    pub records: Records,
    segments: Mutex<HashMap<u32, Arc<File>>>,
}

/// What was found under a key.
pub enum Found {
    Response(StoredHead, FoundBody),
    Variants(Vec<super::Variant>),
}

pub enum FoundBody {
    Memory(Bytes),
    Disk(DiskBody),
}

impl Generation {
    pub fn folder_name(number: u32) -> String {
        format!("gen-{number}")
    }

    /// Opens it, or begins it where nothing is there.
    pub fn open(live: &Path, number: u32, cache: u64, segment: usize) -> Result<Generation, OpenFailure> {
        let folder = live.join(Generation::folder_name(number));
        folder::create(&folder).map_err(OpenFailure::Io)?;
        let database = folder.join("db");
        let records = Records::open(&database, cache, segment)?;
        folder::restrict(&database).map_err(OpenFailure::Io)?;
        Ok(Generation { number, folder, records, segments: Mutex::default() })
    }

    pub fn journal_path(live: &Path, number: u32) -> PathBuf {
        live.join(Generation::folder_name(number)).join("journal")
    }

    /// The stored response or the variants under a key. An error: there is a record, but it cannot be believed.
    pub fn find(&self, key: &CacheKey) -> Result<Option<Found>, StoreError> {
        let record = self.records.find(key, |record| record::decode(key, record))?;
        record.map(|record| self.understand(record.ok_or(StoreError::Damaged("a record"))?)).transpose()
    }

    /// Where the body of a key's record is, if it is not in it.
    pub fn location(&self, key: &CacheKey) -> Result<Option<Location>, StoreError> {
        let record = self.records.find(key, |record| record::decode(key, record))?;
        Ok(match record.flatten() {
            Some(Record::Response(_, RecordBody::Beside(location))) => Some(location),
            _ => None,
        })
    }

    fn understand(&self, record: Record) -> Result<Found, StoreError> {
        Ok(match record {
            Record::Variants(variants) => Found::Variants(variants),
            Record::Response(head, RecordBody::Inline(bytes)) => Found::Response(head, FoundBody::Memory(bytes)),
            Record::Response(head, RecordBody::Beside(location)) => {
                let body = DiskBody::stored(self.file(location.file)?, self.number, location)?;
                let whole = location.length <= READ_WHOLE;
                let body = if whole { FoundBody::Memory(body.read_whole()?) } else { FoundBody::Disk(body) };
                Found::Response(head, body)
            }
        })
    }

    /// The file of bodies, open for reading.
    fn file(&self, name: FileName) -> Result<Arc<File>, StoreError> {
        let open = || File::open(name.path(&self.folder)).map(Arc::new).map_err(StoreError::Io);
        match name {
            FileName::Body(_) => open(),
            FileName::Segment(number) => {
                let mut segments = self.segments.lock().unwrap_or_else(|poison| poison.into_inner());
                if let Some(file) = segments.get(&number) {
                    return Ok(file.clone());
                }
                let file = open()?;
                segments.insert(number, file.clone());
                Ok(file)
            }
        }
    }

    /// A number that no file of bodies has yet.
    pub fn unused_file_number(&self) -> io::Result<u32> {
        let mut last = 0;
        for file in std::fs::read_dir(&self.folder)? {
            last = last.max(file?.file_name().to_str().and_then(FileName::number).unwrap_or(0));
        }
        Ok(last.saturating_add(1))
    }

    /// Removes the file of a body that nothing names any more.
    pub fn remove_body(&self, location: &Location) {
        if let FileName::Body(_) = location.file
            && let Err(error) = std::fs::remove_file(location.file.path(&self.folder))
        {
            log::debug!("a stored body could not be removed: {error}");
        }
    }
}

/// A file that only this process may read.
pub fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create_new(true).read(true).write(true).mode(0o600).open(path)
}
