//! The fields by which an origin names groups of responses, so that they can be purged together: Surrogate-Key, Cache-Tag,
//! xkey, and Cache-Groups (RFC 9875).

use sfv::{BareItem, List, ListEntry, Parser};

use crate::message::{FieldName, Fields};

/// Fastly's. Spaces separate the tags.
static SURROGATE_KEY: FieldName = FieldName::from_static("surrogate-key");
/// That of Cloudflare and Akamai. Commas separate the tags.
static CACHE_TAG: FieldName = FieldName::from_static("cache-tag");
/// Varnish's. Spaces separate the tags.
static XKEY: FieldName = FieldName::from_static("xkey");
/// RFC 9875 §2.
pub static CACHE_GROUPS: FieldName = FieldName::from_static("cache-groups");
/// RFC 9875 §3.
pub static CACHE_GROUP_INVALIDATION: FieldName = FieldName::from_static("cache-group-invalidation");

/// The longest tag, in bytes. A longer one is left out.
const LONGEST: usize = 1024;

/// Returns true if a field is for caches that purge by it, and of no use to clients.
pub fn is_of_tags(name: &FieldName) -> bool {
    // most names begin with another letter
    match name.as_str().as_bytes().first() {
        Some(b's') => *name == SURROGATE_KEY,
        Some(b'c') => *name == CACHE_TAG || *name == CACHE_GROUPS,
        Some(b'x') => *name == XKEY,
        _ => false,
    }
}

/// Returns the tags of a response, but for its groups. `besides` lists more of them.
pub fn tags<'a>(response: &'a Fields, besides: Option<&'a FieldName>) -> impl Iterator<Item = &'a str> {
    let fields = [&SURROGATE_KEY, &XKEY, &CACHE_TAG].into_iter().chain(besides);
    fields.flat_map(|name| {
        let separators: &[char] = if *name == CACHE_TAG { &[','] } else { &[' ', '\t', ','] };
        let lines = response.values(name).filter_map(|line| line.to_str().ok());
        let tags = lines.flat_map(move |line| line.split(separators)).map(str::trim);
        tags.filter(|tag| !tag.is_empty() && tag.len() <= LONGEST)
    })
}

/// Returns the groups that a field lists (RFC 9875 §2, §3): a list of strings. There are none if anything in it is no string.
pub fn groups(fields: &Fields, name: &FieldName) -> Vec<String> {
    if !fields.contains(name) {
        return Vec::new();
    }
    let lines: Vec<&[u8]> = fields.values(name).map(|line| line.as_bytes()).collect();
    let Ok(list) = Parser::new(&lines.join(&b", "[..])).parse::<List>() else { return Vec::new() };
    let text = |entry: &ListEntry| match entry {
        ListEntry::Item(item) => match &item.bare_item {
            BareItem::String(text) => Some(text.as_str().to_owned()),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    };
    let groups: Option<Vec<String>> = list.iter().map(text).collect();
    groups.unwrap_or_default().into_iter().filter(|group| !group.is_empty() && group.len() <= LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::FieldValue;

    fn fields(lines: &[(&'static str, &'static str)]) -> Fields {
        lines.iter().map(|(name, value)| (FieldName::from_static(name), FieldValue::from_static(value))).collect()
    }

    #[test]
    fn each_field_separates_its_tags_in_its_own_way() {
        let all = fields(&[
            ("surrogate-key", "a  b"),
            ("surrogate-key", "c"),
            ("cache-tag", "d e, f,,"),
            ("xkey", "g h"),
            ("x-tags", "i,j"),
        ]);
        let own = FieldName::from_static("x-tags");
        let found: Vec<_> = tags(&all, Some(&own)).collect();
        assert_eq!(found, ["a", "b", "c", "g", "h", "d e", "f", "i", "j"]);
        assert!(tags(&fields(&[("cache-groups", "\"a\"")]), None).next().is_none());
    }

    #[test]
    fn groups_are_a_list_of_strings_and_anything_else_makes_it_none() {
        let of = |value: &'static str| groups(&fields(&[("cache-groups", value)]), &CACHE_GROUPS);
        assert_eq!(of(r#""a", "b c";x=1"#), ["a", "b c"]);
        assert_eq!(
            groups(&fields(&[("cache-groups", r#""a""#), ("cache-groups", r#""b""#)]), &CACHE_GROUPS),
            ["a", "b"]
        );
        for none in ["a", "\"a\", b", "\"a", "(\"a\")", "1", ""] {
            assert!(of(none).is_empty(), "{none}");
        }
        assert!(groups(&fields(&[]), &CACHE_GROUPS).is_empty());
    }

    #[test]
    fn the_fields_of_tags_are_told_from_others() {
        for (name, expected) in [
            ("surrogate-key", true),
            ("cache-tag", true),
            ("xkey", true),
            ("cache-groups", true),
            ("cache-control", false),
            ("surrogate-control", false),
            ("cache-group-invalidation", false),
            ("x-cache", false),
        ] {
            assert_eq!(is_of_tags(&FieldName::from_static(name)), expected, "{name}");
        }
    }
}
