//! Answers: the fields that Larder adds, and the part that was asked for.

use std::{
    hash::{BuildHasher, RandomState},
    rc::Rc,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::header;

use super::{
    Context, access,
    content::{Segment, Source, body, relay, stream},
    fill::FillReader,
    refusal::problem,
    warning::Warning,
};
use crate::{
    client::{Reply, ReplyBody},
    clock::Timestamp,
    fields::{cache_status::CacheStatus, digests_content},
    message::{FieldName, FieldValue, Fields, Method, Request, ResponseHead, StatusCode, StoredHead, StoredResponse},
    origin::{OriginError, OriginResponse},
    policy::{
        Fwd, Reason,
        freshness::{current_age, freshness_lifetime},
        selection::{self, Selection, select},
    },
};

/// The fields that Larder writes on every answer from the store.
const OWN: [&str; 4] = ["age", "cache-status", "via", "x-cache"];

/// How an answer came about: Cache-Status, X-Cache and the log say it.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// `None`: the origin was not asked.
    pub fwd: Option<Fwd>,
    pub fwd_status: Option<u16>,
    pub reason: Reason,
    /// The bytes came from the cache, though the origin was asked.
    pub from_cache: bool,
    pub stored: bool,
    pub collapsed: bool,
}

impl Verdict {
    pub fn forwarded(fwd: Fwd, reason: Reason) -> Verdict {
        Verdict { fwd: Some(fwd), fwd_status: None, reason, from_cache: false, stored: false, collapsed: false }
    }

    fn hit(reason: Reason) -> Verdict {
        Verdict { fwd: None, fwd_status: None, reason, from_cache: true, stored: false, collapsed: false }
    }

    /// HIT: the bytes came from the cache.
    pub fn word(&self) -> &'static str {
        if self.from_cache { "HIT" } else { "MISS" }
    }

    fn cache_status(&self, ttl: Option<i64>) -> CacheStatus {
        CacheStatus {
            hit: self.fwd.is_none(),
            fwd: self.fwd.map(Fwd::as_str),
            fwd_status: self.fwd_status,
            ttl,
            stored: self.stored,
            collapsed: self.collapsed,
            detail: Some(self.reason.as_str()),
        }
    }
}

/// A fresh (or allowed stale) stored response.
pub fn hit(
    cx: &Rc<Context>,
    request: &Request,
    stored: &StoredResponse,
    reason: Reason,
    now: Timestamp,
    log: &mut access::Entry,
) -> Reply {
    self::stored(cx, request, stored, Verdict::hit(reason), now, log)
}

/// An answer from a stored response.
pub fn stored(
    cx: &Rc<Context>,
    request: &Request,
    stored: &StoredResponse,
    verdict: Verdict,
    now: Timestamp,
    log: &mut access::Entry,
) -> Reply {
    let source = Source::Stored(stored.body.clone());
    let length = stored.body.length();
    from_stored_head(cx, request, &stored.head, source, Some(length), verdict, now, log)
}

/// An answer from a response that is being stored, for a client that did not cause it.
pub fn filling(
    cx: &Rc<Context>,
    request: &Request,
    head: &StoredHead,
    reader: FillReader,
    length: Option<u64>,
    verdict: Verdict,
    log: &mut access::Entry,
) -> Reply {
    from_stored_head(cx, request, head, Source::Fill(reader), length, verdict, cx.clock.now(), log)
}

#[expect(clippy::too_many_arguments, reason = "what an answer is made from")]
fn from_stored_head(
    cx: &Rc<Context>,
    request: &Request,
    head: &StoredHead,
    source: Source,
    length: Option<u64>,
    mut verdict: Verdict,
    now: Timestamp,
    log: &mut access::Entry,
) -> Reply {
    let age = current_age(head, now);
    let (lifetime, named_by) = freshness_lifetime(head, &cx.policy);
    // a lifetime that the origin did not name is said to be none of its making
    if verdict.reason == Reason::Fresh && matches!(named_by, Reason::DefaultTtl | Reason::LastModified) {
        verdict.reason = named_by;
    }
    let ttl = (lifetime.0.min(i64::MAX as u64) as i64).saturating_sub(age.0.min(i64::MAX as u64) as i64);
    let mut fields = own_fields(cx, &head.head.fields, &verdict, Some(ttl));
    fields.append(header::AGE, FieldValue::from(age.0));
    let whole = match head.part {
        Some(part) => part.complete,
        None => length,
    };
    cut(cx, request, head, fields, source, whole, length, verdict, log)
}

