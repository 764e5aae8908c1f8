//! Cache-Control (RFC 9111 §5.2), CDN-Cache-Control (RFC 9213) and Surrogate-Control. Names may have any case, and
//! arguments may be quoted. An invalid value affects its own directive only, and is read as the most restrictive one.
//! Of several equal directives the most restrictive one counts.

use std::borrow::Cow;

use http::header::{CACHE_CONTROL, PRAGMA};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::{CDN_CACHE_CONTROL, list, surrogate::SURROGATE_CONTROL};
use crate::{
    clock::Seconds,
    message::{FieldName, Fields},
};

/// What no-cache and private apply to: the whole response, or some of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Response,
    Fields(Vec<FieldName>),
}

impl Scope {
    /// Reads a list of names. If one of them is invalid, the scope is the whole response.
    fn of(argument: &[u8]) -> Scope {
        let names = list::members(argument).filter(|member| !member.is_empty());
        match names.map(|member| FieldName::from_bytes(member).ok()).collect::<Option<Vec<_>>>() {
            Some(names) if !names.is_empty() => Scope::Fields(names),
            _ => Scope::Response,
        }
    }

    fn and(self, other: Option<Scope>) -> Option<Scope> {
        match (self, other) {
            (scope, None) => Some(scope),
            (Scope::Fields(mut names), Some(Scope::Fields(more))) => {
                names.extend(more);
                Some(Scope::Fields(names))
            }
            _ => Some(Scope::Response),
        }
    }
}

/// The directives of a response that a shared cache knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    pub no_store: bool,
    pub no_cache: Option<Scope>,
    pub private: Option<Scope>,
    pub public: bool,
    pub must_revalidate: bool,
    pub proxy_revalidate: bool,
    pub must_understand: bool,
    pub max_age: Option<Seconds>,
    pub s_maxage: Option<Seconds>,
    pub stale_while_revalidate: Option<Seconds>,
    pub stale_if_error: Option<Seconds>,
}

impl ResponseDirectives {
    pub fn parse(fields: &Fields) -> ResponseDirectives {
        let mut directives = ResponseDirectives::default();
        for_each(fields, |name, argument| directives.add(name, argument));
        directives
    }

    /// Parses Surrogate-Control, which has the form of Cache-Control. Returns `None` if it is missing. A directive with
    /// a parameter is for the surrogate that the parameter names, and is left out. Of `max-age=60+600` only the first
    /// number counts: the other one is for how long the response may be used stale.
    pub fn parse_surrogate(fields: &Fields) -> Option<ResponseDirectives> {
        let mut lines = fields.values(&SURROGATE_CONTROL).peekable();
        lines.peek()?;
        let mut directives = ResponseDirectives::default();
        let members = lines.flat_map(|line| list::members(line.as_bytes()));
        for member in members.filter(|member| !member.contains(&b';')) {
            let (name, argument) = directive(member.split(|byte| *byte == b'+').next().unwrap_or_default());
            directives.add(name, argument);
        }
        Some(directives)
    }

    /// Parses CDN-Cache-Control. Returns `None` if it is missing, empty or not a dictionary; then Cache-Control counts
    /// (RFC 9213 §2.1).
    pub fn parse_targeted(fields: &Fields) -> Option<ResponseDirectives> {
        let mut lines = fields.values(&CDN_CACHE_CONTROL).peekable();
        lines.peek()?;
        let mut dictionary = Dictionary::new();
        for line in lines {
            Parser::new(line.as_bytes()).parse_dictionary_with_visitor(&mut dictionary).ok()?;
        }
        let mut directives = ResponseDirectives::default();
        for (name, member) in &dictionary {
            let bare = match member {
                ListEntry::Item(item) => &item.bare_item,
                ListEntry::InnerList(_) => {
                    directives.add(name.as_str().as_bytes(), Argument::Bad);
                    continue;
                }
            };
            let argument = match bare {
                BareItem::Boolean(true) => Argument::None,
                BareItem::Boolean(false) => continue,
                BareItem::Integer(number) => match u64::try_from(i64::from(*number)) {
                    Ok(seconds) => Argument::Seconds(Seconds(seconds)),
                    Err(_) => Argument::Bad,
                },
                BareItem::String(text) => Argument::Names(text.as_str().as_bytes()),
                _ => Argument::Bad,
            };
            directives.add(name.as_str().as_bytes(), argument);
        }
        (!dictionary.is_empty()).then_some(directives)
    }

