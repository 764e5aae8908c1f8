//! A record: prefix, head and body in one. What is not exactly that is invalid and counts as absent: another version,
//! another key, a wrong sum, a byte too few or too many. To change the format: raise `prefix::VERSION`, keep reading
//! what can be read, add golden files to tests/golden.

use bytes::Bytes;

use super::{
    head::{self, Head},
    location::Location,
    prefix::{self, BodyPlace, PREFIX, Prefix},
};
use crate::{key::CacheKey, purge::Position};

/// A stored response as its record says it.
#[derive(Debug)]
pub struct Record {
    pub primary: CacheKey,
    pub position: Position,
    pub head: Head,
    pub body: RecordBody,
}

/// The bytes of a body, or the place where they are.
#[derive(Debug)]
pub enum RecordBody {
    Inline(Bytes),
    /// In a file of the generation with this number.
    Beside(u32, Location),
}

/// What is written of a body.
#[derive(Debug, Clone, Copy)]
pub enum BodyForm<'a> {
    Inline(&'a [u8]),
    Beside(u32, Location),
}

/// Returns the record of a response, or `None` if its head is longer than a record may hold.
pub fn encode(
    key: &CacheKey,
    primary: &CacheKey,
    position: Position,
    head: &Head,
    body: BodyForm<'_>,
) -> Option<Vec<u8>> {
    let (inline, body) = match body {
        BodyForm::Inline(bytes) => (bytes, BodyPlace::Inline),
        BodyForm::Beside(generation, location) => (&[][..], BodyPlace::Beside(generation, location)),
    };
    let prefix = Prefix { flags: head::flags(&head.head), key: *key, primary: *primary, position, body };
    let mut record = prefix::begin(&prefix, 1024 + inline.len());
    head::encode(head, &mut record)?;
    let length = record.len() - PREFIX;
    record.extend_from_slice(inline);
    prefix::seal(&mut record, length)?;
    Some(record)
}

/// Returns what a record says, if it is valid and of this key.
pub fn decode(key: &CacheKey, record: &[u8]) -> Option<Record> {
    let parts = prefix::parse(record).filter(|parts| parts.prefix.key == *key)?;
    let inline = parts.inline()?;
    let Prefix { flags, primary, position, body, .. } = parts.prefix;
    let body = match body {
        BodyPlace::Inline => RecordBody::Inline(Bytes::copy_from_slice(inline)),
        BodyPlace::Beside(generation, location) => RecordBody::Beside(generation, location),
    };
    Some(Record { primary, position, head: head::decode(parts.head, flags)?, body })
}
