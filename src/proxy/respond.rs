//! Makes answers: the fields of a response, and the part of it that was asked for.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::header;

use super::{
    content::{Segment, Source, body, relay, stream},
    context::Asked,
    cookies, failure,
    fill::FillReader,
    gaps::Composite,
    landing::Filling,
    refusal::problem,
    verdict::{Answer, Tier, Verdict, append},
    warning::Warning,
};
use crate::{
    client::{ReplyBody, Trailers},
    clock::Timestamp,
    fields::{control::Controlled, digests_content, lines, tags::is_of_tags},
    message::{FieldName, FieldValue, Fields, Method, ResponseHead, StatusCode, StoredHead},
    origin::{OriginError, OriginResponse},
    policy::{
        Reason,
        freshness::{current_age, freshness_lifetime, usable_for},
        parts,
        selection::{self, Selection, select},
    },
    store::StoredResponse,
};

/// The bytes of a representation.
struct Body {
    source: Source,
    /// The number of bytes that `source` has. `None` until its end has come.
    held: Option<u64>,
    /// The length of the whole representation, if it is known.
    whole: Option<u64>,
}

/// Makes an answer from a stored response that is fresh or may be used stale.
pub fn hit(asked: &Asked, stored: &StoredResponse, reason: Reason, tier: Tier, now: Timestamp) -> Answer {
    self::stored(asked, stored, Vec::new(), Verdict::hit(reason, tier), now)
}

/// Makes an answer from a stored response. `cookies` are the cookies that the origin sent to this client alone.
pub fn stored(
    asked: &Asked,
    stored: &StoredResponse,
    cookies: Vec<FieldValue>,
    verdict: Verdict,
    now: Timestamp,
) -> Answer {
    stored.note_hit();
    let is_composite = stored.parts.as_ref().is_some_and(|parts| !parts.others.is_empty());
    let source = match is_composite {
        true => Source::Parts(Box::new(Composite::of_stored(asked, stored))),
        false => Source::Stored(stored.body.clone()),
    };
    let length = stored.length();
    let StoredResponse { head, derived, .. } = stored;
    let plain = cookies.is_empty()
        && !asked.steered.answer(&head.head).changes_answers()
        && !asked.policy().steering.forward_tags
        && head.part.is_none()
        && !head.head.fields.contains(&header::SET_COOKIE)
        // Connection must name it
        && !head.head.fields.contains(&header::UPGRADE)
        && select(&asked.request, head, Some(length)) == Selection::Whole;
    if !plain {
        return from_stored_head(asked, head, (source, Some(length)), cookies, verdict, now);
    }
    // the same lines for every answer: they are written once
    let written = derived
        .written
        .or_derive(|| lines::written(&relayed_fields(asked, &head.head.fields, |name| *name == header::AGE)));
    let verdict = aged(asked, stored, verdict, now);
    let body = body(&asked.request, source, 0, Some(length));
    Answer::of_written(head.head.status, written.clone(), body, &asked.cx.via, verdict)
}

/// Makes an answer from a response that another request fetches. `cookies` are the cookies that the origin sent to this
/// client alone.
pub fn filling(
    asked: &Asked,
    filling: &Filling,
    reader: FillReader,
    cookies: Vec<FieldValue>,
    verdict: Verdict,
) -> Answer {
    let trailers = reader.trailers();
    let body = (Source::Fill(reader), filling.length);
    let now = asked.cx.clock.now();
    from_stored_head(asked, &filling.head, body, cookies, verdict, now).with_trailers(trailers)
}

/// Makes an answer from stored parts and the bytes that they lack. `filling` closes the first gap.
pub fn completed(
    asked: &Asked,
    stored: &Arc<StoredResponse>,
    filling: &Filling,
    reader: FillReader,
    verdict: Verdict,
) -> Answer {
    let head = parts::completed(&asked.request, &stored.head, &filling.head);
    // a whole is as long as its parts say
    let whole = filling.head.part.or(stored.head.part).and_then(|part| part.complete);
    let (first, length) = head.part.map_or((0, whole), |part| (part.first, Some(part.length())));
    let source = Source::Parts(Box::new(Composite::completing(asked, stored, filling, reader, first)));
    from_stored_head(asked, &head, (source, length), Vec::new(), verdict, asked.cx.clock.now())
}

fn from_stored_head(
    asked: &Asked,
    head: &StoredHead,
    (source, held): (Source, Option<u64>),
    cookies: Vec<FieldValue>,
    verdict: Verdict,
    now: Timestamp,
) -> Answer {
    let verdict = aged(asked, head, verdict, now);
    let mut fields = relayed_fields(asked, &head.head.fields, |name| *name == header::AGE);
    cookies.into_iter().for_each(|cookie| fields.append(header::SET_COOKIE, fitting_cookie(asked, cookie)));
    let whole = match head.part {
        Some(part) => part.complete,
        None => held,
    };
    cut(asked, head, fields, Body { source, held, whole }, verdict)
}

