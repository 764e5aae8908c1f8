//! What rules set, and how the settings of several rules become one.

use std::{fmt, fmt::Write};

use super::values::{Edits, Ignore, Rewrite};
use crate::{clock::Seconds, message::FieldName, units::exact_size};

/// Declares the settings: each with its type, its word in the file, and the stage at which it is decided.
macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $type:ty, $kind:ident, $word:literal, $stage:ident;)+) => {
        /// What a rule sets. `None` leaves a setting to the rules before it.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Settings {
            $($(#[$doc])* pub $field: Option<$type>,)+
        }

        /// The name of a setting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Setting {
            $($kind,)+
        }

        impl Setting {
            pub const ALL: &'static [Setting] = &[$(Setting::$kind,)+];

            /// Returns the word of the file: `stale-if-error`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Setting::$kind => $word,)+
                }
            }

            /// Returns when the setting is decided.
            pub fn stage(self) -> Stage {
                match self {
                    $(Setting::$kind => Stage::$stage,)+
                }
            }
        }

        impl Settings {
            /// Returns the settings that are set, in the order of their declaration.
            pub fn set(&self) -> impl Iterator<Item = Setting> {
                let set = [$(self.$field.is_some().then_some(Setting::$kind),)+];
                set.into_iter().flatten()
            }

            /// Replaces the settings that `later` sets and `takes` accepts.
            pub fn replace(&mut self, later: &Settings, mut takes: impl FnMut(Setting) -> bool) {
                $(
                    if later.$field.is_some() && takes(Setting::$kind) {
                        self.$field.clone_from(&later.$field);
                    }
                )+
            }

            /// Returns a setting as the file writes it: `ttl = "10m"`.
            pub fn written(&self, setting: Setting) -> String {
                let mut text = format!("{} = ", setting.as_str());
                match setting {
                    $(Setting::$kind => if let Some(value) = &self.$field { value.write(&mut text) },)+
                }
                text
            }
        }
    };
}

/// When a setting is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before the origin is asked: a rule about the answer cannot set it.
    Request,
    /// Once there is an answer.
    Answer,
}

settings! {
    /// Neither look up nor store.
    bypass: bool, Bypass, "bypass", Request;
    /// Store nothing. What is stored already is used.
    no_store: bool, NoStore, "no-store", Answer;
    /// In place of the lifetime that the origin gives.
    ttl: Seconds, Ttl, "ttl", Answer;
    min_ttl: Seconds, MinTtl, "min-ttl", Answer;
    max_ttl: Seconds, MaxTtl, "max-ttl", Answer;
    default_ttl: Seconds, DefaultTtl, "default-ttl", Answer;
    negative_ttl: Seconds, NegativeTtl, "negative-ttl", Answer;
    stale_while_revalidate: Seconds, StaleWhileRevalidate, "stale-while-revalidate", Answer;
    stale_if_error: Seconds, StaleIfError, "stale-if-error", Answer;
    /// The two settings above count instead of what the origin says.
    force_stale: bool, ForceStale, "force-stale", Answer;
    max_object: u64, MaxObject, "max-object", Answer;
    /// What does not keep a response from being stored.
    ignore: Vec<Ignore>, Ignore, "ignore", Answer;
    tags: Vec<String>, Tags, "tags", Answer;
    /// The field of the answer that lists tags.
    tag_header: FieldName, TagHeader, "tag-header", Answer;
    /// Clients get the fields that list tags.
    forward_tags: bool, ForwardTags, "forward-tags", Request;
    /// Patterns of the names of parameters that are no part of the key.
    ignore_query: Vec<String>, IgnoreQuery, "ignore-query", Request;
    /// Patterns of the names of parameters that alone are part of the key.
    only_query: Vec<String>, OnlyQuery, "only-query", Request;
    sort_query: bool, SortQuery, "sort-query", Request;
    /// What is not in the key reaches the origin all the same.
    forward_ignored_query: bool, ForwardIgnoredQuery, "forward-ignored-query", Request;
    /// Fields of the request that are part of the key.
    key_headers: Vec<FieldName>, KeyHeaders, "key-headers", Request;
    /// Cookies that are part of the key. The others do not reach the origin.
    key_cookies: Vec<String>, KeyCookies, "key-cookies", Request;
    /// The host that the client asked for is no part of the key.
    ignore_host: bool, IgnoreHost, "ignore-host", Request;
    response: Edits, Response, "response", Answer;
    rewrite: Rewrite, Rewrite, "rewrite", Request;
}

impl Settings {
    /// Returns true if this setting forbids something. For what forbids, one form of the path is enough.
    pub fn forbids(&self, setting: Setting) -> bool {
        match setting {
            Setting::Bypass => self.bypass == Some(true),
            Setting::NoStore => self.no_store == Some(true),
            Setting::MaxTtl | Setting::MaxObject | Setting::Tags | Setting::TagHeader | Setting::Response => true,
            _ => false,
        }
    }

    /// Returns true if the settings give a lifetime.
    pub fn give_lifetime(&self) -> bool {
        self.ttl.is_some() || self.min_ttl.is_some() || self.default_ttl.is_some()
    }

    /// Returns true if both say the same of the key.
    pub fn same_key(&self, other: &Settings) -> bool {
        self.ignore_query == other.ignore_query
            && self.only_query == other.only_query
            && self.sort_query == other.sort_query
            && self.forward_ignored_query == other.forward_ignored_query
            && self.key_headers == other.key_headers
            && self.key_cookies == other.key_cookies
            && self.ignore_host == other.ignore_host
            && self.rewrite == other.rewrite
    }

