use super::*;
use crate::policy::{Fwd, reuse::Reuse, reuse::alone, reuse::reuse};

fn reload() -> Options {
    Options { client_reload: true, ..usual() }
}

fn decide(asked: &Request, head: &StoredHead, seconds: u64, options: &Options) -> Reuse {
    reuse(asked, Some(head), false, at(seconds), options)
}

#[test]
fn methods_that_stored_responses_do_not_answer_pass() {
    let head = stored(&["Cache-Control: max-age=60"], &strict());
    for (method, expected) in [
        ("GET", Reuse::Serve(Reason::Fresh)),
        ("HEAD", Reuse::Serve(Reason::Fresh)),
        ("QUERY", Reuse::Serve(Reason::Fresh)),
        ("POST", Reuse::Pass(Fwd::Method, Reason::UnsafeMethod)),
        ("M-SEARCH", Reuse::Pass(Fwd::Method, Reason::UnsafeMethod)),
        ("OPTIONS", Reuse::Pass(Fwd::Method, Reason::MethodNotCached)),
        ("TRACE", Reuse::Pass(Fwd::Method, Reason::MethodNotCached)),
    ] {
        assert_eq!(decide(&request(method, &[]), &head, 0, &strict()), expected, "{method}");
    }
    assert_eq!(decide(&request("HEAD", &[]), &head, 60, &strict()), Reuse::Pass(Fwd::Stale, Reason::Stale));
    assert_eq!(reuse(&request("HEAD", &[]), None, false, T0, &usual()), Reuse::Pass(Fwd::UriMiss, Reason::NotStored));
}

#[test]
fn without_a_stored_response_the_origin_is_asked() {
    let oic = get(&["Cache-Control: only-if-cached"]);
    assert_eq!(reuse(&get(&[]), None, false, T0, &usual()), Reuse::Fetch(Fwd::UriMiss, Reason::NotStored));
    assert_eq!(reuse(&get(&[]), None, true, T0, &usual()), Reuse::Fetch(Fwd::VaryMiss, Reason::VaryMiss));
    assert_eq!(reuse(&oic, None, false, T0, &usual()), Reuse::Refuse(Reason::OnlyIfCached));
}

#[test]
fn freshness_decides() {
    const TAG: &str = "ETag: \"1\"";
    let stale = Reuse::Fetch(Fwd::Stale, Reason::Stale);
    let validate = Reuse::Validate(Fwd::Stale, Reason::Stale);
    for (lines, seconds, expected) in [
        (&["Cache-Control: max-age=10"][..], 9, Reuse::Serve(Reason::Fresh)),
        (&["Cache-Control: max-age=10"], 10, stale),
        (&["Cache-Control: max-age=10", TAG], 10, validate),
        (&["Cache-Control: max-age=10", "Age: 5"], 5, stale),
        (&["Cache-Control: max-age=10, must-revalidate", TAG], 9, Reuse::Serve(Reason::Fresh)),
        (&["Cache-Control: no-cache, max-age=10", TAG], 0, Reuse::Validate(Fwd::Stale, Reason::NoCache)),
        (&["Cache-Control: no-cache=\"a\", max-age=10", TAG], 0, Reuse::Serve(Reason::Fresh)),
        (&["Cache-Control: max-age=1, stale-while-revalidate=4", TAG], 5, Reuse::Refresh(Reason::StaleWhileRevalidate)),
        (&["Cache-Control: max-age=1, stale-while-revalidate=4", TAG], 6, validate),
        (&["Cache-Control: max-age=1, stale-while-revalidate=4, must-revalidate", TAG], 3, validate),
        (&["Cache-Control: max-age=1, stale-while-revalidate=4, proxy-revalidate", TAG], 3, validate),
        (&["Cache-Control: max-age=2147483649"], 1 << 30, Reuse::Serve(Reason::Fresh)),
        (&["CDN-Cache-Control: max-age=10", "Cache-Control: no-cache, max-age=1"], 9, Reuse::Serve(Reason::Fresh)),
    ] {
        for options in [strict(), usual()] {
            assert_eq!(decide(&get(&[]), &stored(lines, &options), seconds, &options), expected, "{lines:?} {seconds}");
        }
    }
}

