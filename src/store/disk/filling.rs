//! Large bodies while they stream in. Each is written to a file of its own, and made durable when it is whole.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    body::DiskBody,
    removing::Remover,
    space::{Promise, Space, Taken},
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
    sink: Option<Sink>,
    /// The most bytes that the body may have.
    longest: u64,
    _promise: Promise,
    finishing: Finishing,
}

/// A body of which all was appended. The store closes only after it is finished or dropped.
pub struct WholeBody {
    writer: BodyWriter,
    last: Option<Part>,
    counted: Counted,
}

/// Where the bytes of a body go.
struct Sink {
    body: DiskBody,
    sums: Sums,
    unsynced: u64,
    /// The last write took long.
    slow: bool,
}

/// Bytes for which there is space.
struct Part {
    pieces: Vec<Bytes>,
    taken: Taken,
}

impl Sink {
    /// Blocks.
    fn write(&mut self, part: Part) -> io::Result<()> {
        let Part { mut pieces, taken } = part;
        let count: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        while !pieces.is_empty() {
            let now = if self.slow { std::mem::take(&mut pieces) } else { take_first(&mut pieces, WRITE) };
            let began = clock::instant();
            self.body.append(now.iter().map(|piece| &piece[..]))?;
            self.slow = began.elapsed() >= SLOW;
            // the processor still has them at hand
            now.iter().for_each(|piece| self.sums.add(piece));
        }
        self.unsynced += count;
        if self.unsynced >= SYNC {
            self.body.sync()?;
            self.unsynced = 0;
        }
        self.body.has_grown(self.body.length() + count);
        taken.fill();
        Ok(())
    }
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
        let sink = Sink { body: body.clone(), sums: Sums::default(), unsynced: 0, slow: false };
        BodyWriter { body, sink: Some(sink), longest, _promise: promise, finishing }
    }

    /// Appends bytes. On return, `reader` can read them. Multiples of [`PIECE`] cost least. After an error, and after an
    /// `append` that was not waited for, the body cannot be finished.
    pub async fn append(&mut self, pieces: Vec<Bytes>) -> Result<(), StoreError> {
        let mut sink = self.sink.take().ok_or(StoreError::Closed)?;
        let part = self.part(pieces).await?;
        let write = move || sink.write(part).map(|()| sink).map_err(StoreError::Io);
        self.sink = Some(patient_hop(write).await?);
        Ok(())
    }

    /// Takes the space for more bytes.
    async fn part(&self, pieces: Vec<Bytes>) -> Result<Part, StoreError> {
        let count = pieces.iter().map(|piece| piece.len() as u64).sum();
        let space = self.body.space().ok_or(StoreError::Closed)?;
        if self.body.length().saturating_add(count) > self.longest {
            return Err(StoreError::TooLarge);
        }
        Ok(Part { pieces, taken: space.take(count).await? })
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
        WholeBody { writer: self, last: None, counted }
    }

    /// Ends the appending with these bytes. They are written when the body is finished: that saves a change of threads.
    pub async fn whole_with(self, last: Vec<Bytes>) -> Result<WholeBody, StoreError> {
        let last = if last.is_empty() { None } else { Some(self.part(last).await?) };
        Ok(WholeBody { last, ..self.whole() })
    }
}

impl WholeBody {
    /// Makes the body durable and calls `then`, which stores it, also if nobody waits for this any more.
    pub async fn finish<T: Send + 'static>(
        self,
        then: impl FnOnce(DiskBody) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let WholeBody { writer, last, counted } = self;
        let mut sink = writer.sink.ok_or(StoreError::Closed)?;
        hop(move || {
            last.map_or(Ok(()), |last| sink.write(last)).map_err(StoreError::Io)?;
            let Sink { body, sums, .. } = sink;
            let sums = sums.finish();
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
