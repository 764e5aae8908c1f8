//! A terminal of a test's own.

use std::{
    fs::{File, OpenOptions},
    os::unix::ffi::OsStrExt,
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Opens a terminal: the side that shows what is written, and the side that a program writes to.
pub fn open() -> (File, File) {
    let shows = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&shows).unwrap();
    unlockpt(&shows).unwrap();
    let name = ptsname(&shows, Vec::new()).unwrap();
    let path = std::ffi::OsStr::from_bytes(name.as_bytes());
    (shows.into(), OpenOptions::new().read(true).write(true).open(path).unwrap())
}
