use super::*;
use crate::{
    message::Part,
    policy::{freshness::usable_for, storing::objections},
};

fn verdict(asked: &[&str], status: u16, answer: &[&str], options: &Options) -> Option<Reason> {
    let (asked, answer) = (get(asked), response(status, answer));
    let reason = storing(&asked, &answer, times(T0), options).err();
    assert_eq!(objections(&asked, &answer, times(T0), options).first().copied(), reason, "{asked:?} {answer:?}");
    reason
}

#[test]
fn every_objection_is_named_and_the_first_one_is_the_reason() {
    let request = get(&["Authorization: x", "Cookie: a=1", "Cache-Control: no-store"]);
    let answer = response(403, &["Cache-Control: private, no-store", "Set-Cookie: b=2", "Vary: *"]);
    assert_eq!(
        objections(&request, &answer, times(T0), &usual()),
        [
            Reason::RequestNoStore,
            Reason::NoStore,
            Reason::Private,
            Reason::Authorization,
            Reason::StatusWithoutFreshness,
            Reason::SetCookie,
            Reason::CookieWithoutFreshness,
            Reason::VaryStar,
        ]
    );
    let unlimited = response(200, &["Cache-Control: no-cache"]);
    assert_eq!(objections(&get(&[]), &unlimited, times(T0), &usual()), [Reason::NoCache]);
    assert_eq!(objections(&get(&[]), &response(200, &["ETag: \"1\""]), times(T0), &usual()), []);
}

