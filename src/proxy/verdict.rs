//! An answer, and how it came about.

use std::{borrow::Cow, rc::Rc, sync::Arc, time::Duration};

use super::{failure, fill::Fill, steered::Effective};
use crate::{
    client::{Reply, ReplyBody, Trailers},
    clock::Seconds,
    fields::cache_status::CacheStatus,
    message::{FieldName, FieldValue, Fields, StatusCode, WrittenFields, WrittenLines},
    origin::OriginError,
    policy::{Fwd, Reason, Times},
};

/// How an answer came about. Cache-Status, X-Cache, the log and the counts are made from it.
#[derive(Clone)]
pub struct Verdict {
    /// Why the origin was asked. `None` if it was not.
    pub fwd: Option<Fwd>,
    /// The status of the origin's answer.
    pub fwd_status: Option<u16>,
    pub reason: Reason,
    /// How many seconds the stored response stays fresh. A negative number says how long it has been stale.
    pub ttl: Option<i64>,
    /// The age in seconds, if the answer comes from a stored response.
    pub age: Option<u64>,
    /// True if the bytes came from the cache, even if the origin was asked.
    pub from_cache: bool,
    pub tier: Tier,
    /// True if the origin's answer is being stored.
    pub stored: bool,
    /// The body that is being stored. At the end of the answer it tells whether the body was stored.
    pub fill: Option<Arc<Fill>>,
    /// True if the request waited for another request's answer from the origin.
    pub collapsed: bool,
    /// How long the origin's answer will be fresh once it is stored, and the reason. Zero means that each use needs
    /// validation.
    pub stored_for: Option<(Seconds, Reason)>,
    /// Why the origin gave no answer.
    pub failure: Option<Box<OriginError>>,
    /// The time from sending the request to the head of the origin's answer.
    pub origin_time: Option<Duration>,
    /// What the rules set for this answer. A reason that comes from a rule names it.
    pub steered: Option<Rc<Effective>>,
}

/// The place where the bytes of an answer come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    Memory,
    Disk,
    Origin,
    /// Larder made the answer.
    Larder,
}

impl Tier {
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::Memory => "memory",
            Tier::Disk => "disk",
            Tier::Origin => "the origin",
            Tier::Larder => "Larder",
        }
    }
}

impl Verdict {
    pub fn forwarded(fwd: Fwd, reason: Reason) -> Verdict {
        Verdict {
            fwd: Some(fwd),
            fwd_status: None,
            reason,
            ttl: None,
            age: None,
            from_cache: false,
            tier: Tier::Origin,
            stored: false,
            fill: None,
            collapsed: false,
            stored_for: None,
            failure: None,
            origin_time: None,
            steered: None,
        }
    }

    pub fn hit(reason: Reason, tier: Tier) -> Verdict {
        Verdict { fwd: None, from_cache: true, tier, ..Verdict::forwarded(Fwd::Miss, reason) }
    }

    /// Returns the verdict on a request that Larder answers itself, without asking the origin.
    pub fn refused(reason: Reason) -> Verdict {
        Verdict { fwd: None, tier: Tier::Larder, ..Verdict::forwarded(Fwd::Bypass, reason) }
    }

    /// Returns the verdict for an answer that Larder makes because the origin could not.
    pub fn failed(self, error: &OriginError) -> Verdict {
        let (reason, failure) = (failure::reason(error), Some(Box::new(error.clone())));
        Verdict {
            tier: Tier::Larder,
            reason,
            failure,
            fwd_status: failure::status_of(error).or(self.fwd_status),
            ..self
        }
    }

    /// Returns the verdict after an exchange with the origin.
    pub fn answered(self, status: u16, times: Times) -> Verdict {
        let waited = times.response.0.saturating_sub(times.request.0);
        let origin_time = Some(Duration::from_millis(u64::try_from(waited).unwrap_or(0)));
        Verdict { fwd_status: Some(status), origin_time, ..self }
    }

    /// Returns the verdict for an answer from a stored response after the origin was to be asked.
    pub fn using_stored(self, reason: Reason) -> Verdict {
        Verdict { reason, from_cache: true, tier: Tier::Memory, ..self }
    }

    /// Returns the verdict for an answer of the origin that is stored, or not for the reason `not_stored`.
    pub fn kept(self, not_stored: Option<Reason>) -> Verdict {
        Verdict { stored: not_stored.is_none(), reason: not_stored.unwrap_or(self.reason), ..self }
    }

