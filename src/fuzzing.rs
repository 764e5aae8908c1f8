//! What fuzzing drives: one function for each parser, with the laws that its results keep. A panic is a finding.
//!
//! `fuzz/` feeds these to libFuzzer; the integration tests feed them fuzz/seeds and mutations of those.

use http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_RANGE, RANGE, VARY};

pub use crate::{
    admin::fuzzing::control,
    client::fuzzing::{client_body, client_content, client_head},
    config::fuzzing::{origin_url, units},
    fields::fuzzing::{hop_by_hop, list},
    logging::fuzzing::log_text,
    origin::fuzzing::{origin_chunks, origin_end, origin_head},
    policy::fuzzing::{conditions, negotiation},
    proxy::fuzzing::target,
    store::fuzzing::{body, folder, journal, record},
};
use crate::{
    clock::{Seconds, Timestamp},
    fields::{
        CACHE_STATUS, CDN_CACHE_CONTROL,
        cache_control::{RequestDirectives, ResponseDirectives},
        cache_status::CacheStatus,
        date, etag, range,
        surrogate::SURROGATE_CONTROL,
    },
    message::{FieldName, FieldValue, Fields, Method, Request, Scheme, Target, Version},
    policy::{DigestKey, Options, Steering, vary},
};

/// Looks at some bytes.
pub type Fuzz = fn(&[u8]);

/// All of them, by the names of their seeds' folders.
pub const TARGETS: [(&str, Fuzz); 24] = [
    ("body", body),
    ("cache_control", cache_control),
    ("cache_status", cache_status),
    ("cdn_cache_control", cdn_cache_control),
    ("client_body", client_body),
    ("client_head", client_head),
    ("conditions", conditions),
    ("control", control),
    ("date", date_field),
    ("etag", entity_tags),
    ("folder", folder),
    ("hop_by_hop", hop_by_hop),
    ("journal", journal),
    ("list", list),
    ("log_text", log_text),
    ("negotiation", negotiation),
    ("origin_chunks", origin_chunks),
    ("origin_head", origin_head),
    ("origin_url", origin_url),
    ("range", byte_ranges),
    ("record", record),
    ("target", target),
    ("units", units),
    ("vary", nominated),
];

/// One line of the field for each line of the input.
fn lines(name: &FieldName, data: &[u8]) -> Fields {
    let values = data.split(|byte| *byte == b'\n').filter_map(|line| FieldValue::from_bytes(line).ok());
    values.map(|value| (name.clone(), value)).collect()
}

pub fn cache_control(data: &[u8]) {
    let mut fields = lines(&CACHE_CONTROL, data);
    let (response, request) = (ResponseDirectives::parse(&fields), RequestDirectives::parse(&fields));
    // whatever stands on other lines, a line that forbids is heard, and nothing said before is unsaid
    fields.append(CACHE_CONTROL, FieldValue::from_static("No-Store, PRIVATE, max-age=0"));
    let more = ResponseDirectives::parse(&fields);
    assert!(more.no_store && more.private.is_some() && more.max_age == Some(Seconds(0)));
    assert!(RequestDirectives::parse(&fields).no_store);
    assert!(more.must_revalidate == response.must_revalidate && more.no_cache == response.no_cache);
    assert!(request.max_age.is_none_or(|age| age <= Seconds::MAX));
    assert!(response.s_maxage.is_none_or(|age| age <= Seconds::MAX));
    // the same line for a surrogate
    let mut surrogate = lines(&SURROGATE_CONTROL, data);
    surrogate.append(SURROGATE_CONTROL.clone(), FieldValue::from_static("no-store, max-age=0"));
    let said = ResponseDirectives::parse_surrogate(&surrogate);
    assert!(said.is_some_and(|said| said.no_store && said.max_age == Some(Seconds(0))));
}

pub fn cdn_cache_control(data: &[u8]) {
    let fields = lines(&CDN_CACHE_CONTROL, data);
    if let Some(directives) = ResponseDirectives::parse_targeted(&fields) {
        assert!(!fields.is_empty());
        assert_eq!(ResponseDirectives::parse_targeted(&fields), Some(directives));
    }
}

