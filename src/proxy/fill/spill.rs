//! Writes the bytes of a fill to the disk.

use bytes::Bytes;

use super::state::Fill;
use crate::store::{BodyWriter, Store, StoreError};

/// The most pieces that are written together.
const TOGETHER: usize = 64;

/// Whether the bytes of a fill are written to the disk as well.
pub enum Spill {
    Memory,
    Disk(Box<Behind>),
    Refused(StoreError),
}

/// The writer of a fill, and the pieces that wait for it. They are written together, because each write is handed to
/// another thread.
pub struct Behind {
    pub writer: BodyWriter,
    waiting: Vec<Bytes>,
}

impl Behind {
    /// Writes the pieces that wait, and drops the bytes that memory need not keep.
    pub async fn write(&mut self, fill: &Fill) -> Result<(), StoreError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.writer.append(std::mem::take(&mut self.waiting)).await?;
        let mut state = fill.lock();
        let window = state.total.saturating_sub(state.window());
        state.disk = Some(self.writer.reader());
        state.forget_before(window);
        Ok(())
    }
}

impl Spill {
    /// Takes the piece that was just pushed to memory. `total` is the number of bytes so far, including the piece.
    pub async fn take(
        &mut self,
        piece: Bytes,
        total: u64,
        known: Option<u64>,
        fill: &Fill,
        store: &Store,
    ) -> Result<(), StoreError> {
        match self {
            Spill::Memory if total <= fill.lock().window() => {}
            Spill::Memory => {
                let waiting = fill.lock().held();
                let mut behind = Behind { writer: store.begin_body(known)?, waiting };
                behind.write(fill).await?;
                *self = Spill::Disk(Box::new(behind));
            }
            Spill::Disk(behind) => {
                behind.waiting.push(piece);
                let waiting: u64 = behind.waiting.iter().map(|piece| piece.len() as u64).sum();
                // the pieces that wait are still in memory
                if waiting >= fill.lock().window() / 2 || behind.waiting.len() >= TOGETHER {
                    behind.write(fill).await?;
                }
            }
            Spill::Refused(_) => {}
        }
        Ok(())
    }
}
