//! Validation: what a 304 teaches, and whose conditions are whose.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::support::{Origin, Proxy, RecordedRequest, Step, respond, until};

const MODIFIED: &str = "Wed, 31 Dec 2025 00:00:00 GMT";

/// Holds one representation with the entity tag "v"; a 304 bears these fields.
fn tagged(answer: &'static [&'static str], not_modified: &'static [&'static str]) -> Origin {
    Origin::answering(move |request| match request.field("If-None-Match") {
        Some("\"v\"") => respond(304, not_modified, ""),
        _ => respond(200, answer, "body"),
    })
}

fn conditions(request: &RecordedRequest) -> [Option<&str>; 2] {
    [request.field("If-None-Match"), request.field("If-Modified-Since")]
}

#[test]
fn a_304_freshens_and_its_fields_are_on_the_next_hit() {
    let origin = tagged(
        &["Cache-Control: max-age=10", "ETag: \"v\"", "X-Old: 1", "X-Both: old", "Content-Type: text/x"],
        &["Cache-Control: max-age=100", "ETag: \"v\"", "X-Both: new", "X-New: 2", "Content-Encoding: gzip"],
    );
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.advance(20);
    let validated = proxy.get("/");
    assert_eq!((validated.status, validated.x_cache(), validated.text().as_str()), (200, "HIT", "body"));
    assert!(validated.cache_status().contains("fwd=stale; fwd-status=304"), "{}", validated.cache_status());
    assert_eq!((validated.detail(), validated.field("Age")), ("validated", Some("0")));
    proxy.advance(99);
    let hit = proxy.get("/");
    assert!(hit.cache_status().starts_with("larder; hit; ttl=1;"), "{}", hit.cache_status());
    assert_eq!((hit.field("X-Old"), hit.values("X-Both"), hit.field("X-New")), (Some("1"), vec!["new"], Some("2")));
    assert_eq!(
        (hit.field("Content-Type"), hit.field("Content-Length"), hit.field("Content-Encoding")),
        (Some("text/x"), Some("4"), None)
    );
    assert_eq!((hit.text().as_str(), hit.field("Age"), origin.request_count()), ("body", Some("99"), 2));
    assert_eq!(conditions(&origin.requests()[1]), [Some("\"v\""), None]);
}

#[test]
fn a_200_replaces_what_was_stored() {
    let origin = Origin::answering(|request| {
        respond(
            200,
            &["Cache-Control: max-age=10", &format!("ETag: \"{}\"", request.index)],
            format!("body {}", request.index),
        )
    });
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.advance(20);
    let replaced = proxy.get("/");
    assert_eq!((replaced.x_cache(), replaced.text().as_str()), ("MISS", "body 1"));
    assert!(replaced.cache_status().contains("fwd=stale; fwd-status=200; stored"), "{}", replaced.cache_status());
    let hit = proxy.get("/");
    assert_eq!((hit.x_cache(), hit.text().as_str(), hit.field("ETag")), ("HIT", "body 1", Some("\"1\"")));
}

#[test]
fn last_modified_validates_where_there_is_no_entity_tag() {
    let origin = Origin::answering(|request| match request.field("If-Modified-Since") {
        Some(MODIFIED) => respond(304, &["Cache-Control: max-age=100"], ""),
        _ => respond(200, &["Cache-Control: max-age=10", &format!("Last-Modified: {MODIFIED}")], "body"),
    });
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.advance(20);
    assert_eq!((proxy.get("/").detail(), proxy.get("/").detail()), ("validated", "fresh"));
    assert_eq!(conditions(&origin.requests()[1]), [None, Some(MODIFIED)]);
}

