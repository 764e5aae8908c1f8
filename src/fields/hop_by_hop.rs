//! Fields that are for one connection only (RFC 9110 §7.6.1).

use http::header::*;

use super::list::members;
use crate::message::{FieldName, Fields};

/// Returns true if the field is for one connection only.
pub fn is_hop_by_hop(name: &FieldName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// Returns true if Connection must not remove the field, because it is for everyone on the way, or because others rely
/// on it.
fn is_end_to_end(name: &FieldName) -> bool {
    static END_TO_END: [FieldName; 14] = [
        HOST,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        CONTENT_ENCODING,
        CONTENT_RANGE,
        CACHE_CONTROL,
        AUTHORIZATION,
        COOKIE,
        VIA,
        FORWARDED,
        VARY,
        EXPIRES,
        AGE,
        DATE,
    ];
    END_TO_END.contains(name) || *name == super::CDN_CACHE_CONTROL || name.as_str().starts_with("x-forwarded-")
}

/// Returns the names that Connection nominates.
fn nominated(fields: &Fields) -> Vec<FieldName> {
    if !fields.contains(&CONNECTION) {
        return Vec::new();
    }
    let lines = fields.values(&CONNECTION).flat_map(|line| members(line.as_bytes()));
    // keep-alive is removed in any case, and most origins nominate it
    let others = lines.filter(|member| !member.eq_ignore_ascii_case(b"keep-alive"));
    others.filter_map(|member| FieldName::from_bytes(member).ok()).collect()
}

/// Removes the hop-by-hop fields of a response, and those that Connection nominates. If Connection nominates an
/// end-to-end field, that has no effect.
pub fn strip(response: &mut Fields) {
    let nominated = nominated(response);
    response.retain(|name, _| !is_hop_by_hop(name) && (!nominated.contains(name) || is_end_to_end(name)));
}

/// Removes the hop-by-hop fields of a request. If Connection nominates an end-to-end field, the error names that field,
/// and the answer is 400: the sender wants the field to be lost on the way.
pub fn strip_request(request: &mut Fields) -> Result<(), FieldName> {
    let nominated = nominated(request);
    if let Some(name) = nominated.iter().find(|name| is_end_to_end(name)) {
        return Err(name.clone());
    }
    request.retain(|name, _| !is_hop_by_hop(name) && !nominated.contains(name));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &str)]) -> Fields {
        lines.iter().map(|(name, value)| (FieldName::from_static(name), value.parse().unwrap())).collect()
    }

    fn names(fields: &Fields) -> Vec<&str> {
        fields.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn nominated_fields_and_the_known_ones_go() {
        let mut response = fields(&[
            ("connection", "a, B"),
            ("connection", "x, ,@"),
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("x", "4"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("proxy-authentication-info", "q"),
        ]);
        strip(&mut response);
        assert_eq!(names(&response), ["c"]);
    }

    #[test]
    fn a_response_cannot_lose_what_keeps_it_out_of_the_cache() {
        let mut response =
            fields(&[("connection", "cache-control, vary, close"), ("cache-control", "private"), ("vary", "*")]);
        strip(&mut response);
        assert_eq!(names(&response), ["cache-control", "vary"]);
    }

    #[test]
    fn a_request_that_nominates_an_end_to_end_field_is_refused() {
        for name in ["host", "Content-Length", "cache-control", "authorization", "cookie", "via", "x-forwarded-for"] {
            let mut request = fields(&[("connection", "close"), ("connection", name), ("host", "h")]);
            assert_eq!(strip_request(&mut request).unwrap_err().as_str(), name.to_ascii_lowercase());
        }
        let mut request = fields(&[("connection", "close, te"), ("te", "trailers"), ("host", "h")]);
        strip_request(&mut request).unwrap();
        assert_eq!(names(&request), ["host"]);
    }
}
