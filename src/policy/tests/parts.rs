use proptest::prelude::*;

use super::*;
use crate::{
    message::Part,
    policy::{
        parts::*,
        selection::{Selection, is_covered, select},
    },
};

const TAG: &[&str] = &["ETag: \"1\""];
/// Longer than what is fetched again between two gaps.
const FAR: u64 = 100_000;

fn part(first: u64, last: u64) -> StoredHead {
    part_of(&format!("{first}-{last}/{}", 10 * FAR), TAG, &usual())
}

fn extent(head: &StoredHead) -> Part {
    head.part.unwrap()
}

/// Puts parts together; the first one is the newest.
fn together(parts: &[StoredHead]) -> StoredHead {
    assemble(&parts[0], &parts[1..].iter().map(extent).collect::<Vec<_>>())
}

fn range(first: u64, last: u64) -> Request {
    get(&[&format!("Range: bytes={first}-{last}")])
}

#[test]
fn the_gaps_are_just_what_is_missing() {
    let head = part_of("4-7/10", TAG, &usual());
    let gaps_of = |asked: &[&str]| gaps(&get(asked), &head, &usual());
    assert_eq!(gaps_of(&["Range: bytes=4-8"]), [(8, 8)]);
    assert_eq!(gaps_of(&["Range: bytes=5-"]), [(8, 9)]);
    assert_eq!(gaps_of(&["Range: bytes=0-4"]), [(0, 3)]);
    assert_eq!(gaps_of(&["Range: bytes=4-5,8-8"]), [(8, 8)]);
    for (asked, why) in [
        (&[][..], "few bytes between two gaps are fetched again"),
        (&["Range: bytes=0-2"], "no byte of it is stored"),
        (&["Range: bytes=0-2,8-9"], "nor of several"),
        (&["Range: bytes=5-6"], "all is stored"),
        (&["Range: bytes=5-9", "If-None-Match: \"1\""], "a 304 needs no bytes"),
    ] {
        assert_eq!(gaps_of(asked), [], "{why}");
    }
    assert_eq!(gaps(&request("HEAD", &[]), &head, &usual()), []);
    assert_eq!(gaps(&get(&[]), &part_of("0-4/10", &[], &strict()), &strict()), [(5, 9)]);
    for (range, lines) in [("0-4/10", &[][..]), ("0-4/10", &["ETag: W/\"1\""]), ("0-4/*", TAG)] {
        assert_eq!(gaps(&get(&[]), &part_of(range, lines, &usual()), &usual()), [], "{range} {lines:?}");
    }
}

#[test]
fn a_gap_is_asked_for_by_its_range_and_the_strong_validator() {
    let head = part_of("4-7/10", TAG, &usual());
    assert_eq!(lines_of(conditions(&head, (0, 3))), ["range: bytes=0-3", "if-range: \"1\""]);
    // the length may have changed
    assert_eq!(lines_of(conditions(&head, (8, 9))), ["range: bytes=8-", "if-range: \"1\""]);
    let strict_head = part_of("0-4/10", &[], &strict());
    assert_eq!(lines_of(conditions(&strict_head, (5, 9))), ["range: bytes=5-"]);
}

#[test]
fn parts_belong_together_only_with_the_same_strong_validator_and_length() {
    let together = |a: (&str, &[&str]), b: (&str, &[&str])| {
        belong_together(&part_of(a.0, a.1, &usual()), &part_of(b.0, b.1, &usual()))
    };
    assert!(together(("0-4/10", TAG), ("8-9/10", TAG)));
    assert!(together(("0-4/*", TAG), ("8-9/10", TAG)));
    assert!(!together(("0-4/11", TAG), ("8-9/10", TAG)));
    assert!(!together(("0-4/10", TAG), ("8-9/10", &["ETag: \"2\""])));
    assert!(!together(("0-4/10", &["ETag: W/\"1\""]), ("8-9/10", &["ETag: W/\"1\""])));
    assert!(!together(("0-4/10", &[]), ("8-9/10", &[])));
    assert!(!together(("0-4/10", TAG), ("8-9/10", &["ETag: \"1\"", "Content-Encoding: br", "Vary: Accept-Encoding"])));
    let short = part_of("0-4/10", &["ETag: \"1\"", "Content-Length: 3"], &strict());
    assert!(!belong_together(&short, &part_of("5-9/10", TAG, &strict())));
}

#[test]
fn a_completed_head_has_the_fields_of_the_newest_part_and_describes_all_bytes() {
    let old = part_of("0-4/10", &["ETag: \"1\"", "A: old", "B: old", "Content-Digest: old"], &usual());
    let new_lines = &["ETag: \"1\"", "A: new", "Content-Digest: new", "Repr-Digest: whole"];
    let new = part_of("5-9/10", new_lines, &usual());
    assert!(closes(&old, (5, 9), &new) && !closes(&old, (4, 9), &new));
    let whole = completed(&get(&[]), &old, &new);
    assert_eq!((whole.part, &*whole.gaps), (None, &[][..]));
    assert_eq!((value(&whole, "a"), value(&whole, "b")), (vec!["new".to_owned()], vec!["old".to_owned()]));
    assert_eq!((value(&whole, "content-digest"), value(&whole, "repr-digest")), (vec![], vec!["whole".to_owned()]));
    assert_eq!(value(&whole, "content-length"), ["10"]);
}

