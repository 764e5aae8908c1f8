//! What is stored and what is not, and that each answer says why.

use crate::support::{Origin, Proxy, Response, respond};

const FRESH: &str = "Cache-Control: max-age=600";

/// What the same request gets the second time.
enum Then {
    Hit,
    /// The origin's own answer; the first answer gave this reason.
    Miss(&'static str),
}
use Then::*;

/// The request's fields, the answer's status and fields, and what comes of it.
type Case = (&'static [&'static str], u16, &'static [&'static str], Then);

/// Asks twice for each case, each at a URL of its own.
fn judge(flags: &[&str], method: &str, cases: &'static [Case]) {
    let number = |target: &str| target[1..].parse::<usize>().unwrap();
    let origin = Origin::answering(move |request| {
        let (_, status, fields, _) = &cases[number(&request.target)];
        respond(*status, fields, format!("answer {}", request.index))
    });
    let proxy = Proxy::start(&origin, flags);
    for (n, (asked, status, fields, then)) in cases.iter().enumerate() {
        let what = format!("{asked:?} {status} {fields:?}");
        let ask = || proxy.client().ask(method, &format!("/{n}"), asked);
        let (first, second) = (ask(), ask());
        assert_eq!((first.status, first.x_cache()), (*status, "MISS"), "{what}");
        assert_ne!(first.detail(), "(none)", "{what}");
        match then {
            Hit => {
                assert_eq!((second.status, second.x_cache()), (*status, "HIT"), "{what}: {}", first.cache_status());
                assert_eq!(second.text(), first.text(), "{what}");
                assert!(first.cache_status().contains("; stored"), "{what}: {}", first.cache_status());
                assert!(second.cache_status().starts_with("larder; hit; ttl="), "{what}: {}", second.cache_status());
                assert!(second.field("Age").is_some(), "{what}");
            }
            Miss(reason) => {
                assert_eq!((second.status, second.x_cache()), (*status, "MISS"), "{what}: {}", second.cache_status());
                assert_eq!((first.detail(), second.detail()), (*reason, *reason), "{what}");
                assert!(!first.cache_status().contains("stored;") && second.field("Age").is_none(), "{what}");
            }
        }
    }
}

#[test]
fn the_responses_directives_decide() {
    judge(
        &[],
        "GET",
        &[
            (&[], 200, &[FRESH], Hit),
            (&[], 200, &["Cache-Control: s-maxage=5"], Hit),
            (&[], 200, &["Cache-Control: no-store"], Miss("Cache-Control: no-store")),
            (&[], 200, &["Cache-Control: No-Store, max-age=600"], Miss("Cache-Control: no-store")),
            (&[], 200, &[FRESH, "Cache-Control: NO-STORE"], Miss("Cache-Control: no-store")),
            (&[], 200, &["Cache-Control: private, max-age=600"], Miss("Cache-Control: private")),
            (&[], 200, &["Cache-Control: PRIVATE"], Miss("Cache-Control: private")),
            (&[], 200, &["Cache-Control: private=\"\", max-age=600"], Miss("Cache-Control: private")),
            (&[], 200, &["Cache-Control: private=\"X-A\", max-age=600", "X-A: 1"], Hit),
            (&[], 200, &["Cache-Control: x=\"no-store\", max-age=600"], Hit),
            (&[], 200, &["Cache-Control: must-understand, no-store, max-age=600"], Hit),
            (
                &[],
                299,
                &["Cache-Control: must-understand, max-age=600"],
                Miss("must-understand, and the status is unknown"),
            ),
            (&[], 200, &["Cache-Control: max-age=0"], Miss("no lifetime and no validator")),
            (&[], 200, &["Cache-Control: max-age=x"], Miss("no lifetime and no validator")),
            (&[], 200, &["Cache-Control: no-cache"], Miss("Cache-Control: no-cache")),
            (&[], 200, &["Expires: Thu, 01 Jan 2026 01:00:00 GMT"], Hit),
            (&[], 200, &["Expires: 0"], Miss("no lifetime and no validator")),
            (
                &[],
                200,
                &[FRESH, "Date: Wed, 31 Dec 2025 23:50:00 GMT"],
                Miss("its lifetime was over when it arrived (Age, Date, or a slow origin)"),
            ),
            (&[], 200, &["Vary: *", FRESH], Miss("Vary: *")),
            (&[], 200, &["Vary: Accept, *", FRESH], Miss("Vary: *")),
            (&[], 200, &["Vary: Accept", "Vary: *", FRESH], Miss("Vary: *")),
            (&[], 200, &["Vary: a,b,c,d,e,f,g,h,i", FRESH], Miss("Vary names more than 8 fields")),
            (&[], 200, &["CDN-Cache-Control: max-age=60", "Cache-Control: no-store"], Hit),
            (&[], 200, &["CDN-Cache-Control: no-store", FRESH], Miss("CDN-Cache-Control: no-store")),
            (&[], 200, &["CDN-Cache-Control: private", FRESH], Miss("CDN-Cache-Control: private")),
            (&[], 200, &["CDN-Cache-Control: no-cache", FRESH], Miss("CDN-Cache-Control: no-cache")),
            (&[], 200, &["Pragma: no-cache", FRESH], Hit),
        ],
    );
}