/// The answer for the client that caused a response to be stored: with the origin's own fields.
#[expect(clippy::too_many_arguments, reason = "what an answer is made from")]
pub fn fresh_from_origin(
    cx: &Rc<Context>,
    request: &Request,
    head: ResponseHead,
    stored: &StoredHead,
    reader: FillReader,
    length: Option<u64>,
    verdict: Verdict,
    log: &mut access::Entry,
) -> Reply {
    let fields = own_fields(cx, &head.fields, &verdict, None);
    if stored.part.is_some() || head.status != StatusCode::OK {
        let body = body(request, Source::Fill(reader), 0, length);
        return finish(head.status, fields, body, verdict, log);
    }
    cut(cx, request, stored, fields, Source::Fill(reader), length, length, verdict, log)
}

/// A response for this client alone.
pub fn relayed(
    cx: &Rc<Context>,
    request: &Request,
    response: OriginResponse,
    verdict: Verdict,
    log: &mut access::Entry,
) -> Reply {
    let OriginResponse { head, length, body, .. } = response;
    let fields = own_fields(cx, &head.fields, &verdict, None);
    let body = match (request.method == Method::HEAD, head.status.as_u16()) {
        (true, _) => ReplyBody::Empty(length),
        (_, 204 | 304) => ReplyBody::Empty(None),
        _ if length == Some(0) => ReplyBody::Empty(Some(0)),
        _ => ReplyBody::Stream { length, pieces: Box::pin(relay(body)) },
    };
    finish(head.status, fields, body, verdict, log)
}

/// The origin did not answer.
pub fn failed(cx: &Rc<Context>, error: &OriginError, verdict: Verdict, log: &mut access::Entry) -> Reply {
    static NO_ANSWER: Warning = Warning::new();
    NO_ANSWER.say(format_args!("{error} ({})", cx.site_url));
    let status = error.status();
    let mut fields = own_fields(cx, &Fields::new(), &verdict, None);
    append(&mut fields, "proxy-status", &format!("larder; error={}", error.proxy_status()));
    let body = problem(&mut fields, status, error.public());
    finish(status, fields, body, verdict, log)
}

/// The response's fields with what Larder says about it; no framing fields, no Age where a new one follows.
fn own_fields(cx: &Context, theirs: &Fields, verdict: &Verdict, ttl: Option<i64>) -> Fields {
    let mut fields = Fields::with_capacity(theirs.len() + 5);
    for (name, value) in theirs.iter() {
        let replaced =
            *name == header::CONTENT_LENGTH || (ttl.is_some() && *name == header::AGE) || name.as_str() == "x-cache";
        if !replaced {
            fields.append(name.clone(), value.clone());
        }
    }
    fields.append(FieldName::from_static("x-cache"), FieldValue::from_static(verdict.word()));
    verdict.cache_status(ttl).append_to(&mut fields);
    fields.append(header::VIA, cx.via.clone());
    fields
}

