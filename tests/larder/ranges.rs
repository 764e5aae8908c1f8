//! Ranges: from a stored whole, from stored parts, completed and combined.

use crate::support::{End, Origin, Proxy, RecordedRequest, Response, Step, respond};

const BODY: &str = "0123456789abcdef";
const FRESH: &str = "Cache-Control: max-age=600";
const TAG: &str = "ETag: \"v\"";

/// Knows ranges of the form `first-last` and `first-`, and If-Range by its entity tag.
fn ranging() -> Origin {
    Origin::answering(answer)
}

fn answer(request: &RecordedRequest) -> Vec<Step> {
    let range = request.field("Range").filter(|_| request.field("If-Range").is_none_or(|tag| tag == "\"v\""));
    let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return respond(200, &[FRESH, TAG], BODY);
    };
    let first: usize = first.parse().unwrap();
    let last = last.parse().unwrap_or(BODY.len() - 1).min(BODY.len() - 1);
    let content_range = format!("Content-Range: bytes {first}-{last}/{}", BODY.len());
    respond(206, &[FRESH, TAG, &content_range], &BODY[first..=last])
}

fn ask(proxy: &Proxy, range: &str) -> Response {
    proxy.client().ask("GET", "/", &[&format!("Range: {range}")])
}

/// The ranges that the origin was asked for.
fn asked(origin: &Origin) -> Vec<Option<String>> {
    origin.requests().iter().map(|request| request.field("Range").map(str::to_owned)).collect()
}

/// A 206 with these bytes of the body.
fn assert_part(answer: &Response, word: &str, first: usize, last: usize) {
    let content_range = format!("bytes {first}-{last}/{}", BODY.len());
    assert_eq!((answer.status, answer.x_cache(), answer.text().as_str()), (206, word, &BODY[first..=last]));
    assert_eq!((answer.values("Content-Range"), answer.end), (vec![content_range.as_str()], End::Whole));
    assert_eq!(answer.values("Content-Length"), [(last - first + 1).to_string()]);
}

#[test]
fn a_stored_whole_answers_single_ranges() {
    let origin = ranging();
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=2-5", 2, 5),
        ("bytes=10-", 10, 15),
        ("bytes=15-", 15, 15),
        ("bytes=-1", 15, 15),
        ("bytes=-4", 12, 15),
        ("bytes=-999", 0, 15),
        ("bytes=4-999", 4, 15),
        ("bytes=4-18446744073709551615", 4, 15),
        ("BYTES=1-2", 1, 2),
        ("bytes=1-2,99-", 1, 2),
    ] {
        assert_part(&ask(&proxy, range), "HIT", first, last);
    }
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn what_is_no_range_or_too_much_of_it_gets_the_whole() {
    let origin = ranging();
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    let thousand = format!("bytes={}", vec!["0-0"; 1000].join(","));
    let many = "bytes=8-8,7-7,6-6,5-5,4-4,3-3,2-2,1-1,0-0";
    for range in [
        "bytes=9-1",
        "bytes=",
        "bytes",
        "bytes=-",
        "bytes=a-b",
        "bytes=1-2,x",
        "bytes=--1",
        "bytes=0-0,0-0",
        "bytes=0-5,3-9",
        "bytes=-5,14-",
        many,
        &thousand,
    ] {
        let answer = ask(&proxy, range);
        assert_eq!((answer.status, answer.x_cache(), answer.text().as_str()), (200, "HIT", BODY), "{range}");
        assert_eq!(answer.field("Content-Range"), None);
    }
    let twice = proxy.client().ask("GET", "/", &["Range: bytes=0-0", "Range: bytes=1-1"]);
    assert_eq!((twice.status, origin.request_count()), (200, 1));
}

#[test]
fn a_range_beyond_the_end_is_a_416_that_tells_the_length() {
    let origin = ranging();
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    for range in ["bytes=16-", "bytes=99-100", "bytes=-0", "bytes=18446744073709551615-", "bytes=16-,20-30"] {
        let answer = ask(&proxy, range);
        assert_eq!(
            (answer.status, answer.field("Content-Range"), answer.text().as_str()),
            (416, Some("bytes */16"), "")
        );
    }
}

#[test]
fn a_416_made_from_what_is_stored_says_nothing_that_would_let_it_be_stored() {
    let cors = "Access-Control-Allow-Origin: *";
    let fields = ["Cache-Control: public, max-age=600", TAG, "Expires: Fri, 01 Jan 2027 00:00:00 GMT", cors, "X-A: b"];
    let origin = Origin::always(respond(200, &fields, BODY));
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    let answer = ask(&proxy, "bytes=99-");
    assert_eq!((answer.status, answer.x_cache(), answer.values("Cache-Control")), (416, "HIT", vec!["no-store"]));
    assert_eq!((answer.field("ETag"), answer.field("Expires"), answer.field("X-A")), (None, None, None));
    // a page of another site may still read what went wrong
    assert_eq!((answer.field("Access-Control-Allow-Origin"), answer.field("Date").is_some()), (Some("*"), true));
}

