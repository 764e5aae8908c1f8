//! `--strict` is the RFC to the letter, also where the conformance suite asks for something else.

use crate::support::{Origin, Proxy, Step, respond};

#[test]
fn without_last_modified_the_date_of_a_response_answers_if_modified_since() {
    let origin =
        Origin::always(respond(200, &["Cache-Control: max-age=600", "Date: Wed, 31 Dec 2025 23:59:00 GMT"], "x"));
    let proxy = Proxy::start(&origin, &["--strict"]);
    proxy.get("/");
    for (since, status) in [
        ("Wed, 31 Dec 2025 23:58:59 GMT", 200),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 304),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 304),
    ] {
        let answer = proxy.client().ask("GET", "/", &[&format!("If-Modified-Since: {since}")]);
        assert_eq!((answer.status, answer.x_cache()), (status, "HIT"), "{since}");
    }
}

#[test]
fn a_304_with_another_strong_tag_updates_nothing() {
    let origin = Origin::script(vec![
        respond(200, &["Cache-Control: max-age=10", "ETag: \"v\""], "old"),
        respond(304, &["ETag: \"w\"", "Cache-Control: max-age=600"], ""),
        respond(200, &["Cache-Control: max-age=600", "ETag: \"w\""], "new"),
    ]);
    let proxy = Proxy::start(&origin, &["--strict"]);
    proxy.get("/");
    proxy.advance(20);
    assert_eq!(proxy.get("/").text(), "new");
    assert_eq!((proxy.get("/").x_cache(), proxy.get("/").text().as_str(), origin.request_count()), ("HIT", "new", 3));
}

#[test]
fn bytes_in_a_transfer_coding_that_is_not_understood_are_not_the_content() {
    let coded =
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: gzip\r\n\r\n\x1f\x8bcoded".to_vec();
    let origin = Origin::always(vec![Step::Send(coded), Step::Close]);
    for flags in [&["--strict"][..], &[]] {
        let proxy = Proxy::start(&origin, flags);
        for _ in 0..2 {
            let answer = proxy.get("/");
            assert_eq!((answer.status, answer.x_cache()), (502, "MISS"), "{flags:?}");
            assert!(!answer.text().contains("coded"), "{flags:?}: {}", answer.text());
        }
    }
}
