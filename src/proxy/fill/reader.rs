//! One client's view of a fill.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::state::{Fill, Progress};
use crate::{
    client::{Piece, Trailers},
    proxy::pieces,
    store::StoredBody,
};

/// The most bytes that a reader takes from disk at a time. It counts as a reader that has moved on by so many.
const READ: u64 = 128 * 1024;

/// The error of a body that was broken off before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// One client's view of a fill.
pub struct FillReader {
    fill: Arc<Fill>,
    progress: watch::Receiver<Progress>,
    id: u64,
    at: u64,
    /// Set when the whole body was read.
    trailers: Trailers,
}

impl FillReader {
    /// Returns a reader that begins at the first byte. Returns `None` if the fill no longer holds its beginning.
    pub fn of(fill: &Arc<Fill>) -> Option<FillReader> {
        let id = fill.join()?;
        Some(FillReader {
            fill: fill.clone(),
            progress: fill.progress.subscribe(),
            id,
            at: 0,
            trailers: Trailers::to_come(),
        })
    }

    /// Returns the trailers. They are set once the body was read.
    pub fn trailers(&self) -> Trailers {
        self.trailers.clone()
    }

    /// Returns all bytes of a body that is whole, if memory holds them in one piece.
    pub fn in_memory(&self) -> Option<Bytes> {
        let Progress::Whole(length) = *self.progress.borrow() else { return None };
        self.fill.lock().piece_at(0).filter(|piece| piece.len() as u64 == length)
    }

    /// Continues at another offset.
    pub fn skip_to(&mut self, offset: u64) {
        self.at = offset;
        self.fill.move_reader(self.id, offset);
    }

    /// Returns the next bytes, at most `most` of them. Returns `None` at the end of a whole body.
    pub async fn next(&mut self, most: u64) -> Option<Result<Piece, Broken>> {
        loop {
            let progress = *self.progress.borrow_and_update();
            let (in_memory, on_disk, total, known) = {
                let state = self.fill.lock();
                (state.piece_at(self.at), state.disk.clone(), state.total, state.known)
            };
            let next = match (in_memory, on_disk) {
                (Some(mut bytes), _) => {
                    bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
                    Some(Piece::Bytes(bytes))
                }
                (None, Some(disk)) if self.at < disk.length() => {
                    match pieces::next(&StoredBody::Disk(disk), self.at, most.min(READ)).await {
                        Ok(piece) => Some(piece),
                        Err(_) => return Some(Err(Broken)),
                    }
                }
                // this reader lagged too far behind in a relay
                (None, _) if self.at < total => return Some(Err(Broken)),
                (None, _) => None,
            };
            // The last bytes are held back until the body is proven whole: a client with Content-Length bytes considers
            // the response complete.
            let is_last = |piece: &Piece| known.is_some_and(|known| self.at + piece.length() >= known);
            let proven = matches!(progress, Progress::Whole(_));
            if let Some(piece) = next.filter(|piece| proven || !is_last(piece)) {
                self.skip_to(self.at + piece.length());
                return Some(Ok(piece));
            }
            match progress {
                Progress::Whole(length) if self.at >= length => {
                    self.trailers.set(self.fill.lock().trailers.clone());
                    return None;
                }
                Progress::Broken => return Some(Err(Broken)),
                _ => {}
            }
            if self.progress.changed().await.is_err() {
                return Some(Err(Broken));
            }
        }
    }
}

impl Drop for FillReader {
    fn drop(&mut self) {
        self.fill.leave(self.id);
    }
}
