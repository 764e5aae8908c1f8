//! Selects the part of a stored response that answers a request, by conditions (RFC 9110 §13, RFC 9111 §4.3.2) and
//! ranges (RFC 9110 §14).

use http::header::*;

use super::{
    freshness::date_of,
    validators::{entity_tag, strong_last_modified},
};
use crate::{
    fields::{CDN_CACHE_CONTROL, date, etag, etag::EntityTag, method::is_cached_request, range, range::ByteRange},
    message::{FieldName, Fields, Method, Part, Request, ResponseHead, StatusCode, StoredHead},
};

/// The most ranges in one request, in any order. If it has more, the whole is sent.
const MOST_RANGES: usize = 8;

/// The most ranges in one request if they are in ascending order and none overlaps another. Programs that fetch the
/// changed parts of a file send them so.
const MOST_ASCENDING: usize = 256;

/// The part of a response that answers the request's conditions and ranges (RFC 9110 §13.2.2, §14.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    Whole,
    /// 304.
    NotModified,
    /// 206 with these bytes, first to last.
    Part(u64, u64),
    /// 206 multipart/byteranges with at least two ranges, in the requested order. No two of them overlap.
    Parts(Vec<(u64, u64)>),
    /// 416.
    NotSatisfiable,
}

/// Selects the part of a response that answers the request. `length` is the length of the whole representation, or
/// `None` if it is not known yet. If only a part is stored, `reuse` has already checked that the part answers the
/// request.
pub fn select(request: &Request, stored: &StoredHead, length: Option<u64>) -> Selection {
    // a response to another method tells the result of an action, which a 304 or a 206 would hide (RFC 9110 §13.1.2,
    // §14.2)
    if !is_cached_request(request) {
        return Selection::Whole;
    }
    if not_modified(request, stored) {
        return Selection::NotModified;
    }
    let Some(ranges) = asked_ranges(request, stored) else { return Selection::Whole };
    match stored.part {
        Some(part) => covered(&ranges, stored, part).unwrap_or(Selection::Whole),
        None => length.map_or(Selection::Whole, |length| of_whole(&ranges, length)),
    }
}

/// Returns true if the stored bytes are all that the request asks for. A 304 needs none.
pub fn is_covered(request: &Request, stored: &StoredHead) -> bool {
    let Some(part) = stored.part else { return true };
    let has_bytes = |ranges: Vec<ByteRange>| covered(&ranges, stored, part).is_some();
    not_modified(request, stored) || asked_ranges(request, stored).is_some_and(has_bytes)
}

/// Returns the ranges to answer with. Returns `None` if the answer is the whole (RFC 9110 §13.1.5, §14.2).
pub(super) fn asked_ranges(request: &Request, stored: &StoredHead) -> Option<Vec<ByteRange>> {
    if request.method == Method::HEAD || stored.head.status != StatusCode::OK {
        return None;
    }
    if request.fields.contains(&IF_RANGE) && !if_range_holds(&request.fields, stored) {
        return None;
    }
    let ranges = range::ranges(&request.fields)?;
    let may_be_many = ranges.len() <= MOST_ASCENDING && range::are_ascending(&ranges);
    (ranges.len() <= MOST_RANGES || may_be_many).then_some(ranges)
}

fn of_whole(ranges: &[ByteRange], length: u64) -> Selection {
    let found: Vec<_> = ranges.iter().filter_map(|range| range.within(length)).collect();
    match found.as_slice() {
        [] => Selection::NotSatisfiable,
        [(first, last)] => Selection::Part(*first, *last),
        several if overlap(several) => Selection::Whole,
        _ => Selection::Parts(found),
    }
}

