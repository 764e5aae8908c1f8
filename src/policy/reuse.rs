//! Decides whether a stored response may be used (RFC 9111 §4).

use http::header::{IF_MATCH, IF_UNMODIFIED_SINCE};

use super::{
    Fwd, Options, Reason,
    directives::{Followed, Governing, credentials, followed, is_refusal_to},
    freshness::{Freshness, explicit_lifetime, liveness},
    parts::gaps,
    selection::is_covered,
    validators::conditions,
};
use crate::{
    clock::{Seconds, Timestamp},
    fields::{
        cache_control::RequestDirectives,
        control::Controlled,
        method::{is_cached_request, is_query, is_safe_request},
        range,
    },
    message::{Method, Request},
    purge::{Judged, Liveness},
};

/// The decision on a request: answer from the stored response, ask the origin, or refuse (RFC 9111 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse<S> {
    /// Answer from the stored response. The reason says which kind of reuse it is (fresh, stale but allowed ...).
    Serve(S, Reason),
    /// Answer from the stored response and validate it in the background (stale-while-revalidate, RFC 5861 §3).
    Refresh(S, Reason),
    /// Ask the origin, because the client wishes to reload. Where the URL was reloaded less than a second ago, answer
    /// from the stored response with [`Reason::JustAsked`].
    Reload(S, Forward),
    /// Ask the origin.
    Forward(Forward),
    /// Answer 504: the request says only-if-cached and no stored response may be used (RFC 9111 §5.2.1.7).
    Refuse(Reason),
}

/// A decision to ask the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    pub mode: Mode,
    pub fwd: Fwd,
    pub reason: Reason,
}

/// The question that the origin is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Is the stored response still current (RFC 9111 §4.3)?
    Validate,
    /// The rest of the representation that the stored part belongs to (RFC 9111 §3.4).
    Complete,
    /// A response that other clients may share.
    Fetch,
    /// A response for this client alone.
    Pass,
}

/// How long after the origin was asked a client's wish to reload is not followed.
pub const RELOADED: Seconds = Seconds(1);

fn forward<S>(mode: Mode, fwd: Fwd, reason: Reason) -> Reuse<S> {
    Reuse::Forward(Forward { mode, fwd, reason })
}

/// Decides whether a stored response may answer a request (RFC 9111 §4). `stored` is the selected stored response, if
/// any. `variants` is true where responses are stored for this URL, but none for this request's nominated fields.
pub fn reuse<S: Controlled + Judged>(
    request: &Request,
    stored: Option<S>,
    variants: bool,
    now: Timestamp,
    options: &Options,
) -> Reuse<S> {
    // the method is understood and one that stored responses answer
    if !is_safe_request(request) {
        return forward(Mode::Pass, Fwd::Method, Reason::UnsafeMethod);
    }
    if !is_cached_request(request) {
        return forward(Mode::Pass, Fwd::Method, Reason::MethodNotCached);
    }
    let is_head = request.method == Method::HEAD;
    let followed = followed(&request.fields, options);
    let asked = &followed.directives;
    if options.steering.bypass && !asked.only_if_cached {
        return forward(Mode::Pass, Fwd::Bypass, Reason::BypassByRule);
    }
    match decide(request, stored, variants, &followed, now, options) {
        Reuse::Serve(stored, Reason::Fresh) if followed.ignored => Reuse::Serve(stored, Reason::FreshDirectivesIgnored),
        Reuse::Serve(stored, reason) => Reuse::Serve(stored, reason),
        Reuse::Refresh(stored, reason) if asked.only_if_cached => Reuse::Serve(stored, reason),
        Reuse::Reload(stored, _) if asked.only_if_cached => Reuse::Serve(stored, Reason::FreshDirectivesIgnored),
        Reuse::Reload(stored, forward) if asked.no_store || (is_head && forward.mode == Mode::Fetch) => {
            Reuse::Reload(stored, Forward { mode: Mode::Pass, ..forward })
        }
        // RFC 9111 §5.2.1.7
        _ if asked.only_if_cached => Reuse::Refuse(Reason::OnlyIfCached),
        // RFC 9111 §5.2.1.5: no part of the answer may be stored
        _ if asked.no_store => forward(Mode::Pass, Fwd::Request, Reason::RequestNoStore),
        // an answer to HEAD cannot be stored, but it may freshen
        Reuse::Forward(Forward { mode: Mode::Fetch | Mode::Complete, fwd, reason }) if is_head => {
            forward(Mode::Pass, fwd, reason)
        }
        decided => decided,
    }
}

/// Changes the decision for a request whose connection to the origin is authenticated. The answer is for this client
/// alone, and validates no stored response.
pub fn alone<S>(decided: Reuse<S>) -> Reuse<S> {
    match decided {
        Reuse::Refresh(stored, reason) => Reuse::Serve(stored, reason),
        Reuse::Reload(stored, forward) => Reuse::Reload(stored, Forward { mode: Mode::Pass, ..forward }),
        Reuse::Forward(Forward { fwd, reason, .. }) => forward(Mode::Pass, fwd, reason),
        decided => decided,
    }
}

