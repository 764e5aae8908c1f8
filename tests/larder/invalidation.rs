//! What unsafe requests make untrue.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::support::{Client, Gate, Origin, Proxy, Step, request, respond, until};

const FRESH: &str = "Cache-Control: max-age=600";

/// GETs are good for ten minutes and numbered; everything else gets this status and these fields.
fn origin(status: u16, fields: Vec<String>) -> Origin {
    let gets = Arc::new(AtomicUsize::new(0));
    Origin::answering(move |request| match request.method.as_str() {
        "GET" | "QUERY" => respond(200, &[FRESH], gets.fetch_add(1, Ordering::SeqCst).to_string()),
        _ => respond(status, &fields.iter().map(String::as_str).collect::<Vec<_>>(), ""),
    })
}

/// Stores `/a?x`, sends an unsafe request for `target`, and tells whether `/a?x` is still there.
fn survives(method: &str, target: &str, status: u16, fields: &[&str]) -> bool {
    let origin = origin(status, fields.iter().map(|line| line.to_string()).collect());
    let proxy = Proxy::start(&origin, &[]);
    let kept = proxy.get("/a?x");
    assert_eq!(kept.x_cache(), "MISS");
    let answer = proxy.client().ask(method, target, &[]);
    assert_eq!((answer.status, answer.x_cache()), (status, "MISS"));
    let next = proxy.get("/a?x");
    assert_eq!(next.text() == kept.text(), next.x_cache() == "HIT");
    next.x_cache() == "HIT"
}

#[test]
fn a_successful_unsafe_request_invalidates_its_own_target() {
    for method in ["POST", "PUT", "PATCH", "DELETE", "M-SEARCH", "PROPPATCH", "get"] {
        for status in [200, 201, 204, 303, 304] {
            assert!(!survives(method, "/a?x", status, &[]), "{method} {status}");
        }
        for target in ["/a", "/a?y", "/A?x", "/a/?x", "//a?x"] {
            assert!(survives(method, target, 204, &[]), "{method} {target}");
        }
    }
}

#[test]
fn one_that_failed_or_a_safe_one_invalidates_nothing() {
    for status in [400, 403, 404, 409, 500, 503] {
        assert!(survives("POST", "/a?x", status, &[]), "{status}");
    }
    for method in ["OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH"] {
        assert!(survives(method, "/a?x", 200, &["Location: /a?x"]), "{method}");
    }
}

#[test]
fn location_and_content_location_of_the_same_host_are_invalidated_too() {
    for name in ["Location", "Content-Location"] {
        for (reference, survived) in [
            ("/a?x", false),
            ("a?x", false),
            ("/b/../a?x", false),
            ("./a?x", false),
            ("http://larder.test/a?x", false),
            ("//larder.test/a?x", false),
            ("http://LARDER.test:80/a?x", false),
            ("/a?x#part", false),
            ("/a", true),
            ("?x", true),
            ("http://other.test/a?x", true),
            ("//other.test/a?x", true),
            ("http://larder.test:8080/a?x", true),
            ("http://larder.test.evil/a?x", true),
            ("mailto:a?x", true),
            ("/a?x y", true),
        ] {
            let line = format!("{name}: {reference}");
            assert_eq!(survives("POST", "/form", 201, &[&line]), survived, "{line}");
        }
        assert!(survives("POST", "/form", 500, &[&format!("{name}: /a?x")]));
    }
}

#[test]
fn a_location_that_names_the_origin_itself_is_invalidated() {
    let origin = Origin::answering(|request| match request.method.as_str() {
        "GET" => respond(200, &[FRESH], request.index.to_string()),
        _ => respond(201, &[&format!("Location: http://{}/a?x", request.field("Host").unwrap())], ""),
    });
    let proxy = Proxy::start(&origin, &["--host-header", "origin"]);
    proxy.get("/a?x");
    assert_eq!(proxy.client().ask("POST", "/form", &[]).field("Location"), Some("/a?x"));
    assert_eq!(proxy.get("/a?x").x_cache(), "MISS");
}

#[test]
fn another_hosts_response_is_not_invalidated() {
    let origin = origin(204, Vec::new());
    let proxy = Proxy::start(&origin, &[]);
    let ask = |method: &str, host: &str| {
        proxy.client().send(format!("{method} /a HTTP/1.1\r\nHost: {host}\r\n\r\n")).response(method)
    };
    ask("GET", "one.test");
    ask("GET", "two.test");
    ask("DELETE", "two.test");
    assert_eq!((ask("GET", "one.test").x_cache(), ask("GET", "two.test").x_cache()), ("HIT", "MISS"));
}