#[test]
fn the_clauses_of_rfc_9111_section_3_keep_responses_out() {
    const FRESH: &str = "Cache-Control: max-age=60";
    for (asked, status, answer, expected) in [
        (&[][..], 200, &[FRESH][..], None),
        (&[], 200, &["Cache-Control: No-StOrE, max-age=60"], Some(Reason::NoStore)),
        (&["Cache-Control: no-store"], 200, &[FRESH], Some(Reason::RequestNoStore)),
        (&[], 200, &["Cache-Control: private, max-age=60"], Some(Reason::Private)),
        (&[], 200, &["Cache-Control: private=\"a\", max-age=60"], None),
        (&[], 200, &["CDN-Cache-Control: max-age=60", "Cache-Control: no-store"], None),
        (&[], 200, &["CDN-Cache-Control: private", FRESH], Some(Reason::CdnPrivate)),
        (&[], 200, &["CDN-Cache-Control: no-store", FRESH], Some(Reason::CdnNoStore)),
        (&[], 200, &["CDN-Cache-Control: no-cache", FRESH], Some(Reason::CdnNoCache)),
        (&[], 200, &["CDN-Cache-Control: max-age=\"60\"", "Cache-Control: no-store"], Some(Reason::NeverReusable)),
        (&[], 200, &["CDN-Cache-Control: max-age=60, &", "Cache-Control: no-store"], Some(Reason::NoStore)),
        (&[], 200, &["Cache-Control: max-age=60, no-store, must-understand"], None),
        (&[], 599, &["Cache-Control: max-age=60, no-store, must-understand"], Some(Reason::NotUnderstood)),
        (&[], 599, &["Cache-Control: max-age=60, must-understand"], Some(Reason::NotUnderstood)),
        (&[], 599, &[FRESH], None),
        (&[], 304, &[FRESH], Some(Reason::StatusNeverStored)),
        (&[], 103, &[FRESH], Some(Reason::StatusNeverStored)),
        (&["Range: bytes=9-"], 416, &[FRESH], Some(Reason::StatusNeverStored)),
        (&[], 412, &[FRESH], Some(Reason::StatusNeverStored)),
        (&[], 600, &[FRESH], Some(Reason::StatusNeverStored)),
        (&[], 999, &[FRESH], Some(Reason::StatusNeverStored)),
        (&[], 200, &[FRESH, "Surrogate-Control: no-store"], Some(Reason::SurrogateNoStore)),
        (&[], 200, &[FRESH, "Surrogate-Control: private"], Some(Reason::SurrogatePrivate)),
        (&[], 200, &[FRESH, "Surrogate-Control: no-cache"], Some(Reason::SurrogateNoCache)),
        (&[], 200, &[FRESH, "Surrogate-Control: no-store;far"], None),
        (&[], 200, &[FRESH, "Edge-Control: no-store"], Some(Reason::EdgeNoStore)),
        (&[], 200, &[FRESH, "X-Accel-Expires: off"], Some(Reason::AccelOff)),
        (&[], 200, &["CDN-Cache-Control: max-age=60", "X-Accel-Expires: 0"], Some(Reason::AccelOff)),
        (&[], 200, &["Surrogate-Control: max-age=60", "Cache-Control: private"], Some(Reason::Private)),
        (&[], 200, &["X-Accel-Expires: 60", "Cache-Control: no-store"], Some(Reason::NoStore)),
        (&[], 301, &[FRESH, "Location: ?q=1"], Some(Reason::RedirectToItself)),
        (&[], 302, &[FRESH, "Location: https://h.example/a/b?q=1#x"], Some(Reason::RedirectToItself)),
        (&[], 302, &[FRESH, "Location: /a/b"], None),
        (&[], 200, &[FRESH, "Location: ?q=1"], None),
        (&["Authorization: x"], 200, &[FRESH], Some(Reason::Authorization)),
        (&["Authorization: x"], 200, &["Cache-Control: max-age=60, public"], None),
        (&["Authorization: x"], 200, &["Cache-Control: s-maxage=60"], None),
        (&["Authorization: x"], 200, &["Cache-Control: max-age=60, must-revalidate"], None),
        (&["Authorization: x"], 200, &["Cache-Control: max-age=60, proxy-revalidate"], Some(Reason::Authorization)),
        (&[], 403, &["ETag: \"1\""], Some(Reason::StatusWithoutFreshness)),
        (&[], 302, &["Location: /x"], Some(Reason::StatusWithoutFreshness)),
        (&[], 302, &[FRESH], None),
        (&[], 200, &["Cache-Control: max-age=0"], Some(Reason::NeverReusable)),
        (&[], 200, &["Cache-Control: max-age=60", "Age: 60"], Some(Reason::LifetimeUsedUp)),
        (&[], 200, &["Cache-Control: max-age=0, stale-while-revalidate=9"], None),
        (&[], 200, &["Cache-Control: max-age=0", "ETag: \"1\""], None),
        (&[], 200, &["Cache-Control: max-age=60, no-cache"], Some(Reason::NoCache)),
        (&[], 200, &["Cache-Control: no-cache", "ETag: \"1\""], None),
        (&[], 200, &[FRESH, "Vary: *"], Some(Reason::VaryStar)),
        (&[], 200, &[FRESH, "Vary: ", "Vary: a, *"], Some(Reason::VaryStar)),
        (&[], 200, &[FRESH, "Vary: a b"], Some(Reason::VaryStar)),
        (&[], 200, &[FRESH, "Vary: a,b,c,d,e,f,g,h,a"], None),
        (&[], 200, &[FRESH, "Vary: a,b,c,d,e,f,g,h,i"], Some(Reason::VaryTooLong)),
    ] {
        for options in [strict(), usual()] {
            assert_eq!(verdict(asked, status, answer, &options), expected, "{asked:?} {status} {answer:?}");
        }
    }
}

#[test]
fn unless_strict_personal_answers_and_errors_are_kept_out() {
    for (asked, status, answer, usually, strictly) in [
        (&[][..], 200, &["Cache-Control: max-age=60", "Set-Cookie: a=b"][..], Some(Reason::SetCookie), None),
        (&[], 200, &["Cache-Control: public, max-age=60", "Set-Cookie: a=b"], None, None),
        (&[], 200, &["Cache-Control: s-maxage=60", "Set-Cookie: a=b"], None, None),
        (&[], 200, &["Cache-Control: public", "ETag: \"1\"", "Set-Cookie: a=b"], Some(Reason::SetCookie), None),
        (&["Cookie: a=b"], 200, &["Cache-Control: max-age=60"], None, None),
        (&["Cookie: a=b"], 200, &["ETag: \"1\""], Some(Reason::CookieWithoutFreshness), None),
        (&[], 200, &[], None, Some(Reason::NeverReusable)),
        (&[], 501, &["ETag: \"1\""], Some(Reason::OneRequestsError), None),
        (&[], 405, &["ETag: \"1\""], None, None),
        (&[], 300, &["ETag: \"1\""], Some(Reason::StatusWithoutFreshness), None),
        (&[], 503, &["Cache-Control: max-age=60"], None, None),
        (&[], 503, &["Cache-Control: max-age=0", "ETag: \"1\""], Some(Reason::StatusWithoutFreshness), None),
    ] {
        let verdicts = (verdict(asked, status, answer, &usual()), verdict(asked, status, answer, &strict()));
        assert_eq!(verdicts, (usually, strictly), "{asked:?} {status} {answer:?}");
    }
    let ignoring = Options { ignore_cookies: true, ..usual() };
    let head = storing(&get(&["Cookie: a=b"]), &response(200, &[]), times(T0), &ignoring).unwrap();
    assert!(!head.credentials);
}

