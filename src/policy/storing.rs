//! Decides whether a response may be stored, and as what (RFC 9111 §3).

use http::header::*;

use super::{
    Options, Reason, Times,
    content::is_stream,
    directives::{Governing, credentials, is_authorized, retain_storable},
    freshness::{Freshness, explicit_lifetime, heuristically_cacheable, initial_age},
    invalidation::resolve,
    selection::content_length,
    validation::stands_in_by_default,
    validators::conditions,
    vary::nominate,
};
use crate::{
    clock::Seconds,
    fields::{
        METHOD_OVERRIDES, SET_COOKIE2,
        cache_control::RequestDirectives,
        method::{is_query, is_safe},
        range,
    },
    message::{Method, Part, Request, RequestLine, ResponseHead, StatusCode, StoredHead, Target},
};

/// Decides whether this response may be stored, and returns the head to store (RFC 9111 §3). Fields that must not be
/// stored are removed from it. If the request is POST, the head answers later GETs (RFC 9110 §9.3.3). A 206 becomes a
/// head of status 200 without Content-Range and with `part`, from which the 206 is built again. Its Content-Length
/// remains that of the part.
pub fn storing(
    request: &Request,
    response: &ResponseHead,
    times: Times,
    options: &Options,
) -> Result<StoredHead, Reason> {
    let governing = Governing::of(&response.fields, options);
    reusable(storable(request, response, &governing, times, options)?, &governing, times, options)
}

/// Returns every reason why this response may not be stored, as far as each is known without the others. The first one is
/// that of [`storing`]. Empty: it may be stored.
pub fn objections(request: &Request, response: &ResponseHead, times: Times, options: &Options) -> Vec<Reason> {
    let governing = Governing::of(&response.fields, options);
    let mut all = Vec::new();
    let _ = each_objection(request, response, &governing, times, options, &mut |reason| {
        all.push(reason);
        Ok(())
    });
    let method = storable_method(request, response, true).unwrap_or(&Method::GET);
    let part = part(response, options).unwrap_or_default();
    let made = head(request, response, method, part, &governing, times, options);
    // how long it could be used means something only where nothing else is in the way
    let made = made.and_then(|head| if all.is_empty() { reusable(head, &governing, times, options) } else { Ok(head) });
    all.extend(made.err());
    all
}

/// Decides whether this response may be stored, without regard to how long it could be used.
pub(super) fn storable(
    request: &Request,
    response: &ResponseHead,
    governing: &Governing,
    times: Times,
    options: &Options,
) -> Result<StoredHead, Reason> {
    each_objection(request, response, governing, times, options, &mut Err)?;
    let explicit = explicit_lifetime(&response.fields, governing, times.received).is_some();
    let (method, part) = (storable_method(request, response, explicit)?, part(response, options)?);
    head(request, response, method, part, governing, times, options)
}

/// Calls `object` with each reason why this response may not be stored, until it fails.
fn each_objection(
    request: &Request,
    response: &ResponseHead,
    governing: &Governing,
    times: Times,
    options: &Options,
    object: &mut impl FnMut(Reason) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let said = &governing.directives;
    let explicit = explicit_lifetime(&response.fields, governing, times.received).is_some();
    // the range may have selected the content of a 200, too
    if range::has_other_unit(&request.fields) {
        object(Reason::RangeUnit)?;
    }
    // the request method is understood by the cache
    if let Err(reason) = storable_method(request, response, explicit) {
        object(reason)?;
    }
    // the response status code is final
    let status = response.status;
    if !(200..600).contains(&status.as_u16()) || !answers_more_than_this_request(status) {
        object(Reason::StatusNeverStored)?;
    }
    if !options.strict && is_about_one_request(status) {
        object(Reason::OneRequestsError)?;
    }
    // if the status is 206 or must-understand is present, the cache understands the status
    if let Err(reason) = part(response, options) {
        object(reason)?;
    }
    if said.must_understand && !is_understood(status) {
        object(Reason::NotUnderstood)?;
    }
    // no-store is not present, or must-understand overrides it (RFC 9111 §5.2.2.3); the cache is shared: private is not
    // present, or allows a shared cache to store a modified response
    if RequestDirectives::parse(&request.fields).no_store {
        object(Reason::RequestNoStore)?;
    }
    if options.steering.bypass {
        object(Reason::BypassByRule)?;
    }
    if options.steering.no_store {
        object(Reason::NoStoreByRule)?;
    }
    for reason in governing.forbid_storing() {
        object(reason)?;
    }
    // a cached redirect to itself would keep the client in a circle after the origin's reason for it is gone
    if is_redirect_to_itself(request, response) {
        object(Reason::RedirectToItself)?;
    }
    // the cache is shared: Authorization is not present, or a directive allows it
    if is_authorized(&request.fields, options) && !governing.allows_authorized() {
        object(Reason::Authorization)?;
    }
    // each client of a stream wants its own, from the beginning and as it comes
    if !explicit && is_stream(&response.fields) {
        object(Reason::Stream)?;
    }
    // there is a lifetime, or public, or a heuristically cacheable status
    let allowed = explicit || said.public || heuristically_cacheable(status, options);
    let server_error = !options.strict && status.is_server_error() && !explicit;
    if !allowed || server_error {
        object(Reason::StatusWithoutFreshness)?;
    }
    match options.strict {
        true => Ok(()),
        false => careful(request, response, governing, explicit, options, object),
    }
}