    fn add(&mut self, name: &[u8], argument: Argument<'_>) {
        match lower_case(name, &mut [0; 32]) {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache = argument.scope().and(self.no_cache.take()),
            b"private" => self.private = argument.scope().and(self.private.take()),
            b"public" => self.public |= matches!(argument, Argument::None),
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"max-age" => shorten(&mut self.max_age, argument.seconds().unwrap_or_default()),
            b"s-maxage" => shorten(&mut self.s_maxage, argument.seconds().unwrap_or_default()),
            b"stale-while-revalidate" => {
                shorten(&mut self.stale_while_revalidate, argument.seconds().unwrap_or_default())
            }
            b"stale-if-error" => shorten(&mut self.stale_if_error, argument.seconds().unwrap_or_default()),
            _ => {}
        }
    }
}

/// The directives of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    pub no_store: bool,
    /// Comes from Pragma if there is no Cache-Control (RFC 9111 §5.4).
    pub no_cache: bool,
    pub only_if_cached: bool,
    pub max_age: Option<Seconds>,
    pub min_fresh: Option<Seconds>,
    pub max_stale: Option<Seconds>,
    pub stale_if_error: Option<Seconds>,
}

impl RequestDirectives {
    pub fn parse(fields: &Fields) -> RequestDirectives {
        let mut directives = RequestDirectives::default();
        for_each(fields, |name, argument| {
            let seconds = argument.seconds();
            match lower_case(name, &mut [0; 32]) {
                b"no-store" => directives.no_store = true,
                b"no-cache" => directives.no_cache = true,
                b"only-if-cached" => directives.only_if_cached = true,
                b"max-age" => shorten(&mut directives.max_age, seconds.unwrap_or_default()),
                b"min-fresh" => {
                    let asked = seconds.unwrap_or(Seconds::MAX);
                    directives.min_fresh = Some(directives.min_fresh.map_or(asked, |before| before.max(asked)));
                }
                // without an argument, any staleness is accepted
                b"max-stale" if matches!(argument, Argument::None) => shorten(&mut directives.max_stale, Seconds::MAX),
                b"max-stale" => shorten(&mut directives.max_stale, seconds.unwrap_or_default()),
                b"stale-if-error" => shorten(&mut directives.stale_if_error, seconds.unwrap_or_default()),
                _ => {}
            }
        });
        if !fields.contains(&CACHE_CONTROL) {
            directives.no_cache = is_pragma_no_cache(fields);
        }
        directives
    }
}

/// Returns true if Pragma says no-cache. In a response RFC 9111 §5.4 gives it no meaning.
pub fn is_pragma_no_cache(fields: &Fields) -> bool {
    let mut members = fields.values(&PRAGMA).flat_map(|line| list::members(line.as_bytes()));
    members.any(|member| member.eq_ignore_ascii_case(b"no-cache"))
}

/// Returns the name in lower case, or an empty name if it is longer than every known one.
fn lower_case<'b>(name: &[u8], buffer: &'b mut [u8; 32]) -> &'b [u8] {
    let Some(lower) = buffer.get_mut(..name.len()) else { return b"" };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    lower
}

/// Keeps the shorter one of two spans.
fn shorten(kept: &mut Option<Seconds>, span: Seconds) {
    *kept = Some(kept.map_or(span, |before| before.min(span)));
}

/// The argument of a directive, in the syntax of either field.
enum Argument<'a> {
    None,
    /// A text; it may have been quoted.
    Text(Cow<'a, [u8]>),
    /// A string of a structured field, which is never read as a number.
    Names(&'a [u8]),
    Seconds(Seconds),
    Bad,
}

impl Argument<'_> {
    fn scope(&self) -> Scope {
        match self {
            Argument::Text(text) => Scope::of(text),
            Argument::Names(text) => Scope::of(text),
            _ => Scope::Response,
        }
    }

    /// Returns the argument as `delta-seconds` (RFC 9111 §1.2.2). Returns `None` if it is invalid.
    fn seconds(&self) -> Option<Seconds> {
        match self {
            Argument::Text(text) => Some(Seconds(list::digits(text)?).min(Seconds::MAX)),
            Argument::Seconds(seconds) => Some((*seconds).min(Seconds::MAX)),
            _ => None,
        }
    }
}

