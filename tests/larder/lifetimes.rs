//! Lifetimes that the origin did not give, and those that it gives to particular caches.

use std::thread;

use crate::support::{
    End, Gate, Origin, Proxy, Response, Step,
    proxy::{larder, output},
    respond,
};

const DAY_OLD: &str = "Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT";

/// An origin that numbers its answers.
fn counting(status: u16, fields: &'static [&'static str]) -> Origin {
    Origin::answering(move |request| respond(status, fields, request.index.to_string()))
}

/// For how many seconds the second request and later ones are hits; `None`: not even at once.
fn kept_for(origin: &Origin, flags: &[&str], longest: u64) -> Option<u64> {
    let proxy = Proxy::start(origin, flags);
    proxy.get("/");
    let hit = |proxy: &Proxy| proxy.get("/").x_cache() == "HIT";
    if !hit(&proxy) {
        return None;
    }
    proxy.advance(longest - 1);
    assert!(hit(&proxy), "a hit until {longest} s: {flags:?}");
    proxy.advance(1);
    assert!(!hit(&proxy), "a miss from {longest} s: {flags:?}");
    Some(longest)
}

#[test]
fn the_default_ttl_is_the_longest_lifetime_that_is_ever_invented() {
    for (fields, flags, lifetime) in [
        (&[][..], &[][..], 3600),
        (&[DAY_OLD], &[], 3600),
        (&["Last-Modified: Wed, 31 Dec 2025 23:58:20 GMT"], &[], 10),
        (&[DAY_OLD], &["--default-ttl", "20s"], 20),
        (&[DAY_OLD], &["--default-ttl", "1d"], 8640),
        (&["Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT"], &["--default-ttl", "30d"], 30 * 24 * 3600),
        (&[DAY_OLD], &["--strict"], 3600),
        (&[DAY_OLD], &["--strict", "--default-ttl", "1d"], 8640),
    ] {
        assert_eq!(kept_for(&counting(200, fields), flags, lifetime), Some(lifetime), "{fields:?} {flags:?}");
    }
}

#[test]
fn with_a_default_ttl_of_zero_everything_without_a_lifetime_is_validated_each_time() {
    for flags in [&["--default-ttl", "0s"][..], &["--default-ttl", "0s", "--strict"]] {
        for (status, fields) in [(200, &[DAY_OLD][..]), (200, &["ETag: \"1\""]), (404, &["ETag: \"1\""]), (200, &[])] {
            assert_eq!(kept_for(&counting(status, fields), flags, 1), None, "{status} {fields:?} {flags:?}");
        }
        let origin = Origin::answering(|request| match request.field("If-Modified-Since") {
            Some(_) => respond(304, &[DAY_OLD], ""),
            None => respond(200, &[DAY_OLD], "one"),
        });
        let proxy = Proxy::start(&origin, flags);
        proxy.get("/");
        let again = proxy.get("/");
        assert_eq!((again.text().as_str(), again.detail(), origin.request_count()), ("one", "validated", 2));
    }
}

