//! The fixed places at the beginning of each record, version 2, integers little-endian:
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 4 | `LRDR` |
//! | 4 | 1 | format version: 2 |
//! | 5 | 1 | kind: 0 a response with its body behind the head, 1 a response with its body in a file |
//! | 6 | 2 | flags: 1 invalidated, 2 the request carried credentials, 4 the body is a part, 8 a variant |
//! | 8 | 4 | length of the head, h; at most 1 MiB |
//! | 12 | 4 | length of the inline body, b; zero for kind 1 |
//! | 16 | 16 | sum of prefix and head: the first half of blake3 over bytes 0..16 and 32..p + h |
//! | 32 | 32 | key |
//! | 64 | 16 | position in the purge log, big-endian (milliseconds 8, sequence 8) |
//! | 80 | 16 | kind 0 only: sum of the inline body, the first half of blake3 |
//! | 80 | 48 | kind 1 only: location of the body: |
//! | 80 | 4 | the generation that holds the file; it may be another one than the record's |
//! | 84 | 1 | file: 0 a segment, 1 a file of one body |
//! | 85 | 3 | zero |
//! | 88 | 4 | number of the file |
//! | 92 | 4 | bytes of a piece |
//! | 96 | 8 | offset in the file |
//! | 104 | 8 | length of the body |
//! | 112 | 16 | sum of the sums behind the body |
//! | p - 32 | 32 | variants only: primary key, the key of the URL; for all others that is the key itself |
//! | p | h | the head: sections; p is 96 for kind 0 and 128 for kind 1, and 32 more for a variant |
//! | p + h | b | the inline body |
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
/// The longest head. A length that a damaged record claims must not become an allocation.
pub const HEAD_LIMIT: usize = 1 << 20;

/// The shortest prefix.
const SHORTEST: usize = 96;
const KIND: usize = 5;
const FLAGS: usize = 6;
const HEAD: usize = 8;
const INLINE: usize = 12;
const SUM: usize = 16;
const KEY: usize = 32;
const POSITION: usize = 64;
/// Where the sum of an inline body or the location of another one stands.
const BODY: usize = 80;
const LOCATION: usize = 48;
const PRIMARY: usize = 32;

const INVALIDATED: u16 = 1;
const CREDENTIALS: u16 = 2;
const PART: u16 = 4;
const VARIANT: u16 = 8;

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
    let Prefix { flags: Flags { invalidated, credentials, part }, key, primary, position, kind } = prefix;
    let flag = |is: bool, bit: u16| if is { bit } else { 0 };
    let is_variant = primary != key;
    let flags = flag(*invalidated, INVALIDATED)
        | flag(*credentials, CREDENTIALS)
        | flag(*part, PART)
        | flag(is_variant, VARIANT);
    let number = u8::from(*kind != Kind::Inline);
    let mut record = Vec::with_capacity(SHORTEST + LOCATION + PRIMARY + capacity);
    record.resize(length(number, flags), 0);
    record[..4].copy_from_slice(MAGIC);
    record[4] = VERSION;
    record[KIND] = number;
    record[FLAGS..HEAD].copy_from_slice(&flags.to_le_bytes());
    record[KEY..POSITION].copy_from_slice(&key.0);
    record[POSITION..BODY].copy_from_slice(&position.to_bytes());
    if let Kind::Beside(home) = kind {
        locate(&mut record, home);
    }
    if is_variant {
        let at = record.len() - PRIMARY;
        record[at..].copy_from_slice(&primary.0);
    }
    record
}

/// The length of the prefix of a record with these flags.
fn length(kind: u8, flags: u16) -> usize {
    let body = if kind == 0 { size_of::<Sum>() } else { LOCATION };
    BODY + body + if flags & VARIANT == 0 { 0 } else { PRIMARY }
}

/// The length of the prefix of a record, which need not be valid, but must have the length of the shortest prefix.
fn length_of(record: &[u8]) -> usize {
    length(record[KIND], u16::from_le_bytes(bytes(record, FLAGS)))
}

/// Returns the position in the purge log of a record that is valid.
pub fn position(record: &[u8]) -> Position {
    let mut bytes = [0; Position::BYTES];
    if let Some(position) = record.get(POSITION..POSITION + Position::BYTES) {
        bytes.copy_from_slice(position);
    }
    Position::from_bytes(bytes)
}

/// Ends a record: fills in the lengths and the sums. `head` is the length of the head, the inline body stands behind it.
/// Returns `None` if the record is longer than it may be.
pub fn seal(record: &mut [u8], head: usize) -> Option<()> {
    let prefix = length_of(record);
    let inline = record.len().checked_sub(prefix)?.checked_sub(head)?;
    if head > HEAD_LIMIT {
        return None;
    }
    record[HEAD..INLINE].copy_from_slice(&u32::try_from(head).ok()?.to_le_bytes());
    record[INLINE..SUM].copy_from_slice(&u32::try_from(inline).ok()?.to_le_bytes());
    if record[KIND] == 0 {
        let sum = first_half(blake3::hash(&record[prefix + head..]));
        record[BODY..SHORTEST].copy_from_slice(&sum);
    }
    let sum = sum(record, prefix + head);
    record[SUM..KEY].copy_from_slice(&sum);
    Some(())
}