    /// Returns true if one of these settings changes the key or what reaches the origin.
    pub fn change_key(&self) -> bool {
        self.ignore_query.is_some()
            || self.only_query.is_some()
            || self.sort_query.is_some()
            || self.key_headers.is_some()
            || self.key_cookies.is_some()
            || self.ignore_host.is_some()
            || self.rewrite.is_some()
    }
}

/// A value as TOML writes it.
pub(super) trait Written {
    fn write(&self, out: &mut String);
}

impl Written for bool {
    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

impl Written for u64 {
    fn write(&self, out: &mut String) {
        quoted(out, &exact_size(*self));
    }
}

impl Written for Seconds {
    /// Writes the largest unit that needs no fraction: `"90s"`, `"10m"`, `"2h"`, `"7d"`.
    fn write(&self, out: &mut String) {
        let Seconds(seconds) = *self;
        let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
        let exact = units.iter().find(|(unit, _)| seconds > 0 && seconds % unit == 0);
        match exact {
            Some((unit, letter)) => quoted(out, &format!("{}{letter}", seconds / unit)),
            None => quoted(out, &format!("{seconds}s")),
        }
    }
}

impl Written for String {
    fn write(&self, out: &mut String) {
        quoted(out, self);
    }
}

impl Written for FieldName {
    fn write(&self, out: &mut String) {
        quoted(out, self.as_str());
    }
}

impl Written for Ignore {
    fn write(&self, out: &mut String) {
        quoted(out, self.as_str());
    }
}

impl<T: Written> Written for Vec<T> {
    fn write(&self, out: &mut String) {
        out.push('[');
        for (nth, value) in self.iter().enumerate() {
            if nth > 0 {
                out.push_str(", ");
            }
            value.write(out);
        }
        out.push(']');
    }
}

impl Written for Edits {
    fn write(&self, out: &mut String) {
        let mut parts = Vec::new();
        if !self.remove.is_empty() {
            let mut text = "remove = ".to_owned();
            self.remove.write(&mut text);
            parts.push(text);
        }
        for (word, lines) in [("set", &self.set), ("add", &self.add)] {
            if lines.is_empty() {
                continue;
            }
            let mut text = format!("{word} = {{ ");
            for (nth, (name, value)) in lines.iter().enumerate() {
                if nth > 0 {
                    text.push_str(", ");
                }
                quoted(&mut text, name.as_str());
                text.push_str(" = ");
                quoted(&mut text, &String::from_utf8_lossy(value.as_bytes()));
            }
            text.push_str(" }");
            parts.push(text);
        }
        let _ = write!(out, "{{ {} }}", parts.join(", "));
    }
}

impl Written for Rewrite {
    fn write(&self, out: &mut String) {
        out.push_str("{ from = ");
        quoted(out, &self.from);
        out.push_str(", to = ");
        quoted(out, &self.to);
        out.push_str(" }");
    }
}

/// Writes a string of TOML: as a literal where that spares escapes.
fn quoted(out: &mut String, text: &str) {
    let literal = text.contains(['\\', '"']) && !text.contains(['\'', '\n']) && !text.contains(char::is_control);
    if literal {
        let _ = write!(out, "'{text}'");
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => drop(write!(out, "\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::FieldValue;

    #[test]
    fn a_setting_is_written_as_in_the_file() {
        let name = FieldName::from_static;
        let settings = Settings {
            bypass: Some(true),
            ttl: Some(Seconds(600)),
            min_ttl: Some(Seconds(90)),
            max_ttl: Some(Seconds(0)),
            stale_if_error: Some(Seconds(7 * 86_400)),
            max_object: Some(1024),
            ignore: Some(vec![Ignore::SetCookie, Ignore::NoStore]),
            key_headers: Some(vec![name("authorization")]),
            rewrite: Some(Rewrite { from: r"^/v1/(\d*)".to_owned(), to: "/$1".to_owned() }),
            response: Some(Edits {
                remove: vec![name("x-powered-by")],
                set: vec![(name("a"), FieldValue::from_static("b"))],
                add: Vec::new(),
            }),
            ..Settings::default()
        };
        let written: Vec<_> = settings.set().map(|setting| settings.written(setting)).collect();
        assert_eq!(
            written,
            [
                "bypass = true",
                "ttl = \"10m\"",
                "min-ttl = \"90s\"",
                "max-ttl = \"0s\"",
                "stale-if-error = \"7d\"",
                "max-object = \"1KiB\"",
                "ignore = [\"set-cookie\", \"no-store\"]",
                "key-headers = [\"authorization\"]",
                "response = { remove = [\"x-powered-by\"], set = { \"a\" = \"b\" } }",
                r#"rewrite = { from = '^/v1/(\d*)', to = "/$1" }"#,
            ]
        );
    }

    #[test]
    fn what_is_set_later_replaces_what_was_set_before() {
        let mut settings = Settings { ttl: Some(Seconds(1)), bypass: Some(true), ..Settings::default() };
        let later = Settings { ttl: Some(Seconds(2)), no_store: Some(true), ..Settings::default() };
        settings.replace(&later, |setting| setting != Setting::NoStore);
        assert_eq!(settings, Settings { ttl: Some(Seconds(2)), bypass: Some(true), ..Settings::default() });
    }
}
