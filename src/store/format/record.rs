//! What the database holds under a key. The only file that names bincode.
//!
//! Version 1, integers little-endian:
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 4 | `LRDR` |
//! | 4 | 1 | format version: 1 |
//! | 5 | 1 | kind: 0 a response with its body behind it, 1 a response with its body in a file, 2 the variants of a URL |
//! | 6 | 2 | zero |
//! | 8 | 4 | length of the head, h |
//! | 12 | 4 | length of the body, b; zero but for kind 0 |
//! | 16 | 16 | checksum: the first half of blake3 over bytes 0..16 and 32.. |
//! | 32 | 32 | the key |
//! | 64 | h | the head: bincode (standard configuration) of [`ResponseForm`] or of a list of [`VariantForm`] |
//! | 64 + h | b | the body |
//!
//! Whatever is not exactly this is no record: an unknown version, a wrong sum, another key, a byte too few or too many.
//! To change the format: raise [`VERSION`], keep reading what can be read, add a golden file to tests/golden.

use bincode::config;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    location::Location,
    sums::{Sum, first_half},
};
use crate::{
    clock::{Seconds, Timestamp},
    key::CacheKey,
    message::{FieldName, FieldValue, Fields, Nominated, Part, ResponseHead, StatusCode, StoredHead},
};

pub const VERSION: u8 = 1;
const MAGIC: &[u8; 4] = b"LRDR";
const PREFIX: usize = 64;
const SUM: std::ops::Range<usize> = 16..32;
/// No head is longer: a length that a damaged record claims must not become an allocation.
const HEAD_LIMIT: usize = 1 << 20;

/// One of the responses stored for a URL that varies (RFC 9111 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    pub key: CacheKey,
    pub nominated: Vec<Nominated>,
    pub response_time: Timestamp,
}

/// The meaning of a record.
#[derive(Debug)]
pub enum Record {
    Response(StoredHead, RecordBody),
    Variants(Vec<Variant>),
}

/// The bytes of a response, or where they are.
#[derive(Debug)]
pub enum RecordBody {
    Inline(Bytes),
    Beside(Location),
}

/// What is encoded for a stored response's body.
pub enum BodyForm<'a> {
    Inline(&'a [u8]),
    Beside(Location),
}

const INLINE: u8 = 0;
const BESIDE: u8 = 1;
const VARIANTS: u8 = 2;

type NominatedForm<'a> = Vec<(&'a str, Option<&'a [u8]>)>;

#[derive(Serialize, Deserialize)]
struct ResponseForm<'a> {
    asked: &'a str,
    status: u16,
    #[serde(borrow)]
    fields: Vec<(&'a str, &'a [u8])>,
    request_time: i64,
    response_time: i64,
    received: i64,
    initial_age: u64,
    nominated: NominatedForm<'a>,
    part: Option<(u64, u64, Option<u64>)>,
    invalidated: bool,
    credentials: bool,
    beside: Option<Location>,
}

#[derive(Serialize, Deserialize)]
struct VariantForm<'a> {
    key: [u8; 32],
    #[serde(borrow)]
    nominated: NominatedForm<'a>,
    response_time: i64,
}

/// `None` where the head is longer than a record may hold.
pub fn encode_response(key: &CacheKey, head: &StoredHead, body: BodyForm<'_>) -> Option<Vec<u8>> {
    let (kind, inline, beside) = match body {
        BodyForm::Inline(bytes) => (INLINE, bytes, None),
        BodyForm::Beside(location) => (BESIDE, &[][..], Some(location)),
    };
    let form = ResponseForm {
        asked: &head.asked,
        status: head.head.status.as_u16(),
        fields: head.head.fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect(),
        request_time: head.request_time.0,
        response_time: head.response_time.0,
        received: head.received.0,
        initial_age: head.initial_age.0,
        nominated: nominated_form(&head.nominated),
        part: head.part.map(|part| (part.first, part.last, part.complete)),
        invalidated: head.invalidated,
        credentials: head.credentials,
        beside,
    };
    encode(key, kind, &form, inline)
}

/// `None` where the list is longer than a record may hold.
pub fn encode_variants(key: &CacheKey, variants: &[Variant]) -> Option<Vec<u8>> {
    let forms: Vec<VariantForm<'_>> = variants
        .iter()
        .map(|variant| VariantForm {
            key: variant.key.0,
            nominated: nominated_form(&variant.nominated),
            response_time: variant.response_time.0,
        })
        .collect();
    encode(key, VARIANTS, &forms, &[])
}