#[test]
fn only_some_statuses_have_an_invented_lifetime_and_negative_ones_a_short_one() {
    for status in [200, 203, 204] {
        let origin = Origin::answering(move |_| match status {
            204 => vec![Step::Send(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())],
            _ => respond(status, &[], "x"),
        });
        assert_eq!(kept_for(&origin, &[], 3600), Some(3600), "{status}");
    }
    let part = Origin::always(respond(206, &["Content-Range: bytes 0-3/10", "ETag: \"1\""], "part"));
    let proxy = Proxy::start(&part, &[]);
    let ask = || proxy.client().ask("GET", "/", &["Range: bytes=0-3"]);
    assert_eq!((ask().x_cache(), ask().x_cache()), ("MISS", "HIT"));
    proxy.advance(3599);
    assert_eq!(ask().detail(), "default lifetime (see --default-ttl)");
    for status in [301, 308, 404, 405, 410] {
        for fields in [&["Location: /elsewhere"][..], &["Location: /elsewhere", DAY_OLD]] {
            let origin = Origin::always(respond(status, fields, "x"));
            assert_eq!(kept_for(&origin, &[], 1), Some(1), "{status} {fields:?}");
            assert_eq!(kept_for(&origin, &["--negative-ttl", "1m"], 60), Some(60), "{status} {fields:?}");
            assert_eq!(kept_for(&origin, &["--negative-ttl", "1m", "--default-ttl", "5s"], 5), Some(5), "{status}");
            assert_eq!(kept_for(&origin, &["--negative-ttl", "0s"], 1), None, "{status} {fields:?}");
        }
    }
    for status in [201, 202, 300, 302, 303, 307, 402, 403, 406, 408, 409, 418, 451, 500, 503] {
        let origin = Origin::always(respond(status, &["Location: /elsewhere?state=1", DAY_OLD, "ETag: \"1\""], "x"));
        let proxy = Proxy::start(&origin, &[]);
        let first = proxy.get("/");
        assert_eq!((first.detail(), proxy.get("/").x_cache()), ("this status is cached only with a lifetime", "MISS"));
    }
    let strict = |status| kept_for(&Origin::always(respond(status, &[], "x")), &["--strict"], 1);
    assert_eq!((strict(404), strict(301)), (None, None), "with --strict there is no --negative-ttl");
    assert_eq!(kept_for(&Origin::always(respond(404, &[DAY_OLD], "x")), &["--strict"], 3600), Some(3600));
}

#[test]
fn a_herd_that_asks_for_what_is_missing_is_one_request_and_what_is_uploaded_is_seen_a_second_later() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match request.index {
        // the origin's clock is slow: a second would be over before it has begun
        0 => vec![Step::Wait(held.clone()), respond(404, &["Date: Wed, 31 Dec 2025 23:59:00 GMT"], "no").remove(0)],
        _ => respond(200, &[], "there"),
    });
    let proxy = Proxy::start(&origin, &[]);
    let answers = at_once(&proxy, &gate, 20, &[]);
    assert!(answers.iter().all(|answer| (answer.status, answer.end) == (404, End::Whole)));
    assert_eq!((origin.request_count(), proxy.get("/").status), (1, 404));
    proxy.advance(1);
    assert_eq!((proxy.get("/").status, origin.request_count()), (200, 2));
}

/// Asks for `/` from this many clients at once; opens the gate when all but one wait for the answer to that one.
fn at_once(proxy: &Proxy, gate: &Gate, clients: usize, fields: &[&str]) -> Vec<Response> {
    thread::scope(|scope| {
        let asking: Vec<_> = (0..clients)
            .map(|_| {
                let mut client = proxy.client();
                client.send(crate::support::request("GET", "/", fields));
                scope.spawn(move || client.response("GET"))
            })
            .collect();
        proxy.await_following(clients - 1);
        gate.open();
        asking.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

#[test]
fn a_redirect_to_the_very_url_that_was_asked_for_is_never_stored() {
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/loop/absolute" => {
            let own = format!("Location: http://{}/loop/absolute#top", request.field("Host").unwrap());
            respond(301, &["Cache-Control: max-age=600", &own], "")
        }
        "/loop/relative?a" => respond(308, &["Cache-Control: max-age=600", "Location: relative?a"], ""),
        "/loop/secure" => {
            respond(302, &["Cache-Control: max-age=600", "Location: https://larder.test/loop/secure"], "")
        }
        "/loop/silent" => respond(301, &["Location: /loop/silent"], ""),
        _ => respond(301, &["Cache-Control: max-age=600", "Location: /loop/silent"], ""),
    });
    for flags in [&[][..], &["--strict"]] {
        let proxy = Proxy::start(&origin, flags);
        for target in ["/loop/absolute", "/loop/relative?a", "/loop/secure", "/loop/silent"] {
            let (first, second) = (proxy.get(target), proxy.get(target));
            assert_eq!(first.detail(), "a redirect to the URL that was asked for", "{target}");
            assert_eq!(second.x_cache(), "MISS", "{target}");
        }
        for target in ["/loop/silent?a", "/loop/silent/"] {
            proxy.get(target);
            assert_eq!(proxy.get(target).x_cache(), "HIT", "{target}");
        }
    }
}

