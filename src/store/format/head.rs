//! The head of a stored response: what stands in each section. The only file that names bincode.
//!
//! | tag | | bytes |
//! |---|---|---|
//! | 1 | request line | bincode of site, method, scheme (0 http, 1 https), authority, path and query |
//! | 2 | status and fields | bincode of the status and the list of names and values |
//! | 3 | times | bincode of response_time, the milliseconds from request_time to it, the milliseconds from it to received (i64 each, modulo 2^64), and initial_age (u64) |
//! | 4 | nominated fields | bincode of the list of names and normal forms of values; left out if empty |
//! | 5 | part | bincode of first, last and the complete length; left out if the body is the whole |
//! | 6 | tags | 8 bytes each, little-endian, rising: the hashes of the response's tags; left out if empty |
//!
//! A name that has a number ([`names`]) is that one byte. bincode is in its standard configuration. Sections 1 to 3 must be there. A section holds nothing behind what it says.

use bincode::config;
use serde::{Deserialize, Serialize, Serializer};

use super::{
    names,
    prefix::{Flags, HEAD_LIMIT},
    sections::{self, Writer},
};
use crate::{
    clock::{Seconds, Timestamp},
    message::{FieldValue, Fields, Method, Nominated, Part, RequestLine, ResponseHead, Scheme, StatusCode, StoredHead},
    purge::Position,
};

const REQUEST_LINE: u16 = 1;
const RESPONSE: u16 = 2;
const TIMES: u16 = 3;
const NOMINATED: u16 = 4;
const PART: u16 = 5;
const TAGS: u16 = 6;

type LineForm<'a> = (&'a str, &'a str, u8, &'a str, &'a str);
type ResponseForm<'a> = (u16, Vec<(&'a [u8], &'a [u8])>);
type TimesForm = (i64, i64, i64, u64);
type NominatedForm<'a> = Vec<(&'a [u8], Option<&'a [u8]>)>;
type PartForm = (u64, u64, Option<u64>);

/// The list of names and values in [`ResponseForm`], as it is written.
struct Lines<'a>(&'a Fields);

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|(name, value)| (Raw(names::form(name)), Raw(value.as_bytes()))))
    }
}

/// Bytes that are written at once. serde writes a slice one by one, to the same form.
struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.0)
    }
}

/// Returns the flags of a head.
pub fn flags(head: &StoredHead) -> Flags {
    Flags { invalidated: head.invalidated, credentials: head.credentials, part: head.part.is_some() }
}

/// Appends the head to a record. Returns `None` if it cannot be written.
pub fn encode(head: &StoredHead, record: &mut Vec<u8>) -> Option<()> {
    let StoredHead { line, tags, .. } = head;
    let mut sections = Writer::new(record, &head.unknown);
    let scheme = match line.scheme {
        Scheme::Http => 0,
        Scheme::Https => 1,
    };
    let form: LineForm<'_> = (line.site(), line.method.as_str(), scheme, line.authority(), line.path_and_query());
    sections.section(REQUEST_LINE, |out| write(&form, out))?;
    let form = (head.head.status.as_u16(), Lines(&head.head.fields));
    sections.section(RESPONSE, |out| write(&form, out))?;
    let Timestamp(response_time) = head.response_time;
    let (asked, received) = (head.request_time.0, head.received.0);
    let waited = response_time.wrapping_sub(asked);
    let form: TimesForm = (response_time, waited, received.wrapping_sub(response_time), head.initial_age.0);
    sections.section(TIMES, |out| write(&form, out))?;
    if !head.nominated.is_empty() {
        sections.section(NOMINATED, |out| write(&nominated_form(&head.nominated), out))?;
    }
    if let Some(part) = head.part {
        let form: PartForm = (part.first, part.last, part.complete);
        sections.section(PART, |out| write(&form, out))?;
    }
    if !tags.is_empty() {
        debug_assert!(tags.is_sorted_by(|a, b| a < b), "tags rise");
        sections.section(TAGS, |out| {
            tags.iter().for_each(|tag| out.extend_from_slice(&tag.to_le_bytes()));
            Some(())
        })?;
    }
    sections.finish()
}