#[test]
fn fields_that_must_not_be_stored_are_gone() {
    let lines = &[
        "Cache-Control: public, max-age=60, no-cache=\"a, b\", private=c",
        "Set-Cookie: x=y",
        "A: 1",
        "B: 2",
        "C: 3",
        "D: 4",
    ];
    let left = |options: &Options| {
        let head = stored(lines, options).head;
        head.fields.iter().map(|(name, _)| name.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(left(&usual()), ["cache-control", "d", "date"]);
    assert_eq!(left(&strict()), ["cache-control", "set-cookie", "d", "date"]);
}

#[test]
fn partial_content_is_stored_as_a_part_or_not_at_all() {
    let part = |lines: &[&str], options: &Options| {
        let lines: Vec<&str> = lines.iter().copied().chain(["Cache-Control: max-age=60"]).collect();
        stored_as(206, &lines, options).map(|head| {
            assert!(!head.head.fields.contains(&http::header::CONTENT_RANGE));
            (head.head.status.as_u16(), head.part)
        })
    };
    let four_to_nine = Some(Part { first: 4, last: 9, complete: Some(10) });
    assert_eq!(part(&["Content-Range: bytes 4-9/10", "Content-Length: 6"], &usual()), Ok((200, four_to_nine)));
    assert_eq!(part(&["Content-Range: bytes 0-9/10"], &usual()), Ok((200, None)));
    assert_eq!(part(&["Content-Range: bytes 4-9/10", "Content-Length: 5"], &usual()), Err(Reason::PartLength));
    assert_eq!(part(&["Content-Range: bytes 4-9/10", "Content-Length: 5"], &strict()), Ok((200, four_to_nine)));
    for lines in [&["Content-Type: multipart/byteranges; boundary=x"][..], &["Content-Range: bytes */10"]] {
        assert_eq!(part(lines, &strict()), Err(Reason::PartUnknown));
    }
    let whole = stored(&["Content-Range: odd", "Cache-Control: max-age=60"], &usual());
    assert!(whole.part.is_none() && whole.head.fields.contains(&http::header::CONTENT_RANGE));
}

#[test]
fn methods_other_than_get_and_query_are_not_stored_but_for_what_post_says_of_its_target() {
    let fresh = &["Cache-Control: max-age=60", "Content-Location: /a/b?q=1"];
    let verdict = |method: &str, lines: &[&str]| {
        storing(&request(method, &[]), &response(200, lines), times(T0), &usual()).map(|head| head.line.to_string())
    };
    assert_eq!(verdict("GET", fresh).unwrap(), "GET http://h.example/a/b?q=1");
    assert_eq!(verdict("QUERY", fresh).unwrap(), "QUERY http://h.example/a/b?q=1");
    assert_eq!(verdict("POST", fresh).unwrap(), "GET http://h.example/a/b?q=1");
    assert_eq!(
        verdict("POST", &[fresh[0], "Content-Location: http://H.example:80/a/b?q=1"]).unwrap(),
        "GET http://h.example/a/b?q=1"
    );
    for lines in
        [&fresh[1..], &[fresh[0], "Content-Location: /a/c"], &[fresh[0], "Content-Location: http://o.example/a/b?q=1"]]
    {
        assert_eq!(verdict("POST", lines), Err(Reason::PostNotForGet), "{lines:?}");
    }
    for status in [201, 202, 203, 204, 206, 303, 400, 404, 410, 500] {
        let verdict = storing(&request("POST", &[]), &response(status, fresh), times(T0), &strict()).err();
        assert_eq!(verdict, Some(Reason::PostNotForGet), "{status}");
    }
    assert_eq!(verdict("POST", &fresh[..1]), Err(Reason::UnsafeMethod));
    for method in ["PUT", "DELETE", "M-SEARCH"] {
        assert_eq!(verdict(method, fresh), Err(Reason::UnsafeMethod), "{method}");
    }
    assert_eq!(verdict("HEAD", fresh), Err(Reason::HeadRequest));
    for method in ["OPTIONS", "TRACE"] {
        assert_eq!(verdict(method, fresh), Err(Reason::MethodNotCached), "{method}");
    }
}

#[test]
fn a_stream_is_stored_only_with_a_lifetime_of_its_own() {
    for (kind, expected) in [
        ("text/event-stream", Some(Reason::Stream)),
        ("Text/Event-Stream; charset=utf-8", Some(Reason::Stream)),
        ("multipart/x-mixed-replace;boundary=x", Some(Reason::Stream)),
        ("multipart/x-mixed-replace ; boundary=x", Some(Reason::Stream)),
        ("application/x-ndjson", Some(Reason::Stream)),
        ("application/grpc", Some(Reason::Stream)),
        ("application/grpc-web+proto", Some(Reason::Stream)),
        ("text/event-streams", None),
        ("multipart/mixed", None),
        ("application/json", None),
        ("text/plain; x=text/event-stream", None),
    ] {
        let kind = format!("Content-Type: {kind}");
        let modified = format!("Last-Modified: {}", when(-9000));
        for options in [usual(), strict()] {
            for without in ["ETag: \"1\"", &modified] {
                assert_eq!(verdict(&[], 200, &[&kind, without], &options), expected, "{kind} {without}");
            }
            let public = ["Cache-Control: public", "ETag: \"1\"", &kind];
            assert_eq!(verdict(&[], 200, &public, &options), expected, "{kind}");
            assert_eq!(verdict(&[], 200, &[&kind, "Cache-Control: max-age=60"], &options), None, "{kind}");
        }
    }
}

#[test]
fn an_answer_to_a_key_is_stored_only_with_a_lifetime_of_its_own_unless_strict() {
    let modified = &*format!("Last-Modified: {}", when(-9000));
    for asked in ["X-Api-Key: a", "Private-Token: a", "X-Remote-User: a", "Ocp-Apim-Subscription-Key: a"] {
        for (answer, expected) in [
            (&["ETag: \"1\""][..], Some(Reason::KeyWithoutFreshness)),
            (&[modified], Some(Reason::KeyWithoutFreshness)),
            (&["Cache-Control: public", modified], Some(Reason::KeyWithoutFreshness)),
            (&["Cache-Control: max-age=60"], None),
            (&["Expires: Thu, 01 Jan 2037 00:00:00 GMT"], None),
        ] {
            let verdicts = (verdict(&[asked], 200, answer, &usual()), verdict(&[asked], 200, answer, &strict()));
            assert_eq!(verdicts, (expected, None), "{asked} {answer:?}");
        }
    }
    let ignoring = Options { ignore_cookies: true, ..usual() };
    assert_eq!(verdict(&["X-Api-Key: a"], 200, &[], &ignoring), Some(Reason::KeyWithoutFreshness));
    for harmless in ["Sec-Fetch-User: ?1", "User-Agent: x", "Accept-Language: de", "Idempotency-Key: 1"] {
        assert_eq!(verdict(&[harmless], 200, &[], &usual()), None, "{harmless}");
    }
}

#[test]
fn an_error_that_one_odd_request_provokes_is_nobody_elses_unless_strict() {
    for status in [400, 401, 407, 411, 413, 414, 415, 417, 421, 426, 428, 429, 431, 501] {
        for answer in ["Cache-Control: max-age=60", "Cache-Control: public, s-maxage=60"] {
            let verdicts = (verdict(&[], status, &[answer], &usual()), verdict(&[], status, &[answer], &strict()));
            assert_eq!(verdicts, (Some(Reason::OneRequestsError), None), "{status} {answer}");
        }
    }
    for status in [402, 403, 404, 405, 406, 408, 409, 410, 418, 422, 423, 425, 451, 500, 502] {
        assert_eq!(verdict(&[], status, &["Cache-Control: max-age=60"], &usual()), None, "{status}");
    }
}

#[test]
fn a_lifetime_that_is_over_on_arrival_is_called_so() {
    let (date, expires) = (format!("Date: {}", when(-100)), format!("Expires: {}", when(-40)));
    for (answer, expected) in [
        (&["Cache-Control: max-age=60", "Age: 60"][..], Reason::LifetimeUsedUp),
        (&["Cache-Control: max-age=60", "Age: 600"], Reason::LifetimeUsedUp),
        (&["Cache-Control: max-age=60", &date], Reason::LifetimeUsedUp),
        (&[&date, &expires], Reason::LifetimeUsedUp),
        (&["Cache-Control: max-age=0"], Reason::NeverReusable),
        (&["Cache-Control: max-age=0", "Age: 9"], Reason::NeverReusable),
        (&["Expires: 0"], Reason::NeverReusable),
    ] {
        for options in [usual(), strict()] {
            assert_eq!(verdict(&[], 200, answer, &options), Some(expected), "{answer:?}");
        }
    }
    assert_eq!(verdict(&[], 200, &["Cache-Control: max-age=60", "Age: 60", "ETag: \"1\""], &usual()), None);
}

/// Returns the statuses that stand in the README between these words: `400, 401 and 411 to 417`.
fn in_the_readme(before: &str, behind: &str) -> Vec<u16> {
    let readme = include_str!("../../../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, rest) = readme.split_once(before).unwrap();
    let (list, _) = rest.split_once(behind).unwrap();
    let ranges = list.replace(" and ", ", ");
    let statuses = ranges.split(", ").flat_map(|item| {
        let (first, last) = item.split_once(" to ").unwrap_or((item, item));
        first.trim().parse().unwrap()..=last.trim().parse().unwrap()
    });
    statuses.collect()
}

#[test]
fn the_readme_names_the_statuses_that_have_a_lifetime_and_those_that_are_never_stored() {
    let all = |is_one: &dyn Fn(u16) -> bool| (200..600).filter(|status| is_one(*status)).collect::<Vec<u16>>();
    let by = |status, lines: &[&str]| stored_as(status, lines, &usual()).map(|head| usable_for(&head, &usual()).1);
    let never = |status: u16| {
        let verdict = by(status, &["Cache-Control: max-age=60"]);
        status >= 400 && matches!(verdict, Err(Reason::OneRequestsError | Reason::StatusNeverStored))
    };
    assert_eq!(all(&never), in_the_readme("(except with `--strict`): ", ". - **Set-Cookie"));
    let part = ["Content-Range: bytes 0-4/10"];
    let invented = |reason| move |status| by(status, if status == 206 { &part } else { &[] }) == Ok(reason);
    assert_eq!(all(&invented(Reason::DefaultTtl)), in_the_readme("This holds for ", ". For 301"));
    assert_eq!(all(&invented(Reason::NegativeTtl)), in_the_readme("203, 204 and 206. For ", " the TTL is one second"));
}

#[test]
fn what_a_slow_origin_sends_too_late_is_stored_to_stand_in_while_the_origin_fails() {
    let slow = Times { request: T0, response: T0.plus(Seconds(2)), ..times(T0) };
    let stored = |status, lines: &[&str], options: &Options| {
        storing(&request("GET", &[]), &response(status, lines), slow, options).map(|head| head.initial_age)
    };
    let stand_in = Options { stale_if_error: Seconds(60), ..usual() };
    assert_eq!(stored(200, &["Cache-Control: max-age=1"], &stand_in), Ok(Seconds(2)));
    for (status, lines, options) in [
        (200, &["Cache-Control: max-age=1"][..], &Options { stale_if_error: Seconds(0), ..usual() }),
        (200, &["Cache-Control: max-age=1"], &Options { strict: true, ..stand_in.clone() }),
        (200, &["Cache-Control: max-age=1, must-revalidate"], &stand_in),
        (200, &["Cache-Control: s-maxage=1"], &stand_in),
        (404, &["Cache-Control: max-age=1"], &stand_in),
        // it was over before the origin was asked
        (200, &["Cache-Control: max-age=60", "Age: 60"], &stand_in),
    ] {
        assert_eq!(stored(status, lines, options), Err(Reason::LifetimeUsedUp), "{lines:?}");
    }
    assert_eq!(stored(200, &["Cache-Control: max-age=0"], &stand_in), Err(Reason::NeverReusable));
}
