use super::*;
use crate::policy::selection::{Selection, not_modified_fields, select};

fn answer(asked: &[&str], head: &StoredHead) -> Selection {
    select(&get(asked), head, Some(10))
}

#[test]
fn conditions_are_evaluated_in_their_order() {
    let modified = format!("Last-Modified: {}", when(-3000));
    let lines = ["Cache-Control: max-age=60", "ETag: \"abc\"", &*modified];
    let head = stored(&lines, &usual());
    let since = |offset| format!("If-Modified-Since: {}", when(offset));
    for (asked, expected) in [
        (vec!["If-None-Match: \"abc\"".to_owned()], true),
        (vec!["If-None-Match: W/\"abc\"".to_owned()], true),
        (vec!["If-None-Match: \"x\", \"abc\", \"y\"".to_owned()], true),
        (vec!["If-None-Match: \"x\"".to_owned(), "If-None-Match: \"abc\"".to_owned()], true),
        (vec!["If-None-Match: *".to_owned()], true),
        (vec!["If-None-Match: \"x\"".to_owned()], false),
        (vec!["If-None-Match: abc".to_owned()], false),
        (vec!["If-None-Match: \"x\"".to_owned(), since(0)], false),
        (vec!["If-None-Match: \"abc\"".to_owned(), since(-5000)], true),
        (vec![since(-3000)], true),
        (vec![since(-2000)], true),
        (vec![since(-3001)], false),
        (vec!["If-Modified-Since: soon".to_owned()], false),
        (vec![since(0), since(0)], false),
    ] {
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        let expected = if expected { Selection::NotModified } else { Selection::Whole };
        assert_eq!(answer(&asked, &head), expected, "{asked:?}");
        assert_eq!(select(&request("HEAD", &asked), &head, Some(10)), expected, "HEAD {asked:?}");
    }
    let date_only = request("QUERY", &[&since(0)]);
    assert_eq!(select(&date_only, &head, Some(10)), Selection::Whole);
    let missing = stored_as(404, &lines, &usual()).unwrap();
    assert_eq!(answer(&["If-None-Match: \"abc\""], &missing), Selection::Whole);
}

