//! What the decisions of the policy cost: one `reuse` for each request, one `storing` for each answer of the origin.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use larder::{
    clock::{Seconds, Timestamp},
    message::{
        FieldName, FieldValue, Fields, Method, Request, ResponseHead, Scheme, StatusCode, StoredHead, Target, Version,
    },
    policy::{DigestKey, Options, Times, reuse::reuse, selection::select, storing::storing},
};

const NOW: Timestamp = Timestamp(1_767_225_600_000);

fn fields(lines: &[(&'static str, &'static str)]) -> Fields {
    let line =
        |(name, value): &(&'static str, &'static str)| (FieldName::from_static(name), FieldValue::from_static(value));
    lines.iter().map(line).collect()
}

fn request() -> Request {
    Request {
        method: Method::GET,
        target: Target {
            scheme: Scheme::Http,
            authority: "api.example.com".to_owned(),
            path_and_query: "/v2/products?q=1".to_owned(),
        },
        fields: fields(&[
            ("user-agent", "bench"),
            ("accept", "application/json"),
            ("accept-encoding", "gzip, br"),
            ("accept-language", "en, de;q=0.5"),
        ]),
        content: None,
        peer: None,
        version: Version::Http11,
        as_query: false,
        forwarded: false,
        claims_https: false,
    }
}

fn response(cache_control: &'static str, vary: bool) -> ResponseHead {
    let mut lines = vec![
        ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("content-type", "application/json"),
        ("content-length", "1024"),
        ("etag", "\"v1\""),
        ("last-modified", "Wed, 31 Dec 2025 00:00:00 GMT"),
        ("cache-control", cache_control),
    ];
    if vary {
        lines.push(("vary", "Accept-Encoding, Accept-Language"));
    }
    ResponseHead { status: StatusCode::OK, fields: fields(&lines) }
}

fn options() -> Options {
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
        steering: larder::policy::Steering::default(),
    }
}

fn stored(cache_control: &'static str) -> StoredHead {
    let times = Times { request: NOW, response: NOW, received: NOW, position: Default::default() };
    storing(&request(), &response(cache_control, false), times, &options()).expect("it may be stored")
}

fn decisions(c: &mut Criterion) {
    let (request, options) = (request(), options());
    for (what, cache_control) in [("max-age", "public, max-age=600"), ("a heuristic", "public")] {
        let stored = stored(cache_control);
        c.bench_function(&format!("reuse of a response fresh by {what}"), |b| {
            b.iter(|| reuse(black_box(&request), Some(black_box(&stored)), false, NOW, &options));
        });
    }
    let stored = stored("public, max-age=600");
    c.bench_function("selection of the whole", |b| {
        b.iter(|| select(black_box(&request), black_box(&stored), Some(1024)));
    });
    let times = Times { request: NOW, response: NOW, received: NOW, position: Default::default() };
    for vary in [false, true] {
        let response = response("public, max-age=600", vary);
        c.bench_function(if vary { "storing with Vary" } else { "storing" }, |b| {
            b.iter(|| storing(black_box(&request), black_box(&response), times, &options));
        });
    }
}

criterion_group!(benches, decisions);
criterion_main!(benches);