#[test]
fn s_maxage_forbids_what_the_origin_did_not_allow_and_strictly_even_that() {
    let both = &["Cache-Control: s-maxage=1, stale-while-revalidate=9"];
    let head = stored(both, &usual());
    assert_eq!(decide(&get(&[]), &head, 3, &usual()), Reuse::Refresh(Reason::StaleWhileRevalidate));
    assert_eq!(decide(&get(&[]), &head, 3, &strict()), Reuse::Fetch(Fwd::Stale, Reason::Stale));
    let alone = stored(&["Cache-Control: s-maxage=1"], &usual());
    let asked = get(&["Cache-Control: max-stale=9"]);
    assert_eq!(decide(&asked, &alone, 3, &reload()), Reuse::Fetch(Fwd::Stale, Reason::Stale));
}

#[test]
fn invalidated_responses_and_those_from_the_future_are_validated() {
    let head = stored(&["Cache-Control: max-age=60", "ETag: \"1\""], &usual());
    let invalidated = StoredHead { invalidated: true, ..head.clone() };
    assert_eq!(decide(&get(&[]), &invalidated, 0, &usual()), Reuse::Validate(Fwd::Stale, Reason::Invalidated));
    let ahead = StoredHead { response_time: at(2), ..head.clone() };
    assert_eq!(decide(&get(&[]), &ahead, 0, &usual()), Reuse::Validate(Fwd::Stale, Reason::ClockWentBack));
    let hardly = StoredHead { response_time: at(1), ..head };
    assert_eq!(decide(&get(&[]), &hardly, 0, &usual()), Reuse::Serve(Reason::Fresh));
}

#[test]
fn request_directives_are_followed_where_the_operator_says_so() {
    let head = stored(&["Cache-Control: max-age=60", "ETag: \"1\""], &usual());
    let ignored = Reuse::Serve(Reason::FreshDirectivesIgnored);
    let validated = |reason| Reuse::Validate(Fwd::Request, reason);
    for (line, seconds, followed, usually) in [
        ("Cache-Control: no-cache", 0, validated(Reason::RequestNoCache), ignored),
        ("Pragma: no-cache", 0, validated(Reason::RequestNoCache), ignored),
        ("Pragma: foo", 0, Reuse::Serve(Reason::Fresh), Reuse::Serve(Reason::Fresh)),
        ("Cache-Control: nothing-to-see-here", 0, Reuse::Serve(Reason::Fresh), Reuse::Serve(Reason::Fresh)),
        ("Cache-Control: max-age=0", 1, validated(Reason::RequestMaxAge), ignored),
        ("Cache-Control: max-age=5", 5, Reuse::Serve(Reason::Fresh), ignored),
        ("Cache-Control: max-age=5, max-stale", 6, Reuse::Serve(Reason::Fresh), ignored),
        ("Cache-Control: min-fresh=51", 10, validated(Reason::RequestMinFresh), ignored),
        ("Cache-Control: min-fresh=50", 10, Reuse::Serve(Reason::Fresh), ignored),
        ("Cache-Control: max-stale=5", 65, Reuse::Serve(Reason::MaxStale), Reuse::Validate(Fwd::Stale, Reason::Stale)),
        (
            "Cache-Control: max-stale=5",
            66,
            Reuse::Validate(Fwd::Stale, Reason::Stale),
            Reuse::Validate(Fwd::Stale, Reason::Stale),
        ),
        ("Cache-Control: no-store", 0, Reuse::Pass(Fwd::Request, Reason::RequestNoStore), Reuse::Serve(Reason::Fresh)),
        (
            "Cache-Control: no-store",
            60,
            Reuse::Pass(Fwd::Request, Reason::RequestNoStore),
            Reuse::Pass(Fwd::Request, Reason::RequestNoStore),
        ),
        ("Cache-Control: only-if-cached", 59, Reuse::Serve(Reason::Fresh), Reuse::Serve(Reason::Fresh)),
        ("Cache-Control: only-if-cached", 60, Reuse::Refuse(Reason::OnlyIfCached), Reuse::Refuse(Reason::OnlyIfCached)),
        (
            "If-Match: \"1\"",
            0,
            Reuse::Pass(Fwd::Request, Reason::Precondition),
            Reuse::Pass(Fwd::Request, Reason::Precondition),
        ),
        ("If-None-Match: \"1\"", 0, Reuse::Serve(Reason::Fresh), Reuse::Serve(Reason::Fresh)),
    ] {
        let asked = get(&[line]);
        assert_eq!(decide(&asked, &head, seconds, &reload()), followed, "{line} with --client-reload");
        assert_eq!(decide(&asked, &head, seconds, &strict()), followed, "{line} with --strict");
        assert_eq!(decide(&asked, &head, seconds, &usual()), usually, "{line}");
    }
    let swr = stored(&["Cache-Control: max-age=1, stale-while-revalidate=9"], &usual());
    let asked = get(&["Cache-Control: only-if-cached"]);
    assert_eq!(decide(&asked, &swr, 3, &usual()), Reuse::Serve(Reason::StaleWhileRevalidate));
    let post = request("POST", &["Cache-Control: only-if-cached"]);
    assert_eq!(decide(&post, &head, 0, &usual()), Reuse::Pass(Fwd::Method, Reason::UnsafeMethod));
}

