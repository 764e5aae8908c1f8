//! Turns a client's references to Larder into references to the origin, and finds paths that would leave the origin's
//! base path.

use http::header::{ORIGIN, REFERER};

use super::{
    authority::{Names, normal_authority},
    forward::OriginUrl,
    host_mode::HostMode,
};
use crate::message::{FieldName, FieldValue, Fields, Scheme, Target};

/// The field that names the target of MOVE and COPY (RFC 4918 §10.3).
pub static DESTINATION: FieldName = FieldName::from_static("destination");

/// Rewrites the references of one request to those that the origin expects.
pub struct Outward<'a> {
    pub host_mode: &'a HostMode,
    pub names: Names<'a>,
    /// The target that the client asks for.
    pub target: &'a Target,
    /// See [`super::site::Site::heard_as`].
    pub heard: &'a OriginUrl,
}

impl Outward<'_> {
    /// Rewrites Origin, Referer and Destination. An application compares them with the Host that it gets.
    pub fn turn(&self, fields: &mut Fields) {
        for name in [&ORIGIN, &REFERER, &DESTINATION] {
            let Some(text) = fields.only(name).and_then(|value| value.to_str().ok()) else { continue };
            let turned = match name {
                name if *name == ORIGIN => self.path(text).filter(|path| path.is_empty()).map(|_| self.heard.origin()),
                name if *name == DESTINATION && is_path(text) => {
                    Some(format!("{}{}", self.heard.base, self.heard.within(text)))
                }
                _ => self.path(text).map(|path| match path {
                    "" => self.heard.url(),
                    path => format!("{}{}", self.heard.url(), self.heard.within(path)),
                }),
            };
            let changed = turned.filter(|turned| turned != text);
            if let Some(value) = changed.and_then(|turned| FieldValue::try_from(turned).ok()) {
                fields.set(name.clone(), value);
            }
        }
    }

    /// Returns the part behind the authority of a reference to Larder. Returns `None` if the reference leads elsewhere.
    fn path<'r>(&self, reference: &'r str) -> Option<&'r str> {
        let (scheme, authority, path) = split(reference)?;
        let authority = normal_authority(authority, scheme)?;
        let leads_here = match self.host_mode {
            // an insecure page of the same host is another site for the application
            HostMode::Client => scheme == self.target.scheme && authority == self.target.authority,
            HostMode::Origin | HostMode::Named(_) => self.names.include(&authority, scheme),
        };
        leads_here.then_some(path)
    }
}

/// Splits a URL behind its authority.
fn split(url: &str) -> Option<(Scheme, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = [Scheme::Http, Scheme::Https].into_iter().find(|known| scheme.eq_ignore_ascii_case(known.as_str()))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    Some((scheme, authority, path))
}

fn is_path(reference: &str) -> bool {
    reference.starts_with('/') && !reference.starts_with("//")
}

/// Returns true if Destination leads out of what clients reach under `prefix`.
pub fn destination_leaves(fields: &Fields, prefix: &str) -> bool {
    let leads_out = |text: &str| text.contains('\\') || leaves(split(text).map_or(text, |(_, _, path)| path), prefix);
    // only one is turned, and only readable ones
    let several = fields.values(&DESTINATION).count() > 1;
    several || fields.values(&DESTINATION).any(|value| value.to_str().map_or(true, leads_out))
}

/// Returns true if a path leads out of what clients reach under `prefix`.
pub fn leaves(path_and_query: &str, prefix: &str) -> bool {
    !is_below(path_and_query, prefix) || climbs(&path_and_query[prefix.len()..])
}

/// Returns true if a path begins with these whole segments.
pub fn is_below(path_and_query: &str, prefix: &str) -> bool {
    let behind = path_and_query.strip_prefix(prefix);
    behind.is_some_and(|behind| prefix.is_empty() || behind.is_empty() || behind.starts_with(['/', '?']))
}