#[test]
fn w02_no_lifetime_is_invented_for_streams() {
    for kind in ["text/event-stream", "application/x-ndjson", "application/grpc"] {
        let kind = format!("Content-Type: {kind}");
        let origin = Origin::always(respond(200, &[&kind, DAY_OLD], "x"));
        let proxy = Proxy::start(&origin, &[]);
        assert_eq!((proxy.get("/").detail(), proxy.get("/").x_cache()), ("a stream without a lifetime", "MISS"));
    }
}

#[test]
fn no_lifetime_is_invented_for_playlists_nor_where_the_response_says_pragma_no_cache() {
    for (field, reason) in [
        ("Content-Type: application/vnd.apple.mpegurl", "a playlist without a lifetime"),
        ("Content-Type: Application/X-MpegURL; charset=utf-8", "a playlist without a lifetime"),
        ("Content-Type: audio/mpegurl", "a playlist without a lifetime"),
        ("Content-Type: application/dash+xml", "a playlist without a lifetime"),
        ("Pragma: no-cache", "Pragma: no-cache in the response, and no lifetime"),
        ("Pragma: x, No-Cache", "Pragma: no-cache in the response, and no lifetime"),
    ] {
        for flags in [&[][..], &["--strict"]] {
            let silent = Origin::always(respond(200, &[field], "x"));
            let proxy = Proxy::start(&silent, flags);
            let first = proxy.get("/");
            assert_eq!(proxy.get("/").x_cache(), "MISS", "{field} {flags:?}");
            assert!(flags.contains(&"--strict") || first.detail() == reason, "{field}: {}", first.detail());

            let modified = Origin::answering({
                let field = field.to_owned();
                move |request| match request.field("If-Modified-Since") {
                    Some(_) => respond(304, &[&field, DAY_OLD], ""),
                    None => respond(200, &[&field, DAY_OLD], "x"),
                }
            });
            let proxy = Proxy::start(&modified, flags);
            proxy.get("/");
            assert_eq!(proxy.get("/").detail(), "validated", "{field} {flags:?}");

            let explicit = Origin::always(respond(200, &[field, "Cache-Control: max-age=6"], "x"));
            assert_eq!(kept_for(&explicit, flags, 6), Some(6), "{field} {flags:?}");
        }
    }
}

#[test]
fn the_lifetimes_of_an_origin_count_in_one_order() {
    const CDN: &str = "CDN-Cache-Control: max-age=5";
    const SURROGATE: &str = "Surrogate-Control: max-age=10, content=\"ESI/1.0\"";
    const ACCEL: &str = "X-Accel-Expires: 20";
    const SHARED: &str = "Cache-Control: s-maxage=30, max-age=40";
    const OWN: &str = "Cache-Control: max-age=40";
    const EXPIRES: &str = "Expires: Thu, 01 Jan 2026 00:00:50 GMT";
    for (fields, lifetime) in [
        (&[CDN, SURROGATE, ACCEL, SHARED, EXPIRES, DAY_OLD][..], 5),
        (&[SURROGATE, ACCEL, SHARED, EXPIRES, DAY_OLD], 10),
        (&[ACCEL, SHARED, EXPIRES, DAY_OLD], 20),
        (&[SHARED, EXPIRES, DAY_OLD], 30),
        (&[OWN, EXPIRES, DAY_OLD], 40),
        (&[EXPIRES, DAY_OLD], 50),
        (&[DAY_OLD], 3600),
        (&["X-Accel-Expires: @1767225670", OWN], 70),
        (&["Surrogate-Control: max-age=60+600", OWN], 60),
        (&["Surrogate-Control: max-age=60;other, max-age=15", OWN], 15),
        (&["Surrogate-Control: content=\"ESI/1.0\"", OWN], 40),
    ] {
        assert_eq!(kept_for(&counting(200, fields), &[], lifetime), Some(lifetime), "{fields:?}");
    }
    // a missing page has the origin's own lifetime where it gives one
    for (fields, lifetime) in [(&[SURROGATE][..], 10), (&[ACCEL], 20), (&[EXPIRES], 50), (&[OWN], 40)] {
        assert_eq!(kept_for(&counting(404, fields), &[], lifetime), Some(lifetime), "{fields:?}");
    }
}