#[test]
fn a_date_in_an_old_form_is_a_date() {
    let head = stored(&["Cache-Control: max-age=60", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"], &usual());
    for since in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
        let asked = format!("If-Modified-Since: {since}");
        assert_eq!(answer(&[&asked], &head), Selection::NotModified);
    }
}

#[test]
fn without_last_modified_the_date_counts() {
    let (before, after) = (format!("If-Modified-Since: {}", when(-3000)), format!("If-Modified-Since: {}", when(1)));
    for options in [usual(), strict()] {
        for lines in [&["Cache-Control: max-age=60"][..], &["Cache-Control: max-age=60", "Last-Modified: soon"]] {
            let head = stored(lines, &options);
            assert_eq!(answer(&[&before], &head), Selection::Whole, "{lines:?}");
            assert_eq!(answer(&[&after], &head), Selection::NotModified, "{lines:?}");
        }
    }
}

#[test]
fn ranges_are_cut_from_the_whole() {
    let head = stored(&["Cache-Control: max-age=60", "ETag: \"1\""], &usual());
    let parts = |ranges: &[(u64, u64)]| Selection::Parts(ranges.to_vec());
    for (asked, expected) in [
        (&["Range: bytes=0-1"][..], Selection::Part(0, 1)),
        (&["Range: bytes=1-"], Selection::Part(1, 9)),
        (&["Range: bytes=-1"], Selection::Part(9, 9)),
        (&["Range: bytes=8-99"], Selection::Part(8, 9)),
        (&["Range: bytes=10-"], Selection::NotSatisfiable),
        (&["Range: bytes=-0"], Selection::NotSatisfiable),
        (&["Range: bytes=5-6,0-1"], parts(&[(5, 6), (0, 1)])),
        (&["Range: bytes=0-1,20-30"], Selection::Part(0, 1)),
        (&["Range: bytes=0-5,5-9"], Selection::Whole),
        (&["Range: bytes=0-,0-,0-"], Selection::Whole),
        (&["Range: bytes=8-8,7-7,6-6,5-5,4-4,3-3,2-2,1-1,0-0"], Selection::Whole),
        (&["Range: bytes=9-1"], Selection::Whole),
        (&["Range: lines=0-1"], Selection::Whole),
        (&["Range: bytes=0-1", "If-Range: \"1\""], Selection::Part(0, 1)),
        (&["Range: bytes=0-1", "If-Range: W/\"1\""], Selection::Whole),
        (&["Range: bytes=0-1", "If-Range: \"2\""], Selection::Whole),
        (&["Range: bytes=0-1", "If-None-Match: \"1\""], Selection::NotModified),
    ] {
        assert_eq!(answer(asked, &head), expected, "{asked:?}");
    }
    let asked = &["Range: bytes=0-1"];
    assert_eq!(select(&request("HEAD", asked), &head, Some(10)), Selection::Whole);
    assert_eq!(select(&request("QUERY", asked), &head, Some(10)), Selection::Part(0, 1));
    assert_eq!(select(&get(asked), &head, None), Selection::Whole);
    let error = stored_as(404, &["Cache-Control: max-age=60"], &usual()).unwrap();
    assert_eq!(answer(asked, &error), Selection::Whole);
}

#[test]
fn conditions_and_ranges_are_for_methods_that_ask_for_a_representation() {
    let head = stored(&["Cache-Control: max-age=60", "ETag: \"1\""], &usual());
    for method in ["POST", "PUT", "M-SEARCH"] {
        for asked in ["If-None-Match: \"1\"", "If-None-Match: *", "Range: bytes=0-1", "Range: bytes=99-"] {
            let selection = select(&request(method, &[asked]), &head, Some(10));
            assert_eq!(selection, Selection::Whole, "{method} {asked}");
        }
    }
    assert_eq!(select(&request("QUERY", &["If-None-Match: *"]), &head, Some(10)), Selection::NotModified);
}

#[test]
fn if_range_takes_a_date_only_where_that_is_a_strong_validator() {
    let asked = |offset| get(&["Range: bytes=0-1", &format!("If-Range: {}", when(offset))]);
    let with = |offset| {
        let lines =
            ["Cache-Control: max-age=60", &*format!("Last-Modified: {}", when(offset)), &format!("Date: {}", when(0))];
        stored(&lines, &usual())
    };
    assert_eq!(select(&asked(-9), &with(-9), Some(10)), Selection::Part(0, 1));
    assert_eq!(select(&asked(-8), &with(-9), Some(10)), Selection::Whole);
    assert_eq!(select(&asked(0), &with(0), Some(10)), Selection::Whole);
}

#[test]
fn a_part_whose_length_and_content_range_disagree_is_cut_from_the_end_that_was_asked_for() {
    let lines = &["Content-Range: bytes 4-9/10", "Content-Length: 5", "Cache-Control: max-age=60"];
    let head = stored_as(206, lines, &strict()).unwrap();
    for (asked, offsets) in [("-5", (0, 4)), ("6-8", (2, 4)), ("6-", (2, 4)), ("-1", (4, 4)), ("9-9", (0, 0))] {
        let selection = answer(&[&format!("Range: bytes={asked}")], &head);
        match selection {
            Selection::Part(first, last) => assert_eq!((first - 4, last - 4), offsets, "{asked}"),
            other => assert_eq!((other, asked), (Selection::Whole, "9-9")),
        }
    }
}

#[test]
fn a_304_carries_what_its_recipient_may_need() {
    let names = |lines: &[&str]| {
        let fields = not_modified_fields(&response(200, lines));
        fields.iter().map(|(name, _)| name.as_str().to_owned()).collect::<Vec<_>>()
    };
    let lines =
        &["Date: x", "Last-Modified: y", "Content-Type: z", "Content-Length: 1", "Vary: a", "Expires: 0", "X: 1"];
    assert_eq!(names(lines), ["date", "last-modified", "vary", "expires"]);
    assert_eq!(names(&["ETag: \"1\"", "Last-Modified: y", "Content-Location: /x"]), ["etag", "content-location"]);
}
