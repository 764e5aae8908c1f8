//! What clients are told where the origin does not answer: in words, at once, and nothing of anybody's request.

use std::net::TcpListener;

use larder::clock;

use crate::support::{CANARY, Client, End, Gate, Origin, Proxy, Response, Step, respond};

/// A URL where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A problem of RFC 9457 with this status, and Proxy-Status with this error.
fn assert_problem(answer: &Response, status: u16, error: &str) {
    assert_eq!((answer.status, answer.end), (status, End::Whole), "{answer:?}");
    assert_eq!(answer.field("Content-Type"), Some("application/problem+json"));
    assert_eq!(answer.field("Cache-Control"), Some("no-store"));
    assert_eq!(answer.field("Proxy-Status"), Some(format!("larder; error={error}").as_str()));
    assert_eq!((answer.x_cache(), answer.field("Age")), ("MISS", None));
    assert!(answer.cache_status().starts_with("larder; fwd="), "{}", answer.cache_status());
    assert!(answer.field("Date").is_some() && answer.field("Via").is_some());
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["status"], status);
    let detail = problem["detail"].as_str().unwrap();
    // the same reason in both places, in the body as a sentence and with what to check
    let reason = answer.detail();
    let sentence = format!("{}{}. Check ", reason[..1].to_uppercase(), &reason[1..]);
    assert!(detail.starts_with(&sentence), "{detail}");
}

#[test]
fn an_origin_that_is_down_is_a_502_at_once() {
    let proxy = Proxy::before(&nobody(), &[]);
    for _ in 0..3 {
        let asked = clock::instant();
        assert_problem(&proxy.get("/"), 502, "connection_refused");
        // the default would let it try for five seconds
        assert!(asked.elapsed().as_secs() < 2);
    }
}

#[test]
fn a_name_that_cannot_be_resolved_is_a_502() {
    // a label of more than 63 bytes is no name that anybody would be asked for
    let proxy = Proxy::before(&format!("http://{}.invalid", "a".repeat(70)), &[]);
    assert_problem(&proxy.get("/"), 502, "dns_error");
}

#[test]
fn an_origin_that_does_not_answer_in_time_is_a_504_and_its_connection_is_given_up() {
    let origin = Origin::always(vec![Step::Wait(Gate::closed())]);
    let proxy = Proxy::start(&origin, &["--first-byte-timeout", "100ms"]);
    assert_problem(&proxy.get("/"), 504, "http_response_timeout");
    let dribbling = Origin::always(vec![Step::Send(b"HTTP/1.1 200 OK\r\nX-A: ".to_vec()), Step::Wait(Gate::closed())]);
    let proxy = Proxy::start(&dribbling, &["--first-byte-timeout", "100ms", "--between-bytes-timeout", "100ms"]);
    assert_eq!(proxy.get("/").status, 504);
}

#[test]
fn a_body_that_stops_coming_is_broken_off() {
    for framing in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n{framing}");
        let origin = Origin::answering(move |request| match request.index {
            0 => vec![Step::Send(head.clone().into_bytes()), Step::Wait(Gate::closed())],
            _ => respond(200, &[], "whole"),
        });
        let proxy = Proxy::start(&origin, &["--between-bytes-timeout", "100ms"]);
        let broken = proxy.get("/");
        assert_eq!((broken.status, broken.text().as_str()), (200, "hello"));
        assert!(matches!(broken.end, End::Cut | End::Broken), "{:?}", broken.end);
        assert_eq!((proxy.get("/").text().as_str(), origin.request_count()), ("whole", 2));
    }
}

#[test]
fn an_origin_that_closes_or_speaks_no_http_is_a_502() {
    for (answer, error) in [
        (vec![Step::Close], "connection_terminated"),
        (vec![Step::Send(b"SSH-2.0-x\r\n\r\n".to_vec()), Step::Close], "http_protocol_error"),
    ] {
        let origin = Origin::always(answer);
        assert_problem(&Proxy::start(&origin, &[]).get("/"), 502, error);
    }
}

#[test]
fn the_origins_own_errors_are_passed_on_as_they_are() {
    for status in [400, 404, 418, 500, 502, 503, 504, 599] {
        let origin = Origin::always(respond(status, &["Content-Type: text/x", "Retry-After: 5"], "theirs"));
        let answer = Proxy::start(&origin, &[]).get("/");
        assert_eq!((answer.status, answer.text().as_str(), answer.field("Proxy-Status")), (status, "theirs", None));
        assert_eq!((answer.field("Content-Type"), answer.field("Retry-After")), (Some("text/x"), Some("5")));
    }
}

