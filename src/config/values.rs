//! Values that flags and the file have in common.

use crate::{clock::Seconds, config::origin, units};

/// Parses a time of whole seconds. The error says what is wrong or what was expected, without the text itself.
pub fn seconds(text: &str) -> Result<Seconds, String> {
    // no time of less than a second is right here
    let time = units::duration(text).map_err(|problem| problem.replacen("500ms, ", "", 1))?;
    match time.subsec_millis() {
        0 => Ok(Seconds(time.as_secs())),
        _ => Err("expected whole seconds, for example 1s or 0s".to_owned()),
    }
}

/// Parses a host, maybe with a port. It is returned in lower case.
pub fn host(text: &str) -> Option<String> {
    let (host, port) = origin::host_and_port(text, 0).ok()?;
    let host = host.trim_end_matches('.');
    Some(if port == 0 { host.to_owned() } else { format!("{host}:{port}") })
}

/// Parses a host that is served: a host, or `*.` and a name.
pub fn hosts(text: &str) -> Option<String> {
    match text.strip_prefix("*.") {
        Some(name) => host(name).filter(|name| !name.contains([':', '['])).map(|name| format!("*.{name}")),
        None => host(text),
    }
}

/// Parses the beginning of a path. It is returned without a slash at its end: `/` is empty.
pub fn prefix(text: &str) -> Option<String> {
    let is_plain = |segment: &str| !segment.is_empty() && segment != "." && segment != "..";
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()+,=:@".contains(&b);
    let path = text.strip_suffix('/').unwrap_or(text);
    let is_path = path.is_empty() || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_plain));
    (!text.is_empty() && is_path && text.bytes().all(allowed)).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_begins_at_a_whole_segment_of_a_path() {
        for (text, path) in [
            ("/", Some("")),
            ("/npm", Some("/npm")),
            ("/npm/", Some("/npm")),
            ("/a/b.c", Some("/a/b.c")),
            ("", None),
            ("npm", None),
            ("//", None),
            ("/a//b", None),
            ("/a/../b", None),
            ("/a*", None),
            ("/a?b", None),
            ("/a%2fb", None),
            ("/a;b", None),
        ] {
            assert_eq!(prefix(text).as_deref(), path, "{text:?}");
        }
    }

    #[test]
    fn a_site_has_hosts_by_name_or_all_names_below_one() {
        for (text, host) in [
            ("Shop.Example.com", Some("shop.example.com")),
            ("*.Example.com", Some("*.example.com")),
            ("a:8080", Some("a:8080")),
            ("[::1]", Some("[::1]")),
            ("*", None),
            ("*.", None),
            ("*.a:80", None),
            ("a.*", None),
            ("http://a", None),
            ("", None),
        ] {
            assert_eq!(hosts(text).as_deref(), host, "{text:?}");
        }
    }
}
