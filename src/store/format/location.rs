//! Where the bytes of a body stand on disk.

use std::path::{Path, PathBuf};

use super::sums::{Algorithm, Sum};

/// The place of a body in its generation: a file, and the bytes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    pub file: FileName,
    pub offset: u64,
    /// The bytes of the body, without the sums behind it.
    pub length: u64,
    /// Bytes of a piece; the last one may be shorter.
    pub piece: u32,
    /// The sum of the sums.
    pub sums: Sum,
    /// How all its sums are made.
    pub algorithm: Algorithm,
}

/// The place of a stored body. Its generation need not be the record's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    pub generation: u32,
    pub location: Location,
}

/// A file of bodies in a generation's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileName {
    Segment(u32),
    /// One body's own.
    Body(u32),
}

impl FileName {
    pub fn path(self, folder: &Path) -> PathBuf {
        match self {
            FileName::Segment(number) => folder.join(format!("{number}.seg")),
            FileName::Body(number) => folder.join(format!("{number}.body")),
        }
    }

    /// Parses the name of a file. Returns `None` if it is not the name of a file of bodies.
    pub fn parse(name: &str) -> Option<FileName> {
        let (digits, of_kind): (_, fn(u32) -> FileName) = match name.rsplit_once('.')? {
            (digits, "seg") => (digits, FileName::Segment),
            (digits, "body") => (digits, FileName::Body),
            _ => return None,
        };
        digits.parse().ok().filter(|number: &u32| number.to_string() == digits).map(of_kind)
    }

    pub fn number(self) -> u32 {
        match self {
            FileName::Segment(number) | FileName::Body(number) => number,
        }
    }
}