#[test]
fn digests_of_the_content_of_the_whole_are_not_sent_with_a_part() {
    let fields = [FRESH, TAG, "Content-Digest: sha-256=:AA==:", "Content-MD5: AA==", "Repr-Digest: sha-256=:AA==:"];
    let origin = Origin::always(respond(200, &fields, BODY));
    let proxy = Proxy::start(&origin, &[]);
    let digests =
        |answer: &Response| ["Content-Digest", "Content-MD5", "Repr-Digest"].map(|name| answer.field(name).is_some());
    for range in ["bytes=0-1", "bytes=2-3", "bytes=0-1,4-5"] {
        let answer = ask(&proxy, range);
        assert_eq!((answer.status, digests(&answer)), (206, [false, false, true]), "{range}");
    }
    assert_eq!(digests(&proxy.get("/")), [true, true, true]);
}

#[test]
fn stored_content_cannot_foresee_what_separates_the_parts_of_an_answer() {
    let origin = ranging();
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    let boundary = || ask(&proxy, "bytes=0-1,4-5").field("Content-Type").unwrap().to_owned();
    let (one, another) = (boundary(), boundary());
    assert_ne!(one, another);
    let random = one.rsplit('=').next().unwrap().trim_start_matches("larder-");
    assert!(random.len() == 32 && random.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
}

#[test]
fn several_ranges_are_one_answer_in_parts() {
    let origin = Origin::always(respond(200, &[FRESH, "Content-Type: text/x"], BODY));
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    let answer = ask(&proxy, "bytes=0-1, 8-9,-2");
    assert_eq!((answer.status, answer.x_cache(), answer.end), (206, "HIT", End::Whole));
    let boundary = answer.field("Content-Type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str, bytes: &str| {
        format!("\r\n--{boundary}\r\nContent-Type: text/x\r\nContent-Range: bytes {range}/16\r\n\r\n{bytes}")
    };
    let expected = format!("{}{}{}\r\n--{boundary}--\r\n", part("0-1", "01"), part("8-9", "89"), part("14-15", "ef"));
    assert_eq!(answer.text(), expected);
    assert_eq!(
        (answer.field("Content-Range"), answer.field("Content-Length").unwrap()),
        (None, expected.len().to_string().as_str())
    );
}

#[test]
fn if_range_decides_between_the_part_and_the_whole() {
    let origin = Origin::always(respond(
        200,
        &[FRESH, TAG, "Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT", "Date: Thu, 01 Jan 2026 00:00:00 GMT"],
        BODY,
    ));
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    for (if_range, status) in [
        ("\"v\"", 206),
        ("W/\"v\"", 200),
        ("\"w\"", 200),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 206),
        ("Wed, 31 Dec 2025 00:00:01 GMT", 200),
        ("yesterday", 200),
    ] {
        let answer = proxy.client().ask("GET", "/", &["Range: bytes=1-2", &format!("If-Range: {if_range}")]);
        assert_eq!((answer.status, answer.x_cache()), (status, "HIT"), "{if_range}");
    }
}

#[test]
fn a_range_does_not_apply_to_head_nor_to_other_statuses() {
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/gone" => respond(404, &[FRESH], BODY),
        _ => respond(200, &[FRESH], BODY),
    });
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.get("/gone");
    let head = proxy.client().ask("HEAD", "/", &["Range: bytes=1-2"]);
    assert_eq!((head.status, head.x_cache(), head.field("Content-Length")), (200, "HIT", Some("16")));
    let gone = proxy.client().ask("GET", "/gone", &["Range: bytes=1-2"]);
    assert_eq!((gone.status, gone.x_cache(), gone.text().as_str()), (404, "HIT", BODY));
}

#[test]
fn a_representation_without_a_byte_has_no_satisfiable_range() {
    let origin = Origin::always(respond(200, &[FRESH], ""));
    let proxy = Proxy::start(&origin, &[]);
    for word in ["MISS", "HIT"] {
        let whole = proxy.get("/");
        assert_eq!((whole.status, whole.x_cache(), whole.values("Content-Length")), (200, word, vec!["0"]));
    }
    for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
        let answer = ask(&proxy, range);
        assert_eq!((answer.status, answer.field("Content-Range")), (416, Some("bytes */0")), "{range}");
    }
}