/// Decides on a safe request whose content is part of no key. The content may change the answer, so the answer is for
/// this request alone (it could poison the cache).
pub fn with_content<S>(request: &Request) -> Reuse<S> {
    if !is_cached_request(request) {
        return forward(Mode::Pass, Fwd::Method, Reason::MethodNotCached);
    }
    if RequestDirectives::parse(&request.fields).only_if_cached {
        return Reuse::Refuse(Reason::OnlyIfCached);
    }
    forward(Mode::Pass, Fwd::Bypass, unkeyed_content(request))
}

/// Returns the reason why the content of a request is not part of its key.
pub fn unkeyed_content(request: &Request) -> Reason {
    if is_query(&request.method) || request.as_query { Reason::ContentTooLong } else { Reason::RequestContent }
}

fn decide<S: Controlled + Judged>(
    request: &Request,
    stored: Option<S>,
    variants: bool,
    followed: &Followed,
    now: Timestamp,
    options: &Options,
) -> Reuse<S> {
    let asked = &followed.directives;
    // RFC 9111 §4.3.2: a cache cannot evaluate these
    if request.fields.contains(&IF_MATCH) || request.fields.contains(&IF_UNMODIFIED_SINCE) {
        return forward(Mode::Pass, Fwd::Request, Reason::Precondition);
    }
    if range::has_other_unit(&request.fields) {
        return forward(Mode::Pass, Fwd::Request, Reason::RangeUnit);
    }
    if asked.no_store && (options.strict || options.client_reload) {
        return forward(Mode::Pass, Fwd::Request, Reason::RequestNoStore);
    }
    let Some(selected) = stored else {
        return match variants {
            true => forward(Mode::Fetch, Fwd::VaryMiss, Reason::VaryMiss),
            false => forward(Mode::Fetch, Fwd::UriMiss, Reason::NotStored),
        };
    };
    let (stored, standing) = (selected.as_ref(), selected.standing());
    let covered = is_covered(request, stored);
    let validate = |fwd, reason| match covered && !conditions(stored).is_empty() {
        true => forward(Mode::Validate, fwd, reason),
        false => forward(Mode::Fetch, fwd, reason),
    };
    if stored.invalidated {
        return validate(Fwd::Stale, Reason::Invalidated);
    }
    if is_refusal_to(&request.fields, stored) {
        return forward(Mode::Fetch, Fwd::Request, Reason::StoredUnauthorized);
    }
    let governing = Governing::by(&selected.control(), options);
    match liveness(stored, standing, &governing) {
        Liveness::Alive | Liveness::Stale => {}
        Liveness::MustValidate => return validate(Fwd::Stale, Reason::Invalidated),
        Liveness::Dead => return forward(Mode::Fetch, Fwd::Stale, Reason::Purged),
    }
    if governing.always_validate() {
        return validate(Fwd::Stale, governing.reason(Reason::NoCache));
    }
    if asked.no_cache {
        return validate(Fwd::Request, Reason::RequestNoCache);
    }
    let freshness = Freshness::of(stored, &governing, now, options).purged(stored, standing, now);
    if freshness.clock_went_back {
        return validate(Fwd::Stale, Reason::ClockWentBack);
    }
    if asked.max_age.is_some_and(|limit| freshness.age > limit) && asked.max_stale.is_none() {
        return validate(Fwd::Request, Reason::RequestMaxAge);
    }
    if asked.min_fresh.is_some_and(|span| freshness.lifetime < freshness.age.saturating_add(span)) {
        return validate(Fwd::Request, Reason::RequestMinFresh);
    }
    let invented = explicit_lifetime(&stored.head.fields, &governing, stored.received).is_none();
    // if the origin gave no lifetime, it may send another page to a client that it knows
    if invented && let Some(reason) = credentials(&request.fields, options) {
        return match validate(Fwd::Request, reason) {
            Reuse::Forward(Forward { mode: Mode::Fetch, fwd, reason }) => forward(Mode::Pass, fwd, reason),
            validate => validate,
        };
    }
    if freshness.is_fresh() {
        return match covered {
            true if invented && let Some(reason) = followed.reload => {
                match (now.since(stored.response_time) < RELOADED, validate(Fwd::Request, reason)) {
                    (false, Reuse::Forward(forward)) => Reuse::Reload(selected, forward),
                    _ => Reuse::Serve(selected, Reason::JustAsked),
                }
            }
            true => Reuse::Serve(selected, Reason::Fresh),
            false if !gaps(request, stored, options).is_empty() => {
                forward(Mode::Complete, Fwd::Partial, Reason::PartMissing)
            }
            false => forward(Mode::Fetch, Fwd::Partial, Reason::PartMissing),
        };
    }
    // the response is stale, but stale use may be allowed (RFC 9111 §4.2.4)
    if covered
        && asked.max_stale.is_some_and(|limit| freshness.stale_within(limit))
        && !governing.forbids_stale_unasked()
    {
        return Reuse::Serve(selected, Reason::MaxStale);
    }
    let window = governing.directives.stale_while_revalidate;
    if stored.part.is_none()
        && window.is_some_and(|window| freshness.stale_within(window))
        && !governing.forbids_stale_extensions(options.strict)
    {
        let by_rule = governing.refreshed_by_rule;
        let reason = if by_rule { Reason::RefreshedByRule } else { Reason::StaleWhileRevalidate };
        return Reuse::Refresh(selected, reason);
    }
    validate(Fwd::Stale, if standing.soft_since.is_some() { Reason::Purged } else { Reason::Stale })
}