#[test]
fn surrogate_control_and_x_accel_expires_replace_no_cache_and_never_no_store_or_private() {
    for said in ["Surrogate-Control: max-age=60", "X-Accel-Expires: 60"] {
        let origin = Origin::always(respond(200, &[said, "Cache-Control: no-cache, max-age=0"], "x"));
        assert_eq!(kept_for(&origin, &[], 60), Some(60), "{said}");
        for (control, reason) in [
            ("Cache-Control: no-store", "Cache-Control: no-store"),
            ("Cache-Control: private", "Cache-Control: private"),
        ] {
            let origin = Origin::always(respond(200, &[said, control], "x"));
            let proxy = Proxy::start(&origin, &[]);
            assert_eq!((proxy.get("/").detail(), proxy.get("/").x_cache()), (reason, "MISS"), "{said} {control}");
        }
        let origin = Origin::always(respond(200, &[said, "Set-Cookie: a=b"], "x"));
        assert_eq!(kept_for(&origin, &[], 60), None, "{said}");
        let origin = Origin::always(respond(200, &[said], "x"));
        let proxy = Proxy::start(&origin, &[]);
        let alice = proxy.client().ask("GET", "/", &["Authorization: Basic alice"]);
        assert!(alice.detail().starts_with("Authorization in the request"), "{}", alice.detail());
    }
}

#[test]
fn what_forbids_storing_forbids_it_beside_any_lifetime() {
    for (said, reason) in [
        ("Surrogate-Control: no-store", "Surrogate-Control: no-store"),
        ("Surrogate-Control: No-Store, content=\"ESI/1.0\"", "Surrogate-Control: no-store"),
        ("Edge-Control: no-store", "Edge-Control: no-store"),
        ("Edge-Control: bypass-cache, no-store", "Edge-Control: no-store"),
        ("X-Accel-Expires: 0", "X-Accel-Expires: 0"),
        ("X-Accel-Expires: off", "X-Accel-Expires: 0"),
    ] {
        for beside in
            ["Cache-Control: max-age=600", "Cache-Control: public, s-maxage=600", "CDN-Cache-Control: max-age=600"]
        {
            for flags in [&[][..], &["--strict"]] {
                let origin = Origin::always(respond(200, &[said, beside], "x"));
                let proxy = Proxy::start(&origin, flags);
                assert_eq!((proxy.get("/").detail(), proxy.get("/").x_cache()), (reason, "MISS"), "{said} {beside}");
            }
        }
    }
}

