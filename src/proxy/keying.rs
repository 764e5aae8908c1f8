//! What of a request is part of its key. What is not does not reach the origin, or one client could choose what others get.

use std::borrow::Cow;

use http::header::COOKIE;

use crate::{
    fields::hyphened,
    message::{FieldName, FieldValue, Fields},
    policy::DigestKey,
    rules::{Parameter, Rewriting, Setting, Settings, Words, select},
};

/// The settings of the key, ready to be used.
#[derive(Debug, Default)]
pub struct Keying {
    rewriting: Option<Rewriting>,
    ignored: Words,
    only: Option<Words>,
    sorts: bool,
    /// What is not in the key reaches the origin all the same.
    forwards_ignored: bool,
    headers: Vec<FieldName>,
    cookies: Option<Vec<String>>,
    pub ignores_host: bool,
    /// The digest of the settings: responses that were stored under others are not found. `None` if no rule is about the key.
    digest: Option<[u8; 16]>,
}

impl Keying {
    pub fn new(set: &Settings) -> Keying {
        let words = |names: &Option<Vec<String>>| {
            // they were checked before
            names.as_ref().map(|names| Words::new(names.iter().map(String::as_str), false).unwrap_or_default())
        };
        let of_key = [
            Setting::IgnoreQuery,
            Setting::OnlyQuery,
            Setting::SortQuery,
            Setting::ForwardIgnoredQuery,
            Setting::KeyHeaders,
            Setting::KeyCookies,
            Setting::IgnoreHost,
        ];
        let written = set.set().filter(|setting| of_key.contains(setting)).map(|setting| set.written(setting));
        Keying {
            rewriting: set.rewrite.as_ref().and_then(|rewrite| Rewriting::new(rewrite).ok()),
            ignored: words(&set.ignore_query).unwrap_or_default(),
            only: words(&set.only_query),
            sorts: set.sort_query == Some(true),
            forwards_ignored: set.forward_ignored_query == Some(true),
            headers: set.key_headers.clone().unwrap_or_default(),
            cookies: set.key_cookies.clone(),
            ignores_host: set.ignore_host == Some(true),
            digest: digest(&written.collect::<Vec<_>>()),
        }
    }

    /// Returns the target with its path rewritten.
    pub fn rewritten<'a>(&self, path_and_query: &'a str) -> Cow<'a, str> {
        match &self.rewriting {
            Some(rewriting) => rewriting.target(path_and_query),
            None => path_and_query.into(),
        }
    }

    /// Returns the target as the key has it.
    pub fn target<'a>(&self, path_and_query: &'a str) -> Cow<'a, str> {
        if self.ignored.is_empty() && self.only.is_none() && !self.sorts {
            return path_and_query.into();
        }
        let is_kept = |parameter: &Parameter<'_>| {
            let ignored = self.ignored.matches(&parameter.name) && self.ignored.matches(parameter.raw_name);
            let listed = self.only.as_ref().is_none_or(|only| only.matches(&parameter.name));
            !ignored && listed
        };
        let keep = |parameter: &Parameter<'_>| match parameter.raw.contains(';') {
            true => parameter.at_semicolons().any(|part| is_kept(&part)),
            false => is_kept(parameter),
        };
        select(path_and_query, keep, self.sorts)
    }

    /// Returns the target that the origin gets, if the answer is for all who share the key.
    pub fn forwarded<'a>(&self, path_and_query: &'a str) -> Cow<'a, str> {
        if self.forwards_ignored { path_and_query.into() } else { self.target(path_and_query) }
    }

    /// Removes the cookies that are not part of the key.
    pub fn keep_cookies(&self, fields: &mut Fields) {
        if self.cookies.is_none() || !fields.contains(&COOKIE) {
            return;
        }
        let kept = self.cookies_of(fields);
        fields.remove(&COOKIE);
        if !kept.is_empty()
            && let Ok(value) = FieldValue::from_bytes(&kept)
        {
            fields.append(COOKIE, value);
        }
    }

    /// Removes fields that some servers take for a field of the key: they make one variable of `X-Key` and of `X_Key`.
    pub fn drop_other_spellings(&self, fields: &mut Fields) {
        if self.headers.is_empty() {
            return;
        }
        fields.retain(|name, _| {
            self.headers.contains(name) || !self.headers.iter().any(|key| hyphened(key) == hyphened(name))
        });
    }

    /// Returns the cookies that are part of the key, as a Cookie field has them (RFC 6265 §4.2), in the order of the rule.
    fn cookies_of(&self, fields: &Fields) -> Vec<u8> {
        let mut kept = Vec::new();
        for name in self.cookies.iter().flatten() {
            for pair in fields.values(&COOKIE).flat_map(|line| line.as_bytes().split(|byte| *byte == b';')) {
                let pair = pair.trim_ascii();
                let of_name = pair.split(|byte| *byte == b'=').next() == Some(name.as_bytes());
                if of_name {
                    if !kept.is_empty() {
                        kept.extend(b"; ");
                    }
                    kept.extend(pair);
                }
            }
        }
        kept
    }

    /// Says which values of the request are part of the key: `for each value of x-key`.
    pub fn values(&self) -> Option<String> {
        let cookies = self.cookies.iter().flatten().map(|name| format!("cookie {name}"));
        let names: Vec<String> = self.headers.iter().map(ToString::to_string).chain(cookies).collect();
        (!names.is_empty()).then(|| format!("for each value of {}", names.join(", ")))
    }

    /// Returns true if a URL has a key for each value of some fields or cookies.
    pub fn holds_values(&self) -> bool {
        !self.headers.is_empty() || self.cookies.is_some()
    }

    /// Returns what the key holds besides the URL: the settings, and digests of the values of fields and cookies. `None`
    /// if no rule is about the key.
    pub fn besides(&self, fields: &Fields, secret: &DigestKey) -> Option<Cow<'_, [u8]>> {
        let digest = self.digest.as_ref()?;
        if !self.holds_values() {
            return Some(digest.as_slice().into());
        }
        let mut besides = digest.to_vec();
        let mut add = |kind: u8, value: Option<&[u8]>| {
            besides.push(kind);
            besides.extend(value.map_or([0; 32], |value| secret.digest(value)));
        };
        for name in &self.headers {
            let lines: Vec<&[u8]> = fields.values(name).map(FieldValue::as_bytes).collect();
            add(0, Some(lines.join(&b'\n')).as_deref().filter(|_| !lines.is_empty()));
        }
        if self.cookies.is_some() {
            add(1, Some(&self.cookies_of(fields)));
        }
        Some(besides.into())
    }
}

