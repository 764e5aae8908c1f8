//! Large bodies while they stream in. Each is written to a file of its own, and made durable when it is whole.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    body::DiskBody,
    removing::Remover,
    space::{Promise, Space},
};
use crate::store::{
    StoreError,
    format::sums::{Sums, behind},
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

    /// Appends bytes. On return, `reader` can read them. 64 KiB or more at a time cost least. After an error, and after an
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
            body.append(pieces.iter().map(|piece| &piece[..])).map_err(StoreError::Io)?;
            for piece in &pieces {
                sums.add(piece);
                at += piece.len() as u64;
            }
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
