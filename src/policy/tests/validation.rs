use super::*;
use crate::policy::{freshness::current_age, reuse::*, validation::*, vary};

#[test]
fn every_validator_becomes_a_condition() {
    let modified = format!("Last-Modified: {}", when(-9));
    let since = format!("if-modified-since: {}", when(-9));
    let asked = |lines: &[&str]| {
        let mut all = vec!["Cache-Control: max-age=60"];
        all.extend(lines);
        lines_of(conditions(&stored(&all, &usual())))
    };
    assert_eq!(asked(&["ETag: W/\"1\"", &modified]), ["if-none-match: W/\"1\"", &since]);
    assert_eq!(asked(&[&modified]), [since]);
    assert!(asked(&["Last-Modified: never", "ETag: "]).is_empty());
}

#[test]
fn a_304_replaces_all_fields_but_those_of_the_bytes() {
    let lines = &[
        "Cache-Control: max-age=2",
        "ETag: \"1\"",
        "Age: 1",
        "Content-Length: 5",
        "Content-Encoding: gzip",
        "Content-MD5: a",
        "Content-Digest: a",
        "Content-Type: text/plain",
        "X: a",
        "X: b",
        "Kept: 1",
    ];
    let head = stored(lines, &usual());
    let news = response(
        304,
        &[
            "Cache-Control: max-age=60",
            "ETag: \"1\"",
            "Content-Length: 9",
            "Content-Encoding: br",
            "Content-MD5: b",
            "Content-Digest: b",
            "Content-Range: bytes 0-1/2",
            "Content-Type: text/html",
            "X: c",
            "X: d",
            "Set-Cookie: a=b",
        ],
    );
    let fresh = freshen(&get(&[]), &head, &news, times(at(9)), &usual()).unwrap();
    for (name, values) in [
        ("cache-control", &["max-age=60"][..]),
        ("etag", &["\"1\""]),
        ("content-length", &["5"]),
        ("content-encoding", &["gzip"]),
        ("content-md5", &["a"]),
        ("content-digest", &["a"]),
        ("content-range", &[]),
        ("content-type", &["text/html"]),
        ("x", &["c", "d"]),
        ("kept", &["1"]),
        ("set-cookie", &[]),
        ("age", &[]),
        ("date", &[&when(9)]),
    ] {
        assert_eq!(value(&fresh, name), values, "{name}");
    }
    assert_eq!(
        (fresh.head.status, fresh.invalidated, current_age(&fresh, at(10))),
        (StatusCode::OK, false, Seconds(1))
    );
    assert_eq!(reuse(&get(&[]), Some(&fresh), false, at(68), &usual()), Reuse::Serve(&fresh, Reason::Fresh));
}

#[test]
fn a_304_freshens_only_the_response_that_it_is_about() {
    let (old, new) = (format!("Last-Modified: {}", when(-9)), format!("Last-Modified: {}", when(-8)));
    for (ours, theirs, expected) in [
        (&["ETag: \"1\""][..], &["ETag: \"1\""][..], true),
        (&["ETag: \"1\""], &["ETag: W/\"1\""], true),
        (&["ETag: \"1\""], &[], true),
        (&["ETag: \"1\""], &["ETag: \"2\""], false),
        (&["ETag: \"1\""], &["ETag: W/\"2\""], false),
        (&["ETag: \"1\"", &old], &[&new], false),
        (&["ETag: \"1\""], &[&new], true),
        (&[&old], &[&old], true),
        (&[&old], &[], true),
        (&[&old], &[&new], false),
        (&[&old], &["ETag: \"1\"", &old], true),
        (&[&old], &["ETag: \"1\""], false),
        (&["ETag: \"1\"", "Vary: a"], &["ETag: \"1\"", "Vary: A"], true),
        (&["ETag: \"1\"", "Vary: a"], &["ETag: \"1\"", "Vary: a, b"], true),
        (&["ETag: \"1\""], &["ETag: \"1\"", "Vary: *"], true),
    ] {
        let mut lines = vec!["Cache-Control: max-age=60"];
        lines.extend(ours);
        for options in [usual(), strict()] {
            let head = freshen(&get(&[]), &stored(&lines, &options), &response(304, theirs), times(at(9)), &options);
            assert_eq!(head.is_some(), expected, "{ours:?} {theirs:?}");
        }
    }
}

