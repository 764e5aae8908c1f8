//! A record: prefix, head and body in one. What is not exactly that is invalid and counts as absent: another version,
//! another key, a wrong sum, a byte too few or too many. To change the format: raise `prefix::VERSION`, keep reading
//! what can be read, add golden files to tests/golden.

use bytes::Bytes;

use super::{
    head,
    location::Home,
    prefix::{self, Kind, Parts, Prefix},
};
use crate::{
    clock::Timestamp,
    key::CacheKey,
    message::{Nominated, Part, StoredHead},
};

/// A stored response as its record says it.
#[derive(Debug)]
pub struct Record {
    /// The key of the URL.
    pub primary: CacheKey,
    pub head: StoredHead,
    pub body: RecordBody,
}

/// The bytes of a body, or the place where they are.
#[derive(Debug)]
pub enum RecordBody {
    Inline(Bytes),
    Beside(Home),
}

/// What is written of a body.
#[derive(Debug, Clone, Copy)]
pub enum BodyForm<'a> {
    Inline(&'a [u8]),
    Beside(Home),
}

/// One of the responses stored for a URL that varies (RFC 9111 §4.1), or of which parts are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    pub key: CacheKey,
    pub nominated: Vec<Nominated>,
    /// The bytes that it holds, if it is not the whole representation.
    pub part: Option<Part>,
    pub response_time: Timestamp,
}

impl Variant {
    /// The variant whose response is stored under this key.
    pub fn of(key: CacheKey, head: &StoredHead) -> Variant {
        Variant { key, nominated: head.nominated.clone(), part: head.part, response_time: head.response_time }
    }
}

/// Returns the record of a response, or `None` if its head is longer than a record may hold.
pub fn encode(key: &CacheKey, primary: &CacheKey, head: &StoredHead, body: BodyForm<'_>) -> Option<Vec<u8>> {
    let (inline, kind) = match body {
        BodyForm::Inline(bytes) => (bytes, Kind::Inline),
        BodyForm::Beside(home) => (&[][..], Kind::Beside(home)),
    };
    let prefix = Prefix { flags: head::flags(head), key: *key, primary: *primary, position: head.position, kind };
    let mut record = prefix::begin(&prefix, 1024 + inline.len());
    let begin = record.len();
    head::encode(head, &mut record)?;
    let length = record.len() - begin;
    record.extend_from_slice(inline);
    prefix::seal(&mut record, length)?;
    Some(record)
}

/// Returns the parts of a record, if it is valid and of this key. The head is not understood.
pub fn parts<'a>(key: &CacheKey, record: &'a [u8]) -> Option<Parts<'a>> {
    prefix::parse(record).filter(|parts| parts.prefix.key == *key)
}

/// Returns what a record says, if it is valid and of this key.
pub fn decode(key: &CacheKey, record: &[u8]) -> Option<Record> {
    let parts = parts(key, record)?;
    let inline = parts.inline()?;
    let Prefix { flags, primary, position, kind, .. } = parts.prefix;
    let body = match kind {
        Kind::Inline => RecordBody::Inline(Bytes::copy_from_slice(inline)),
        Kind::Beside(home) => RecordBody::Beside(home),
    };
    Some(Record { primary, head: head::decode(parts.head, flags, position)?, body })
}

/// Returns the primary key of a record and the variant that it stands for, if the record is valid and of this key.
pub fn decode_variant(key: &CacheKey, record: &[u8]) -> Option<(CacheKey, Variant)> {
    let parts = parts(key, record)?;
    let (nominated, part, response_time) = head::decode_nominated(parts.head)?;
    Some((parts.prefix.primary, Variant { key: *key, nominated, part, response_time }))
}