#[test]
fn all_variants_of_the_target_are_invalidated() {
    let origin = Origin::answering(|request| match request.method.as_str() {
        "GET" => respond(200, &[FRESH, "Vary: X-Tone"], request.index.to_string()),
        _ => respond(204, &[], ""),
    });
    let proxy = Proxy::start(&origin, &[]);
    let ask = |tone: &str| proxy.client().ask("GET", "/a", &[&format!("X-Tone: {tone}")]);
    for word in ["MISS", "HIT"] {
        assert_eq!((ask("a").x_cache(), ask("b").x_cache()), (word, word));
    }
    proxy.client().ask("DELETE", "/a", &[]);
    // the manual clock stands still: what comes in the same instant as the invalidation is taken for older than it
    proxy.advance(1);
    assert_eq!((ask("a").x_cache(), ask("b").x_cache()), ("MISS", "MISS"));
    assert_eq!((ask("a").x_cache(), ask("b").x_cache()), ("HIT", "HIT"));
}

#[test]
fn what_is_fetched_after_an_invalidation_is_stored() {
    let origin = origin(204, Vec::new());
    let proxy = Proxy::start(&origin, &[]);
    for _ in 0..3 {
        assert_eq!((proxy.get("/a").x_cache(), proxy.get("/a").x_cache()), ("MISS", "HIT"));
        proxy.client().ask("PUT", "/a", &[]);
        proxy.advance(1);
    }
}

/// Sends a QUERY for `/a` with this content.
fn query<'a>(client: &'a mut Client, content: &str) -> &'a mut Client {
    let length = content.len();
    client.send(format!("QUERY /a HTTP/1.1\r\nHost: larder.test\r\nContent-Length: {length}\r\n\r\n{content}"))
}

#[test]
fn all_answers_to_query_at_the_target_are_invalidated() {
    let origin = origin(204, Vec::new());
    let proxy = Proxy::start(&origin, &[]);
    let words = || {
        let asked = ["one", "two"].map(|content| query(&mut proxy.client(), content).response("QUERY"));
        [&asked[0], &asked[1], &proxy.get("/a")].map(|answer| answer.x_cache().to_owned())
    };
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!((words(), words()), (["MISS"; 3].map(str::to_owned), ["HIT"; 3].map(str::to_owned)), "{method}");
        proxy.client().ask(method, "/b", &[]);
        assert_eq!(words(), ["HIT"; 3], "{method} of another URL");
        proxy.client().ask(method, "/a", &[]);
        proxy.advance(1);
    }
    // safe ones make nothing untrue
    words();
    query(&mut proxy.client(), "three").response("QUERY");
    assert_eq!(words(), ["HIT"; 3]);
}

#[test]
fn what_was_asked_for_before_an_invalidation_is_not_stored_after_it() {
    for method in ["GET", "QUERY"] {
        let gate = Gate::closed();
        let held = gate.clone();
        let origin = Origin::answering(move |request| match (request.index, request.method.as_str()) {
            (_, "DELETE") => respond(204, &[], ""),
            (0, _) => [vec![Step::Wait(held.clone())], respond(200, &[FRESH], "0")].concat(),
            (n, _) => respond(200, &[FRESH], n.to_string()),
        });
        let proxy = Proxy::start(&origin, &[]);
        let mut early = proxy.client();
        early.send(request(method, "/a", &[]));
        origin.await_requests(1);
        assert_eq!(proxy.client().ask("DELETE", "/a", &[]).status, 204);
        gate.open();
        assert_eq!(early.response(method).text(), "0");
        assert_eq!(proxy.client().ask(method, "/a", &[]).text(), "2", "{method}");
    }
}

