//! Age and lifetime (RFC 9111 §4.2).
//!
//! The first of these gives the lifetime: a rule, CDN-Cache-Control, Surrogate-Control, X-Accel-Expires, s-maxage, max-age,
//! Expires; then the invented ones: the one for redirects and missing resources, a tenth of the time since
//! Last-Modified, the default. Directives that forbid storing come before all of them (`storing`).

use http::header::{DATE, EXPIRES, LAST_MODIFIED};

use super::{
    Options, Reason, Times,
    content::{is_playlist, is_stream},
    directives::{Governing, Replaced},
    vary::answers_query,
};
use crate::{
    clock::{Seconds, Timestamp},
    fields::{age, cache_control::is_pragma_no_cache, control::Controlled, date},
    message::{Fields, ResponseHead, StatusCode, StoredHead},
    purge::{Liveness, Standing},
};

/// How long a response that may not be used stale any more is kept: thirty days.
const KEPT: Seconds = Seconds(30 * 24 * 3600);

/// Returns for how long a response can be used without validation, from the time on when it was generated, and what
/// determines that (RFC 9111 §4.2.1, §4.2.2, RFC 9213).
pub fn freshness_lifetime(stored: &impl Controlled, options: &Options) -> (Seconds, Reason) {
    let governing = Governing::by(&stored.control(), options);
    match governing.always_validate() {
        true => (Seconds(0), governing.reason(Reason::NoCache)),
        false => lifetime(stored.as_ref(), &governing, options),
    }
}

/// Returns for how long a response that is stored now can be used without validation, and the reason. If it had a
/// lifetime which is over already, the reason is that.
pub fn usable_for(stored: &StoredHead, options: &Options) -> (Seconds, Reason) {
    let governing = Governing::of(&stored.head.fields, options);
    match lifetime(stored, &governing, options) {
        _ if governing.always_validate() => (Seconds(0), governing.reason(Reason::NoCache)),
        (lifetime, _) if lifetime > Seconds(0) && lifetime <= stored.initial_age => {
            (Seconds(0), Reason::LifetimeUsedUp)
        }
        (lifetime, by) => (lifetime.saturating_sub(stored.initial_age), by),
    }
}

pub(super) fn lifetime(stored: &StoredHead, governing: &Governing, options: &Options) -> (Seconds, Reason) {
    let (lifetime, by) = match explicit_lifetime(&stored.head.fields, governing, stored.received) {
        // the rule counts from when the response came in
        Some((lifetime, by @ Reason::TtlByRule)) => (lifetime.saturating_add(stored.initial_age), by),
        Some(explicit) => explicit,
        None => invented_lifetime(stored, governing, options),
    };
    options.steering.clamp(lifetime, by, stored.initial_age)
}

/// Returns the lifetime that the response itself gives, if any (RFC 9111 §4.2.1). `received` is the wall clock when the
/// response came in.
pub(super) fn explicit_lifetime(
    response: &Fields,
    governing: &Governing,
    received: Timestamp,
) -> Option<(Seconds, Reason)> {
    let said = &governing.directives;
    match governing.replaced {
        Some(Replaced::Surrogate(seconds)) => return Some((seconds, Reason::SurrogateControl)),
        Some(Replaced::Accel(seconds)) => return Some((seconds, Reason::AccelExpires)),
        Some(Replaced::AccelAt(time)) => return Some((time.since(date_of(response, received)), Reason::AccelExpires)),
        Some(Replaced::Rule(seconds)) => return Some((seconds, Reason::TtlByRule)),
        None => {}
    }
    let targeted = |reason| if governing.targeted { Reason::CdnCacheControl } else { reason };
    if let Some(seconds) = said.s_maxage {
        return Some((seconds, targeted(Reason::SMaxage)));
    }
    if let Some(seconds) = said.max_age {
        return Some((seconds, targeted(Reason::MaxAge)));
    }
    if governing.targeted || !response.contains(&EXPIRES) {
        return None;
    }
    // an invalid date, or one of several, counts as the past (RFC 9111 §5.3)
    let lifetime = match date::only(response, &EXPIRES, received) {
        Some(expires) => expires.since(date_of(response, received)),
        None => Seconds(0),
    };
    Some((lifetime, Reason::Expires))
}