#[test]
fn the_status_decides_where_the_response_names_no_lifetime() {
    const NOT: Then = Miss("this status is cached only with a lifetime");
    const NEVER: Then = Miss("this status is cached only with --strict");
    judge(
        &[],
        "GET",
        &[
            (&[], 200, &[], Hit),
            (&[], 203, &[], Hit),
            (&[], 204, &[], Hit),
            (&[], 300, &[], NOT),
            (&[], 301, &[], Hit),
            (&[], 308, &[], Hit),
            (&[], 404, &[], Hit),
            (&[], 410, &[], Hit),
            (&[], 201, &[], NOT),
            (&[], 299, &[], NOT),
            (&[], 302, &[], NOT),
            (&[], 303, &[], NOT),
            (&[], 307, &[], NOT),
            (&[], 400, &[FRESH], NEVER),
            (&[], 401, &[FRESH], NEVER),
            (&[], 403, &[], NOT),
            (&[], 405, &[], Hit),
            (&[], 413, &[FRESH], NEVER),
            (&[], 414, &[FRESH], NEVER),
            (&[], 416, &[], Miss("this status is never cached")),
            (&[], 429, &[FRESH], NEVER),
            (&[], 431, &[FRESH], NEVER),
            (&[], 500, &[], NOT),
            (&[], 501, &[FRESH], NEVER),
            (&[], 503, &["Cache-Control: public"], NOT),
            (&[], 302, &[FRESH], Hit),
            (&[], 403, &[FRESH], Hit),
            (&[], 418, &[FRESH], Hit),
            (&[], 500, &[FRESH], Hit),
            (&[], 599, &[FRESH], Hit),
        ],
    );
}

#[test]
fn with_strict_a_401_is_stored_and_never_answers_a_request_that_brings_credentials() {
    let origin = Origin::answering(|request| match request.field("Authorization").or(request.field("Cookie")) {
        Some(who) => respond(200, &["Cache-Control: private"], who),
        None => respond(401, &[FRESH, "WWW-Authenticate: Basic"], "who are you?"),
    });
    let proxy = Proxy::start(&origin, &["--strict"]);
    assert_eq!((proxy.get("/").status, proxy.get("/").x_cache()), (401, "HIT"));
    for asked in ["Authorization: Basic x", "Cookie: id=1"] {
        let known = proxy.client().ask("GET", "/", &[asked]);
        assert_eq!((known.status, asked.ends_with(&known.text())), (200, true), "{asked}");
        assert_eq!((proxy.get("/").status, proxy.get("/").x_cache()), (401, "HIT"), "{asked}");
    }
    assert_eq!(origin.request_count(), 3);
}

