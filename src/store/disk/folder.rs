//! The cache folder: who owns it, who may read it, which process holds it, and what it occupies.
//!
//! ```text
//! CACHEDIR.TAG   says that this is a cache: backups leave it out, and nothing is removed from a folder without it
//! lock           held by the process that uses the folder
//! secret         the key of the digests that stand for credentials; 32 random bytes
//! live/journal, live/fresh-N/, live/proven-N/
//!                what is stored
//! filling/       bodies that are being written
//! gone-N/        cleared, about to be removed
//! set-aside-N/   what could not be read; the newest one is kept
//! ```
//!
//! All of these are regular files and folders. Anything else in their place is set aside, never opened and never written to:
//! a FIFO would block, and a symbolic link would lead out of the folder. The cache folder itself may be a symbolic link.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use rustix::fs::{FlockOperation, Mode, flock};

use crate::store::{OpenError, error::Odd};

/// The mark of a cache folder, as the Cache Directory Tagging Specification has it.
const TAG: &str = "CACHEDIR.TAG";
const SIGNATURE: &[u8] =
    b"Signature: 8a477f597d28d172789f06886806bc55\n# This is a cache of Larder's: it may be removed.\n";
/// The other names in a cache folder, without those that end in a number.
const OURS: [&str; 8] = ["lock", "secret", "secret.new", "live", "filling", "control", "counters", "counters.new"];

/// The lock of a cache folder. One process holds it, as long as this lives.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
    folder: PathBuf,
}

impl FolderLock {
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns true if the folder is still the one that was locked. It is not if it was removed.
    pub fn holds(&self) -> bool {
        let inode = |about: fs::Metadata| (about.dev(), about.ino());
        let there = fs::metadata(self.folder.join("lock")).map(inode).ok();
        there.is_some() && there == self.file.metadata().map(inode).ok()
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // closing it is not enough: a process that this one is starting has it open, too, until it runs its own program
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Makes the files that this process creates from now on its user's alone. Process-wide: for `main`.
pub fn restrict_umask() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Locks a cache folder. Creates it (mode 0700) if it is missing.
pub fn lock(folder: &Path) -> Result<FolderLock, OpenError> {
    let io = |error| OpenError::Io(folder.to_owned(), error);
    if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(folder)
        && !folder.exists()
    {
        return Err(io(error));
    }
    let about = fs::metadata(folder).map_err(io)?;
    if !about.is_dir() {
        return Err(OpenError::NotAFolder(folder.to_owned()));
    }
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(OpenError::NotOurs(folder.to_owned(), about.uid()));
    }
    if about.mode() & 0o022 != 0 {
        return Err(OpenError::OpenToOthers(folder.to_owned(), about.mode() & 0o7777));
    }
    if !is_cache(folder) && fs::read_dir(folder).map_err(io)?.next().is_some() {
        return Err(OpenError::NotACache(folder.to_owned()));
    }
    let path = folder.join("lock");
    set_aside_unless_file(folder, &path).map_err(io)?;
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(io)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            if let Err(error) = tag(folder) {
                log::debug!("{} was not written: {error}", folder.join(TAG).display());
            }
            Ok(FolderLock { file, folder: folder.to_owned() })
        }
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked(folder.to_owned())),
        Err(error) => Err(io(error.into())),
    }
}

/// Returns true if this may be a cache folder of Larder: it has the tag, or only files with Larder's names, or cannot be read.
pub fn is_cache(folder: &Path) -> bool {
    if folder.join(TAG).exists() {
        return true;
    }
    let files = match fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) => return error.kind() != io::ErrorKind::NotFound,
    };
    let names: Vec<_> = files.flatten().map(|file| file.file_name()).collect();
    let ours =
        |name: &str| OURS.contains(&name) || ["gone-", "set-aside-"].iter().any(|prefix| name.starts_with(prefix));
    names.iter().any(|name| name == "lock") && names.iter().all(|name| name.to_str().is_some_and(ours))
}

fn tag(folder: &Path) -> io::Result<()> {
    let path = folder.join(TAG);
    if path.exists() {
        return Ok(());
    }
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?.write_all(SIGNATURE)
}

/// Returns the secret of the cache folder. If there is none, or no whole one, makes a new one: what depends on the old one is
/// not found any more.
pub fn secret(folder: &Path) -> io::Result<[u8; 32]> {
    let (path, new) = (folder.join("secret"), folder.join("secret.new"));
    for path in [&path, &new] {
        set_aside_unless_file(folder, path)?;
    }
    match fs::read(&path).map(<[u8; 32]>::try_from) {
        Ok(Ok(secret)) => return Ok(secret),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(Err(_)) | Err(_) => {}
    }
    let secret = random()?;
    let mut file = create_anew(&new)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(folder)?.sync_all()?;
    Ok(secret)
}

/// Returns random bytes of the system.
pub fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}

