//! What a cache key costs: one for each request, and one more where the response varies.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use larder::{
    key::{CacheKey, UrlParts, content_digest},
    message::{FieldName, FieldValue, Fields, Method, Nominated, Scheme},
};

fn path_and_query(query: usize) -> String {
    format!("/v2/products?q={}", "x".repeat(query))
}

fn key(path_and_query: &str) -> CacheKey {
    CacheKey::of(UrlParts {
        site: "http://origin.example",
        host_mode: "client",
        besides: None,
        method: &Method::GET,
        path_and_query,
        client: Some((Scheme::Http, "api.example.com")),
    })
}

fn keys(c: &mut Criterion) {
    for query in [10, 100, 1000] {
        let target = path_and_query(query);
        c.bench_function(&format!("key of a URL of {} bytes", target.len()), |b| b.iter(|| key(black_box(&target))));
    }
}

fn variants(c: &mut Criterion) {
    let primary = key(&path_and_query(10));
    let nominated: Vec<Nominated> = vec![
        (FieldName::from_static("accept-encoding"), Some(b"br, gzip".to_vec())),
        (FieldName::from_static("accept-language"), None),
    ];
    c.bench_function("key of a variant by two fields", |b| {
        b.iter(|| black_box(&primary).variant(black_box(&nominated)))
    });
}

fn contents(c: &mut Criterion) {
    let body = vec![7; 1024];
    let fields: Fields =
        [(FieldName::from_static("content-type"), FieldValue::from_static("application/json"))].into_iter().collect();
    c.bench_function("digest of a query's content of 1 KiB", |b| {
        b.iter(|| content_digest(&fields, black_box(&body)));
    });
}

criterion_group!(benches, keys, variants, contents);
criterion_main!(benches);
