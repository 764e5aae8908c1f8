//! Comma-separated lists (RFC 9110 §5.6.1).

/// Splits a field line at the commas outside of quoted strings into its members, without the whitespace around them.
/// Empty members stay. A quote that is never closed has no meaning, so that it cannot hide what stands behind it.
pub fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    pieces(line, b',')
}

/// Splits a field line like [`members`], at another character than the comma.
pub(super) fn pieces(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = piece_end(text, separator);
        rest = text.get(end + 1..);
        Some(text[..end].trim_ascii())
    })
}

fn piece_end(text: &[u8], separator: u8) -> usize {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            byte if byte == separator => return at,
            b'"' => at = quoted_end(&text[at..]).map_or(at + 1, |length| at + length),
            _ => at += 1,
        }
    }
    text.len()
}

/// Returns the length of the quoted string that `text` begins with, including both quotes (RFC 9110 §5.6.4).
fn quoted_end(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

/// Returns the content of a quoted string. Returns `None` if the text is not a quoted string.
pub(super) fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    if text.first() != Some(&b'"') || quoted_end(text) != Some(text.len()) {
        return None;
    }
    let mut said = Vec::with_capacity(text.len());
    let mut inside = text[1..text.len() - 1].iter();
    while let Some(&byte) = inside.next() {
        said.extend(if byte == b'\\' { inside.next().copied() } else { Some(byte) });
    }
    Some(said)
}

/// Parses at least one digit and nothing else. A number above 64 bits becomes the greatest number of 64 bits.
pub(super) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(text.iter().fold(0u64, |n, digit| n.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<&str> {
        members(line.as_bytes()).map(|m| std::str::from_utf8(m).unwrap()).collect()
    }

    #[test]
    fn commas_in_quoted_strings_separate_nothing() {
        assert_eq!(split(r#"a, b="x, y" ,c"#), ["a", r#"b="x, y""#, "c"]);
        assert_eq!(split(r#"a="\", b", c"#), [r#"a="\", b""#, "c"]);
        assert_eq!(split(",a,"), ["", "a", ""]);
    }

    #[test]
    fn a_quote_that_never_closes_hides_nothing() {
        assert_eq!(split(r#"a="x, no-store"#), [r#"a="x"#, "no-store"]);
        assert_eq!(split(r#"a="x\"#), [r#"a="x\"#]);
    }

    #[test]
    fn quoted_strings_lose_their_quotes_and_escapes() {
        assert_eq!(unquoted(br#""a\"b""#).unwrap(), b"a\"b");
        for not_one in [&b"a"[..], b"\"", b"\"a", b"\"a\"b", br#""a\""#, b""] {
            assert_eq!(unquoted(not_one), None);
        }
    }

    #[test]
    fn numbers_saturate() {
        assert_eq!(digits(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(digits(b"18446744073709551616"), Some(u64::MAX));
        assert_eq!((digits(b""), digits(b"+1"), digits(b"1 ")), (None, None, None));
    }
}