#[test]
fn a_range_on_a_miss_is_stored_as_a_part_and_never_as_the_whole() {
    let origin = ranging();
    let proxy = Proxy::start(&origin, &[]);
    assert_part(&ask(&proxy, "bytes=4-9"), "MISS", 4, 9);
    assert_part(&ask(&proxy, "bytes=4-9"), "HIT", 4, 9);
    assert_part(&ask(&proxy, "bytes=5-6"), "HIT", 5, 6);
    assert_eq!(asked(&origin), [Some("bytes=4-9".to_owned())]);
    let whole = proxy.get("/");
    assert_eq!((whole.status, whole.text().as_str(), whole.field("Content-Range")), (200, BODY, None));
    let again = proxy.get("/");
    assert_eq!((again.status, again.x_cache(), again.text().as_str()), (200, "HIT", BODY));
}

#[test]
fn a_stored_beginning_is_completed_by_asking_for_the_rest() {
    let origin = ranging();
    let proxy = Proxy::start(&origin, &[]);
    assert_part(&ask(&proxy, "bytes=0-3"), "MISS", 0, 3);
    let whole = proxy.get("/");
    assert_eq!((whole.status, whole.text().as_str(), whole.end), (200, BODY, End::Whole));
    assert!(whole.cache_status().contains("fwd=partial"), "{}", whole.cache_status());
    let requests = origin.requests();
    assert_eq!((requests[1].field("Range"), requests[1].field("If-Range")), (Some("bytes=4-"), Some("\"v\"")));
    let again = proxy.get("/");
    assert_eq!((again.x_cache(), again.text().as_str(), again.field("Content-Length")), ("HIT", BODY, Some("16")));
    assert_part(&ask(&proxy, "bytes=2-9"), "HIT", 2, 9);
    assert_eq!(origin.request_count(), 2);
}

#[test]
fn parts_that_adjoin_are_combined_from_either_side() {
    for (first, second, missing) in
        [("4-7", "4-11", "8-11"), ("4-7", "0-7", "0-3"), ("4-7", "8-11", "8-11"), ("4-7", "2-5", "2-3")]
    {
        let origin = ranging();
        let proxy = Proxy::start(&origin, &[]);
        ask(&proxy, &format!("bytes={first}"));
        let answer = ask(&proxy, &format!("bytes={second}"));
        let (from, to) = second.split_once('-').unwrap();
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        assert_eq!((answer.status, answer.text().as_str()), (206, &BODY[from..=to]), "{first} {second}");
        assert_eq!(asked(&origin)[1], Some(format!("bytes={missing}")), "{first} {second}");
        // what the two hold together is there now
        let lowest = from.min(4);
        assert_part(&ask(&proxy, &format!("bytes={lowest}-7")), "HIT", lowest, 7);
    }
}

#[test]
fn a_part_of_another_version_is_never_combined() {
    let origin = Origin::answering(|request| match (request.index, request.field("Range")) {
        (0, _) => respond(206, &[FRESH, "ETag: \"old\"", "Content-Range: bytes 0-3/16"], "OLD!"),
        (_, Some("bytes=4-")) if request.field("If-Range").is_none() => {
            respond(206, &[FRESH, "ETag: \"new\"", "Content-Range: bytes 4-15/16"], &BODY[4..])
        }
        _ => respond(200, &[FRESH, "ETag: \"new\""], BODY),
    });
    let proxy = Proxy::start(&origin, &[]);
    assert_eq!(ask(&proxy, "bytes=0-3").text(), "OLD!");
    for word in ["MISS", "HIT"] {
        let whole = proxy.get("/");
        assert_eq!((whole.status, whole.text().as_str(), whole.x_cache()), (200, BODY, word));
    }
}

#[test]
fn a_part_without_a_strong_validator_is_not_completed_but_fetched_anew() {
    for weak in ["ETag: W/\"v\"", "X-No: validator"] {
        let origin = Origin::answering(move |request| match request.field("Range") {
            Some(_) => respond(206, &[FRESH, weak, "Content-Range: bytes 0-3/16"], "0123"),
            None => respond(200, &[FRESH, weak], BODY),
        });
        let proxy = Proxy::start(&origin, &[]);
        ask(&proxy, "bytes=0-3");
        let whole = proxy.get("/");
        assert_eq!((whole.status, whole.text().as_str()), (200, BODY), "{weak}");
        assert_eq!(asked(&origin)[1], None, "{weak}");
    }
}

#[test]
fn a_200_to_a_range_is_stored_whole_and_the_part_is_cut_from_it() {
    let origin = Origin::always(respond(200, &[FRESH], BODY));
    let proxy = Proxy::start(&origin, &[]);
    assert_part(&ask(&proxy, "bytes=2-3"), "MISS", 2, 3);
    let whole = proxy.get("/");
    assert_eq!((whole.status, whole.x_cache(), whole.text().as_str()), (200, "HIT", BODY));
}