#[test]
fn a_validation_from_before_an_invalidation_brings_nothing_back() {
    for method in ["GET", "QUERY"] {
        let gate = Gate::closed();
        let held = gate.clone();
        let origin = Origin::answering(move |request| {
            let fields = [FRESH, "Vary: X-Tone", "ETag: \"1\""];
            match (request.index, request.method.as_str()) {
                (_, "DELETE") => respond(204, &[], ""),
                (1, _) => [vec![Step::Wait(held.clone())], respond(304, &fields, "")].concat(),
                (n, _) => respond(200, &fields, n.to_string()),
            }
        });
        let proxy = Proxy::start(&origin, &[]);
        assert_eq!(proxy.client().ask(method, "/a", &[]).text(), "0");
        proxy.advance(700);
        let mut early = proxy.client();
        early.send(request(method, "/a", &[]));
        assert!(origin.await_requests(2)[1].field("If-None-Match").is_some());
        assert_eq!(proxy.client().ask("DELETE", "/a", &[]).status, 204);
        gate.open();
        assert_eq!(early.response(method).text(), "0");
        assert_eq!(proxy.client().ask(method, "/a", &[]).text(), "3", "{method}");
    }
}

#[test]
fn f13_nothing_that_comes_in_on_the_public_port_is_a_command() {
    let origin = Origin::answering(|request| match request.method.as_str() {
        "GET" => respond(200, &[FRESH], request.index.to_string()),
        _ => respond(if request.field("X-Deny").is_some() { 405 } else { 200 }, &["Cache-Control: no-store"], "theirs"),
    });
    let proxy = Proxy::start(&origin, &[]);
    let (kept, beside) = (proxy.get("/a").text(), proxy.get("/b").text());
    let hit = |target: &str, text: &String| {
        let answer = proxy.get(target);
        answer.x_cache() == "HIT" && answer.text() == *text
    };
    let local = ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1"];
    let ban = ["X-Ban: .*", "Ban: req.url ~ .", "X-Purge: all", "Surrogate-Key: all"];
    for trust in [&[][..], &local] {
        let fields = [trust, &ban].concat();
        for (method, target) in [
            ("GET", "/metrics"),
            ("GET", "/stats"),
            ("GET", "/clear"),
            ("GET", "/server-status"),
            ("GET", "/../control"),
            ("OPTIONS", "/a"),
            ("PURGE", "/"),
            ("PURGE", "/*"),
            ("BAN", "/.*"),
            ("CLEAR", "/clear"),
            ("DELETE", "/metrics"),
        ] {
            let before = origin.request_count();
            let answer = proxy.client().ask(method, target, &[&fields[..], &["Cache-Control: no-store"]].concat());
            assert_eq!((answer.status, answer.x_cache()), (200, "MISS"), "{method} {target}");
            let heard = origin.requests().pop().unwrap();
            assert_eq!((heard.method.as_str(), heard.target.as_str()), (method, target));
            assert_eq!(origin.request_count(), before + 1);
            assert!(answer.text() == "theirs" || answer.text() == heard.index.to_string(), "{}", answer.text());
            assert!(hit("/a", &kept) && hit("/b", &beside), "{method} {target}");
        }
        // that of the URL itself is an unsafe method like any other: where the origin refuses it, nothing has happened
        for method in ["PURGE", "BAN", "CLEAR"] {
            let answer = proxy.client().ask(method, "/a", &[&fields[..], &["X-Deny: 1"]].concat());
            assert_eq!((answer.status, answer.text().as_str()), (405, "theirs"), "{method}");
            assert!(hit("/a", &kept) && hit("/b", &beside), "{method}");
        }
    }
    assert_eq!(proxy.client().ask("PURGE", "/a", &local).status, 200);
    assert!(!hit("/a", &kept) && hit("/b", &beside), "RFC 9111 §4.4, and no further");
}

#[test]
fn w47_move_and_copy_invalidate_what_they_write_to() {
    for method in ["MOVE", "COPY"] {
        for (destination, survived) in
            [("http://larder.test/a?x", false), ("/a?x", false), ("http://other.test/a?x", true), ("/b", true)]
        {
            let origin = origin(201, Vec::new());
            let proxy = Proxy::start(&origin, &[]);
            proxy.get("/a?x");
            let line = format!("Destination: {destination}");
            assert_eq!(proxy.client().ask(method, "/old", &[&line]).status, 201);
            assert_eq!(proxy.get("/a?x").x_cache() == "HIT", survived, "{method} {destination}");
        }
    }
}