/// Returns the verdict with the age of a stored response, and how long it is fresh.
pub fn aged(asked: &Asked, stored: &impl Controlled, mut verdict: Verdict, now: Timestamp) -> Verdict {
    let age = current_age(stored.as_ref(), now);
    let effective = asked.steered.answer(&stored.as_ref().head);
    let (lifetime, named_by) = freshness_lifetime(stored, &effective.policy);
    verdict.steered = Some(effective);
    // the client is told where an invented lifetime comes from
    let invented = matches!(
        named_by,
        Reason::DefaultTtl
            | Reason::LastModified
            | Reason::NegativeTtl
            | Reason::TtlByRule
            | Reason::MinTtlByRule
            | Reason::MaxTtlByRule
    );
    if verdict.reason == Reason::Fresh && invented {
        verdict.reason = named_by;
    }
    let ttl = (lifetime.0.min(i64::MAX as u64) as i64).saturating_sub(age.0.min(i64::MAX as u64) as i64);
    // a response that was purged softly is stale, although its lifetime is not over
    let is_stale = matches!(
        verdict.reason,
        Reason::StaleWhileRevalidate
            | Reason::RefreshedByRule
            | Reason::StaleIfError
            | Reason::StaleByDefault
            | Reason::MaxStale
    );
    let ttl = if is_stale { ttl.min(0) } else { ttl };
    (verdict.ttl, verdict.age) = (Some(ttl), Some(age.0));
    verdict
}

/// Returns the verdict with how long a response will be fresh that is being stored.
pub fn stored_for(asked: &Asked, head: &StoredHead, verdict: Verdict) -> Verdict {
    let effective = asked.steered.answer(&head.head);
    let stored_for = verdict.stored.then(|| usable_for(head, &effective.policy));
    Verdict { stored_for, steered: Some(effective), ..verdict }
}

/// Makes the answer for the client whose request fetched the response. It has the origin's own fields.
pub fn fresh_from_origin(
    asked: &Asked,
    head: &ResponseHead,
    filling: &Filling,
    reader: FillReader,
    verdict: Verdict,
) -> Answer {
    let verdict = stored_for(asked, &filling.head, verdict);
    let fields = relayed_fields(asked, &head.fields, |_| false);
    let trailers = reader.trailers();
    let (source, length) = (Source::Fill(reader), filling.length);
    if filling.head.part.is_some() || head.status != StatusCode::OK {
        let body = body(&asked.request, source, 0, length);
        return Answer::new(head.status, fields, body, Some(&asked.cx.via), verdict).with_trailers(trailers);
    }
    cut(asked, &filling.head, fields, Body { source, held: length, whole: length }, verdict).with_trailers(trailers)
}

/// Makes an answer from a response that is for this client alone.
pub fn relayed(asked: &Asked, response: OriginResponse, verdict: Verdict) -> Answer {
    let OriginResponse { head, length, body, .. } = response;
    let verdict = Verdict { steered: Some(asked.steered.answer(&head)), ..verdict };
    let fields = relayed_fields(asked, &head.fields, |_| false);
    let trailers = Trailers::to_come();
    let body = match (asked.request.method == Method::HEAD, head.status.as_u16()) {
        (true, _) => ReplyBody::Empty(length),
        (_, 204 | 304) => ReplyBody::Empty(None),
        _ if length == Some(0) => ReplyBody::Empty(Some(0)),
        _ => ReplyBody::Stream { length, pieces: Box::pin(relay(body, trailers.clone())) },
    };
    Answer::new(head.status, fields, body, Some(&asked.cx.via), verdict).with_trailers(trailers)
}

/// Makes the answer for a request that the origin did not answer, and logs why.
pub fn failed(asked: &Asked, error: &OriginError, verdict: Verdict) -> Answer {
    static NO_ANSWER: Warning = Warning::new();
    // this error is the client's: it did not send its content
    if *error != OriginError::Upload {
        let (said, site) = (error.to_string(), &asked.site);
        match said.contains(&site.url.authority) {
            true => NO_ANSWER.say(said),
            false => NO_ANSWER.say(format_args!("{said} ({})", site.name)),
        }
    }
    let status = error.status();
    let mut fields = Fields::with_capacity(7);
    let detail = failure::detail(error, &asked.site.name, asked.request.peer);
    let body = problem(&mut fields, status, &detail, Some(error.proxy_status()));
    Answer::new(status, fields, body, Some(&asked.cx.via), verdict.failed(error))
}

/// Returns the fields of a response without its framing, another cache's X-Cache, what lists its tags, and the fields that
/// `replaced` accepts. Cookies are made to fit the host that the client asked.
fn relayed_fields(asked: &Asked, theirs: &Fields, replaced: impl Fn(&FieldName) -> bool) -> Fields {
    let mut fields = Fields::with_capacity(theirs.len() + 5);
    let without_tags = !asked.policy().steering.forward_tags;
    for (name, value) in theirs.iter() {
        if without_tags && is_of_tags(name) {
            continue;
        }
        if *name == header::SET_COOKIE {
            fields.append(name.clone(), fitting_cookie(asked, value.clone()));
        } else if *name != header::CONTENT_LENGTH && name.as_str() != "x-cache" && !replaced(name) {
            fields.append(name.clone(), value.clone());
        }
    }
    fields
}

