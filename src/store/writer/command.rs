//! What the writer is asked to do.

use std::sync::Weak;

use tokio::sync::oneshot;

use crate::store::{Cleared, StoreError, disk::generation::Generation, notice::Notice, tiers::epochs::Clearing};

/// What the writer is asked to do.
pub enum Command {
    Notice(Notice),
    /// A generation's files of bodies were guessed to occupy so many bytes; now they are counted.
    Counted {
        generation: Weak<Generation>,
        guess: u64,
        counted: u64,
    },
    Flush(oneshot::Sender<()>),
    /// Something was forgotten: make that reach the disk before anything else.
    Forgotten(oneshot::Sender<()>),
    /// A rule waits for the journal: make it reach the disk.
    Purge(oneshot::Sender<Result<(), StoreError>>),
    /// Look through everything; the answer is how many were dead.
    Sweep(oneshot::Sender<u64>),
    Clear(Clearing, oneshot::Sender<Result<Cleared, StoreError>>),
    Close(Option<oneshot::Sender<()>>),
}
