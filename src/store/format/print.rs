//! What the index and the journal keep of a key: its print, and where its newest record is.

use crate::key::CacheKey;

/// The first eight bytes of a key. Two keys that share them displace one another; the record tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Print(pub u64);

impl Print {
    pub fn of(key: &CacheKey) -> Print {
        let [a, b, c, d, e, f, g, h, ..] = key.0;
        Print(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// Where the newest record of a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The generation that holds the record.
    pub generation: u32,
    pub size: Size,
    /// The generation that holds the body: an older one, if the origin confirmed the response and only its head was
    /// written anew.
    pub body: u32,
}

impl Entry {
    /// Returns true if the record or its body is in this generation.
    pub fn needs(&self, generation: u32) -> bool {
        self.generation == generation || self.body == generation
    }

    /// The bytes of it that this generation holds, about.
    pub fn bytes_in(&self, generation: u32) -> u64 {
        match (self.body == generation, self.generation == generation) {
            (true, _) => self.size.bytes(),
            (false, true) => self.size.bytes().min(HEAD),
            (false, false) => 0,
        }
    }
}

/// The bytes of a record without its body, usually.
const HEAD: u64 = 512;

/// Bytes on disk, head and body, in units of 64, rounded up; and whether the body has a file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u32);

/// The bit of a [`Size`] that says that the body has a file of its own.
const OWN_FILE: u32 = 1 << 31;

impl Size {
    pub fn of_response(bytes: u64, has_own_file: bool) -> Size {
        let units = u32::try_from(bytes.div_ceil(64)).unwrap_or(u32::MAX).clamp(1, OWN_FILE - 1);
        Size(units | if has_own_file { OWN_FILE } else { 0 })
    }

    pub fn bytes(self) -> u64 {
        u64::from(self.0 & !OWN_FILE) * 64
    }

    /// Returns true if the body has a file of its own.
    pub fn has_own_file(self) -> bool {
        self.0 & OWN_FILE != 0
    }
}
