//! What is no attack, or only looks like one, is framed anew, and each request gets its own answer.

use std::collections::BTreeSet;

use super::{SMUGGLED, target, tuned};
use crate::support::{CANARY, Client, Origin, PATIENCE, Proxy, request, respond};

fn targets(origin: &Origin) -> Vec<String> {
    origin.requests().iter().map(|request| request.target.clone()).collect()
}

#[test]
fn s04_a_framing_field_spelled_with_an_underscore_frames_nothing_and_goes_no_further() {
    let target = target(&[]);
    let mut client = target.proxy.client();
    let spelled = [
        "Transfer_Encoding: chunked",
        "Content_Length: 0",
        "Proxy_Connection: close",
        "Keep_Alive: timeout=1",
        "HTTP2_Settings: x",
        "Max_Forwards: 0",
        "Accept_Language: de",
        "If_None_Match: *",
        "Content_Type: text/x",
    ];
    client.send(request("POST", "/a", &[&["Content-Length: 5", "X_Mine: 1", "api_key: 2"], &spelled[..]].concat()));
    assert_eq!(client.send("0\r\n\r\n").response("POST").text(), "/a");
    let seen = &target.origin.requests()[0];
    assert_eq!((seen.body.as_slice(), seen.field("Transfer-Encoding")), (&b"0\r\n\r\n"[..], None));
    let left: Vec<_> = seen.fields.iter().map(|(name, _)| name.as_str()).filter(|name| name.contains('_')).collect();
    assert_eq!(left, ["X_mine", "Api_key"]);
}

#[test]
fn s13_trailers_are_read_and_left_behind() {
    let target = target(&[]);
    let mut client = target.proxy.client();
    client.send(
        "POST /a HTTP/1.1\r\nHost: larder.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\
         Content-Length: 50\r\nTransfer-Encoding: x\r\nHost: evil\r\n\r\n",
    );
    assert_eq!(client.response("POST").text(), "/a");
    assert_eq!(client.get("/b").text(), "/b");
    let seen = target.origin.requests();
    assert_eq!((seen.len(), seen[0].body.as_slice()), (2, &b"hello"[..]));
    assert!(!String::from_utf8_lossy(&seen[0].head).contains("evil"));
}

#[test]
fn s16_an_upgrade_that_is_not_made_is_an_ordinary_request() {
    for fields in [
        &["Upgrade: foo", "Connection: upgrade"][..],
        &["Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Connection: Upgrade, HTTP2-Settings"],
    ] {
        let target = target(&[]);
        let mut client = target.proxy.client();
        client.send(request("GET", "/x", fields)).send(request("GET", "/admin", &[]));
        assert_eq!([client.response("GET").text(), client.response("GET").text()], ["/x", "/admin"]);
        for seen in target.origin.requests() {
            for name in ["Upgrade", "HTTP2-Settings", "Connection"] {
                assert_eq!(seen.field(name), None, "{name}");
            }
        }
    }
}

fn with_stored() -> (Origin, Proxy) {
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: max-age=60"], &request.target));
    let proxy = Proxy::start(&origin, &[]);
    assert_eq!(proxy.get("/hit").x_cache(), "MISS");
    (origin, proxy)
}

#[test]
fn s18_the_body_of_a_request_that_is_answered_from_the_cache_is_never_a_request() {
    let (length, size) = (SMUGGLED.len(), format!("{:x}", SMUGGLED.len()));
    for (fields, body) in [
        (format!("Content-Length: {length}"), SMUGGLED.to_owned()),
        ("Transfer-Encoding: chunked".to_owned(), format!("{size}\r\n{SMUGGLED}\r\n0\r\n\r\n")),
    ] {
        for late in [false, true] {
            let (origin, proxy) = with_stored();
            let mut client = proxy.client();
            client.send(request("GET", "/hit", &[&fields]));
            client.send(&body[..1]).send(&body[1..]);
            if late {
                assert_eq!(client.response("GET").text(), "/hit");
                client.send(request("GET", "/next", &[]));
            } else {
                client.send(request("GET", "/next", &[]));
                assert_eq!(client.response("GET").text(), "/hit");
            }
            assert_eq!(client.response("GET").text(), "/next");
            assert!(!targets(&origin).contains(&"/smuggled".to_owned()), "{:?}", targets(&origin));
        }
    }
}

