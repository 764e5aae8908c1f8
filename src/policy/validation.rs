//! Validates and updates stored responses (RFC 9111 §4.3), and serves stale ones in place of errors (RFC 5861 §4).

use http::header::*;

pub use super::validators::conditions;
use super::{
    Options, Reason, Times,
    directives::{Governing, followed, is_authorized, is_refusal_to, retain_storable},
    freshness::{Freshness, initial_age, liveness},
    selection::{content_length, is_covered},
    validators::entity_tag,
    vary::nominate_more,
};
use crate::{
    clock::{Seconds, Timestamp},
    fields::{cache_control::RequestDirectives, date, digests_content},
    message::{FieldName, Fields, Request, ResponseHead, StatusCode, StoredHead},
    purge::{Judged, Liveness},
};

/// Updates a stored response with a 304 (RFC 9111 §3.2, §4.3.4). Returns `None` if the 304 is about another response,
/// or would make the head larger than an origin may send one. If the 304 forbids storing, or its Vary matches no other
/// request, the result is `invalidated`: it may answer this request, and no other. If its Vary has new names, the
/// result is the variant that this request asks for.
pub fn freshen(
    request: &Request,
    stored: &StoredHead,
    response: &ResponseHead,
    times: Times,
    options: &Options,
) -> Option<StoredHead> {
    is_about(stored, &response.fields).then(|| updated(request, stored, response, times, options))?
}

/// Updates a stored response with a 304 to a request without conditions. Of the rules of RFC 9111 §4.3.4 only the last
/// can name it: it is the only response that is stored for its URL, and neither it nor the 304 has a validator. Returns
/// `None` if the rule does not fit.
pub fn freshen_unasked(
    request: &Request,
    stored: &StoredHead,
    response: &ResponseHead,
    times: Times,
    options: &Options,
) -> Option<StoredHead> {
    let has_validator = |fields: &Fields| fields.contains(&ETAG) || fields.contains(&LAST_MODIFIED);
    let is_only_one = stored.nominated.is_empty();
    let is_meant = is_only_one && !has_validator(&stored.head.fields) && !has_validator(&response.fields);
    is_meant.then(|| updated(request, stored, response, times, options))?
}

/// Returns true if other requests may use a stored response that the answer to this request has updated. If the request
/// has Authorization, a directive must allow it (RFC 9111 §3.5). If the request says no-store, they may not (§5.2.1.5).
pub fn may_be_shared(request: &Request, freshened: &StoredHead, options: &Options) -> bool {
    let allows = || Governing::of(&freshened.head.fields, options).allows_authorized();
    let authorized = !is_authorized(&request.fields, options) || allows();
    authorized && !RequestDirectives::parse(&request.fields).no_store
}

/// Returns true if the validators of a 304 identify the stored response (RFC 9111 §4.3.4).
fn is_about(stored: &StoredHead, response: &Fields) -> bool {
    let ours = &stored.head.fields;
    let modified = |fields| date::only(fields, &LAST_MODIFIED, stored.received);
    match (entity_tag(response), entity_tag(ours)) {
        // a weak comparison, because some origins weaken the tag of a compressed response, but not that of their 304
        (Some(theirs), Some(ours)) => theirs.matches_weakly(&ours),
        (theirs, tag) => match (modified(response), modified(ours)) {
            (Some(theirs), Some(ours)) => theirs == ours,
            (Some(_), None) => tag.is_some(),
            (None, _) => theirs.is_none(),
        },
    }
}

/// Replaces each stored field by the one that came, except for those that describe the stored bytes (RFC 9111 §3.2).
fn updated(
    request: &Request,
    stored: &StoredHead,
    response: &ResponseHead,
    times: Times,
    options: &Options,
) -> Option<StoredHead> {
    static OF_THE_BYTES: [FieldName; 4] = [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG];
    let taken = |name: &FieldName| !OF_THE_BYTES.contains(name) && *name != VARY && !digests_content(name);
    let mut fields = stored.head.fields.clone();
    // Age and Date belong to the exchange, so that the old ones are dropped
    fields.retain(|name, _| *name != AGE && *name != DATE && !(taken(name) && response.fields.contains(name)));
    for (name, value) in response.fields.iter().filter(|(name, _)| taken(name)) {
        fields.append(name.clone(), value.clone());
    }
    let (before, after) = (Governing::of(&stored.head.fields, options), Governing::of(&fields, options));
    retain_storable(&mut fields, &after, times, options);
    let nominated = nominate_more(&stored.nominated, &response.fields, &mut fields, request, options);
    if grows_beyond(&fields, &stored.head.fields, options) {
        return None;
    }
    let authority = options.keys_host.then_some(stored.line.authority());
    let tags = options.steering.tag_hashes(&fields, &options.site, authority);
    let forbidden = nominated.is_err()
        || after.forbids_storing().is_some()
        || (stored.credentials && before.allows_authorized() && !after.allows_authorized());
    Some(StoredHead {
        initial_age: initial_age(&response.fields, times),
        head: ResponseHead { status: stored.head.status, fields },
        request_time: times.request,
        response_time: times.response,
        received: times.received,
        position: times.position,
        nominated: nominated.unwrap_or_else(|_| stored.nominated.clone()),
        invalidated: forbidden,
        credentials: stored.credentials || (is_authorized(&request.fields, options) && !options.strict),
        tags,
        ..stored.clone()
    })
}

