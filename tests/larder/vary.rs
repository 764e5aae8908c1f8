//! Vary: variants are kept apart, and spellings of the same wish share one.

use crate::support::{Client, Origin, Proxy, RecordedRequest, Step, respond};

/// Varies by this field and tells its value.
fn varying(by: &'static str) -> Origin {
    Origin::answering(move |request| {
        let values: Vec<_> =
            request.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(by)).map(|(_, v)| v.as_str()).collect();
        respond(
            200,
            &["Cache-Control: max-age=600", &format!("Vary: {by}")],
            format!("{} {}", request.index, values.join("|")),
        )
    })
}

/// Asks for `first`, then for each of `same` (a HIT of it), then for each of `others` (a MISS each).
fn judge(by: &'static str, first: &[&str], same: &[&[&str]], others: &[&[&str]]) {
    let origin = varying(by);
    let proxy = Proxy::start(&origin, &[]);
    let ask = |fields: &[&str]| {
        let lines: Vec<String> = fields.iter().map(|value| format!("{by}: {value}")).collect();
        proxy.client().ask("GET", "/", &lines.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let stored = ask(first);
    assert_eq!(stored.x_cache(), "MISS");
    for fields in same {
        let answer = ask(fields);
        assert_eq!((answer.x_cache(), answer.text()), ("HIT", stored.text()), "{by}: {fields:?}");
    }
    for fields in others {
        let answer = ask(fields);
        assert_eq!(answer.x_cache(), "MISS", "{by}: {fields:?}");
        assert!(answer.cache_status().contains("fwd=vary-miss"), "{}", answer.cache_status());
    }
    // none of them pushed another one out
    for fields in [&[first][..], others].concat() {
        let answer = ask(fields);
        assert_eq!((answer.x_cache(), answer.text().ends_with(&fields.join("|"))), ("HIT", true), "{by}: {fields:?}");
    }
}

#[test]
fn values_that_mean_the_same_share_a_variant() {
    judge(
        "Accept-Encoding",
        &["gzip, br"],
        &[
            &["br,gzip"],
            &["br", "gzip"],
            &["GZIP , BR"],
            &["gzip;q=1.0, br;q=0.5"],
            &["gzip,br,x;q=0"],
            &["x-gzip, br"],
        ],
        &[
            &[],
            &["gzip"],
            &["gzip;q=0, br"],
            &["*"],
            &["identity;q=0, gzip, br"],
            &["gzip;q=2"],
            &["gzip;q=0"],
            &["*;q=0"],
        ],
    );
    judge(
        "Accept-Language",
        &["de, en;q=0.5"],
        &[&["DE,EN;q=0.50"], &["de;q=1", "en;q=0.5"], &["en;q=0.5, de"], &["de;q=0.9, en;q=0.1"]],
        &[&["en, de;q=0.5"], &["de"], &[]],
    );
}

#[test]
fn other_fields_are_compared_byte_for_byte_but_for_the_whitespace_of_those_that_are_lists() {
    judge("Accept", &["a, b"], &[&["a,b"], &["a", "b"], &["a ,\tb"]], &[&["b, a"], &["A, b"], &["a"], &[], &["a b"]]);
    judge("X-Tone", &["a, b"], &[&["a", "b"]], &[&["a,b"], &["b, a"], &["a"], &[]]);
    judge("User-Agent", &["x/1 (y, z)"], &[], &[&["x/1 (y,z)"], &["X/1 (y, z)"], &["x/2 (y, z)"]]);
    judge("Cookie", &["a=1"], &[], &[&["a=2"], &["a=1; b=2"]]);
}

#[test]
fn an_absent_field_is_not_an_empty_one() {
    judge("X-Tone", &[], &[], &[&[""], &["x"]]);
}

#[test]
fn two_nominated_fields_are_never_taken_for_each_other() {
    let origin = Origin::answering(|request| {
        let said = format!("{:?} {:?}", request.field("X-A"), request.field("X-B"));
        respond(200, &["Cache-Control: max-age=600", "Vary: x-b", "Vary: X-A, x-B"], said)
    });
    let proxy = Proxy::start(&origin, &[]);
    let cases: [&[&str]; 7] = [
        &[],
        &["X-A: 1"],
        &["X-B: 1"],
        &["X-A: 1", "X-B: 2"],
        &["X-A: 2", "X-B: 1"],
        &["X-A: 1, X-B: 2"],
        &["X-A: ", "X-B: 1"],
    ];
    for word in ["MISS", "HIT"] {
        for fields in cases {
            let value = |name: &str| {
                fields.iter().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_start_matches(':').trim())
            };
            let answer = proxy.client().ask("GET", "/", fields);
            assert_eq!((answer.x_cache(), answer.text()), (word, format!("{:?} {:?}", value("X-A"), value("X-B"))));
        }
    }
}

#[test]
fn a_response_in_the_language_that_a_client_likes_best_is_for_it_too() {
    let origin = Origin::answering(|request| {
        let language = request.field("Accept-Language").unwrap().split([',', ';']).next().unwrap().to_owned();
        let fields = ["Cache-Control: max-age=600", "Vary: Accept-Language", &format!("Content-Language: {language}")];
        respond(200, &fields, language.clone())
    });
    let proxy = Proxy::start(&origin, &[]);
    let ask = |languages: &str| proxy.client().ask("GET", "/", &[&format!("Accept-Language: {languages}")]);
    assert_eq!(ask("de, en;q=0.5").x_cache(), "MISS");
    for likes_german in ["de", "de;q=0.8, fr;q=0.7", "en;q=0.1, de"] {
        assert_eq!((ask(likes_german).x_cache(), ask(likes_german).text().as_str()), ("HIT", "de"), "{likes_german}");
    }
    for other in ["en, de;q=0.9", "fr"] {
        assert_eq!(ask(other).x_cache(), "MISS", "{other}");
    }
}

#[test]
fn variants_freshen_and_go_stale_each_by_itself() {
    let origin = varying("X-Tone");
    let proxy = Proxy::start(&origin, &[]);
    let ask = |tone: &str| proxy.client().ask("GET", "/", &[&format!("X-Tone: {tone}")]);
    ask("a");
    proxy.advance(400);
    ask("b");
    proxy.advance(300);
    assert_eq!((ask("b").x_cache(), ask("a").x_cache()), ("HIT", "MISS"));
    assert_eq!((ask("b").x_cache(), ask("a").x_cache(), origin.request_count()), ("HIT", "HIT", 3));
}

#[test]
fn access_for_one_origin_is_treated_as_varying_by_it() {
    let origin = Origin::answering(|request| {
        let allowed = request.field("Origin").unwrap_or("https://default.test");
        respond(200, &["Cache-Control: max-age=600", &format!("Access-Control-Allow-Origin: {allowed}")], "x")
    });
    let proxy = Proxy::start(&origin, &[]);
    for word in ["MISS", "HIT"] {
        for asking in ["https://evil.test", "https://good.test"] {
            let answer = proxy.client().ask("GET", "/", &[&format!("Origin: {asking}")]);
            assert_eq!((answer.x_cache(), answer.field("Access-Control-Allow-Origin")), (word, Some(asking)));
        }
        assert_eq!(proxy.get("/").field("Access-Control-Allow-Origin"), Some("https://default.test"));
    }
    let open = Origin::always(respond(200, &["Cache-Control: max-age=600", "Access-Control-Allow-Origin: *"], "x"));
    let proxy = Proxy::start(&open, &[]);
    proxy.client().ask("GET", "/", &["Origin: https://a.test"]);
    assert_eq!(proxy.client().ask("GET", "/", &["Origin: https://b.test"]).x_cache(), "HIT");
}

#[test]
fn head_and_ranges_find_their_variant() {
    let origin = varying("X-Tone");
    let proxy = Proxy::start(&origin, &[]);
    proxy.client().ask("GET", "/", &["X-Tone: a"]);
    assert_eq!(proxy.client().ask("HEAD", "/", &["X-Tone: a"]).x_cache(), "HIT");
    let part = proxy.client().ask("GET", "/", &["X-Tone: a", "Range: bytes=2-2"]);
    assert_eq!((part.status, part.x_cache(), part.text().as_str()), (206, "HIT", "a"));
    assert_eq!(proxy.client().ask("HEAD", "/", &["X-Tone: b"]).x_cache(), "MISS");
}

#[test]
fn an_answer_that_varies_by_the_clients_address_is_nobody_elses() {
    for by in ["X-Forwarded-For", "Forwarded"] {
        let origin = varying(by);
        let proxy = Proxy::start(&origin, &[]);
        let ask = |source| Client::connect_from(source, proxy.address).get("/");
        let (mine, theirs) = (ask([127, 0, 0, 11]), ask([127, 0, 0, 12]));
        assert!(mine.text().contains("127.0.0.11") && theirs.text().contains("127.0.0.12"), "{by}: {}", theirs.text());
        assert_eq!((theirs.x_cache(), theirs.detail()), ("MISS", "Vary names a field that tells the client's address"));
    }
}

#[test]
fn an_answer_that_varies_by_the_forwarded_host_is_each_names_own() {
    let origin = varying("X-Forwarded-Host");
    let proxy = Proxy::start(&origin, &[]);
    for word in ["MISS", "HIT"] {
        for name in ["127.0.0.1", "localhost", "[::1]"] {
            let host = format!("{name}:{}", proxy.address.port());
            let answer = proxy.client().send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).response("GET");
            assert_eq!((answer.x_cache(), answer.text().ends_with(&host)), (word, true), "{name}: {}", answer.text());
        }
    }
}

