//! Large bodies while they stream in. Each is written to a file of its own, and made durable when it is whole.

use std::{io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    body::DiskBody,
    removing::Remover,
    space::{Promise, Space},
};
use crate::store::{
    StoreError,
    format::sums::{PIECE, Sums, behind},
    hop::{hop, patient_hop},
};

/// The bytes that are written before they are synced, so that the end of a large body waits for few.
const SYNC: u64 = 32 * 1024 * 1024;

/// A body that is being written. If it is dropped before it is finished, its space is given back.
pub struct BodyWriter {
    body: DiskBody,
    /// `None` while an `append` runs, and for ever if an `append` did not come to its end.
    sums: Option<Sums>,
    /// The most bytes that the body may have.
    longest: u64,
    unsynced: u64,
    _promise: Promise,
    finishing: Finishing,
}

/// A body of which all was appended. The store closes only after it is finished or dropped.
pub struct WholeBody {
    writer: BodyWriter,
    counted: Counted,
}

impl BodyWriter {
    pub(in crate::store) fn new(
        path: PathBuf,
        space: Arc<Space>,
        longest: u64,
        promise: Promise,
        finishing: Finishing,
        remover: Remover,
    ) -> BodyWriter {
        let body = DiskBody::begin(path, space, remover);
        BodyWriter { body, sums: Some(Sums::default()), longest, unsynced: 0, _promise: promise, finishing }
    }

    /// Appends bytes. On return, `reader` can read them. Multiples of [`PIECE`] cost least. After an error, and after an
    /// `append` that was not waited for, the body cannot be finished.
    pub async fn append(&mut self, pieces: Vec<Bytes>) -> Result<(), StoreError> {
        let mut sums = self.sums.take().ok_or(StoreError::Closed)?;
        let body = self.body.clone();
        let (mut at, count) = (body.length(), pieces.iter().map(|piece| piece.len() as u64).sum());
        let space = body.space().ok_or(StoreError::Closed)?;
        if at.saturating_add(count) > self.longest {
            return Err(StoreError::TooLarge);
        }
        let taken = space.take(count).await?;
        self.unsynced += count;
        let sync = self.unsynced >= SYNC;
        let write = move || {
            in_blocks(&pieces, |block| {
                sums.add(block);
                at += block.len() as u64;
                body.append(block)
            })
            .map_err(StoreError::Io)?;
            if sync {
                body.sync().map_err(StoreError::Io)?;
            }
            body.has_grown(at);
            taken.fill();
            Ok(sums)
        };
        self.sums = Some(patient_hop(write).await?);
        if sync {
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Returns the body as it grows: what has been appended so far can be read.
    pub fn reader(&self) -> DiskBody {
        self.body.clone()
    }

    /// Returns how many of so many more bytes would stand behind the last full [`PIECE`].
    pub fn over(&self, bytes: u64) -> u64 {
        (self.body.length() + bytes) % u64::from(PIECE)
    }

    /// Returns the most bytes that the body may have.
    pub fn longest(&self) -> u64 {
        self.longest
    }

    /// Ends the appending.
    pub fn whole(self) -> WholeBody {
        let counted = self.finishing.count();
        WholeBody { writer: self, counted }
    }
}

impl WholeBody {
    /// Makes the body durable and calls `then`, which stores it, also if nobody waits for this any more.
    pub async fn finish<T: Send + 'static>(
        self,
        then: impl FnOnce(DiskBody) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let WholeBody { writer, counted } = self;
        let sums = writer.sums.ok_or(StoreError::Closed)?.finish();
        let body = writer.body;
        hop(move || {
            body.append(behind(&sums)).and_then(|()| body.sync()).map_err(StoreError::Io)?;
            body.is_whole(sums);
            let done = then(body);
            drop(counted);
            Ok(done)
        })
        .await
    }
}

/// Calls `write` with all these bytes, in blocks of [`PIECE`]. The last block may be shorter. A block is contiguous, so that it
/// is hashed with all lanes of the processor. It is not larger, because the kernel takes memory of the size of a write for its
/// cache: large parts are rarely free, and where the memory of a virtual machine was never used before, each page costs it a
/// fault (10 times the copy, measured).
fn in_blocks(pieces: &[Bytes], mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut block = Vec::new();
    for mut bytes in pieces.iter().map(|piece| &piece[..]) {
        while !bytes.is_empty() {
            if block.is_empty()
                && let Some((whole, rest)) = bytes.split_at_checked(PIECE as usize)
            {
                write(whole)?;
                bytes = rest;
                continue;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(PIECE as usize - block.len()));
            block.reserve_exact(PIECE as usize - block.len());
            block.extend_from_slice(now);
            bytes = rest;
            if block.len() == PIECE as usize {
                write(&block)?;
                block.clear();
            }
        }
    }
    if block.is_empty() { Ok(()) } else { write(&block) }
}

/// Counts the whole bodies that are not finished yet.
#[derive(Clone, Default)]
pub struct Finishing(Arc<watch::Sender<usize>>);

/// One of the whole bodies that are counted, until this is dropped.
pub struct Counted(Finishing);

impl Finishing {
    pub fn count(&self) -> Counted {
        self.0.send_modify(|count| *count += 1);
        Counted(self.clone())
    }

    /// Waits until there is none.
    pub async fn ended(&self) {
        // an error: nobody is left who could have one
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_in_blocks_however_they_come() {
        let piece = PIECE as usize;
        let bytes = Bytes::from((0..5 * piece + 7).map(|at| (at / 251) as u8).collect::<Vec<_>>());
        for lengths in
            [vec![], vec![1], vec![piece], vec![piece - 1, 1], vec![piece + 1, 2 * piece], vec![0, 100, 3 * piece, 0]]
        {
            let mut rest = bytes.clone();
            let mut pieces: Vec<_> = lengths.iter().map(|length| rest.split_to(*length)).collect();
            pieces.push(rest);
            let mut blocks: Vec<Vec<u8>> = Vec::new();
            in_blocks(&pieces, |block| {
                blocks.push(block.to_vec());
                Ok(())
            })
            .expect("written");
            assert_eq!(
                blocks.iter().map(Vec::len).collect::<Vec<_>>(),
                [piece, piece, piece, piece, piece, 7],
                "{lengths:?}"
            );
            assert!(blocks.concat() == bytes, "{lengths:?}");
        }
    }
}