fn fitting_cookie(asked: &Asked, cookie: FieldValue) -> FieldValue {
    cookies::fitting(&cookie, &asked.request.target, asked.cx.port, &asked.site.url).unwrap_or(cookie)
}

/// Makes the answer from the part of a response that the request's conditions and ranges select.
fn cut(asked: &Asked, stored: &StoredHead, mut fields: Fields, content: Body, verdict: Verdict) -> Answer {
    let (request, Body { source, held, whole }) = (&*asked.request, content);
    let selection = match select(request, stored, whole) {
        // a fill may become a relay, which cannot go back
        Selection::Parts(ranges) if matches!(source, Source::Fill(_)) && !ranges.is_sorted() => Selection::Whole,
        selection => selection,
    };
    let first = stored.part.map_or(0, |part| part.first);
    let content_range = |from: u64, to: u64| match whole {
        Some(whole) => format!("bytes {from}-{to}/{whole}"),
        None => format!("bytes {from}-{to}/*"),
    };
    let (status, body) = match selection {
        Selection::Whole => (stored.head.status, body(request, source, 0, held)),
        Selection::NotModified => {
            let kept = selection::not_modified_fields(&stored.head);
            // a cookie is among the fields only if the origin sent it to this client
            fields.retain(|name, _| kept.contains(name) || is_about_the_way(name) || *name == header::SET_COOKIE);
            (StatusCode::NOT_MODIFIED, ReplyBody::Empty(None))
        }
        Selection::Part(from, to) => {
            fields.retain(|name, _| !is_of_the_whole(name));
            append(&mut fields, "content-range", &content_range(from, to));
            (StatusCode::PARTIAL_CONTENT, body(request, source, from - first, Some(to - from + 1)))
        }
        Selection::Parts(ranges) => {
            fields.retain(|name, _| !is_of_the_whole(name));
            let boundary = boundary();
            let segments = multipart(&fields, &boundary, first, ranges, content_range);
            fields.remove(&header::CONTENT_TYPE);
            append(&mut fields, "content-type", &format!("multipart/byteranges; boundary={boundary}"));
            let length = segments.iter().map(Segment::length).sum();
            (StatusCode::PARTIAL_CONTENT, stream(request, source, segments, Some(length)))
        }
        Selection::NotSatisfiable => {
            // the 416 is for this request alone: a cache must not take it for the representation
            let kept = |name: &FieldName| *name == header::DATE || is_about_the_way(name) || is_for_browsers(name);
            fields.retain(|name, _| kept(name));
            append(&mut fields, "cache-control", "no-store");
            let whole = whole.map_or("*".to_owned(), |whole| whole.to_string());
            append(&mut fields, "content-range", &format!("bytes */{whole}"));
            (StatusCode::RANGE_NOT_SATISFIABLE, ReplyBody::Empty(Some(0)))
        }
    };
    Answer::new(status, fields, body, Some(&asked.cx.via), verdict)
}

/// Returns the segments of a multipart/byteranges body (RFC 9110 §14.6). `fields` are those of the representation.
/// `first` is the offset of the first held byte.
fn multipart(
    fields: &Fields,
    boundary: &str,
    first: u64,
    ranges: Vec<(u64, u64)>,
    content_range: impl Fn(u64, u64) -> String,
) -> Vec<Segment> {
    let opening = |from, to| {
        let mut text = format!("\r\n--{boundary}\r\n").into_bytes();
        if let Some(inner) = fields.first(&header::CONTENT_TYPE) {
            text.extend_from_slice(b"Content-Type: ");
            text.extend_from_slice(inner.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(format!("Content-Range: {}\r\n\r\n", content_range(from, to)).as_bytes());
        Bytes::from(text)
    };
    let mut segments = Vec::with_capacity(ranges.len() * 2 + 1);
    for (from, to) in ranges {
        segments.push(Segment::Text(opening(from, to)));
        segments.push(Segment::Body(from - first, to - from + 1));
    }
    segments.push(Segment::Text(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
    segments
}

/// Returns true if a field describes only the whole: a digest, or the Content-Range that some APIs send with a 200.
fn is_of_the_whole(name: &FieldName) -> bool {
    *name == header::CONTENT_RANGE || digests_content(name)
}

/// Returns true if caches and proxies nearer to the origin add this field.
fn is_about_the_way(name: &FieldName) -> bool {
    *name == header::VIA || name.as_str() == "cache-status"
}

/// Returns true if a browser shows the answer to a page of another site only with this field.
fn is_for_browsers(name: &FieldName) -> bool {
    name.as_str().starts_with("access-control-") || name.as_str().starts_with("cross-origin-")
}

/// Returns the boundary of a multipart/byteranges answer. It cannot be guessed: stored content that contained it could
/// forge parts.
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