#[test]
fn s19_content_of_get_and_head_is_never_part_of_a_shared_answer() {
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PURGE", "UNHEARD-OF", "POST", "PUT", "PATCH", "QUERY"] {
        let target = target(&[]);
        let mut client = target.proxy.client();
        let length = format!("Content-Length: {}", SMUGGLED.len());
        client.send(request(method, "/x", &[&length])).send(SMUGGLED).send(request("GET", "/next", &[]));
        assert_eq!(client.response(method).status, 200);
        assert_eq!(client.response("GET").text(), "/next");
        let seen = target.origin.requests();
        assert_eq!(targets(&target.origin), ["/x", "/next"], "{method}");
        assert_eq!(seen[0].body, SMUGGLED.as_bytes());
        if !matches!(method, "POST" | "PUT" | "PATCH" | "QUERY") {
            // an origin that does not read it must not take it for a request: the connection ends with it
            assert_eq!(seen[0].field("Connection"), Some("close"), "{method}");
            assert_ne!(seen[0].connection, seen[1].connection, "{method}");
        }
    }
}

#[test]
fn s20_what_goes_out_has_one_framing_field_that_fits_its_bytes() {
    let target = target(&[]);
    let mut client = target.proxy.client();
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "PURGE"] {
        for (fields, body) in [
            (&[][..], ""),
            (&["Content-Length: 5"], "hello"),
            (&["Content-Length: 0"], ""),
            (&["Transfer-Encoding: chunked"], "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            (&["Transfer-Encoding: chunked"], "0\r\n\r\n"),
        ] {
            client.send(request(method, "/a", fields)).send(body);
            let response = client.response(method);
            assert_eq!(response.status, 200, "{method} {fields:?}");
            if response.field("Connection").is_some() {
                client = target.proxy.client();
            }
            let seen = target.origin.requests().pop().unwrap();
            let framing: Vec<_> = seen
                .fields
                .iter()
                .filter(|(name, _)| {
                    ["content-length", "transfer-encoding"].contains(&name.to_ascii_lowercase().as_str())
                })
                .collect();
            let expected = if body.contains("llo") { "hello" } else { "" };
            assert_eq!(seen.body, expected.as_bytes(), "{method} {fields:?}");
            assert!(framing.len() <= 1, "{method} {fields:?}: {framing:?}");
            assert!(!framing.is_empty() || expected.is_empty(), "{method} {fields:?}");
        }
    }
}

#[test]
fn s20_chunked_content_is_whole_before_the_origin_is_asked_where_it_comes_soon() {
    let target = tuned(&[], |config| config.client.ahead_pause = PATIENCE);
    let mut client = target.proxy.client();
    for (method, expected) in [("POST", "hello"), ("QUERY", "hello"), ("GET", "hello"), ("DELETE", "")] {
        client.send(request(method, "/a", &["Transfer-Encoding: chunked"]));
        if !expected.is_empty() {
            client.send("2\r\nhe\r\n").send("3;x=y\r\nllo\r\n");
        }
        let response = client.send("0\r\nX-Trailer: 1\r\n\r\n").response(method);
        assert_eq!(response.text(), "/a", "{method}");
        let seen = target.origin.requests().pop().unwrap();
        assert_eq!(seen.body, expected.as_bytes(), "{method}");
        let length = (!expected.is_empty()).then_some("5");
        assert_eq!((seen.field("Content-Length"), seen.field("Transfer-Encoding")), (length, None), "{method}");
    }
}

