//! Request bodies: their framing, and what becomes of them.

use std::{io, sync::mpsc, time::Duration};

use bytes::BytesMut;

use super::rig::{Server, Tell, blind, collect, echo, get, last, statuses, text_reply};
use crate::client::{
    Options, Presented,
    framing::{Framing, Step},
};

/// Content and what is left of the input; `None` while the end has not come; or a status.
type Outcome = Result<Option<(Vec<u8>, Vec<u8>)>, u16>;

/// Reads a chunked body that comes in pieces of this length.
fn read(bytes: &[u8], piece: usize) -> Outcome {
    let options = Options::default();
    let (mut framing, mut input, mut content) = (Framing::Chunked(Default::default()), BytesMut::new(), Vec::new());
    for part in bytes.chunks(piece) {
        input.extend_from_slice(part);
        loop {
            match framing.next(&mut input, &options).map_err(|refusal| refusal.status.as_u16())? {
                Step::Piece(piece) => content.extend_from_slice(&piece),
                Step::More => break,
                Step::Done => break,
            }
        }
    }
    Ok((framing == Framing::Done).then(|| (content, input.to_vec())))
}

/// The same at once and byte by byte.
fn chunked(body: impl AsRef<[u8]>) -> Outcome {
    let (whole, trickled) = (read(body.as_ref(), usize::MAX), read(body.as_ref(), 1));
    assert_eq!(whole, trickled, "{:?}", String::from_utf8_lossy(body.as_ref()));
    whole
}

#[test]
fn chunks_are_joined_and_nothing_behind_the_last_is_taken() {
    for (body, content) in [
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("0\r\n\r\n", ""),
        ("a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", "01234567890123456789a"),
        ("5;a=b\r\nhello\r\n0;c\r\n\r\n", "hello"),
        ("5;a=\"b;\\\"\";c\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5; a = b\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n0\r\nA: b\r\nC:\r\n\r\n", "hello"),
    ] {
        assert_eq!(chunked(body), Ok(Some((content.into(), vec![]))), "{body:?}");
    }
    let (content, rest) = read(b"1\r\nx\r\n0\r\n\r\nGET /", usize::MAX).unwrap().unwrap();
    assert_eq!((&content[..], &rest[..]), (&b"x"[..], &b"GET /"[..]));
    assert_eq!(chunked("5\r\nhel"), Ok(None));
    assert_eq!(chunked("5\r\nhello\r\n0\r\n"), Ok(None));
}

#[test]
fn malformed_chunks_are_refused() {
    for size in [
        " 5",
        "+5",
        "0x5",
        "5_0",
        "5\n",
        "05",
        "00000005",
        "5 ",
        "5\t",
        "",
        "g",
        "-1",
        "5;",
        "5;a=",
        "5;a=\"",
        "5;=b",
        "5;a=\"x\\",
        "5 ;a",
        "5;a\rb",
        "5\r\r;a",
        "5;\0",
        "5;\x0ca",
        "5;a\x0c=b",
        "5;a=\x0c\"b\"",
        "5;a=\"b\"\x0c",
        "5;a\x7f",
        "5;a\nb",
        "5;a ",
        "5;a=b\t",
        "5;a=\"b\" ",
        "5,5",
        "10000000000000005",
        "FFFFFFFFFFFFFFFED",
        "000000000000000000000005",
    ] {
        assert_eq!(chunked(format!("{size}\r\nhello\r\n0\r\n\r\n")), Err(400), "{size:?}");
    }
    assert_eq!(chunked("FFFFFFFFFFFFFFFF\r\nhello"), Err(413));
    for body in [
        "5\r\nhelloXX0\r\n\r\n",
        "d\r\nSpurious CRLF\r\n\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\r\n0\r\n\r\n",
        "1\r\nZ  2\r\n3d\r\n0\r\n\r\n",
        "0\r\nX: y\n\nGET /smug HTTP/1.1\r\n\r\n",
        "0\r\n\0\x01 no colon\r\n\r\n",
        "0\r\n folded: x\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\nX: a\rb\r\n\r\n",
        "0\r\n\n",
    ] {
        assert_eq!(chunked(body), Err(400), "{body:?}");
    }
}

#[test]
fn extensions_and_trailers_have_limits() {
    let extension = |length: usize| format!(";{}", "a".repeat(length - 1));
    let chunk = |length: usize| format!("1{}\r\nx\r\n", extension(length));
    assert!(chunked(format!("{}0\r\n\r\n", chunk(256))).is_ok());
    assert_eq!(chunked(format!("{}0\r\n\r\n", chunk(257))), Err(400));
    assert_eq!(chunked(format!("1{}", extension(300))), Err(400), "before its line ends");
    assert!(chunked(format!("{}0\r\n\r\n", chunk(256).repeat(16))).is_ok());
    assert_eq!(chunked(format!("{}0\r\n\r\n", chunk(256).repeat(17))), Err(400));
    let trailer = |lines: usize| format!("0\r\n{}\r\n", "abc: defghijklm\r\n".repeat(lines));
    assert!(chunked(trailer(480)).is_ok());
    assert_eq!(chunked(trailer(490)), Err(400));
    assert_eq!(chunked(format!("0\r\na: {}", "b".repeat(9000))), Err(400), "before its line ends");
}