#[test]
fn a_hard_reload_and_a_programs_max_age_0_are_followed_where_the_lifetime_is_invented() {
    const HARD: &[&str] = &["Cache-Control: no-cache", "Pragma: no-cache"];
    const GIT: &[&str] = &["Pragma: no-cache"];
    const PROGRAM: &[&str] = &["Cache-Control: max-age=0", "User-Agent: Debian APT-HTTP/1.3"];
    let no_cache = "no-cache in the request";
    for (asked, reason) in [(HARD, no_cache), (GIT, no_cache), (PROGRAM, "max-age in the request")] {
        let origin = Origin::answering(|request| respond(200, &[], request.index.to_string()));
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        proxy.advance(1);
        let reloaded = proxy.client().ask("GET", "/", asked);
        assert_eq!((reloaded.text().as_str(), reloaded.detail()), ("1", reason), "{asked:?}");
        assert_eq!((proxy.get("/").text().as_str(), proxy.get("/").x_cache()), ("1", "HIT"), "{asked:?}");

        let validated = Origin::answering(|request| match request.field("If-None-Match") {
            Some(_) => respond(304, &["ETag: \"1\""], ""),
            None => respond(200, &["ETag: \"1\""], "one"),
        });
        let proxy = Proxy::start(&validated, &[]);
        proxy.get("/");
        proxy.advance(1);
        let reloaded = proxy.client().ask("GET", "/", asked);
        assert_eq!((reloaded.text().as_str(), reloaded.detail()), ("one", "validated"), "{asked:?}");

        let explicit = counting(200, &["Cache-Control: max-age=600"]);
        let proxy = Proxy::start(&explicit, &[]);
        proxy.get("/");
        proxy.advance(1);
        assert_eq!(proxy.client().ask("GET", "/", asked).x_cache(), "HIT", "{asked:?}: the origin gave the lifetime");
    }
}

#[test]
fn a_browsers_plain_reload_and_a_lone_no_cache_are_hits() {
    let origin = counting(200, &[DAY_OLD]);
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.advance(1);
    for asked in [
        &["Cache-Control: max-age=0", "Upgrade-Insecure-Requests: 1"][..],
        &["Cache-Control: max-age=0", "Sec-Fetch-Mode: navigate"],
        &["Cache-Control: no-cache"],
        &["Cache-Control: max-age=5", "Pragma: no-cache"],
        &["Cache-Control: max-age=10"],
        &["Cache-Control: no-cache, only-if-cached", "Pragma: no-cache"],
    ] {
        assert_eq!(proxy.client().ask("GET", "/", asked).x_cache(), "HIT", "{asked:?}");
    }
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn a_url_is_reloaded_at_most_once_a_second_whatever_the_origin_answers() {
    const HARD: &[&str] = &["Cache-Control: no-cache", "Pragma: no-cache"];
    const JUST: &str = "fresh; the origin was asked less than a second ago";
    for later in [200, 503] {
        let origin = Origin::answering(move |request| match request.index {
            0 => respond(200, &["Vary: X-Kind"], "0"),
            n => respond(later, &["Vary: X-Kind"], n.to_string()),
        });
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        let at_once = proxy.client().ask("GET", "/", HARD);
        assert_eq!((at_once.x_cache(), at_once.detail()), ("HIT", JUST));
        proxy.advance(1);
        for _ in 0..5 {
            proxy.client().ask("GET", "/", HARD);
            proxy.client().ask("HEAD", "/", HARD);
            proxy.client().ask("GET", "/", &[HARD, &["Cache-Control: no-store"]].concat());
        }
        assert_eq!(origin.request_count(), 2, "{later}");
        let refused = proxy.client().ask("GET", "/", HARD);
        assert_eq!((refused.status, refused.x_cache(), refused.detail()), (200, "HIT", JUST), "{later}");
        proxy.advance(1);
        proxy.client().ask("GET", "/", HARD);
        assert_eq!(origin.request_count(), 3, "{later}");
    }
}

#[test]
fn reloads_of_one_url_at_the_same_time_are_one_request() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match request.index {
        0 => respond(200, &["ETag: \"0\""], "0"),
        n => vec![Step::Wait(held.clone()), respond(200, &["ETag: \"1\""], n.to_string()).remove(0)],
    });
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.advance(1);
    let answers = at_once(&proxy, &gate, 12, &["Cache-Control: no-cache", "Pragma: no-cache"]);
    assert!(answers.iter().all(|answer| answer.text() == "1"), "each sees what the reload brought");
    assert_eq!(origin.request_count(), 2);
}