#[test]
fn s20_chunked_content_that_pauses_or_is_long_streams_to_the_origin() {
    let paused = target(&[]);
    let mut client = paused.proxy.client();
    client.send(request("POST", "/paused", &["Transfer-Encoding: chunked"])).send("5\r\nhello\r\n");
    // the rest comes only when the origin has been asked
    paused.origin.await_heads(1);
    assert_eq!(client.send("5\r\nworld\r\n0\r\n\r\n").response("POST").text(), "/paused");
    assert_eq!(paused.origin.requests()[0].body, b"helloworld");

    let long = tuned(&[], |config| config.client.ahead_pause = PATIENCE);
    let mut client = long.proxy.client();
    client.send(request("POST", "/long", &["Transfer-Encoding: chunked"]));
    client.send([b"11170\r\n", &[b'x'; 70_000][..], b"\r\n"].concat());
    long.origin.await_heads(1);
    assert_eq!(client.send("1\r\ny\r\n0\r\n\r\n").response("POST").text(), "/long");
    let seen = long.origin.requests()[0].body.clone();
    assert!(seen.len() == 70_001 && seen.ends_with(b"xy"), "{}", seen.len());
}

#[test]
fn s21_an_expectation_never_leaves_larder_and_never_mixes_up_two_answers() {
    for status in [200, 404, 417] {
        let origin = Origin::before_bodies(move |request| respond(status, &[], &request.target));
        let proxy = Proxy::start(&origin, &["--workers", "1"]);
        let (mut a, mut b) = (proxy.client(), proxy.client());
        a.send(request("POST", "/a", &["Expect: 100-continue", "Content-Length: 10"]));
        a.send("0123456789");
        assert_eq!(a.response("POST").text(), "/a");
        assert_eq!(b.ask("GET", "/victim", &[&format!("Cookie: {CANARY}")]).text(), "/victim");
        assert_eq!(b.ask("GET", "/next", &["Expect: 100-continue"]).text(), "/next");
        assert!(origin.requests().iter().all(|request| request.field("Expect").is_none()));
    }
}

#[test]
fn s22_one_host_has_one_spelling() {
    let (_origin, proxy) = with_stored();
    let ask = |host: &str| {
        let mut client = Client::connect(proxy.address);
        client.send(format!("GET /hit HTTP/1.1\r\nHost: {host}\r\n\r\n")).response("GET")
    };
    for same in ["larder.test", "LARDER.Test", "larder.test.", "larder.test:80", "larder.test:"] {
        assert_eq!(ask(same).x_cache(), "HIT", "{same}");
    }
    for other in ["larder.test:1337", "larder", "test"] {
        assert_eq!(ask(other).x_cache(), "MISS", "{other}");
    }
}

#[test]
fn s23_s24_the_origin_gets_a_path_whatever_the_form() {
    let target = target(&["--allow-host", "larder.test"]);
    let mut client = target.proxy.client();
    for (asked, seen) in [
        ("http://larder.test/x?y", "/x?y"),
        ("HTTP://LARDER.TEST", "/"),
        ("http://larder.test?q", "/?q"),
        ("//evil/x", "//evil/x"),
        ("/http://evil/", "/http://evil/"),
        ("/@evil", "/@evil"),
    ] {
        assert_eq!(client.get(asked).status, 200, "{asked}");
        let request = target.origin.requests().pop().unwrap();
        assert_eq!(request.target, seen);
        assert_eq!(request.field("Host"), Some("larder.test"), "{asked}");
    }
    let before = target.origin.request_count();
    assert_eq!(client.ask("OPTIONS", "*", &[]).status, 204);
    assert_eq!(target.origin.request_count(), before);
}

#[test]
fn s23_a_host_that_is_not_allowed_is_refused_in_every_form() {
    let target = target(&["--allow-host", "larder.test"]);
    target.refuses("Host", b"GET /a HTTP/1.1\r\nHost: evil\r\n\r\n", 421);
    target.refuses("absolute", b"GET http://evil/a HTTP/1.1\r\nHost: evil\r\n\r\n", 421);
    target.is_untouched();
}

