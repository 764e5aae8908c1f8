//! Validators, which tell the versions of a representation apart (RFC 9110 §8.8).

use http::header::*;

use crate::{
    clock::Timestamp,
    fields::{date, etag::EntityTag},
    message::{FieldName, FieldValue, Fields, StoredHead},
};

/// Returns the conditions that ask whether a stored response is current (RFC 9111 §4.3.1). They are empty if it cannot
/// be validated.
pub fn conditions(stored: &StoredHead) -> Vec<(FieldName, FieldValue)> {
    let fields = &stored.head.fields;
    let tag = fields.only(&ETAG).filter(|value| EntityTag::parse(value.as_bytes()).is_some());
    let modified = fields.only(&LAST_MODIFIED).filter(|value| date::parse(value.as_bytes(), stored.received).is_some());
    let tag = tag.map(|value| (IF_NONE_MATCH, value.clone()));
    tag.into_iter().chain(modified.map(|value| (IF_MODIFIED_SINCE, value.clone()))).collect()
}

pub(super) fn entity_tag(response: &Fields) -> Option<EntityTag<'_>> {
    EntityTag::parse(response.only(&ETAG)?.as_bytes())
}

/// Returns Last-Modified if it is a strong validator: no later change can have the same second (RFC 9110 §8.8.2.2).
/// `now` may be a rough value.
pub(super) fn strong_last_modified(response: &Fields, now: Timestamp) -> Option<Timestamp> {
    let modified = date::only(response, &LAST_MODIFIED, now)?;
    (date::only(response, &DATE, now)?.since(modified).0 >= 1).then_some(modified)
}

/// Returns the validator that If-Range may carry (RFC 9110 §13.1.5).
pub(super) fn strong_validator(stored: &StoredHead) -> Option<FieldValue> {
    let fields = &stored.head.fields;
    match entity_tag(fields) {
        Some(tag) => (!tag.weak).then(|| fields.only(&ETAG).cloned())?,
        None => strong_last_modified(fields, stored.received).and(fields.only(&LAST_MODIFIED).cloned()),
    }
}

pub(super) fn same_strong_validator(a: &StoredHead, b: &StoredHead) -> bool {
    let (ours, theirs) = (&a.head.fields, &b.head.fields);
    match (entity_tag(ours), entity_tag(theirs)) {
        (Some(ours), Some(theirs)) => ours.matches_strongly(&theirs),
        (None, None) => {
            let modified = strong_last_modified(ours, a.received);
            modified.is_some() && modified == strong_last_modified(theirs, b.received)
        }
        _ => false,
    }
}