#[test]
fn a_clients_own_conditions_are_answered_from_the_store() {
    let fields = [
        "Cache-Control: max-age=600",
        "ETag: \"v\"",
        &format!("Last-Modified: {MODIFIED}"),
        "X-A: 1",
        "Content-Type: text/x",
    ];
    let origin = Origin::always(respond(200, &fields, "body"));
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    for (asked, status) in [
        ("If-None-Match: \"v\"", 304),
        ("If-None-Match: W/\"v\"", 304),
        ("If-None-Match: \"a\", W/\"v\"", 304),
        ("If-None-Match: *", 304),
        ("If-None-Match: \"w\"", 200),
        ("If-None-Match: v", 200),
        ("If-Modified-Since: Wed, 31 Dec 2025 00:00:00 GMT", 304),
        ("If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT", 304),
        ("If-Modified-Since: Tue, 30 Dec 2025 23:59:59 GMT", 200),
        ("If-Modified-Since: yesterday", 200),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = proxy.client().ask(method, "/", &[asked]);
            assert_eq!((answer.status, answer.x_cache()), (status, "HIT"), "{method} {asked}");
            assert_eq!(answer.field("ETag"), Some("\"v\""));
            if status == 304 {
                assert_eq!((answer.field("X-A"), answer.field("Content-Type"), answer.body.len()), (None, None, 0));
                assert_eq!(answer.field("Cache-Control"), Some("max-age=600"));
            }
        }
    }
    let both = ["If-None-Match: \"w\"", "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT"];
    assert_eq!(proxy.client().ask("GET", "/", &both).status, 200);
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn a_clients_own_conditions_do_not_reach_a_fetch_that_others_share() {
    let origin = tagged(&["Cache-Control: max-age=600", "ETag: \"v\""], &["ETag: \"v\""]);
    let proxy = Proxy::start(&origin, &[]);
    let first =
        proxy.client().ask("GET", "/", &["If-None-Match: \"v\"", "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT"]);
    assert_eq!((first.status, first.x_cache(), first.body.len()), (304, "MISS", 0));
    assert_eq!(conditions(&origin.requests()[0]), [None, None]);
    let plain = proxy.get("/");
    assert_eq!((plain.status, plain.x_cache(), plain.text().as_str()), (200, "HIT", "body"));
}

#[test]
fn a_clients_condition_on_a_stale_response_is_answered_after_validation() {
    let origin = tagged(&["Cache-Control: max-age=10", "ETag: \"v\""], &["Cache-Control: max-age=10", "ETag: \"v\""]);
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.advance(20);
    let other = proxy.client().ask("GET", "/", &["If-None-Match: \"mine\""]);
    assert_eq!((other.status, other.text().as_str(), other.detail()), (200, "body", "validated"));
    assert_eq!(conditions(&origin.requests()[1]), [Some("\"v\""), None]);
    proxy.advance(20);
    assert_eq!(proxy.client().ask("GET", "/", &["If-None-Match: \"v\""]).status, 304);
}

#[test]
fn preconditions_that_only_the_origin_can_judge_go_through() {
    let origin =
        Origin::answering(|request| match request.field("If-Match").or(request.field("If-Unmodified-Since")) {
            Some(_) => respond(412, &["Cache-Control: max-age=600"], ""),
            None => respond(200, &["Cache-Control: max-age=600", "ETag: \"v\""], "body"),
        });
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    for asked in ["If-Match: \"w\"", "If-Match: \"v\"", "If-Unmodified-Since: Thu, 01 Jan 2026 00:00:00 GMT"] {
        let answer = proxy.client().ask("GET", "/", &[asked]);
        assert_eq!((answer.status, answer.x_cache()), (412, "MISS"), "{asked}");
        assert!(answer.cache_status().contains("fwd=request"), "{}", answer.cache_status());
        assert_eq!(answer.detail(), "this status is never cached");
        let plain = proxy.get("/");
        assert_eq!((plain.status, plain.x_cache()), (200, "HIT"), "{asked}");
    }
}

#[test]
fn a_304_for_another_representation_is_not_believed() {
    for wrong in ["ETag: \"other\"", "ETag: W/\"other\""] {
        let origin = Origin::script(vec![
            respond(200, &["Cache-Control: max-age=10", "ETag: \"v\""], "old"),
            respond(304, &[wrong, "Cache-Control: max-age=600"], ""),
            respond(200, &["Cache-Control: max-age=600", "ETag: \"other\""], "new"),
        ]);
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        proxy.advance(20);
        let answer = proxy.get("/");
        assert_eq!((answer.status, answer.x_cache(), answer.text().as_str()), (200, "MISS", "new"), "{wrong}");
        assert_eq!(conditions(&origin.requests()[2]), [None, None]);
        assert_eq!((proxy.get("/").x_cache(), proxy.get("/").text().as_str()), ("HIT", "new"));
    }
}

#[test]
fn a_304_that_forbids_storing_serves_this_request_and_no_other() {
    for control in ["no-store", "private"] {
        let control = format!("Cache-Control: {control}");
        let origin = Origin::script(vec![
            respond(200, &["Cache-Control: max-age=10", "ETag: \"v\""], "old"),
            respond(304, &["ETag: \"v\"", &control], ""),
            respond(200, &["Cache-Control: no-store"], "new"),
        ]);
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        proxy.advance(20);
        assert_eq!(proxy.get("/").text(), "old");
        assert_eq!((proxy.get("/").text().as_str(), origin.request_count()), ("new", 3), "{control}");
    }
}