/// Returns the parts of a record if its prefix and head are what was written.
pub fn parse(record: &[u8]) -> Option<Parts<'_>> {
    let flags = record.get(..SHORTEST).map(|_| u16::from_le_bytes(bytes(record, FLAGS)))?;
    let prefix = length_of(record);
    let (head, inline) = (le_u32(record, HEAD) as usize, le_u32(record, INLINE) as usize);
    let known = flags & !(INVALIDATED | CREDENTIALS | PART | VARIANT) == 0;
    if record[..4] != *MAGIC
        || record[4] != VERSION
        || !known
        || head > HEAD_LIMIT
        || prefix.checked_add(head)?.checked_add(inline)? != record.len()
        || sum(record, prefix + head) != record[SUM..KEY]
    {
        return None;
    }
    let (kind, inline_sum) = match record[KIND] {
        0 => (Kind::Inline, bytes(record, BODY)),
        1 if inline == 0 => (Kind::Beside(located(record)?), Sum::default()),
        _ => return None,
    };
    let key = CacheKey(bytes(record, KEY));
    let primary = if flags & VARIANT == 0 { key } else { CacheKey(bytes(record, prefix - PRIMARY)) };
    if flags & VARIANT != 0 && primary == key {
        return None;
    }
    let prefix_of = Prefix {
        flags: Flags {
            invalidated: flags & INVALIDATED != 0,
            credentials: flags & CREDENTIALS != 0,
            part: flags & PART != 0,
        },
        key,
        primary,
        position: Position::from_bytes(bytes(record, POSITION)),
        kind,
    };
    let (head, inline) = record[prefix..].split_at(head);
    Some(Parts { prefix: prefix_of, head, inline, inline_sum })
}

/// Says in a record that its body, which is in a file, is in another place now. Neither decodes the head nor looks at the
/// body. Returns `None`, and leaves the record as it is, if the record is invalid or has its body inline.
pub fn relocate(record: &mut [u8], home: &Home) -> Option<()> {
    let parts = parse(record)?;
    let Kind::Beside(_) = parts.prefix.kind else { return None };
    locate(record, home);
    // there is nothing behind the head
    let sum = sum(record, record.len());
    record[SUM..KEY].copy_from_slice(&sum);
    Some(())
}

/// The sum of prefix and head, which end here.
fn sum(record: &[u8], end: usize) -> Sum {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&record[..SUM]).update(&record[KEY..end]);
    first_half(hasher.finalize())
}

fn locate(record: &mut [u8], home: &Home) {
    let Home { generation, location: Location { file, offset, length, piece, sums } } = home;
    let (file, number) = match file {
        FileName::Segment(number) => (0, number),
        FileName::Body(number) => (1, number),
    };
    let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
    put(80, &generation.to_le_bytes());
    put(84, &[file, 0, 0, 0]);
    put(88, &number.to_le_bytes());
    put(92, &piece.to_le_bytes());
    put(96, &offset.to_le_bytes());
    put(104, &length.to_le_bytes());
    put(112, sums);
}

fn located(record: &[u8]) -> Option<Home> {
    let number = le_u32(record, 88);
    let file = match bytes(record, 84) {
        [0, 0, 0, 0] => FileName::Segment(number),
        [1, 0, 0, 0] => FileName::Body(number),
        _ => return None,
    };
    let location = Location {
        file,
        offset: u64::from_le_bytes(bytes(record, 96)),
        length: u64::from_le_bytes(bytes(record, 104)),
        piece: le_u32(record, 92),
        sums: bytes(record, 112),
    };
    Some(Home { generation: le_u32(record, 80), location })
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
    record.resize(record.len().max(SHORTEST + LOCATION + PRIMARY), 0);
    record[..4].copy_from_slice(MAGIC);
    record[4] = VERSION;
    record[KIND] %= 2;
    record[FLAGS] &= 15;
    record[FLAGS + 1] = 0;
    record[KEY..POSITION].copy_from_slice(&key.0);
    let prefix = length_of(record);
    let head = (le_u32(record, HEAD) as usize & 0xffff).min(record.len() - prefix);
    if record[KIND] == 1 {
        record.truncate(prefix + head);
        record[84] %= 2;
        record[85..88].fill(0);
    }
    if record[FLAGS] & 8 != 0 {
        // another key than the record's own
        record[prefix - PRIMARY] = !key.0[0];
    }
    // a head of 64 KiB at most is not too long
    let _ = seal(record, head);
}
