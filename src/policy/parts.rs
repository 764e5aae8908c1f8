//! Parts of one representation: which of them belong together, and which bytes are missing (RFC 9111 §3.3, §3.4).

use http::header::{AGE, CONTENT_ENCODING, CONTENT_LENGTH, IF_RANGE, RANGE};

use super::{
    Options,
    selection::{asked_ranges, content_length, not_modified},
    validators::{same_strong_validator, strong_validator},
};
use crate::{
    fields::{digests_content, range::ByteRange},
    message::{FieldName, FieldValue, Fields, Method, Part, Request, StoredHead},
};

/// The first and the last byte of a contiguous range.
pub type Extent = (u64, u64);

/// The most gaps that are fetched for one request. If more bytes are missing, the answer is fetched anew.
const MOST_GAPS: usize = 64;

/// Stored bytes between two gaps are fetched again if they are fewer: one request costs less than two.
const ISLAND: u64 = 16 * 1024;

/// So many parts of about the same length that touch are joined to one.
const JOINED: usize = 8;

/// Parts up to this length, in bytes, count as equally long.
const SHORT: u64 = 64 * 1024;

/// Returns true if both heads are about parts of the same representation. This needs the same strong validator.
pub fn belong_together(a: &StoredHead, b: &StoredHead) -> bool {
    let (Some(one), Some(other)) = (a.part, b.part) else { return false };
    let encoding = |head: &StoredHead| head.head.fields.values(&CONTENT_ENCODING).cloned().collect::<Vec<_>>();
    same_strong_validator(a, b)
        && says_truth(a)
        && says_truth(b)
        && one.complete.is_none_or(|length| other.complete.is_none_or(|other| other == length))
        && a.nominated == b.nominated
        && encoding(a) == encoding(b)
}

/// Returns false if Content-Length contradicts the part.
fn says_truth(head: &StoredHead) -> bool {
    let said = content_length(&head.head.fields);
    head.part.is_none_or(|part| said.is_none_or(|length| length == part.length()))
}

/// Returns the bytes that a request asks for of a representation of which a part is stored, in the requested order.
/// They are empty if no byte is needed for the answer.
pub fn needed(request: &Request, stored: &StoredHead) -> Vec<Extent> {
    let Some(Part { complete, .. }) = stored.part else { return Vec::new() };
    if not_modified(request, stored) {
        return Vec::new();
    }
    let within = |range: ByteRange| match (complete, range) {
        (Some(complete), range) => range.within(complete),
        (None, ByteRange::Between(first, last)) => Some((first, last)),
        (None, _) => None,
    };
    match asked_ranges(request, stored) {
        Some(ranges) => ranges.into_iter().filter_map(within).collect(),
        None => ByteRange::From(0).within(complete.unwrap_or(u64::MAX)).into_iter().collect(),
    }
}

/// Returns true if a part has some of these bytes.
pub fn has_some(part: Part, needed: &[Extent]) -> bool {
    needed.iter().any(|(first, last)| *first <= part.last && part.first <= *last)
}

/// Returns the head of a response that is put together from the newest part and others of the same representation.
pub fn assemble(newest: &StoredHead, others: &[Part]) -> StoredHead {
    let Some(part) = newest.part.filter(|_| !others.is_empty()) else { return newest.clone() };
    let complete = part.complete.or_else(|| others.iter().find_map(|other| other.complete));
    let extents = others.iter().chain([&part]).map(|part| (part.first, part.last)).collect();
    of_extents(newest.clone(), extents, complete)
}

/// Gives a head the extents that its body has.
fn of_extents(head: StoredHead, extents: Vec<Extent>, complete: Option<u64>) -> StoredHead {
    let extents = merged(extents);
    let (Some((first, _)), Some((_, last))) = (extents.first(), extents.last()) else { return head };
    let part = Part { first: *first, last: *last, complete };
    let gaps: Box<[Extent]> = extents.windows(2).map(|pair| (pair[0].1 + 1, pair[1].0 - 1)).collect();
    let is_whole = gaps.is_empty() && part.first == 0 && complete == Some(part.length());
    let mut head = StoredHead { part: (!is_whole).then_some(part), gaps, ..head };
    let fields = &mut head.head.fields;
    // a digest of the content is one of a single part
    fields.retain(|name, _| !digests_content(name));
    fields.set(CONTENT_LENGTH, FieldValue::from(part.length()));
    head
}