/// Makes the head that is stored for a response.
pub(super) fn head(
    request: &Request,
    response: &ResponseHead,
    method: &Method,
    part: Option<Part>,
    governing: &Governing,
    times: Times,
    options: &Options,
) -> Result<StoredHead, Reason> {
    let (status, authorization) = (response.status, is_authorized(&request.fields, options));
    let mut fields = response.fields.clone();
    retain_storable(&mut fields, governing, times, options);
    if part.is_some() {
        fields.remove(&CONTENT_RANGE);
    }
    Ok(StoredHead {
        line: {
            let Target { scheme, authority, path_and_query } = &request.target;
            RequestLine::new(&options.site, method.clone(), *scheme, authority, path_and_query)
        },
        initial_age: initial_age(&fields, times),
        nominated: nominate(&fields, request, options)?,
        head: ResponseHead { status: if part.is_some() { StatusCode::OK } else { status }, fields },
        request_time: times.request,
        response_time: times.response,
        received: times.received,
        part: part.filter(|part| !is_whole(part)),
        gaps: Box::default(),
        invalidated: false,
        credentials: authorization || credentials(&request.fields, options).is_some(),
        position: times.position,
        tags: {
            let authority = options.keys_host.then_some(&*request.target.authority);
            options.steering.tag_hashes(&response.fields, &options.site, authority)
        },
        unknown: Box::default(),
    })
}

/// Returns the method that the stored response will answer.
fn storable_method<'a>(request: &'a Request, response: &ResponseHead, explicit: bool) -> Result<&'a Method, Reason> {
    match &request.method {
        method if *method == Method::GET || is_query(method) || request.as_query => Ok(method),
        // the origin may have carried out another method
        _ if request.fields.iter().any(|(name, _)| METHOD_OVERRIDES.contains(&name.as_str())) => {
            Err(Reason::MethodNotCached)
        }
        method if *method == Method::POST && response.fields.contains(&CONTENT_LOCATION) => {
            let location = response.fields.only(&CONTENT_LOCATION);
            let about = location.and_then(|value| resolve(&request.target, value.as_bytes()));
            let is_target = about.is_some_and(|about| about == request.target);
            // with any other status, the content is not what a GET would get (RFC 9110 §8.7)
            let done = response.status == StatusCode::OK;
            if explicit && is_target && done { Ok(&Method::GET) } else { Err(Reason::PostNotForGet) }
        }
        method if *method == Method::HEAD => Err(Reason::HeadRequest),
        method if !is_safe(method) => Err(Reason::UnsafeMethod),
        _ => Err(Reason::MethodNotCached),
    }
}