/// The part of a response that answers the request's conditions and ranges.
#[expect(clippy::too_many_arguments, reason = "what an answer is made from")]
fn cut(
    cx: &Context,
    request: &Request,
    stored: &StoredHead,
    mut fields: Fields,
    source: Source,
    whole: Option<u64>,
    held: Option<u64>,
    verdict: Verdict,
    log: &mut access::Entry,
) -> Reply {
    let selection = match select(request, stored, whole, &cx.policy) {
        // a fill that turns into a relay goes forward only
        Selection::Parts(ranges) if matches!(source, Source::Fill(_)) && !ranges.is_sorted() => Selection::Whole,
        selection => selection,
    };
    let first = stored.part.map_or(0, |part| part.first);
    let total = whole.map_or("*".to_owned(), |whole| whole.to_string());
    let range = |from: u64, to: u64| format!("bytes {from}-{to}/{total}");
    let (status, body) = match selection {
        Selection::Whole => (stored.head.status, body(request, source, 0, held)),
        Selection::NotModified => {
            let kept = selection::not_modified_fields(&stored.head);
            // a cookie is there only where the origin sent it to this client
            fields.retain(|name, _| kept.contains(name) || OWN.contains(&name.as_str()) || *name == header::SET_COOKIE);
            (StatusCode::NOT_MODIFIED, ReplyBody::Empty(None))
        }
        Selection::Part(from, to) => {
            fields.retain(|name, _| !digests_content(name));
            append(&mut fields, "content-range", &range(from, to));
            (StatusCode::PARTIAL_CONTENT, body(request, source, from - first, Some(to - from + 1)))
        }
        Selection::Parts(ranges) => {
            fields.retain(|name, _| !digests_content(name));
            let inner = fields.first(&header::CONTENT_TYPE).cloned();
            let boundary = boundary();
            let opening = |from, to| {
                let mut text = format!("\r\n--{boundary}\r\n").into_bytes();
                if let Some(inner) = &inner {
                    text.extend_from_slice(b"content-type: ");
                    text.extend_from_slice(inner.as_bytes());
                    text.extend_from_slice(b"\r\n");
                }
                text.extend_from_slice(format!("content-range: {}\r\n\r\n", range(from, to)).as_bytes());
                Bytes::from(text)
            };
            let mut segments = Vec::with_capacity(ranges.len() * 2 + 1);
            for (from, to) in ranges {
                segments.push(Segment::Text(opening(from, to)));
                segments.push(Segment::Body(from - first, to - from + 1));
            }
            segments.push(Segment::Text(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
            fields.remove(&header::CONTENT_TYPE);
            append(&mut fields, "content-type", &format!("multipart/byteranges; boundary={boundary}"));
            let length = segments.iter().map(Segment::length).sum();
            (StatusCode::PARTIAL_CONTENT, stream(request, source, segments, Some(length)))
        }
        Selection::NotSatisfiable => {
            // about this request alone, with nothing by which a cache could take it for the representation
            let kept =
                |name: &FieldName| *name == header::DATE || OWN.contains(&name.as_str()) || is_for_browsers(name);
            fields.retain(|name, _| kept(name));
            append(&mut fields, "cache-control", "no-store");
            append(&mut fields, "content-range", &format!("bytes */{total}"));
            (StatusCode::RANGE_NOT_SATISFIABLE, ReplyBody::Empty(Some(0)))
        }
    };
    finish(status, fields, body, verdict, log)
}

/// What lets a page of another site see an answer at all.
fn is_for_browsers(name: &FieldName) -> bool {
    name.as_str().starts_with("access-control-") || name.as_str().starts_with("cross-origin-")
}

/// What stands between the parts of one multipart/byteranges answer: stored content that held it could make up parts.
fn boundary() -> String {
    static SEED: LazyLock<[u8; 32]> = LazyLock::new(|| {
        let random = RandomState::new();
        let mut seed = [0; 32];
        for (n, word) in seed.chunks_mut(8).enumerate() {
            word.copy_from_slice(&random.hash_one(n).to_le_bytes());
        }
        seed
    });
    static ANSWERS: AtomicU64 = AtomicU64::new(0);
    let answer = ANSWERS.fetch_add(1, Ordering::Relaxed);
    format!("larder-{}", &blake3::keyed_hash(&SEED, &answer.to_le_bytes()).to_hex()[..32])
}

pub(super) fn finish(
    status: StatusCode,
    fields: Fields,
    body: ReplyBody,
    verdict: Verdict,
    log: &mut access::Entry,
) -> Reply {
    log.settle(status, &verdict);
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let body = if bodiless { ReplyBody::Empty(None) } else { body };
    Reply { status, fields, body }
}

pub(super) fn append(fields: &mut Fields, name: &'static str, value: &str) {
    if let Ok(value) = FieldValue::from_str(value) {
        fields.append(FieldName::from_static(name), value);
    }
}
