//! Bytes of a stored part that are joined to a new part.

use std::ops::Range;

use bytes::Bytes;

use crate::store::{self, StoreError, StoredBody};

/// The most bytes that are read at a time.
const READ: u64 = 64 * 1024;

/// Bytes of a stored part that stand before or behind the bytes from the origin. They are read when they are needed.
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

    /// Returns true if the first byte can be read. If a later byte cannot be read, the answer is broken off.
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
