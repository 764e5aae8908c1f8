//! Decides whether a stored response may be used (RFC 9111 §4).

use http::header::{AUTHORIZATION, COOKIE, IF_MATCH, IF_UNMODIFIED_SINCE};

use super::{
    Fwd, Options, Reason,
    directives::{Governing, followed},
    freshness::{Freshness, explicit_lifetime},
    selection::is_covered,
    validation::completion,
    validators::conditions,
};
use crate::{
    clock::Timestamp,
    fields::{
        cache_control::RequestDirectives,
        method::{is_cached, is_query, is_safe},
    },
    message::{Method, Request, StoredHead},
};

/// What to do with a request (RFC 9111 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Answer from the stored response. The reason says why that is allowed (it is fresh, or stale use is permitted
    /// ...).
    Serve(Reason),
    /// Answer from the stored response, and validate it in the background (stale-while-revalidate).
    Refresh(Reason),
    /// Ask the origin whether the stored response may still be used.
    Validate(Fwd, Reason),
    /// Ask the origin for a response that other requests may share.
    Fetch(Fwd, Reason),
    /// Ask the origin for the rest of the representation that the stored part belongs to (RFC 9111 §3.4).
    Complete(Reason),
    /// Relay the request: its answer is for this request alone.
    Pass(Fwd, Reason),
    /// Answer 504: the request says only-if-cached, and nothing may be served (RFC 9111 §5.2.1.7).
    Refuse(Reason),
}

/// Decides what to do with a request. `stored` is the selected stored response, if any. `variants` is true if responses
/// are stored for this URL, but none for the nominated fields of this request.
pub fn reuse(
    request: &Request,
    stored: Option<&StoredHead>,
    variants: bool,
    now: Timestamp,
    options: &Options,
) -> Reuse {
    // the method is understood, and stored responses can answer it
    if !is_safe(&request.method) {
        return Reuse::Pass(Fwd::Method, Reason::UnsafeMethod);
    }
    if !is_cached(&request.method) {
        return Reuse::Pass(Fwd::Method, Reason::MethodNotCached);
    }
    let is_head = request.method == Method::HEAD;
    let (asked, ignored) = followed(&request.fields, options);
    match decide(request, stored, variants, &asked, now, options) {
        Reuse::Serve(Reason::Fresh) if ignored => Reuse::Serve(Reason::FreshDirectivesIgnored),
        Reuse::Serve(reason) => Reuse::Serve(reason),
        Reuse::Refresh(reason) if asked.only_if_cached => Reuse::Serve(reason),
        // RFC 9111 §5.2.1.7
        _ if asked.only_if_cached => Reuse::Refuse(Reason::OnlyIfCached),
        // RFC 9111 §5.2.1.5: no part of the answer may be stored
        _ if asked.no_store => Reuse::Pass(Fwd::Request, Reason::RequestNoStore),
        // a response to HEAD cannot be stored, but it may freshen a stored response
        Reuse::Validate(fwd, reason) | Reuse::Fetch(fwd, reason) if is_head => Reuse::Pass(fwd, reason),
        Reuse::Refresh(reason) if is_head => Reuse::Pass(Fwd::Stale, reason),
        Reuse::Complete(reason) if is_head => Reuse::Pass(Fwd::Partial, reason),
        decided => decided,
    }
}

/// Decides what to do with a safe request whose content is not part of the key. The content may change the answer, so
/// that the answer is for this request alone (cache poisoning by fat GET).
pub fn with_content(request: &Request) -> Reuse {
    if is_cached(&request.method) && RequestDirectives::parse(&request.fields).only_if_cached {
        return Reuse::Refuse(Reason::OnlyIfCached);
    }
    Reuse::Pass(Fwd::Bypass, unkeyed_content(&request.method))
}

/// Returns the reason why the content of a request is not part of its key.
pub fn unkeyed_content(method: &Method) -> Reason {
    if is_query(method) { Reason::ContentTooLong } else { Reason::RequestContent }
}

