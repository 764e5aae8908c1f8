//! The origin's URL.

use std::net::{Ipv4Addr, Ipv6Addr};

const FORM: &str = "expected http(s)://host[:port][/base], for example http://127.0.0.1:8080";

const SOCKET: &str =
    "Unix sockets are not supported; let the origin listen on a port, for example http://127.0.0.1:8080";

/// The parts of the origin's URL, `http(s)://host[:port][/base]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub https: bool,
    /// The host in lower case. An IPv6 address has brackets.
    pub host: String,
    pub port: u16,
    /// The path that is put before the path of each request. It is empty, or begins with `/` and does not end with `/`.
    pub base: String,
    /// The whole URL in its normal form: no default port, no slash at the end.
    pub url: String,
}

impl Origin {
    /// Parses a URL. The error says in one line what is wrong and what was expected.
    pub fn parse(text: &str) -> Result<Origin, String> {
        // the error does not repeat the URL, which may hold a password
        let personal = || "a user name or a password is not supported; leave out the part before the @".to_owned();
        if is_socket(text) {
            return Err(SOCKET.to_owned());
        }
        let (https, rest) = scheme(text).map_err(|error| if text.contains('@') { personal() } else { error })?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(personal());
        }
        let (host, port) = host_and_port(authority, if https { 443 } else { 80 })?;
        let base = base(path)?;
        let mut origin = Origin { https, host, port, base, url: String::new() };
        origin.url = format!("{}://{}{}", origin.scheme(), origin.authority(), origin.base);
        Ok(origin)
    }

    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// Returns the value of the Host field. It names the port only if that is not the scheme's default (RFC 9110 §4.2).
    pub fn authority(&self) -> String {
        match (self.https, self.port) {
            (false, 80) | (true, 443) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

/// Returns true if the text names a Unix socket in a way that other programs know: `http://unix:/run/app.sock`,
/// `unix:...`, `http+unix://...`, `/run/app.sock`.
fn is_socket(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let rest = text.strip_prefix("http://").or(text.strip_prefix("https://")).unwrap_or(&text);
    // a host of this name may have a port
    let is_path = |path: &str| !path.starts_with(|c: char| c.is_ascii_digit());
    rest.strip_prefix("unix:").is_some_and(is_path) || text.contains("+unix:") || text.starts_with('/')
}

fn scheme(text: &str) -> Result<(bool, &str), String> {
    if text.is_empty() {
        return Err(FORM.to_owned());
    }
    match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Ok((false, rest)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => Ok((true, rest)),
        Some((scheme, _)) => Err(format!("unknown scheme {scheme:?}; {FORM}")),
        None if text.starts_with("http") || !text.bytes().all(|b| b.is_ascii_graphic()) => Err(FORM.to_owned()),
        None => Err(format!("missing scheme; write http://{text} or https://{text}")),
    }
}

/// Parses `host` or `host:port`, and returns the host in lower case.
pub fn host_and_port(authority: &str, default_port: u16) -> Result<(String, u16), String> {
    let (host, port) = match authority.rfind(':') {
        Some(colon) if !authority.ends_with(']') => (&authority[..colon], &authority[colon + 1..]),
        _ => (authority, ""),
    };
    let port = match port {
        "" => default_port,
        digits => digits
            .parse()
            .ok()
            .filter(|port| *port != 0 && digits.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(|| format!("invalid port {digits:?}: expected 1 to 65535"))?,
    };
    Ok((self::host(host)?, port))
}

/// Parses a name or an address, and returns it in lower case.
pub fn host(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err(format!("missing host; {FORM}"));
    }
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = address
            .parse()
            .map_err(|_| format!("invalid IPv6 address {address:?}; expected one like [2001:db8::1]"))?;
        return Ok(format!("[{address}]"));
    }
    if text.contains(':') {
        return Err(format!("invalid host {text:?}; an IPv6 address needs brackets, for example [2001:db8::1]"));
    }
    if !text.is_ascii() {
        return Err(format!("invalid host {text:?}; write the name in ASCII, in its xn-- form"));
    }
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if !text.bytes().all(known) || text.starts_with('.') || text.contains("..") || text.len() > 253 {
        return Err(format!("invalid host {text:?}; expected a name or an address, for example example.com"));
    }
    // resolvers take a name that ends in a number for an address in an unusual form (RFC 3986 §7.4)
    let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) && text.parse::<Ipv4Addr>().is_err() {
        return Err(format!("invalid IPv4 address {text:?}; expected four numbers, for example 192.0.2.1"));
    }
    Ok(text.to_ascii_lowercase())
}

