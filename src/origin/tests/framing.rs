//! Where responses end, and what is no response.

use super::rig::{OK, Server, read, request, run, soon};
use crate::{message::Method, origin::OriginError};

#[test]
fn a_body_without_a_length_ends_with_its_connection() {
    run(async {
        for head in [
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n",
        ] {
            let server = Server::answering(format!("{head}hello world!"));
            let client = server.client();
            for _ in 0..2 {
                let got = client.got().await;
                got.is(200, "hello world");
                assert_eq!(got.length, None);
            }
            assert_eq!(server.connections(), 2);
        }
    });
}

#[test]
fn a_body_cut_by_a_reset_is_truncated() {
    run(async {
        for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"] {
            let server = Server::new(move |mut peer| {
                peer.head();
                peer.send(format!("{head}hello"));
                peer.wait();
                peer.reset();
            });
            let client = server.client();
            let mut response = soon(client.0.send(request(Method::GET, "/"), |_| {})).await.unwrap();
            assert_eq!(soon(response.body.next()).await, Some(Ok("hello".into())));
            server.go_on();
            assert_eq!(soon(response.body.next()).await, Some(Err(OriginError::Truncated)));
            assert_eq!(soon(response.body.next()).await, None);
        }
    });
}

#[test]
fn a_body_that_is_cut_short_is_never_whole() {
    run(async {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello!",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n!",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n!",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n!",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n!",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n!",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nhello!",
            "HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nhello!",
        ] {
            let got = Server::answering(answer).client().got().await;
            assert_eq!((got.status, got.body), (200, Err(OriginError::Truncated)), "{answer}");
        }
        for answer in ["HTTP/1.1 200 OK\r\nContent-Le!", "!", "HTTP/1.1 103 x\r\n\r\n!"] {
            let server = Server::answering(answer);
            assert_eq!(server.client().get().await.unwrap_err(), OriginError::Closed, "{answer}");
            assert_eq!(server.connections(), 1, "the first use of a connection is not tried again");
        }
    });
}

