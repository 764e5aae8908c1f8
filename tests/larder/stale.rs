//! Stale responses: when they stand in, and how a failing origin is spared.

use crate::support::{Gate, Origin, Proxy, Step, request, respond};

/// The first answer is good for ten seconds and has these directives too; every later one is `later`.
fn failing(directives: &'static str, later: Vec<Step>) -> Origin {
    Origin::answering(move |request| match request.index {
        0 => {
            let control = format!("Cache-Control: max-age=10{directives}");
            [respond(200, &[&control, "Connection: close"], "good"), vec![Step::Close]].concat()
        }
        _ => later.clone(),
    })
}

#[test]
fn a_stale_response_stands_in_for_an_error_for_as_long_as_it_may() {
    for status in [500, 502, 503, 504] {
        let origin = failing(", stale-if-error=60", respond(status, &[], "bad"));
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        proxy.advance(70);
        let stale = proxy.get("/");
        assert_eq!((stale.status, stale.x_cache(), stale.text().as_str()), (200, "HIT", "good"), "{status}");
        assert!(
            stale.cache_status().contains(&format!("fwd=stale; fwd-status={status}; ttl=-60")),
            "{}",
            stale.cache_status()
        );
        assert_eq!((stale.detail(), stale.field("Age")), ("stale-if-error", Some("70")));
        proxy.advance(1);
        let over = proxy.get("/");
        assert_eq!((over.status, over.x_cache(), over.text().as_str()), (status, "MISS", "bad"));
    }
}

#[test]
fn answers_that_are_no_errors_of_the_origin_are_passed_on() {
    for status in [400, 404, 429, 501] {
        let origin = failing(", stale-if-error=60", respond(status, &["Cache-Control: no-store"], "other"));
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        proxy.advance(20);
        assert_eq!((proxy.get("/").status, proxy.get("/").text().as_str()), (status, "other"));
    }
}

#[test]
fn a_stale_response_stands_in_for_an_origin_that_is_gone_or_closes_or_is_too_slow() {
    let slow = vec![Step::Wait(Gate::closed())];
    let half = vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()), Step::Close];
    for later in
        [vec![Step::Close], vec![Step::Reset], half, slow, vec![Step::Send(b"garbage\r\n\r\n".to_vec()), Step::Close]]
    {
        let origin = failing(", stale-if-error=60", later);
        let proxy = Proxy::start(&origin, &["--first-byte-timeout", "2s"]);
        proxy.get("/");
        proxy.advance(20);
        let stale = proxy.get("/");
        assert_eq!((stale.status, stale.x_cache(), stale.detail()), (200, "HIT", "stale-if-error"));
        assert_eq!(stale.text(), "good");
    }
    let origin = failing(", stale-if-error=60", Vec::new());
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    drop(origin);
    proxy.advance(20);
    let stale = proxy.get("/");
    assert_eq!((stale.status, stale.x_cache(), stale.detail()), (200, "HIT", "stale-if-error"));
}

#[test]
fn stale_responses_do_not_stand_in_where_the_origin_forbids_it_or_did_not_allow_it() {
    for (directives, status) in [
        (", s-maxage=10", 502),
        (", must-revalidate, stale-if-error=60", 502),
        (", proxy-revalidate, stale-if-error=60", 502),
        (", no-cache, stale-if-error=60", 502),
        (", stale-if-error=5", 502),
        (", s-maxage=10, stale-if-error=60", 200),
    ] {
        let origin = failing(directives, vec![Step::Close]);
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        proxy.advance(20);
        let answer = proxy.get("/");
        assert_eq!(answer.status, status, "{directives}");
        assert_eq!(answer.text() == "good", status == 200, "{directives}");
    }
}

