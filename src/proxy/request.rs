//! Turns a presented request into one that can be trusted, or refuses it (RFC 9112 §3.2, RFC 9110 §7).

use std::{borrow::Cow, net::Ipv6Addr};

use http::header;

use super::refusal::Refusal;
use crate::{
    client::Presented,
    fields::{METHOD_OVERRIDES, hop_by_hop, method::is_safe},
    message::{FieldName, FieldValue, Fields, Method, Request, Scheme, Target, Version},
};

/// Fields by which a client could change the response without changing the cache key, or make the origin see another request
/// than the one that was keyed. They are removed; Larder sets its own.
const UNTRUSTED: [&str; 15] = [
    "base-url",
    "cf-connecting-ip",
    "client-ip",
    "forwarded",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
    "x-scheme",
    "x-url-scheme",
];

/// Fields of HTTP itself. In another spelling (`Content_Length`, `Content.Length`) some origins read them though Larder did
/// not.
const OF_HTTP: [&str; 21] = [
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
    "http2-settings",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "max-forwards",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "user-agent",
];

/// Returns true if a field must not reach the origin. An override of a safe method must not: it would change an answer that
/// others share. That of an unsafe method may: its answer is for this client alone.
fn is_untrusted(name: &FieldName, method: &Method) -> bool {
    // CGI (RFC 3875 §4.1.18) makes one variable of a name with "-" and with "_", servers before it of other characters, too
    let separates = |c: char| c != '-' && !c.is_ascii_alphanumeric();
    let hyphened = match name.as_str() {
        name if name.contains(separates) => Cow::Owned(name.replace(separates, "-")),
        name => Cow::Borrowed(name),
    };
    UNTRUSTED.contains(&&*hyphened)
        || hyphened.starts_with("x-forwarded")
        || (METHOD_OVERRIDES.contains(&&*hyphened) && is_safe(method))
        || (matches!(hyphened, Cow::Owned(_)) && OF_HTTP.contains(&&*hyphened))
}

/// What a request is checked against.
pub struct Rules<'a> {
    /// The hosts that are served; empty: any.
    pub hosts: &'a [String],
    /// The port that Larder listens on.
    pub port: u16,
    /// Larder's name in Via.
    pub pseudonym: &'a str,
}

/// Checks a request, and removes the fields that must not reach the origin. Fails with what is wrong with the request.
pub fn parse(presented: &Presented, fields: Fields, rules: &Rules<'_>) -> Result<Request, Refusal> {
    let mut fields = fields;
    if presented.method == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    if lists(&fields, &header::UPGRADE, "websocket") {
        return Err(Refusal::Upgrade);
    }
    let scheme = presented.scheme;
    let host = host(&fields, presented.version, scheme)?;
    let is_served = |host: &str| rules.hosts.is_empty() || rules.hosts.iter().any(|served| serves(served, host));
    let mut target = match target(&presented.target, &presented.method, scheme, host.clone()) {
        Err(Refusal::Asterisk) if !is_served(&host) => return Err(Refusal::NotServed),
        target => target?,
    };
    if !is_served(&target.authority) {
        return Err(Refusal::NotServed);
    }
    // who names no host means the site that Larder stands before
    if target.authority.is_empty() || is_own_name(&target, rules.port) {
        target.authority = own_name(target.scheme, rules.port);
    }
    hop_by_hop::strip_request(&mut fields).map_err(Refusal::Nominated)?;
    if fields.values(&header::VIA).any(|via| mentions(via.as_bytes(), rules.pseudonym)) {
        return Err(Refusal::Loop);
    }
    // actix has answered 100-continue for us; an expectation never leaves Larder
    if fields.values(&header::EXPECT).any(|expect| !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Refusal::Expectation);
    }
    let max_forwards = FieldName::from_static("max-forwards");
    if matches!(presented.method, Method::OPTIONS | Method::TRACE)
        && let Some(hops) = fields.only(&max_forwards).and_then(|hops| hops.to_str().ok()?.parse::<u32>().ok())
    {
        let Some(left) = hops.checked_sub(1) else { return Err(Refusal::LastHop) };
        fields.set(max_forwards, FieldValue::from(left));
    }
    let mut forwarded = fields.contains(&header::VIA);
    fields.retain(|name, _| {
        let untrusted = is_untrusted(name, &presented.method);
        forwarded |= untrusted && !METHOD_OVERRIDES.contains(&name.as_str());
        *name != header::EXPECT && *name != header::HOST && *name != header::CONTENT_LENGTH && !untrusted
    });
    let (method, peer, version) = (presented.method.clone(), presented.peer, presented.version);
    Ok(Request { method, target, fields, content: None, peer, version, forwarded })
}

