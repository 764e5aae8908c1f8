//! Validation and what it teaches (RFC 9111 §4.3), and stale responses in place of errors (RFC 5861 §4).

use http::header::*;

pub use super::validators::conditions;
use super::{
    Options, Reason, Times,
    directives::{Governing, followed, retain_storable},
    freshness::{Freshness, initial_age},
    selection::{asked_ranges, content_length, is_covered},
    validators::{entity_tag, same_strong_validator, strong_validator},
    vary::names,
};
use crate::{
    clock::Timestamp,
    fields::{
        cache_control::{RequestDirectives, Scope},
        date, digests_content,
    },
    message::{FieldName, FieldValue, Fields, Part, Request, ResponseHead, StatusCode, StoredHead},
};

/// The fields (Range, If-Range) that ask for what is missing of a stored part so that `request` can be answered
/// (RFC 9111 §3.3); `None`: it cannot be completed: no strong validator (strict asks without), an unknown length, or the
/// missing bytes do not adjoin the part on one side.
pub fn completion(request: &Request, stored: &StoredHead, options: &Options) -> Option<Vec<(FieldName, FieldValue)>> {
    let part = stored.part?;
    let complete = part.complete?;
    let (first, last) = match asked_ranges(request, stored).as_deref() {
        None => (0, complete.checked_sub(1)?),
        Some([range]) => range.within(complete)?,
        Some(_) => return None,
    };
    let validator = strong_validator(stored);
    if validator.is_none() && !options.strict {
        return None;
    }
    let missing = if first >= part.first && first <= part.last.saturating_add(1) && last > part.last {
        // to the very end: leave it open, as the length may have changed
        match last + 1 == complete {
            true => format!("bytes={}-", part.last + 1),
            false => format!("bytes={}-{last}", part.last + 1),
        }
    } else if first < part.first && last <= part.last && last.saturating_add(1) >= part.first {
        format!("bytes={first}-{}", part.first - 1)
    } else {
        return None;
    };
    let range = (RANGE, FieldValue::try_from(missing).ok()?);
    Some([Some(range), validator.map(|value| (IF_RANGE, value))].into_iter().flatten().collect())
}

/// A stored response and a 304, made one (RFC 9111 §3.2, §4.3.4); `None`: the 304 is about another one. Where the 304
/// says that nothing may be stored any more, the result is `invalidated`: good for this request, and no other.
pub fn freshen(
    request: &Request,
    stored: &StoredHead,
    response: &ResponseHead,
    times: Times,
    options: &Options,
) -> Option<StoredHead> {
    is_about(stored, &response.fields, options).then(|| updated(request, stored, response, times, options))?
}

/// May what the answer to this request made of a stored response be shared with others? What answers Authorization only
/// where a directive allows it (RFC 9111 §3.5), and nothing where the request said no-store (§5.2.1.5).
pub fn may_be_shared(request: &Request, freshened: &StoredHead) -> bool {
    let authorized =
        !request.fields.contains(&AUTHORIZATION) || Governing::of(&freshened.head.fields).allows_authorized();
    authorized && !RequestDirectives::parse(&request.fields).no_store
}

/// RFC 9111 §4.3.4: do the validators of a 304 identify the stored response? Strict: as the conformance suite has it, what
/// answers our own If-None-Match is about what that named, whatever entity tag it bears.
fn is_about(stored: &StoredHead, response: &Fields, options: &Options) -> bool {
    let ours = &stored.head.fields;
    let modified = |fields| date::only(fields, &LAST_MODIFIED, stored.received);
    match (entity_tag(response), entity_tag(ours)) {
        // weakly, as some origins weaken the tag of what they compress, but not in their 304
        (Some(theirs), Some(ours)) => options.strict || theirs.matches_weakly(&ours),
        (theirs, tag) => match (modified(response), modified(ours)) {
            (Some(theirs), Some(ours)) => theirs == ours,
            (Some(_), None) => tag.is_some(),
            (None, _) => theirs.is_none(),
        },
    }
}

/// RFC 9111 §3.2: every field that came replaces the stored one, but for those that describe the stored bytes.
fn updated(
    request: &Request,
    stored: &StoredHead,
    response: &ResponseHead,
    times: Times,
    options: &Options,
) -> Option<StoredHead> {
    static OF_THE_BYTES: [FieldName; 4] = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG];
    let taken = |name: &FieldName| !OF_THE_BYTES.contains(name) && !digests_content(name);
    let mut fields = stored.head.fields.clone();
    // Age and Date tell about the time of the exchange
    fields.retain(|name, _| *name != AGE && *name != DATE && !(taken(name) && response.fields.contains(name)));
    for (name, value) in response.fields.iter().filter(|(name, _)| taken(name)) {
        fields.append(name.clone(), value.clone());
    }
    let (before, after) = (Governing::of(&stored.head.fields), Governing::of(&fields));
    retain_storable(&mut fields, &after, times, options);
    // it varies otherwise now: what it is stored under is no longer right
    if names(&fields, options).ok()? != names(&stored.head.fields, options).ok()? {
        return None;
    }
    let forbidden = (after.directives.no_store && !after.directives.must_understand)
        || after.directives.private == Some(Scope::Response)
        || (stored.credentials && before.allows_authorized() && !after.allows_authorized());
    Some(StoredHead {
        initial_age: initial_age(&response.fields, times),
        head: ResponseHead { status: stored.head.status, fields },
        request_time: times.request,
        response_time: times.response,
        received: times.received,
        invalidated: forbidden,
        credentials: stored.credentials || (request.fields.contains(&AUTHORIZATION) && !options.strict),
        ..stored.clone()
    })
}

