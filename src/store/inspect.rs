//! Reads and clears a cache folder that no store of this process has open.

use std::{fs, io, path::Path};

use super::{
    Cleared, OpenError, Stats,
    disk::{folder, generation::Generation},
    tiers::index::Index,
};

/// Forgets everything in a folder that no proxy uses, and gives the disk back (`--clear-cache`). A missing folder is empty.
pub fn clear_folder(folder: &Path) -> Result<Cleared, OpenError> {
    if !folder.exists() {
        return Ok(Cleared::default());
    }
    let _lock = folder::lock(folder)?;
    let io = |error| OpenError::Io(folder.to_owned(), error);
    let stats = match stats_of(folder) {
        Err(OpenError::Odd(odd)) => {
            log::warn!("{odd}; it is removed with the rest of the cache");
            Stats::default()
        }
        stats => stats?,
    };
    folder::remove(&folder.join("filling"));
    folder::clear_live(folder).map_err(io)?;
    folder::gone(folder).map_err(io)?.iter().for_each(|path| folder::remove(path));
    Ok(Cleared { responses: stats.responses, bytes: stats.bytes })
}

/// Returns the figures of a folder without opening it as a store, also while a proxy uses it.
pub fn stats_of(folder: &Path) -> Result<Stats, OpenError> {
    let index = Index::new();
    let io = |error| OpenError::Io(folder.to_owned(), error);
    let live = folder.join("live");
    if let Some(odd) = folder::odd_folder(&live).or_else(|| folder::odd_file(&live.join("journal"))) {
        return Err(OpenError::Odd(odd));
    }
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
