//! May a stored response be used (RFC 9111 §4)?

use http::header::{AUTHORIZATION, COOKIE, IF_MATCH, IF_UNMODIFIED_SINCE};

use super::{
    Fwd, Options, Reason,
    directives::{Governing, followed},
    freshness::{Freshness, explicit_lifetime},
    is_query, is_safe,
    selection::is_covered,
    validation::{completion, conditions},
};
use crate::{
    clock::Timestamp,
    fields::cache_control::RequestDirectives,
    message::{Method, Request, StoredHead},
};

/// What is to be done with a request (RFC 9111 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Answer from the stored response; the reason says what kind of reuse it is (fresh, stale but allowed ...).
    Serve(Reason),
    /// Answer from the stored response and validate it behind (stale-while-revalidate).
    Refresh(Reason),
    /// Ask the origin whether the stored response may be used still.
    Validate(Fwd, Reason),
    /// Ask the origin for a response that others may share.
    Fetch(Fwd, Reason),
    /// Ask the origin for the rest of the representation that the stored part belongs to (RFC 9111 §3.4).
    Complete(Reason),
    /// Relay: the answer is for this request alone.
    Pass(Fwd, Reason),
    /// only-if-cached and nothing to serve: 504 (RFC 9111 §5.2.1.7).
    Refuse(Reason),
}

/// `stored`: the selected stored response, if any. `variants`: responses are stored for this URL, but none for this
/// request's nominated fields.
pub fn reuse(
    request: &Request,
    stored: Option<&StoredHead>,
    variants: bool,
    now: Timestamp,
    options: &Options,
) -> Reuse {
    // the method is understood and one that stored responses answer
    if !is_safe(&request.method) {
        return Reuse::Pass(Fwd::Method, Reason::UnsafeMethod);
    }
    let is_head = request.method == Method::HEAD;
    if !is_head && request.method != Method::GET && !is_query(&request.method) {
        return Reuse::Pass(Fwd::Method, Reason::MethodNotCached);
    }
    let (asked, ignored) = followed(&request.fields, options);
    match decide(request, stored, variants, &asked, now, options) {
        Reuse::Serve(Reason::Fresh) if ignored => Reuse::Serve(Reason::FreshDirectivesIgnored),
        Reuse::Serve(reason) => Reuse::Serve(reason),
        Reuse::Refresh(reason) if asked.only_if_cached => Reuse::Serve(reason),
        // RFC 9111 §5.2.1.7
        _ if asked.only_if_cached => Reuse::Refuse(Reason::OnlyIfCached),
        // RFC 9111 §5.2.1.5: no part of the answer may be stored
        _ if asked.no_store => Reuse::Pass(Fwd::Request, Reason::RequestNoStore),
        // what answers HEAD cannot be stored, but may freshen
        Reuse::Validate(fwd, reason) | Reuse::Fetch(fwd, reason) if is_head => Reuse::Pass(fwd, reason),
        Reuse::Refresh(reason) if is_head => Reuse::Pass(Fwd::Stale, reason),
        Reuse::Complete(reason) if is_head => Reuse::Pass(Fwd::Partial, reason),
        decided => decided,
    }
}

/// What is to be done with a request whose connection to the origin is authenticated: its answer is for this client alone,
/// and validates nothing for others.
pub fn alone(decided: Reuse) -> Reuse {
    match decided {
        Reuse::Refresh(reason) => Reuse::Serve(reason),
        Reuse::Validate(fwd, reason) | Reuse::Fetch(fwd, reason) => Reuse::Pass(fwd, reason),
        Reuse::Complete(reason) => Reuse::Pass(Fwd::Partial, reason),
        decided => decided,
    }
}

/// What is to be done with a safe request whose content is part of no key: it may change the answer, which is then for
/// this request alone (cache poisoning by fat GET).
pub fn with_content(request: &Request) -> Reuse {
    let cached = matches!(request.method, Method::GET | Method::HEAD) || is_query(&request.method);
    if cached && RequestDirectives::parse(&request.fields).only_if_cached {
        return Reuse::Refuse(Reason::OnlyIfCached);
    }
    Reuse::Pass(Fwd::Bypass, unkeyed_content(&request.method))
}

/// Why a request's content is part of no key.
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
    // RFC 9111 §4.3.2: a cache cannot evaluate these
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
    // what the origin gave no lifetime may be another page for someone whom it knows
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
    // RFC 9111 §4.2.4: stale, and yet allowed
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

/// By what the origin may know who asks, unless strict.
fn credentials(request: &Request, options: &Options) -> Option<Reason> {
    if options.strict {
        return None;
    }
    let cookie = request.fields.contains(&COOKIE) && !options.ignore_cookies;
    let authorization = request.fields.contains(&AUTHORIZATION);
    cookie.then_some(Reason::CookieWithoutFreshness).or(authorization.then_some(Reason::AuthorizationWithoutFreshness))
}