#[test]
fn interim_responses_are_told_and_are_never_the_answer() {
    run(async {
        let server = Server::answering(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\n"
                .to_owned()
                + OK,
        );
        let client = server.client();
        for _ in 0..3 {
            let got = client.got().await;
            got.is(200, "ok");
            assert_eq!(got.interims, [103, 102]);
        }
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn an_interim_response_is_told_before_the_answer_comes() {
    run(async {
        let server = Server::new(|mut peer| {
            peer.head();
            peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nConnection: x\r\nX: y\r\n\r\n");
            peer.wait();
            peer.send(OK);
        });
        let teller = server.teller();
        let client = server.client();
        let sent = client.0.send(request(Method::GET, "/"), move |interim| {
            assert_eq!(interim.fields, super::rig::fields(&[("link", "</a>; rel=preload")]));
            teller.send(()).unwrap();
        });
        read(soon(sent).await.unwrap()).await.is(200, "ok");
    });
}

#[test]
fn answers_are_never_mixed_up_by_interim_responses() {
    run(async {
        let server = Server::new(|mut peer| {
            while let Some(head) = peer.head() {
                let path = head.split(' ').nth(1).unwrap();
                peer.send("HTTP/1.1 103 Early Hints\r\n\r\n");
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()));
            }
        });
        let client = server.client();
        for path in ["/a", "/b", "/c"] {
            client.send(request(Method::GET, path)).await.unwrap().is(200, path);
        }
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn a_flood_of_interim_responses_ends() {
    run(async {
        let interims = |n| "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(n) + OK;
        Server::answering(interims(32)).client().got().await.is(200, "ok");
        let flooded = Server::answering(interims(33)).client().get().await.unwrap_err();
        assert_eq!(flooded, OriginError::Protocol("it has too many interim responses"));
        let endless = Server::answering("HTTP/1.1 103 Early Hints\r\n\r\n!").client().get().await.unwrap_err();
        assert_eq!(endless, OriginError::Closed);
    });
}

#[test]
fn responses_without_a_body_end_with_their_head() {
    run(async {
        let get = Method::GET;
        for (method, answer, status, kept) in [
            (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 200, true),
            (Method::HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, true),
            (Method::HEAD, "HTTP/1.1 200 OK\r\n\r\n", 200, true),
            (Method::HEAD, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", 200, false),
            (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, false),
            (get.clone(), "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, true),
            (get.clone(), "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 304, true),
            (get.clone(), "HTTP/1.0 304 Not Modified\r\nConnection: keep-alive\r\n\r\n", 304, true),
            (get.clone(), "HTTP/1.0 304 Not Modified\r\n\r\n", 304, false),
            (get.clone(), "HTTP/1.1 204 No Content\r\n\r\n", 204, true),
            (get.clone(), "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", 204, false),
            (get.clone(), "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 204, false),
            (get.clone(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, true),
            (get.clone(), "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 200, true),
        ] {
            let server = Server::answering(answer);
            let client = server.client();
            for nth in 1..4 {
                let got = client.send(request(method.clone(), "/")).await.unwrap();
                got.is(status, "");
                if answer.contains("Length: 5") {
                    let length = (status != 204).then_some(5);
                    assert_eq!(got.length, length);
                    assert_eq!(got.field("content-length"), length.map(|_| "5"));
                }
                assert_eq!(server.connections(), if kept { 1 } else { nth }, "{answer}");
            }
        }
    });
}

#[test]
fn what_cannot_be_framed_safely_is_refused() {
    const CHUNKED: &str = "its Transfer-Encoding is not chunked alone";
    const BOTH: &str = "it has both Content-Length and Transfer-Encoding";
    const NO_NUMBER: &str = "its Content-Length is no number";
    run(async {
        let hello = "5\r\nhello\r\n0\r\n\r\n";
        for (answer, why) in [
            (format!("1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{hello}"), BOTH),
            (format!("1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n{hello}"), BOTH),
            ("1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!".into(), "its Content-Lengths differ"),
            ("1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello".into(), "its Content-Lengths differ"),
            ("1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello".into(), NO_NUMBER),
            ("1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello".into(), NO_NUMBER),
            ("1.1 200 OK\r\nContent-Length: 5,\r\n\r\nhello".into(), NO_NUMBER),
            ("1.1 200 OK\r\nContent-Length: \r\n\r\nhello".into(), NO_NUMBER),
            ("1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello".into(), NO_NUMBER),
            ("1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nhello".into(), NO_NUMBER),
            (format!("1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{hello}"), CHUNKED),
            (format!("1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n{hello}"), CHUNKED),
            ("1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello".into(), CHUNKED),
            (format!("1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{hello}"), CHUNKED),
            (format!("1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n{hello}"), "its head is malformed"),
            ("1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello".into(), "its head is malformed"),
            ("1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5\r\n\r\nhello".into(), "its head is malformed"),
            ("1.1 200 OK\r\nX: a\rContent-Length: 5\r\n\r\nhello".into(), "its head is malformed"),
            ("1.1 200 OK\r\nX y: a\r\nContent-Length: 5\r\n\r\nhello".into(), "its head is malformed"),
            ("1.1 200 OK\r\nX\r\nContent-Length: 5\r\n\r\nhello".into(), "its head is malformed"),
            ("1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw".into(), "it switches protocols unasked"),
            ("1.1 099 Odd\r\nContent-Length: 5\r\n\r\nhello".into(), "its status code is not between 100 and 999"),
            ("1.1 20 Odd\r\nContent-Length: 5\r\n\r\nhello".into(), "its status line is malformed"),
            ("2 200 OK\r\nContent-Length: 5\r\n\r\nhello".into(), "its status line is malformed"),
            ("0.9\r\n\r\nhello".into(), "its status line is malformed"),
        ] {
            let refused = Server::answering(format!("HTTP/{answer}")).client().get().await.unwrap_err();
            assert_eq!(refused, OriginError::Protocol(why), "{answer:?}");
        }
        for (chunks, why) in [
            ("0x5\r\nhello\r\n0\r\n\r\n", "its chunk size is no number"),
            ("ZZ\r\nhello\r\n0\r\n\r\n", "its chunk size is no number"),
            ("5\nhello\r\n0\r\n\r\n", "its chunk size is no number"),
            ("5\r\nhelloX\r\n0\r\n\r\n", "its chunks are malformed"),
            ("10000000000000005\r\nhello\r\n0\r\n\r\n", "its chunk size is too large"),
            (&format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(5000)), "its chunk extensions are too long"),
            (&format!("0\r\nX: {}\r\n\r\n", "x".repeat(20_000)), "its trailer section is too large"),
        ] {
            let server = Server::answering(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
            assert_eq!(server.client().got().await.body, Err(OriginError::Protocol(why)), "{chunks:?}");
        }
    });
}

#[test]
fn harmless_oddities_pass() {
    run(async {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 005\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
            "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 Caf\u{e9}\r\nX-B: caf\u{e9}\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade, keep-alive\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n005 \r\nhello\r\n000\r\nX: y\r\n\r\n",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
        ] {
            let server = Server::answering(answer);
            let client = server.client();
            for _ in 0..2 {
                let got = client.got().await;
                got.is(200, "hello");
                if answer.contains("Content-Length") {
                    assert_eq!((got.length, got.field("content-length")), (Some(5), Some("5")));
                }
                assert_eq!(got.field("upgrade"), None);
            }
            assert_eq!(server.connections(), 1, "{answer}");
        }
    });
}

#[test]
fn fields_keep_their_order_and_their_repeats_and_lose_what_was_for_this_hop() {
    run(async {
        let server = Server::answering(
            "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nX-One: \u{e9}\r\nKeep-Alive: timeout=5\r\nSET-COOKIE: b\r\n\
             Connection: keep-alive, X-Hop, Cache-Control\r\nX-Hop: 1\r\nCache-Control: no-store\r\nTrailer: X\r\n\
             Proxy-Connection: x\r\nTE: x\r\nProxy-Authenticate: Basic\r\nProxy-Authentication-Info: x\r\n\
             set-cookie: c\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: trailer\r\n\r\n",
        );
        let got = server.client().got().await;
        got.is(200, "ok");
        let lines: Vec<_> = got.fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let want: [(&str, &[u8]); 5] = [
            ("set-cookie", b"a"),
            ("x-one", "\u{e9}".as_bytes()),
            ("set-cookie", b"b"),
            ("cache-control", b"no-store"),
            ("set-cookie", b"c"),
        ];
        assert_eq!(lines, want);
    });
}

#[test]
fn a_head_has_limits() {
    run(async {
        let lines = |n: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{}\r\nok", "X: y\r\n".repeat(n - 1));
        let got = Server::answering(lines(200)).client().got().await;
        got.is(200, "ok");
        assert_eq!(got.fields.len(), 200);
        let many = Server::answering(lines(201)).client().get().await.unwrap_err();
        assert_eq!(many, OriginError::Protocol("its head has more field lines than allowed"));

        let sized = |n: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: {}\r\n\r\nok", "a".repeat(n));
        Server::answering(sized(64 * 1024 - 60)).client().got().await.is(200, "ok");
        let large = Server::answering(sized(64 * 1024)).client().get().await.unwrap_err();
        assert_eq!(large, OriginError::Protocol("its head is larger than allowed"));
    });
}

#[test]
fn many_requests_at_once_get_their_own_answers() {
    run(async {
        let server = Server::new(|mut peer| {
            while let Some(head) = peer.head() {
                let path = head.split(' ').nth(1).unwrap();
                peer.send("HTTP/1.1 103 E\r\n\r\n");
                peer.send(format!(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{path}\r\n",
                    path.len()
                ));
                peer.send("0\r\n\r\n");
            }
        });
        let client = std::rc::Rc::new(server.client());
        for round in 0..5 {
            let tasks: Vec<_> = (0..50)
                .map(|nth| {
                    let client = client.clone();
                    tokio::task::spawn_local(async move {
                        let path = format!("/{round}/{nth}");
                        client.send(request(Method::GET, &path)).await.unwrap().is(200, &path);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
        assert!(server.connections() <= 50);
    });
}
