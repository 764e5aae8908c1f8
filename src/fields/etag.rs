//! Entity tags (RFC 9110 §8.8.3).

/// An entity tag. A tag without quotes is kept as it is, and counts as weak, because its end cannot be trusted.
#[derive(Debug, Clone, Copy)]
pub struct EntityTag<'a> {
    pub weak: bool,
    /// The tag with its quotes.
    pub opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Parses an entity tag. Returns `None` if the text is empty.
    pub fn parse(text: &'a [u8]) -> Option<EntityTag<'a>> {
        let text = text.trim_ascii();
        match text.strip_prefix(b"W/") {
            _ if text.is_empty() => None,
            Some(opaque) if is_quoted(opaque) => Some(EntityTag { weak: true, opaque }),
            _ => Some(EntityTag { weak: !is_quoted(text), opaque: text }),
        }
    }

    /// Compares strongly (RFC 9110 §8.8.3.2).
    pub fn matches_strongly(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Compares weakly (RFC 9110 §8.8.3.2).
    pub fn matches_weakly(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

fn is_quoted(text: &[u8]) -> bool {
    text.len() >= 2 && text[0] == b'"' && text.iter().skip(1).position(|byte| *byte == b'"') == Some(text.len() - 2)
}

/// Returns the tags in one line of If-None-Match. Unlike in other lists, a backslash in a tag has no special meaning.
pub fn tags(line: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let mut quoted = false;
            let end = rest.iter().position(|byte| {
                quoted ^= *byte == b'"';
                *byte == b',' && !quoted
            });
            let (tag, behind) = match end {
                Some(end) => (&rest[..end], &rest[end + 1..]),
                None => (rest, &rest[rest.len()..]),
            };
            rest = behind;
            if let Some(tag) = EntityTag::parse(tag) {
                return Some(tag);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> EntityTag<'_> {
        EntityTag::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn weak_and_strong_comparison_are_those_of_the_table_in_rfc_9110() {
        for (a, b, strong, weak) in [
            (r#"W/"1""#, r#"W/"1""#, false, true),
            (r#"W/"1""#, r#"W/"2""#, false, false),
            (r#"W/"1""#, r#""1""#, false, true),
            (r#""1""#, r#""1""#, true, true),
            (r#""1""#, r#""2""#, false, false),
            ("abc", "abc", false, true),
            ("abc", r#""abc""#, false, false),
        ] {
            assert_eq!(tag(a).matches_strongly(&tag(b)), strong, "{a} {b}");
            assert_eq!(tag(a).matches_weakly(&tag(b)), weak, "{a} {b}");
        }
    }

    #[test]
    fn a_list_of_tags_splits_at_commas_outside_of_them() {
        let list: Vec<_> = tags(br#""a,b" ,, W/"c\", "d""#).map(|tag| tag.opaque).collect();
        assert_eq!(list, [&br#""a,b""#[..], br#""c\""#, br#""d""#]);
        assert_eq!(tags(b" , ").count(), 0);
        assert_eq!(tags(b"\"never closed, \"").count(), 1);
    }
}