/// The Host field's value, normalised (RFC 9112 §3.2); empty where HTTP/1.0 sent none.
fn host(fields: &Fields, version: Version, scheme: Scheme) -> Result<String, Refusal> {
    let mut lines = fields.values(&header::HOST);
    match (lines.next(), lines.next()) {
        (Some(value), None) => {
            let host = value.to_str().ok().and_then(|value| normal_authority(value, scheme));
            host.ok_or(Refusal::Host("the Host field is no host name"))
        }
        (None, _) if version == Version::Http10 => Ok(String::new()),
        (None, _) => Err(Refusal::Host("there is no Host field")),
        (Some(_), Some(_)) => Err(Refusal::Host("there is more than one Host field")),
    }
}

/// Parses the four forms of RFC 9112 §3.2. The authority of an absolute form must be the one in Host.
pub(super) fn target(presented: &str, method: &Method, scheme: Scheme, host: String) -> Result<Target, Refusal> {
    if presented == "*" && *method == Method::OPTIONS {
        return Err(Refusal::Asterisk);
    }
    // RFC 3986 has more to forbid, but clients send it; of these no two parsers agree what they mean
    if presented.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'#' | b'\\')) {
        return Err(Refusal::Target("it holds a character that no target may hold"));
    }
    if presented.starts_with('/') {
        return Ok(Target { scheme, authority: host, path_and_query: presented.to_owned() });
    }
    let absolute = presented
        .get(..7)
        .filter(|scheme| scheme.eq_ignore_ascii_case("http://"))
        .map(|_| &presented[7..])
        .ok_or(Refusal::Target("it is neither a path nor an http URL"))?;
    let end = absolute.find(['/', '?']).unwrap_or(absolute.len());
    let (authority, rest) = absolute.split_at(end);
    let authority = normal_authority(authority, scheme).ok_or(Refusal::Target("its host is no host name"))?;
    if !host.is_empty() && host != authority {
        return Err(Refusal::Target("its host is not the one in the Host field"));
    }
    let path_and_query = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
    Ok(Target { scheme, authority, path_and_query })
}

/// `host [":" port]` (RFC 3986 §3.2) in one spelling: lower case, without a trailing dot or the scheme's own port.
/// `None`: the text is not an authority.
pub fn normal_authority(authority: &str, scheme: Scheme) -> Option<String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(literal) => {
            let (address, port) = literal.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            (format!("[{address}]"), port.strip_prefix(':').or_else(|| port.is_empty().then_some(""))?)
        }
        None => {
            let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
            let name = host.strip_suffix('.').unwrap_or(host);
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&b);
            if name.is_empty()
                || name.starts_with('.')
                || name.ends_with('.')
                || name.contains(',')
                || !name.bytes().all(allowed)
            {
                return None;
            }
            (name.to_ascii_lowercase(), port)
        }
    };
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match port {
        "" => Some(host),
        port => match port.parse::<u16>().ok()? {
            port if port == scheme.default_port() => Some(host),
            port => Some(format!("{host}:{port}")),
        },
    }
}

/// Returns true if the target names this machine as the Larder that listens on `port`. A browser or a program uses these
/// names for the same thing. They are one for the cache, and so the origin may hear only one of them.
pub fn is_own_name(target: &Target, port: u16) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| {
        target.authority.strip_prefix(host).is_some_and(|named| match named.strip_prefix(':') {
            Some(named) => named.parse() == Ok(port),
            None => named.is_empty() && port == target.scheme.default_port(),
        })
    })
}

/// The one of these names that the origin hears.
fn own_name(scheme: Scheme, port: u16) -> String {
    match port == scheme.default_port() {
        true => "localhost".to_owned(),
        false => format!("localhost:{port}"),
    }
}

