//! A record: prefix, head and body in one. What is not exactly that is invalid and counts as absent: another version,
//! another key, a wrong sum, a byte too few or too many. Each byte of a record is written about five times: once when it is
//! stored, and again when its page fills, splits and moves (benches/opening.rs). So what need not stand there does not. To
//! change the format: raise `prefix::VERSION`, keep reading
//! what can be read, add golden files to tests/golden.

use bytes::Bytes;

pub use super::prefix::BodyForm;
use super::{
    head,
    location::Home,
    prefix::{self, Parts, Prefix},
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
    let prefix = Prefix { flags: head::flags(head), primary: *primary, position: head.position };
    prefix::record(key, &prefix, body, |record| head::encode(head, record))
}

/// Returns the parts of a record, if it is valid and of this key. The head is not understood.
pub fn parts<'a>(key: &CacheKey, record: &'a [u8]) -> Option<Parts<'a>> {
    prefix::parse(key, record)
}

/// Returns what a record says, if it is valid and of this key.
pub fn decode(key: &CacheKey, record: &[u8]) -> Option<Record> {
    let parts = parts(key, record)?;
    let Prefix { flags, primary, position } = parts.prefix;
    let body = match parts.body()? {
        BodyForm::Inline(bytes) => RecordBody::Inline(Bytes::copy_from_slice(bytes)),
        BodyForm::Beside(home) => RecordBody::Beside(home),
    };
    Some(Record { primary, head: head::decode(parts.head, flags, position)?, body })
}

/// Returns the primary key of a record and the variant that it stands for, if the record is valid and of this key.
pub fn decode_variant(key: &CacheKey, record: &[u8]) -> Option<(CacheKey, Variant)> {
    let parts = parts(key, record)?;
    let (nominated, part, response_time) = head::decode_nominated(parts.head)?;
    Some((parts.prefix.primary, Variant { key: *key, nominated, part, response_time }))
}