#[test]
fn an_answer_to_head_freshens_what_is_stored_or_says_that_it_changed() {
    for (head, word, text) in [
        (&["ETag: \"v\"", "Cache-Control: max-age=600", "X-New: 1"][..], "HIT", "body"),
        (&["ETag: \"w\"", "Cache-Control: max-age=600"], "MISS", "changed"),
        (&["ETag: \"v\"", "Content-Length: 99", "Cache-Control: max-age=600"], "MISS", "changed"),
    ] {
        let lines: String = head.iter().map(|line| format!("{line}\r\n")).collect();
        let length = if lines.contains("Content-Length") { "" } else { "Content-Length: 4\r\n" };
        let of_head = vec![Step::Send(format!("HTTP/1.1 200 OK\r\n{length}{lines}\r\n").into_bytes())];
        let origin = Origin::answering(move |request| match (request.method.as_str(), request.index) {
            ("HEAD", _) => of_head.clone(),
            (_, 0) => respond(200, &["Cache-Control: max-age=10", "ETag: \"v\""], "body"),
            _ => respond(200, &["Cache-Control: max-age=600", "ETag: \"w\""], "changed"),
        });
        let proxy = Proxy::start(&origin, &[]);
        proxy.get("/");
        proxy.advance(20);
        assert_eq!(proxy.client().ask("HEAD", "/", &[]).x_cache(), "MISS");
        let next = proxy.get("/");
        assert_eq!((next.x_cache(), next.text().as_str()), (word, text), "{head:?}");
        assert_eq!(next.field("X-New"), (word == "HIT").then_some("1"));
    }
}

#[test]
fn what_a_304_or_a_head_says_to_one_user_is_not_said_to_others() {
    for method in ["GET", "HEAD"] {
        let origin = Origin::answering(|request| {
            let user = format!("X-User: {}", request.field("Authorization").unwrap_or("nobody"));
            let fields = ["Cache-Control: max-age=10", "ETag: \"v\"", &user];
            match request.field("If-None-Match") {
                Some(_) => respond(304, &fields, ""),
                None if request.method == "HEAD" => vec![Step::Send(
                    format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n{}\r\n\r\n", fields.join("\r\n")).into_bytes(),
                )],
                None => respond(200, &fields, "body"),
            }
        });
        let proxy = Proxy::start(&origin, &["--client-reload"]);
        proxy.get("/");
        proxy.advance(20);
        let alice = proxy.client().ask(method, "/", &["Authorization: alice"]);
        assert_eq!((alice.status, alice.field("X-User")), (200, Some("alice")), "{method}");
        let asked = origin.request_count();
        assert_eq!(proxy.get("/").field("X-User"), Some("nobody"), "{method}");
        assert_eq!(origin.request_count(), asked + 1, "{method}: it was freshened for all");
    }
}

#[test]
fn a_head_that_forbids_storing_freshens_nothing() {
    let origin = Origin::answering(|request| match request.method.as_str() {
        "HEAD" => vec![Step::Send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: \"v\"\r\nCache-Control: max-age=99\r\nX-New: 1\r\n\r\n"
                .into(),
        )],
        _ => respond(200, &["Cache-Control: max-age=10", "ETag: \"v\""], "body"),
    });
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.advance(20);
    assert_eq!(proxy.client().ask("HEAD", "/", &["Cache-Control: no-store"]).field("X-New"), Some("1"));
    assert_eq!(proxy.get("/").x_cache(), "MISS");
}

#[test]
fn a_cookie_on_a_304_reaches_the_client_that_caused_it_and_nobody_else() {
    let origin = Origin::answering(|request| match request.field("If-None-Match") {
        Some("\"v\"") => respond(304, &["Cache-Control: max-age=10", "ETag: \"v\"", "Set-Cookie: id=new"], ""),
        _ => respond(200, &["Cache-Control: s-maxage=10", "ETag: \"v\"", "Set-Cookie: id=first"], "body"),
    });
    let proxy = Proxy::start(&origin, &[]);
    let first = proxy.client().ask("GET", "/", &["If-None-Match: \"v\""]);
    assert_eq!((first.status, first.values("Set-Cookie")), (304, vec!["id=first"]));
    assert!(proxy.get("/").values("Set-Cookie").is_empty());
    proxy.advance(20);
    assert_eq!(proxy.get("/").values("Set-Cookie"), ["id=new"]);
    assert!(proxy.get("/").values("Set-Cookie").is_empty());
}

