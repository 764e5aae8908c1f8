//! How field names are spelled on the wire. They mean the same in any case (RFC 9110 §5.1), and `http` keeps them in
//! lower case; people read and search for `ETag` and `X-Cache`.

use crate::message::FieldName;

/// Appends the name: each of its words begins with a capital, or is spelled as in [`word`].
pub fn write(name: &FieldName, out: &mut Vec<u8>) {
    // those that Larder adds to every answer
    let own: Option<&[u8]> = match name.as_str() {
        "via" => Some(b"Via"),
        "age" => Some(b"Age"),
        "cache-status" => Some(b"Cache-Status"),
        "x-cache" => Some(b"X-Cache"),
        _ => None,
    };
    match own {
        Some(own) => out.extend_from_slice(own),
        None => write_words(name, out),
    }
}

fn write_words(name: &FieldName, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(name.as_str().as_bytes());
    for part in out[start..].split_mut(|byte| *byte == b'-') {
        if let Some(word) = word(part) {
            part.copy_from_slice(word);
        } else if let Some(first) = part.first_mut() {
            first.make_ascii_uppercase();
        }
    }
}

/// Returns the spelling of a word that people write with more capitals than the first. Its length is the same.
fn word(lower: &[u8]) -> Option<&'static [u8]> {
    Some(match lower {
        b"ch" => b"CH",
        b"cf" => b"CF",
        b"id" => b"ID",
        b"im" => b"IM",
        b"ip" => b"IP",
        b"te" => b"TE",
        b"ua" => b"UA",
        b"api" => b"API",
        b"cdn" => b"CDN",
        b"csp" => b"CSP",
        b"dav" => b"DAV",
        b"dns" => b"DNS",
        b"dnt" => b"DNT",
        b"dpr" => b"DPR",
        b"ect" => b"ECT",
        b"gpc" => b"GPC",
        b"md5" => b"MD5",
        b"nel" => b"NEL",
        b"p3p" => b"P3P",
        b"rtt" => b"RTT",
        b"uri" => b"URI",
        b"url" => b"URL",
        b"www" => b"WWW",
        b"xss" => b"XSS",
        b"alpn" => b"ALPN",
        b"csrf" => b"CSRF",
        b"dpop" => b"DPoP",
        b"etag" => b"ETag",
        b"http" => b"HTTP",
        b"mime" => b"MIME",
        b"xsrf" => b"XSRF",
        b"http2" => b"HTTP2",
        b"wow64" => b"WoW64",
        b"github" => b"GitHub",
        b"webkit" => b"WebKit",
        b"csrftoken" => b"CSRFToken",
        b"ratelimit" => b"RateLimit",
        b"sourcemap" => b"SourceMap",
        b"websocket" => b"WebSocket",
        b"soapaction" => b"SOAPAction",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_larder_adds_are_spelled_by_the_same_rule() {
        for name in ["via", "age", "cache-status", "x-cache"] {
            let mut by_words = b"> ".to_vec();
            write_words(&FieldName::from_static(name), &mut by_words);
            assert_eq!(spelled(name).as_bytes(), by_words);
        }
    }

    fn spelled(name: &str) -> String {
        let mut out = b"> ".to_vec();
        write(&FieldName::from_bytes(name.as_bytes()).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_are_written_as_people_write_them() {
        for name in [
            "A-IM",
            "Accept-CH",
            "Access-Control-Allow-Origin",
            "Age",
            "CDN-Cache-Control",
            "CF-Connecting-IP",
            "Cache-Status",
            "Content-DPR",
            "Content-Length",
            "Content-MD5",
            "DAV",
            "DNT",
            "DPoP-Nonce",
            "ETag",
            "HTTP2-Settings",
            "Host",
            "If-None-Match",
            "Last-Event-ID",
            "MIME-Version",
            "NEL",
            "P3P",
            "RateLimit-Policy",
            "SOAPAction",
            "Sec-CH-UA",
            "Sec-CH-UA-WoW64",
            "Sec-GPC",
            "Sec-WebSocket-Accept",
            "Set-Cookie2",
            "SourceMap",
            "TE",
            "Transfer-Encoding",
            "Via",
            "WWW-Authenticate",
            "X-API-Key",
            "X-CSRF-Token",
            "X-CSRFToken",
            "X-Cache",
            "X-DNS-Prefetch-Control",
            "X-Forwarded-For",
            "X-GitHub-Media-Type",
            "X-HTTP-Method-Override",
            "X-Original-URL",
            "X-RateLimit-Remaining",
            "X-Real-IP",
            "X-Request-ID",
            "X-UA-Compatible",
            "X-WebKit-CSP",
            "X-XSS-Protection",
        ] {
            assert_eq!(spelled(name), format!("> {name}"));
        }
    }

    #[test]
    fn every_name_that_http_allows_keeps_its_bytes_but_for_their_case() {
        for name in ["-", "--a", "a-", "x--y", "x_y", "9-lives", "!#$%&'*+.^`|~-x", "te-", "-te", &"te-".repeat(100)] {
            assert_eq!(spelled(name).to_ascii_lowercase(), format!("> {name}"));
        }
        for byte in 33..=126u8 {
            let Ok(name) = FieldName::from_bytes(&[byte, b'-', byte]) else { continue };
            assert_eq!(spelled(name.as_str()).to_ascii_lowercase(), format!("> {name}"));
        }
    }
}