    /// Returns the word of X-Cache. HIT means that the bytes came from the cache.
    pub fn word(&self) -> &'static str {
        if self.from_cache { "HIT" } else { "MISS" }
    }

    /// Returns the words for a reason. A reason that comes from a rule is told as the rule says it.
    pub fn words(&self, reason: Reason) -> Cow<'static, str> {
        match self.steered.as_deref().and_then(|steered| steered.words(reason)) {
            Some(words) => words.into(),
            None => reason.as_str().into(),
        }
    }

    /// Returns Larder's member of Cache-Status (RFC 9211).
    pub fn cache_status(&self) -> CacheStatus {
        let because = self.failure.as_deref().filter(|_| self.reason == Reason::StaleByDefault);
        let because = because.map(|failure| failure::reason(failure).as_str());
        let detail = match because {
            Some(_) => Reason::Stale.as_str().into(),
            None => self.words(self.reason),
        };
        CacheStatus {
            hit: self.fwd.is_none() && self.from_cache,
            fwd: self.fwd.map(Fwd::as_str),
            fwd_status: self.fwd_status,
            ttl: self.ttl,
            stored: self.stored,
            collapsed: self.collapsed,
            detail: Some(detail),
            because,
        }
    }
}

/// An answer for the client, and how it came about.
pub struct Answer {
    pub reply: Reply,
    pub verdict: Verdict,
}

impl Answer {
    /// Makes an answer. `fields` must be without the fields that Larder adds to every answer. `via` is Larder's Via
    /// line, for relayed responses.
    pub fn new(
        status: StatusCode,
        mut fields: Fields,
        body: ReplyBody,
        via: Option<&FieldValue>,
        verdict: Verdict,
    ) -> Answer {
        append_own(&mut fields, via, &verdict);
        Answer { reply: Answer::reply(status, None, fields, body), verdict }
    }

    /// The same for a response whose lines were written already: Larder's own lines are written behind them.
    pub fn of_written(
        status: StatusCode,
        stored: WrittenFields,
        body: ReplyBody,
        via: &FieldValue,
        verdict: Verdict,
    ) -> Answer {
        let written = WrittenLines { stored, own: own_lines(via, &verdict) };
        Answer { reply: Answer::reply(status, Some(written), Fields::new(), body), verdict }
    }

    fn reply(status: StatusCode, written: Option<WrittenLines>, fields: Fields, body: ReplyBody) -> Reply {
        let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = if bodiless { ReplyBody::Empty(None) } else { body };
        Reply { status, written, fields, body, trailers: Trailers::default() }
    }
}

impl Answer {
    /// Returns the answer with trailers. They are sent only if the body is chunked.
    pub fn with_trailers(mut self, trailers: Trailers) -> Answer {
        self.reply.trailers = trailers;
        self
    }
}

/// Appends the fields that Larder adds, always last and in this order: Via, Age, Cache-Status, X-Cache.
fn append_own(fields: &mut Fields, via: Option<&FieldValue>, verdict: &Verdict) {
    if let Some(via) = via {
        fields.append(http::header::VIA, via.clone());
    }
    if let Some(age) = verdict.age {
        append(fields, "age", itoa::Buffer::new().format(age));
    }
    verdict.cache_status().append_to(fields);
    fields.append(FieldName::from_static("x-cache"), FieldValue::from_static(verdict.word()));
}

/// The length of Larder's own lines in most answers, in bytes, rounded up.
const OWN_LINES: usize = 192;

/// Returns the lines of the fields that [`append_own`] appends.
fn own_lines(via: &FieldValue, verdict: &Verdict) -> Vec<u8> {
    let mut lines = Vec::with_capacity(OWN_LINES);
    for part in [b"Via: ", via.as_bytes(), b"\r\n"] {
        lines.extend_from_slice(part);
    }
    if let Some(age) = verdict.age {
        for part in [b"Age: ", itoa::Buffer::new().format(age).as_bytes(), b"\r\n"] {
            lines.extend_from_slice(part);
        }
    }
    lines.extend_from_slice(b"Cache-Status: ");
    verdict.cache_status().write(&mut lines);
    for part in [b"\r\nX-Cache: ", verdict.word().as_bytes(), b"\r\n"] {
        lines.extend_from_slice(part);
    }
    lines
}

/// Appends a field line whose value Larder has made.
pub fn append(fields: &mut Fields, name: &'static str, value: &str) {
    if let Ok(value) = FieldValue::from_str(value) {
        fields.append(FieldName::from_static(name), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::lines;

    #[test]
    fn larders_own_lines_are_those_of_its_own_fields() {
        let via = FieldValue::from_static("1.1 larder");
        let fresh = Verdict { age: Some(17), ttl: Some(-3), ..Verdict::hit(Reason::Fresh, Tier::Memory) };
        let forwarded =
            Verdict { fwd_status: Some(304), stored: true, ..Verdict::forwarded(Fwd::Stale, Reason::Stale) };
        let collapsed = Verdict { collapsed: true, ..forwarded.clone() };
        let failed = fresh.clone().failed(&OriginError::Crowded).using_stored(Reason::StaleByDefault);
        for verdict in [fresh, forwarded, collapsed, failed, Verdict::refused(Reason::OnlyIfCached)] {
            let mut fields = Fields::new();
            append_own(&mut fields, Some(&via), &verdict);
            let own = String::from_utf8(own_lines(&via, &verdict)).unwrap();
            assert_eq!(own, String::from_utf8(lines::written(&fields).lines.to_vec()).unwrap());
        }
    }
}
