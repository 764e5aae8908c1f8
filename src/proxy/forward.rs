//! Makes the request that is sent to the origin.

use std::{borrow::Cow, net::IpAddr};

use http::header;

use crate::message::{FieldName, FieldValue, Fields, Method, Request, Scheme};

/// The origin's URL, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginUrl {
    pub https: bool,
    /// The host, and the port unless it is the scheme's default, as in Host.
    pub authority: String,
    /// The base path. It begins with `/` and does not end with one. Empty if there is none.
    pub base: String,
    /// The path under which clients reach the origin, in place of `base`. It begins with `/` and does not end with one. Empty
    /// if they reach it at the root.
    pub prefix: String,
}

impl OriginUrl {
    /// Returns this URL with another authority.
    pub fn with_authority(&self, authority: String) -> OriginUrl {
        OriginUrl { https: self.https, authority, base: self.base.clone(), prefix: self.prefix.clone() }
    }

    /// Returns the URL: `http://host:port/base`.
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme().as_str(), self.authority, self.base)
    }

    /// Returns the name of the origin in keys. Under another prefix the same path of a client's is another resource.
    pub fn keyed(&self) -> String {
        match self.prefix.as_str() {
            "" => self.url(),
            prefix => format!("{} below {prefix}", self.url()),
        }
    }

    /// Returns the value of Origin for this site: `http://host:port`.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme().as_str(), self.authority)
    }

    pub fn scheme(&self) -> Scheme {
        if self.https { Scheme::Https } else { Scheme::Http }
    }

    /// Returns the target that is sent to the origin: the base path, then the path and query of the request.
    pub fn target(&self, request: &Request) -> String {
        let within = self.within(&request.target.path_and_query);
        let mut target = String::with_capacity(self.base.len() + within.len());
        target.push_str(&self.base);
        target.push_str(&within);
        target
    }

    /// Returns a path of the client's without the prefix.
    pub fn within<'a>(&self, path_and_query: &'a str) -> Cow<'a, str> {
        match path_and_query.strip_prefix(&*self.prefix) {
            Some(within) if within.starts_with('/') => within.into(),
            Some(within) => format!("/{within}").into(),
            None => path_and_query.into(),
        }
    }

    /// Turns a reference to the origin into a reference that leads to the same place through Larder. Returns `None` if
    /// the reference leads elsewhere, or is relative already.
    pub fn inward(&self, reference: &str) -> Option<String> {
        let path = if let Some((scheme, rest)) = reference.split_once("://") {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let bare = self.scheme().without_default_port(authority);
            let ours =
                scheme.eq_ignore_ascii_case(self.scheme().as_str()) && bare.eq_ignore_ascii_case(&self.authority);
            ours.then_some(path)?
        } else if let Some(rest) = reference.strip_prefix("//") {
            let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
            let bare = self.scheme().without_default_port(authority);
            bare.eq_ignore_ascii_case(&self.authority).then_some(path)?
        } else if reference.starts_with('/') && !(self.base.is_empty() && self.prefix.is_empty()) {
            reference
        } else {
            return None;
        };
        let inside = path.strip_prefix(self.base.as_str())?;
        match inside.as_bytes() {
            [b'/', ..] if !self.prefix.is_empty() => Some(format!("{}{inside}", self.prefix)),
            // such a path alone would be read as a host (RFC 3986 §4.2; the WHATWG URL standard reads backslashes so,
            // too)
            [b'/', b'/' | b'\\' | b'\t', ..] => Some(format!("/.{inside}")),
            [b'/', ..] => Some(inside.to_owned()),
            [] | [b'?' | b'#', ..] => Some(format!("{}/{inside}", self.prefix)),
            _ => None,
        }
    }

    /// Returns the URL that --origin should name, if the reference points at the same site under another scheme or
    /// port, or with or without `www.`.
    pub fn other_name(&self, reference: &str) -> Option<String> {
        let (scheme, rest) = reference.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let name = |authority: &str| {
            let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_ascii_lowercase();
            host.strip_prefix("www.").map_or(host.clone(), str::to_owned)
        };
        (name(authority) == name(&self.authority)).then(|| format!("{scheme}://{authority}{}", self.base))
    }
}

/// Which conditions of the client are sent to the origin (RFC 9110 §13.1, §14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditions {
    /// All are sent: the answer is for this client alone.
    AsAsked,
    /// Range and If-Range are sent: a part may be stored as a part.
    RangeOnly,
    /// None is sent: the answer is shared.
    None,
}

const CONDITIONAL: [FieldName; 4] =
    [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE];

/// Returns true if a client's request has conditions that a 304 may answer.
pub fn has_conditions(request: &Request) -> bool {
    CONDITIONAL.iter().any(|name| request.fields.contains(name))
}

/// Returns the fields of the outgoing request: Host, the client's fields, then the fields that Larder writes. `heard`
/// is the URL by which the origin is addressed.
pub fn fields(request: &Request, heard: &OriginUrl, pseudonym: &str, conditions: Conditions) -> Fields {
    let mut out = Fields::with_capacity(request.fields.len() + 8);
    out.append(header::HOST, value(&heard.authority));
    for (name, value) in request.fields.iter() {
        let kept = match conditions {
            Conditions::AsAsked => true,
            Conditions::RangeOnly => !CONDITIONAL.contains(name),
            Conditions::None => !CONDITIONAL.contains(name) && *name != header::RANGE && *name != header::IF_RANGE,
        };
        if kept {
            out.append(name.clone(), value.clone());
        }
    }
    out.append(header::VIA, value(&[request.version.number(), " ", pseudonym].concat()));
    out
}

