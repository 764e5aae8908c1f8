//! The errors of the store.

use std::{io, path::PathBuf};

/// Says why something could not be stored or read. Never reaches a client.
#[derive(Debug)]
pub enum StoreError {
    /// The store is not open (yet, or any more).
    Closed,
    /// The body is longer than `max_object`, or the disk limit leaves no room for it.
    TooLarge,
    /// The disk does not keep up.
    Busy,
    /// The disk takes a body so slowly that its clients would wait for it.
    TooSlow,
    Io(io::Error),
    /// A record or a body is not what was written.
    Damaged(&'static str),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Closed => f.write_str("the cache on disk is not open"),
            StoreError::TooLarge => f.write_str("too large for the cache"),
            StoreError::Busy => f.write_str("the disk is too slow"),
            StoreError::TooSlow => f.write_str("the disk is slower than the origin"),
            StoreError::Io(error) => error.fmt(f),
            StoreError::Damaged(what) => write!(f, "{what} is not what was written"),
        }
    }
}

impl std::error::Error for StoreError {}

/// Something in the place of a file or a folder of the cache that is neither. Opening it could wait for ever, as with a FIFO,
/// or lead out of the cache folder, as with a symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    pub path: PathBuf,
    /// What it should be: "a regular file".
    pub expected: &'static str,
}

impl std::fmt::Display for Odd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is not {}", self.path.display(), self.expected)
    }
}

/// Returns true if an error says something about the disk, not about the files.
pub fn is_the_disks(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    let codes = [rustix::io::Errno::IO, rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    let kinds = [PermissionDenied, StorageFull, QuotaExceeded, ReadOnlyFilesystem, OutOfMemory, WouldBlock];
    kinds.contains(&error.kind()) || codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}

/// Says why a cache folder cannot be used, in words for the person who named it.
#[derive(Debug)]
pub enum OpenError {
    /// Another process uses it.
    Locked(PathBuf),
    NotAFolder(PathBuf),
    /// It belongs to the user with this number.
    NotOurs(PathBuf, u32),
    /// Others may write to it: its mode.
    OpenToOthers(PathBuf, u32),
    /// It holds files that are not Larder's.
    NotACache(PathBuf),
    /// Something in it cannot be read.
    Odd(Odd),
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OpenError::Locked(folder) => write!(
                f,
                "the cache folder {} is in use by another Larder; stop that one, or name another folder with --cache-dir",
                folder.display()
            ),
            OpenError::NotAFolder(folder) => {
                write!(f, "{} is not a folder; name another one with --cache-dir", folder.display())
            }
            OpenError::NotOurs(folder, owner) => write!(
                f,
                "the cache folder {} belongs to another user (uid {owner}); name one of your own with --cache-dir",
                folder.display()
            ),
            OpenError::OpenToOthers(folder, mode) => write!(
                f,
                "others may write to the cache folder {0} (mode {mode:04o}); run: chmod 700 {0}",
                folder.display()
            ),
            OpenError::NotACache(folder) => write!(
                f,
                "{} is not a cache folder: it holds other files; name an empty or a new one with --cache-dir",
                folder.display()
            ),
            OpenError::Odd(odd) => {
                write!(f, "the cache cannot be read: {odd}; larder --clear-cache removes it with the rest of the cache")
            }
            OpenError::Io(folder, error) => {
                write!(f, "the cache folder {} cannot be used: {error}", folder.display())
            }
        }
    }
}

impl std::error::Error for OpenError {}