#[test]
fn a_206_that_does_not_say_which_part_it_is_is_not_stored() {
    for content_range in ["", "bytes 4-9", "bytes 9-4/16", "items 4-9/16", "bytes 4-9/8", "bytes 4-8/16"] {
        let line = format!("Content-Range: {content_range}");
        let origin = Origin::answering(move |request| match request.field("Range") {
            Some(_) if content_range.is_empty() => respond(206, &[FRESH], "456789"),
            Some(_) => respond(206, &[FRESH, &line], "456789"),
            None => respond(200, &[FRESH], BODY),
        });
        let proxy = Proxy::start(&origin, &[]);
        for _ in 0..2 {
            assert_eq!(ask(&proxy, "bytes=4-9").x_cache(), "MISS", "{content_range}");
        }
        assert_eq!(proxy.get("/").text(), BODY, "{content_range}");
    }
}

#[test]
fn a_part_that_is_validated_into_another_version_is_never_sent_as_the_whole() {
    const OLD: &str = "Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT";
    let origin = Origin::answering(|request| match (request.field("If-None-Match"), request.field("Range")) {
        (Some(_), _) => respond(304, &[FRESH, "ETag: \"v\"", "Last-Modified: Wed, 31 Dec 2025 12:00:00 GMT"], ""),
        (None, Some("bytes=0-4")) if request.index == 0 => {
            respond(206, &["Cache-Control: max-age=1", "ETag: \"v\"", OLD, "Content-Range: bytes 0-4/16"], &BODY[..5])
        }
        _ => respond(200, &[FRESH, "ETag: \"v\"", "Last-Modified: Wed, 31 Dec 2025 12:00:00 GMT"], BODY),
    });
    let proxy = Proxy::start(&origin, &[]);
    ask(&proxy, "bytes=0-4");
    proxy.advance(2);
    let since = OLD.replace("Last-Modified", "If-Range");
    let answer = proxy.client().ask("GET", "/", &["Range: bytes=0-4", &since]);
    assert_eq!((answer.status, answer.text().as_str()), (200, BODY));
}

/// 206 with this Content-Range and a chunked body of fewer bytes.
fn short_part(content_range: &str, body: &str) -> Vec<Step> {
    let head = format!(
        "HTTP/1.1 206 P\r\n{FRESH}\r\nETag: \"v\"\r\nContent-Range: {content_range}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    vec![Step::Send(format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes())]
}

#[test]
fn a_part_with_fewer_bytes_than_its_content_range_is_broken_off_and_not_stored() {
    for flags in [&[][..], &["--strict"]] {
        for content_range in ["bytes 0-9/10", "bytes 0-9/20", "bytes 5-9/10"] {
            let origin = Origin::answering(move |request| match request.field("Range") {
                Some("bytes=0-4") => respond(206, &[FRESH, "ETag: \"v\"", "Content-Range: bytes 0-4/10"], "01234"),
                Some(_) => short_part(content_range, "567"),
                None => respond(200, &[FRESH, "ETag: \"v\""], "0123456789"),
            });
            let proxy = Proxy::start(&origin, flags);
            if content_range.starts_with("bytes 5") {
                ask(&proxy, "bytes=0-4");
                assert_eq!(proxy.get("/").end, End::Cut, "{content_range} {flags:?}");
            } else {
                assert_eq!(ask(&proxy, "bytes=0-9").end, End::Cut, "{content_range} {flags:?}");
                assert_eq!(ask(&proxy, "bytes=0-9").end, End::Cut, "{content_range} {flags:?}");
                assert_eq!(proxy.get("/").text(), "0123456789", "{content_range} {flags:?}");
            }
        }
    }
}

#[test]
fn a_part_with_more_bytes_than_its_content_range_is_broken_off_and_not_stored() {
    let origin = Origin::answering(|request| match request.field("Range") {
        Some(_) => short_part("bytes 0-4/10", "xxxxxxxxxx"),
        None => respond(200, &[FRESH, "ETag: \"v\""], "0123456789"),
    });
    let proxy = Proxy::start(&origin, &[]);
    for _ in 0..2 {
        assert_eq!(ask(&proxy, "bytes=0-4").end, End::Cut);
    }
    assert_eq!(proxy.get("/").text(), "0123456789");
}

#[test]
fn ranges_in_descending_order_of_a_body_that_is_not_stored_are_answered_whole() {
    let body: Vec<u8> = (0..3 << 20).map(|n| (n % 251) as u8).collect();
    let whole = body.clone();
    let origin = Origin::answering(move |_| respond(200, &[FRESH], &whole));
    let proxy = Proxy::start(&origin, &["--max-object", "1MiB"]);
    let answer = ask(&proxy, "bytes=2000000-2000009,0-9");
    assert_eq!((answer.status, answer.end), (200, End::Whole));
    assert!(answer.body == body);
}
