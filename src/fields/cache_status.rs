//! Cache-Status (RFC 9211).

use std::borrow::Cow;

use super::CACHE_STATUS;
use crate::message::{FieldValue, Fields};

/// The length of most members, in bytes, rounded up.
const MEMBER: usize = 64;

/// What this cache did with one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// The request was answered without asking the origin.
    pub hit: bool,
    /// The reason why the request went to the origin: a token of RFC 9211 §2.2.
    pub fwd: Option<&'static str>,
    /// The status of the origin's response, if it differs from the one that is sent.
    pub fwd_status: Option<u16>,
    /// The origin's response was stored.
    pub stored: bool,
    /// The request waited for the response to another one.
    pub collapsed: bool,
    /// How many seconds the response stays fresh. A negative number says how long it has been stale.
    pub ttl: Option<i64>,
    /// The words for people. Quotes are escaped, and what is not printable ASCII is left out (RFC 8941 §3.3.3).
    pub detail: Option<Cow<'static, str>>,
    /// More words, which stand behind a colon.
    pub because: Option<&'static str>,
}

impl CacheStatus {
    /// Returns the member of this cache: `larder; hit; ttl=30; detail="..."`.
    pub fn member(&self) -> String {
        let mut member = Vec::new();
        self.write(&mut member);
        String::from_utf8(member).unwrap_or_default()
    }

    /// Appends the member to `out`: printable ASCII.
    // every answer has a member: it is written without formatting
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"larder");
        if self.hit {
            out.extend_from_slice(b"; hit");
        }
        if let Some(fwd) = self.fwd {
            out.extend_from_slice(b"; fwd=");
            out.extend_from_slice(fwd.as_bytes());
        }
        if let Some(status) = self.fwd_status {
            out.extend_from_slice(b"; fwd-status=");
            out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
        }
        if self.stored {
            out.extend_from_slice(b"; stored");
        }
        if self.collapsed {
            out.extend_from_slice(b"; collapsed");
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(b"; ttl=");
            out.extend_from_slice(itoa::Buffer::new().format(ttl).as_bytes());
        }
        if let Some(detail) = &self.detail {
            out.extend_from_slice(b"; detail=\"");
            match detail {
                Cow::Borrowed(words) => out.extend_from_slice(words.as_bytes()),
                Cow::Owned(words) => out.extend_from_slice(escaped(words).as_bytes()),
            }
            if let Some(because) = self.because {
                out.extend_from_slice(b": ");
                out.extend_from_slice(because.as_bytes());
            }
            out.push(b'"');
        }
    }

    /// Appends the member behind those of the caches that are nearer to the origin.
    pub fn append_to(&self, fields: &mut Fields) {
        let mut member = Vec::with_capacity(MEMBER);
        self.write(&mut member);
        if let Ok(value) = FieldValue::from_bytes(&member) {
            fields.append(CACHE_STATUS.clone(), value);
        }
    }
}

/// Returns the content of a string of a structured field (RFC 8941 §3.3.3).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars().filter(|c| matches!(c, ' '..='~')) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_parses_as_a_structured_field() {
        let hit = CacheStatus {
            hit: true,
            ttl: Some(-3),
            detail: Some("stale-while-revalidate".into()),
            ..Default::default()
        };
        assert_eq!(hit.member(), r#"larder; hit; ttl=-3; detail="stale-while-revalidate""#);
        let miss = CacheStatus {
            fwd: Some("uri-miss"),
            fwd_status: Some(304),
            stored: true,
            collapsed: true,
            ..Default::default()
        };
        assert_eq!(miss.member(), "larder; fwd=uri-miss; fwd-status=304; stored; collapsed");
        let ruled = CacheStatus { detail: Some(Cow::Owned("a \\ \"\u{e9}\"".to_owned())), ..Default::default() };
        assert_eq!(ruled.member(), r#"larder; detail="a \\ \"\"""#);
        for member in [hit.member(), miss.member(), ruled.member()] {
            sfv::Parser::new(&member).parse::<sfv::List>().unwrap();
        }
    }

    #[test]
    fn it_is_added_behind_what_was_there() {
        let mut fields: Fields = [(CACHE_STATUS.clone(), FieldValue::from_static("Other; hit"))].into_iter().collect();
        CacheStatus { hit: true, ..Default::default() }.append_to(&mut fields);
        assert_eq!(fields.values(&CACHE_STATUS).collect::<Vec<_>>(), ["Other; hit", "larder; hit"]);
    }
}
