//! When a stored response answers: freshness on a clock that the test moves, and what requests may ask for.

use crate::support::{Origin, Proxy, respond};

/// Numbers its answers.
fn counting(fields: &'static [&'static str]) -> Origin {
    Origin::answering(move |request| respond(200, fields, request.index.to_string()))
}

#[test]
fn a_response_is_fresh_until_its_lifetime_is_over() {
    for (fields, lifetime) in [
        (&["Cache-Control: max-age=10"][..], 10),
        (&["Cache-Control: max-age=10, s-maxage=20"], 20),
        (&["Cache-Control: max-age=10", "CDN-Cache-Control: max-age=30"], 30),
        (&["Cache-Control: max-age=10", "Age: 4"], 6),
        (&["Cache-Control: max-age=10", "Expires: Thu, 01 Jan 2026 10:00:00 GMT"], 10),
        (&["Expires: Thu, 01 Jan 2026 00:01:00 GMT"], 60),
        (&["Date: Wed, 31 Dec 2025 23:59:30 GMT", "Expires: Thu, 01 Jan 2026 00:01:00 GMT"], 60),
        (&["Date: Wed, 31 Dec 2025 23:59:30 GMT", "Cache-Control: max-age=60"], 30),
        (&["Cache-Control: max-age=10, max-age=20"], 10),
        (&["Cache-Control: max-age=\"10\""], 10),
        (&["Cache-Control: max-age=10, immutable"], 10),
    ] {
        let origin = counting(fields);
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        proxy.advance(lifetime - 1);
        let hit = proxy.get("/");
        assert_eq!((hit.x_cache(), hit.text().as_str()), ("HIT", "0"), "{fields:?}");
        assert!(hit.cache_status().contains("; ttl=1;"), "{fields:?}: {}", hit.cache_status());
        proxy.advance(1);
        let miss = proxy.get("/");
        assert_eq!((miss.x_cache(), miss.text().as_str()), ("MISS", "1"), "{fields:?}");
    }
}

#[test]
fn age_counts_from_when_the_origin_made_the_response() {
    let origin = counting(&["Cache-Control: max-age=600", "Date: Wed, 31 Dec 2025 23:59:50 GMT", "Age: 3"]);
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    for (advance, age) in [(0, "10"), (5, "15"), (60, "75")] {
        proxy.advance(advance);
        assert_eq!(proxy.get("/").field("Age"), Some(age));
    }
}

#[test]
fn a_huge_lifetime_does_not_overflow() {
    for value in ["2147483648", "99999999999999999999", "9223372036854775807"] {
        let control = format!("Cache-Control: max-age={value}");
        let origin = Origin::always(respond(200, &[&control], "x"));
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        proxy.advance(50 * 365 * 24 * 3600);
        assert_eq!(proxy.get("/").x_cache(), "HIT", "{value}");
    }
}

