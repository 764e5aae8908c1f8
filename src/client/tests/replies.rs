//! What the core answers, on the wire.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use futures_core::Stream;

use super::rig::{Server, get, last, statuses};
use crate::{
    client::{Options, Piece, Presented, Reply, ReplyBody, Trailers},
    message::{FieldName, FieldValue, Fields, StatusCode},
};

/// A stream that is there already.
struct Ready(std::vec::IntoIter<io::Result<Piece>>);

impl Stream for Ready {
    type Item = io::Result<Piece>;
    fn poll_next(mut self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}

pub(super) fn stream(length: Option<u64>, pieces: &[Result<&'static str, ()>]) -> ReplyBody {
    let pieces: Vec<_> = pieces
        .iter()
        .map(|piece| match piece {
            Ok(piece) => Ok(Bytes::from_static(piece.as_bytes()).into()),
            Err(()) => Err(io::Error::other("gone")),
        })
        .collect();
    ReplyBody::Stream { length, pieces: Box::pin(Ready(pieces.into_iter())) }
}

fn reply(status: u16, body: ReplyBody) -> Reply {
    Reply {
        status: StatusCode::from_u16(status).unwrap(),
        written: None,
        fields: Fields::new(),
        body,
        trailers: Trailers::default(),
    }
}

/// Answers each path with the reply of that name.
async fn core(presented: Presented) -> Reply {
    match presented.target.as_str() {
        "/large" => reply(200, ReplyBody::Bytes(Bytes::from(vec![b'x'; 1 << 20]))),
        "/none" => reply(204, ReplyBody::Empty(None)),
        "/304" => reply(304, ReplyBody::Empty(Some(77))),
        "/304-bare" => reply(304, ReplyBody::Empty(None)),
        "/head" => reply(200, ReplyBody::Empty(Some(1234))),
        "/head-unknown" => reply(200, ReplyBody::Empty(None)),
        "/stream" => reply(200, stream(None, &[Ok("one"), Ok(""), Ok("two")])),
        "/sized" => reply(200, stream(Some(6), &[Ok("one"), Ok("two")])),
        "/long" => reply(200, stream(Some(6), &[Ok("one"), Ok("two and more")])),
        "/short" => reply(200, stream(Some(10), &[Ok("one")])),
        "/broken-sized" => reply(200, stream(Some(10), &[Ok("one"), Err(())])),
        "/broken" => reply(200, stream(None, &[Ok("one"), Err(())])),
        "/odd" => reply(299, ReplyBody::Bytes(Bytes::new())),
        "/bad" => reply(400, ReplyBody::Bytes(Bytes::new())),
        "/last" => {
            presented.connection.close_after();
            reply(200, ReplyBody::Empty(None))
        }
        "/fields" => {
            let mut fields = Fields::new();
            for (name, value) in [
                ("set-cookie", "a=1"),
                ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
                ("set-cookie", "b=2"),
                ("content-length", "999"),
                ("transfer-encoding", "chunked"),
                ("connection", "x"),
            ] {
                fields.append(FieldName::from_static(name), FieldValue::from_static(value));
            }
            Reply {
                status: StatusCode::OK,
                written: None,
                fields,
                body: ReplyBody::Bytes(Bytes::from_static(b"hello")),
                trailers: Trailers::default(),
            }
        }
        _ => reply(200, ReplyBody::Bytes(Bytes::from(format!("{} {}", presented.method, presented.target)))),
    }
}

fn server() -> Server {
    Server::start(Options::default(), core)
}

#[test]
fn a_whole_body_has_its_length_and_a_date_and_nothing_else() {
    let text = server().ask(last("GET", "/x"));
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "GET /x");
    let names: Vec<_> = head.lines().skip(1).map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(names, ["Date", "Content-Length", "Connection"], "{head}");
}

#[test]
fn fields_keep_their_repeats_and_the_origins_date_and_framing_is_ours() {
    let text = server().ask(last("GET", "/fields"));
    assert_eq!(text.matches("Set-Cookie: ").count(), 2, "{text}");
    assert!(text.find("a=1").unwrap() < text.find("b=2").unwrap());
    assert_eq!(text.matches("Date: ").count(), 1);
    assert!(text.contains("1970"));
    assert!(text.contains("Content-Length: 5\r\n") && !text.contains("999") && !text.contains("chunked"));
    assert!(!text.contains("server") && !text.contains("Server"));
}

#[test]
fn statuses_without_a_body_have_none() {
    let server = server();
    let mut client = server.connect();
    for (target, with, without) in [
        ("/none", "204 No Content", "Content-Length"),
        ("/304", "Content-Length: 77\r\n", "chunked"),
        ("/304-bare", "304", "Content-Length"),
    ] {
        client.send(get(target));
        let head = client.until("\r\n\r\n");
        assert!(head.contains(with) && !head.contains(without), "{head}");
    }
    client.send(get("/after"));
    assert!(client.until("GET /after").ends_with("\r\n\r\nGET /after"));
}

#[test]
fn head_has_the_length_and_no_body() {
    let server = server();
    let mut client = server.connect();
    for (target, length) in [("/head", true), ("/head-unknown", false), ("/stream", false), ("/x", true)] {
        client.send(format!("HEAD {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let head = client.until("\r\n\r\n");
        assert_eq!(head.contains("Content-Length: "), length, "{head}");
    }
    client.send(get("/after"));
    let text = client.until("GET /after");
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
}

#[test]
fn streams_are_chunked_for_1_1_and_end_with_the_connection_for_1_0() {
    let server = server();
    let text = server.ask(last("GET", "/stream"));
    assert!(text.contains("Transfer-Encoding: chunked\r\n"));
    assert!(text.ends_with("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"), "{text}");
    let text = server.ask("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(text.ends_with("\r\n\r\nonetwo") && !text.contains("chunked") && !text.contains("keep-alive"), "{text}");
    let mut client = server.connect();
    client.send("GET /sized HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /x HTTP/1.0\r\n\r\n");
    let text = client.rest().text;
    assert_eq!(statuses(&text), [200, 200], "{text}");
    assert!(text.contains("Connection: keep-alive\r\n") && text.contains("onetwo"));
}

#[test]
fn more_than_the_promised_length_is_cut() {
    let text = server().ask(last("GET", "/long"));
    assert!(text.ends_with("\r\n\r\nonetwo"), "{text}");
}

#[test]
fn a_stream_that_breaks_is_seen_to_break() {
    let server = server();
    for target in ["/short", "/broken-sized", "/broken"] {
        let mut client = server.connect();
        client.send(get(target));
        let rest = client.rest();
        assert!(rest.text.contains("one"), "{target}: {rest:?}");
        assert!(!rest.text.contains("\r\n0\r\n"), "{target}: {rest:?}");
        assert_eq!(rest.text.contains("Content-Length: 10"), target != "/broken");
    }
    let mut client = server.connect();
    client.send("GET /broken HTTP/1.0\r\n\r\n");
    assert_eq!(client.rest().broken, Some(io::ErrorKind::ConnectionReset));
    assert_eq!(server.counters.broken.count(), 4);
}

#[test]
fn a_response_that_ends_with_the_connection_is_reset_also_when_the_server_is_stopped_hard() {
    let server = Server::start(Options::default(), |_: Presented| async {
        let first = stream(None, &[Ok("one")]);
        let ReplyBody::Stream { pieces, .. } = first else { unreachable!() };
        reply(200, ReplyBody::Stream { length: None, pieces: Box::pin(ThenNothing(pieces)) })
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    client.until("one");
    drop(server);
    assert_eq!(client.rest().broken, Some(io::ErrorKind::ConnectionReset));
}

/// What was there, and then a wait without an end.
struct ThenNothing(crate::client::Pieces);

impl Stream for ThenNothing {
    type Item = io::Result<Piece>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
        match self.0.as_mut().poll_next(cx) {
            std::task::Poll::Ready(Some(piece)) => std::task::Poll::Ready(Some(piece)),
            _ => std::task::Poll::Pending,
        }
    }
}

/// Counts how often it is asked after its end.
struct Ended(Ready, bool, Arc<AtomicUsize>);

impl Stream for Ended {
    type Item = io::Result<Piece>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
        let asked = Pin::new(&mut self.0).poll_next(cx);
        if self.1 {
            self.2.fetch_add(1, Relaxed);
        }
        self.1 = matches!(asked, std::task::Poll::Ready(None));
        asked
    }
}

#[test]
fn a_stream_is_not_asked_again_after_its_end_while_its_last_bytes_wait_for_the_client() {
    const PIECE: usize = 20_000;
    let too_often = Arc::new(AtomicUsize::new(0));
    let count = too_often.clone();
    let server = Server::start(Options::default(), move |presented: Presented| {
        let pieces: usize = presented.target[1..].parse().unwrap();
        let pieces: Vec<_> = (0..pieces).map(|_| Ok(Bytes::from(vec![b'x'; PIECE]).into())).collect();
        let pieces = Ended(Ready(pieces.into_iter()), false, count.clone());
        let answer = reply(200, ReplyBody::Stream { length: None, pieces: Box::pin(pieces) });
        async move { answer }
    });
    // they read only when all have asked, so that the sockets of some are full within the last bytes
    let mut clients: Vec<_> = (1..120).map(|pieces| (pieces, server.connect())).collect();
    for (pieces, client) in &mut clients {
        client.send(format!("GET /{pieces} HTTP/1.0\r\n\r\n"));
    }
    for (pieces, client) in clients.into_iter().rev() {
        assert_eq!(client.rest().text.split_once("\r\n\r\n").unwrap().1.len(), pieces * PIECE);
    }
    assert_eq!(too_often.load(Relaxed), 0);
}

#[test]
fn a_large_body_comes_whole() {
    let text = server().ask(last("GET", "/large"));
    assert_eq!(text.split_once("\r\n\r\n").unwrap().1.len(), 1 << 20);
}

#[test]
fn a_status_without_a_reason_phrase_gets_none() {
    assert!(server().ask(last("GET", "/odd")).starts_with("HTTP/1.1 299 \r\n"));
}

#[test]
fn the_connection_ends_after_a_400_and_when_the_core_says_so() {
    let server = server();
    for target in ["/bad", "/last"] {
        let text = server.ask(get(target) + &get("/after"));
        assert_eq!(statuses(&text).len(), 1, "{text}");
        assert!(text.contains("Connection: close\r\n"));
    }
}

#[test]
fn forty_pipelined_requests_get_forty_answers_in_order() {
    let server = server();
    let requests: String = (0..40).map(|n| get(&format!("/n{n}"))).collect();
    let mut client = server.connect();
    client.send(requests);
    for n in 0..40 {
        assert!(client.until(&format!("GET /n{n}")).starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn a_request_that_waits_behind_another_does_not_change_its_answer() {
    let server = server();
    let text = server.ask(get("/stream") + "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n" + &last("GET", "/y"));
    assert_eq!(statuses(&text), [200, 200, 200]);
    assert!(text.contains("two\r\n0\r\n\r\n") && text.ends_with("GET /y"), "{text}");
}

#[test]
fn a_client_that_ends_its_side_still_gets_what_the_core_has_at_once() {
    let server = server();
    let mut client = server.connect();
    client.send(get("/large") + &get("/x"));
    client.end_sending();
    let rest = client.rest();
    assert!(rest.text.len() > 1 << 20 && rest.text.ends_with("GET /x"), "{}", rest.text.len());
}
