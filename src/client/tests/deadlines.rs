//! Deadlines, set to tens of milliseconds; the patience of the raw client is 10 s, so each end seen is theirs.

use std::{
    io::Write,
    net::Shutdown,
    sync::{Arc, mpsc},
    task::Waker,
    time::Duration,
};

use tokio::sync::Semaphore;

use super::rig::{Server, blind, echo, get, last, statuses, text_reply};
use crate::client::{Options, Presented, ReplyBody, incoming::Incoming};

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_head_that_does_not_end_is_answered_408_on_every_request() {
    let server = Server::start(Options { head_timeout: SHORT, ..Options::default() }, blind);
    let mut first = server.connect();
    first.send("GET / HTTP/1.1\r\nX: y\r\n");
    let rest = first.rest();
    assert_eq!((statuses(&rest.text), rest.broken), (vec![408], None));
    let mut second = server.connect();
    second.send(get("/"));
    second.until("unread");
    second.send("GET / HTTP/1.1\r\nX: y\r\n");
    assert_eq!(statuses(&second.rest().text), [408]);
    // and where the beginning came with the request before
    assert_eq!(statuses(&server.ask(get("/") + "GET /next")), [200, 408]);
    assert_eq!(server.counters.head_timeouts.count(), 3);
}

#[test]
fn a_head_that_trickles_does_not_win_time() {
    let server = Server::start(Options { head_timeout: SHORT, ..Options::default() }, blind);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n");
    let trickle = trickle(&client, b"X: y\r\n");
    assert_eq!(statuses(&client.until("time.")), [408]);
    client.socket.shutdown(Shutdown::Both).unwrap();
    trickle.join().unwrap();
}

/// Sends these bytes a thousand times a second at most, until the connection is gone.
fn trickle(client: &super::rig::Client, bytes: &'static [u8]) -> std::thread::JoinHandle<()> {
    let mut sender = client.socket.try_clone().unwrap();
    std::thread::spawn(move || {
        while sender.write_all(bytes).is_ok() {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    })
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let server = Server::start(Options { keep_alive: SHORT, head_timeout: SHORT, ..Options::default() }, blind);
    let silent = server.connect().rest();
    assert_eq!((silent.text.as_str(), silent.broken), ("", None));
    let mut client = server.connect();
    client.send(get("/"));
    client.until("unread");
    let rest = client.rest();
    assert_eq!((rest.text.as_str(), rest.broken), ("", None));
}

#[test]
fn the_first_connection_has_its_time_however_long_the_server_waited_for_it() {
    let options = Options { keep_alive: SHORT, head_timeout: SHORT, ..Options::default() };
    let (waiting, other) = (Server::start(options.clone(), blind), Server::start(options, blind));
    // by the other one's deadline this one's clock has gone on as far
    assert_eq!(other.connect().rest().text, "");
    let mut first = waiting.connect();
    // the connection is taken on, and ticked, before this one's end
    assert_eq!(other.ask("GET / HTTP/1.0\r\n\r\n").len(), waiting.ask("GET / HTTP/1.0\r\n\r\n").len());
    first.send(get("/"));
    first.until("unread");
}

#[test]
fn a_body_that_stalls_is_answered_408() {
    let server = Server::start(Options { body_timeout: SHORT, ..Options::default() }, echo);
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut client = server.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n5\r\nab"));
        assert_eq!(statuses(&client.until("time.\"}")), [408]);
        // late bytes are no request
        client.send(get("/smuggled"));
        assert_eq!(client.rest().text, "\n");
    }
    assert_eq!(server.counters.body_timeouts.count(), 2);
    assert_eq!(server.counters.requests.count(), 2);
}

#[test]
fn a_body_that_trickles_is_answered_408() {
    let options = Options {
        body_timeout: Duration::from_secs(60),
        min_rate: 1_000_000,
        min_rate_grace: SHORT,
        ..Options::default()
    };
    let server = Server::start(options, echo);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n");
    let trickle = trickle(&client, b"x");
    assert_eq!(statuses(&client.until("time.")), [408]);
    client.socket.shutdown(Shutdown::Both).unwrap();
    trickle.join().unwrap();
}

/// Seconds after which a body is late of which so many bytes come in each of ten hours' seconds, and `burst` in the first.
fn late_after(burst: usize, each: usize) -> Option<u64> {
    let options = Options::default();
    let mut body = Incoming::none();
    (1..36_000).find(|second| {
        body.arrived(if *second == 1 { burst } else { each });
        body.wait(Waker::noop(), second * 1000);
        body.is_late(second * 1000, 1000, &options)
    })
}