#[test]
fn s25_nominated_fields_are_removed_and_larders_own_are_added_after() {
    let target = target(&[]);
    let mut client = target.proxy.client();
    let fields =
        ["Connection: keep-alive, X-One, x-TWO", "X-One: 1", "X-Two: 2", "X-Three: 3", "Keep-Alive: x", "TE: x"];
    assert_eq!(client.ask("GET", "/a", &fields).status, 200);
    let seen = &target.origin.requests()[0];
    for gone in ["X-One", "X-Two", "Keep-Alive", "TE", "Connection"] {
        assert_eq!(seen.field(gone), None, "{gone}");
    }
    assert_eq!(seen.field("X-Three"), Some("3"));
    assert!(seen.field("Via").is_some() && seen.field("X-Forwarded-For").is_some());
}

#[test]
fn s27_pipelined_requests_are_answered_in_their_order() {
    let target = target(&[]);
    let mut client = target.proxy.client();
    let all: Vec<u8> = (0..40).flat_map(|n| request("GET", &format!("/{n}"), &[])).collect();
    client.send(all);
    for n in 0..40 {
        assert_eq!(client.response("GET").text(), format!("/{n}"));
    }
    client.send("POST /p HTTP/1.1\r\nHost: larder.test\r\nContent-Length: 5\r\n\r\nhello").send(request(
        "GET",
        "/g",
        &[],
    ));
    assert_eq!([client.response("POST").text(), client.response("GET").text()], ["/p", "/g"]);
}

#[test]
fn s27_a_malformed_request_does_not_touch_the_answers_before_it() {
    let target = target(&[]);
    let mut client = target.proxy.client();
    client.send(request("GET", "/a", &[])).send(request("GET", "/b", &[]));
    client.send(request("GET", "/c", &["Content-Length: x"])).send(SMUGGLED);
    assert_eq!([client.response("GET").text(), client.response("GET").text()], ["/a", "/b"]);
    assert_eq!(client.response("GET").status, 400);
    assert_eq!(client.rest(), b"");
    assert_eq!(targets(&target.origin), ["/a", "/b"]);
}

#[test]
fn s27_a_request_that_comes_in_two_pieces_is_the_same_request() {
    let target = target(&[]);
    let whole = [
        b"POST /split HTTP/1.1\r\nHost: larder.test\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(),
        b"5;a=b\r\nhello\r\n0\r\n\r\n",
    ]
    .concat();
    let mut client = target.proxy.client();
    for at in 1..whole.len() {
        client.send(&whole[..at]).send(&whole[at..]);
        assert_eq!(client.response("POST").text(), "/split", "split at {at}");
    }
    let seen = target.origin.requests();
    assert_eq!(seen.len(), whole.len() - 1);
    let bodies: BTreeSet<_> = seen.into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, BTreeSet::from([b"hello".to_vec()]));
}

#[test]
fn s28_what_comes_after_a_deadline_is_never_a_request() {
    let target = target(&["--body-timeout", "100ms", "--head-timeout", "100ms"]);
    let paused: [&[u8]; 2] =
        [b"POST /a HTTP/1.1\r\nHost: larder.test\r\nContent-Length: 50\r\n\r\n", b"GET /a HTTP/1.1\r\nHost: larder"];
    for bytes in paused {
        let mut client = target.proxy.client();
        client.send(bytes);
        assert_eq!(client.response("GET").status, 408);
        // it may be gone already
        let _ = client.try_send(SMUGGLED);
        assert_eq!(client.rest(), b"");
    }
    assert_eq!(target.proxy.get("/last").text(), "/last");
    assert_eq!(targets(&target.origin), ["/last"]);
}

#[test]
fn s28_content_that_comes_behind_an_early_answer_is_never_a_request() {
    let origin = Origin::before_bodies(|request| respond(200, &[], &request.target));
    let proxy = Proxy::start(&origin, &[]);
    let mut client = proxy.client();
    client.send(request("POST", "/early", &[&format!("Content-Length: {}", SMUGGLED.len() + 10)]));
    let mut early = client.head();
    client.send(SMUGGLED).send("0123456789");
    client.body("POST", &mut early);
    assert_eq!(early.text(), "/early");
    if early.field("Connection").is_some() {
        assert_eq!(client.rest(), b"");
    } else {
        assert_eq!(client.get("/next").text(), "/next");
    }
    assert!(!targets(&origin).contains(&"/smuggled".to_owned()));
}
