//! Decides how the rest of a body that broke off is asked for (RFC 9110 §14.2, RFC 9111 §3.4).

use http::header::{IF_RANGE, RANGE};

use super::validators::{same_strong_validator, strong_validator};
use crate::{
    fields::range::content_range,
    message::{FieldName, FieldValue, ResponseHead, StatusCode, StoredHead},
};

/// Returns the fields that ask for the rest of a whole response, of which `came` bytes have come. Returns `None` if it
/// has no strong validator, which proves that the rest is of the same representation.
pub fn rest(head: &StoredHead, came: u64) -> Option<Vec<(FieldName, FieldValue)>> {
    if head.head.status != StatusCode::OK || head.part.is_some() || came == 0 {
        return None;
    }
    let validator = strong_validator(head)?;
    let range = FieldValue::try_from(format!("bytes={came}-")).ok()?;
    Some(vec![(RANGE, range), (IF_RANGE, validator)])
}

/// Returns true if this answer is the rest of the response: a part from the byte where the body broke off to its end,
/// with the same strong validator. `length` is the length of the whole, if it is known.
pub fn continues(head: &StoredHead, came: u64, length: Option<u64>, response: &ResponseHead) -> bool {
    let Some(part) = content_range(&response.fields).filter(|_| response.status == StatusCode::PARTIAL_CONTENT) else {
        return false;
    };
    let whole = part.complete.filter(|complete| length.is_none_or(|length| length == *complete));
    let answer = StoredHead { head: response.clone(), ..head.clone() };
    part.first == came && whole == Some(part.last + 1) && same_strong_validator(head, &answer)
}
