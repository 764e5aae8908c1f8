//! A cache folder that no store of this process has open: what it holds, and how it is cleared.

use std::{fs, io, path::Path};

use super::{
    Cleared, OpenError, Stats,
    disk::{folder, generation::Generation},
    tiers::index::Index,
};

/// `--clear-cache` where no proxy runs: forgets everything and gives the disk back. A folder that is not there is empty.
pub fn clear_folder(folder: &Path) -> Result<Cleared, OpenError> {
    if !folder.exists() {
        return Ok(Cleared::default());
    }
    let _lock = folder::lock(folder)?;
    let io = |error| OpenError::Io(folder.to_owned(), error);
    let stats = stats_of(folder)?;
    folder::remove(&folder.join("filling"));
    folder::clear_live(folder).map_err(io)?;
    folder::gone(folder).map_err(io)?.iter().for_each(|path| folder::remove(path));
    Ok(Cleared { responses: stats.responses, bytes: stats.bytes })
}

/// What a folder holds, read without opening it: also beside a running proxy.
pub fn stats_of(folder: &Path) -> Result<Stats, OpenError> {
    let index = Index::new();
    let io = |error| OpenError::Io(folder.to_owned(), error);
    let live = folder.join("live");
    match fs::read(live.join("journal")) {
        Ok(bytes) => _ = index.read_journal(&bytes, |_| {}),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(error)),
    }
    let generations = if live.is_dir() { Generation::list(&live).map_err(io)? } else { Vec::new() };
    index.keep_generations(&generations.iter().map(|(number, _)| *number).collect::<Vec<_>>());
    let set_aside = if folder.is_dir() { folder::numbered(folder, "set-aside-").map_err(io)?.len() } else { 0 };
    Ok(Stats {
        responses: index.responses(),
        bytes: index.bytes(),
        disk_used: folder::occupied(folder),
        set_aside: set_aside as u64,
        ..Stats::default()
    })
}