/// Returns the lifetime that is invented for a response that gives none itself (RFC 9111 §4.2.2). It is at most the
/// option `default_ttl`.
fn invented_lifetime(stored: &StoredHead, governing: &Governing, options: &Options) -> (Seconds, Reason) {
    const NONE: (Seconds, Reason) = (Seconds(0), Reason::NoFreshness);
    let ResponseHead { status, fields } = &stored.head;
    let longest = options.default_ttl;
    if longest == Seconds(0) {
        return NONE;
    }
    if is_playlist(fields) {
        return (Seconds(0), Reason::Playlist);
    }
    if is_pragma_no_cache(fields) {
        return (Seconds(0), Reason::PragmaNoCache);
    }
    if is_stream(fields) {
        return NONE;
    }
    if options.strict {
        let allowed = heuristically_cacheable(*status, options) || governing.directives.public;
        return tenth(stored, longest).filter(|_| allowed).unwrap_or(NONE);
    }
    match invented_for(*status) {
        _ if stored.credentials => NONE,
        Some(Invented::Negative) if options.negative_ttl == Seconds(0) => NONE,
        // the origin's clock may be wrong by more than so short a time, so that what the response says of its age is
        // left out
        Some(Invented::Negative) => {
            (options.negative_ttl.min(longest).saturating_add(stored.initial_age), Reason::NegativeTtl)
        }
        Some(Invented::Default) if !answers_query(&stored.nominated) => {
            tenth(stored, longest).unwrap_or((longest, Reason::DefaultTtl))
        }
        _ => NONE,
    }
}

/// Returns a tenth of the time between Last-Modified and Date, `longest` at most. Returns `None` without a valid
/// Last-Modified.
fn tenth(stored: &StoredHead, longest: Seconds) -> Option<(Seconds, Reason)> {
    let fields = &stored.head.fields;
    let modified = date::only(fields, &LAST_MODIFIED, stored.received)?;
    let tenth = Seconds(date_of(fields, stored.received).since(modified).0 / 10);
    Some(if tenth > longest { (longest, Reason::DefaultTtl) } else { (tenth, Reason::LastModified) })
}

/// Which lifetime is invented for a status.
enum Invented {
    /// The lifetime for content.
    Default,
    /// The short lifetime for redirects and missing resources.
    Negative,
}

/// Returns which lifetime is invented for a response with this status, if any. Other redirects have none, because they
/// carry the state of a login or a signed URL.
fn invented_for(status: StatusCode) -> Option<Invented> {
    match status.as_u16() {
        200 | 203 | 204 | 206 => Some(Invented::Default),
        301 | 308 | 404 | 405 | 410 => Some(Invented::Negative),
        _ => None,
    }
}

/// Returns true if a response with this status may be stored without explicit freshness. With `strict` these are the
/// statuses of RFC 9110 §15.1.
pub(super) fn heuristically_cacheable(status: StatusCode, options: &Options) -> bool {
    let by_rfc = || matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501);
    if options.strict { by_rfc() } else { invented_for(status).is_some() }
}

/// Returns `date_value` (RFC 9111 §4.2.3): when the origin says that it made the response, or, without a valid Date,
/// when the response came in.
pub(super) fn date_of(response: &Fields, received: Timestamp) -> Timestamp {
    date::only(response, &DATE, received).unwrap_or(received)
}

/// Returns `corrected_initial_age` (RFC 9111 §4.2.3).
pub(super) fn initial_age(response: &Fields, times: Times) -> Seconds {
    let apparent_age = times.received.since(date_of(response, times.received));
    let response_delay = times.response.since(times.request);
    let corrected_age = age::age(response).unwrap_or_default().saturating_add(response_delay);
    apparent_age.max(corrected_age)
}