#[test]
fn what_answers_credentials_is_stored_only_where_the_origin_says_so() {
    const AUTH: &[&str] = &["Authorization: Bearer a"];
    const COOKIE: &[&str] = &["Cookie: session=a"];
    const NOT: Then = Miss("Authorization in the request, without public, s-maxage or must-revalidate in the response");
    judge(
        &[],
        "GET",
        &[
            (AUTH, 200, &[FRESH], NOT),
            (AUTH, 200, &[], NOT),
            (AUTH, 200, &["Cache-Control: private, max-age=600"], Miss("Cache-Control: private")),
            (AUTH, 200, &["Cache-Control: public, max-age=600"], Hit),
            (AUTH, 200, &["Cache-Control: s-maxage=600"], Hit),
            (AUTH, 200, &["Cache-Control: must-revalidate, max-age=600"], Hit),
            (AUTH, 200, &["Cache-Control: public"], Miss("no lifetime and no validator")),
            (COOKIE, 200, &[FRESH], Hit),
            (COOKIE, 200, &["Cache-Control: public, max-age=600"], Hit),
            (COOKIE, 200, &[], Miss("Cookie in the request, and no lifetime in the response (see --ignore-cookies)")),
            (
                COOKIE,
                200,
                &["Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"],
                Miss("Cookie in the request, and no lifetime in the response (see --ignore-cookies)"),
            ),
        ],
    );
    judge(&["--ignore-cookies"], "GET", &[(COOKIE, 200, &[], Hit), (AUTH, 200, &[], NOT)]);
    judge(&["--strict"], "GET", &[(COOKIE, 200, &["Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"], Hit)]);
}

#[test]
fn a_response_that_sets_a_cookie_is_stored_only_where_the_origin_says_so() {
    const COOKIE: &str = "Set-Cookie: session=a";
    const NOT: Then = Miss("Set-Cookie, and neither s-maxage nor public with a lifetime");
    judge(
        &[],
        "GET",
        &[
            (&[], 200, &[COOKIE], NOT),
            (&[], 200, &[COOKIE, FRESH], NOT),
            (&[], 200, &[COOKIE, "Cache-Control: public"], NOT),
            (&[], 200, &[COOKIE, "Cache-Control: public, max-age=600"], Hit),
            (&[], 200, &[COOKIE, "Cache-Control: s-maxage=600"], Hit),
            (&[], 200, &[COOKIE, "CDN-Cache-Control: public, max-age=600"], Hit),
        ],
    );
    judge(&["--strict"], "GET", &[(&[], 200, &[COOKIE, FRESH], Hit)]);
}

#[test]
fn a_cookie_reaches_the_client_that_caused_it_and_nobody_else() {
    let fields = ["Set-Cookie: s=1", "Set-Cookie: t=2", "Set-Cookie2: u=3", "Cache-Control: public, max-age=600"];
    let origin = Origin::always(respond(200, &fields, "page"));
    let proxy = Proxy::start(&origin, &[]);
    let first = proxy.get("/");
    assert_eq!((first.x_cache(), first.values("Set-Cookie")), ("MISS", vec!["s=1", "t=2"]));
    for _ in 0..2 {
        let next = proxy.get("/");
        assert_eq!((next.x_cache(), next.text().as_str()), ("HIT", "page"));
        assert_eq!((next.field("Set-Cookie"), next.field("Set-Cookie2")), (None, None));
    }
    let strict = Proxy::start(&origin, &["--strict"]);
    strict.get("/");
    let replayed = strict.get("/");
    assert_eq!((replayed.x_cache(), replayed.values("Set-Cookie").len()), ("HIT", 2));
}

#[test]
fn fields_that_the_origin_calls_private_are_not_stored() {
    let fields = [
        "Cache-Control: max-age=600, private=\"X-User, X-Cart\", no-cache=\"X-Csrf\"",
        "X-User: a",
        "X-Cart: b",
        "X-Csrf: c",
        "X-Page: d",
    ];
    let origin = Origin::always(respond(200, &fields, "page"));
    let proxy = Proxy::start(&origin, &[]);
    let (first, next) = (proxy.get("/"), proxy.get("/"));
    assert_eq!((first.field("X-User"), first.field("X-Csrf")), (Some("a"), Some("c")));
    assert_eq!((next.x_cache(), next.field("X-Page")), ("HIT", Some("d")));
    assert_eq!((next.field("X-User"), next.field("X-Cart"), next.field("X-Csrf")), (None, None, None));
}

#[test]
fn other_methods_are_not_stored() {
    for method in ["OPTIONS", "TRACE"] {
        judge(&[], method, &[(&[], 200, &[FRESH], Miss("this method is not cached"))]);
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "M-SEARCH"] {
        judge(&[], method, &[(&[], 200, &[FRESH], Miss("this method is not cached: it may change something"))]);
    }
}