#[test]
fn a_failing_origin_is_asked_by_one_request_at_a_time_and_ever_more_seldom() {
    let busy = |status| respond(status, &["Retry-After: 60"], "busy");
    for later in [vec![Step::Close], busy(502), busy(503), busy(504)] {
        let origin = failing(", stale-if-error=6000", later);
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        proxy.advance(20);
        let mut probes = Vec::new();
        for second in 0..40i64 {
            let before = origin.request_count();
            for _ in 0..5 {
                let asked = origin.request_count();
                let stale = proxy.get("/");
                assert_eq!((stale.status, stale.x_cache(), stale.text().as_str()), (200, "HIT", "good"));
                // a hit where nobody was asked
                let (status, ttl) = (stale.cache_status(), -10 - second);
                match origin.request_count() - asked {
                    0 => assert!(status.starts_with(&format!("larder; hit; ttl={ttl};")), "{status}"),
                    _ => assert!(status.starts_with("larder; fwd=stale;"), "{status}"),
                }
            }
            match origin.request_count() - before {
                0 => {}
                1 => probes.push(second),
                many => panic!("{many} requests in second {second}"),
            }
            proxy.advance(1);
        }
        assert_eq!(probes, [0, 1, 3, 7, 15, 31]);
    }
}

#[test]
fn an_origin_that_comes_back_is_asked_by_everyone_again() {
    let origin = Origin::answering(|request| match request.index {
        0 => [
            respond(200, &["Cache-Control: max-age=10, stale-if-error=6000", "Connection: close"], "good"),
            vec![Step::Close],
        ]
        .concat(),
        1 => vec![Step::Close],
        n => respond(200, &["Cache-Control: no-store"], format!("back {n}")),
    });
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.advance(20);
    assert_eq!((proxy.get("/").text().as_str(), proxy.get("/").text().as_str()), ("good", "good"));
    proxy.advance(1);
    assert_eq!((proxy.get("/").text().as_str(), proxy.get("/").text().as_str()), ("back 2", "back 3"));
}

#[test]
fn an_origin_that_was_not_asked_for_want_of_a_connection_has_not_failed() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match request.target.as_str() {
        "/slow" => vec![
            Step::Send(b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 9\r\n\r\nhalf,".to_vec()),
            Step::Wait(held.clone()),
            Step::Send(b"half".to_vec()),
        ],
        _ => respond(200, &["Cache-Control: max-age=10, stale-if-error=60"], request.index.to_string()),
    });
    let flags = ["--workers", "1", "--connect-timeout", "50ms"];
    let proxy = Proxy::tuned(&origin, &flags, |config| config.sites[0].origin_client.max_connections = 1);
    assert_eq!(proxy.get("/").text(), "0");
    proxy.advance(20);
    let mut slow = proxy.client();
    let mut half = slow.send(request("GET", "/slow", &[])).head();
    assert_eq!(proxy.get("/no-place").status, 503);
    gate.open();
    slow.body("GET", &mut half);
    assert_eq!(half.text(), "half,half");
    assert_eq!(proxy.get("/").text(), "2");
}

#[test]
fn what_has_nothing_to_stand_in_for_it_is_asked_for_though_the_origin_fails() {
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/bad" => vec![Step::Close],
        _ => respond(200, &[], "here"),
    });
    let proxy = Proxy::start(&origin, &[]);
    assert_eq!(proxy.get("/bad").status, 502);
    assert_eq!((proxy.get("/good").status, proxy.get("/good").text().as_str()), (200, "here"));
}

#[test]
fn stale_while_revalidate_ends_with_its_window_and_gives_way_to_must_revalidate() {
    for (control, after, word) in [
        ("max-age=10, stale-while-revalidate=60", 70, "HIT"),
        ("max-age=10, stale-while-revalidate=60", 71, "MISS"),
        ("max-age=10, stale-while-revalidate=60, must-revalidate", 20, "MISS"),
        ("max-age=10, stale-while-revalidate=60, proxy-revalidate", 20, "MISS"),
        ("s-maxage=10, stale-while-revalidate=60", 20, "HIT"),
        ("max-age=10, stale-while-revalidate=x", 20, "MISS"),
    ] {
        let line = format!("Cache-Control: {control}");
        let origin = Origin::answering(move |request| respond(200, &[&line], request.index.to_string()));
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        proxy.advance(after);
        let answer = proxy.get("/");
        assert_eq!(
            (answer.x_cache(), answer.text().as_str()),
            (word, if word == "HIT" { "0" } else { "1" }),
            "{control} {after}"
        );
        if word == "HIT" {
            assert_eq!(answer.detail(), "stale-while-revalidate");
            origin.await_requests(2);
        }
    }
}

