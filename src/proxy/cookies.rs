//! Rewrites Set-Cookie so that the client's browser accepts it. An origin names its own host and may require https; the
//! client asked another host, maybe by http.

use std::borrow::Cow;

use super::{
    authority::{host_and_port, is_loopback_name},
    forward::OriginUrl,
    outward::is_below,
};
use crate::message::{FieldValue, Scheme, Target};

/// Returns the Set-Cookie line that fits the host that the client asked. Returns `None` if the line fits as it is. A
/// Domain that does not match that host is dropped. Secure, and the attributes that need it, are dropped if the client
/// asked a loopback name of Larder without TLS. Path becomes the path under which clients reach the same. `port` is the port
/// that Larder listens on.
pub fn fitting(line: &FieldValue, target: &Target, port: u16, url: &OriginUrl) -> Option<FieldValue> {
    let text = line.to_str().ok()?;
    let (pair, attributes) = text.split_once(';')?;
    let is_plain = target.scheme == Scheme::Http && is_loopback_name(&target.authority, target.scheme, port);
    // a browser rejects a cookie with such a name and without Secure
    let name = pair.trim_start().to_ascii_lowercase();
    let drops_secure = is_plain && !name.starts_with("__secure-") && !name.starts_with("__host-");
    let (host, _) = host_and_port(&target.authority);
    let fits = |attribute: &&str| {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        match &*name {
            "domain" => value.is_empty() || matches(host, value),
            "secure" | "partitioned" => !drops_secure,
            "samesite" => !(drops_secure && value.eq_ignore_ascii_case("none")),
            _ => true,
        }
    };
    let kept = attributes.split(';').filter(fits).map(|attribute| moved(attribute, url));
    let line = std::iter::once(pair.into()).chain(kept).collect::<Vec<Cow<'_, str>>>().join(";");
    if line == text { None } else { FieldValue::try_from(line).ok() }
}

/// Returns the attribute; Path with the site's prefix in place of the origin's base path.
fn moved<'a>(attribute: &'a str, url: &OriginUrl) -> Cow<'a, str> {
    let Some((name, path)) = attribute.split_once('=') else { return attribute.into() };
    if !name.trim().eq_ignore_ascii_case("path") || (url.base.is_empty() && url.prefix.is_empty()) {
        return attribute.into();
    }
    let path = path.trim();
    let below = Some(path).filter(|path| is_below(path, &url.base)).map_or(path, |path| &path[url.base.len()..]);
    let below = if url.prefix.is_empty() || below != "/" { below } else { "" };
    match (url.prefix.as_str(), below) {
        ("", "") => format!("{name}=/").into(),
        (prefix, below) => format!("{name}={prefix}{below}").into(),
    }
}

/// Returns true if a host matches the Domain of a cookie (RFC 6265 §5.1.3).
fn matches(host: &str, domain: &str) -> bool {
    let domain = domain.strip_prefix('.').unwrap_or(domain).to_ascii_lowercase();
    let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
    host == domain || (!is_address && host.strip_suffix(&*domain).is_some_and(|rest| rest.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(line: &str, scheme: Scheme, authority: &str) -> String {
        let target = Target { scheme, authority: authority.to_owned(), path_and_query: "/".to_owned() };
        let line = FieldValue::from_str(line).unwrap();
        let root = url("", "");
        fitting(&line, &target, 3000, &root).unwrap_or(line).to_str().unwrap().to_owned()
    }

    fn url(base: &str, prefix: &str) -> OriginUrl {
        OriginUrl { https: false, authority: "o".to_owned(), base: base.to_owned(), prefix: prefix.to_owned() }
    }

    #[test]
    fn the_path_of_a_cookie_is_the_one_under_which_clients_reach_the_same() {
        let target = Target { scheme: Scheme::Http, authority: "shop.test".to_owned(), path_and_query: "/".to_owned() };
        for (base, prefix, path, moved) in [
            ("", "", "/", "/"),
            ("", "", "/a", "/a"),
            ("/api", "", "/api", "/"),
            ("/api", "", "/api/a", "/a"),
            ("/api", "", "/", "/"),
            ("", "/shop", "/", "/shop"),
            ("", "/shop", "/a/", "/shop/a/"),
            ("/api", "/shop", "/api/a", "/shop/a"),
        ] {
            let line = FieldValue::from_str(&format!("a=b; Path={path}; HttpOnly")).unwrap();
            let fitted = fitting(&line, &target, 3000, &url(base, prefix)).unwrap_or(line);
            assert_eq!(fitted.to_str().unwrap(), format!("a=b; Path={moved}; HttpOnly"), "{base} {prefix} {path}");
        }
    }

    #[test]
    fn w20_a_domain_that_does_not_match_the_asked_host_is_dropped() {
        for (domain, host, kept) in [
            ("api.example.com", "localhost:3000", false),
            ("shop.test", "shop.test", true),
            ("shop.test", "shop.test:8080", true),
            (".Shop.Test", "www.shop.test", true),
            ("www.shop.test", "shop.test", false),
            ("op.test", "shop.test", false),
            ("0.0.1", "127.0.0.1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("[::1]", "[::1]:3000", true),
        ] {
            let line = format!("sid=1; Path=/; Domain={domain}; HttpOnly");
            let expected = if kept { line.clone() } else { "sid=1; Path=/; HttpOnly".to_owned() };
            assert_eq!(fitted(&line, Scheme::Http, host), expected, "{domain} {host}");
        }
    }

    #[test]
    fn w20_secure_is_dropped_only_for_this_machines_names_for_larder() {
        let line = "sid=1; Secure; SameSite=None; Path=/; partitioned";
        for own in ["localhost:3000", "127.0.0.1:3000", "[::1]:3000"] {
            assert_eq!(fitted(line, Scheme::Http, own), "sid=1; Path=/", "{own}");
            assert_eq!(fitted("sid=1;secure;SameSite=Lax", Scheme::Http, own), "sid=1;SameSite=Lax", "{own}");
            for named in ["__Host-sid=1; Secure; Path=/", "__secure-sid=1; Secure"] {
                assert_eq!(fitted(named, Scheme::Http, own), named, "{own}");
            }
        }
        for other in ["localhost:3001", "localhost", "shop.test", "192.0.2.1:3000"] {
            assert_eq!(fitted(line, Scheme::Http, other), line, "{other}");
        }
        assert_eq!(fitted(line, Scheme::Https, "localhost:3000"), line);
        for odd in ["sid=1", "secure", "", "a=secure; domain"] {
            assert_eq!(fitted(odd, Scheme::Http, "localhost:3000"), odd);
        }
    }
}