/// Sorts extents, and makes one of those that touch or overlap.
fn merged(mut extents: Vec<Extent>) -> Vec<Extent> {
    extents.sort_unstable();
    let mut merged: Vec<Extent> = Vec::with_capacity(extents.len());
    for (first, last) in extents {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

/// Returns the bytes of `needed` that are not in `held`. Both are merged.
fn missing(needed: &[Extent], held: &[Extent]) -> Vec<Extent> {
    let mut missing = Vec::new();
    for (first, last) in needed {
        let mut from = *first;
        for (held_first, held_last) in held.iter().filter(|held| held.0 <= *last && held.1 >= *first) {
            if *held_first > from {
                missing.push((from, held_first - 1));
            }
            from = from.max(held_last.saturating_add(1));
        }
        if from <= *last {
            missing.push((from, *last));
        }
    }
    missing
}

/// Returns the stored bytes.
fn held(stored: &StoredHead) -> Vec<Extent> {
    stored.part.map_or(Vec::new(), |part| missing(&[(part.first, part.last)], &stored.gaps))
}

/// Returns the gaps that must be fetched so that a stored part answers the request, in ascending order. They are empty
/// for HEAD, and if the stored part does not help: it has none of the bytes, it has no strong validator (`strict` needs
/// none), or the whole length is unknown.
pub fn gaps(request: &Request, stored: &StoredHead, options: &Options) -> Vec<Extent> {
    let is_known = stored.part.is_some_and(|part| part.complete.is_some()) && request.method != Method::HEAD;
    if !is_known || !says_truth(stored) || (strong_validator(stored).is_none() && !options.strict) {
        return Vec::new();
    }
    let needed = merged(needed(request, stored));
    let mut gaps: Vec<Extent> = Vec::new();
    for (first, last) in missing(&needed, &held(stored)) {
        match gaps.last_mut() {
            Some(before) if first - before.1 <= ISLAND => before.1 = last,
            _ => gaps.push((first, last)),
        }
    }
    let bytes = |extents: &[Extent]| extents.iter().fold(0, |sum: u64, (first, last)| sum.saturating_add(last - first));
    if bytes(&gaps) >= bytes(&needed) || gaps.len() > MOST_GAPS { Vec::new() } else { gaps }
}

/// Returns the fields (Range, If-Range) that ask the origin for a gap.
pub fn conditions(stored: &StoredHead, (first, last): Extent) -> Vec<(FieldName, FieldValue)> {
    let complete = stored.part.and_then(|part| part.complete);
    // the range is left open at the end, because the length may have changed
    let range = match complete == Some(last.saturating_add(1)) {
        true => format!("bytes={first}-"),
        false => format!("bytes={first}-{last}"),
    };
    let range = FieldValue::try_from(range).ok().map(|range| (RANGE, range));
    range.into_iter().chain(strong_validator(stored).map(|value| (IF_RANGE, value))).collect()
}

/// Returns true if this new part closes a gap of the stored part.
pub fn closes(stored: &StoredHead, (first, last): Extent, new: &StoredHead) -> bool {
    new.part.is_some_and(|part| part.first <= first && last <= part.last) && belong_together(stored, new)
}

/// Returns the head of the answer to a request for which gaps are fetched. `new` is the part that closes the first one.
pub fn completed(request: &Request, stored: &StoredHead, new: &StoredHead) -> StoredHead {
    let (Some(old), Some(part)) = (stored.part, new.part) else { return new.clone() };
    let mut extents = held(stored);
    extents.push((part.first, part.last));
    extents.extend(needed(request, stored));
    let mut head = of_extents(new.clone(), extents, part.complete.or(old.complete));
    head.credentials |= stored.credentials;
    let added: Fields = (stored.head.fields.iter())
        .filter(|(name, _)| !new.head.fields.contains(name) && **name != AGE && !digests_content(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, value) in added.iter().filter(|(name, _)| **name != CONTENT_LENGTH) {
        head.head.fields.append(name.clone(), value.clone());
    }
    head
}

/// Gives the updated head of a response that was put together from parts to one of them: with the fields that describe the
/// bytes of that part.
pub fn of_part(head: StoredHead, part: &StoredHead) -> StoredHead {
    let mut head = StoredHead { part: part.part, gaps: Box::default(), ..head };
    let fields = &mut head.head.fields;
    fields.retain(|name, _| *name != CONTENT_LENGTH && !digests_content(name));
    for (name, value) in part.head.fields.iter().filter(|(name, _)| **name == CONTENT_LENGTH || digests_content(name)) {
        fields.append(name.clone(), value.clone());
    }
    head
}

/// Returns the version that a part is of, as a key may carry it: its strong validator. It is empty if there is none.
pub fn version(stored: &StoredHead) -> Vec<u8> {
    strong_validator(stored).map_or(Vec::new(), |validator| validator.as_bytes().to_vec())
}

/// Returns the bytes that are to be stored as one part, now that a part was added to others: it and those that touch
/// it, if they are many of about the same length. Each byte is copied only a few times while a file grows by short
/// parts.
pub fn joined(new: Part, others: &[Part]) -> Option<Extent> {
    let level = |length: u64| (length / SHORT).max(1).ilog(JOINED as u64);
    let mut others: Vec<Extent> = others.iter().map(|part| (part.first, part.last)).collect();
    let (mut extent, mut joined) = ((new.first, new.last), None);
    loop {
        let most = level(extent.1 - extent.0 + 1);
        let (before, mut count) = (extent, 1);
        while let Some(at) = others.iter().position(|(first, last)| {
            let touches = *first <= extent.1.saturating_add(1) && extent.0 <= last.saturating_add(1);
            touches && level(last - first + 1) <= most
        }) {
            let (first, last) = others.swap_remove(at);
            extent = (extent.0.min(first), extent.1.max(last));
            count += 1;
        }
        if count < JOINED || extent == before {
            return joined;
        }
        joined = Some(extent);
    }
}
