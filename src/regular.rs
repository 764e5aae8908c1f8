//! Reads files that a setting names. Anything but a regular file is an error: a pipe would be waited for.

use std::{
    fs::{File, OpenOptions},
    io::Read,
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

use crate::units::show_size;

/// Returns the bytes of a regular file of at most `most` bytes. The error says what is wrong with it, without its name.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let unreadable = |error| format!("cannot be read: {error}");
    let file = open(path).map_err(unreadable)?;
    let kind = file.metadata().map_err(unreadable)?.file_type();
    let other = match kind {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a folder"),
        kind if kind.is_fifo() => Some("a pipe"),
        kind if kind.is_char_device() || kind.is_block_device() => Some("a device"),
        _ => Some("not a regular file"),
    };
    if let Some(other) = other {
        return Err(format!("it is {other}"));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 > most {
        true => Err(format!("it is too large; expected at most {}", show_size(most))),
        false => Ok(bytes),
    }
}

/// Opens a file without waiting for a program at the other end of it.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)
}
