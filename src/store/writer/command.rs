//! The commands of the writer.

use std::sync::Weak;

use tokio::sync::oneshot;

use crate::store::{Cleared, StoreError, disk::generation::Generation, notice::Notice, tiers::epochs::Clearing};

/// A command for the writer.
pub enum Command {
    Notice(Notice),
    /// A generation's files of bodies were guessed to occupy `guess` bytes. They occupy `counted` bytes.
    Counted {
        generation: Weak<Generation>,
        guess: u64,
        counted: u64,
    },
    Flush(oneshot::Sender<()>),
    /// Make what was forgotten and the rules that wait reach the disk, before anything else.
    Forgotten(oneshot::Sender<()>),
    /// Make the rules that wait reach the disk.
    Purge(oneshot::Sender<Result<(), StoreError>>),
    /// Sweep everything. The answer is how many responses were forgotten.
    Sweep(oneshot::Sender<u64>),
    Clear(Clearing, oneshot::Sender<Result<Cleared, StoreError>>),
    Close(Option<oneshot::Sender<()>>),
}