fn base(path: &str) -> Result<String, String> {
    if path.contains('#') {
        return Err("a fragment (#...) is not supported; leave it out".to_owned());
    }
    if path.contains('?') {
        return Err("a query (?...) is not supported; leave it out, since each request has its own".to_owned());
    }
    // the characters of a path (RFC 3986 §3.3)
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&b);
    if let Some(bad) = path.bytes().position(|b| !allowed(b)) {
        let bad = path[path.floor_char_boundary(bad)..].chars().next().unwrap_or_default();
        return Err(format!("invalid character {bad:?} in the path; write it percent-encoded"));
    }
    Ok(path.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_into_one_normal_form() {
        for (text, https, host, port, base, url) in [
            ("http://dummyjson.com", false, "dummyjson.com", 80, "", "http://dummyjson.com"),
            ("HTTP://DummyJSON.com:80/", false, "dummyjson.com", 80, "", "http://dummyjson.com"),
            ("https://a.example:8443/v2/", true, "a.example", 8443, "/v2", "https://a.example:8443/v2"),
            ("https://a.example:443/a/b", true, "a.example", 443, "/a/b", "https://a.example/a/b"),
            ("http://[2001:DB8::1]:81", false, "[2001:db8::1]", 81, "", "http://[2001:db8::1]:81"),
            ("http://[::1]", false, "[::1]", 80, "", "http://[::1]"),
            ("http://127.0.0.1:8080", false, "127.0.0.1", 8080, "", "http://127.0.0.1:8080"),
            ("http://unix:81", false, "unix", 81, "", "http://unix:81"),
            ("http://my_service:5000/a%20b", false, "my_service", 5000, "/a%20b", "http://my_service:5000/a%20b"),
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!(
                (origin.https, &*origin.host, origin.port, &*origin.base, &*origin.url),
                (https, host, port, base, url)
            );
            assert_eq!(Origin::parse(&origin.url).unwrap(), origin, "{text}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_in_words() {
        for (text, words) in [
            ("", "expected http(s)://host"),
            ("dummyjson.com", "missing scheme; write http://dummyjson.com or https://dummyjson.com"),
            ("localhost:3000", "missing scheme; write http://localhost:3000 or "),
            ("ftp://a", "unknown scheme \"ftp\""),
            ("http://", "missing host"),
            ("http:///path", "missing host"),
            ("http://:80", "missing host"),
            ("http://u:secret@a", "a user name or a password"),
            ("u:secret@a", "a user name or a password"),
            ("u:secret@a://b", "a user name or a password"),
            ("http:/u:secret@a", "a user name or a password"),
            ("http://a?x=1", "a query"),
            ("http://a/b#c", "a fragment"),
            ("http://a:0", "invalid port \"0\""),
            ("http://a:+80", "invalid port \"+80\""),
            ("http://a:65536", "invalid port \"65536\""),
            ("http://::1", "needs brackets"),
            ("http://[::g]", "invalid IPv6 address"),
            ("http://a b", "invalid host"),
            ("http://a..b", "invalid host"),
            ("http://1.2.3", "invalid IPv4 address"),
            ("http://0x7f.1", "invalid IPv4 address"),
            ("http://bücher.example", "xn--"),
            ("http://a/b c", "' ' in the path"),
            ("http://a/ü", "'ü' in the path"),
            ("http://a/b\r\nX: y", "in the path"),
            ("http://unix:/run/app.sock", "Unix sockets are not supported"),
            ("http://unix:/run/app.sock:/base", "Unix sockets are not supported"),
            ("HTTP://Unix:app.sock", "Unix sockets are not supported"),
            ("unix:/run/app.sock", "Unix sockets are not supported"),
            ("unix:///run/app.sock", "Unix sockets are not supported"),
            ("http+unix://%2Frun%2Fapp.sock", "Unix sockets are not supported"),
            ("/run/app.sock", "Unix sockets are not supported"),
        ] {
            let error = Origin::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_host_field_names_a_port_only_where_it_is_not_the_default() {
        let authority = |url| Origin::parse(url).unwrap().authority();
        assert_eq!(authority("http://a:80"), "a");
        assert_eq!(authority("http://a:443"), "a:443");
        assert_eq!(authority("https://a:443"), "a");
    }
}
