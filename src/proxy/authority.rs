//! The names of hosts: their one spelling, and which of them are Larder's own.

use std::net::{Ipv6Addr, SocketAddr};

use crate::message::Scheme;

/// `host [":" port]` (RFC 3986 §3.2) in one spelling: lower case, without a trailing dot or the scheme's own port.
/// `None`: the text is not an authority.
pub fn normal_authority(authority: &str, scheme: Scheme) -> Option<String> {
    let (mut host, port) = match authority.strip_prefix('[') {
        Some(literal) => {
            let (address, port) = literal.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            (format!("[{address}]"), port.strip_prefix(':').or_else(|| port.is_empty().then_some(""))?)
        }
        None => {
            let end = authority.bytes().position(|byte| !OF_NAMES[byte as usize]).unwrap_or(authority.len());
            let (host, behind) = authority.split_at(end);
            let port = if behind.is_empty() { "" } else { behind.strip_prefix(':')? };
            let name = host.strip_suffix('.').unwrap_or(host);
            if name.is_empty() || name.starts_with('.') || name.ends_with('.') {
                return None;
            }
            // with room for the port
            let mut host = String::with_capacity(authority.len());
            host.push_str(name);
            host.make_ascii_lowercase();
            (host, port)
        }
    };
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if port.is_empty() {
        return Some(host);
    }
    // a leading zero means nothing
    let number: u16 = port.parse().ok()?;
    if number != scheme.default_port() {
        host.push(':');
        host.push_str(itoa::Buffer::new().format(number));
    }
    Some(host)
}

/// For each byte: it is a character of a registered name (RFC 3986 §3.2.2), and not the comma, which separates hosts. A
/// table, because each request asks for each byte of its host.
const OF_NAMES: [bool; 256] = {
    let (mut of_names, mut byte) = ([false; 256], 0);
    while byte < 256 {
        of_names[byte] = (byte as u8).is_ascii_alphanumeric()
            || matches!(
                byte as u8,
                b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=' | b'%'
            );
        byte += 1;
    }
    of_names
};

/// Returns the host of an authority, and its port if it names one.
pub fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// Returns true if the authority names this machine as the Larder that listens on `port`.
pub fn is_loopback_name(authority: &str, scheme: Scheme, port: u16) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| {
        authority.strip_prefix(host).is_some_and(|named| match named.strip_prefix(':') {
            Some(named) => named.parse() == Ok(port),
            None => named.is_empty() && port == scheme.default_port(),
        })
    })
}

/// Returns the authority of a client that names none: the site that Larder stands in front of.
pub fn own_name(scheme: Scheme, port: u16) -> String {
    match port == scheme.default_port() {
        true => "localhost".to_owned(),
        false => format!("localhost:{port}"),
    }
}

/// The names under which clients may reach Larder.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// `--allow-host`; empty: every host is served.
    pub allowed: &'a [String],
    /// The hosts of the sites.
    pub of_sites: &'a [String],
    /// The port that Larder listens on.
    pub port: u16,
    /// The address at which the client has reached Larder.
    pub local: Option<SocketAddr>,
}

impl Names<'_> {
    /// Returns true if requests for this authority are served.
    pub fn serve(&self, authority: &str, scheme: Scheme) -> bool {
        self.allowed.is_empty() || self.allow(authority, scheme)
    }

    /// Returns true if the authority is one of Larder's own, or `--allow-host` names it.
    pub fn include(&self, authority: &str, scheme: Scheme) -> bool {
        is_loopback_name(authority, scheme, self.port)
            || self.local.is_some_and(|local| authority == of_address(local, scheme))
            || self.allow(authority, scheme)
            || self.of_sites.iter().any(|host| covers(host, authority, scheme))
    }

    fn allow(&self, authority: &str, scheme: Scheme) -> bool {
        self.allowed.iter().any(|allowed| covers(allowed, authority, scheme))
    }
}

/// Returns the authority of an address.
fn of_address(address: SocketAddr, scheme: Scheme) -> String {
    let address = SocketAddr::new(address.ip().to_canonical(), address.port()).to_string();
    scheme.without_default_port(&address).to_owned()
}

/// Returns true if a name of `--allow-host` or of a site's hosts covers this authority. Without a port it covers every port;
/// `*.example.com` covers all names below that one.
pub fn covers(allowed: &str, authority: &str, scheme: Scheme) -> bool {
    let (host, port) = host_and_port(authority);
    if let Some(above) = allowed.strip_prefix('*') {
        return host.strip_suffix(above).is_some_and(|below| !below.is_empty());
    }
    match host_and_port(allowed) {
        (allowed, None) => allowed == host,
        (allowed, Some(named)) => {
            allowed == host && named.parse() == port.map_or(Ok(scheme.default_port()), str::parse)
        }
    }
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
            ("example.com:0080", "example.com"),
            ("example.com:08080", "example.com:8080"),
            ("example.com:0", "example.com:0"),
        ] {
            assert_eq!(normal_authority(written, Scheme::Http).as_deref(), Some(normal), "{written}");
        }
    }

    fn is_own(authority: &str, port: u16) -> bool {
        is_loopback_name(authority, Scheme::Http, port)
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

    #[test]
    fn an_allowed_host_without_a_port_covers_every_port() {
        let covers = |allowed, authority| covers(allowed, authority, Scheme::Http);
        assert!(covers("shop.test", "shop.test:3000") && covers("shop.test:3000", "shop.test:3000"));
        assert!(!covers("shop.test", "shop.test.evil") && !covers("shop.test:3000", "shop.test:3001"));
        assert!(!covers("::1", "[::1]:80") && covers("[::1]", "[::1]:80") && covers("[::1]", "[::1]"));
    }

    #[test]
    fn w23_an_allowed_host_with_the_port_of_the_scheme_covers_the_host_without_a_port() {
        assert!(covers("shop.test:80", "shop.test", Scheme::Http));
        assert!(covers("shop.test:443", "shop.test", Scheme::Https));
        assert!(!covers("shop.test:443", "shop.test", Scheme::Http));
        assert!(!covers("shop.test:80", "shop.test:8080", Scheme::Http));
    }

    #[test]
    fn the_address_that_a_client_has_reached_is_a_name_of_larders_own() {
        let at = |local: &str| Names { allowed: &[], of_sites: &[], port: 3000, local: Some(local.parse().unwrap()) };
        assert!(at("192.0.2.1:3000").include("192.0.2.1:3000", Scheme::Http));
        assert!(at("[::ffff:192.0.2.1]:80").include("192.0.2.1", Scheme::Http));
        assert!(at("[2001:db8::1]:3000").include("[2001:db8::1]:3000", Scheme::Http));
        assert!(!at("192.0.2.1:3000").include("192.0.2.2:3000", Scheme::Http));
        assert!(!at("192.0.2.1:3000").include("192.0.2.1", Scheme::Http));
    }
}
