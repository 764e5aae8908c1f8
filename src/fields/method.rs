//! The properties of methods (RFC 9110 §9.2, RFC 10008).
//!
//! These are functions and not methods of a trait, because `http` has an `is_safe` of its own that does not know QUERY.

use crate::message::{Method, Request};

/// QUERY (RFC 10008).
pub fn query() -> Method {
    // every token is a valid method, so the default is never used
    Method::from_bytes(b"QUERY").unwrap_or_default()
}

/// Returns true for QUERY, which is like a GET with content. The content is part of the question (RFC 10008).
pub fn is_query(method: &Method) -> bool {
    method.as_str() == "QUERY"
}

/// Returns true if the method changes nothing at the origin, so that its answer invalidates nothing (RFC 9110 §9.2.1,
/// and the IANA registry of methods: RFC 4918, RFC 3253, RFC 5323). Unknown methods are not safe.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
        || matches!(method.as_str(), "QUERY" | "PROPFIND" | "REPORT" | "SEARCH")
}

/// Returns true if the method writes to the URL in Destination (RFC 4918 §9.8, §9.9).
pub fn writes_to_destination(method: &Method) -> bool {
    matches!(method.as_str(), "COPY" | "MOVE")
}

/// Returns true if sending the request twice has the same effect as sending it once (RFC 9110 §9.2.2). Unknown methods
/// are not idempotent.
pub fn is_idempotent(method: &Method) -> bool {
    is_safe(method) || matches!(*method, Method::PUT | Method::DELETE)
}

/// Returns true if stored responses can answer the method.
pub fn is_cached(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD) || is_query(method)
}

/// Returns true if the request changes nothing at the origin, by its method or because a rule says so.
pub fn is_safe_request(request: &Request) -> bool {
    request.as_query || is_safe(&request.method)
}

/// Returns true if stored responses can answer the request.
pub fn is_cached_request(request: &Request) -> bool {
    request.as_query || is_cached(&request.method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_has_the_properties_that_its_specification_gives_it() {
        let with = |property: fn(&Method) -> bool| {
            let all = "GET HEAD QUERY OPTIONS TRACE PUT DELETE POST PATCH get FROB PROPFIND REPORT SEARCH COPY MOVE";
            let method = |name: &&'static str| property(&Method::from_bytes(name.as_bytes()).unwrap());
            all.split(' ').filter(method).collect::<Vec<_>>()
        };
        assert_eq!(with(is_cached), ["GET", "HEAD", "QUERY"]);
        let safe = ["GET", "HEAD", "QUERY", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH"];
        assert_eq!(with(is_safe), safe);
        let not_safe = with(is_idempotent).into_iter().filter(|name| !safe.contains(name));
        assert_eq!(not_safe.collect::<Vec<_>>(), ["PUT", "DELETE"]);
        assert_eq!(with(writes_to_destination), ["COPY", "MOVE"]);
    }
}
