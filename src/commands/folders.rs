//! The cache folders that a command is about.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::output::fail;
use crate::{config::Folders, logging, store};

/// The exit code if no cache exists, or if the cache holds nothing that matches.
pub const NO_CACHE: u8 = 3;

/// Does `work` for each cache folder, and says so if there is none. `work` returns false if the folder is gone. The exit
/// code is 1 if `work` failed for one of them, and [`NO_CACHE`] if there is none.
pub fn each(folders: &Folders, mut work: impl FnMut(&Path) -> Result<bool, String>) -> ExitCode {
    let paths = match paths(folders) {
        Ok(paths) => paths,
        Err(error) => return fail(1, &error),
    };
    let (mut code, mut found) = (ExitCode::SUCCESS, false);
    for path in paths.iter().filter(|path| store::is_cache(path)) {
        match work(path) {
            Ok(there) => found |= there,
            Err(error) => {
                found = true;
                // what is typed wrong has no folder
                let has_place = error.contains(&*path.to_string_lossy()) || error.starts_with("invalid ");
                code = if has_place { fail(1, &error) } else { fail(1, &format!("{}: {error}", path.display())) };
            }
        }
    }
    if !found {
        logging::say(&format!("there is no cache at {}; --cache-dir names another folder", place(folders).display()));
        return ExitCode::from(NO_CACHE);
    }
    code
}

/// Returns the folder that is named, or the one in which all caches are.
pub(super) fn place(folders: &Folders) -> &Path {
    let (Folders::One(folder) | Folders::Below(folder)) = folders;
    folder
}

/// Returns the folders in which a Larder may run. The error says which folder cannot be listed.
pub(super) fn paths(folders: &Folders) -> Result<Vec<PathBuf>, String> {
    match folders {
        Folders::One(folder) => Ok(vec![folder.clone()]),
        Folders::Below(parent) => below(parent).map_err(|error| format!("cannot list {}: {error}", parent.display())),
    }
}

fn below(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let folders = match std::fs::read_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        folders => folders?,
    };
    let mut paths: Vec<PathBuf> = folders.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    paths.sort();
    Ok(paths)
}