#[test]
fn a_post_is_stored_for_get_only_where_its_answer_says_that_it_is_the_target() {
    let origin = Origin::answering(|request| {
        let about = request.target.split('?').next().unwrap_or_default();
        let fields: &[&str] = match about {
            "/about-itself" => &["Content-Location: /about-itself", FRESH],
            "/about-another" => &["Content-Location: /about-itself", FRESH],
            "/without-freshness" => &["Content-Location: /without-freshness"],
            "/about-nothing" => &[FRESH],
            _ => &[],
        };
        respond(200, fields, format!("{} {}", request.method, request.index))
    });
    let proxy = Proxy::start(&origin, &[]);
    let post = |target: &str| proxy.client().ask("POST", target, &["Content-Length: 0"]);
    for (target, word) in [
        ("/about-itself", "HIT"),
        ("/about-another", "MISS"),
        ("/without-freshness", "MISS"),
        ("/about-nothing", "MISS"),
    ] {
        let answer = post(target);
        assert_eq!(answer.x_cache(), "MISS");
        let next = proxy.get(target);
        assert_eq!(next.x_cache(), word, "{target}");
        assert_eq!(next.text().starts_with("POST"), word == "HIT", "{target}");
        if word == "MISS" {
            let detail = match target {
                "/about-nothing" => "this method is not cached: it may change something",
                _ => "POST is cached only for a 200 with a lifetime and its own URL in Content-Location",
            };
            assert_eq!(answer.detail(), detail, "{target}");
        }
    }
    // another POST is always for the origin
    assert_eq!(post("/about-itself").text(), "POST 7");
}

#[test]
fn a_post_that_failed_is_nobodys_answer_to_a_get() {
    for status in [400, 404, 201, 500] {
        let origin = Origin::answering(move |request| match request.method.as_str() {
            "POST" => respond(status, &[FRESH, "Content-Location: /a"], "bad form"),
            _ => respond(200, &[FRESH], "page"),
        });
        let proxy = Proxy::start(&origin, &[]);
        assert_eq!(proxy.client().ask("POST", "/a", &["Content-Length: 0"]).status, status);
        let next = proxy.get("/a");
        assert_eq!((next.status, next.x_cache(), next.text().as_str()), (200, "MISS", "page"), "{status}");
    }
}

#[test]
fn the_answer_to_a_post_with_conditions_or_a_range_comes_back_whole() {
    let fields = [FRESH, "Content-Location: /a", "ETag: \"1\"", "Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT"];
    let origin = Origin::always(respond(200, &fields, "done"));
    let proxy = Proxy::start(&origin, &[]);
    for asked in ["If-None-Match: \"1\"", "If-None-Match: *", "Range: bytes=0-0", "Range: bytes=9-"] {
        let answer = proxy.client().ask("POST", "/a", &["Content-Length: 0", asked]);
        assert_eq!(
            (answer.status, answer.text().as_str(), answer.field("Content-Range")),
            (200, "done", None),
            "{asked}"
        );
        assert!(answer.cache_status().contains("stored"), "{asked}");
        proxy.advance(1);
    }
}

#[test]
fn without_freshness_the_default_lifetime_counts_and_the_answer_says_so() {
    let origin = Origin::answering(|request| respond(200, &[], format!("answer {}", request.index)));
    for (flags, lifetime) in [
        (&[][..], Some(3600)),
        (&["--default-ttl", "10s"], Some(10)),
        (&["--default-ttl", "0s"], None),
        (&["--strict"], None),
    ] {
        let proxy = Proxy::start(&origin, flags);
        proxy.get("/");
        let next = proxy.get("/");
        let Some(lifetime) = lifetime else {
            assert_eq!((next.x_cache(), next.detail()), ("MISS", "no lifetime and no validator"));
            continue;
        };
        assert_eq!((next.x_cache(), next.detail()), ("HIT", "default lifetime (see --default-ttl)"));
        proxy.advance(lifetime - 1);
        assert_eq!(
            (proxy.get("/").x_cache(), proxy.get("/").field("Age").unwrap()),
            ("HIT", (lifetime - 1).to_string().as_str())
        );
        proxy.advance(1);
        assert_eq!(proxy.get("/").x_cache(), "MISS");
    }
}