fn decide(
    request: &Request,
    stored: Option<&StoredHead>,
    variants: bool,
    asked: &RequestDirectives,
    now: Timestamp,
    options: &Options,
) -> Reuse {
    // a cache cannot evaluate these conditions (RFC 9111 §4.3.2)
    if request.fields.contains(&IF_MATCH) || request.fields.contains(&IF_UNMODIFIED_SINCE) {
        return Reuse::Pass(Fwd::Request, Reason::Precondition);
    }
    if asked.no_store && (options.strict || options.client_reload) {
        return Reuse::Pass(Fwd::Request, Reason::RequestNoStore);
    }
    let Some(stored) = stored else {
        return if variants {
            Reuse::Fetch(Fwd::VaryMiss, Reason::VaryMiss)
        } else {
            Reuse::Fetch(Fwd::UriMiss, Reason::NotStored)
        };
    };
    let covered = is_covered(request, stored);
    let validate = |fwd, reason| match covered && !conditions(stored).is_empty() {
        true => Reuse::Validate(fwd, reason),
        false => Reuse::Fetch(fwd, reason),
    };
    if stored.invalidated {
        return validate(Fwd::Stale, Reason::Invalidated);
    }
    let governing = Governing::of(&stored.head.fields);
    if governing.always_validate() {
        return validate(Fwd::Stale, Reason::NoCache);
    }
    if asked.no_cache {
        return validate(Fwd::Request, Reason::RequestNoCache);
    }
    let freshness = Freshness::of(stored, &governing, now, options);
    if freshness.clock_went_back {
        return validate(Fwd::Stale, Reason::ClockWentBack);
    }
    if asked.max_age.is_some_and(|limit| freshness.age > limit) && asked.max_stale.is_none() {
        return validate(Fwd::Request, Reason::RequestMaxAge);
    }
    if asked.min_fresh.is_some_and(|span| freshness.lifetime < freshness.age.saturating_add(span)) {
        return validate(Fwd::Request, Reason::RequestMinFresh);
    }
    // where the origin gave no lifetime, it may send another page to a client that it knows
    if let Some(reason) = credentials(request, options)
        && explicit_lifetime(&stored.head.fields, &governing, stored.received).is_none()
    {
        return match validate(Fwd::Request, reason) {
            Reuse::Fetch(fwd, reason) => Reuse::Pass(fwd, reason),
            validate => validate,
        };
    }
    if freshness.is_fresh() {
        return match covered {
            true => Reuse::Serve(Reason::Fresh),
            false if completion(request, stored, options).is_some() => Reuse::Complete(Reason::PartMissing),
            false => Reuse::Fetch(Fwd::Partial, Reason::PartMissing),
        };
    }
    // the response is stale, and yet stale use is allowed (RFC 9111 §4.2.4)
    if covered
        && asked.max_stale.is_some_and(|limit| freshness.stale_within(limit))
        && !governing.forbids_stale_unasked()
    {
        return Reuse::Serve(Reason::MaxStale);
    }
    let window = governing.directives.stale_while_revalidate;
    if stored.part.is_none()
        && window.is_some_and(|window| freshness.stale_within(window))
        && !governing.forbids_stale_extensions(options.strict)
    {
        return Reuse::Refresh(Reason::StaleWhileRevalidate);
    }
    validate(Fwd::Stale, Reason::Stale)
}

/// Returns which credentials tell the origin who asks, if any. Strict ignores them.
fn credentials(request: &Request, options: &Options) -> Option<Reason> {
    if options.strict {
        return None;
    }
    let cookie = request.fields.contains(&COOKIE) && !options.ignore_cookies;
    let authorization = request.fields.contains(&AUTHORIZATION);
    cookie.then_some(Reason::CookieWithoutFreshness).or(authorization.then_some(Reason::AuthorizationWithoutFreshness))
}
