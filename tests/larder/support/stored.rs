//! Responses as the store takes them, for traces and benches.

use bytes::Bytes;
use larder::{
    clock::{Seconds, Timestamp},
    key::{CacheKey, UrlParts},
    message::{FieldName, FieldValue, Fields, Method, RequestLine, ResponseHead, Scheme, StatusCode, StoredHead},
    store::{StoredBody, StoredResponse},
};

pub fn key(number: u64) -> CacheKey {
    CacheKey::of(UrlParts {
        site: "http://origin",
        host_mode: "client",
        besides: None,
        method: &Method::GET,
        path_and_query: &format!("/{number}"),
        client: Some((Scheme::Http, "example.org")),
    })
}

/// A response with fields of these names.
pub fn response(number: u64, names: &[&'static str], body: Bytes) -> StoredResponse {
    let field = |name| (FieldName::from_static(name), FieldValue::from_static("a value of usual length"));
    let head = StoredHead {
        line: RequestLine::new("http://origin", Method::GET, Scheme::Http, "example.org", &format!("/{number}")),
        head: ResponseHead { status: StatusCode::OK, fields: names.iter().map(|name| field(name)).collect::<Fields>() },
        request_time: Timestamp(0),
        response_time: Timestamp(0),
        received: Timestamp(0),
        initial_age: Seconds(0),
        nominated: Vec::new(),
        part: None,
        gaps: Box::default(),
        invalidated: false,
        credentials: false,
        position: Default::default(),
        tags: Box::default(),
        unknown: Box::default(),
    };
    StoredResponse {
        key: key(number),
        primary: key(number),
        head,
        body: StoredBody::Memory(body),
        checked: Default::default(),
        derived: Default::default(),
        hits: Default::default(),
        version: 0,
        parts: None,
    }
}