/// Returns true if a server could read a path as one that leads above its own root. For some servers `%2e` is a dot,
/// `%2f` and `%5c` separate segments, several separators are one, and text behind `;` is no part of a segment.
pub fn climbs(path_and_query: &str) -> bool {
    let path = path_and_query.split(['?', '#']).next().unwrap_or_default();
    if !path.contains("..") && !path.contains('%') {
        return false;
    }
    // servers that cut a path there see no more of the segment
    let cut = ["%00", "%0a", "%0d", "%23", "%3b", "%3f"];
    let path = path.to_ascii_lowercase().replace("%2e", ".");
    let path = cut.iter().fold(path, |path, code| path.replace(code, ";"));
    let separated = path.replace("%2f", "/").replace("%5c", "/");
    [path, separated].iter().any(|path| {
        let mut depth = 0_usize;
        path.split('/').any(|segment| {
            match segment.split(';').next().unwrap_or_default() {
                ".." if depth == 0 => return true,
                ".." => depth -= 1,
                "" | "." => {}
                _ => depth += 1,
            }
            false
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w24_a_path_climbs_where_any_server_may_read_it_so() {
        for climbing in [
            "/..",
            "/../x",
            "/%2e%2e/x",
            "/.%2E/x",
            "/a/../../x",
            "/a/./../../x",
            "//../x",
            "/;/../x",
            "/..;a=b/x",
            "/..%2fx",
            "/a%2f..%2f..%2fx",
            "/a%2fb/../../x",
            "/..%5cx",
            "/%2e%2e%2fx?y",
        ] {
            assert!(climbs(climbing), "{climbing}");
        }
        for inside in [
            "/",
            "/a/../b",
            "/a/..",
            "/a/b/../../c",
            "/...",
            "/..a",
            "/a..b/c",
            "/a?x=/../..",
            "/%2e/x",
            "/a%20b",
            "/a/%2e%2e/b",
            "/.well-known/x",
        ] {
            assert!(!climbs(inside), "{inside}");
        }
    }

    fn turned(host_mode: HostMode, heard: (bool, &str, &str), lines: [&str; 3]) -> Vec<String> {
        let target =
            Target { scheme: Scheme::Http, authority: "localhost:3000".to_owned(), path_and_query: "/".to_owned() };
        let allowed = ["shop.test".to_owned()];
        let names = Names { allowed: &allowed, of_sites: &[], port: 3000, local: Some(([192, 0, 2, 1], 3000).into()) };
        let (https, authority, base) = (heard.0, heard.1.to_owned(), heard.2.to_owned());
        let heard = OriginUrl { https, authority, base, prefix: String::new() };
        let names_of_lines = [&ORIGIN, &REFERER, &DESTINATION];
        let mut fields: Fields = (names_of_lines.iter().zip(lines))
            .map(|(name, value)| ((*name).clone(), FieldValue::from_str(value).unwrap()))
            .collect();
        Outward { host_mode: &host_mode, names, target: &target, heard: &heard }.turn(&mut fields);
        names_of_lines.iter().map(|name| fields.only(name).unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn w20_what_names_larder_names_the_origin_where_the_origin_hears_its_own_host() {
        let site = (true, "api.example.com", "/v2");
        for own in [
            "http://localhost:3000",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
            "http://192.0.2.1:3000",
            "https://shop.test",
            "HTTP://Shop.Test:8080",
        ] {
            let lines = [own.to_owned(), format!("{own}/a?b"), format!("{own}/c")];
            assert_eq!(
                turned(HostMode::Origin, site, lines.each_ref().map(|line| line.as_str())),
                ["https://api.example.com", "https://api.example.com/v2/a?b", "https://api.example.com/v2/c"]
            );
        }
        for other in
            ["http://localhost:3001", "http://evil.test", "http://shop.test.evil", "http://192.0.2.2:3000", "null"]
        {
            let lines = [other.to_owned(), format!("{other}/a"), format!("{other}/c")];
            assert_eq!(turned(HostMode::Origin, site, lines.each_ref().map(|line| line.as_str())), lines);
        }
        assert_eq!(
            turned(HostMode::Named("app.test".to_owned()), (false, "app.test", ""), ["http://localhost:3000"; 3]),
            ["http://app.test"; 3]
        );
    }

    #[test]
    fn w20_in_client_mode_what_names_the_asked_host_follows_the_scheme_and_the_base_path() {
        let lines = ["http://localhost:3000", "http://localhost:3000/a", "/c"];
        assert_eq!(turned(HostMode::Client, (false, "localhost:3000", ""), lines), lines);
        assert_eq!(
            turned(HostMode::Client, (true, "localhost:3000", "/v2"), lines),
            ["https://localhost:3000", "https://localhost:3000/v2/a", "/v2/c"]
        );
        let foreign = ["https://localhost:3000", "http://shop.test/a", "//other/c"];
        assert_eq!(turned(HostMode::Client, (true, "localhost:3000", "/v2"), foreign), foreign);
    }
}
