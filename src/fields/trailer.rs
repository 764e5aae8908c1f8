//! Trailers: fields behind the content (RFC 9110 §6.5).

use http::header;

use super::{hop_by_hop::is_hop_by_hop, list::members};
use crate::message::{FieldName, Fields};

/// The fields that say how a message is framed, routed, cached, authenticated or read. They must not come after the
/// content (RFC 9110 §6.5.1).
const NEVER: [FieldName; 21] = [
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::CONTENT_LOCATION,
    header::HOST,
    header::CACHE_CONTROL,
    header::PRAGMA,
    header::EXPIRES,
    header::AGE,
    header::DATE,
    header::VARY,
    header::VIA,
    header::LOCATION,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    header::AUTHORIZATION,
    header::WWW_AUTHENTICATE,
    header::EXPECT,
    header::MAX_FORWARDS,
    header::RANGE,
];

/// Returns true if a trailer of this name may be passed on.
pub fn may_trail(name: &FieldName) -> bool {
    let larders = ["x-cache", "cache-status", "proxy-status", "cdn-cache-control"];
    !is_hop_by_hop(name) && !NEVER.contains(name) && !larders.contains(&name.as_str())
}

/// Returns true if the sender of a request takes trailers (RFC 9110 §10.1.4).
pub fn takes_trailers(request: &Fields) -> bool {
    let is_trailers = |member: &[u8]| member.eq_ignore_ascii_case(b"trailers");
    request.values(&header::TE).any(|line| members(line.as_bytes()).any(is_trailers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_takes_trailers_if_it_says_so() {
        let takes =
            |lines: &[&str]| takes_trailers(&lines.iter().map(|line| (header::TE, line.parse().unwrap())).collect());
        assert!(takes(&["trailers"]) && takes(&["gzip;q=0.5, Trailers"]) && takes(&["gzip", "trailers"]));
        assert!(!takes(&[]) && !takes(&["gzip"]) && !takes(&["trailers-not"]));
    }

    #[test]
    fn what_decides_about_a_message_never_trails_it() {
        let may = |name: &str| may_trail(&FieldName::from_bytes(name.as_bytes()).unwrap());
        for name in ["X-Checksum", "Grpc-Status", "Content-Digest", "Repr-Digest", "Server-Timing", "ETag"] {
            assert!(may(name), "{name}");
        }
        for name in
            ["Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Set-Cookie", "Cache-Control", "X-Cache"]
        {
            assert!(!may(name), "{name}");
        }
    }
}