/// What an answer to HEAD does to the stored answer to GET (RFC 9111 §4.3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadSays {
    Freshened(Box<StoredHead>),
    Changed,
    Nothing,
}

/// `stored_length`: of the stored body.
pub fn freshen_by_head(
    request: &Request,
    stored: &StoredHead,
    stored_length: u64,
    response: &ResponseHead,
    times: Times,
    options: &Options,
) -> HeadSays {
    if response.status != StatusCode::OK || stored.head.status != StatusCode::OK {
        return HeadSays::Nothing;
    }
    let length = match stored.part {
        Some(part) => part.complete,
        None => Some(stored_length),
    };
    let (ours, theirs) = (&stored.head.fields, &response.fields);
    let same = |name: &FieldName| theirs.only(name).map(|value| ours.only(name) == Some(value));
    let same_length = content_length(theirs).map(|theirs| length.is_none_or(|ours| ours == theirs));
    let evidence = [same(&ETAG), same(&LAST_MODIFIED), same_length];
    if evidence.contains(&Some(false)) {
        return HeadSays::Changed;
    }
    // without any validator nothing is known, but the RFC lets it pass
    if !options.strict && same(&ETAG).or(same(&LAST_MODIFIED)).is_none() {
        return HeadSays::Nothing;
    }
    match updated(request, stored, response, times, options) {
        Some(head) if !head.invalidated && may_be_shared(request, &head) => HeadSays::Freshened(Box::new(head)),
        Some(head) if !head.invalidated => HeadSays::Nothing,
        _ => HeadSays::Changed,
    }
}

/// A stored part and a 206 that continues it, made one (RFC 9111 §3.4); `None`: they do not belong together. The
/// result's part tells what the two hold together; bytes of the new one win where they overlap.
pub fn combine(stored: &StoredHead, new: &StoredHead) -> Option<StoredHead> {
    let (old_part, new_part) = (stored.part?, new.part?);
    let says_truth =
        |head: &StoredHead, part: Part| content_length(&head.head.fields).is_none_or(|length| length == part.length());
    if !same_strong_validator(stored, new) || !says_truth(stored, old_part) || !says_truth(new, new_part) {
        return None;
    }
    let complete = match (old_part.complete, new_part.complete) {
        (Some(old), Some(new)) if old != new => return None,
        (old, new) => new.or(old),
    };
    let adjoins =
        new_part.first <= old_part.last.saturating_add(1) && old_part.first <= new_part.last.saturating_add(1);
    if !adjoins {
        return None;
    }
    let part = Part { first: old_part.first.min(new_part.first), last: old_part.last.max(new_part.last), complete };
    let mut fields = new.head.fields.clone();
    for (name, value) in stored.head.fields.iter().filter(|(name, _)| !new.head.fields.contains(name) && **name != AGE)
    {
        fields.append(name.clone(), value.clone());
    }
    fields.retain(|name, _| !digests_content(name));
    fields.set(CONTENT_LENGTH, FieldValue::from(part.length()));
    let whole = part.first == 0 && complete == Some(part.length());
    Some(StoredHead {
        head: ResponseHead { status: StatusCode::OK, fields },
        part: (!whole).then_some(part),
        credentials: stored.credentials || new.credentials,
        ..new.clone()
    })
}

/// May a stale stored response stand in for this failed exchange (RFC 9111 §4.2.4, RFC 5861 §4)? `status`: the
/// origin's answer, where there was one.
pub fn on_error(
    request: &Request,
    stored: &StoredHead,
    status: Option<u16>,
    now: Timestamp,
    options: &Options,
) -> Result<Reason, Reason> {
    if !matches!(status, None | Some(500 | 502 | 503 | 504)) {
        return Err(Reason::NotAnError);
    }
    if stored.invalidated {
        return Err(Reason::Invalidated);
    }
    let governing = Governing::of(&stored.head.fields);
    let freshness = Freshness::of(stored, &governing, now, options);
    if governing.forbids_stale() || freshness.clock_went_back {
        return Err(Reason::StaleForbidden);
    }
    if !is_covered(request, stored) {
        return Err(Reason::PartMissing);
    }
    let asked = followed(&request.fields, options).0;
    let unasked = governing.forbids_stale_unasked();
    let by_origin = governing.directives.stale_if_error.filter(|_| !governing.forbids_stale_extensions(options.strict));
    let by_client = asked.stale_if_error.filter(|_| !unasked);
    let allowed = by_origin.max(by_client);
    if allowed.is_some_and(|limit| freshness.stale_within(limit)) {
        return Ok(Reason::StaleIfError);
    }
    if status.is_none() && !unasked {
        if asked.max_stale.is_some_and(|limit| freshness.stale_within(limit)) {
            return Ok(Reason::MaxStale);
        }
        // RFC 9111 §4.2.4 lets a disconnected cache use what it has
        if options.strict {
            return Ok(Reason::Disconnected);
        }
    }
    Err(match allowed {
        Some(_) => Reason::StaleTooLong,
        None if unasked => Reason::StaleForbidden,
        None => Reason::StaleNotAllowed,
    })
}