#[test]
fn with_client_reload_every_wish_is_followed_whatever_the_lifetime() {
    let origin = counting(200, &["Cache-Control: max-age=600"]);
    let proxy = Proxy::start(&origin, &["--client-reload"]);
    proxy.get("/");
    for (n, asked) in ["Cache-Control: no-cache", "Pragma: no-cache", "Cache-Control: max-age=0"].iter().enumerate() {
        proxy.advance(1);
        assert_eq!(proxy.client().ask("GET", "/", &[asked]).text(), (n + 1).to_string(), "{asked}");
    }
}

#[test]
fn statuses_from_600_are_relayed_treated_like_a_5xx_and_never_stored() {
    for status in [600, 799, 999] {
        let origin = Origin::always(respond(status, &["Cache-Control: public, max-age=600", "ETag: \"1\""], "odd"));
        for flags in [&[][..], &["--strict"]] {
            let proxy = Proxy::start(&origin, flags);
            for _ in 0..2 {
                let odd = proxy.get("/always");
                assert_eq!((odd.status, odd.text().as_str(), odd.x_cache()), (status, "odd", "MISS"), "{flags:?}");
                assert_eq!(odd.detail(), "this status is never cached", "{flags:?}");
            }
        }
        let good = Origin::script(vec![
            respond(200, &["Cache-Control: max-age=1, stale-if-error=600"], "good"),
            respond(status, &["Cache-Control: max-age=600"], "odd"),
        ]);
        let proxy = Proxy::start(&good, &[]);
        proxy.get("/");
        proxy.advance(2);
        let stale = proxy.get("/");
        assert_eq!((stale.status, stale.text().as_str(), stale.detail()), (200, "good", "stale-if-error"));
    }
}

#[test]
fn a_coding_without_vary_is_not_given_to_a_client_that_refuses_it() {
    for coding in ["br", "gzip", "zstd"] {
        let origin = Origin::answering(move |request| {
            let accepts = request.field("Accept-Encoding").is_some_and(|value| value == coding);
            match accepts {
                true => respond(200, &["Cache-Control: max-age=60", &format!("Content-Encoding: {coding}")], "coded"),
                false => respond(200, &["Cache-Control: max-age=60"], "plain"),
            }
        });
        let proxy = Proxy::start(&origin, &[]);
        let accepts = format!("Accept-Encoding: {coding}");
        let coded = |proxy: &Proxy| proxy.client().ask("GET", "/", &[&accepts]);
        assert_eq!((coded(&proxy).text().as_str(), coded(&proxy).x_cache()), ("coded", "HIT"), "{coding}");
        let refusing = format!("Accept-Encoding: {coding};q=0");
        for asked in [&[][..], &["Accept-Encoding: identity"], &[&*refusing], &["Accept-Encoding: deflate"]] {
            let answer = proxy.client().ask("GET", "/", asked);
            assert_eq!((answer.text().as_str(), answer.field("Content-Encoding")), ("plain", None), "{asked:?}");
        }
        assert_eq!(coded(&proxy).text(), "coded", "{coding}: the variant is still there");
        let asked = origin.requests().len();
        let more = proxy.client().ask("GET", "/", &[&format!("Accept-Encoding: compress, {coding};q=0.5")]);
        assert_eq!((more.text().as_str(), more.x_cache()), ("coded", "HIT"), "{coding}: whoever accepts it gets it");
        assert_eq!(origin.requests().len(), asked, "{coding}");
    }
}

#[test]
fn a_lifetime_below_zero_or_in_parts_of_a_second_is_one_line_that_names_the_flag_and_the_value() {
    for flag in ["--default-ttl", "--negative-ttl"] {
        for value in ["-1s", "1500ms", "soon"] {
            let said =
                output(&mut larder(&["--origin", "http://127.0.0.1:9", "--cache-dir", "/nowhere/larder", flag, value]));
            let text = String::from_utf8_lossy(&said.stderr);
            assert_eq!((said.status.code(), text.lines().count()), (Some(2), 1), "{text}");
            assert!(text.contains(flag) && text.contains(&format!("\"{value}\"")), "{text}");
        }
    }
}