#[test]
fn a_browsers_condition_reaches_the_origin_where_its_answers_are_for_one_client_alone() {
    let origin = tagged(&["Cache-Control: private", "ETag: \"v\""], &["Cache-Control: private", "ETag: \"v\""]);
    let proxy = Proxy::start(&origin, &[]);
    assert_eq!(proxy.get("/").status, 200);
    assert_eq!(proxy.client().ask("GET", "/", &["If-None-Match: \"v\""]).status, 304);
    assert_eq!(proxy.get("/").text(), "body");
}

#[test]
fn a_304_with_a_part_of_the_vary_is_the_answer_and_the_next_request_is_a_hit() {
    // Express with compression and cors
    let origin = tagged(
        &["Cache-Control: max-age=10", "ETag: \"v\"", "Vary: Origin, Accept-Encoding"],
        &["Cache-Control: max-age=10", "ETag: \"v\"", "Vary: Origin"],
    );
    let proxy = Proxy::start(&origin, &[]);
    let ask = |coding: &str| proxy.client().ask("GET", "/", &[&format!("Accept-Encoding: {coding}")]);
    ask("gzip");
    for round in 1..4 {
        proxy.advance(20);
        let validated = ask("gzip");
        assert_eq!((validated.x_cache(), validated.detail()), ("HIT", "validated"));
        assert_eq!((ask("gzip").x_cache(), origin.request_count()), ("HIT", 1 + round));
        assert_eq!(ask("gzip").field("Vary"), Some("Origin, Accept-Encoding"));
    }
    assert_eq!(ask("br").x_cache(), "MISS", "it is no answer to another coding");
}

#[test]
fn a_304_with_more_in_vary_moves_the_response_to_the_variant_that_was_asked_for() {
    for (vary, memory, length) in [("Vary: X-A", "64MiB", 9), ("X-None: 1", "64MiB", 9), ("X-None: 1", "0B", 900_000)] {
        let varies_by_more = Arc::new(AtomicBool::new(false));
        let by_more = varies_by_more.clone();
        let origin = Origin::answering(move |request| match request.field("If-None-Match") {
            Some(_) => respond(304, &["Cache-Control: max-age=60", "ETag: \"v\"", "Vary: X-A, X-B"], ""),
            None => {
                let text = format!("{:?}", request.field("X-B"));
                let vary = if by_more.load(Ordering::Relaxed) { "Vary: X-A, X-B" } else { vary };
                respond(200, &["Cache-Control: max-age=10", "ETag: \"v\"", vary], text + &" ".repeat(length))
            }
        });
        let mut proxy = Proxy::start(&origin, &["--memory", memory]);
        let ask = |proxy: &Proxy, b: &str| proxy.client().ask("GET", "/", &["X-A: 1", &format!("X-B: {b}")]);
        until("it is stored", || ask(&proxy, "1").x_cache() == "HIT");
        varies_by_more.store(true, Ordering::Relaxed);
        let before = origin.request_count();
        proxy.advance(20);
        let validated = ask(&proxy, "1");
        assert_eq!((validated.x_cache(), validated.detail(), origin.request_count()), ("HIT", "validated", before + 1));
        // what the disk alone holds cannot move, and is fetched anew
        let word = if length == 9 { "HIT" } else { "MISS" };
        let next = ask(&proxy, "1");
        assert_eq!((next.x_cache(), next.text() == validated.text()), (word, true), "{vary} {memory}");
        let other = ask(&proxy, "2");
        assert_eq!((other.x_cache(), other.text().trim_end()), ("MISS", "Some(\"2\")"), "{vary} {memory}");
        if length == 9 {
            proxy.restart();
            assert_eq!((ask(&proxy, "1").x_cache(), ask(&proxy, "1").text()), ("HIT", validated.text()));
        }
    }
}

#[test]
fn a_304_with_a_star_in_vary_is_the_answer_to_this_request_alone() {
    let origin = tagged(&["Cache-Control: max-age=10", "ETag: \"v\""], &["ETag: \"v\"", "Vary: *"]);
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.advance(20);
    assert_eq!((proxy.get("/").detail(), origin.request_count()), ("validated", 2));
    let next = proxy.get("/");
    assert_eq!((next.x_cache(), next.cache_status().contains("fwd=uri-miss")), ("MISS", true));
}

