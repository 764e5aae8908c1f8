//! The stored responses that an unsafe request invalidates (RFC 9111 §4.4).

use http::header::{CONTENT_LOCATION, LOCATION};

use super::Options;
use crate::{
    fields::{
        method::{is_safe_request, writes_to_destination},
        tags,
    },
    message::{FieldName, Request, ResponseHead, Scheme, Target},
    purge,
};

static DESTINATION: FieldName = FieldName::from_static("destination");

/// Returns the targets whose stored responses the answer to an unsafe request invalidates (RFC 9111 §4.4): the
/// request's own, and those in Location and Content-Location that have the same authority. COPY and MOVE write to the
/// request's Destination, too (RFC 4918 §9.8, §9.9). An error invalidates nothing.
pub fn invalidates(request: &Request, response: &ResponseHead) -> Vec<Target> {
    if is_safe_request(request) || !(response.status.is_success() || response.status.is_redirection()) {
        return Vec::new();
    }
    let mut targets = vec![request.target.clone()];
    if writes_to_destination(&request.method) {
        let destination = request.fields.only(&DESTINATION);
        targets.extend(destination.and_then(|value| resolve(&request.target, value.as_bytes())));
    }
    for name in [&LOCATION, &CONTENT_LOCATION] {
        for value in response.fields.values(name) {
            targets.extend(resolve(&request.target, value.as_bytes()));
        }
    }
    targets.dedup();
    targets
}

/// The most groups that one answer invalidates. The others are left out.
const MOST_GROUPS: usize = 64;

/// Returns the groups of the request's own origin whose stored responses the answer to an unsafe request invalidates (RFC 9875
/// §3). An error invalidates nothing.
pub fn invalidates_groups(request: &Request, response: &ResponseHead, options: &Options) -> Vec<purge::Target> {
    if is_safe_request(request) || !(response.status.is_success() || response.status.is_redirection()) {
        return Vec::new();
    }
    let authority = options.keys_host.then_some(&*request.target.authority);
    let groups = tags::groups(&response.fields, &tags::CACHE_GROUP_INVALIDATION);
    groups.iter().take(MOST_GROUPS).map(|group| purge::Target::group(&options.site, authority, group)).collect()
}

/// Resolves a URI reference at `base` (RFC 3986 §5.2), without its fragment. Returns `None` if the reference is invalid
/// or leads to another authority.
pub(super) fn resolve(base: &Target, reference: &[u8]) -> Option<Target> {
    let reference = std::str::from_utf8(reference).ok()?.trim();
    if reference.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return None;
    }
    let reference = reference.split('#').next()?;
    let (named, hierarchical) = match scheme(reference) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
        Some(_) => return None,
        None => (base.scheme, reference),
    };
    let path_and_query = match hierarchical.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path_and_query) = rest.split_at(end);
            if !same_authority(authority, named, &base.authority) {
                return None;
            }
            path_and_query
        }
        None if hierarchical.len() < reference.len() => return None,
        None => return Some(with_path(base, relative(&base.path_and_query, reference))),
    };
    let (path, query) = split_query(path_and_query);
    let path = if path.is_empty() { "/".to_owned() } else { without_dots(path) };
    Some(with_path(base, path + query))
}

fn with_path(base: &Target, path_and_query: String) -> Target {
    Target { scheme: base.scheme, authority: base.authority.clone(), path_and_query }
}

/// Splits a reference into its scheme and the text behind the colon.
fn scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    valid.then_some((scheme, rest))
}

fn same_authority(authority: &str, scheme: Scheme, base: &str) -> bool {
    let (bare, base) = (scheme.without_default_port(authority), scheme.without_default_port(base));
    bare.trim_end_matches('.').eq_ignore_ascii_case(base)
}

/// Resolves a reference without scheme and authority (RFC 3986 §5.2.2).
fn relative(base: &str, reference: &str) -> String {
    let (base_path, base_query) = split_query(base);
    let (path, query) = split_query(reference);
    if path.is_empty() {
        return format!("{base_path}{}", if query.is_empty() { base_query } else { query });
    }
    if path.starts_with('/') {
        return without_dots(path) + query;
    }
    let folder = &base_path[..base_path.rfind('/').map_or(0, |slash| slash + 1)];
    without_dots(&format!("{folder}{path}")) + query
}

/// Splits off the query, which keeps its question mark.
fn split_query(path_and_query: &str) -> (&str, &str) {
    path_and_query.split_at(path_and_query.find('?').unwrap_or(path_and_query.len()))
}

/// Removes the dot segments of a path that begins with a slash (RFC 3986 §5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}
