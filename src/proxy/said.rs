//! Reads what trusted proxies say about the client whose request they forward: X-Forwarded-For, -Proto and -Host, or,
//! if none of these is present, Forwarded (RFC 7239).

use std::net::{IpAddr, SocketAddr};

use http::header::FORWARDED;

use crate::{
    client::TrustedProxies,
    fields::forwarded,
    message::{FieldName, FieldValue, Fields, Scheme},
};

/// The facts about the client that are believed, because a trusted proxy gave them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// True if the peer is a trusted proxy. Its connection may carry the requests of many users.
    pub by_proxy: bool,
    /// The address of the client: the rightmost address that is not a trusted proxy's.
    pub client: Option<IpAddr>,
    pub scheme: Option<Scheme>,
    /// The host that the client asked. It is not checked yet.
    pub host: Option<String>,
}

/// The facts that one proxy gives about its own client.
#[derive(Debug, Default)]
struct Hop {
    address: Option<String>,
    scheme: Option<String>,
    host: Option<String>,
}

/// Reads what the peer of a request says about its client, and replaces the peer's address and scheme by the client's.
/// A peer that is not trusted is not believed. `fields` are those of the request.
pub fn believe(peer: &mut Option<IpAddr>, scheme: &mut Scheme, fields: &Fields, trusted: &TrustedProxies) -> Said {
    let Some(proxy) = peer.filter(|peer| trusted.contains(*peer)) else { return Said::default() };
    let said = said(fields, trusted);
    *peer = said.client.or(Some(proxy));
    *scheme = said.scheme.unwrap_or(*scheme);
    said
}

fn said(fields: &Fields, trusted: &TrustedProxies) -> Said {
    let mut said = Said { by_proxy: true, ..Said::default() };
    // the last entry was written by the peer, each earlier one by the proxy that the next entry names
    for hop in hops(fields).into_iter().rev() {
        said.scheme = hop.scheme.as_deref().and_then(scheme).or(said.scheme);
        said.host = hop.host.or(said.host);
        let Some(address) = hop.address.as_deref().and_then(address) else { break };
        said.client = Some(address);
        if !trusted.contains(address) {
            break;
        }
    }
    said
}

/// Returns the facts that each proxy gives, in the order of the lists.
fn hops(fields: &Fields) -> Vec<Hop> {
    let list = |name: &'static str| {
        let name = FieldName::from_static(name);
        let values = fields.values(&name).filter_map(|value| value.to_str().ok());
        let members = values.flat_map(|value| value.split(','));
        members.map(|member| member.trim().to_owned()).collect::<Vec<_>>()
    };
    let mut lists = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"].map(list);
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    if longest == 0 {
        let elements = fields.values(&FORWARDED).flat_map(|value| forwarded::elements(value.as_bytes()));
        let hop = |element: forwarded::Element| Hop {
            address: element.forwarded_for,
            scheme: element.proto,
            host: element.host,
        };
        return elements.map(hop).collect();
    }
    let mut hops: Vec<_> = (0..longest)
        .map(|_| {
            let [address, scheme, host] = lists.each_mut().map(|list| list.pop().filter(|text| !text.is_empty()));
            Hop { address, scheme, host }
        })
        .collect();
    hops.reverse();
    hops
}

/// Returns true if a line says that a client speaks https.
pub fn says_https(name: &FieldName, value: &FieldValue) -> bool {
    let is_https = |text: &str| scheme(text.trim()) == Some(Scheme::Https);
    match name.as_str() {
        "x-forwarded-proto" => value.to_str().is_ok_and(|list| list.split(',').any(is_https)),
        "forwarded" => {
            forwarded::elements(value.as_bytes()).iter().any(|element| element.proto.as_deref().is_some_and(is_https))
        }
        _ => false,
    }
}

fn scheme(text: &str) -> Option<Scheme> {
    [Scheme::Http, Scheme::Https].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme.as_str()))
}

/// Parses an address, with or without a port and brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[&str]) -> (Option<String>, Option<&'static str>, Option<String>) {
        let mut trusted = TrustedProxies::default();
        assert!(trusted.add("10.0.0.0/8") && trusted.add("2001:db8::/32"));
        let lines = lines.iter().map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (FieldName::from_bytes(name.as_bytes()).unwrap(), FieldValue::from_str(value).unwrap())
        });
        let Said { client, scheme, host, .. } = said(&lines.collect(), &trusted);
        (client.map(|client| client.to_string()), scheme.map(Scheme::as_str), host)
    }

    #[test]
    fn w21_the_rightmost_untrusted_address_is_the_client() {
        for (list, client) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("6.6.6.6, 192.0.2.1", Some("192.0.2.1")),
            ("6.6.6.6, 192.0.2.1, 10.0.0.7", Some("192.0.2.1")),
            ("6.6.6.6, 192.0.2.1, 10.0.0.7, 2001:db8::1", Some("192.0.2.1")),
            ("10.0.0.8, 10.0.0.7", Some("10.0.0.8")),
            ("6.6.6.6, unknown, 10.0.0.7", Some("10.0.0.7")),
            ("6.6.6.6, unknown", None),
            ("6.6.6.6, ", None),
            ("192.0.2.1:4711", Some("192.0.2.1")),
            ("[2001:db9::1]:4711, 10.0.0.1", Some("2001:db9::1")),
            ("[2001:db9::1]", Some("2001:db9::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
        ] {
            assert_eq!(heard(&[&format!("x-forwarded-for: {list}")]).0.as_deref(), client, "{list}");
        }
        let two_lines = heard(&["x-forwarded-for: 6.6.6.6", "x-forwarded-for: 192.0.2.1, 10.0.0.7"]);
        assert_eq!(two_lines.0.as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn w21_a_scheme_and_a_host_are_believed_only_from_trusted_hops() {
        for (lines, scheme, host) in [
            (&["x-forwarded-proto: https", "x-forwarded-host: a"][..], Some("https"), Some("a")),
            (&["x-forwarded-for: 192.0.2.1, 10.0.0.7", "x-forwarded-proto: https"], Some("https"), None),
            (&["x-forwarded-for: 192.0.2.1, 10.0.0.7", "x-forwarded-proto: https, http"], Some("https"), None),
            // the client has sent the first one itself
            (&["x-forwarded-for: 192.0.2.1", "x-forwarded-proto: https, http"], Some("http"), None),
            (&["x-forwarded-for: 192.0.2.1", "x-forwarded-host: evil, a"], None, Some("a")),
            (&["x-forwarded-proto: gopher"], None, None),
        ] {
            let heard = heard(lines);
            assert_eq!((heard.1, heard.2.as_deref()), (scheme, host), "{lines:?}");
        }
    }

    #[test]
    fn w21_forwarded_is_read_only_where_the_others_are_absent() {
        let forwarded = "forwarded: for=6.6.6.6;proto=http;host=evil, for=\"[2001:db9::1]:80\";proto=https;host=\"a:8443\", \
                         for=10.0.0.7;by=10.0.0.8";
        assert_eq!(heard(&[forwarded]), (Some("2001:db9::1".to_owned()), Some("https"), Some("a:8443".to_owned())));
        let client = heard(&[forwarded, "x-forwarded-for: 192.0.2.9"]);
        assert_eq!(client, (Some("192.0.2.9".to_owned()), None, None));
        assert_eq!(heard(&["forwarded: for=_hidden;proto=https"]), (None, Some("https"), None));
        assert_eq!(heard(&[]), (None, None, None));
    }
}
