//! What goes out, and answers that come before all of it is out.

use bytes::Bytes;

use super::rig::{OK, Peer, Server, fed, fields, from_fn, pieces, read, request, run, soon, zeros};
use crate::{
    message::{FieldName, FieldValue, Method},
    origin::{OriginError, OriginRequest, Upload},
};

/// Says each request in full, and answers it.
fn echo() -> Server {
    Server::new(|mut peer| {
        while let Some(head) = peer.head() {
            let mut body = Vec::new();
            if head.contains("chunked") {
                body = peer.until(b"0\r\n\r\n");
            } else if let Some(n) = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok()) {
                body = peer.take(n).unwrap();
            }
            peer.say(head + &String::from_utf8(body).unwrap());
            peer.send(OK);
        }
    })
}

#[test]
fn a_request_goes_out_as_it_is_and_nothing_is_added() {
    run(async {
        let mut server = echo();
        let client = server.client();
        client.got().await.is(200, "ok");
        assert_eq!(server.heard().await, "GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n");

        let mut odd = request(Method::GET, "/p%20q/..//%7e|\"<{^`\\[\u{e9}?a=%2f&&b='*#?");
        odd.fields = fields(&[("x-b", "1"), ("host", "a:81"), ("x-a", ""), ("x-b", "2"), ("date", "then")]);
        odd.fields.append(FieldName::from_static("x-c"), FieldValue::from_bytes(b"caf\xe9").unwrap());
        client.send(odd).await.unwrap().is(200, "ok");
        let target: String = "/p%20q/..//%7e|\"<{^`\\[\u{e9}?a=%2f&&b='*#?".bytes().map(char::from).collect();
        assert_eq!(
            server.heard().await,
            format!(
                "GET {target} HTTP/1.1\r\nX-B: 1\r\nHost: a:81\r\nX-A: \r\nX-B: 2\r\nDate: then\r\nX-C: caf\u{e9}\r\n\r\n"
            )
        );
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn a_target_that_would_split_the_request_is_refused() {
    run(async {
        let server = echo();
        for target in ["", "/a b", "/a\r\nx: y", "/a\tb", "/\0", "/\x7f"] {
            let refused = server.client().send(request(Method::GET, target)).await.unwrap_err();
            assert!(matches!(refused, OriginError::Protocol(_)), "{target:?}");
        }
        assert_eq!(server.connections(), 0);
    });
}

#[test]
fn a_body_goes_out_with_its_length_or_chunked_and_framing_is_never_the_callers() {
    run(async {
        let mut server = echo();
        let client = server.client();
        for (length, sent, framing, wire) in [
            (Some(9), &["hello", "", "body"][..], "Content-Length: 9", "hellobody"),
            (Some(0), &[], "Content-Length: 0", ""),
            (None, &["hello", "", "body"], "Transfer-Encoding: chunked", "5\r\nhello\r\n4\r\nbody\r\n0\r\n\r\n"),
            (None, &[], "Transfer-Encoding: chunked", "0\r\n\r\n"),
        ] {
            let mut upload = request(Method::POST, "/");
            upload.fields = fields(&[("expect", "100-continue"), ("content-length", "77"), ("x", "y")]);
            upload.body = Some(Upload { length, pieces: pieces(sent) });
            client.send(upload).await.unwrap().is(200, "ok");
            assert_eq!(server.heard().await, format!("POST / HTTP/1.1\r\nX: y\r\n{framing}\r\n\r\n{wire}"));
        }
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn an_upload_starts_at_once_and_each_piece_goes_out_as_it_comes() {
    run(async {
        for (length, sizes) in [(Some(4), [2, 2]), (None, [7, 7])] {
            let mut server = Server::new(move |mut peer| {
                peer.head();
                peer.say("head");
                for size in sizes {
                    peer.take(size);
                    peer.say("piece");
                }
                peer.until(if length.is_none() { b"0\r\n\r\n" } else { b"" });
                peer.send(OK);
                peer.rest();
            });
            let client = server.client();
            let (feed, source) = fed();
            let driven = async {
                assert_eq!(server.heard().await, "head");
                for piece in ["ab", "cd"] {
                    feed.send(Bytes::from(piece)).unwrap();
                    assert_eq!(server.heard().await, "piece");
                }
                drop(feed);
            };
            let (got, ()) = tokio::join!(client.upload(Method::POST, length, source), driven);
            got.unwrap().is(200, "ok");
        }
    });
}

#[test]
fn an_upload_that_breaks_its_length_or_fails_is_cut_off() {
    run(async {
        for (length, arrives, source) in [
            (Some(20), "hello", pieces(&["hello"])),
            (Some(2), "", pieces(&["hello"])),
            (None, "5\r\nhello\r\n", {
                let mut gave = false;
                from_fn(move || {
                    let first = !std::mem::replace(&mut gave, true);
                    Some(if first { Ok("hello".into()) } else { Err(std::io::ErrorKind::Other.into()) })
                })
            }),
        ] {
            let mut server = Server::new(|mut peer| {
                peer.head();
                let rest = peer.rest();
                peer.say(String::from_utf8(rest).unwrap());
            });
            let failed = server.client().upload(Method::POST, length, source).await.unwrap_err();
            assert_eq!(failed, OriginError::Upload);
            let heard = server.heard().await;
            assert!(arrives.starts_with(&heard), "{heard:?}");
        }
    });
}

// ---- answers before the request is out ----

const TOO_BIG: &str = "HTTP/1.1 413 Too Big\r\nContent-Length: 3\r\n\r\nbig";

/// Answers an upload after its first 1000 bytes.
fn early(answer: &'static str, then: impl Fn(Peer) + Send + Sync + 'static) -> Server {
    Server::new(move |mut peer| {
        if peer.head().unwrap().starts_with("GET") {
            peer.send(OK);
        } else {
            peer.take(1000);
            peer.send(answer);
            then(peer)
        }
    })
}

#[test]
fn an_early_refusal_is_delivered_and_ends_the_upload() {
    run(async {
        for length in [Some(64 << 20), None] {
            // it never reads on
            let server = early(TOO_BIG, |peer| peer.wait());
            let client = server.client();
            let (source, pulled) = zeros(64 << 20);
            client.upload(Method::POST, length, source).await.unwrap().is(413, "big");
            assert!(pulled.get() < 32 << 20, "{} bytes were asked for", pulled.get());
            client.got().await.is(200, "ok");
            assert_eq!(server.connections(), 2);
        }
    });
}

#[test]
fn an_early_refusal_is_delivered_also_where_the_origin_closes_with_it() {
    run(async {
        let server = early(TOO_BIG, drop);
        client_gets_413(&server).await;
        // a reset may overtake the answer unless it was read before
        let server = early(TOO_BIG, |peer| {
            peer.wait();
            peer.reset();
        });
        let client = server.client();
        let upload = Upload { length: Some(64 << 20), pieces: zeros(64 << 20).0 };
        let sent = client.0.send(OriginRequest { body: Some(upload), ..request(Method::POST, "/") }, |_| {});
        let response = soon(sent).await.unwrap();
        assert_eq!(response.head.status, 413);
        server.go_on();
    });
}

async fn client_gets_413(server: &Server) {
    server.client().upload(Method::POST, Some(64 << 20), zeros(64 << 20).0).await.unwrap().is(413, "big");
}

#[test]
fn an_early_refusal_is_seen_while_the_client_sends_nothing() {
    run(async {
        let server = early(TOO_BIG, |peer| peer.wait());
        let (feed, source) = fed();
        feed.send(vec![0; 20_000].into()).unwrap();
        server.client().upload(Method::POST, Some(1 << 20), source).await.unwrap().is(413, "big");
        assert!(feed.is_closed(), "the client's body was let go");
    });
}

#[test]
fn an_early_success_is_delivered_while_the_upload_goes_on() {
    run(async {
        let server = Server::new(|mut peer| {
            while peer.head().is_some() {
                peer.take(10);
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
                if peer.take((8 << 20) - 10).is_some() {
                    peer.send("got all");
                }
            }
        });
        let client = server.client();
        for _ in 0..2 {
            let (source, pulled) = zeros(8 << 20);
            client.upload(Method::PUT, Some(8 << 20), source).await.unwrap().is(200, "got all");
            assert_eq!(pulled.get(), 8 << 20);
        }
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn both_ways_at_once() {
    run(async {
        let server = Server::new(|mut peer| {
            peer.head();
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for _ in 0..3 {
                let piece = peer.take(2).unwrap();
                peer.send("2\r\n");
                peer.send(piece);
                peer.send("\r\n");
            }
            peer.send("0\r\n\r\n");
            peer.rest();
        });
        let (feed, source) = fed();
        let upload = Upload { length: Some(6), pieces: source };
        let client = server.client();
        let sent = client.0.send(OriginRequest { body: Some(upload), ..request(Method::POST, "/") }, |_| {});
        let mut response = soon(sent).await.unwrap();
        for piece in ["ab", "cd", "ef"] {
            feed.send(piece.into()).unwrap();
            assert_eq!(soon(response.body.next()).await, Some(Ok(piece.into())));
        }
        assert_eq!(soon(response.body.next()).await, None);
    });
}

#[test]
fn a_success_that_ends_early_ends_when_the_upload_has() {
    run(async {
        for answer in [
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ] {
            let mut server = early(answer, |mut peer| {
                assert!(peer.take((4 << 20) - 1000).is_some());
                peer.say("all");
                assert!(peer.head().unwrap().starts_with("GET"));
                peer.send(OK);
            });
            let client = server.client();
            let got = client.upload(Method::POST, Some(4 << 20), zeros(4 << 20).0).await.unwrap();
            assert_eq!(got.body.as_deref(), Ok(if answer.contains("ok") { &b"ok"[..] } else { b"" }));
            assert_eq!(server.heard().await, "all");
            client.got().await.is(200, "ok");
            assert_eq!(server.connections(), 1);
        }
    });
}

#[test]
fn a_success_that_ends_early_waits_for_a_slow_client() {
    run(async {
        let mut server = Server::new(|mut peer| {
            peer.head();
            peer.send("HTTP/1.1 103 E\r\n\r\n");
            peer.send("HTTP/1.1 204 No Content\r\n\r\n");
            let body = peer.take(4).unwrap_or_default();
            peer.say(String::from_utf8(body).unwrap());
            peer.head();
            peer.send(OK);
        });
        let client = server.client();
        let (feed, pieces) = fed();
        let body = Some(Upload { length: Some(4), pieces });
        // the body comes only when the answer is on its way
        let fed = std::cell::Cell::new(Some(feed));
        let sent = client.0.send(OriginRequest { body, ..request(Method::POST, "/") }, move |_| {
            let feed = fed.take().unwrap();
            tokio::task::spawn_local(async move {
                for piece in ["ab", "cd"] {
                    tokio::task::yield_now().await;
                    feed.send(piece.into()).unwrap();
                }
            });
        });
        assert_eq!(soon(sent).await.unwrap().head.status, 204);
        assert_eq!(server.heard().await, "abcd");
        client.got().await.is(200, "ok");
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn a_success_whose_origin_closes_before_the_upload_is_out_is_delivered() {
    run(async {
        let server = early("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", |_| {});
        client_gets_ok(&server).await;
    });
}

async fn client_gets_ok(server: &Server) {
    server.client().upload(Method::POST, Some(64 << 20), zeros(64 << 20).0).await.unwrap().is(200, "ok");
}

#[test]
fn an_interim_response_during_an_upload_does_not_end_it() {
    run(async {
        let server = early("HTTP/1.1 103 Early Hints\r\n\r\n", |mut peer| {
            assert!(peer.take((8 << 20) - 1000).is_some());
            peer.send(OK);
            peer.rest();
        });
        let got = server.client().upload(Method::POST, Some(8 << 20), zeros(8 << 20).0).await.unwrap();
        got.is(200, "ok");
        assert_eq!(got.interims, [103]);
    });
}

#[test]
fn responses_are_read_in_order_when_an_upload_has_gone() {
    run(async {
        let server = echo();
        let client = server.client();
        for _ in 0..3 {
            let upload = Upload { length: Some(5), pieces: pieces(&["hello"]) };
            let sent = client.0.send(OriginRequest { body: Some(upload), ..request(Method::POST, "/") }, |_| {});
            read(soon(sent).await.unwrap()).await.is(200, "ok");
            client.got().await.is(200, "ok");
        }
        assert_eq!(server.connections(), 1);
    });
}
