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
    // every answer has a member: it is put together in one piece, without formatting
    pub fn member(&self) -> String {
        let (mut status, mut ttl) = (itoa::Buffer::new(), itoa::Buffer::new());
        let status = self.fwd_status.map(|number| status.format(number));
        let ttl = self.ttl.map(|seconds| ttl.format(seconds));
        let detail = self.detail.as_ref().map(|detail| match detail {
            Cow::Borrowed(words) => Cow::Borrowed(*words),
            Cow::Owned(words) => Cow::Owned(escaped(words)),
        });
        let because = self.because.filter(|_| detail.is_some());
        let flag = |is_set: bool, text: &'static str| if is_set { text } else { "" };
        let parts = [
            "larder",
            flag(self.hit, "; hit"),
            flag(self.fwd.is_some(), "; fwd="),
            self.fwd.unwrap_or_default(),
            flag(status.is_some(), "; fwd-status="),
            status.unwrap_or_default(),
            flag(self.stored, "; stored"),
            flag(self.collapsed, "; collapsed"),
            flag(ttl.is_some(), "; ttl="),
            ttl.unwrap_or_default(),
            flag(detail.is_some(), "; detail=\""),
            detail.as_deref().unwrap_or_default(),
            flag(because.is_some(), ": "),
            because.unwrap_or_default(),
            flag(detail.is_some(), "\""),
        ];
        // of the exact size, so that a field value can be made of it without a copy
        let mut member = String::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().filter(|part| !part.is_empty()).for_each(|part| member.push_str(part));
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