/// Appends the fields that describe the client: its address, the host that it asked, and the scheme that the origin
/// should write into its URLs.
pub fn describe_client(out: &mut Fields, request: &Request, scheme: Scheme) {
    let mut forwarded = String::with_capacity(64 + request.target.authority.len());
    if let Some(peer) = request.peer {
        let address = text(peer);
        let (before, behind) = if peer.is_ipv6() { ("for=\"[", "]\";") } else { ("for=", ";") };
        forwarded.extend([before, &address, behind]);
        out.append(FieldName::from_static("x-forwarded-for"), value(&address));
    }
    forwarded.extend(["host=\"", &request.target.authority, "\";proto=", scheme.as_str()]);
    out.append(FieldName::from_static("x-forwarded-host"), value(&request.target.authority));
    out.append(FieldName::from_static("x-forwarded-proto"), FieldValue::from_static(scheme.as_str()));
    out.append(header::FORWARDED, value(&forwarded));
}

/// Returns true if a request of this method has a Content-Length even without a body (RFC 9110 §8.6).
pub fn expects_content(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// Returns true if origins read the content of requests of this method (RFC 9110 §9.3, RFC 10008).
pub fn is_made_for_content(method: &Method) -> bool {
    expects_content(method) || method.as_str() == "QUERY"
}

/// Returns an address as text. Display takes 1,300 instructions for the four numbers.
fn text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut text = String::with_capacity(15);
    for octet in address.octets() {
        text.push_str(itoa::Buffer::new().format(octet));
        text.push('.');
    }
    text.pop();
    text
}

// only text that was parsed before comes here: an authority, an address, a pseudonym
fn value(text: &str) -> FieldValue {
    FieldValue::from_str(text).unwrap_or_else(|_| FieldValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(https: bool, base: &str) -> OriginUrl {
        let (authority, base) = ("origin.test:8080".to_owned(), base.to_owned());
        OriginUrl { https, authority, base, prefix: String::new() }
    }

    #[test]
    fn a_reference_to_the_origin_becomes_one_to_larder() {
        let plain = site(false, "");
        assert_eq!(plain.inward("http://origin.test:8080/a?b#c").as_deref(), Some("/a?b#c"));
        assert_eq!(plain.inward("HTTP://Origin.Test:8080").as_deref(), Some("/"));
        assert_eq!(plain.inward("http://origin.test:8080?q").as_deref(), Some("/?q"));
        assert_eq!(plain.inward("//origin.test:8080/a").as_deref(), Some("/a"));
        for elsewhere in ["https://origin.test:8080/a", "http://origin.test/a", "http://other/a", "/a", "a", "//x/y"] {
            assert_eq!(plain.inward(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn a_path_that_reads_like_another_host_stays_a_path() {
        for (path, inward) in [
            ("//evil.test/", "/.//evil.test/"),
            ("//", "/.//"),
            ("///evil.test", "/.///evil.test"),
            ("/\\evil.test", "/./\\evil.test"),
            ("/\t/evil.test", "/./\t/evil.test"),
            ("/a//b", "/a//b"),
            ("/?//b", "/?//b"),
        ] {
            let plain = site(false, "").inward(&format!("http://origin.test:8080{path}"));
            assert_eq!(plain.as_deref(), Some(inward), "{path:?}");
            for reference in [format!("https://origin.test:8080/api{path}"), format!("/api{path}")] {
                assert_eq!(site(true, "/api").inward(&reference).as_deref(), Some(inward), "{reference:?}");
            }
        }
    }

    #[test]
    fn a_reference_to_the_same_site_by_another_name_tells_how_to_name_it() {
        let plain = site(false, "");
        for (reference, name) in [
            ("https://origin.test:8080/x", Some("https://origin.test:8080")),
            ("https://origin.test/", Some("https://origin.test")),
            ("http://WWW.origin.test", Some("http://WWW.origin.test")),
            ("http://www.origin.test?q", Some("http://www.origin.test")),
            ("https://other.test/", None),
            ("ftp://origin.test/", None),
            ("/x", None),
        ] {
            assert_eq!(plain.other_name(reference).as_deref(), name, "{reference}");
        }
        let with_www = OriginUrl { authority: "www.origin.test".to_owned(), ..site(true, "/api") };
        assert_eq!(with_www.other_name("https://origin.test/y").as_deref(), Some("https://origin.test/api"));
    }

    #[test]
    fn a_prefix_stands_in_the_place_of_the_base_path() {
        let of = |base| OriginUrl { prefix: "/npm".to_owned(), ..site(false, base) };
        for (path, within) in
            [("/npm/a?b", "/a?b"), ("/npm", "/"), ("/npm?a", "/?a"), ("/npm/", "/"), ("/npm//x", "//x")]
        {
            assert_eq!(of("/api").within(path), within, "{path}");
        }
        for (base, reference, inward) in [
            ("/api", "http://origin.test:8080/api/x", Some("/npm/x")),
            ("/api", "/api/x?y", Some("/npm/x?y")),
            ("/api", "/api", Some("/npm/")),
            ("/api", "/other", None),
            ("", "/x", Some("/npm/x")),
            ("", "//evil.test/", None),
            ("", "http://origin.test:8080//evil.test/", Some("/npm//evil.test/")),
            ("", "x", None),
        ] {
            assert_eq!(of(base).inward(reference).as_deref(), inward, "{base} {reference}");
        }
    }

    #[test]
    fn a_base_path_is_taken_off_what_points_below_it() {
        let based = site(true, "/api");
        assert_eq!(based.inward("https://origin.test:8080/api/x").as_deref(), Some("/x"));
        assert_eq!(based.inward("/api/x").as_deref(), Some("/x"));
        assert_eq!(based.inward("/api").as_deref(), Some("/"));
        assert_eq!(based.inward("/apix"), None);
        assert_eq!(based.inward("/other"), None);
    }
}
