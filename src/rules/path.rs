//! The forms of a path that rules look at. An origin may decode, resolve or cut a path in ways that a cache does not know, so
//! that a rule must not trust one form alone.

use std::borrow::Cow;

/// A path of a request as servers may read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<'a> {
    /// As the client sent it, and then the other readings, each of them once:
    ///
    /// - without percent-codes of unreserved characters, without dot segments, with single slashes (RFC 3986 §6.2.2);
    /// - the same with empty segments (RFC 3986 §5.2.4 keeps them, so that `..` removes one);
    /// - as a careless server does: `%2f`, `%5c` and `\` separate segments, `;x` is no part of a segment, and the path ends
    ///   before `%00`, `%0a`, `%0d`, `%23` and `%3f`; and with `;x` as a part;
    /// - all of these without `//host` in front, which some take for an authority.
    readings: Vec<Cow<'a, str>>,
    /// False if the path has dot segments, `%2f` or `%5c`: it may name another resource than it seems to.
    pub is_plain: bool,
}

impl<'a> Path<'a> {
    /// Splits the path off a target, and makes its readings.
    pub fn of(path_and_query: &'a str) -> Path<'a> {
        let raw = path_and_query.split('?').next().unwrap_or_default();
        let is_simple = !raw.contains(['%', ';', '\\']) && !raw.contains("//") && !raw.contains("/.");
        if is_simple {
            return Path { readings: vec![raw.into()], is_plain: true };
        }
        let mut readings: Vec<Cow<'a, str>> = vec![raw.into()];
        let mut add = |reading: String| {
            if readings.iter().all(|known| **known != *reading) {
                readings.push(reading.into());
            }
        };
        let (decoded, mut is_plain) = (decode_unreserved(raw), !hides_separator(raw));
        // the path behind what may be an authority
        let behind = raw.strip_prefix("//").and_then(|rest| Some(&rest[rest.find('/')?..])).map(decode_unreserved);
        for path in [Some(decoded), behind].into_iter().flatten() {
            let loose = [loosen(&path, true), loosen(&path, false)];
            is_plain &= [&path, &loose[0], &loose[1]].iter().all(|path| !has_dot_segments(path));
            add(resolve(&path, false));
            add(resolve(&path, true));
            loose.iter().for_each(|path| add(resolve(path, false)));
        }
        Path { readings, is_plain }
    }

    pub fn readings(&self) -> &[Cow<'a, str>] {
        &self.readings
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

/// Returns the path as a careless server reads it. `path` has its percent-codes in upper case. `cuts`: `;x` is no part of a
/// segment.
fn loosen(path: &str, cuts: bool) -> String {
    let ends = ["%00", "%0A", "%0D", "%23", "%3F"];
    let end = ends.iter().filter_map(|end| path.find(end)).min().unwrap_or(path.len());
    let separated = path[..end].replace("%2F", "/").replace("%5C", "/").replace('\\', "/").replace("%3B", ";");
    if !cuts {
        return separated;
    }
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

/// Removes dot segments (RFC 3986 §5.2.4), and empty segments unless `keeps_empty`.
fn resolve(path: &str, keeps_empty: bool) -> String {
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
            "" if !is_last && !keeps_empty => {}
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_readings_in_which_servers_may_take_it() {
        for (path, others, is_plain) in [
            ("/", &[][..], true),
            ("/a/b.c", &[], true),
            ("/a/", &[], true),
            ("/%61dmin", &["/admin"], true),
            ("/a%c3%a4", &["/a%C3%A4"], true),
            ("/a%", &[], true),
            ("/a%zz", &[], true),
            ("/a///b/", &["/a/b/"], true),
            ("/.well-known/x", &[], true),
            ("/static/../account", &["/account"], false),
            ("/static/%2e%2E/account", &["/account"], false),
            ("/static/..;/account", &["/account"], false),
            ("/../../a", &["/a"], false),
            ("/a/.", &["/a/"], false),
            ("/static%2faccount", &["/static%2Faccount", "/static/account"], false),
            ("/static%2F..%2faccount", &["/static%2F..%2Faccount", "/account"], false),
            ("/static\\..\\account", &["/account"], false),
            ("/account;.css", &["/account"], true),
            ("/account%3b.css", &["/account%3B.css", "/account", "/account;.css"], true),
            ("/account%00.css", &["/account"], true),
            ("/account%23/x.css", &["/account"], true),
            ("/%2561dmin", &[], true),
            ("//h/admin", &["/h/admin", "/admin"], true),
            ("/adm//../in", &["/in", "/adm/in"], false),
            ("/adm//%2e%2e/in", &["/in", "/adm/in"], false),
        ] {
            let found = Path::of(path);
            assert_eq!(found.readings()[0], path);
            assert_eq!(
                (&found.readings()[1..], found.is_plain),
                (others.iter().map(|other| Cow::from(*other)).collect::<Vec<_>>().as_slice(), is_plain),
                "{path}"
            );
        }
        assert_eq!(Path::of("/a?b/../c%2f").readings(), ["/a"]);
    }
}