/// Returns the digest of settings as the file writes them. `None` if there are none.
fn digest(written: &[String]) -> Option<[u8; 16]> {
    let digest = blake3::hash(written.join("\n").as_bytes());
    let first = digest.as_bytes().first_chunk().copied();
    first.filter(|_| !written.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> Fields {
        let line = |(name, value): (&'static str, &'static str)| {
            (FieldName::from_static(name), FieldValue::from_static(value))
        };
        lines.iter().copied().map(line).collect()
    }

    fn keying(set: Settings) -> Keying {
        Keying::new(&set)
    }

    #[test]
    fn a_parameter_that_holds_others_for_an_origin_that_parts_at_semicolons_is_left_out_with_all_of_them_only() {
        let ignoring = keying(Settings { ignore_query: Some(vec!["utm_*".to_owned()]), ..Settings::default() });
        let only = keying(Settings { only_query: Some(vec!["page".to_owned()]), ..Settings::default() });
        let sorting = keying(Settings { sort_query: Some(true), ..Settings::default() });
        for (key, target, kept) in [
            (&ignoring, "/?utm_a=1;page=2", "/?utm_a=1;page=2"),
            (&ignoring, "/?page=2;utm_a=1&utm_b=3", "/?page=2;utm_a=1"),
            (&ignoring, "/?utm_a=1;utm_b=2&page=2", "/?page=2"),
            (&only, "/?a=1;page=2&b=3", "/?a=1;page=2"),
            (&sorting, "/?b=1&a=2;b=3", "/?b=1&a=2;b=3"),
            (&sorting, "/?b=1&a=2%3b", "/?a=2%3b&b=1"),
        ] {
            assert_eq!(key.target(target), kept, "{target}");
        }
    }

    #[test]
    fn what_is_ignored_is_in_neither_the_key_nor_the_forwarded_target() {
        let ignored = Some(vec!["utm_*".to_owned()]);
        let key = keying(Settings { ignore_query: ignored.clone(), ..Settings::default() });
        assert_eq!(key.target("/a?utm_x=1&b=2"), "/a?b=2");
        assert_eq!(key.forwarded("/a?utm_x=1&b=2"), "/a?b=2");
        // as the origin reads it, this parameter has another name than it seems
        assert_eq!(key.target("/a?utm_%78=1&u%74m_y=1"), "/a?u%74m_y=1");
        let key = keying(Settings { ignore_query: ignored, forward_ignored_query: Some(true), ..Settings::default() });
        assert_eq!((key.target("/a?utm_x=1"), key.forwarded("/a?utm_x=1")), ("/a".into(), "/a?utm_x=1".into()));
        let only = Some(vec!["id".to_owned()]);
        let key = keying(Settings { only_query: only, sort_query: Some(true), ..Settings::default() });
        assert_eq!(key.target("/a?z=1&id=2&id=1"), "/a?id=2&id=1");
    }

    #[test]
    fn only_the_cookies_of_the_key_reach_the_origin() {
        let key = keying(Settings { key_cookies: Some(vec!["lang".to_owned()]), ..Settings::default() });
        for (sent, kept) in [
            (&[("cookie", "a=1; lang=de; b=2")][..], Some("lang=de")),
            (&[("cookie", "a=1"), ("cookie", "lang=de;lang=en")], Some("lang=de; lang=en")),
            (&[("cookie", "language=de; xlang=1")], None),
            (&[], None),
        ] {
            let mut fields = fields(sent);
            key.keep_cookies(&mut fields);
            assert_eq!(fields.only(&COOKIE).map(|value| value.to_str().unwrap()), kept, "{sent:?}");
        }
    }

    #[test]
    fn different_values_of_what_is_in_the_key_give_different_keys() {
        let name = FieldName::from_static("x-key");
        let secret = DigestKey::default();
        let key = keying(Settings {
            key_headers: Some(vec![name]),
            key_cookies: Some(vec!["lang".to_owned()]),
            ..Settings::default()
        });
        let all: Vec<_> = [
            &[][..],
            &[("x-key", "")],
            &[("x-key", "a")],
            &[("x-key", "a"), ("x-key", "b")],
            &[("x-key", "a,b")],
            &[("cookie", "lang=de")],
            &[("x-key", "a"), ("cookie", "lang=de")],
        ]
        .iter()
        .map(|lines| key.besides(&fields(lines), &secret).unwrap())
        .collect();
        for (nth, one) in all.iter().enumerate() {
            assert!(all[..nth].iter().all(|other| other != one), "{nth}");
        }
        assert_eq!(key.besides(&fields(&[("cookie", "x=1")]), &secret), key.besides(&fields(&[]), &secret));
        assert_eq!(keying(Settings::default()).besides(&fields(&[("x-key", "a")]), &secret), None);
    }
}
