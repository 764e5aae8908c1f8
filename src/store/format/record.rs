//! A record: prefix, head and body in one. What is not exactly that is invalid and counts as absent: another version,
//! another key, a wrong sum, a byte too few or too many. To change the format: raise `prefix::VERSION`, keep reading
//! what can be read, add golden files to tests/golden.

use bytes::Bytes;

pub use super::head::Variant;
use super::{
    head,
    location::Home,
    prefix::{self, Flags, Kind, PREFIX, Parts, Prefix},
};
use crate::{key::CacheKey, message::StoredHead, purge::Position};

/// The meaning of a record.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "lists of variants are rare, and it does not live long")]
pub enum Record {
    Response {
        /// The key of the URL.
        primary: CacheKey,
        head: StoredHead,
        body: RecordBody,
    },
    Variants(Vec<Variant>),
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

/// Returns the record of a response, or `None` if its head is longer than a record may hold.
pub fn encode_response(key: &CacheKey, primary: &CacheKey, head: &StoredHead, body: BodyForm<'_>) -> Option<Vec<u8>> {
    let (inline, kind) = match body {
        BodyForm::Inline(bytes) => (bytes, Kind::Inline),
        BodyForm::Beside(home) => (&[][..], Kind::Beside(home)),
    };
    let prefix = Prefix { flags: head::flags(head), key: *key, primary: *primary, position: head.position, kind };
    encode(&prefix, |record| head::encode(head, record), inline)
}

/// Returns the record of a list of variants, or `None` if the list is longer than a record may hold.
pub fn encode_variants(key: &CacheKey, variants: &[Variant]) -> Option<Vec<u8>> {
    let position = Position::default();
    let prefix = Prefix { flags: Flags::default(), key: *key, primary: *key, position, kind: Kind::Variants };
    encode(&prefix, |record| head::encode_variants(variants, record), &[])
}

fn encode(prefix: &Prefix, head: impl FnOnce(&mut Vec<u8>) -> Option<()>, inline: &[u8]) -> Option<Vec<u8>> {
    let mut record = prefix::begin(prefix, 1024 + inline.len());
    head(&mut record)?;
    let length = record.len() - PREFIX;
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
        Kind::Variants => return head::decode_variants(parts.head).map(Record::Variants),
    };
    Some(Record::Response { primary, head: head::decode(parts.head, flags, position)?, body })
}
