//! The fixed places at the beginning of each record, version 2, integers little-endian:
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 4 | `LRDR` |
//! | 4 | 1 | format version: 2 |
//! | 5 | 1 | kind: 0 a response with its body behind the head, 1 a response with its body in a file |
//! | 6 | 2 | flags: 1 invalidated, 2 the request carried credentials, 4 the body is a part |
//! | 8 | 4 | length of the head, h; at most 1 MiB |
//! | 12 | 4 | length of the inline body, b; zero for kind 1 |
//! | 16 | 16 | sum of prefix and head: the first half of blake3 over bytes 0..16 and 32..176 + h |
//! | 32 | 16 | sum of the inline body: the first half of blake3; zero for kind 1 |
//! | 48 | 32 | key |
//! | 80 | 32 | primary key: the key of the URL; the key itself if the response is not a variant |
//! | 112 | 16 | position in the purge log, big-endian (milliseconds 8, sequence 8) |
//! | 128 | 48 | location of the body; zero for kind 0: |
//! | 128 | 4 | the generation that holds the file; it may be another one than the record's |
//! | 132 | 1 | file: 0 a segment, 1 a file of one body |
//! | 133 | 3 | zero |
//! | 136 | 4 | number of the file |
//! | 140 | 4 | bytes of a piece |
//! | 144 | 8 | offset in the file |
//! | 152 | 8 | length of the body |
//! | 160 | 16 | sum of the sums behind the body |
//! | 176 | h | the head: sections |
//! | 176 + h | b | the inline body |
//!
//! A flag that this version does not know makes the record invalid: flags change the meaning of what stands elsewhere.
//! The inline body has a sum of its own, so that a head is rewritten without hashing the body. The location is here, so
//! that a body is moved without decoding the head ([`relocate`]).

use super::{
    location::{FileName, Home, Location},
    sums::{Sum, first_half},
};
use crate::{key::CacheKey, purge::Position};

pub const VERSION: u8 = 2;
pub const MAGIC: &[u8; 4] = b"LRDR";
/// The length of the prefix.
pub const PREFIX: usize = 176;
/// The longest head. A length that a damaged record claims must not become an allocation.
pub const HEAD_LIMIT: usize = 1 << 20;

const KIND: usize = 5;
const FLAGS: usize = 6;
const HEAD: usize = 8;
const INLINE: usize = 12;
const SUM: usize = 16;
const INLINE_SUM: usize = 32;
const KEY: usize = 48;
const PRIMARY: usize = 80;
const POSITION: usize = 112;
const LOCATION: usize = 128;

const INVALIDATED: u16 = 1;
const CREDENTIALS: u16 = 2;
const PART: u16 = 4;

/// The kind of a record: where the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Behind the head.
    Inline,
    /// In a file.
    Beside(Home),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    pub invalidated: bool,
    pub credentials: bool,
    pub part: bool,
}

/// The prefix of a record without what follows from the record's other bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    pub flags: Flags,
    pub key: CacheKey,
    pub primary: CacheKey,
    pub position: Position,
    pub kind: Kind,
}

/// A record in its parts. Prefix and head are what was written; the inline body is not verified yet.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub prefix: Prefix,
    pub head: &'a [u8],
    inline: &'a [u8],
    inline_sum: Sum,
}

impl<'a> Parts<'a> {
    /// The inline body, if it is what was written.
    pub fn inline(&self) -> Option<&'a [u8]> {
        match self.prefix.kind {
            Kind::Inline => (first_half(blake3::hash(self.inline)) == self.inline_sum).then_some(self.inline),
            Kind::Beside(_) => Some(&[]),
        }
    }
}

/// Begins a record. The head and then the inline body must be appended, and then [`seal`] called.
pub fn begin(prefix: &Prefix, capacity: usize) -> Vec<u8> {
    let mut record = Vec::with_capacity(PREFIX + capacity);
    record.resize(PREFIX, 0);
    record[..4].copy_from_slice(MAGIC);
    record[4] = VERSION;
    let Flags { invalidated, credentials, part } = prefix.flags;
    let flag = |is: bool, bit: u16| if is { bit } else { 0 };
    let flags = flag(invalidated, INVALIDATED) | flag(credentials, CREDENTIALS) | flag(part, PART);
    record[FLAGS..HEAD].copy_from_slice(&flags.to_le_bytes());
    record[KEY..PRIMARY].copy_from_slice(&prefix.key.0);
    record[PRIMARY..POSITION].copy_from_slice(&prefix.primary.0);
    record[POSITION..LOCATION].copy_from_slice(&prefix.position.to_bytes());
    if let Kind::Beside(home) = &prefix.kind {
        record[KIND] = 1;
        locate(&mut record, home);
    }
    record
}