/// Selects what answers these ranges from a stored part. Returns `None` if bytes are missing. If the real number of
/// bytes of the part differs from Content-Range, a suffix is counted from the end of the held bytes, and any other
/// range from their start.
fn covered(ranges: &[ByteRange], stored: &StoredHead, part: Part) -> Option<Selection> {
    let lacking = part.length().checked_sub(held(&stored.head, part).max(1))?;
    let mut found = Vec::with_capacity(ranges.len());
    for range in ranges {
        // if the whole length is unknown, the end of an open range is unknown
        let (first, last) = match (part.complete, *range) {
            (Some(complete), range) => match range.within(complete) {
                Some(bytes) => bytes,
                None => continue,
            },
            (None, ByteRange::Between(first, last)) => (first, last),
            (None, _) => return None,
        };
        let is_gap = |(from, to): &(u64, u64)| first <= *to && last >= *from;
        if first < part.first || last > part.last || stored.gaps.iter().any(is_gap) {
            return None;
        }
        found.push(match range {
            ByteRange::Suffix(_) => (first.checked_sub(lacking).filter(|at| *at >= part.first)?, last - lacking),
            _ => (first, last.min(part.last - lacking)),
        });
    }
    if found.iter().any(|(first, last)| first > last) || overlap(&found) {
        return None;
    }
    Some(match found.as_slice() {
        [] => Selection::NotSatisfiable,
        [(first, last)] => Selection::Part(*first, *last),
        _ => Selection::Parts(found),
    })
}

/// Returns the number of bytes that a stored part has, by Content-Length, or else by Content-Range.
fn held(response: &ResponseHead, part: Part) -> u64 {
    content_length(&response.fields).map_or(part.length(), |length| length.min(part.length()))
}

pub(super) fn content_length(fields: &Fields) -> Option<u64> {
    fields.only(&CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn overlap(ranges: &[(u64, u64)]) -> bool {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[1].0 <= pair[0].1)
}

/// Returns true if the answer is 304 (RFC 9110 §13.2.2, steps 3 and 4). Conditions count only if the answer would be a
/// success without them (§13.2.1).
pub(super) fn not_modified(request: &Request, stored: &StoredHead) -> bool {
    if !stored.head.status.is_success() {
        return false;
    }
    if request.fields.contains(&IF_NONE_MATCH) {
        return if_none_match_finds(&request.fields, &stored.head.fields);
    }
    matches!(request.method, Method::GET | Method::HEAD) && is_unmodified(&request.fields, stored).unwrap_or(false)
}

pub(super) fn if_none_match_finds(request: &Fields, response: &Fields) -> bool {
    let stored = entity_tag(response);
    request.values(&IF_NONE_MATCH).any(|line| {
        line.as_bytes().trim_ascii() == b"*"
            || stored.is_some_and(|stored| etag::tags(line.as_bytes()).any(|tag| tag.matches_weakly(&stored)))
    })
}

/// Returns whether the response is unmodified since If-Modified-Since. Returns `None` if that field is missing or
/// invalid. Without Last-Modified, Date counts (RFC 9111 §4.3.2).
fn is_unmodified(request: &Fields, stored: &StoredHead) -> Option<bool> {
    let (fields, now) = (&stored.head.fields, stored.received);
    let since = date::only(request, &IF_MODIFIED_SINCE, now)?;
    let modified = date::only(fields, &LAST_MODIFIED, now).unwrap_or_else(|| date_of(fields, now));
    Some(modified <= since)
}

/// Returns true if If-Range holds: its entity tag is the same by strong comparison, or its date is the same and is a
/// strong validator (RFC 9110 §13.1.5).
pub(super) fn if_range_holds(request: &Fields, stored: &StoredHead) -> bool {
    let Some(asked) = request.only(&IF_RANGE) else { return false };
    let asked = asked.as_bytes().trim_ascii();
    if asked.starts_with(b"\"") || asked.starts_with(b"W/") {
        let tags = EntityTag::parse(asked).zip(entity_tag(&stored.head.fields));
        return tags.is_some_and(|(asked, stored)| asked.matches_strongly(&stored));
    }
    let modified = strong_last_modified(&stored.head.fields, stored.received);
    modified.is_some() && date::parse(asked, stored.received) == modified
}

/// Returns the fields that a 304 carries (RFC 9110 §15.4.5). Last-Modified is among them only if there is no entity
/// tag.
pub fn not_modified_fields(response: &ResponseHead) -> Fields {
    static ALWAYS: [FieldName; 6] = [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY];
    let tagged = response.fields.contains(&ETAG);
    let kept =
        |name: &FieldName| ALWAYS.contains(name) || *name == CDN_CACHE_CONTROL || (!tagged && *name == LAST_MODIFIED);
    response.fields.iter().filter(|(name, _)| kept(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}
