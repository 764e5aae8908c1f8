//! Writes the bytes of a fill to the disk. No client waits for that, up to a limit.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;

use super::state::{Fill, LAG};
use crate::{
    clock,
    store::{BodyWriter, Store, StoreError, WholeBody, take_first},
};

/// The most pieces of one body that wait for the disk, beside the limit in bytes ([`LAG`] windows, which is 4 MiB).
const PIECES: usize = 1024;
/// The fewest bytes that are written at once, while more are to come and memory holds less of each body. Each write is handed to
/// another thread, and that costs as much as to write so many bytes.
const LEAST: u64 = 64 << 10;
/// How long the clients of one body wait for the disk in all. If more than the limit waits for the disk, the origin is not
/// read on. When clients have waited for so long, the body is not stored any more, and the origin is read on.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the bytes of a fill are written to the disk as well.
pub enum Spill {
    Memory,
    Disk(Box<Behind>),
    Refused(StoreError),
}

/// How long clients have waited for the disk, less the time for which they have waited for the origin since: by so much they
/// have caught up with it.
#[derive(Default)]
struct Waits(Duration);

impl Waits {
    fn note_disk(&mut self, took: Duration) {
        self.0 += took;
    }

    fn note_origin(&mut self, took: Duration) {
        self.0 = self.0.saturating_sub(took);
    }

    /// Returns how long they may go on waiting for the disk.
    fn patience(&self) -> Duration {
        PATIENCE.saturating_sub(self.0)
    }
}

/// A write that goes on. It gives the writer back.
type Writing = Pin<Box<dyn Future<Output = Result<BodyWriter, StoreError>>>>;

/// The writer of a fill, and the pieces that wait for it. They are written together, because each write is handed to
/// another thread. Memory keeps them until they are written.
pub struct Behind {
    /// `None` while it writes.
    writer: Option<BodyWriter>,
    /// The most bytes that the writer takes.
    longest: u64,
    writing: Option<Writing>,
    waiting: Vec<Bytes>,
    /// The number of bytes in `waiting`.
    bytes: u64,
    waits: Waits,
}

impl Behind {
    fn begin(writer: BodyWriter, waiting: Vec<Bytes>) -> Behind {
        let bytes = waiting.iter().map(|piece| piece.len() as u64).sum();
        let (longest, waits) = (writer.longest(), Waits::default());
        Behind { writer: Some(writer), longest, writing: None, waiting, bytes, waits }
    }

    /// Begins to write the pieces that wait, unless it writes already or fewer than `least` bytes wait. If `least` is not 0,
    /// the bytes behind the last full block go on waiting.
    fn write(&mut self, least: u64) {
        let is_due = self.bytes >= least || self.waiting.len() >= PIECES / 16;
        if self.waiting.is_empty() || !is_due {
            return;
        }
        if let Some(mut writer) = self.writer.take() {
            let over = writer.over(self.bytes);
            self.bytes = if least > 0 && over < self.bytes { over } else { 0 };
            let all: usize = self.waiting.iter().map(Bytes::len).sum();
            let pieces = take_first(&mut self.waiting, all - self.bytes as usize);
            self.writing = Some(Box::pin(async move { writer.append(pieces).await.map(|()| writer) }));
        }
    }

    /// Waits until pieces were written, for ever if none are. Drops the bytes that memory need not keep, and writes on.
    async fn written(&mut self, fill: &Fill) -> Result<(), StoreError> {
        let Some(writing) = &mut self.writing else { return std::future::pending().await };
        let written = writing.await;
        self.writing = None;
        let writer = written?;
        let share = {
            let mut state = fill.lock();
            state.disk = Some(writer.reader());
            state.forget_written();
            state.share()
        };
        self.writer = Some(writer);
        self.write(at_once(share));
        Ok(())
    }

    /// Returns true if no more bytes may wait for the disk.
    fn is_full(&self, fill: &Fill) -> bool {
        let state = fill.lock();
        let written = state.disk.as_ref().map_or(0, |disk| disk.length());
        state.total - written >= LAG * state.window() || self.waiting.len() >= PIECES
    }

