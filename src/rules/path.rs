//! The forms of a path that rules look at. An origin may decode, resolve or cut a path in ways that a cache does not know, so
//! that a rule must not trust one form alone.

use std::borrow::Cow;

/// The path of a request in three forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<'a> {
    /// As the client sent it.
    pub raw: &'a str,
    /// Without percent-codes of unreserved characters, without dot segments, with single slashes (RFC 3986 §6.2.2).
    pub normal: Cow<'a, str>,
    /// As a careless server reads it: `%2f`, `%5c` and `\` separate segments, `;x` is no part of a segment, and the path
    /// ends before `%00`, `%0a`, `%0d`, `%23` and `%3f`.
    pub loose: Cow<'a, str>,
    /// False if the path has dot segments, `%2f` or `%5c`: it may name another resource than it seems to.
    pub is_plain: bool,
}

impl<'a> Path<'a> {
    /// Splits the path off a target, and makes its forms.
    pub fn of(path_and_query: &'a str) -> Path<'a> {
        let raw = path_and_query.split('?').next().unwrap_or_default();
        let is_simple = !raw.contains(['%', ';', '\\']) && !raw.contains("//") && !raw.contains("/.");
        if is_simple {
            return Path { raw, normal: raw.into(), loose: raw.into(), is_plain: true };
        }
        let decoded = decode_unreserved(raw);
        let loosened = loosen(&decoded);
        let is_plain = !has_dot_segments(&decoded) && !has_dot_segments(&loosened) && !hides_separator(raw);
        Path { raw, normal: resolve(&decoded).into(), loose: resolve(&loosened).into(), is_plain }
    }

    /// Returns true if one of the forms is such a path.
    pub fn any(&self, is: impl Fn(&str) -> bool) -> bool {
        is(self.raw) || (self.normal != self.raw && is(&self.normal)) || (self.loose != self.raw && is(&self.loose))
    }

    /// Returns true if all of the forms are such paths.
    pub fn all(&self, is: impl Fn(&str) -> bool) -> bool {
        is(self.raw) && (self.normal == self.raw || is(&self.normal)) && (self.loose == self.raw || is(&self.loose))
    }
}

/// Decodes percent-codes of unreserved characters, and writes the others in upper case (RFC 3986 §6.2.2).
fn decode_unreserved(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(byte) = code(rest) else {
            out.push('%');
            rest = &rest[1..];
            continue;
        };
        match byte {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => out.push(char::from(b)),
            _ => out.push_str(&rest[..3].to_ascii_uppercase()),
        }
        rest = &rest[3..];
    }
    out.push_str(rest);
    out
}

/// Returns the byte of the percent-code at the beginning of a text.
fn code(text: &str) -> Option<u8> {
    let digits = text.as_bytes().get(1..3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Returns the path as a careless server reads it. `path` has its percent-codes in upper case.
fn loosen(path: &str) -> String {
    let ends = ["%00", "%0A", "%0D", "%23", "%3F"];
    let end = ends.iter().filter_map(|end| path.find(end)).min().unwrap_or(path.len());
    let separated = path[..end].replace("%2F", "/").replace("%5C", "/").replace('\\', "/").replace("%3B", ";");
    let mut out = String::with_capacity(separated.len());
    for (nth, segment) in separated.split('/').enumerate() {
        if nth > 0 {
            out.push('/');
        }
        out.push_str(segment.split(';').next().unwrap_or_default());
    }
    out
}

fn has_dot_segments(path: &str) -> bool {
    path.split('/').any(|segment| matches!(segment, "." | ".."))
}

fn hides_separator(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    path.contains('\\') || lower.contains("%2f") || lower.contains("%5c")
}

/// Removes dot segments (RFC 3986 §5.2.4) and empty segments.
fn resolve(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            "" if !is_last => {}
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_forms_in_which_servers_read_it() {
        for (path, normal, loose, is_plain) in [
            ("/", "/", "/", true),
            ("/a/b.c", "/a/b.c", "/a/b.c", true),
            ("/a/", "/a/", "/a/", true),
            ("/%61dmin", "/admin", "/admin", true),
            ("/a%c3%a4", "/a%C3%A4", "/a%C3%A4", true),
            ("/a%", "/a%", "/a%", true),
            ("/a%2", "/a%2", "/a%2", true),
            ("/a%zz", "/a%zz", "/a%zz", true),
            ("//a///b/", "/a/b/", "/a/b/", true),
            ("/.well-known/x", "/.well-known/x", "/.well-known/x", true),
            ("/static/../account", "/account", "/account", false),
            ("/static/%2e%2E/account", "/account", "/account", false),
            ("/static/..;/account", "/static/..;/account", "/account", false),
            ("/static/.%2e", "/", "/", false),
            ("/../../a", "/a", "/a", false),
            ("/a/.", "/a/", "/a/", false),
            ("/static%2faccount", "/static%2Faccount", "/static/account", false),
            ("/static%2F..%2faccount", "/static%2F..%2Faccount", "/account", false),
            ("/static\\..\\account", "/static\\..\\account", "/account", false),
            ("/static%5caccount", "/static%5Caccount", "/static/account", false),
            ("/account;.css", "/account;.css", "/account", true),
            ("/account%3b.css", "/account%3B.css", "/account", true),
            ("/account%00.css", "/account%00.css", "/account", true),
            ("/account%3f.css", "/account%3F.css", "/account", true),
            ("/account%23/x.css", "/account%23/x.css", "/account", true),
            ("/%2561dmin", "/%2561dmin", "/%2561dmin", true),
        ] {
            let forms = Path::of(path);
            assert_eq!((&*forms.normal, &*forms.loose, forms.is_plain), (normal, loose, is_plain), "{path}");
        }
        assert_eq!(Path::of("/a?b/../c%2f").raw, "/a");
    }
}