/// Lists that say nothing of their lifetime, with a validator that changes with each POST; `/fixed` has a lifetime.
fn lists() -> Origin {
    let posts = Arc::new(AtomicUsize::new(0));
    Origin::answering(move |request| {
        let version = posts.load(Ordering::SeqCst);
        let (tag, fixed) = (format!("ETag: \"{version}\""), request.target.starts_with("/fixed"));
        match request.method.as_str() {
            "GET" if request.field("If-None-Match") == Some(&tag[6..]) => respond(304, &[&tag], ""),
            "GET" => respond(200, &[&tag, if fixed { FRESH } else { "X: y" }], version.to_string()),
            _ => {
                posts.fetch_add(1, Ordering::SeqCst);
                respond(if request.method == "PUT" { 303 } else { 201 }, &[], "")
            }
        }
    })
}

#[test]
fn a_list_whose_lifetime_was_invented_is_validated_after_a_post_to_its_path_with_any_query() {
    let origin = lists();
    let proxy = Proxy::start(&origin, &[]);
    let text = |target: &str| (proxy.get(target).text(), proxy.get(target).x_cache().to_owned());
    let pages = ["/items?page=1", "/items?page=2&sort=a", "/items"];
    let others = ["/items/1?page=1", "/item?page=1", "/fixed?page=1"];
    for target in pages.iter().chain(&others) {
        assert_eq!(text(target), ("0".to_owned(), "HIT".to_owned()), "{target}");
    }
    // react-admin: POST /items, then GET /items?page=1
    proxy.client().ask("POST", "/items", &[]);
    proxy.client().ask("POST", "/fixed", &[]);
    proxy.advance(1);
    for target in pages {
        assert_eq!(text(target), ("2".to_owned(), "HIT".to_owned()), "{target}: asked for once, and then good again");
    }
    for target in others {
        assert_eq!(text(target), ("0".to_owned(), "HIT".to_owned()), "{target}");
    }
    proxy.advance(2);
    let before = origin.request_count();
    proxy.client().ask("PUT", "/items?page=9", &[]);
    assert_eq!(text(pages[0]).0, "3", "303 counts as well");
    assert_eq!(origin.request_count(), before + 2);
}

#[test]
fn one_that_failed_or_redirects_elsewhere_leaves_the_other_queries_alone() {
    let origin = Origin::answering(|request| match request.method.as_str() {
        "GET" => respond(200, &["ETag: \"e\""], ""),
        _ => respond(request.target[1..4].parse().unwrap(), &["Location: /elsewhere"], ""),
    });
    let proxy = Proxy::start(&origin, &[]);
    for (status, stays) in
        [(200, false), (204, false), (303, false), (302, true), (307, true), (404, true), (500, true)]
    {
        let target = format!("/{status}?page=1");
        assert_eq!((proxy.get(&target).x_cache(), proxy.get(&target).x_cache()), ("MISS", "HIT"));
        proxy.client().ask("POST", &format!("/{status}"), &[]);
        assert_eq!(proxy.get(&target).x_cache() == "HIT", stays, "{status}");
    }
}

#[test]
fn many_posts_to_a_path_make_its_lists_be_validated_once_a_second_and_the_last_one_is_seen() {
    let origin = lists();
    let proxy = Proxy::start(&origin, &[]);
    assert_eq!(proxy.get("/items?page=1").text(), "0");
    let mut client = proxy.client();
    client.ask("POST", "/items", &[]);
    assert_eq!(proxy.get("/items?page=1").text(), "1");
    for _ in 0..20 {
        client.ask("POST", "/items", &[]);
        assert_eq!(proxy.get("/items?page=1").text(), "1", "not before the second is over");
    }
    // the clock of ages stands still: it is the purge that comes behind
    until("the last POST to take effect", || proxy.get("/items?page=1").text() == "21");
    let gets = origin.requests().iter().filter(|request| request.method == "GET").count();
    assert_eq!(gets, 3);
}

#[test]
fn a_list_that_was_fetched_before_a_post_and_comes_after_it_is_validated() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match (request.index, request.method.as_str()) {
        (_, "POST") => respond(201, &[], ""),
        (0, _) => [vec![Step::Wait(held.clone())], respond(200, &["ETag: \"0\""], "0")].concat(),
        (n, _) => respond(200, &["ETag: \"1\""], n.to_string()),
    });
    let proxy = Proxy::start(&origin, &[]);
    let mut early = proxy.client();
    early.send(request("GET", "/items?page=1", &[]));
    origin.await_requests(1);
    proxy.client().ask("POST", "/items", &[]);
    gate.open();
    assert_eq!(early.response("GET").text(), "0");
    assert_eq!(proxy.get("/items?page=1").text(), "2");
    assert_eq!(proxy.get("/items?page=1").x_cache(), "HIT");
}