#[test]
fn a_stored_part_answers_what_it_covers_and_is_completed_for_the_rest() {
    let lines = &["Content-Range: bytes 4-7/10", "Content-Length: 4", "Cache-Control: max-age=60", "ETag: \"1\""];
    let head = stored_as(206, lines, &usual()).unwrap();
    let complete = Reuse::Complete(Reason::PartMissing);
    let fetch = Reuse::Fetch(Fwd::Partial, Reason::PartMissing);
    for (lines, expected) in [
        (&["Range: bytes=4-7"][..], Reuse::Serve(Reason::Fresh)),
        (&["Range: bytes=5-5,7-7"], Reuse::Serve(Reason::Fresh)),
        (&["Range: bytes=10-"], Reuse::Serve(Reason::Fresh)),
        (&["Range: bytes=4-8"], complete),
        (&["Range: bytes=-6"], complete),
        (&["Range: bytes=0-5"], complete),
        (&["Range: bytes=3-8"], fetch),
        (&["Range: bytes=0-1"], fetch),
        (&["Range: bytes=0-1,4-5"], fetch),
        (&["Range: bytes=4-7", "If-Range: \"2\""], fetch),
        (&[], fetch),
    ] {
        assert_eq!(decide(&get(lines), &head, 0, &usual()), expected, "{lines:?}");
    }
    assert_eq!(decide(&get(&["Range: bytes=4-7"]), &head, 60, &usual()), Reuse::Validate(Fwd::Stale, Reason::Stale));
    assert_eq!(decide(&get(&["Range: bytes=0-7"]), &head, 60, &usual()), Reuse::Fetch(Fwd::Stale, Reason::Stale));
    assert_eq!(decide(&request("HEAD", &[]), &head, 0, &usual()), Reuse::Pass(Fwd::Partial, Reason::PartMissing));
}

#[test]
fn who_is_authenticated_by_connection_asks_for_itself_alone() {
    for (decided, alone_with_it) in [
        (Reuse::Serve(Reason::Fresh), Reuse::Serve(Reason::Fresh)),
        (Reuse::Refresh(Reason::StaleWhileRevalidate), Reuse::Serve(Reason::StaleWhileRevalidate)),
        (Reuse::Fetch(Fwd::UriMiss, Reason::NotStored), Reuse::Pass(Fwd::UriMiss, Reason::NotStored)),
        (Reuse::Validate(Fwd::Stale, Reason::Stale), Reuse::Pass(Fwd::Stale, Reason::Stale)),
        (Reuse::Complete(Reason::PartMissing), Reuse::Pass(Fwd::Partial, Reason::PartMissing)),
        (Reuse::Refuse(Reason::OnlyIfCached), Reuse::Refuse(Reason::OnlyIfCached)),
    ] {
        assert_eq!(alone(decided), alone_with_it);
    }
}
