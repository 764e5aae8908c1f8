//! Decides which responses are shared by the requests that wait for them, although they cannot be stored.

use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};

use super::{
    Options, Times,
    directives::Governing,
    freshness::{Freshness, explicit_lifetime},
    storing::{head, storable},
};
use crate::{
    clock::Timestamp,
    fields::{SET_COOKIE2, age, credentials::is_in_field},
    message::{Method, Request, ResponseHead, StoredHead},
};

/// Returns the head of a response whose lifetime was shorter than the time that the origin took to answer, if the
/// requests that waited for it may share it. From the origin itself each of them would have got it fresh. RFC 9111
/// counts that time as age (§4.2.3), so this is not done if `strict`.
pub fn outrun(request: &Request, response: &ResponseHead, times: Times, options: &Options) -> Option<StoredHead> {
    let governing = Governing::of(&response.fields, options);
    let explicit = explicit_lifetime(&response.fields, &governing, times.received)?;
    let on_its_way = age::age(&response.fields).unwrap_or_default();
    if options.strict || governing.forbids_stale() || explicit.0 <= on_its_way {
        return None;
    }
    let stored = storable(request, response, &governing, times, options).ok()?;
    (stored.part.is_none() && !is_fresh(&stored, times.response, options)).then_some(stored)
}

/// Returns true if a stored response is fresh.
pub fn is_fresh(stored: &StoredHead, now: Timestamp, options: &Options) -> bool {
    Freshness::of(stored, &Governing::of(&stored.head.fields, options), now, options).is_fresh()
}

/// Returns the head of a server error if all requests that wait for it may share it. Then neither the error nor the
/// request is personal. Nothing is stored.
pub fn error_for_all(
    request: &Request,
    response: &ResponseHead,
    times: Times,
    options: &Options,
) -> Option<StoredHead> {
    let governing = Governing::of(&response.fields, options);
    let secret = governing.directives.no_store || governing.forbids_storing().is_some();
    let sets_cookie = response.fields.contains(&SET_COOKIE) || response.fields.contains(&SET_COOKIE2);
    let fits = request.method == Method::GET && is_failure(response.status.as_u16());
    if options.strict || !fits || secret || sets_cookie || !is_anonymous(request) {
        return None;
    }
    head(request, response, &Method::GET, None, &governing, times, options).ok()
}

/// Returns true for the statuses by which an origin says that it fails.
pub fn is_failure(status: u16) -> bool {
    matches!(status, 500 | 502..=504)
}

/// Returns true if nothing in a request tells the origin who asks.
pub fn is_anonymous(request: &Request) -> bool {
    let fields = &request.fields;
    !fields.contains(&COOKIE) && !fields.contains(&AUTHORIZATION) && !fields.iter().any(|(name, _)| is_in_field(name))
}