/// Returns what the head of a response says. `flags` and `position` stand in the record's prefix.
pub fn decode(bytes: &[u8], flags: Flags, position: Position) -> Option<StoredHead> {
    let (mut line, mut response, mut times, mut nominated, mut part, mut tags) = (None, None, None, None, None, None);
    let mut unknown = Vec::new();
    sections::read(bytes, |tag, section| {
        match tag {
            REQUEST_LINE => line = Some(request_line(read(section)?)?),
            RESPONSE => response = Some(response_head(read(section)?)?),
            TIMES => times = Some(read::<TimesForm>(section)?),
            NOMINATED => nominated = Some(nominated_fields(read(section)?)?),
            PART => part = Some(read::<PartForm>(section)?),
            TAGS => tags = Some(rising(section)?),
            _ => sections::append(&mut unknown, tag, section),
        }
        Some(())
    })?;
    let (response_time, waited, later, initial_age) = times?;
    if part.is_some() != flags.part {
        return None;
    }
    Some(StoredHead {
        line: line?,
        head: response?,
        request_time: Timestamp(response_time.wrapping_sub(waited)),
        response_time: Timestamp(response_time),
        received: Timestamp(response_time.wrapping_add(later)),
        initial_age: Seconds(initial_age),
        nominated: nominated.unwrap_or_default(),
        part: part.map(part_of),
        gaps: Box::default(),
        invalidated: flags.invalidated,
        credentials: flags.credentials,
        position,
        tags: tags.unwrap_or_default(),
        unknown: unknown.into(),
    })
}

/// Returns the nominated fields, the part and the response_time of a head, which is not understood any further.
pub fn decode_nominated(bytes: &[u8]) -> Option<(Vec<Nominated>, Option<Part>, Timestamp)> {
    let (mut nominated, mut part, mut times) = (Vec::new(), None, None);
    sections::read(bytes, |tag, section| {
        match tag {
            TIMES => times = Some(read::<TimesForm>(section)?),
            NOMINATED => nominated = nominated_fields(read(section)?)?,
            PART => part = Some(part_of(read(section)?)),
            _ => {}
        }
        Some(())
    })?;
    let (response_time, ..) = times?;
    Some((nominated, part, Timestamp(response_time)))
}

fn part_of((first, last, complete): PartForm) -> Part {
    Part { first, last, complete }
}

fn nominated_form(nominated: &[Nominated]) -> NominatedForm<'_> {
    nominated.iter().map(|(name, value)| (names::form(name), value.as_deref())).collect()
}

fn write(form: &impl Serialize, out: &mut Vec<u8>) -> Option<()> {
    bincode::serde::encode_into_std_write(form, out, config::standard()).ok().map(drop)
}

/// Reads all of the bytes, or nothing.
fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let config = config::standard().with_limit::<HEAD_LIMIT>();
    let (form, consumed) = bincode::serde::borrow_decode_from_slice(bytes, config).ok()?;
    (consumed == bytes.len()).then_some(form)
}

fn request_line((site, method, scheme, authority, path_and_query): LineForm<'_>) -> Option<RequestLine> {
    let scheme = match scheme {
        0 => Scheme::Http,
        1 => Scheme::Https,
        _ => return None,
    };
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    Some(RequestLine::new(site, method, scheme, authority, path_and_query))
}

fn response_head((status, fields): ResponseForm<'_>) -> Option<ResponseHead> {
    let fields =
        fields.into_iter().map(|(name, value)| Some((names::read(name)?, FieldValue::from_bytes(value).ok()?)));
    Some(ResponseHead { status: StatusCode::from_u16(status).ok()?, fields: fields.collect::<Option<Fields>>()? })
}

fn nominated_fields(form: NominatedForm<'_>) -> Option<Vec<Nominated>> {
    form.into_iter().map(|(name, value)| Some((names::read(name)?, value.map(<[u8]>::to_vec)))).collect()
}

/// Returns the hashes of tags, which must rise.
fn rising(section: &[u8]) -> Option<Box<[u64]>> {
    let (hashes, []) = section.as_chunks::<8>() else { return None };
    let tags: Box<[u64]> = hashes.iter().map(|hash| u64::from_le_bytes(*hash)).collect();
    tags.is_sorted_by(|a, b| a < b).then_some(tags)
}
