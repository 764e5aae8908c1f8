//! One client's view of a fill.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::state::{Fill, Progress};
use crate::{
    client::{Piece, Trailers},
    proxy::pieces,
    store::{DiskBody, StoredBody},
};

/// The most bytes that a reader takes from disk at a time. It counts as a reader that has moved on by so many.
const READ: u64 = 128 * 1024;
/// If so many bytes are on the disk, they are sent from there, also where memory has them: they are not copied then.
const FROM_DISK: u64 = 64 * 1024;

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
            let is_worth = |disk: &&DiskBody| disk.length() >= self.at + FROM_DISK;
            let in_file =
                on_disk.as_ref().filter(is_worth).and_then(|disk| pieces::in_file(disk, self.at, most.min(READ)));
            let next = match (in_file, in_memory, on_disk) {
                (Some(piece), _, _) => Some(Piece::File(piece)),
                (None, Some(mut bytes), _) => {
                    bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
                    Some(Piece::Bytes(bytes))
                }
                (None, None, Some(disk)) if self.at < disk.length() => {
                    match pieces::next(&StoredBody::Disk(disk), self.at, most.min(READ)).await {
                        Ok(piece) => Some(piece),
                        Err(_) => return Some(Err(Broken)),
                    }
                }
                // this reader lagged too far behind in a relay
                (None, None, _) if self.at < total => return Some(Err(Broken)),
                (None, None, _) => None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Options, Store};

    #[test]
    fn bytes_that_are_on_the_disk_are_sent_from_there_also_where_memory_has_them_and_the_others_from_memory() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            let options =
                Options { folder: folder.path().join("cache"), memory: 0, disk: 64 << 20, max_object: 1 << 20 };
            let store = Store::open(options);
            store.opened().await;
            let fill = Fill::new(store.incoming());
            let mut reader = FillReader::of(&fill).expect("it has its beginning");
            let piece = Bytes::from(vec![b'x'; 100_000]);
            let mut writer = store.begin_body(None).expect("a writer");
            writer.append(vec![piece.clone()]).await.expect("written");
            for piece in [piece.clone(), piece] {
                fill.push(piece);
            }
            fill.lock().disk = Some(writer.reader());
            let first = reader.next(90_000).await.expect("bytes").expect("not broken off");
            assert!(matches!(first, Piece::File(file) if file.length == 90_000));
            // less than a send from the disk is worth
            let second = reader.next(1 << 20).await.expect("bytes").expect("not broken off");
            assert!(matches!(second, Piece::Bytes(bytes) if bytes.len() == 10_000));
            let third = reader.next(1 << 20).await.expect("bytes").expect("not broken off");
            assert!(matches!(third, Piece::Bytes(bytes) if bytes.len() == 100_000));
            store.close().await;
        });
    }
}