#[test]
fn a_304_with_other_names_in_vary_moves_the_response_to_the_variant_of_the_request_that_validated_it() {
    let asked = get(&["A: 1", "B: 2"]);
    let validating = get(&["A: 1", "B: 2", "C: 3", "Origin: o"]);
    for (ours, theirs, vary, fits, fails) in [
        ("a, b", "Vary: a", &["a, b"][..], &["A: 1", "B: 2"][..], &["A: 1"][..]),
        ("a, b", "Vary: B,A", &["a, b"], &["A: 1", "B: 2"], &["A: 1"]),
        ("a", "X: 1", &["a"], &["A: 1"], &[]),
        ("a", "Vary: ", &["a"], &["A: 1"], &[]),
        ("a", "Vary: a, c", &["a", "a, c"], &["A: 1", "C: 3"], &["A: 1"]),
        ("a", "Vary: c", &["a", "c"], &["A: 1", "C: 3"], &["C: 3"]),
        ("", "Vary: c", &["", "c"], &["C: 3"], &["C: 4"]),
        ("", "Vary: d", &["", "d"], &[], &["D: 1"]),
    ] {
        for options in [usual(), strict()] {
            let lines = [&*format!("Vary: {ours}"), "Cache-Control: max-age=60", "ETag: \"1\""];
            let head = storing(&asked, &response(200, &lines), times(T0), &options).unwrap();
            let fresh = freshen(&validating, &head, &response(304, &[theirs]), times(at(9)), &options).unwrap();
            assert_eq!(
                (value(&fresh, "vary"), fresh.invalidated),
                (vary.iter().map(|line| line.to_string()).collect(), false),
                "{ours} {theirs}"
            );
            assert!(vary::matches(&fresh.nominated, &validating, &options), "{ours} {theirs}");
            assert!(vary::matches(&fresh.nominated, &get(fits), &options), "{ours} {theirs}");
            assert!(!vary::matches(&fresh.nominated, &get(fails), &options), "{ours} {theirs}");
        }
    }
    let names = |head: &StoredHead| head.nominated.iter().map(|(name, _)| name.as_str().to_owned()).collect::<Vec<_>>();
    // access for one origin is a new name like any other
    let head = stored(&["Cache-Control: max-age=60", "ETag: \"1\"", "Vary: a"], &usual());
    let cors = response(304, &["Access-Control-Allow-Origin: http://o"]);
    assert_eq!(names(&freshen(&validating, &head, &cors, times(at(9)), &usual()).unwrap()), ["a", "origin"]);
    // the content of a QUERY stays in front
    let query = Request { content: Some([1; 32]), ..request("QUERY", &["Z: 1"]) };
    let head = storing(&query, &response(200, &["Cache-Control: max-age=60", "ETag: \"1\""]), times(T0), &usual());
    let fresh = freshen(&query, &head.unwrap(), &response(304, &["Vary: z, b"]), times(at(9)), &usual()).unwrap();
    assert_eq!(names(&fresh), ["larder-content", "b", "z"]);
    // the language that this request likes best is known of a new name, too
    let german = get(&["Accept-Language: de, en;q=0.5"]);
    let head = stored(&["Cache-Control: max-age=60", "ETag: \"1\"", "Content-Language: de"], &usual());
    let fresh = freshen(&german, &head, &response(304, &["Vary: Accept-Language"]), times(at(9)), &usual()).unwrap();
    assert!(vary::matches(&fresh.nominated, &get(&["Accept-Language: de"]), &usual()));
    assert!(!vary::matches(&fresh.nominated, &get(&["Accept-Language: en"]), &usual()));
}

#[test]
fn a_304_whose_vary_matches_no_other_request_leaves_nothing_for_others() {
    let head = stored(&["Cache-Control: max-age=60", "ETag: \"1\"", "Vary: a, b"], &usual());
    for vary in ["*", "a, *", "X-Forwarded-For", "c, d, e, f, g, h, i"] {
        let news = response(304, &[&format!("Vary: {vary}")]);
        let fresh = freshen(&get(&[]), &head, &news, times(at(9)), &usual()).unwrap();
        assert!(fresh.invalidated, "{vary}");
    }
}

#[test]
fn a_304_makes_no_head_larger_than_an_origin_may_send_one() {
    let head = |options: &Options| stored(&["Cache-Control: max-age=60", "ETag: \"1\""], options);
    let longer = |bytes: usize, lines: usize, head: &StoredHead, options: &Options| {
        let mut news = vec![format!("A: {}", "x".repeat(bytes))];
        news.extend((0..lines).map(|n| format!("N{n}: 1")));
        let news: Vec<&str> = news.iter().map(String::as_str).collect();
        freshen(&get(&[]), head, &response(304, &news), times(at(9)), options)
    };
    // the stored one has three lines, Date among them
    let few_lines = Options { max_fields: 8, ..usual() };
    assert!(longer(1, 4, &head(&few_lines), &few_lines).is_some());
    assert!(longer(1, 5, &head(&few_lines), &few_lines).is_none());
    let few_bytes = Options { max_head: 1000, ..usual() };
    assert!(longer(800, 0, &head(&few_bytes), &few_bytes).is_some());
    assert!(longer(1000, 0, &head(&few_bytes), &few_bytes).is_none());
    // it was as large when it came
    let large = longer(1000, 5, &head(&usual()), &usual()).unwrap();
    assert!(longer(1000, 5, &large, &few_bytes).is_some());
    assert!(longer(1001, 5, &large, &few_bytes).is_none());
}