#[test]
fn nothing_of_a_request_is_in_an_error() {
    let canary = CANARY;
    let proxy = Proxy::before(&nobody(), &[]);
    for (head, statuses) in [
        (
            format!(
                "GET /{canary}?token={canary} HTTP/1.1\r\nHost: {canary}.test\r\nAuthorization: Bearer {canary}\r\nCookie: {canary}\r\n\r\n"
            ),
            [502, 502],
        ),
        (format!("GET {canary} HTTP/1.1\r\nHost: h\r\n\r\n"), [400, 400]),
        (format!("GET / HTTP/1.1\r\nHost: {canary}@x\r\n\r\n"), [400, 400]),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: Cookie\r\nCookie: {canary}\r\n\r\n"), [400, 400]),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nExpect: {canary}\r\n\r\n"), [417, 417]),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nX: \0{canary}\r\n\r\n"), [400, 400]),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nCache-Control: only-if-cached\r\nCookie: {canary}\r\n\r\n"), [504, 504]),
        (format!("CONNECT {canary}:443 HTTP/1.1\r\nHost: {canary}\r\n\r\n"), [501, 501]),
        (format!("GET /{canary}{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(9000)), [414, 431]),
        (format!("GET / HTTP/1.1\r\nHost: h\r\nX: {canary}{}\r\n\r\n", "a".repeat(40_000)), [431, 431]),
        (format!("{}{canary} / HTTP/1.1\r\nHost: h\r\n\r\n", "A".repeat(40)), [501, 400]),
    ] {
        let mut client = proxy.client();
        let answer = client.send(&head).response("GET");
        let shown = &head[..head.len().min(90)];
        assert!(statuses.contains(&answer.status), "{shown:?}: {}", answer.status);
        let everything = [answer.head.as_slice(), &answer.body].concat();
        assert!(!String::from_utf8_lossy(&everything).contains(canary), "{shown:?}");
    }
}

#[test]
fn every_refusal_says_who_refuses_and_why() {
    let origin = Origin::always(respond(200, &[], "asked"));
    let proxy = Proxy::start(&origin, &["--allow-host", "h"]);
    for (head, status, error) in [
        ("GET nonsense HTTP/1.1\r\nHost: h\r\n\r\n", 400, "http_request_error"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "http_request_error"),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: Cookie\r\nCookie: a\r\n\r\n", 400, "http_request_error"),
        ("GET / HTTP/1.1\r\nHost: other\r\n\r\n", 400, "http_request_denied"),
        ("GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", 417, "http_request_error"),
        ("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 501, "http_request_denied"),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 501, "http_request_denied"),
        ("GET / HTTP/1.1\r\nHost: h\r\nCache-Control: only-if-cached\r\n\r\n", 504, "proxy_internal_response"),
        // these never become a request
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_request_denied"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "http_request_error"),
        ("GET /%a HTTP/1.1\r\nHost: h\r\n\r\n", 414, "http_request_error"),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: %a\r\n\r\n", 431, "http_request_error"),
        ("METHODS-OF-MORE-THAN-32-BYTES-EACH / HTTP/1.1\r\nHost: h\r\n\r\n", 501, "http_request_denied"),
    ] {
        let answer = proxy.client().send(head.replace("%a", &"a".repeat(33_000))).response("GET");
        assert_eq!(answer.status, status, "{head:?}");
        let said = ["Proxy-Status", "Content-Type"].map(|name| answer.field(name).unwrap_or_default());
        assert_eq!(said, [&format!("larder; error={error}"), "application/problem+json"], "{head:?}");
        assert_eq!(answer.x_cache(), "MISS", "{head:?}");
        assert!(answer.cache_status().starts_with("larder; detail=\""), "{head:?}: {}", answer.cache_status());
    }
    let narrow = Proxy::start(&origin, &["--max-connections-per-address", "1"]);
    let mut kept = narrow.client();
    assert_eq!(kept.get("/").status, 200);
    let turned_away = narrow.client().send("GET / HTTP/1.1\r\n").response("GET");
    assert_eq!((turned_away.status, turned_away.x_cache()), (429, "MISS"));
    assert_eq!(turned_away.field("Proxy-Status"), Some("larder; error=http_request_denied"));
    // what is no error is no problem either
    let answer = proxy.client().send("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").response("OPTIONS");
    assert_eq!((answer.status, answer.field("Proxy-Status")), (204, None));
    assert_eq!(origin.request_count(), 1, "none of those");
}

#[test]
fn problems_have_the_same_members_in_the_same_order_from_the_client_side_and_from_the_proxy() {
    let proxy = Proxy::before(&nobody(), &["--allow-host", "larder.test"]);
    for (request, title) in [
        ("GET / HTTP/1.1\r\nHost: larder.test\r\nContent-Length: x\r\n\r\n", "Bad Request"),
        ("GET / HTTP/9.9\r\nHost: larder.test\r\n\r\n", "HTTP Version Not Supported"),
        ("CONNECT larder.test:443 HTTP/1.1\r\nHost: larder.test:443\r\n\r\n", "Not Implemented"),
        ("GET / HTTP/1.1\r\nHost: larder.test\r\nExpect: x\r\n\r\n", "Expectation Failed"),
        ("GET / HTTP/1.1\r\nHost: larder.test\r\n\r\n", "Bad Gateway"),
    ] {
        let answer = proxy.client().send(request).response("GET");
        let body = answer.text();
        let detail = body.strip_prefix(&format!("{{\"title\":\"{title}\",\"status\":{},\"detail\":\"", answer.status));
        let detail = detail.and_then(|detail| detail.strip_suffix(".\"}\n")).unwrap_or_else(|| panic!("{body}"));
        assert!(detail.starts_with(|first: char| first.is_ascii_uppercase()), "{body}");
    }
}

#[test]
fn an_error_to_head_has_no_body() {
    let proxy = Proxy::before(&nobody(), &[]);
    let mut client = proxy.client();
    for _ in 0..2 {
        let answer = client.ask("HEAD", "/", &[]);
        assert_eq!((answer.status, answer.body.len()), (502, 0));
        assert!(answer.field("Content-Length").is_some_and(|length| length != "0"));
    }
    assert_eq!(client.get("/").status, 502, "the connection is still in step");
}

#[test]
fn http_1_0_clients_get_answers_that_they_can_read() {
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/length" => respond(200, &[], "by length"),
        "/chunked" => vec![Step::Send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nby\r\n7\r\n chunks\r\n0\r\n\r\n".to_vec(),
        )],
        "/close" => vec![Step::Send(b"HTTP/1.1 200 OK\r\n\r\nby close".to_vec()), Step::Close],
        "/cut" => vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec()), Step::Close],
        _ => vec![Step::Close],
    });
    let proxy = Proxy::start(&origin, &[]);
    for (target, status, body) in
        [("/length", 200, "by length"), ("/chunked", 200, "by chunks"), ("/close", 200, "by close"), ("/gone", 502, "")]
    {
        for fields in ["", "Host: h\r\n", "Connection: keep-alive\r\n"] {
            let mut client = Client::connect(proxy.address);
            let answer = client.send(format!("GET {target} HTTP/1.0\r\n{fields}\r\n")).response("GET");
            assert_eq!((answer.status, answer.field("Transfer-Encoding")), (status, None), "{target} {fields:?}");
            assert!(
                matches!(answer.end, End::Whole | End::Closed) && answer.text().contains(body),
                "{target}: {answer:?}"
            );
            if !fields.starts_with("Connection") {
                assert_eq!(client.rest(), b"", "{target}: the connection ends with the answer");
            }
        }
    }
    let cut = proxy.client().send("GET /cut HTTP/1.0\r\n\r\n").response("GET");
    assert!(matches!(cut.end, End::Cut | End::Broken), "{cut:?}");
}

