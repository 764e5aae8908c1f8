//! Behind an opening: what was forgotten before is removed, and the files of bodies are counted. Both take the longer the
//! more files there are, so nobody waits for them.

use std::{
    path::PathBuf,
    sync::{Arc, Weak, mpsc::Sender},
};

use super::command::Command;
use crate::store::{
    disk::{folder, generation::Generation, segment},
    tiers::shared::Shared,
};

/// A generation of which it is guessed what its files of one body each occupy.
pub struct Guessed {
    generation: Weak<Generation>,
    folder: PathBuf,
    /// Files with this number or a later one came after the guess.
    until: u32,
    /// Bytes.
    guess: u64,
}

impl Guessed {
    /// `until`: its next file's number, if it is written to.
    pub fn new(generation: &Arc<Generation>, guess: u64, until: Option<u32>) -> Guessed {
        let until = until.unwrap_or(u32::MAX);
        Guessed { generation: Arc::downgrade(generation), folder: generation.folder.clone(), until, guess }
    }

    fn count(&self) -> u64 {
        let files = segment::body_files(&self.folder).unwrap_or_default().into_iter();
        let older = files.filter(|file| file.number() < self.until);
        older.map(|file| folder::occupied(&file.path(&self.folder))).sum()
    }
}

/// Removes and counts on a thread of its own, which tells the writer. Where none can be had the guesses stand.
pub fn behind(shared: &Shared, guessed: Vec<Guessed>, commands: Sender<Command>) {
    let folder = shared.options.folder.clone();
    let count = move || {
        if let Err(error) = folder::sweep(&folder) {
            log::debug!("what was forgotten stays in {}: {error}", folder.display());
        }
        for guessed in guessed {
            let counted = guessed.count();
            let Guessed { generation, guess, .. } = guessed;
            // an error: the store is gone
            let _ = commands.send(Command::Counted { generation, guess, counted });
        }
    };
    if let Err(error) = std::thread::Builder::new().name("larder-counting".to_owned()).spawn(count) {
        log::debug!("what bodies occupy is not counted: {error}");
    }
}