/// Returns true if a name of `--allow-host`, with or without a port, covers this authority.
fn serves(served: &str, authority: &str) -> bool {
    served == authority
        || authority
            .strip_prefix(served)
            .and_then(|port| port.strip_prefix(':'))
            .is_some_and(|port| !port.contains(':'))
}

/// Returns true if a list-valued field contains this token.
fn lists(fields: &Fields, name: &FieldName, token: &str) -> bool {
    fields
        .values(name)
        .flat_map(|value| value.as_bytes().split(|&b| b == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Returns true if a Via field names this pseudonym as a received-by (RFC 9110 §7.6.3).
fn mentions(via: &[u8], pseudonym: &str) -> bool {
    via.split(|b| b", \t".contains(b)).any(|word| word == pseudonym.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_has_one_spelling() {
        for (written, normal) in [
            ("example.com", "example.com"),
            ("EXAMPLE.com.", "example.com"),
            ("example.com:80", "example.com"),
            ("example.com:8080", "example.com:8080"),
            ("example.com:", "example.com"),
            ("[::1]:3000", "[::1]:3000"),
            ("[0:0::1]", "[::1]"),
            ("127.0.0.1:3000", "127.0.0.1:3000"),
        ] {
            assert_eq!(normal_authority(written, Scheme::Http).as_deref(), Some(normal), "{written}");
        }
    }

    fn is_own(authority: &str, port: u16) -> bool {
        let target = Target { scheme: Scheme::Http, authority: authority.to_owned(), path_and_query: "/".to_owned() };
        is_own_name(&target, port)
    }

    #[test]
    fn only_three_names_with_the_port_listened_on_are_larders_own() {
        for own in ["localhost:3000", "127.0.0.1:3000", "[::1]:3000"] {
            assert!(is_own(own, 3000), "{own}");
        }
        for other in [
            "localhost",
            "localhost:1337",
            "127.0.0.2:3000",
            "127.1.2.3:3000",
            "10.0.0.1:3000",
            "[::1]",
            "[::2]:3000",
            "evil:3000",
            "",
        ] {
            assert!(!is_own(other, 3000), "{other}");
        }
        assert_eq!([own_name(Scheme::Http, 3000), own_name(Scheme::Http, 80)], ["localhost:3000", "localhost"]);
        assert!(is_own("localhost", 80) && is_own("[::1]", 80));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            "", ".", "..", "a, b", "a b", "a@b", "a/b", "a:99999", "a:b", "a:80:80", "[::1", "[::1]x", "[x]", "a\0b",
            "a,b",
        ] {
            assert_eq!(normal_authority(bad, Scheme::Http), None, "{bad:?}");
        }
    }

    fn target_of(presented: &str) -> Option<(String, String)> {
        target(presented, &Method::GET, Scheme::Http, "good".to_owned()).ok().map(|t| (t.authority, t.path_and_query))
    }

    #[test]
    fn a_target_is_a_path_or_an_absolute_form_of_the_host_that_the_client_named() {
        let good = |path: &str| Some(("good".to_owned(), path.to_owned()));
        assert_eq!(target_of("/a?b=%2F../c"), good("/a?b=%2F../c"));
        assert_eq!(target_of("//evil/x"), good("//evil/x"));
        assert_eq!(target_of("http://good/x"), good("/x"));
        assert_eq!(target_of("HTTP://GOOD:80?q"), good("/?q"));
        assert_eq!(target_of("http://good"), good("/"));
        for bad in [
            "*",
            "evil",
            "http:evil",
            "evil:80",
            "http://evil/x",
            "https://good/",
            "?x=1",
            "@evil/",
            "/a#f",
            "http://",
            "\\a",
            "/\\a",
            "/caf\u{e9}",
            "http://good/\u{e9}",
        ] {
            assert_eq!(target_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_allowed_host_without_a_port_covers_every_port() {
        assert!(serves("shop.test", "shop.test:3000") && serves("shop.test:3000", "shop.test:3000"));
        assert!(!serves("shop.test", "shop.test.evil") && !serves("shop.test:3000", "shop.test:3001"));
        assert!(!serves("::1", "[::1]:80"));
    }
}
