//! What the client side refuses by itself is told once, in one place.

use std::{
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use futures_util::TryStreamExt;

use super::rig::{Server, blind, echo, get};
use crate::{
    client::{OnRefusal, Options, Piece, Presented, Refused, Reply, ReplyBody, Trailers},
    message::{Fields, Method, StatusCode, Version},
};

/// Options that tell of each refusal.
fn told(options: Options) -> (Options, Receiver<Refused>) {
    let (tell, told) = mpsc::channel();
    let tell = OnRefusal::new(move |refused: &Refused| tell.send(refused.clone()).unwrap());
    (Options { on_refusal: Some(tell), ..options }, told)
}

fn next(told: &Receiver<Refused>) -> Refused {
    told.recv_timeout(Duration::from_secs(10)).unwrap()
}

/// Status, method and target.
fn asked(refused: &Refused) -> (u16, Option<&str>, Option<&str>) {
    (refused.status.as_u16(), refused.method.as_ref().map(Method::as_str), refused.target.as_deref())
}

#[test]
fn a_refused_head_is_told_once_with_what_is_known_of_it() {
    let options = Options { max_head: 2000, max_fields: 5, max_target: 100, max_method: 10, ..Options::default() };
    let (options, told) = told(options);
    let server = Server::start(options, blind);
    let long = format!("/{}", "a".repeat(200));
    for (request, status, method, target) in [
        ("GET /a HTTP/1.1\r\n\r\n".to_owned(), 400, Some("GET"), Some("/a")),
        ("GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400, Some("GET"), Some("/a")),
        ("PUT /\u{e9}\u{1} HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400, Some("PUT"), Some("/\u{e9}")),
        ("G\"T /a HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400, None, Some("/a")),
        ("GET\r\n\r\n".to_owned(), 400, None, None),
        ("\u{16}\u{3}\u{1} x HTTP/1.1\r\n\r\n".to_owned(), 400, None, None),
        (format!("GET {long} HTTP/1.1\r\nHost: h\r\n\r\n"), 414, Some("GET"), Some(&long[..100])),
        (format!("GET /{}", "b".repeat(200)), 414, Some("GET"), Some(&*format!("/{}", "b".repeat(99)))),
        (format!("GET /c HTTP/1.1\r\nHost: h\r\nA: {}", "a".repeat(2000)), 431, Some("GET"), Some("/c")),
        (format!("GET /d HTTP/1.1\r\nHost: h\r\n{}\r\n", "a: b\r\n".repeat(5)), 431, Some("GET"), Some("/d")),
        ("METHODMETHOD / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 501, None, Some("/")),
        ("GET / HTTP/2.0\r\n\r\n".to_owned(), 505, Some("GET"), Some("/")),
    ] {
        let answer = server.ask(&request);
        let refused = next(&told);
        assert_eq!(asked(&refused), (status, method, target), "{request:?}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(refused.sent, body.len() as u64, "{answer}");
        assert!(body.contains(refused.detail), "{answer}");
        assert!(head.contains(&format!("Cache-Status: larder; detail=\"{}\"", refused.detail)), "{answer}");
        assert_eq!(refused.peer, Some([127, 0, 0, 1].into()));
        assert!(!refused.handed_over && refused.took < Duration::from_secs(5), "{refused:?}");
    }
    assert!(told.try_recv().is_err(), "each of them once");
}

#[test]
fn the_version_is_told_where_the_request_line_has_one() {
    let (options, told) = told(Options::default());
    let server = Server::start(options, blind);
    for (line, version) in [
        ("GET / HTTP/1.0\r\nHost: h\r\nContent-Length: x\r\n\r\n", Some(Version::Http10)),
        ("GET / HTTP/1.1\r\n\r\n", Some(Version::Http11)),
        ("GET /\r\n\r\n", None),
    ] {
        server.ask(line);
        assert_eq!(next(&told).version, version, "{line:?}");
    }
}

#[test]
fn a_head_that_does_not_end_is_told_with_the_time_since_its_first_byte() {
    let timeout = Duration::from_millis(200);
    let (options, told) = told(Options { head_timeout: timeout, ..Options::default() });
    let server = Server::start(options, blind);
    server.ask("GET /slow HTTP/1.1\r\nHost: h\r\n");
    let refused = next(&told);
    assert_eq!(asked(&refused), (408, Some("GET"), Some("/slow")));
    // the tick that begins the deadline may be a period behind
    assert!(refused.took >= timeout / 2, "{:?}", refused.took);
    assert_eq!(server.counters.head_timeouts.count(), 1);
}

#[test]
fn a_body_that_is_refused_is_told_as_one_that_the_core_knows_of() {
    let (options, told) = told(Options { body_timeout: Duration::from_millis(100), ..Options::default() });
    let server = Server::start(options, echo);
    let post = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, status) in [("5\r\nhelloXX", 400), ("5\r\nhel", 408)] {
        let answer = server.ask(format!("{post}{body}"));
        let refused = next(&told);
        assert_eq!((asked(&refused), refused.handed_over), ((status, None, None), true));
        assert_eq!(refused.sent, answer.split_once("\r\n\r\n").unwrap().1.len() as u64);
    }
    assert!(told.try_recv().is_err(), "each of them once");
}

#[test]
fn a_body_that_is_refused_behind_the_beginning_of_an_answer_adds_nothing_to_it() {
    let (options, told) = told(Options::default());
    let server = Server::start(options, |presented: Presented| async {
        let body =
            ReplyBody::Stream { length: None, pieces: Box::pin(presented.body.into_stream().map_ok(Piece::Bytes)) };
        Reply { status: StatusCode::OK, written: None, fields: Fields::new(), body, trailers: Trailers::default() }
    });
    let text = server.ask("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nno size\r\n");
    assert!(text.ends_with("1\r\nx\r\n"), "{text}");
    let refused = next(&told);
    assert_eq!((refused.status.as_u16(), refused.sent, refused.handed_over), (400, 0, true));
}

#[test]
fn connections_over_a_limit_are_told_as_well() {
    for (limits, status) in [
        (Options { max_connections: 1, ..Options::default() }, 503),
        (Options { max_connections_per_address: 1, ..Options::default() }, 429),
    ] {
        let (options, told) = told(limits);
        let server = Server::start(options, blind);
        let mut held = server.connect();
        held.send(get("/"));
        held.until("unread");
        let answer = server.connect().rest().text;
        let refused = next(&told);
        assert_eq!((asked(&refused), refused.took), ((status, None, None), Duration::ZERO));
        assert_eq!((refused.sent, refused.handed_over), (answer.split_once("\r\n\r\n").unwrap().1.len() as u64, false));
        assert!(told.try_recv().is_err());
    }
}