#[test]
fn without_freshness_a_tenth_of_the_time_since_last_modified_counts() {
    for (modified, lifetime) in [
        ("Wed, 31 Dec 2025 23:58:20 GMT", 10),
        ("Wed, 31 Dec 2025 20:00:00 GMT", 1440),
        ("Wed, 31 Dec 2025 14:00:00 GMT", 3600),
    ] {
        let origin = Origin::always(respond(200, &[&format!("Last-Modified: {modified}")], "x"));
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        proxy.advance(lifetime - 1);
        let last = proxy.get("/");
        assert_eq!((last.x_cache(), last.detail()), ("HIT", "a tenth of the time since Last-Modified"), "{modified}");
        proxy.advance(1);
        assert_eq!(
            (proxy.get("/").cache_status().contains("fwd=stale"), origin.request_count()),
            (true, 2),
            "{modified}"
        );
    }
}

#[test]
fn no_store_in_the_request_keeps_the_answer_out_of_the_store() {
    let origin = Origin::answering(|request| respond(200, &[FRESH], format!("answer {}", request.index)));
    let proxy = Proxy::start(&origin, &[]);
    let asked = proxy.client().ask("GET", "/", &["Cache-Control: no-store"]);
    assert_eq!((asked.x_cache(), asked.detail()), ("MISS", "no-store in the request"));
    assert_eq!((proxy.get("/").text().as_str(), proxy.get("/").x_cache()), ("answer 1", "HIT"));
}

#[test]
fn an_error_does_not_displace_a_good_stored_response() {
    let origin = Origin::script(vec![
        respond(200, &["Cache-Control: max-age=10", "ETag: \"v\""], "good"),
        respond(500, &[FRESH], "bad"),
        respond(304, &["ETag: \"v\"", FRESH], ""),
    ]);
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.advance(20);
    let failed = proxy.get("/");
    assert_eq!((failed.status, failed.x_cache(), failed.text().as_str()), (500, "MISS", "bad"));
    assert_eq!(failed.detail(), "an error does not replace the stored response");
    let again = proxy.get("/");
    assert_eq!((again.status, again.text().as_str(), again.detail()), (200, "good", "validated"));
}

#[test]
fn an_origins_own_cache_fields_stay_but_for_x_cache() {
    let fields = [FRESH, "X-Cache: HIT from elsewhere", "Cache-Status: Other; hit", "Age: 100", "Via: 1.1 other"];
    let origin = Origin::always(respond(200, &fields, "x"));
    let proxy = Proxy::start(&origin, &[]);
    let check = |answer: Response, word: &str, age: &str| {
        assert_eq!(answer.values("X-Cache"), [word]);
        assert_eq!(answer.values("Age"), [age]);
        let (status, via) = (answer.values("Cache-Status"), answer.values("Via"));
        assert_eq!((status.len(), status[0], via.len(), via[0]), (2, "Other; hit", 2, "1.1 other"));
        assert!(status[1].starts_with("larder; ") && via[1].starts_with("1.1 larder-"));
    };
    check(proxy.get("/"), "MISS", "100");
    proxy.advance(7);
    check(proxy.get("/"), "HIT", "107");
    assert!(proxy.get("/").cache_status().contains("ttl=493"));
}

#[test]
fn a_lifetime_that_the_origin_did_not_give_is_not_for_requests_with_credentials() {
    const COOKIE: &str = "Cookie: sid=alice";
    const AUTHORIZATION: &str = "Authorization: Bearer alice";
    for (flags, fields, default_word, explicit_word) in [
        (&[][..], COOKIE, "MISS", "HIT"),
        (&[], AUTHORIZATION, "MISS", "HIT"),
        (&["--ignore-cookies"], COOKIE, "HIT", "HIT"),
        (&["--ignore-cookies"], AUTHORIZATION, "MISS", "HIT"),
    ] {
        for (freshness, word) in [("X-None: 1", default_word), ("Cache-Control: max-age=60", explicit_word)] {
            let origin = Origin::answering(move |request| {
                respond(200, &[freshness], request.field("Cookie").or(request.field("Authorization")).unwrap_or("-"))
            });
            let proxy = Proxy::start(&origin, flags);
            assert_eq!(proxy.get("/").text(), "-");
            let answer = proxy.client().ask("GET", "/", &[fields]);
            assert_eq!(answer.x_cache(), word, "{flags:?} {fields} {freshness}");
            assert_eq!(answer.text() == "-", word == "HIT", "{flags:?} {fields} {freshness}");
            // and it is there for the others still
            assert_eq!((proxy.get("/").x_cache(), proxy.get("/").text().as_str()), ("HIT", "-"));
        }
    }
}
