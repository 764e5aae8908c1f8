//! Large bodies while they stream in. Each is written to a file of its own, and made durable when it is whole.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    body::DiskBody,
    removing::Remover,
    space::{Promise, Space},
};
use crate::{
    clock,
    store::{
        StoreError,
        format::sums::{PIECE, Sums, behind},
        hop::{hop, patient_hop},
    },
};

/// The bytes that are written before they are synced, so that the end of a large body waits for few.
const SYNC: u64 = 32 * 1024 * 1024;

/// The most bytes of a write. The kernel takes memory of the size of a write for its cache. It keeps parts of up to 32 KiB at
/// hand. Larger ones are rarely free, and where the memory of a virtual machine was not used before, each page costs it ten
/// times the copy.
const WRITE: usize = 32 * 1024;
/// If a write takes so long, calls are what costs: the rest is written at once.
const SLOW: Duration = Duration::from_millis(25);

/// A body that is being written. If it is dropped before it is finished, its space is given back.
pub struct BodyWriter {
    body: DiskBody,
    /// `None` while an `append` runs, and for ever if an `append` did not come to its end.
    sums: Option<Sums>,
    /// The most bytes that the body may have.
    longest: u64,
    unsynced: u64,
    /// The last write took long.
    slow: bool,
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
        BodyWriter {
            body,
            sums: Some(Sums::default()),
            longest,
            unsynced: 0,
            slow: false,
            _promise: promise,
            finishing,
        }
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
        let mut slow = self.slow;
        let write = move || {
            let mut unwritten = pieces.clone();
            while !unwritten.is_empty() {
                let parts = if slow { std::mem::take(&mut unwritten) } else { take_first(&mut unwritten, WRITE) };
                let began = clock::instant();
                body.append(parts.iter().map(|part| &part[..])).map_err(StoreError::Io)?;
                slow = began.elapsed() >= SLOW;
            }
            pieces.iter().for_each(|piece| sums.add(piece));
            at += count;
            if sync {
                body.sync().map_err(StoreError::Io)?;
            }
            body.has_grown(at);
            taken.fill();
            Ok((sums, slow))
        };
        let (sums, slow) = patient_hop(write).await?;
        (self.sums, self.slow) = (Some(sums), slow);
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
            body.append([behind(&sums)].into_iter()).and_then(|()| body.sync()).map_err(StoreError::Io)?;
            body.is_whole(sums);
            let done = then(body);
            drop(counted);
            Ok(done)
        })
        .await
    }
}

/// Takes the first bytes away from the pieces, at most so many, and returns them.
pub fn take_first(pieces: &mut Vec<Bytes>, mut bytes: usize) -> Vec<Bytes> {
    let whole = pieces.iter().scan(0, |end, piece| {
        *end += piece.len();
        Some(*end)
    });
    let whole = whole.take_while(|end| *end <= bytes).count();
    let mut taken: Vec<_> = pieces.drain(..whole).collect();
    bytes -= taken.iter().map(Bytes::len).sum::<usize>();
    if let Some(next) = pieces.first_mut().filter(|_| bytes > 0) {
        taken.push(next.split_to(bytes));
    }
    taken
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
    fn the_first_bytes_are_taken_away_from_pieces() {
        let lengths = |pieces: &[Bytes]| pieces.iter().map(Bytes::len).collect::<Vec<_>>();
        for (bytes, taken, left) in [
            (2, vec![2], vec![1, 4, 5]),
            (3, vec![3], vec![4, 5]),
            (8, vec![3, 4, 1], vec![4]),
            (12, vec![3, 4, 5], vec![]),
            (13, vec![3, 4, 5], vec![]),
        ] {
            let whole = Bytes::from_static(b"0123456789ab");
            let mut pieces = vec![whole.slice(..3), whole.slice(3..7), whole.slice(7..)];
            let first = take_first(&mut pieces, bytes);
            assert_eq!((lengths(&first), lengths(&pieces)), (taken, left), "{bytes}");
            assert_eq!([first, pieces].concat().concat(), whole, "{bytes}");
        }
    }
}