    /// Waits until more bytes may wait for the disk. Fails when clients have waited for that for too long: not while they
    /// still have bytes to read.
    async fn room(&mut self, fill: &Fill) -> Result<(), StoreError> {
        while self.is_full(fill) {
            self.write(0);
            let moved = fill.readers_moved.notified();
            let is_awaited = fill.lock().is_awaited();
            let patience = self.waits.patience();
            if is_awaited && patience.is_zero() {
                return Err(StoreError::TooSlow);
            }
            let began = clock::instant();
            let written = tokio::select! {
                biased;
                written = self.written(fill) => written,
                () = moved, if !is_awaited => Ok(()),
                () = tokio::time::sleep(patience), if is_awaited => Ok(()),
            };
            if is_awaited {
                self.waits.note_disk(began.elapsed());
            }
            written?;
        }
        Ok(())
    }

    /// Writes what waits, except for the last bytes: those are written when the body is finished.
    pub async fn end(mut self, fill: &Fill) -> Result<WholeBody, StoreError> {
        loop {
            self.write(at_once(fill.lock().share()));
            match self.writer {
                Some(writer) => {
                    fill.lock().disk = Some(writer.reader());
                    return writer.whole_with(self.waiting).await;
                }
                None => self.written(fill).await?,
            }
        }
    }
}

/// Returns how many bytes are written at once, while more are to come.
fn at_once(share: u64) -> u64 {
    share.max(LEAST)
}

impl Spill {
    /// Takes the piece that was just pushed to memory. `total` is the number of bytes so far, including the piece, and
    /// `known` the length of the body, if it is known.
    pub fn take(
        &mut self,
        piece: Bytes,
        total: u64,
        known: Option<u64>,
        fill: &Fill,
        store: &Store,
    ) -> Result<(), StoreError> {
        let (window, share) = {
            let state = fill.lock();
            (state.window(), state.share())
        };
        match self {
            Spill::Memory if total <= window => {}
            Spill::Memory => {
                let mut behind = Behind::begin(store.begin_body(known)?, fill.lock().held());
                behind.write(at_once(share));
                *self = Spill::Disk(Box::new(behind));
            }
            Spill::Disk(behind) if total > behind.longest => return Err(StoreError::TooLarge),
            Spill::Disk(behind) => {
                behind.bytes += piece.len() as u64;
                behind.waiting.push(piece);
                // the last bytes wait for the end
                if known != Some(total) {
                    behind.write(at_once(share));
                }
            }
            Spill::Refused(_) => {}
        }
        Ok(())
    }

    /// Notes that clients had to wait for the origin for so long.
    pub fn note_origin(&mut self, took: Duration) {
        if let Spill::Disk(behind) = self {
            behind.waits.note_origin(took);
        }
    }

    /// Waits until pieces were written. Cancel safe.
    pub async fn written(&mut self, fill: &Fill) -> Result<(), StoreError> {
        match self {
            Spill::Disk(behind) => behind.written(fill).await,
            Spill::Memory | Spill::Refused(_) => std::future::pending().await,
        }
    }

    /// Waits until more bytes may wait for the disk. Fails if the disk is too slow for the clients.
    pub async fn room(&mut self, fill: &Fill) -> Result<(), StoreError> {
        match self {
            Spill::Disk(behind) => behind.room(fill).await,
            Spill::Memory | Spill::Refused(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_wait_for_the_disk_for_a_second_in_all_but_for_what_the_origin_makes_up_for() {
        let milliseconds = Duration::from_millis;
        // bursts, and a disk that catches up between them
        let mut waits = Waits::default();
        for _ in 0..100 {
            waits.note_disk(milliseconds(300));
            waits.note_origin(milliseconds(400));
        }
        assert_eq!(waits.patience(), PATIENCE);
        // a disk that is a little slower than the origin
        let mut lasted = 0;
        while !waits.patience().is_zero() {
            waits.note_disk(milliseconds(60));
            waits.note_origin(milliseconds(10));
            lasted += 1;
        }
        assert_eq!(lasted, 20);
    }
}
