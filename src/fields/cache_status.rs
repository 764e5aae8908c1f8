//! Cache-Status (RFC 9211).

use std::borrow::Cow;

use super::CACHE_STATUS;
use crate::message::{FieldValue, Fields};

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
    /// Writes the member of this cache: `larder; hit; ttl=30; detail="..."`.
    pub fn member(&self) -> String {
        let mut member = String::with_capacity(128);
        // every answer has a member: pushing costs a third of formatting
        let mut push = |parts: &[&str]| parts.iter().for_each(|part| member.push_str(part));
        push(&["larder"]);
        if self.hit {
            push(&["; hit"]);
        }
        if let Some(fwd) = self.fwd {
            push(&["; fwd=", fwd]);
        }
        if let Some(status) = self.fwd_status {
            push(&["; fwd-status=", &status.to_string()]);
        }
        if self.stored {
            push(&["; stored"]);
        }
        if self.collapsed {
            push(&["; collapsed"]);
        }
        if let Some(ttl) = self.ttl {
            push(&["; ttl=", &ttl.to_string()]);
        }
        if let Some(detail) = &self.detail {
            let (colon, because) = self.because.map_or(("", ""), |because| (": ", because));
            match detail {
                Cow::Borrowed(detail) => push(&["; detail=\"", detail, colon, because, "\""]),
                Cow::Owned(detail) => push(&["; detail=\"", &escaped(detail), colon, because, "\""]),
            }
        }
        member
    }

    /// Appends the member behind those of the caches that are nearer to the origin.
    pub fn append_to(&self, fields: &mut Fields) {
        if let Ok(value) = FieldValue::try_from(self.member()) {
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
