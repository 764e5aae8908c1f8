//! `--strict` is the RFC to the letter, also where the conformance suite asks for something else.

use crate::{
    hosts::{ask, told},
    support::{Origin, Proxy, Step, respond},
};

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

#[test]
fn w41_a_stale_response_stands_in_for_an_origin_that_is_gone_only_where_that_was_said() {
    for (control, asked, status) in [
        ("max-age=10", &[][..], 502),
        ("max-age=10, stale-if-error=60", &[], 200),
        ("max-age=10", &["Cache-Control: max-stale=60"], 200),
    ] {
        let control = format!("Cache-Control: {control}");
        let origin = Origin::answering(move |request| match request.index {
            0 => respond(200, &[&control], "good"),
            _ => vec![Step::Close],
        });
        let proxy = Proxy::start(&origin, &["--strict"]);
        proxy.get("/");
        proxy.advance(20);
        assert_eq!(proxy.client().ask("GET", "/", asked).status, status, "{:?} {asked:?}", origin.requests());
    }
}

#[test]
fn fields_that_rfc_9111_does_not_know_give_no_lifetime() {
    for said in ["Surrogate-Control: max-age=600", "X-Accel-Expires: 600"] {
        let origin = Origin::always(respond(200, &[said, "Cache-Control: max-age=10"], "x"));
        for (flags, later) in [(&[][..], "HIT"), (&["--strict"], "MISS")] {
            let proxy = Proxy::start(&origin, flags);
            assert_eq!((proxy.get("/").x_cache(), proxy.get("/").x_cache()), ("MISS", "HIT"), "{said}");
            proxy.advance(10);
            assert_eq!(proxy.get("/").x_cache(), later, "{said} {flags:?}");
        }
    }
}

#[test]
fn hosts_limits_ranges_and_reasons_are_as_without_it() {
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/large" => respond(200, &["Cache-Control: max-age=600"], "x".repeat(2 << 20)),
        _ => respond(200, &["Cache-Control: max-age=600"], request.field("Host").unwrap_or("-")),
    });
    for flags in [&[][..], &["--strict"]] {
        let limits = ["--max-target", "256B", "--max-object", "1MiB"];
        let proxy = Proxy::start(&origin, &[&limits, flags].concat());
        // W20, W23, W25
        assert_eq!(ask(&proxy, "GET", "/", "shop.test", &[]).text(), "shop.test");
        let heard = origin.requests().pop().unwrap();
        assert_eq!(told(&heard)[..3], [Some("127.0.0.1"), Some("shop.test"), Some("http")]);
        assert_eq!(ask(&proxy, "GET", "http://other.test/", "other.test", &[]).status, 421);
        assert_eq!(ask(&proxy, "GET", "/\u{fc}", "shop.test", &[]).status, 200);
        assert_eq!(proxy.get(&format!("/{}", "x".repeat(256))).status, 414);
        // W32, W34, W50
        let ranges = (0..9).step_by(2).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(",");
        assert_eq!(ask(&proxy, "GET", "/", "shop.test", &[&format!("Range: bytes={ranges}")]).status, 206);
        let unit = ask(&proxy, "GET", "/", "shop.test", &["Range: items=0-1"]);
        assert_eq!(unit.detail(), "a range in a unit other than bytes is answered by the origin");
        assert_eq!(proxy.get("/large").detail(), "larger than --max-object");
    }
}