#[test]
fn by_default_a_reload_does_not_reach_the_origin_and_the_answer_says_so() {
    let origin = counting(&["Cache-Control: max-age=600", "ETag: \"v\""]);
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    for asked in
        ["Cache-Control: no-cache", "Cache-Control: max-age=0", "Cache-Control: min-fresh=6000", "Pragma: no-cache"]
    {
        let answer = proxy.client().ask("GET", "/", &[asked]);
        assert_eq!((answer.x_cache(), answer.text().as_str()), ("HIT", "0"), "{asked}");
        if asked.starts_with("Cache") {
            assert_eq!(answer.detail(), "fresh; the request's directives are ignored (see --client-reload)", "{asked}");
        }
    }
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn with_client_reload_or_strict_the_requests_directives_are_followed() {
    for flag in ["--client-reload", "--strict"] {
        let origin = counting(&["Cache-Control: max-age=600"]);
        let proxy = Proxy::start(&origin, &[flag]);
        proxy.get("/");
        proxy.advance(100);
        let mut count = 1;
        for (asked, word, reason) in [
            ("Cache-Control: max-age=200", "HIT", "fresh"),
            ("Cache-Control: min-fresh=400", "HIT", "fresh"),
            ("Cache-Control: max-stale", "HIT", "fresh"),
            ("Cache-Control: no-cache", "MISS", "no-cache in the request"),
            ("Pragma: no-cache", "MISS", "no-cache in the request"),
            ("Cache-Control: max-age=0", "MISS", "max-age in the request"),
            ("Cache-Control: min-fresh=601", "MISS", "min-fresh in the request"),
            ("Cache-Control: no-store", "MISS", "no-store in the request"),
        ] {
            if reason.starts_with("max-age") {
                proxy.advance(1);
            }
            let answer = proxy.client().ask("GET", "/", &[asked]);
            count += usize::from(word == "MISS");
            assert_eq!((answer.x_cache(), origin.request_count()), (word, count), "{flag} {asked}");
            assert_eq!(answer.detail(), reason, "{flag} {asked}");
        }
    }
}

#[test]
fn max_stale_is_served_stale_where_the_origin_does_not_forbid_it() {
    for (control, word) in [
        ("max-age=10", "HIT"),
        ("max-age=10, must-revalidate", "MISS"),
        ("max-age=10, proxy-revalidate", "MISS"),
        ("s-maxage=10", "MISS"),
    ] {
        let origin = Origin::always(respond(200, &[&format!("Cache-Control: {control}")], "x"));
        let proxy = Proxy::start(&origin, &["--client-reload"]);
        proxy.get("/");
        proxy.advance(20);
        assert_eq!(proxy.client().ask("GET", "/", &["Cache-Control: max-stale=9"]).x_cache(), "MISS", "{control}");
        proxy.advance(20);
        let answer = proxy.client().ask("GET", "/", &["Cache-Control: max-stale=10"]);
        assert_eq!(answer.x_cache(), word, "{control}");
        if word == "HIT" {
            assert!(answer.cache_status().contains("ttl=-10"), "{}", answer.cache_status());
        }
    }
}

#[test]
fn only_if_cached_never_reaches_the_origin() {
    for flags in [&[][..], &["--client-reload"], &["--strict"]] {
        let origin = counting(&["Cache-Control: max-age=10"]);
        let proxy = Proxy::start(&origin, flags);
        let ask = || proxy.client().ask("GET", "/", &["Cache-Control: only-if-cached"]);
        let nothing = ask();
        assert_eq!((nothing.status, nothing.x_cache(), origin.request_count()), (504, "MISS", 0));
        assert_eq!(nothing.detail(), "only-if-cached in the request");
        assert_eq!(nothing.field("Content-Type"), Some("application/problem+json"));
        proxy.get("/");
        assert_eq!((ask().status, ask().x_cache()), (200, "HIT"));
        proxy.advance(11);
        assert_eq!((ask().status, origin.request_count()), (504, 1));
    }
}

#[test]
fn no_cache_and_must_revalidate_are_validated_when_they_have_to_be() {
    for (control, at_once) in
        [("no-cache", "validated"), ("max-age=10, must-revalidate", "fresh"), ("max-age=600, no-cache", "validated")]
    {
        let control = format!("Cache-Control: {control}");
        let origin = Origin::answering(move |request| match request.field("If-None-Match") {
            Some("\"v\"") => respond(304, &["ETag: \"v\""], ""),
            _ => respond(200, &[&control, "ETag: \"v\""], "body"),
        });
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        let next = proxy.get("/");
        assert_eq!((next.x_cache(), next.detail(), next.text().as_str()), ("HIT", at_once, "body"));
        proxy.advance(20);
        let stale = proxy.get("/");
        assert_eq!((stale.x_cache(), stale.detail(), stale.text().as_str()), ("HIT", "validated", "body"));
    }
}

#[test]
fn head_is_answered_from_a_stored_get_and_get_never_from_head() {
    let origin = Origin::answering(|request| match request.method.as_str() {
        "HEAD" => vec![crate::support::Step::Send(
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 5\r\n\r\n".to_vec(),
        )],
        _ => respond(200, &["Cache-Control: max-age=600", "X-A: 1"], "hello"),
    });
    let proxy = Proxy::start(&origin, &[]);
    let head = || proxy.client().ask("HEAD", "/", &[]);
    let first = head();
    assert_eq!((first.x_cache(), first.field("Content-Length")), ("MISS", Some("5")));
    assert_eq!((head().x_cache(), origin.request_count()), ("MISS", 2));
    let get = proxy.get("/");
    assert_eq!((get.x_cache(), get.text().as_str()), ("MISS", "hello"));
    let from_get = head();
    assert_eq!(
        (from_get.x_cache(), from_get.field("Content-Length"), from_get.field("X-A")),
        ("HIT", Some("5"), Some("1"))
    );
    assert_eq!((from_get.body.len(), origin.request_count()), (0, 3));
}