fn encode(key: &CacheKey, kind: u8, form: &impl Serialize, body: &[u8]) -> Option<Vec<u8>> {
    let mut record = Vec::with_capacity(PREFIX + 1024 + body.len());
    record.resize(PREFIX, 0);
    let head = bincode::serde::encode_into_std_write(form, &mut record, config::standard()).ok()?;
    if head > HEAD_LIMIT {
        return None;
    }
    record.extend_from_slice(body);
    record[..4].copy_from_slice(MAGIC);
    record[4] = VERSION;
    record[5] = kind;
    record[8..12].copy_from_slice(&u32::try_from(head).ok()?.to_le_bytes());
    record[12..16].copy_from_slice(&u32::try_from(body.len()).ok()?.to_le_bytes());
    record[32..PREFIX].copy_from_slice(&key.0);
    let sum = checksum(&record);
    record[SUM].copy_from_slice(&sum);
    Some(record)
}

fn checksum(record: &[u8]) -> Sum {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&record[..SUM.start]).update(&record[SUM.end..]);
    first_half(hasher.finalize())
}

/// A record of any bytes, with the lengths, the key and the sum that make them one: for fuzzing.
pub fn mend(prefix: &[u8], key: &CacheKey, rest: &[u8]) -> Vec<u8> {
    let head = rest.len().min(usize::from(u16::from_le_bytes([prefix[8], prefix[9]])));
    let mut record = [&prefix[..16], &[0; 16], &key.0, rest].concat();
    record[..8].copy_from_slice(&[b'L', b'R', b'D', b'R', VERSION, prefix[5] % 3, 0, 0]);
    record[8..12].copy_from_slice(&(head as u32).to_le_bytes());
    record[12..16].copy_from_slice(&((rest.len() - head) as u32).to_le_bytes());
    let sum = checksum(&record);
    record[SUM].copy_from_slice(&sum);
    record
}

/// What the record says, if it is whole and this key's.
pub fn decode(key: &CacheKey, record: &[u8]) -> Option<Record> {
    let number = |at: usize| u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]) as usize;
    if record.len() < PREFIX || &record[..4] != MAGIC || record[4] != VERSION || record[6..8] != [0, 0] {
        return None;
    }
    let (kind, head, body) = (record[5], number(8), number(12));
    if PREFIX.checked_add(head)?.checked_add(body)? != record.len()
        || record[32..PREFIX] != key.0
        || checksum(record) != record[SUM]
    {
        return None;
    }
    let (head, body) = record[PREFIX..].split_at(head);
    match kind {
        INLINE | BESIDE => {
            let form: ResponseForm<'_> = parse(head)?;
            let body = match form.beside {
                None if kind == INLINE => RecordBody::Inline(Bytes::copy_from_slice(body)),
                Some(location) if kind == BESIDE && body.is_empty() => RecordBody::Beside(location),
                _ => return None,
            };
            Some(Record::Response(stored_head(form)?, body))
        }
        VARIANTS if body.is_empty() => {
            let forms: Vec<VariantForm<'_>> = parse(head)?;
            let variants = forms.into_iter().map(|form| {
                Some(Variant {
                    key: CacheKey(form.key),
                    nominated: nominated(form.nominated)?,
                    response_time: Timestamp(form.response_time),
                })
            });
            Some(Record::Variants(variants.collect::<Option<_>>()?))
        }
        _ => None,
    }
}

/// All of the bytes, or nothing.
fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let config = config::standard().with_limit::<HEAD_LIMIT>();
    let (form, consumed) = bincode::serde::borrow_decode_from_slice(bytes, config).ok()?;
    (consumed == bytes.len()).then_some(form)
}

fn stored_head(form: ResponseForm<'_>) -> Option<StoredHead> {
    let fields = form.fields.into_iter().map(|(name, value)| Some((field_name(name)?, field_value(value)?)));
    Some(StoredHead {
        asked: form.asked.to_owned(),
        head: ResponseHead {
            status: StatusCode::from_u16(form.status).ok()?,
            fields: fields.collect::<Option<Fields>>()?,
        },
        request_time: Timestamp(form.request_time),
        response_time: Timestamp(form.response_time),
        received: Timestamp(form.received),
        initial_age: Seconds(form.initial_age),
        nominated: nominated(form.nominated)?,
        part: form.part.map(|(first, last, complete)| Part { first, last, complete }),
        invalidated: form.invalidated,
        credentials: form.credentials,
    })
}

fn nominated_form(nominated: &[Nominated]) -> NominatedForm<'_> {
    nominated.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect()
}

fn nominated(form: NominatedForm<'_>) -> Option<Vec<Nominated>> {
    form.into_iter().map(|(name, value)| Some((field_name(name)?, value.map(<[u8]>::to_vec)))).collect()
}

fn field_name(name: &str) -> Option<FieldName> {
    FieldName::from_bytes(name.as_bytes()).ok()
}

fn field_value(value: &[u8]) -> Option<FieldValue> {
    FieldValue::from_bytes(value).ok()
}