#[test]
fn fields_that_304s_add_never_make_a_head_that_no_client_takes() {
    let origin = Origin::answering(|request| match request.field("If-None-Match") {
        Some(_) => {
            let long = format!("X-New-{}: {}", request.index, "x".repeat(6000));
            respond(304, &["ETag: \"v\"", &long], "")
        }
        None => respond(200, &["Cache-Control: no-cache", "ETag: \"v\""], "body"),
    });
    let proxy = Proxy::start(&origin, &[]);
    let mut largest = 0;
    for _ in 0..30 {
        let answer = proxy.get("/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
        largest = largest.max(answer.head.len());
    }
    assert!((50_000..70_000).contains(&largest), "{largest}");
    let whole = origin.requests().iter().filter(|request| request.field("If-None-Match").is_none()).count();
    assert!((2..6).contains(&whole), "{whole}");
}

#[test]
fn a_304_to_a_request_without_conditions_is_an_error_of_the_origin() {
    let origin = Origin::always(respond(304, &["Cache-Control: max-age=600"], ""));
    for flags in [&[][..], &["--strict"]] {
        let proxy = Proxy::start(&origin, flags);
        let plain = ["GET", "HEAD", "OPTIONS"].map(|method| (method, &[][..]));
        for (method, asked) in [&plain[..], &[("GET", &["Range: bytes=0-1"])]].concat() {
            let answer = proxy.client().ask(method, "/", asked);
            assert_eq!((answer.status, answer.x_cache()), (502, "MISS"), "{method} {asked:?} {flags:?}");
            assert_eq!(answer.field("Proxy-Status"), Some("larder; error=http_protocol_error"));
            let told = answer.text().contains("The origin answered 304 to a request without conditions");
            assert_eq!(told, method != "HEAD", "{}", answer.text());
            assert!(answer.cache_status().contains("; fwd-status=304;"), "{}", answer.cache_status());
        }
        // others are asked with the client's own conditions, or mean something else by it
        let precondition = proxy.client().ask("GET", "/", &["If-Match: \"a\"", "If-None-Match: \"b\""]);
        assert_eq!(precondition.status, 304);
        assert_eq!(proxy.client().ask("POST", "/", &["Content-Length: 0"]).status, 304);
    }
}

#[test]
fn an_unasked_304_freshens_the_one_stored_response_that_has_no_validator() {
    let origin = Origin::answering(|request| match (request.index, request.target.as_str()) {
        (0, _) => respond(200, &["Cache-Control: max-age=10", "X-Both: old"], "body"),
        _ => respond(304, &["Cache-Control: max-age=60", "X-Both: new"], ""),
    });
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    proxy.advance(20);
    let freshened = proxy.get("/");
    assert_eq!((freshened.status, freshened.x_cache(), freshened.text().as_str()), (200, "HIT", "body"));
    assert_eq!((freshened.detail(), freshened.field("X-Both")), ("validated", Some("new")));
    proxy.advance(59);
    assert_eq!((proxy.get("/").x_cache(), origin.request_count()), ("HIT", 2));
}

#[test]
fn a_stale_response_stands_in_for_an_unasked_304_where_that_is_allowed() {
    for (control, status) in [("max-age=10, stale-if-error=60", 200), ("max-age=10", 502)] {
        let line = format!("Cache-Control: {control}");
        for flags in [&[][..], &["--strict"]] {
            let line = line.clone();
            let origin = Origin::answering(move |request| match request.index {
                0 => respond(200, &[&line], "body"),
                _ => respond(304, &["ETag: \"another\""], ""),
            });
            let proxy = Proxy::start(&origin, flags);
            proxy.get("/");
            proxy.advance(20);
            let answer = proxy.get("/");
            assert_eq!((answer.status, answer.text() == "body"), (status, status == 200), "{control} {flags:?}");
            let told = if status == 200 { "fwd=stale; fwd-status=304; ttl=-10" } else { "fwd=stale" };
            assert!(answer.cache_status().contains(told), "{}", answer.cache_status());
        }
    }
}

#[test]
fn what_must_be_validated_each_time_has_no_time_left() {
    let origin = Origin::answering(|request| match request.field("If-None-Match") {
        Some(_) => respond(304, &["Cache-Control: no-cache, max-age=600", "ETag: \"1\""], ""),
        None => respond(200, &["Cache-Control: no-cache, max-age=600", "ETag: \"1\""], "one"),
    });
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/");
    let again = proxy.get("/");
    assert!(again.cache_status().contains("; ttl=0; detail=\"validated\""), "{}", again.cache_status());
}
