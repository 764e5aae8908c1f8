//! Age and lifetime (RFC 9111 §4.2).

use http::header::{DATE, EXPIRES, LAST_MODIFIED};

use super::{Options, Reason, Times, directives::Governing};
use crate::{
    clock::{Seconds, Timestamp},
    fields::{age, date},
    message::{Fields, ResponseHead, StatusCode, StoredHead},
};

/// The longest heuristic lifetime: a week.
const LONGEST_HEURISTIC: Seconds = Seconds(7 * 24 * 3600);

/// How long a response that may not be used stale any more is kept: thirty days.
const KEPT: Seconds = Seconds(30 * 24 * 3600);

/// Returns how long a response is fresh, and what determines that (RFC 9111 §4.2.1, §4.2.2, RFC 9213).
pub fn freshness_lifetime(stored: &StoredHead, options: &Options) -> (Seconds, Reason) {
    lifetime(stored, &Governing::of(&stored.head.fields), options)
}

/// Returns for how long a response that is stored now can be used without validation, and what determines that.
pub fn usable_for(stored: &StoredHead, options: &Options) -> (Seconds, Reason) {
    let governing = Governing::of(&stored.head.fields);
    match lifetime(stored, &governing, options) {
        _ if governing.always_validate() => (Seconds(0), governing.reason(Reason::NoCache)),
        (lifetime, by) => (lifetime.saturating_sub(stored.initial_age), by),
    }
}

pub(super) fn lifetime(stored: &StoredHead, governing: &Governing, options: &Options) -> (Seconds, Reason) {
    explicit_lifetime(&stored.head.fields, governing, stored.received)
        .unwrap_or_else(|| heuristic_lifetime(stored, governing, options))
}

/// Returns the lifetime that the response itself gives: the first of s-maxage, max-age and Expires that is there
/// (RFC 9111 §4.2.1). `received` is the wall clock when the response came in.
pub(super) fn explicit_lifetime(
    response: &Fields,
    governing: &Governing,
    received: Timestamp,
) -> Option<(Seconds, Reason)> {
    let said = &governing.directives;
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

/// Returns the heuristic lifetime (RFC 9111 §4.2.2), or the default lifetime.
fn heuristic_lifetime(stored: &StoredHead, governing: &Governing, options: &Options) -> (Seconds, Reason) {
    const NONE: (Seconds, Reason) = (Seconds(0), Reason::NoFreshness);
    let ResponseHead { status, fields } = &stored.head;
    let allowed = match options.strict {
        true => heuristically_cacheable(*status, options) || governing.directives.public,
        false => heuristically_cacheable(*status, options) && !stored.credentials,
    };
    if !allowed {
        return NONE;
    }
    match date::only(fields, &LAST_MODIFIED, stored.received) {
        Some(modified) => {
            let tenth = Seconds(date_of(fields, stored.received).since(modified).0 / 10);
            (tenth.min(LONGEST_HEURISTIC), Reason::LastModified)
        }
        None if options.strict || options.default_ttl == Seconds(0) => NONE,
        None => (options.default_ttl, Reason::DefaultTtl),
    }
}

/// Returns true if a response with this status may be stored without explicit freshness (RFC 9110 §15.1). Unless
/// strict, this does not include refusals.
pub(super) fn heuristically_cacheable(status: StatusCode, options: &Options) -> bool {
    match status.as_u16() {
        200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 410 => true,
        405 | 414 | 501 => options.strict,
        _ => false,
    }
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
    let governing = Governing::of(&stored.head.fields);
    let said = &governing.directives;
    let windows = said.stale_while_revalidate.max(said.stale_if_error).unwrap_or_default();
    let freshness = Freshness::of(stored, &governing, now, options);
    !freshness.clock_went_back && !freshness.stale_within(KEPT.saturating_add(windows))
}

/// The freshness of a stored response at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Freshness {
    pub age: Seconds,
    pub lifetime: Seconds,
    /// The response was stored at a time that lies in the future now. The clock went back across a restart, and the age
    /// is unknown.
    pub clock_went_back: bool,
}

impl Freshness {
    pub fn of(stored: &StoredHead, governing: &Governing, now: Timestamp, options: &Options) -> Freshness {
        Freshness {
            age: current_age(stored, now),
            lifetime: lifetime(stored, governing, options).0,
            clock_went_back: stored.response_time > now.plus(Seconds(1)),
        }
    }

    pub fn is_fresh(&self) -> bool {
        !self.clock_went_back && self.lifetime > self.age
    }

    /// Returns true if the response is fresh, or has been stale for at most `limit`.
    pub fn stale_within(&self, limit: Seconds) -> bool {
        !self.clock_went_back && self.age.saturating_sub(self.lifetime) <= limit
    }
}
