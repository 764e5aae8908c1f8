//! See [`crate::fuzzing`].

use super::{authority::normal_authority, request::target as parse};
use crate::message::Scheme;

/// A request-target on the first line, a Host on the second.
pub fn target(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (presented, host) = text.split_once('\n').unwrap_or((&text, "good"));
    let Some(host) = normal_authority(host, Scheme::Http) else { return };
    assert_eq!(normal_authority(&host, Scheme::Http).as_ref(), Some(&host), "one host has one spelling");
    if let Ok(target) = parse(presented.to_owned(), Scheme::Http, host.clone()) {
        assert_eq!(target.authority, host, "no other host than the one in Host");
        assert!(target.path_and_query.starts_with('/'));
        assert!(target.path_and_query.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\\".contains(&byte)));
    }
}