#[test]
fn a_refresh_that_fails_leaves_the_stale_response_in_its_place() {
    let origin = failing(", stale-while-revalidate=600", respond(500, &[], "bad"));
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.advance(20);
    for n in 2..5 {
        let stale = proxy.get("/");
        assert_eq!((stale.status, stale.text().as_str(), stale.x_cache()), (200, "good", "HIT"));
        origin.await_requests(2.min(n));
    }
}

#[test]
fn w41_a_stale_response_stands_in_for_a_failing_origin_that_says_nothing_about_it() {
    for (later, told) in [
        (vec![Step::Close], "detail=\"stale: the origin closed the connection without an answer\""),
        (respond(503, &[], "bad"), "fwd-status=503; ttl=-10; detail=\"stale, since the origin fails"),
    ] {
        let origin = failing("", later);
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        proxy.advance(20);
        let stale = proxy.get("/");
        assert_eq!((stale.status, stale.x_cache(), stale.text().as_str()), (200, "HIT", "good"));
        assert!(stale.cache_status().contains(told), "{}", stale.cache_status());
    }
}

#[test]
fn w41_an_application_that_fails_and_a_flag_of_0s_are_no_reason_for_a_stale_response() {
    for (later, flags, status) in [
        (respond(500, &[], "bad"), &[][..], 500),
        (respond(503, &[], "bad"), &["--stale-if-error", "0s"], 503),
        (respond(503, &[], "bad"), &["--stale-if-error", "9s"], 503),
        (respond(503, &[], "bad"), &["--strict"], 503),
    ] {
        let origin = failing("", later);
        let proxy = Proxy::start(&origin, flags);
        proxy.get("/");
        proxy.advance(20);
        assert_eq!(proxy.get("/").status, status, "{flags:?}");
    }
}

#[test]
fn w41_max_stale_is_followed_since_it_sends_nothing_to_the_origin() {
    let origin = failing("", vec![Step::Close]);
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.advance(20);
    let stale = proxy.client().ask("GET", "/", &["Cache-Control: max-stale=60"]);
    assert_eq!((stale.status, stale.detail(), origin.request_count()), (200, "max-stale in the request", 1));
}

#[test]
fn w46_a_url_that_fails_spares_no_other() {
    let origin = Origin::answering(|request| match (request.target.as_str(), request.index) {
        ("/bad", 2..) => respond(503, &[], "bad"),
        (_, n) => respond(200, &["Cache-Control: max-age=10, stale-if-error=600"], format!("{n}")),
    });
    let proxy = Proxy::start(&origin, &[]);
    assert_eq!((proxy.get("/bad").text().as_str(), proxy.get("/good").text().as_str()), ("0", "1"));
    proxy.advance(20);
    assert_eq!((proxy.get("/bad").text().as_str(), proxy.get("/bad").text().as_str()), ("0", "0"));
    assert_eq!(origin.request_count(), 3);
    assert_eq!(proxy.get("/good").text(), "3");
}

#[test]
fn a_fresh_response_that_a_reload_falls_back_on_is_not_called_stale() {
    let origin = Origin::answering(|request| match request.index {
        0 => [respond(200, &["Connection: close"], "good"), vec![Step::Close]].concat(),
        _ => respond(503, &[], "bad"),
    });
    let proxy = Proxy::start(&origin, &["--default-ttl", "60s"]);
    proxy.get("/");
    proxy.advance(30);
    let reloaded = proxy.client().ask("GET", "/", &["Cache-Control: no-cache", "Pragma: no-cache"]);
    assert_eq!((reloaded.text().as_str(), reloaded.detail()), ("good", "fresh; the origin fails"));
    assert!(reloaded.cache_status().contains("ttl=30"), "{}", reloaded.cache_status());
}