/// Returns true if an update makes a head larger than an origin may send one. Origins add fields to their 304s, under
/// ever new names, until no client takes the head any more.
fn grows_beyond(updated: &Fields, stored: &Fields, options: &Options) -> bool {
    // a line has a colon, a space, CR and LF besides
    let bytes = |fields: &Fields| fields.size() + 4 * fields.len();
    let is_longer = updated.len() > options.max_fields.max(stored.len());
    is_longer || bytes(updated) > options.max_head.max(bytes(stored))
}

/// The meaning of an answer to HEAD for the stored response to GET (RFC 9111 §4.3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadSays {
    Freshened(Box<StoredHead>),
    Changed,
    Nothing,
}

/// Compares the answer to a HEAD with the stored response to GET. `stored_length` is the length of the stored body.
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
    // without a validator nothing is proven; the RFC allows the update all the same
    if !options.strict && same(&ETAG).or(same(&LAST_MODIFIED)).is_none() {
        return HeadSays::Nothing;
    }
    match updated(request, stored, response, times, options) {
        Some(head) if !head.invalidated && may_be_shared(request, &head, options) => {
            HeadSays::Freshened(Box::new(head))
        }
        Some(head) if !head.invalidated => HeadSays::Nothing,
        _ => HeadSays::Changed,
    }
}

/// Returns true if a stale response may be served in place of a failure although the origin says nothing about it
/// (`--stale-if-error`).
pub(super) fn stands_in_by_default(stored: &StoredHead, governing: &Governing, options: &Options) -> bool {
    let says_nothing = governing.directives.stale_if_error.is_none() && !governing.forbids_stale_unasked();
    let status = stored.head.status;
    says_nothing && !options.strict && (status.is_success() || matches!(status.as_u16(), 301 | 308))
}

/// Decides whether a stale stored response may answer in place of this failed exchange (RFC 9111 §4.2.4, RFC 5861 §4).
/// `status` is that of the origin's answer, if there was one; 304 stands for a 304 that nobody asked for.
pub fn on_error(
    request: &Request,
    stored: &(impl AsRef<StoredHead> + Judged),
    status: Option<u16>,
    now: Timestamp,
    options: &Options,
) -> Result<Reason, Reason> {
    let (standing, stored) = (stored.standing(), stored.as_ref());
    if !matches!(status, None | Some(304 | 500 | 502 | 503 | 504 | 600..)) {
        return Err(Reason::NotAnError);
    }
    if stored.invalidated {
        return Err(Reason::Invalidated);
    }
    if is_refusal_to(&request.fields, stored) {
        return Err(Reason::StoredUnauthorized);
    }
    let governing = Governing::of(&stored.head.fields, options);
    if liveness(stored, standing, &governing) >= Liveness::MustValidate {
        return Err(Reason::Invalidated);
    }
    let freshness = Freshness::of(stored, &governing, now, options).purged(stored, standing, now);
    if governing.forbids_stale() || freshness.clock_went_back {
        return Err(Reason::StaleForbidden);
    }
    if !is_covered(request, stored) {
        return Err(Reason::PartMissing);
    }
    let is_fresh = freshness.is_fresh();
    let used = |reason| Ok(if is_fresh { Reason::FreshUnasked } else { reason });
    let asked = followed(&request.fields, options).directives;
    let unasked = governing.forbids_stale_unasked();
    let by_origin = governing.directives.stale_if_error.filter(|_| !governing.forbids_stale_extensions(options.strict));
    let by_client = asked.stale_if_error.filter(|_| !unasked);
    let allowed = by_origin.max(by_client);
    if allowed.is_some_and(|limit| freshness.stale_within(limit)) {
        let by_rule = options.steering.force_stale;
        return used(if by_rule { Reason::StaleByDefault } else { Reason::StaleIfError });
    }
    // a 500 is passed on, because the application's developer must see it
    let outlived = matches!(status, None | Some(502..=504));
    let by_default = outlived && stands_in_by_default(stored, &governing, options);
    if by_default && freshness.stale_within(options.stale_if_error) {
        return used(Reason::StaleByDefault);
    }
    if status.is_none() && !unasked && asked.max_stale.is_some_and(|limit| freshness.stale_within(limit)) {
        return used(Reason::MaxStale);
    }
    Err(match allowed {
        Some(_) => Reason::StaleTooLong,
        None if by_default && options.stale_if_error > Seconds(0) => Reason::StaleTooLong,
        None if unasked => Reason::StaleForbidden,
        None => Reason::StaleNotAllowed,
    })
}