/// Creates a folder (mode 0700) if it is missing.
pub fn create(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        done => done,
    }
}

/// Creates a file that only this user may read.
pub fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create_new(true).read(true).write(true).mode(0o600).open(path)
}

/// Creates a file that only this user may read, in place of an older one. Never writes to the older one, which may be a
/// symbolic link to another file.
pub fn create_anew(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => create_file(path),
    }
}

/// Makes everything in a folder readable for this user alone.
pub fn restrict(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for file in fs::read_dir(folder)? {
        let file = file?;
        if file.file_type()?.is_dir() {
            restrict(&file.path())?;
        } else {
            fs::set_permissions(file.path(), Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

/// Returns the bytes that a file or folder occupies, as du counts them. What vanishes meanwhile counts nothing.
pub fn occupied(path: &Path) -> u64 {
    let Ok(about) = fs::symlink_metadata(path) else { return 0 };
    let own = about.blocks() * 512;
    match fs::read_dir(path) {
        Ok(files) if about.is_dir() => own + files.flatten().map(|file| occupied(&file.path())).sum::<u64>(),
        _ => own,
    }
}

/// Renames what cannot be read to the next free `set-aside-N`, and returns that name. Older ones are moved away.
pub fn set_aside(folder: &Path, what: &Path) -> io::Result<String> {
    let older = numbered(folder, "set-aside-")?;
    let next = older.last().map_or(1, |(number, _)| number.saturating_add(1));
    let name = format!("set-aside-{next}");
    fs::rename(what, folder.join(&name))?;
    older.iter().try_for_each(|(_, path)| move_away(folder, path).map(drop)).map(|()| name)
}

/// Returns what is in the place of a file and is not a regular file. A symbolic link is none.
pub fn odd_file(path: &Path) -> Option<Odd> {
    let is_odd = path.symlink_metadata().is_ok_and(|about| !about.is_file());
    is_odd.then(|| Odd { path: path.to_owned(), expected: "a regular file" })
}

/// Returns what is in the place of a folder and is not a folder. A symbolic link to a folder is none.
pub fn odd_folder(path: &Path) -> Option<Odd> {
    let is_odd = path.symlink_metadata().is_ok_and(|about| !about.is_dir());
    is_odd.then(|| Odd { path: path.to_owned(), expected: "a folder" })
}

/// Sets something aside that is in the place of a file and is not a regular file. Returns true if there was such a thing.
pub fn set_aside_unless_file(folder: &Path, path: &Path) -> io::Result<bool> {
    let Some(odd) = odd_file(path) else { return Ok(false) };
    let name = set_aside(folder, path)?;
    log::warn!("{odd}; it is moved to {name} and can be deleted");
    Ok(true)
}

/// Lists what is named with this prefix and a number, by number.
pub fn numbered(folder: &Path, prefix: &str) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        let number = file.file_name().to_str().and_then(|name| name.strip_prefix(prefix)?.parse().ok());
        found.extend(number.map(|number| (number, file.path())));
    }
    found.sort();
    Ok(found)
}

/// Removes a file or a folder. If that fails, the next start tries again.
pub fn remove(path: &Path) {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    if let Err(error) = removed {
        log::debug!("{} could not be removed: {error}", path.display());
    }
}

/// Moves all that is stored and what was set aside out of the way, at once and durably. Returns where `live/` is then.
pub fn clear_live(folder: &Path) -> io::Result<Option<PathBuf>> {
    for (_, path) in numbered(folder, "set-aside-")? {
        move_away(folder, &path)?;
    }
    let live = folder.join("live");
    if live.symlink_metadata().is_err() {
        return Ok(None);
    }
    let gone = move_away(folder, &live)?;
    // on the disk before the caller goes on
    File::open(folder)?.sync_all()?;
    Ok(Some(gone))
}

/// Makes the names in the cache folder, and of its generations, reach the disk, if the file system can.
pub fn sync_names(folder: &Path) {
    for folder in [folder, &folder.join("live")] {
        if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
            log::debug!("the names in {} were not synced: {error}", folder.display());
        }
    }
}

/// Moves a file or folder out of the way at once. Where it is then, to be removed. In one process no name comes twice: what
/// had it before may be on its way to be removed.
pub fn move_away(folder: &Path, what: &Path) -> io::Result<PathBuf> {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let there = numbered(folder, "gone-")?.last().map_or(0, |(number, _)| *number);
    let next = LAST.fetch_max(there, Relaxed).max(there).saturating_add(1);
    LAST.fetch_max(next, Relaxed);
    let gone = folder.join(format!("gone-{next}"));
    fs::rename(what, &gone)?;
    Ok(gone)
}

/// Lists what was moved away and is not removed yet.
pub fn gone(folder: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(numbered(folder, "gone-")?.into_iter().map(|(_, path)| path).collect())
}