pub fn cache_status(data: &[u8]) {
    let before = lines(&CACHE_STATUS, data);
    let mut fields = before.clone();
    let status = CacheStatus { hit: true, ttl: Some(-5), detail: Some("fresh".into()), ..CacheStatus::default() };
    status.append_to(&mut fields);
    let (theirs, all) = (text(&before), text(&fields));
    assert!(all.starts_with(&theirs), "what other caches said stays in front");
    assert!(all.ends_with(status.member().as_bytes()));
    let members = |text: &[u8]| sfv::Parser::new(text).parse::<sfv::List>().ok().map(|list| list.len());
    // a line that says nothing is no list of others' members, and joins as an empty one
    if let Some(count) =
        members(&theirs).filter(|_| before.iter().all(|(_, line)| !line.as_bytes().trim_ascii().is_empty()))
    {
        assert_eq!(members(&all), Some(count + 1), "a list stays one");
    }
}

/// All values as one list.
fn text(fields: &Fields) -> Vec<u8> {
    fields.iter().map(|(_, value)| value.as_bytes()).collect::<Vec<_>>().join(&b", "[..])
}

pub fn date_field(data: &[u8]) {
    let now = Timestamp::from_seconds(1_795_000_000);
    let end = Timestamp::from_seconds(253_402_300_800);
    // the leap second behind the year 9999 has no form of its own
    if let Some(at) = date::parse(data, now).filter(|at| *at < end) {
        assert_eq!(date::parse(date::format(at).as_bytes(), now), Some(at), "what is written is what was read");
    }
}

pub fn entity_tags(data: &[u8]) {
    let mut length = 0;
    for tag in etag::tags(data) {
        assert!(!tag.opaque.is_empty() && tag.matches_weakly(&tag) && tag.matches_strongly(&tag) != tag.weak);
        length += tag.opaque.len();
    }
    assert!(length <= data.len());
}

pub fn byte_ranges(data: &[u8]) {
    for range in range::ranges(&lines(&RANGE, data)).unwrap_or_default() {
        for length in [0, 1, 2, 1000, u64::MAX] {
            if let Some((first, last)) = range.within(length) {
                assert!(first <= last && last < length);
            }
        }
    }
    if let Some(part) = range::content_range(&lines(&CONTENT_RANGE, data)) {
        assert!(part.first <= part.last && part.length() > 0 && part.complete.is_none_or(|c| c > part.last));
    }
}

/// The first line is Vary, the others are what a request says.
pub fn nominated(data: &[u8]) {
    let (names, said) = data.split_at(data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len()));
    let response = lines(&VARY, names);
    let said = said.strip_prefix(b"\n").unwrap_or(said);
    let mut request = lines(&ACCEPT_ENCODING, said);
    lines(&ACCEPT_LANGUAGE, said).iter().for_each(|(name, value)| request.append(name.clone(), value.clone()));
    let options = Options {
        strict: false,
        default_ttl: Seconds(60),
        negative_ttl: Seconds(1),
        stale_if_error: Seconds(86_400),
        client_reload: false,
        ignore_cookies: false,
        max_head: 64 << 10,
        max_fields: 256,
        site: "".into(),
        digest_key: DigestKey::default(),
        keys_host: false,
        steering: Steering::default(),
    };
    let target = Target { scheme: Scheme::Http, authority: String::new(), path_and_query: "/".to_owned() };
    let request = Request {
        method: Method::GET,
        target,
        fields: request,
        content: None,
        peer: None,
        version: Version::Http11,
        as_query: false,
        forwarded: false,
        claims_https: false,
    };
    if let Ok(nominated) = vary::nominate(&response, &request, &options) {
        let star =
            |line: &FieldValue| line.as_bytes().split(|byte| *byte == b',').any(|name| name.trim_ascii() == b"*");
        assert!(!response.values(&VARY).any(star), "what varies on everything matches nothing");
        assert!(vary::matches(&nominated, &request, &options), "a response matches the request that it answers");
        assert_eq!(vary::renominate(&nominated, &request, &options).len(), nominated.len());
    }
}