/// Returns the part that a 206 holds. Refuses a part whose Content-Length contradicts Content-Range. With `strict` it
/// is accepted, because the conformance suite expects that.
fn part(response: &ResponseHead, options: &Options) -> Result<Option<Part>, Reason> {
    if response.status != StatusCode::PARTIAL_CONTENT {
        return Ok(None);
    }
    let part = range::content_range(&response.fields).ok_or(Reason::PartUnknown)?;
    let lies = content_length(&response.fields).is_some_and(|length| length != part.length());
    if lies && !options.strict { Err(Reason::PartLength) } else { Ok(Some(part)) }
}

/// Returns false for statuses that answer conditions or ranges. Such a response is of no use to a request without them,
/// whatever its lifetime.
fn answers_more_than_this_request(status: StatusCode) -> bool {
    !matches!(status.as_u16(), 304 | 412 | 416)
}

/// Returns true for errors that an odd request of one client can provoke. If they were stored, all clients would get
/// them.
fn is_about_one_request(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 401 | 407 | 411..=417 | 421 | 426 | 428 | 429 | 431 | 501)
}

/// Returns true if a redirect leads to the URL that was asked for, by http or https.
fn is_redirect_to_itself(request: &Request, response: &ResponseHead) -> bool {
    let location = response.fields.only(&LOCATION).filter(|_| response.status.is_redirection());
    let leads_to = location.and_then(|value| resolve(&request.target, value.as_bytes()));
    leads_to.is_some_and(|target| target == request.target)
}

fn is_whole(part: &Part) -> bool {
    part.first == 0 && part.complete == Some(part.length())
}

/// Returns true if Larder knows what the status means for a cache: the statuses of RFC 9110 §15 and a few similar ones.
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=206 | 300..=303 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 428 | 429 | 431 | 451 | 500..=505 | 511
    )
}

/// Objects to some responses that the RFC allows to store, so that no client gets the page of another one.
fn careful(
    request: &Request,
    response: &ResponseHead,
    governing: &Governing,
    explicit: bool,
    options: &Options,
    object: &mut impl FnMut(Reason) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let said = &governing.directives;
    let sets_cookie = response.fields.contains(&SET_COOKIE) || response.fields.contains(&SET_COOKIE2);
    let ignores = options.steering.ignored.set_cookie;
    if sets_cookie && !ignores && !(explicit && (said.public || said.s_maxage.is_some())) {
        object(Reason::SetCookie)?;
    }
    match credentials(&request.fields, options) {
        Some(reason @ (Reason::CookieWithoutFreshness | Reason::KeyWithoutFreshness)) if !explicit => object(reason),
        // a rule's lifetime is no permission to give one user's answer to others
        Some(reason @ Reason::KeyWithoutFreshness) if options.steering.ttl.is_some() => object(reason),
        _ => Ok(()),
    }
}

/// Refuses a response that could never answer a request and would only take space.
fn reusable(stored: StoredHead, governing: &Governing, times: Times, options: &Options) -> Result<StoredHead, Reason> {
    let freshness = Freshness::of(&stored, governing, times.response, options);
    let said = &governing.directives;
    let extension = said.stale_while_revalidate.max(said.stale_if_error).unwrap_or(Seconds(0));
    let usable = freshness.lifetime.saturating_add(extension) > freshness.age;
    // an error of the origin is stored only if it is fresh by what the origin said
    if !options.strict && stored.head.status.is_server_error() && !freshness.is_fresh() {
        return Err(Reason::StatusWithoutFreshness);
    }
    if !conditions(&stored).is_empty() || (usable && !governing.always_validate()) {
        return Ok(stored);
    }
    // it would be fresh if the origin had not taken so long, and stands in while the origin fails
    let delay = times.response.since(times.request);
    let outrun = freshness.lifetime > Seconds(0) && freshness.lifetime.saturating_add(delay) > freshness.age;
    if outrun && options.stale_if_error > Seconds(0) && stands_in_by_default(&stored, governing, options) {
        return Ok(stored);
    }
    Err(match (freshness.lifetime, freshness.lifetime_by) {
        _ if governing.always_validate() => governing.reason(Reason::NoCache),
        (Seconds(0), by @ (Reason::Playlist | Reason::PragmaNoCache)) => by,
        (Seconds(0), _) => Reason::NeverReusable,
        _ => Reason::LifetimeUsedUp,
    })
}
