//! Bodies beside the records.

use bytes::Bytes;

use super::StoreError;

/// A body on disk. Keeps its bytes readable as long as it lives, also after eviction. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DiskBody;

impl DiskBody {
    pub fn length(&self) -> u64 {
        todo!()
    }

    /// Reads `from..from + length` (less at the end of the body; at most a piece or so at a time). Verified.
    pub async fn read(&self, _from: u64, _length: usize) -> Result<Bytes, StoreError> {
        todo!()
    }
}

/// A body that is being written. Dropped without `finish`: its space is given back.
pub struct BodyWriter;

impl BodyWriter {
    /// Appends; on return `reader` can read it.
    pub async fn append(&mut self, _bytes: Bytes) -> Result<(), StoreError> {
        todo!()
    }

    /// A body that grows: what has been appended so far can be read.
    pub fn reader(&self) -> DiskBody {
        todo!()
    }

    /// The whole body was appended: it may be stored now.
    pub async fn finish(self) -> Result<DiskBody, StoreError> {
        todo!()
    }
}
