//! Tables of decisions, one file a topic.

mod freshness;
mod invalidation;
mod laws;
mod parts;
mod resuming;
mod reuse;
mod selection;
mod steering;
mod storing;
mod validation;
mod vary;

use super::{DigestKey, Options, Reason, Steering, Times, storing::storing};
use crate::{
    clock::{Seconds, Timestamp},
    fields::date,
    message::{
        FieldName, FieldValue, Fields, Method, Request, RequestLine, ResponseHead, Scheme, StatusCode, StoredHead,
        Target, Version,
    },
};

/// The time of every exchange in these tests: in November 2026.
const T0: Timestamp = Timestamp(1_795_000_000_000);

fn at(seconds: u64) -> Timestamp {
    T0.plus(Seconds(seconds))
}

/// Returns the HTTP-date that lies so many seconds after `T0`.
fn when(offset: i64) -> String {
    let at = Timestamp(T0.0 + offset * 1000);
    date::format(at).to_str().unwrap().to_owned()
}

fn times(at: Timestamp) -> Times {
    Times { request: at, response: at, received: at, position: Default::default() }
}

fn strict() -> Options {
    Options { strict: true, ..usual() }
}

fn usual() -> Options {
    Options {
        strict: false,
        default_ttl: Seconds(3600),
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
    }
}

/// Parses lines of the form `Name: value`.
fn fields(lines: &[&str]) -> Fields {
    let line = |line: &&str| {
        let (name, value) = line.split_once(':').unwrap();
        let name = FieldName::from_bytes(name.as_bytes()).unwrap();
        (name, FieldValue::from_bytes(value.trim().as_bytes()).unwrap())
    };
    lines.iter().map(line).collect()
}

fn target(path: &str) -> Target {
    Target { scheme: Scheme::Http, authority: "h.example".to_owned(), path_and_query: path.to_owned() }
}

fn request(method: &str, lines: &[&str]) -> Request {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    Request {
        method,
        target: target("/a/b?q=1"),
        fields: fields(lines),
        content: None,
        peer: None,
        version: Version::Http11,
        as_query: false,
        forwarded: false,
        claims_https: false,
    }
}

fn get(lines: &[&str]) -> Request {
    request("GET", lines)
}

fn response(status: u16, lines: &[&str]) -> ResponseHead {
    ResponseHead { status: StatusCode::from_u16(status).unwrap(), fields: fields(lines) }
}

/// Returns what is stored of a 200 to a GET.
fn stored(lines: &[&str], options: &Options) -> StoredHead {
    stored_as(200, lines, options).unwrap()
}

fn stored_as(status: u16, lines: &[&str], options: &Options) -> Result<StoredHead, Reason> {
    storing(&get(&[]), &response(status, lines), times(T0), options)
}

/// Returns what is stored of a 206 with this range and these lines.
fn part_of(range: &str, extra: &[&str], options: &Options) -> StoredHead {
    let range = format!("Content-Range: bytes {range}");
    let mut lines = vec!["Cache-Control: max-age=60", &range];
    lines.extend(extra);
    stored_as(206, &lines, options).unwrap()
}

fn value(head: &StoredHead, name: &'static str) -> Vec<String> {
    let name = FieldName::from_static(name);
    head.head.fields.values(&name).map(|value| value.to_str().unwrap().to_owned()).collect()
}

fn lines_of(pairs: Vec<(FieldName, FieldValue)>) -> Vec<String> {
    let line = |(name, value): (FieldName, FieldValue)| format!("{name}: {}", value.to_str().unwrap());
    pairs.into_iter().map(line).collect()
}