#[test]
fn a_body_has_to_keep_its_rate_however_fast_it_began() {
    assert_eq!(late_after(500, 500), None);
    assert_eq!(late_after(400, 400), Some(10));
    assert_eq!(late_after(1 << 20, 1), Some(20));
    assert_eq!(late_after(0, 600), None, "a pause within a good rate");
}

#[test]
fn a_body_that_the_core_does_not_ask_for_has_no_deadline() {
    let release = Arc::new(Semaphore::new(0));
    let released = release.clone();
    let options = Options { body_timeout: SHORT, min_rate_grace: SHORT, head_timeout: SHORT, ..Options::default() };
    let server = Server::start(options, move |presented: Presented| {
        let released = released.clone();
        async move {
            if presented.target == "/slow" {
                let _ = released.acquire().await;
            }
            echo(presented).await
        }
    });
    let mut slow = server.connect();
    slow.send("POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
    // another connection, opened later, has run into its deadline: so the slow one's would have passed
    assert_eq!(server.connect().rest().text, "");
    release.add_permits(1);
    slow.send("cde");
    slow.until("[abcde]");
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_its_response_dropped() {
    let (tell, told) = mpsc::channel();
    let server = Server::start(Options { write_timeout: SHORT, ..Options::default() }, move |_: Presented| {
        let guard = super::rig::Tell(tell.clone(), "dropped");
        async move {
            let mut reply = text_reply(200, String::new());
            reply.body = ReplyBody::Stream { length: None, pieces: Box::pin(Endless(guard)) };
            reply
        }
    });
    let mut client = server.connect();
    client.send(get("/"));
    assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok("dropped"));
    assert!(client.rest().broken.is_some());
    assert_eq!(server.counters.write_timeouts.count(), 1);
}

struct Endless(#[allow(dead_code)] super::rig::Tell);

impl futures_core::Stream for Endless {
    type Item = std::io::Result<crate::client::Piece>;
    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(Some(Ok(bytes::Bytes::from_static(&[b'x'; 32 << 10]).into())))
    }
}

#[test]
fn a_connection_has_its_requests_and_its_age() {
    let server = Server::start(Options { max_requests: 2, ..Options::default() }, blind);
    let text = server.ask(get("/1") + &get("/2") + &get("/3"));
    assert_eq!(statuses(&text), [200, 200]);
    assert_eq!(text.matches("Connection: close").count(), 1);
    let server = Server::start(Options { max_age: Duration::ZERO, ..Options::default() }, blind);
    assert!(server.ask(get("/")).contains("Connection: close"));
}

#[test]
fn a_stop_ends_idle_connections_and_finishes_what_runs() {
    let (tell, told) = mpsc::channel();
    let release = Arc::new(Semaphore::new(0));
    let released = release.clone();
    let mut server = Server::start(Options::default(), move |presented: Presented| {
        let (tell, released) = (tell.clone(), released.clone());
        async move {
            let _ = tell.send(());
            if presented.target == "/slow" {
                let _ = released.acquire().await;
            }
            text_reply(200, "done".into())
        }
    });
    let mut idle = server.connect();
    idle.send(get("/"));
    idle.until("done");
    let fresh = server.connect();
    let mut slow = server.connect();
    slow.send(get("/slow") + &get("/never"));
    told.recv().unwrap();
    told.recv().unwrap();
    server.stop();
    assert_eq!((idle.rest().text, fresh.rest().text), (String::new(), String::new()));
    release.add_permits(1);
    let text = slow.rest().text;
    assert_eq!(statuses(&text), [200], "{text}");
    assert!(text.contains("Connection: close") && text.ends_with("done"));
    server.join();
}

#[test]
fn a_core_that_panics_costs_its_own_connection_only() {
    let server = Server::start(Options::default(), |presented: Presented| async move {
        assert_ne!(presented.target, "/panic", "as the test wants it");
        text_reply(200, "alive".into())
    });
    let mut client = server.connect();
    client.send(get("/panic"));
    assert_eq!(client.rest().text, "");
    assert!(server.ask(last("GET", "/")).ends_with("alive"));
    assert_eq!((server.counters.panics.count(), server.counters.requests.count()), (1, 2));
}