/// Ends a record: fills in the lengths and the sums. `head` is the length of the head, the inline body stands behind it.
/// Returns `None` if the record is longer than it may be.
pub fn seal(record: &mut [u8], head: usize) -> Option<()> {
    let inline = record.len().checked_sub(PREFIX)?.checked_sub(head)?;
    if head > HEAD_LIMIT {
        return None;
    }
    record[HEAD..INLINE].copy_from_slice(&u32::try_from(head).ok()?.to_le_bytes());
    record[INLINE..SUM].copy_from_slice(&u32::try_from(inline).ok()?.to_le_bytes());
    if record[KIND] == 0 {
        let sum = first_half(blake3::hash(&record[PREFIX + head..]));
        record[INLINE_SUM..KEY].copy_from_slice(&sum);
    }
    let sum = sum(record, head);
    record[SUM..INLINE_SUM].copy_from_slice(&sum);
    Some(())
}

/// Returns the parts of a record if its prefix and head are what was written.
pub fn parse(record: &[u8]) -> Option<Parts<'_>> {
    let flags = record.get(..PREFIX).map(|_| u16::from_le_bytes(bytes(record, FLAGS)))?;
    let (head, inline) = (le_u32(record, HEAD) as usize, le_u32(record, INLINE) as usize);
    let known = flags & !(INVALIDATED | CREDENTIALS | PART) == 0;
    if record[..4] != *MAGIC
        || record[4] != VERSION
        || !known
        || head > HEAD_LIMIT
        || PREFIX.checked_add(head)?.checked_add(inline)? != record.len()
        || sum(record, head) != record[SUM..INLINE_SUM]
    {
        return None;
    }
    let inline_sum = bytes(record, INLINE_SUM);
    let kind = match record[KIND] {
        0 if record[LOCATION..PREFIX].iter().all(|byte| *byte == 0) => Kind::Inline,
        1 if inline == 0 && inline_sum == [0; 16] => Kind::Beside(located(record)?),
        _ => return None,
    };
    let prefix = Prefix {
        flags: Flags {
            invalidated: flags & INVALIDATED != 0,
            credentials: flags & CREDENTIALS != 0,
            part: flags & PART != 0,
        },
        key: CacheKey(bytes(record, KEY)),
        primary: CacheKey(bytes(record, PRIMARY)),
        position: Position::from_bytes(bytes(record, POSITION)),
        kind,
    };
    let (head, inline) = record[PREFIX..].split_at(head);
    Some(Parts { prefix, head, inline, inline_sum })
}

/// Says in a record that its body, which is in a file, is in another place now. Neither decodes the head nor looks at the
/// body. Returns `None`, and leaves the record as it is, if the record is invalid or has its body inline.
pub fn relocate(record: &mut [u8], home: &Home) -> Option<()> {
    let parts = parse(record)?;
    let head = parts.head.len();
    let Kind::Beside(_) = parts.prefix.kind else { return None };
    locate(record, home);
    let sum = sum(record, head);
    record[SUM..INLINE_SUM].copy_from_slice(&sum);
    Some(())
}

/// The sum of prefix and head.
fn sum(record: &[u8], head: usize) -> Sum {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&record[..SUM]).update(&record[INLINE_SUM..PREFIX + head]);
    first_half(hasher.finalize())
}

fn locate(record: &mut [u8], home: &Home) {
    let Home { generation, location: Location { file, offset, length, piece, sums } } = home;
    let (file, number) = match file {
        FileName::Segment(number) => (0, number),
        FileName::Body(number) => (1, number),
    };
    let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
    put(128, &generation.to_le_bytes());
    put(132, &[file, 0, 0, 0]);
    put(136, &number.to_le_bytes());
    put(140, &piece.to_le_bytes());
    put(144, &offset.to_le_bytes());
    put(152, &length.to_le_bytes());
    put(160, sums);
}

fn located(record: &[u8]) -> Option<Home> {
    let number = le_u32(record, 136);
    let file = match bytes(record, 132) {
        [0, 0, 0, 0] => FileName::Segment(number),
        [1, 0, 0, 0] => FileName::Body(number),
        _ => return None,
    };
    let location = Location {
        file,
        offset: u64::from_le_bytes(bytes(record, 144)),
        length: u64::from_le_bytes(bytes(record, 152)),
        piece: le_u32(record, 140),
        sums: bytes(record, 160),
    };
    Some(Home { generation: le_u32(record, 128), location })
}

/// The bytes at a place within the prefix.
fn bytes<const N: usize>(record: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&record[at..at + N]);
    bytes
}

fn le_u32(record: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes(record, at))
}

/// Makes a record of any bytes, with the version, the lengths and the sums that a valid one has: for fuzzing.
pub fn mend(record: &mut Vec<u8>, key: &CacheKey) {
    record.resize(record.len().max(PREFIX), 0);
    let head = (le_u32(record, HEAD) as usize & 0xffff).min(record.len() - PREFIX);
    record[..4].copy_from_slice(MAGIC);
    record[4] = VERSION;
    record[KIND] %= 2;
    record[FLAGS] &= 7;
    record[FLAGS + 1] = 0;
    record[KEY..PRIMARY].copy_from_slice(&key.0);
    if record[KIND] == 0 {
        record[LOCATION..PREFIX].fill(0);
    } else {
        record.truncate(PREFIX + head);
        record[INLINE_SUM..KEY].fill(0);
        record[132] %= 2;
        record[133..136].fill(0);
    }
    // a head of 64 KiB at most is not too long
    let _ = seal(record, head);
}