#[test]
fn a06_what_varies_by_too_many_fields_or_by_all_is_not_stored() {
    let origin = Origin::answering(|request| {
        let lines = request.field("X-Vary").unwrap().split(';').map(|names| format!("Vary: {names}"));
        let fields: Vec<String> = lines.chain(["Cache-Control: max-age=600".to_owned()]).collect();
        respond(200, &fields.iter().map(String::as_str).collect::<Vec<_>>(), "x")
    });
    for (vary, reason) in [
        ("a, b, c, d, e, f, g, h", None),
        ("a, b, c, d; e, f, g, h", None),
        ("a, A, b, c, d; e, f, g, h, H", None),
        ("a, b, c, d, e, f, g, h, i", Some("Vary names more than 8 fields")),
        ("a, b, c, d; e, f, g, h, i", Some("Vary names more than 8 fields")),
        ("Accept, *", Some("Vary: *")),
        ("Accept; *", Some("Vary: *")),
    ] {
        let proxy = Proxy::start(&origin, &[]);
        let ask = || proxy.client().ask("GET", "/", &[&format!("X-Vary: {vary}")]);
        let first = ask();
        assert_eq!(first.cache_status().contains("; stored"), reason.is_none(), "{vary}: {}", first.cache_status());
        if let Some(reason) = reason {
            assert_eq!(first.detail(), reason, "{vary}");
        }
        assert_eq!(ask().x_cache(), if reason.is_none() { "HIT" } else { "MISS" }, "{vary}");
    }
}

