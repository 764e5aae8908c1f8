//! What stands at the beginning of each record, version 3. A number is as in [`numbers`], all else little-endian:
//!
//! | bytes | |
//! |---|---|
//! | 1 | format version: 3; a record of version 2 has other sums ([`Algorithm`]), and all else as version 3 has it |
//! | 2 | flags: 1 invalidated, 2 the request carried credentials, 4 the body is a part, 8 a variant, 16 the body is in a file |
//! | 16 | sum of prefix and head: over the key with the 3 bytes before, and all behind up to the end of the head |
//! | number | position in the purge log, milliseconds |
//! | number | position in the purge log, sequence |
//! | 32 | variants only: primary key, the key of the URL; for all others that is the record's own key |
//!
//! Then, if the body stands behind the head:
//!
//! | bytes | |
//! |---|---|
//! | number | length of the body, b |
//! | 16 | sum of the body (see [`super::sums`]) |
//!
//! or, if it is in a file, its location:
//!
//! | bytes | |
//! |---|---|
//! | number | the generation that holds the file; it may be another one than the record's |
//! | number | twice the number of the file, and 1 more if it is the file of one body alone, not a segment |
//! | number | offset in the file |
//! | number | length of the body |
//! | 1 | the bytes of a piece are 2 to the power of this |
//! | 16 | sum of the body (see [`super::sums`]) |
//!
//! Then the head: sections, at most 1 MiB, up to the b bytes of the body or to the end.
//!
//! The key is not in the record: the database has it. The sum covers it, so that the record of another key is invalid.
//!
//! A flag that this version does not know makes the record invalid: flags change the meaning of what stands elsewhere.
//! A body behind the head has a sum of its own, so that a head is rewritten without hashing the body. The location is here,
//! so that a body is moved without decoding the head ([`relocated`]). The version of a record
//! tells how the sums of its body are made, too: a new head for a body of version 2 makes a record of version 2.

use super::{
    location::{FileName, Home, Location},
    numbers,
    sums::{Algorithm, Sum, WRITTEN},
};
use crate::{key::CacheKey, purge::Position};

/// The longest head. A length that a damaged record claims must not become an allocation.
pub const HEAD_LIMIT: usize = 1 << 20;

const FLAGS: usize = 1;
const SUM: usize = 3;
/// Where the sum ends and all that is not at a fixed place begins.
const FIXED: usize = SUM + size_of::<Sum>();

const INVALIDATED: u16 = 1;
const CREDENTIALS: u16 = 2;
const PART: u16 = 4;
const VARIANT: u16 = 8;
const BESIDE: u16 = 16;
const KNOWN: u16 = INVALIDATED | CREDENTIALS | PART | VARIANT | BESIDE;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    pub invalidated: bool,
    pub credentials: bool,
    pub part: bool,
}

/// What the prefix says of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    pub flags: Flags,
    pub primary: CacheKey,
    pub position: Position,
}

/// The bytes of a body, or the place where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyForm<'a> {
    /// Behind the head.
    Inline(&'a [u8]),
    /// In a file.
    Beside(Home),
}

/// A record in its parts. Prefix and head are what was written; the inline body is not verified yet.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub prefix: Prefix,
    pub head: &'a [u8],
    /// An inline body that is not verified yet.
    body: BodyForm<'a>,
    /// The sum of the inline body.
    sum: Sum,
    algorithm: Algorithm,
}

impl<'a> Parts<'a> {
    /// The place of the body, if it is in a file.
    pub fn home(&self) -> Option<Home> {
        match self.body {
            BodyForm::Inline(_) => None,
            BodyForm::Beside(home) => Some(home),
        }
    }

    /// The body, if it is not an inline body that is damaged.
    pub fn body(&self) -> Option<BodyForm<'a>> {
        match self.body {
            BodyForm::Inline(bytes) if self.algorithm.of_piece(bytes) != self.sum => None,
            body => Some(body),
        }
    }
}

/// Returns the record of a key. `head` appends the head. Returns `None` if `head` does, if the head is too long, or if the
/// pieces of the body have an odd length.
pub fn record(
    key: &CacheKey,
    prefix: &Prefix,
    body: BodyForm<'_>,
    head: impl FnOnce(&mut Vec<u8>) -> Option<()>,
) -> Option<Vec<u8>> {
    let Prefix { flags, primary, position } = prefix;
    let is_variant = primary != key;
    let (inline, algorithm) = match body {
        BodyForm::Inline(bytes) => (bytes, WRITTEN),
        BodyForm::Beside(home) => (&[][..], home.location.algorithm),
    };
    let mut record = Vec::with_capacity(1024 + inline.len());
    record.push(version_with(algorithm));
    record.extend_from_slice(&bits(*flags, is_variant, &body).to_le_bytes());
    record.extend_from_slice(&Sum::default());
    numbers::append(&mut record, position.milliseconds);
    numbers::append(&mut record, position.sequence);
    if is_variant {
        record.extend_from_slice(&primary.0);
    }
    match body {
        BodyForm::Inline(bytes) => {
            numbers::append(&mut record, bytes.len() as u64);
            record.extend_from_slice(&algorithm.of_piece(bytes));
        }
        BodyForm::Beside(home) => append_location(&mut record, &home)?,
    }
    let begin = record.len();
    head(&mut record)?;
    if record.len() - begin > HEAD_LIMIT {
        return None;
    }
    seal(key, algorithm, &mut record);
    record.extend_from_slice(inline);
    Some(record)
}