/// Returns `current_age` (RFC 9111 §4.2.3).
pub fn current_age(stored: &StoredHead, now: Timestamp) -> Seconds {
    stored.initial_age.saturating_add(now.since(stored.response_time))
}

/// Returns true if a stored response has been stale for so long that it is not worth its space. Any request for it
/// since would have validated it, so nobody asks for it.
pub fn is_dead(stored: &StoredHead, now: Timestamp, options: &Options) -> bool {
    let governing = Governing::of(&stored.head.fields, options);
    let said = &governing.directives;
    let windows = said.stale_while_revalidate.max(said.stale_if_error).unwrap_or_default();
    let freshness = Freshness::of(stored, &governing, now, options);
    !freshness.clock_went_back && !freshness.stale_within(KEPT.saturating_add(windows))
}

/// Returns the verdict of the purge rules on a stored response. It may depend on whether the lifetime was invented.
pub(super) fn liveness(stored: &StoredHead, standing: Standing, governing: &Governing) -> Liveness {
    if standing.if_invented == standing.liveness {
        return standing.liveness;
    }
    match explicit_lifetime(&stored.head.fields, governing, stored.received) {
        Some(_) => standing.liveness,
        None => standing.if_invented,
    }
}

/// What a stored response is good for, for a plain request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    pub age: Seconds,
    /// Seconds until it is stale. Zero or less: it is stale.
    pub left: i64,
    /// It must be validated before each use, or because it was invalidated.
    pub must_validate: bool,
}

impl Outlook {
    pub fn is_stale(&self) -> bool {
        self.left <= 0
    }
}

/// Returns what a stored response is good for now. `standing`: what the purge rules say of it.
pub fn outlook(stored: &StoredHead, standing: Standing, now: Timestamp, options: &Options) -> Outlook {
    let governing = Governing::of(&stored.head.fields, options);
    let freshness = Freshness::of(stored, &governing, now, options).purged(stored, standing, now);
    let seconds = |seconds: Seconds| i64::try_from(seconds.0).unwrap_or(i64::MAX);
    let is_invalidated = stored.invalidated || liveness(stored, standing, &governing) >= Liveness::MustValidate;
    Outlook {
        age: freshness.age,
        left: seconds(freshness.lifetime).saturating_sub(seconds(freshness.age)),
        must_validate: is_invalidated || governing.always_validate() || freshness.clock_went_back,
    }
}

/// The freshness of a stored response at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Freshness {
    pub age: Seconds,
    pub lifetime: Seconds,
    /// The reason for the lifetime.
    pub lifetime_by: Reason,
    /// The response was stored at a time that lies in the future now. The clock went back across a restart, and the age
    /// is unknown.
    pub clock_went_back: bool,
}

impl Freshness {
    pub fn of(stored: &StoredHead, governing: &Governing, now: Timestamp, options: &Options) -> Freshness {
        let (lifetime, lifetime_by) = lifetime(stored, governing, options);
        Freshness {
            age: current_age(stored, now),
            lifetime,
            lifetime_by,
            clock_went_back: stored.response_time > now.plus(Seconds(1)),
        }
    }

    /// Returns the freshness after the purge rules: a soft purge makes the response stale from then on.
    pub fn purged(self, stored: &StoredHead, standing: Standing, now: Timestamp) -> Freshness {
        let Some(since) = standing.soft_since else { return self };
        // the purge names a time of the wall clock: `received` and `response_time` are the same moment on both clocks
        let wall = stored.received.0.saturating_add(now.0.saturating_sub(stored.response_time.0));
        let ago = Timestamp(wall).since(Timestamp(i64::try_from(since).unwrap_or(i64::MAX)));
        Freshness { lifetime: self.lifetime.min(self.age.saturating_sub(ago)), ..self }
    }

    pub fn is_fresh(&self) -> bool {
        !self.clock_went_back && self.lifetime > self.age
    }

    /// Returns true if the response is fresh, or has been stale for at most `limit`.
    pub fn stale_within(&self, limit: Seconds) -> bool {
        !self.clock_went_back && self.age.saturating_sub(self.lifetime) <= limit
    }
}
