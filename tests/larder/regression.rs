//! What once went wrong, so that it does not again: each test says what had found it.

use crate::support::{Origin, Proxy, Step, respond};

/// Found by the soak: the part that came was smaller than the one asked for (RFC 9110 §15.3.7 allows that), and what had
/// been put together was sent as the whole.
#[test]
fn a_stored_part_that_the_origin_does_not_complete_is_not_sent_as_the_whole() {
    let origin = Origin::answering(|request| {
        let part = |range: &str, body: &str| {
            respond(206, &["ETag: \"a\"", "Cache-Control: max-age=60", &format!("Content-Range: {range}")], body)
        };
        match request.field("Range") {
            Some("bytes=2-3") => part("bytes 2-3/10", "23"),
            Some("bytes=0-3") => part("bytes 0-3/10", "0123"),
            Some("bytes=4-" | "bytes=4-9") => part("bytes 4-6/10", "456"),
            Some("bytes=0-1") => part("bytes 1-1/10", "1"),
            _ => respond(200, &["ETag: \"a\"", "Cache-Control: max-age=60"], "0123456789"),
        }
    });
    for (first, then) in
        [("bytes=0-3", None), ("bytes=0-3", Some("Range: bytes=2-9")), ("bytes=2-3", Some("Range: bytes=0-3"))]
    {
        let proxy = Proxy::start(&origin, &[]);
        assert_eq!(proxy.client().ask("GET", "/", &[&format!("Range: {first}")]).status, 206);
        let response = proxy.client().ask("GET", "/", then.as_slice());
        let sent = (response.status, response.field("Content-Range").unwrap_or("-").to_owned(), response.text());
        match then {
            None => assert_eq!(sent, (200, "-".to_owned(), "0123456789".to_owned())),
            Some("Range: bytes=0-3") => assert_eq!(sent, (206, "bytes 0-3/10".to_owned(), "0123".to_owned())),
            _ => assert!(sent.2 == "0123456789" || sent.1 == "bytes 2-9/10" && sent.2 == "23456789", "{sent:?}"),
        }
    }
}

/// Found by the soak: the same where the stored part had to be validated first and the origin's 304 was about another
/// representation.
#[test]
fn a_part_that_does_not_answer_the_range_is_passed_on_as_the_part_that_it_is() {
    let origin = Origin::answering(|request| {
        let fields = |range| {
            ["ETag: \"a\"".to_owned(), "Cache-Control: max-age=9".to_owned(), format!("Content-Range: {range}")]
        };
        let part = |range, body: &str| respond(206, &fields(range).each_ref().map(String::as_str), body);
        match (request.field("If-None-Match"), request.field("Range")) {
            (Some(_), _) => respond(304, &["ETag: \"b\""], ""),
            (_, Some("bytes=0-3")) => part("bytes 0-3/10", "0123"),
            _ => part("bytes 4-6/10", "456"),
        }
    });
    let proxy = Proxy::start(&origin, &[]);
    assert_eq!(proxy.client().ask("GET", "/", &["Range: bytes=0-3"]).status, 206);
    proxy.advance(60);
    let response = proxy.client().ask("GET", "/", &["Range: bytes=0-9"]);
    let sent = (response.status, response.field("Content-Range"), response.text());
    assert_eq!(sent, (206, Some("bytes 4-6/10"), "456".to_owned()));
}

/// Found by the public suite: one test's closed connection let another's stale response stand in.
#[test]
fn one_connection_that_the_origin_closes_is_no_reason_not_to_ask_it_for_something_else() {
    let origin = Origin::answering(|request| match (request.target.as_str(), request.index) {
        ("/closes", _) => vec![Step::Close],
        (_, 0) => respond(200, &["Cache-Control: max-age=1", "ETag: \"v\""], "old"),
        _ => respond(200, &["Cache-Control: max-age=1"], "new"),
    });
    let proxy = Proxy::start(&origin, &["--strict"]);
    assert_eq!(proxy.get("/a").text(), "old");
    proxy.advance(5);
    assert_eq!(proxy.get("/closes").status, 502);
    assert_eq!(proxy.get("/a").text(), "new");
}