#[test]
fn a_page_in_a_language_that_was_not_asked_for_is_not_for_those_who_ask_for_it() {
    // the page has no Russian text, but it is made for the one who asked
    let origin = Origin::answering(|request| {
        let fields = ["Cache-Control: s-maxage=900", "Vary: Accept-Language", "Content-Language: en"];
        respond(200, &fields, request.field("Accept-Language").unwrap_or("none"))
    });
    for flags in [&[][..], &["--strict"]] {
        for (first, second, word) in [
            ("ru", "en,en-US;q=0.8,de;q=0.6", "MISS"),
            ("en-GB", "en", "MISS"),
            ("en-GB,en;q=0.9", "en", "MISS"),
            ("en, ru", "en", "MISS"),
            ("en", "en;q=0.9, de;q=0.1", "HIT"),
            ("ru", "ru", "HIT"),
        ] {
            let proxy = Proxy::start(&origin, flags);
            let ask = |languages: &str| proxy.client().ask("GET", "/", &[&format!("Accept-Language: {languages}")]);
            ask(first);
            let answer = ask(second);
            let expected = if word == "HIT" { first } else { second };
            assert_eq!((answer.x_cache(), answer.text().as_str()), (word, expected), "{first} / {second} {flags:?}");
        }
    }
}

/// Allows the origin that asks, and says nothing of that where none asks.
fn cors(request: &RecordedRequest) -> Vec<Step> {
    match request.field("Origin") {
        Some(asking) => {
            let fields =
                ["Cache-Control: max-age=60", &format!("Access-Control-Allow-Origin: {asking}"), "Vary: Origin"];
            respond(200, &fields, format!("for {asking} {}", request.index))
        }
        None => respond(200, &["Cache-Control: max-age=600"], format!("plain {}", request.index)),
    }
}

