//! Checks a client's request and removes fields that must not be forwarded, or refuses it (RFC 9112 §3.2, RFC 9110 §7).

use std::{borrow::Cow, net::IpAddr};

use http::header;

use super::{
    authority::{Names, normal_authority, own_name},
    refusal::Refusal,
    said::{Said, says_https},
};
use crate::{
    fields::{METHOD_OVERRIDES, hop_by_hop, hyphened, method::is_safe},
    message::{FieldName, FieldValue, Fields, Method, Request, Scheme, Target, Version},
};

/// The fields by which a client could change the response without changing the cache key, or make the origin see
/// another request than the one in the key. They are removed, and Larder sets its own.
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

/// The fields of HTTP itself. Some origins also read them in another spelling (`Content_Length`, `Content.Length`),
/// which Larder does not.
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

/// Returns true if a field must not reach the origin. An override of a safe method must not, because it would change an
/// answer that others share. An override of an unsafe method may, because its answer is for this client alone.
fn is_untrusted(name: &FieldName, method: &Method) -> bool {
    // most names begin with another letter than all of these
    let hyphened = hyphened(name);
    if matches!(hyphened, Cow::Borrowed(name) if !name.starts_with(['b', 'c', 'f', 't', 'x'])) {
        return false;
    }
    UNTRUSTED.contains(&&*hyphened)
        || hyphened.starts_with("x-forwarded")
        || (METHOD_OVERRIDES.contains(&&*hyphened) && is_safe(method))
        || (matches!(hyphened, Cow::Owned(_)) && OF_HTTP.contains(&&*hyphened))
}

/// The head of a request as it came in, but for its fields.
pub struct Head<'a> {
    pub method: &'a Method,
    /// The request-target of the request line.
    pub target: String,
    pub scheme: Scheme,
    pub version: Version,
    pub peer: Option<IpAddr>,
}

/// The rules that a request is checked against.
pub struct Rules<'a> {
    /// The names under which the client may reach Larder.
    pub names: Names<'a>,
    /// Larder's name in Via.
    pub pseudonym: &'a str,
    /// The facts that a trusted proxy gives about its client.
    pub said: &'a Said,
}

/// Checks a request, and removes the fields that must not reach the origin. The error says what is wrong with the
/// request.
pub fn parse(presented: Head<'_>, mut fields: Fields, rules: &Rules<'_>) -> Result<Request, Refusal> {
    if *presented.method == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    if lists(&fields, &header::UPGRADE, "websocket") {
        return Err(Refusal::Upgrade);
    }
    let (scheme, names) = (presented.scheme, rules.names);
    let named = host(&fields, presented.version, scheme)?;
    // the host for which the client asked a trusted proxy
    let asked = match &rules.said.host {
        Some(host) => {
            let invalid = Refusal::Host("a proxy says that the client has asked for a host that is invalid");
            Some(normal_authority(host, scheme).ok_or(invalid)?)
        }
        None => None,
    };
    if presented.target == "*" && *presented.method == Method::OPTIONS {
        let is_served = names.serve(asked.as_ref().unwrap_or(&named), scheme);
        return Err(if is_served { Refusal::Asterisk } else { Refusal::NotServed });
    }
    let is_path = presented.target.starts_with('/');
    let mut target = target(presented.target, scheme, named)?;
    // a client that uses Larder as a forward proxy must not get this site under the name of another one
    if !is_path && !names.include(&target.authority, scheme) {
        return Err(Refusal::Foreign(target.authority));
    }
    target.authority = asked.unwrap_or(target.authority);
    if !names.serve(&target.authority, scheme) {
        return Err(Refusal::NotServed);
    }
    if target.authority.is_empty() {
        target.authority = own_name(scheme, names.port);
    }
    hop_by_hop::strip_request(&mut fields).map_err(Refusal::Nominated)?;
    if fields.values(&header::VIA).any(|via| mentions(via.as_bytes(), rules.pseudonym)) {
        return Err(Refusal::Loop);
    }
    // the client side has answered 100-continue; an expectation is never forwarded
    if fields.values(&header::EXPECT).any(|expect| !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Refusal::Expectation);
    }
    if matches!(*presented.method, Method::OPTIONS | Method::TRACE)
        && let Some(hops) = fields.only(&header::MAX_FORWARDS).and_then(|hops| hops.to_str().ok()?.parse::<u32>().ok())
    {
        let Some(left) = hops.checked_sub(1) else { return Err(Refusal::LastHop) };
        fields.set(header::MAX_FORWARDS, FieldValue::from(left));
    }
    let mut forwarded = rules.said.by_proxy || fields.contains(&header::VIA);
    let mut claims_https = false;
    fields.retain(|name, value| {
        let untrusted = is_untrusted(name, presented.method);
        claims_https |= untrusted && !rules.said.by_proxy && says_https(name, value);
        forwarded |= untrusted && !METHOD_OVERRIDES.contains(&name.as_str());
        *name != header::EXPECT && *name != header::HOST && *name != header::CONTENT_LENGTH && !untrusted
    });
    let (method, peer, version) = (presented.method.clone(), presented.peer, presented.version);
    Ok(Request { method, target, fields, content: None, as_query: false, peer, version, forwarded, claims_https })
}

/// Returns the Host field's value in normal form (RFC 9112 §3.2). It is empty if a client of HTTP/1.0 sent none.
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

/// Parses the origin-form and the absolute-form (RFC 9112 §3.2). The authority of the latter must be the one in Host.
pub(super) fn target(presented: String, scheme: Scheme, host: String) -> Result<Target, Refusal> {
    // RFC 3986 forbids more characters, but clients send them; on the meaning of these no two parsers agree
    if presented.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'#' | b'\\')) {
        return Err(Refusal::Target("it holds a character that no target may hold"));
    }
    if presented.starts_with('/') {
        return Ok(Target { scheme, authority: host, path_and_query: presented });
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

/// Returns true if a list-valued field contains this token.
fn lists(fields: &Fields, name: &FieldName, token: &str) -> bool {
    let is_token = |item: &[u8]| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes());
    fields.values(name).any(|value| value.as_bytes().split(|&b| b == b',').any(is_token))
}

/// Returns true if a Via field names this pseudonym as a received-by (RFC 9110 §7.6.3).
fn mentions(via: &[u8], pseudonym: &str) -> bool {
    via.split(|b| b", \t".contains(b)).any(|word| word == pseudonym.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target_of(presented: &str) -> Option<(String, String)> {
        target(presented.to_owned(), Scheme::Http, "good".to_owned()).ok().map(|t| (t.authority, t.path_and_query))
    }

    #[test]
    fn no_name_that_is_untrusted_is_passed_over_for_its_first_letter() {
        let untrusted = |name: &'static str| is_untrusted(&FieldName::from_static(name), &Method::GET);
        assert!(UNTRUSTED.iter().chain(&METHOD_OVERRIDES).chain(&["x-forwarded-for"]).all(|name| untrusted(name)));
        assert!(OF_HTTP.iter().all(|name| !untrusted(name)), "these are trusted in their own spelling");
        assert!(["accept_encoding", "base_url", "x.host", "user_agent"].into_iter().all(untrusted));
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
}