/// Calls `with` with the name and the argument of each directive of Cache-Control.
fn for_each<'a>(fields: &'a Fields, mut with: impl FnMut(&'a [u8], Argument<'a>)) {
    for member in fields.values(&CACHE_CONTROL).flat_map(|line| list::members(line.as_bytes())) {
        let (name, argument) = directive(member);
        with(name, argument);
    }
}

/// Returns the name and the argument of a directive.
fn directive(member: &[u8]) -> (&[u8], Argument<'_>) {
    let Some(equals) = member.iter().position(|byte| *byte == b'=') else {
        return (member, Argument::None);
    };
    let (name, text) = (&member[..equals], &member[equals + 1..]);
    // the grammar does not allow whitespace around "="
    let spaced = name.last().is_some_and(u8::is_ascii_whitespace) || text.first().is_some_and(u8::is_ascii_whitespace);
    let argument = match text.first() {
        Some(b'"') if !spaced => list::unquoted(text).map_or(Argument::Bad, |said| Argument::Text(said.into())),
        Some(_) if !spaced => Argument::Text(text.into()),
        _ => Argument::Bad,
    };
    (name.trim_ascii(), argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: &FieldName, lines: &[&str]) -> Fields {
        lines.iter().map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    fn response(lines: &[&str]) -> ResponseDirectives {
        ResponseDirectives::parse(&fields(&CACHE_CONTROL, lines))
    }

    fn request(lines: &[&str]) -> RequestDirectives {
        RequestDirectives::parse(&fields(&CACHE_CONTROL, lines))
    }

    #[test]
    fn names_are_read_in_any_case_and_arguments_quoted_or_not() {
        let read = response(&["MaX-aGe=\"60\", S-MAXAGE=003600", "No-StOrE, PRIVATE,public"]);
        assert_eq!((read.max_age, read.s_maxage), (Some(Seconds(60)), Some(Seconds(3600))));
        assert!(read.no_store && read.public && read.private == Some(Scope::Response));
    }

    #[test]
    fn a_bad_lifetime_is_zero_and_spoils_nothing_else() {
        for line in [
            "max-age",
            "max-age=",
            "max-age=a",
            "max-age=3600a",
            "max-age='3600'",
            "max-age=-1",
            "max-age=3600.0",
            "max-age =60",
            "max-age= 60",
            "max-age=\"60",
            "max-age=60; no-store",
            "max-age=60 s-maxage=5",
        ] {
            let read = response(&[line, "stale-if-error=5"]);
            assert_eq!((read.max_age, read.stale_if_error), (Some(Seconds(0)), Some(Seconds(5))), "{line}");
        }
    }

    #[test]
    fn lifetimes_saturate() {
        for (value, seconds) in
            [("2147483647", (1 << 31) - 1), ("2147483649", 1 << 31), ("99999999999999999999999", 1 << 31)]
        {
            assert_eq!(response(&[&format!("max-age={value}")]).max_age, Some(Seconds(seconds)));
        }
    }

    #[test]
    fn text_within_quotes_is_no_directive() {
        for line in ["ext=\"max-age=3600\", max-age=1", "max-age=1, ext=\"a, max-age=3600, \\\", no-store\""] {
            let read = response(&[line]);
            assert_eq!((read.max_age, read.no_store), (Some(Seconds(1)), false), "{line}");
        }
    }

    #[test]
    fn of_duplicates_the_more_restrictive_one_counts() {
        for lines in [&["max-age=1800, max-age=1"][..], &["max-age=1, max-age=1800"], &["max-age=1800", "max-age=1"]] {
            assert_eq!(response(lines).max_age, Some(Seconds(1)));
        }
        assert_eq!(response(&["no-cache=\"a\", no-cache"]).no_cache, Some(Scope::Response));
        assert_eq!(request(&["max-age=9, max-age=3, min-fresh=1, min-fresh=2"]).max_age, Some(Seconds(3)));
        assert_eq!(request(&["min-fresh=1, min-fresh=2"]).min_fresh, Some(Seconds(2)));
    }

    #[test]
    fn field_lists_name_fields_or_else_mean_everything() {
        let list = |text: &str| response(&[text]).no_cache;
        let names =
            |names: &[&'static str]| Some(Scope::Fields(names.iter().map(|n| FieldName::from_static(n)).collect()));
        assert_eq!(list("no-cache=\"Set-Cookie, a\""), names(&["set-cookie", "a"]));
        assert_eq!(list("no-cache=a"), names(&["a"]));
        for everything in ["no-cache", "no-cache=", "no-cache=\"\"", "no-cache=\"a b\"", "no-cache=\"a"] {
            assert_eq!(list(everything), Some(Scope::Response), "{everything}");
        }
    }

    #[test]
    fn request_directives_are_read_the_safe_way() {
        let read = request(&["no-cache, no-store, only-if-cached, max-age=x, min-fresh=x, max-stale=x"]);
        assert!(read.no_cache && read.no_store && read.only_if_cached);
        assert_eq!(
            (read.max_age, read.min_fresh, read.max_stale),
            (Some(Seconds(0)), Some(Seconds::MAX), Some(Seconds(0)))
        );
        assert_eq!(request(&["max-stale"]).max_stale, Some(Seconds::MAX));
        assert_eq!(request(&["nothing-to-see-here"]), RequestDirectives::default());
    }

    #[test]
    fn pragma_counts_only_without_cache_control() {
        let mut both = fields(&PRAGMA, &["foo, No-Cache"]);
        assert!(RequestDirectives::parse(&both).no_cache);
        both.append(CACHE_CONTROL, "max-stale".parse().unwrap());
        assert!(!RequestDirectives::parse(&both).no_cache);
    }

    #[test]
    fn surrogate_control_is_read_without_what_is_for_another_surrogate() {
        let read = |lines: &[&str]| ResponseDirectives::parse_surrogate(&fields(&SURROGATE_CONTROL, lines));
        let max_age = |lines: &[&str]| read(lines).unwrap().max_age.map(|seconds| seconds.0);
        assert_eq!((read(&[]), max_age(&["max-age=60"]), max_age(&["Max-Age=60+600"])), (None, Some(60), Some(60)));
        assert_eq!(max_age(&["max-age=60;far, max-age=5", "content=\"ESI/1.0;x+1\""]), Some(5));
        assert_eq!(
            (max_age(&["max-age=60;far"]), max_age(&["max-age=x"]), max_age(&["max-age=+5"])),
            (None, Some(0), Some(0))
        );
        assert!(read(&["content=\"ESI/1.0\", no-store"]).unwrap().no_store);
        assert!(!read(&["no-store;far, no-store-remote"]).unwrap().no_store);
    }

    fn targeted(lines: &[&str]) -> Option<ResponseDirectives> {
        ResponseDirectives::parse_targeted(&fields(&CDN_CACHE_CONTROL, lines))
    }

    #[test]
    fn a_targeted_field_is_a_dictionary_or_nothing() {
        assert_eq!(targeted(&["foobar, max-age=3600;x=1"]).unwrap().max_age, Some(Seconds(3600)));
        assert_eq!(targeted(&["max-age=99999999999"]).unwrap().max_age, Some(Seconds::MAX));
        assert!(targeted(&["private", "no-store"]).is_some_and(|read| read.no_store && read.private.is_some()));
        assert!(!targeted(&["no-store=?0"]).unwrap().no_store);
        for nothing in [&["max-age=10000, &&&&&"][..], &[""], &["MaX-aGe=3600"], &["max-age =1"], &["max-age=1,"], &[]]
        {
            assert_eq!(targeted(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_targeted_directive_of_the_wrong_type_is_read_the_safe_way() {
        for line in ["max-age=\"10000\"", "max-age", "max-age=1.5", "max-age=-1", "max-age=(1 2)", "max-age=token"] {
            assert_eq!(targeted(&[line]).unwrap().max_age, Some(Seconds(0)), "{line}");
        }
        assert!(targeted(&["no-store=1"]).unwrap().no_store);
    }
}