#[test]
fn an_unasked_304_freshens_only_the_one_stored_response_and_only_if_neither_has_a_validator() {
    let modified = format!("Last-Modified: {}", when(-9));
    let fresh = "Cache-Control: max-age=60";
    for (ours, theirs, expected) in [
        (&[fresh][..], &["Cache-Control: max-age=90"][..], true),
        (&[fresh], &[], true),
        (&[fresh, "ETag: \"1\""], &[], false),
        (&[fresh, &modified], &[], false),
        (&[fresh], &["ETag: \"1\""], false),
        (&[fresh], &[&modified], false),
        (&[fresh, "ETag: \"1\""], &["ETag: \"1\""], false),
        (&[fresh, "Vary: a"], &[], false),
    ] {
        for options in [usual(), strict()] {
            let news = response(304, theirs);
            let head = freshen_unasked(&get(&[]), &stored(ours, &options), &news, times(at(99)), &options);
            assert_eq!(head.is_some(), expected, "{ours:?} {theirs:?}");
            assert!(head.is_none_or(|head| current_age(&head, at(99)) == Seconds(0)), "{ours:?} {theirs:?}");
        }
    }
}

#[test]
fn a_304_that_forbids_storing_leaves_nothing_for_others() {
    let head = stored(&["Cache-Control: max-age=60", "ETag: \"1\"", "A: 1"], &usual());
    for (line, forbidden) in [
        ("Cache-Control: no-store", true),
        ("Cache-Control: private", true),
        ("Cache-Control: private=\"a\", max-age=60", false),
        ("Cache-Control: max-age=60", false),
    ] {
        let fresh = freshen(&get(&[]), &head, &response(304, &[line]), times(at(9)), &usual()).unwrap();
        assert_eq!(fresh.invalidated, forbidden, "{line}");
        assert_eq!(value(&fresh, "a").is_empty(), line.contains("\"a\""), "{line}");
    }
    let authorized = get(&["Authorization: x"]);
    let lines = &["Cache-Control: public, max-age=60", "ETag: \"1\""];
    let head = storing(&authorized, &response(200, lines), times(T0), &usual()).unwrap();
    let news = response(304, &["Cache-Control: max-age=60"]);
    assert!(freshen(&authorized, &head, &news, times(at(9)), &usual()).unwrap().invalidated);
}

#[test]
fn an_answer_to_head_freshens_or_unmasks_the_stored_answer_to_get() {
    let modified = format!("Last-Modified: {}", when(-9));
    let head = stored(&["Cache-Control: max-age=2", "ETag: \"1\"", "T: a"], &usual());
    let says = |status, lines: &[&str], options: &Options| {
        freshen_by_head(&request("HEAD", &[]), &head, 5, &response(status, lines), times(at(9)), options)
    };
    match says(200, &["ETag: \"1\"", "Content-Length: 5", "Cache-Control: max-age=60", "T: b"], &usual()) {
        HeadSays::Freshened(fresh) => {
            assert_eq!(value(&fresh, "t"), ["b"]);
            assert_eq!(reuse(&get(&[]), Some(&*fresh), false, at(68), &usual()), Reuse::Serve(&*fresh, Reason::Fresh));
        }
        other => panic!("{other:?}"),
    }
    for lines in [
        &["ETag: \"2\""][..],
        &["ETag: \"1\"", "Content-Length: 6"],
        &["ETag: \"1\"", &modified],
        &["Content-Length: 6"],
    ] {
        assert_eq!(says(200, lines, &usual()), HeadSays::Changed, "{lines:?}");
    }
    assert_eq!(says(200, &["T: b"], &usual()), HeadSays::Nothing);
    assert!(matches!(says(200, &["T: b"], &strict()), HeadSays::Freshened(_)));
    assert_eq!(says(410, &["ETag: \"1\""], &strict()), HeadSays::Nothing);
    assert_eq!(says(200, &["ETag: \"1\"", "Cache-Control: no-store"], &usual()), HeadSays::Changed);
}