/// Bytes of which chunked bodies are made, and of which they should not be.
fn scraps() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let scrap = prop_oneof![
        4 => proptest::sample::select(vec![
            "5\r\nhello\r\n", "1;a=b\r\nx\r\n", "0\r\n", "\r\n", "a: b\r\n", "5", "\n", "\r", ";", "\"", "a", "0",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => any::<[u8; 1]>().prop_map(|byte| byte.to_vec()),
    ];
    proptest::collection::vec(scrap, 0..12).prop_map(|scraps| scraps.concat())
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_framed_the_same_at_once_and_byte_by_byte(bytes in scraps()) {
        // what lies behind the end is left alone in both
        let _ = chunked(&bytes);
    }
}

fn post(target: &str, fields: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{body}")
}

#[test]
fn bodies_reach_the_core_whole_and_the_next_request_follows() {
    let server = Server::start(Options::default(), echo);
    let text = server.ask(
        post("/a", "Content-Length: 5", "hello")
            + &post("/b", "Transfer-Encoding: chunked", "3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: x\r\n\r\n")
            + &post("/c", "Content-Length: 0", "")
            + &last("GET", "/d"),
    );
    assert_eq!(statuses(&text), [200; 4], "{text}");
    for body in ["POST /a [hello]", "POST /b [abcde]", "POST /c []", "GET /d []"] {
        assert!(text.contains(body), "{text}");
    }
}

#[test]
fn a_request_split_at_every_byte_is_the_same_request() {
    let server = Server::start(Options::default(), echo);
    let request = post("/a", "Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n");
    let mut client = server.connect();
    client.socket.set_nodelay(true).unwrap();
    for at in 1..request.len() {
        client.send(&request[..at]);
        // the answer to the second half proves nothing about the first having been read alone: the pause is the client's
        std::thread::yield_now();
        client.send(&request[at..]);
        assert!(client.until("POST /a [abc]").starts_with("HTTP/1.1 200"));
    }
}

#[test]
fn a_large_body_streams_through() {
    let server = Server::start(Options::default(), |presented: Presented| async {
        let length = collect(presented.body).await.unwrap().len();
        text_reply(200, format!("got {length}"))
    });
    let body = "x".repeat(3 << 20);
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let text = server.ask(
        post("/", &format!("Content-Length: {}", body.len()), &body)
            + &post("/", "Transfer-Encoding: chunked\r\nConnection: close", &chunks),
    );
    assert_eq!(text.matches("got 3145728").count(), 2, "{text}");
}

#[test]
fn a_body_can_be_read_by_a_task_of_its_own() {
    let server = Server::start(Options::default(), |presented: Presented| async {
        let read = actix_rt::spawn(collect(presented.body));
        let length = read.await.unwrap().unwrap().len();
        let hinted = actix_rt::spawn(async move {
            presented.connection.send_interim(crate::message::StatusCode::PROCESSING, &Default::default())
        });
        text_reply(200, format!("got {length}, hinted {}", hinted.await.unwrap()))
    });
    let body = "x".repeat(1 << 20);
    let mut client = server.connect();
    for _ in 0..3 {
        client.send(post("/", &format!("Content-Length: {}", body.len()), &body));
        client.until("102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n");
        client.until("got 1048576, hinted true");
    }
}

#[test]
fn a_task_that_still_reads_the_body_when_the_client_has_its_answer_is_told() {
    let (tell, told) = mpsc::channel();
    let server = Server::start(Options::default(), move |presented: Presented| {
        let tell = tell.clone();
        async move {
            actix_rt::spawn(async move { tell.send(collect(presented.body).await.map_err(|error| error.kind())) });
            text_reply(200, "early".into())
        }
    });
    let mut client = server.connect();
    client.send(post("/", "Content-Length: 9", "abc"));
    client.until("early");
    assert_eq!(told.recv_timeout(Duration::from_secs(5)).unwrap(), Err(io::ErrorKind::ConnectionAborted));
    client.send("defghi".to_owned() + &post("/", "Content-Length: 9", "abc"));
    client.until("early");
    drop(client);
    assert_eq!(told.recv_timeout(Duration::from_secs(5)).unwrap(), Err(io::ErrorKind::ConnectionAborted));
}

#[test]
fn a_small_unread_body_is_read_away_and_never_taken_for_a_request() {
    let server = Server::start(Options::default(), blind);
    let smuggled = get("/smuggled");
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    for hit in [
        format!("GET /hit HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
        format!("GET /hit HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"),
    ] {
        let text = server.ask(hit.clone() + &last("GET", "/next"));
        assert_eq!(statuses(&text), [200, 200], "{text}");
        assert!(text.contains("/next") && !text.contains("smuggled"));
        // and late: the answer is out before the body's last byte is sent
        let mut client = server.connect();
        let (early, late) = hit.split_at(hit.len() - 1);
        client.send(early);
        client.until("GET /hit unread");
        client.send(late.to_owned() + &last("GET", "/next"));
        assert!(client.rest().text.contains("GET /next unread"));
    }
}

#[test]
fn an_unread_body_that_is_too_long_ends_the_connection() {
    let server = Server::start(Options { drain_limit: 1000, ..Options::default() }, blind);
    let text = server.ask(post("/", "Content-Length: 2000", &"x".repeat(2000)) + &get("/next"));
    assert_eq!(statuses(&text), [200], "{text}");
    assert!(text.contains("Connection: close"), "{text}");
    let chunks = format!("7d0\r\n{}\r\n0\r\n\r\n", "x".repeat(2000));
    let text = server.ask(post("/", "Transfer-Encoding: chunked", &chunks) + &get("/next"));
    assert_eq!(statuses(&text), [200], "{text}");
}

#[test]
fn an_unread_body_that_does_not_come_ends_the_connection() {
    let server = Server::start(Options { drain_timeout: Duration::from_millis(40), ..Options::default() }, blind);
    let mut client = server.connect();
    client.send(post("/", "Content-Length: 10", "abc"));
    let rest = client.rest();
    assert_eq!((statuses(&rest.text), rest.broken), (vec![200], None));
}

#[test]
fn a_malformed_body_is_answered_400_and_nothing_behind_it_is_read() {
    let server = Server::start(Options::default(), echo);
    for body in ["5\r\nhelloXX", "05\r\nhello\r\n0\r\n\r\n", "0\r\nX: y\n\n"] {
        let text = server.ask(post("/", "Transfer-Encoding: chunked", body) + &get("/smuggled"));
        assert_eq!(statuses(&text), [400], "{body:?}: {text}");
        assert!(!text.contains("smuggled"));
    }
    assert_eq!(server.counters.refused.count(), 3);
}

#[test]
fn a_client_that_waits_for_100_gets_it_when_the_core_reads() {
    let server = Server::start(Options::default(), echo);
    let mut client = server.connect();
    client.send(post("/", "Expect: 100-Continue\r\nContent-Length: 5", ""));
    assert_eq!(client.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert!(client.until("[hello]").starts_with("HTTP/1.1 200 OK\r\n"));
    client.send(post("/", "Expect: 100-continue\r\nContent-Length: 5", "early"));
    assert!(client.until("[early]").starts_with("HTTP/1.1 200 OK\r\n"), "what is there is not asked for");
    client.send("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok");
    assert!(!client.rest().text.contains("100 Continue"));
}

#[test]
fn a_client_that_waits_for_100_in_vain_gets_the_answer_and_the_end() {
    let server = Server::start(Options::default(), blind);
    let text = server.ask(post("/", "Expect: 100-continue\r\nContent-Length: 5", ""));
    assert_eq!(statuses(&text), [200]);
    assert!(text.contains("Connection: close"));
}

#[test]
fn discarding_tells_whether_the_end_was_reached() {
    let options = Options { drain_timeout: Duration::from_millis(60), ..Options::default() };
    let server = Server::start(options, |presented: Presented| async {
        text_reply(200, format!("whole: {}", presented.body.discard(4).await))
    });
    for (body, whole) in [("4", "abcd"), ("0", "")]
        .map(|(length, body)| ((length, body), true))
        .into_iter()
        .chain([(("5", "abcde"), false), (("4", "abc"), false)])
    {
        let mut client = server.connect();
        client.send(post("/", &format!("Content-Length: {}", body.0), body.1));
        client.until(&format!("whole: {whole}"));
    }
}

#[test]
fn a_client_that_leaves_stops_the_core() {
    let (tell, told) = mpsc::channel();
    let server = Server::start(Options::default(), move |presented: Presented| {
        let tell = tell.clone();
        async move {
            let _guard = Tell(tell.clone(), "dropped");
            if presented.target == "/upload" {
                let error = collect(presented.body).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            }
            let _ = tell.send("waits");
            std::future::pending().await
        }
    });
    let wait = || told.recv_timeout(Duration::from_secs(5)).unwrap();
    // by a reset at once, and by one that comes after it has ended its side
    for half_closes in [false, true] {
        let mut client = server.connect();
        client.send(get("/"));
        assert_eq!(wait(), "waits");
        if half_closes {
            client.end_sending();
        }
        socket2::SockRef::from(&client.socket).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        assert_eq!(wait(), "dropped");
    }

    let mut client = server.connect();
    client.send(post("/upload", "Content-Length: 5", "ab"));
    client.end_sending();
    let told = [wait(), wait()];
    assert!(told.contains(&"dropped"), "{told:?}");
    drop(client);
}