/// Writes the sum of prefix and head into them.
pub fn seal(key: &CacheKey, algorithm: Algorithm, prefix_and_head: &mut [u8]) {
    let sum = sum(key, algorithm, prefix_and_head);
    prefix_and_head[SUM..FIXED].copy_from_slice(&sum);
}

fn version_with(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Blake3 => 2,
        Algorithm::Xxh3 => 3,
    }
}

/// Returns how this version makes its sums. `None`: it is not read.
fn algorithm_of(version: u8) -> Option<Algorithm> {
    [Algorithm::Blake3, Algorithm::Xxh3].into_iter().find(|algorithm| version_with(*algorithm) == version)
}

fn bits(flags: Flags, is_variant: bool, body: &BodyForm<'_>) -> u16 {
    let Flags { invalidated, credentials, part } = flags;
    let flag = |is: bool, bit: u16| if is { bit } else { 0 };
    flag(invalidated, INVALIDATED)
        | flag(credentials, CREDENTIALS)
        | flag(part, PART)
        | flag(is_variant, VARIANT)
        | flag(matches!(body, BodyForm::Beside(_)), BESIDE)
}

/// Returns the position in the purge log of a record that is valid.
pub fn position(record: &[u8]) -> Position {
    let position = record.get(FIXED..).and_then(split_position);
    position.map_or(Position::ZERO, |(position, _)| position)
}

/// Returns the parts of a record if its prefix and head are what was written under this key.
pub fn parse<'a>(key: &CacheKey, record: &'a [u8]) -> Option<Parts<'a>> {
    let (fixed, rest) = record.split_first_chunk::<FIXED>()?;
    let flags = u16::from_le_bytes([fixed[FLAGS], fixed[FLAGS + 1]]);
    if flags & !KNOWN != 0 {
        return None;
    }
    let algorithm = algorithm_of(fixed[0])?;
    let (position, rest) = split_position(rest)?;
    let (primary, rest) = match flags & VARIANT {
        0 => (*key, rest),
        _ => rest.split_first_chunk().map(|(primary, rest)| (CacheKey(*primary), rest)).filter(|(it, _)| it != key)?,
    };
    let (body, own, head) = if flags & BESIDE != 0 {
        let (home, head) = split_location(rest, algorithm)?;
        (BodyForm::Beside(home), Sum::default(), head)
    } else {
        let (length, rest) = numbers::split(rest)?;
        let (own, rest) = rest.split_first_chunk()?;
        let (head, inline) = rest.split_at_checked(rest.len().checked_sub(usize::try_from(length).ok()?)?)?;
        (BodyForm::Inline(inline), *own, head)
    };
    let inline = if let BodyForm::Inline(bytes) = body { bytes.len() } else { 0 };
    if head.len() > HEAD_LIMIT || sum(key, algorithm, &record[..record.len() - inline]) != fixed[SUM..] {
        return None;
    }
    let flags =
        Flags { invalidated: flags & INVALIDATED != 0, credentials: flags & CREDENTIALS != 0, part: flags & PART != 0 };
    Some(Parts { prefix: Prefix { flags, primary, position }, head, body, sum: own, algorithm })
}

/// Returns a record whose body, which is in a file, is in another place now. Neither decodes the head nor looks at the body.
/// Returns `None` if the record is invalid or has its body inline.
pub fn relocated(key: &CacheKey, record: &[u8], home: Home) -> Option<Vec<u8>> {
    let parts = parse(key, record)?;
    parts.home()?;
    self::record(key, &parts.prefix, BodyForm::Beside(home), |record| {
        record.extend_from_slice(parts.head);
        Some(())
    })
}

fn sum(key: &CacheKey, algorithm: Algorithm, prefix_and_head: &[u8]) -> Sum {
    let mut before = [0; 32 + SUM];
    before[..32].copy_from_slice(&key.0);
    before[32..].copy_from_slice(&prefix_and_head[..SUM]);
    algorithm.of_both(&before, &prefix_and_head[FIXED..])
}

fn split_position(bytes: &[u8]) -> Option<(Position, &[u8])> {
    let (milliseconds, rest) = numbers::split(bytes)?;
    let (sequence, rest) = numbers::split(rest)?;
    Some((Position { milliseconds, sequence }, rest))
}

fn append_location(record: &mut Vec<u8>, home: &Home) -> Option<()> {
    let Home { generation, location: Location { file, offset, length, piece, sums, .. } } = home;
    let alone = matches!(file, FileName::Body(_));
    let file = u64::from(file.number()) * 2 + u64::from(alone);
    for number in [u64::from(*generation), file, *offset, *length] {
        numbers::append(record, number);
    }
    record.push(if piece.is_power_of_two() { piece.ilog2() as u8 } else { return None });
    record.extend_from_slice(sums);
    Some(())
}

fn split_location(bytes: &[u8], algorithm: Algorithm) -> Option<(Home, &[u8])> {
    let (generation, rest) = numbers::split(bytes)?;
    let (file, rest) = numbers::split(rest)?;
    let (offset, rest) = numbers::split(rest)?;
    let (length, rest) = numbers::split(rest)?;
    let (piece, rest) = rest.split_first()?;
    let (sums, rest) = rest.split_first_chunk()?;
    let number = u32::try_from(file / 2).ok()?;
    let file = if file % 2 == 1 { FileName::Body(number) } else { FileName::Segment(number) };
    let piece = 1_u32.checked_shl(u32::from(*piece))?;
    let location = Location { file, offset, length, piece, sums: *sums, algorithm };
    Some((Home { generation: u32::try_from(generation).ok()?, location }, rest))
}