#[test]
fn a_stale_response_stands_in_for_a_failure_only_where_that_was_said() {
    let asked = |line: &str| if line.is_empty() { get(&[]) } else { get(&[line]) };
    for (answer, line, status, seconds, usually, strictly) in [
        ("max-age=2, stale-if-error=60", "", None, 62, Ok(Reason::StaleIfError), Ok(Reason::StaleIfError)),
        ("max-age=2, stale-if-error=60", "", Some(503), 62, Ok(Reason::StaleIfError), Ok(Reason::StaleIfError)),
        ("max-age=2, stale-if-error=60", "", Some(503), 63, Err(Reason::StaleTooLong), Err(Reason::StaleTooLong)),
        ("max-age=2, stale-if-error=60", "", Some(404), 3, Err(Reason::NotAnError), Err(Reason::NotAnError)),
        ("max-age=2", "", Some(503), 3, Err(Reason::StaleNotAllowed), Err(Reason::StaleNotAllowed)),
        ("max-age=2", "", None, 3, Err(Reason::StaleNotAllowed), Err(Reason::StaleNotAllowed)),
        (
            "max-age=2",
            "Cache-Control: stale-if-error=9",
            Some(503),
            3,
            Ok(Reason::StaleIfError),
            Ok(Reason::StaleIfError),
        ),
        ("max-age=2", "Cache-Control: max-stale=9", None, 3, Ok(Reason::MaxStale), Ok(Reason::MaxStale)),
        (
            "max-age=2, must-revalidate, stale-if-error=60",
            "",
            None,
            3,
            Err(Reason::StaleForbidden),
            Err(Reason::StaleForbidden),
        ),
        (
            "max-age=2, proxy-revalidate, stale-if-error=60",
            "",
            None,
            3,
            Err(Reason::StaleForbidden),
            Err(Reason::StaleForbidden),
        ),
        ("no-cache, stale-if-error=60", "", None, 3, Err(Reason::StaleForbidden), Err(Reason::StaleForbidden)),
        (
            "s-maxage=2",
            "Cache-Control: stale-if-error=9",
            None,
            3,
            Err(Reason::StaleForbidden),
            Err(Reason::StaleForbidden),
        ),
        ("s-maxage=2, stale-if-error=60", "", None, 3, Ok(Reason::StaleIfError), Err(Reason::StaleForbidden)),
    ] {
        let lines = [&*format!("Cache-Control: {answer}"), "ETag: \"1\""];
        let stands_in =
            |options: &Options| on_error(&asked(line), &stored(&lines, options), status, at(seconds), options);
        let usual = Options { stale_if_error: Seconds(0), ..usual() };
        assert_eq!((stands_in(&usual), stands_in(&strict())), (usually, strictly), "{answer} {line} {status:?}");
    }
    let head = stored(&["Cache-Control: max-age=2, stale-if-error=60"], &usual());
    let invalidated = StoredHead { invalidated: true, ..head };
    assert_eq!(on_error(&get(&[]), &invalidated, None, at(3), &usual()), Err(Reason::Invalidated));
}

#[test]
fn w41_a_stale_response_stands_in_for_a_day_where_the_origin_says_nothing() {
    let day = 86_400;
    for (control, failure, seconds, expected) in [
        ("max-age=2", None, 3, Ok(Reason::StaleByDefault)),
        ("max-age=2", None, day + 2, Ok(Reason::StaleByDefault)),
        ("max-age=2", None, day + 3, Err(Reason::StaleTooLong)),
        ("max-age=2", Some(502), 3, Ok(Reason::StaleByDefault)),
        ("max-age=2", Some(503), 3, Ok(Reason::StaleByDefault)),
        ("max-age=2", Some(504), 3, Ok(Reason::StaleByDefault)),
        // a developer must see it
        ("max-age=2", Some(500), 3, Err(Reason::StaleNotAllowed)),
        ("max-age=2, stale-if-error=9", Some(500), 3, Ok(Reason::StaleIfError)),
        ("max-age=2, stale-if-error=9", Some(503), 30, Err(Reason::StaleTooLong)),
        ("max-age=2, stale-if-error=0", None, 3, Err(Reason::StaleTooLong)),
        ("max-age=2, must-revalidate", None, 3, Err(Reason::StaleForbidden)),
        ("max-age=2, proxy-revalidate", None, 3, Err(Reason::StaleForbidden)),
        ("no-cache", None, 3, Err(Reason::StaleForbidden)),
        ("s-maxage=2", None, 3, Err(Reason::StaleForbidden)),
    ] {
        let head = stored(&[&format!("Cache-Control: {control}"), "ETag: \"1\""], &usual());
        assert_eq!(on_error(&get(&[]), &head, failure, at(seconds), &usual()), expected, "{control} {failure:?}");
    }
    for (status, stands) in [(200, true), (203, true), (301, true), (308, true), (302, false), (404, false)] {
        let mut head = stored(&["Cache-Control: max-age=2"], &usual());
        head.head.status = StatusCode::from_u16(status).unwrap();
        assert_eq!(on_error(&get(&[]), &head, None, at(3), &usual()).is_ok(), stands, "{status}");
    }
}
