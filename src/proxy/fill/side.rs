//! Bytes of a stored part that a new part is joined to.

use std::ops::Range;

use bytes::Bytes;

use crate::store::{self, StoreError, StoredBody};

/// Bytes that are read at a time.
const READ: u64 = 64 * 1024;

/// Bytes of a stored part before or behind those that come from the origin. They are read as they are needed.
#[derive(Default)]
pub struct Side {
    body: Option<StoredBody>,
    range: Range<u64>,
}

impl Side {
    pub fn of(body: &StoredBody, range: Range<u64>) -> Side {
        Side { body: Some(body.clone()), range }
    }

    pub fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Returns true if its first byte can be read. A later failure breaks the answer off.
    pub async fn can_be_read(&self) -> bool {
        match &self.body {
            Some(body) if !self.range.is_empty() => store::read(body, self.range.start, 1).await.is_ok(),
            _ => true,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let Some(body) = self.body.as_ref().filter(|_| !self.range.is_empty()) else { return Ok(None) };
        let most = self.length().min(READ) as usize;
        let piece = store::read(body, self.range.start, most).await?;
        if piece.is_empty() {
            return Err(StoreError::Damaged("a stored part"));
        }
        self.range.start += piece.len() as u64;
        Ok(Some(piece))
    }
}