#[test]
fn an_updated_head_of_several_parts_is_given_to_one_of_them_with_its_own_length_and_digest() {
    let newest =
        part_of("5-9/90", &["ETag: \"1\"", "Content-Length: 5", "Content-Digest: its own", "A: old"], &usual());
    let mut updated = assemble(&newest, &[Part { first: 20, last: 29, complete: None }]);
    assert_eq!((value(&updated, "content-length"), &*updated.gaps), (vec!["25".to_owned()], &[(10, 19)][..]));
    updated.head.fields.set(FieldName::from_static("a"), FieldValue::from_static("new"));
    let own = of_part(updated, &newest);
    assert_eq!((own.part, &*own.gaps), (newest.part, &[][..]));
    for (name, expected) in [("content-length", "5"), ("content-digest", "its own"), ("a", "new")] {
        assert_eq!(value(&own, name), [expected], "{name}");
    }
}

#[test]
fn several_parts_answer_what_they_have_and_nothing_across_a_gap() {
    let head = together(&[part(3 * FAR, 4 * FAR - 1), part(0, FAR - 1), part(FAR, 2 * FAR - 1)]);
    assert_eq!(extent(&head), Part { first: 0, last: 4 * FAR - 1, complete: Some(10 * FAR) });
    assert_eq!(*head.gaps, [(2 * FAR, 3 * FAR - 1)]);
    assert!(is_covered(&range(5, 2 * FAR - 1), &head));
    assert!(is_covered(&range(3 * FAR, 3 * FAR), &head));
    for (first, last) in [(0, 2 * FAR), (2 * FAR, 2 * FAR), (3 * FAR - 1, 3 * FAR), (0, 4 * FAR - 1)] {
        assert!(!is_covered(&range(first, last), &head), "{first}-{last}");
    }
    let both = get(&[&format!("Range: bytes=1-2,{}-{}", 3 * FAR, 3 * FAR + 1)]);
    assert_eq!(select(&both, &head, None), Selection::Parts(vec![(1, 2), (3 * FAR, 3 * FAR + 1)]));
    assert_eq!(gaps(&get(&[]), &head, &usual()), [(2 * FAR, 3 * FAR - 1), (4 * FAR, 10 * FAR - 1)]);
    // what else is missing stays a gap
    let completed =
        completed(&range(0, 4 * FAR - 1), &together(&[part(0, 9), part(8 * FAR, 9 * FAR)]), &part(10, 5 * FAR));
    assert_eq!((extent(&completed).last, &*completed.gaps), (9 * FAR, &[(5 * FAR + 1, 8 * FAR - 1)][..]));
    let matching = get(&["If-None-Match: \"1\""]);
    assert!(is_covered(&matching, &head) && select(&matching, &head, None) == Selection::NotModified);
}

#[test]
fn many_parts_that_touch_are_joined_and_each_byte_is_copied_a_few_times() {
    const LENGTH: u64 = 1 << 20;
    let (mut parts, mut copied): (Vec<Part>, u64) = Default::default();
    for n in 0..10_240 {
        let new = Part { first: n * LENGTH, last: (n + 1) * LENGTH - 1, complete: None };
        let joined = joined(new, &parts);
        parts.push(new);
        if let Some((first, last)) = joined {
            copied += last - first + 1;
            parts.retain(|part| part.last < first || part.first > last);
            parts.push(Part { first, last, complete: None });
        }
        assert!(parts.len() <= 48, "{n}: {}", parts.len());
    }
    assert!(copied <= 6 * 10_240 * LENGTH, "{} MiB", copied >> 20);
    // parts with gaps between them, and a few large ones, stay as they are
    let apart: Vec<Part> = (0..60).map(|n| Part { first: n * 10, last: n * 10 + 8, complete: None }).collect();
    assert_eq!(joined(Part { first: 900, last: 950, complete: None }, &apart), None);
    let large: Vec<Part> =
        (0..3).map(|n| Part { first: n * LENGTH, last: (n + 1) * LENGTH - 1, complete: None }).collect();
    assert_eq!(joined(Part { first: 3 * LENGTH, last: 4 * LENGTH - 1, complete: None }, &large), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gaps_and_stored_bytes_together_are_what_is_asked_for(
        extents in prop::collection::vec((0..1_000u64, 1..300u64), 1..8), asked in (0..1_000u64, 1..1_000u64),
    ) {
        // in units beyond what is fetched again
        const UNIT: u64 = 20_000;
        let complete = 1_000 * UNIT;
        let heads: Vec<StoredHead> = extents.iter().map(|(first, length)| {
            let last = ((first + length) * UNIT).min(complete) - 1;
            part_of(&format!("{}-{last}/{complete}", first * UNIT), TAG, &usual())
        }).collect();
        let (first, last) = (asked.0 * UNIT, ((asked.0 + asked.1) * UNIT).min(complete) - 1);
        let has = |unit: u64| heads.iter().any(|head| head.part.is_none_or(|part| part.first <= unit * UNIT && unit * UNIT <= part.last));
        let lacks: Vec<u64> = (first / UNIT..=last / UNIT).filter(|unit| !has(*unit)).collect();
        let (head, request) = (together(&heads), range(first, last));
        let gaps = gaps(&request, &head, &usual());
        prop_assert_eq!(is_covered(&request, &head), lacks.is_empty());
        let is_gap = |unit: u64| gaps.iter().any(|(first, last)| *first <= unit * UNIT && unit * UNIT <= *last);
        if !gaps.is_empty() {
            let gap_units: Vec<u64> = (0..1_000).filter(|unit| is_gap(*unit)).collect();
            prop_assert_eq!(gap_units, lacks);
        } else {
            let nothing_helps = lacks.len() as u64 == (last + 1 - first) / UNIT;
            prop_assert!(lacks.is_empty() || nothing_helps);
        }
    }
}
