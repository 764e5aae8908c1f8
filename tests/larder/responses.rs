//! Responses as they are: what Larder does not touch, and how it lets go of what nobody wants any more.

use std::{
    io::{self, Write},
    net::TcpListener,
    sync::mpsc,
    thread,
};

use crate::support::{End, Origin, PATIENCE, Proxy, Step, request, respond};

const FRESH: &str = "Cache-Control: max-age=600";

fn raw(bytes: impl Into<Vec<u8>>) -> Vec<Step> {
    vec![Step::Send(bytes.into()), Step::Close]
}

#[test]
fn encoded_content_is_never_decoded() {
    let bomb: Vec<u8> = [&b"\x1f\x8b\x08"[..], &[0xff; 5000]].concat();
    for coding in ["gzip", "br", "zstd", "deflate", "gzip, gzip", "x-own"] {
        let line = format!("Content-Encoding: {coding}");
        let origin = Origin::always(respond(200, &[FRESH, &line], &bomb));
        let proxy = Proxy::start(&origin, &[]);
        for word in ["MISS", "HIT"] {
            let answer = proxy.get("/");
            assert_eq!((answer.x_cache(), answer.field("Content-Encoding")), (word, Some(coding)));
            assert!(answer.body == bomb && answer.field("Content-Length") == Some("5003"), "{coding}");
        }
    }
}

#[test]
fn every_byte_value_gets_through_a_body() {
    let body: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let chunked = [&b"11170\r\n"[..], &body, b"\r\n0\r\n\r\n"].concat();
    for (framing, content) in [("Content-Length: 70000", &body), ("Transfer-Encoding: chunked", &chunked)] {
        let head = format!("HTTP/1.1 200 OK\r\n{FRESH}\r\n{framing}\r\n\r\n").into_bytes();
        let origin = Origin::always(raw([head, content.clone()].concat()));
        let proxy = Proxy::start(&origin, &[]);
        for word in ["MISS", "HIT"] {
            let answer = proxy.get("/");
            assert_eq!((answer.x_cache(), answer.end), (word, End::Whole));
            assert!(answer.body == body, "{framing}");
        }
    }
}

#[test]
fn field_values_that_are_not_ascii_go_through_as_they_are() {
    let head = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nX-Utf8: \xc3\xbc\r\nX-Latin: \xfc\xff\r\nContent-Length: 0\r\n\r\n";
    let origin = Origin::always(raw(head.to_vec()));
    let proxy = Proxy::start(&origin, &[]);
    for _ in 0..2 {
        let answer = proxy.get("/");
        for value in [&b": \xc3\xbc\r\n"[..], b": \xfc\xff\r\n"] {
            assert!(answer.head.windows(value.len()).any(|window| window == value), "{answer:?}");
        }
    }
}

#[test]
fn any_status_gets_through_and_its_reason_phrase_means_nothing() {
    for (line, status) in [
        ("HTTP/1.1 200 ", 200),
        ("HTTP/1.1 200", 200),
        ("HTTP/1.1 299 Own Words", 299),
        ("HTTP/1.1 418 \u{fc}", 418),
        ("HTTP/1.1 599 OK", 599),
        ("HTTP/1.1 451 Unavailable For Legal Reasons", 451),
        ("HTTP/1.0 200 OK", 200),
    ] {
        let origin = Origin::always(raw(format!("{line}\r\nContent-Length: 2\r\n\r\nok").into_bytes()));
        let answer = Proxy::start(&origin, &[]).get("/");
        assert_eq!((answer.status, answer.text().as_str(), answer.end), (status, "ok", End::Whole), "{line}");
        assert!(answer.head.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{line}");
    }
}

#[test]
fn a_head_that_is_malformed_is_a_502_and_not_one_byte_of_it_is_used() {
    for line in [
        "X-\u{fc}: 1",
        "X: a\x01b",
        "X: a\x7fb",
        " X: folded",
        ": no name",
        "X Y: 1",
        "X\0: 1",
        "X(): 1",
        "X: a\nY: b\rZ: c",
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n{line}\r\n\r\nevil");
        let origin = Origin::always(raw(head.into_bytes()));
        let answer = Proxy::start(&origin, &[]).get("/");
        assert_eq!((answer.status, answer.text().contains("evil")), (502, false), "{line:?}");
    }
}

#[test]
fn whitespace_before_a_colon_of_the_origins_is_taken_out() {
    let origin = Origin::always(raw("HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 2\r\n\r\nok"));
    let answer = Proxy::start(&origin, &[]).get("/");
    assert!(answer.status == 502 || answer.field("X-A") == Some("1"), "{answer:?}");
}

/// An origin that never ends its body; tells when its connection was closed from the other side.
fn endless(control: &'static str) -> (String, mpsc::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (closed, told) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = io::Read::read(&mut stream, &mut [0; 4096]);
        write!(stream, "HTTP/1.1 200 OK\r\nCache-Control: {control}\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        let chunk = [&b"10000\r\n"[..], &[b'x'; 65536], b"\r\n"].concat();
        let mut sent = 0;
        while stream.write_all(&chunk).is_ok() {
            sent += 65536;
        }
        let _ = closed.send(sent);
    });
    (url, told)
}

#[test]
fn an_endless_body_streams_and_ends_when_its_client_leaves() {
    for control in ["no-store", "max-age=600"] {
        let (url, closed) = endless(control);
        let proxy = Proxy::before(&url, &[]);
        let mut client = proxy.client();
        assert_eq!(client.send(request("GET", "/", &[])).head().status, 200);
        for _ in 0..64 {
            client.bytes(64 << 10);
        }
        assert!(closed.try_recv().is_err(), "{control}: it goes on while somebody reads");
        drop(client);
        let sent = closed.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{control}: the origin still sends"));
        assert!(sent < 512 << 20, "{control}: {sent} bytes for nobody");
    }
}

#[test]
fn a_client_that_leaves_a_request_for_it_alone_ends_the_origins_work() {
    let (url, closed) = endless("no-store");
    let proxy = Proxy::before(&url, &[]);
    let mut client = proxy.client();
    client.send(request("POST", "/", &["Content-Length: 0"])).head();
    drop(client);
    closed.recv_timeout(PATIENCE).expect("the origin still sends");
}
