//! Age (RFC 9111 §5.1).

use http::header::AGE;

use super::list;
use crate::{clock::Seconds, message::Fields};

/// Returns the age that a response came with. If there are several members, the first one counts; an invalid number is
/// ignored (RFC 9111 §5.1). The field has no parameters, but one that is there does not make the response younger.
pub fn age(fields: &Fields) -> Option<Seconds> {
    let first = list::members(fields.first(&AGE)?.as_bytes()).next()?;
    let number = first.split(|byte| *byte == b';').next()?.trim_ascii();
    Some(Seconds(list::digits(number)?).min(Seconds::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_member_counts_and_nonsense_is_ignored() {
        for (lines, expected) in [
            (&["7200"][..], Some(7200)),
            (&["7200, 0"], Some(7200)),
            (&["0, 7200"], Some(0)),
            (&["7200", "0"], Some(7200)),
            (&["7200;foo=bar"], Some(7200)),
            (&["2147483649"], Some(1 << 31)),
            (&["99999999999999999999999"], Some(1 << 31)),
            (&["abc"], None),
            (&["-7200"], None),
            (&["7200.0"], None),
            (&[""], None),
            (&[], None),
        ] {
            let fields = lines.iter().map(|line| (AGE, line.parse().unwrap())).collect();
            assert_eq!(age(&fields), expected.map(Seconds), "{lines:?}");
        }
    }
}
