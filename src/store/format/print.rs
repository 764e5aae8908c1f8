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
    pub generation: u32,
    pub size: Size,
}

/// Bytes on disk in units of 64, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u32);

impl Size {
    pub fn of_response(bytes: u64) -> Size {
        Size(u32::try_from(bytes.div_ceil(64)).unwrap_or(u32::MAX).max(1))
    }

    pub fn bytes(self) -> u64 {
        u64::from(self.0) * 64
    }
}