#[test]
fn a_response_without_vary_does_not_displace_those_that_have_it() {
    let origin = Origin::answering(cors);
    for memory in ["64MiB", "0B"] {
        let mut proxy = Proxy::start(&origin, &["--memory", memory]);
        let ask = |proxy: &Proxy, asking: &str| proxy.client().ask("GET", "/", &[&format!("Origin: {asking}")]);
        let (a, b) = (ask(&proxy, "http://a").text(), ask(&proxy, "http://b").text());
        let plain = proxy.get("/").text();
        assert!(plain.starts_with("plain"), "{plain}");
        for restarted in [false, true] {
            if restarted {
                proxy.restart();
            }
            for (asking, text) in [("http://a", &a), ("http://b", &b)] {
                let answer = ask(&proxy, asking);
                assert_eq!((answer.x_cache(), &answer.text()), ("HIT", text), "{asking} {memory} {restarted}");
                assert_eq!(answer.field("Access-Control-Allow-Origin"), Some(asking));
            }
            assert_eq!((proxy.get("/").x_cache(), proxy.get("/").text()), ("HIT", plain.clone()), "{memory}");
        }
        let other = ask(&proxy, "http://c");
        assert_eq!((other.x_cache(), other.text()), ("HIT", plain.clone()), "nothing better is stored for it");
        // the one without Vary is fresh and newer; the one with it is chosen, and is stale
        proxy.advance(70);
        let anew = ask(&proxy, "http://a");
        assert_eq!((anew.x_cache(), anew.field("Access-Control-Allow-Origin")), ("MISS", Some("http://a")));
        assert_eq!((proxy.get("/").x_cache(), proxy.get("/").text()), ("HIT", plain));
        // an unsafe request forgets all of them
        let _ = proxy.client().ask("DELETE", "/", &[]);
        for answer in [ask(&proxy, "http://a"), proxy.get("/")] {
            assert_eq!(answer.x_cache(), "MISS");
        }
    }
}

#[test]
fn an_origin_that_no_longer_varies_is_not_asked_again_and_again() {
    let origin = Origin::answering(|request| match request.index {
        0 => respond(200, &["Cache-Control: max-age=10", "Vary: X-Tone"], "old"),
        _ => respond(200, &["Cache-Control: max-age=600"], "new"),
    });
    let proxy = Proxy::start(&origin, &[]);
    let ask = |tone: &str| proxy.client().ask("GET", "/", &[&format!("X-Tone: {tone}")]);
    assert_eq!(ask("a").text(), "old");
    proxy.advance(20);
    assert_eq!((ask("a").text(), ask("a").x_cache().to_owned()), ("new".to_owned(), "HIT".to_owned()));
    assert_eq!((ask("a").text().as_str(), ask("b").text().as_str(), origin.request_count()), ("new", "new", 2));
}
