//! Range and Content-Range (RFC 9110 §14).

use http::header::{CONTENT_RANGE, RANGE};

use super::list::{digits, members};
use crate::message::{Fields, Part};

/// One requested range of bytes (RFC 9110 §14.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    From(u64),
    /// The first and the last byte, both included. The first is never behind the last.
    Between(u64, u64),
    /// The last so many bytes.
    Suffix(u64),
}

impl ByteRange {
    /// Returns the first and the last byte of the range in a representation of `length` bytes. Returns `None` if the
    /// range cannot be satisfied.
    pub fn within(self, length: u64) -> Option<(u64, u64)> {
        let end = length.checked_sub(1)?;
        match self {
            ByteRange::From(first) => (first <= end).then_some((first, end)),
            ByteRange::Between(first, last) => (first <= end).then_some((first, last.min(end))),
            ByteRange::Suffix(0) => None,
            ByteRange::Suffix(bytes) => Some((length.saturating_sub(bytes), end)),
        }
    }
}

/// Returns the ranges that a request asks for, at least one. Returns `None` if there are none, or if the field is
/// invalid and to be ignored (RFC 9110 §14.2).
pub fn ranges(request: &Fields) -> Option<Vec<ByteRange>> {
    let (unit, set) = split_once(request.only(&RANGE)?.as_bytes(), b'=')?;
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let ranges = members(set).filter(|member| !member.is_empty()).map(byte_range).collect::<Option<Vec<_>>>()?;
    (!ranges.is_empty()).then_some(ranges)
}

/// Returns true if each range begins behind the end of the one before it.
pub fn are_ascending(ranges: &[ByteRange]) -> bool {
    ranges.windows(2).all(|pair| match pair {
        [ByteRange::Between(_, last), ByteRange::Between(next, _) | ByteRange::From(next)] => last < next,
        _ => false,
    })
}

/// Returns true if a request asks for a range in a unit other than bytes. Only the origin knows the unit.
pub fn has_other_unit(request: &Fields) -> bool {
    let unit = |value: &[u8]| split_once(value, b'=').is_some_and(|(unit, _)| !unit.eq_ignore_ascii_case(b"bytes"));
    request.only(&RANGE).is_some_and(|value| unit(value.as_bytes()))
}

fn byte_range(text: &[u8]) -> Option<ByteRange> {
    match split_once(text, b'-')? {
        (b"", suffix) => Some(ByteRange::Suffix(digits(suffix)?)),
        (first, b"") => Some(ByteRange::From(digits(first)?)),
        (first, last) => {
            let (first, last) = (digits(first)?, digits(last)?);
            (first <= last).then_some(ByteRange::Between(first, last))
        }
    }
}

/// Returns the part that a 206 holds (RFC 9110 §14.4). Returns `None` if the field is missing or invalid.
pub fn content_range(response: &Fields) -> Option<Part> {
    let (unit, range) = split_once(response.only(&CONTENT_RANGE)?.as_bytes().trim_ascii(), b' ')?;
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let (bytes, complete) = split_once(range, b'/')?;
    let (first, last) = split_once(bytes, b'-')?;
    let (first, last) = (digits(first)?, digits(last)?);
    let complete = if complete == b"*" { None } else { Some(digits(complete)?) };
    // the greatest number stands for every number that is too large
    let sane = first <= last && last < u64::MAX && complete.is_none_or(|complete| last < complete);
    sane.then_some(Part { first, last, complete })
}

fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = text.iter().position(|byte| *byte == at)?;
    Some((&text[..position], &text[position + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &str) -> Option<Vec<ByteRange>> {
        ranges(&[(RANGE, value.parse().unwrap())].into_iter().collect())
    }

    #[test]
    fn ranges_are_read_and_malformed_ones_ignored() {
        use ByteRange::*;
        assert_eq!(asked("bytes=0-1").unwrap(), [Between(0, 1)]);
        assert_eq!(asked("Bytes=1-, -5 ,,7-7").unwrap(), [From(1), Suffix(5), Between(7, 7)]);
        assert_eq!(asked("bytes=18446744073709551616-").unwrap(), [From(u64::MAX)]);
        for ignored in [
            "bytes=9-1",
            "bytes=",
            "bytes=,",
            "bytes",
            "lines=1-2",
            "bytes=a-b",
            "bytes=0-1,x",
            "bytes=-",
            "bytes=--1",
            "bytes =0-9",
            "bytes\t=0-9",
        ] {
            assert_eq!(asked(ignored), None, "{ignored}");
        }
        let twice = [(RANGE, "bytes=0-1".parse().unwrap()), (RANGE, "bytes=3-4".parse().unwrap())];
        assert_eq!(ranges(&twice.into_iter().collect()), None);
    }

    #[test]
    fn the_order_of_ranges_and_their_unit_are_seen() {
        for (value, ascending) in [
            ("bytes=0-1,2-3,5-", true),
            ("bytes=0-1,1-3", false),
            ("bytes=4-5,0-1", false),
            ("bytes=0-,5-6", false),
            ("bytes=0-1,-5", false),
        ] {
            assert_eq!(are_ascending(&asked(value).unwrap()), ascending, "{value}");
        }
        for (value, other) in [("items=0-9", true), ("bytes=0-9", false), ("BYTES=0-9", false), ("0-9", false)] {
            let request = [(RANGE, value.parse().unwrap())].into_iter().collect();
            assert_eq!(has_other_unit(&request), other, "{value}");
        }
    }

    #[test]
    fn ranges_are_cut_to_the_representation() {
        use ByteRange::*;
        for (range, length, expected) in [
            (From(0), 10, Some((0, 9))),
            (From(9), 10, Some((9, 9))),
            (From(10), 10, None),
            (Between(2, 100), 10, Some((2, 9))),
            (Between(10, 11), 10, None),
            (Suffix(3), 10, Some((7, 9))),
            (Suffix(30), 10, Some((0, 9))),
            (Suffix(0), 10, None),
            (Suffix(1), 0, None),
            (From(0), 0, None),
            (From(u64::MAX), u64::MAX, None),
        ] {
            assert_eq!(range.within(length), expected, "{range:?} {length}");
        }
    }

    #[test]
    fn content_ranges_are_read_or_refused() {
        let part = |value: &str| content_range(&[(CONTENT_RANGE, value.parse().unwrap())].into_iter().collect());
        assert_eq!(part("bytes 4-9/10"), Some(Part { first: 4, last: 9, complete: Some(10) }));
        assert_eq!(part("bytes 0-0/*"), Some(Part { first: 0, last: 0, complete: None }));
        for refused in ["bytes */10", "bytes 9-4/10", "bytes 4-10/10", "bytes 4-9", "items 4-9/10", "bytes=4-9/10", ""]
        {
            assert_eq!(part(refused), None, "{refused}");
        }
        assert_eq!(part("bytes 0-18446744073709551615/*"), None);
    }
}