#[test]
fn waiting_clients_are_released_when_the_origin_fails() {
    let origin = Origin::always(vec![Step::Wait(Gate::closed())]);
    let proxy = Proxy::start(&origin, &["--first-byte-timeout", "200ms"]);
    let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET /same HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.response("GET").status, 504);
    }
    assert!(origin.request_count() <= 2, "{}", origin.request_count());
}

#[test]
fn r20_a_slow_body_streams_byte_by_byte_and_when_it_stalls_all_who_wait_are_released() {
    let gates: Vec<Gate> = (0..12).map(|_| Gate::closed()).collect();
    let held = gates.clone();
    let origin = Origin::answering(move |request| {
        if request.index > 0 {
            return respond(200, &["Cache-Control: max-age=600"], "whole");
        }
        let head = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 100\r\n\r\n";
        let mut steps = vec![Step::Send(head.to_vec())];
        for (byte, gate) in (b'a'..).zip(&held) {
            steps.extend([Step::Wait(gate.clone()), Step::Send(vec![byte])]);
        }
        steps
    });
    let proxy = Proxy::start(&origin, &["--between-bytes-timeout", "2s"]);
    let mut clients: Vec<_> = (0..3).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send(crate::support::request("GET", "/slow", &[]));
        assert_eq!(client.head().status, 200);
    }
    for (byte, gate) in (b'a'..).zip(&gates) {
        gate.open();
        for client in &mut clients {
            assert_eq!(client.bytes(1), [byte], "before the next one is sent");
        }
    }
    for client in &mut clients {
        assert_eq!(client.rest(), b"", "nothing stands in for what is missing");
    }
    origin.await_no_connections();
    let next = proxy.get("/slow");
    assert_eq!((next.x_cache(), next.text().as_str(), origin.request_count()), ("MISS", "whole", 2));
}
