//! Kept connections rest before they are used again, and those of an origin that talks unasked are not kept.

use std::{future::pending, time::Duration};

use futures_core::future::LocalBoxFuture;
use tokio::{net::TcpStream, time::Instant};

use super::rig::{Client, OK, Server, read, request, run, soon};
use crate::{
    message::Method,
    origin::{Options, Origin, OriginResponse, connect, transport::Transport},
};

/// Long enough to be told from what else takes time.
const LONG: Duration = Duration::from_millis(300);

/// Answers with the number of the connection.
fn numbering() -> Server {
    Server::new(|mut peer| {
        while peer.head().is_some() {
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", peer.nth));
        }
    })
}

async fn answer(client: &Client) -> OriginResponse {
    soon(client.0.send(request(Method::GET, "/"), |_| {})).await.unwrap()
}

/// Until a connection that was used at this time has rested.
async fn rested(since: Instant, settle: Duration) {
    tokio::time::timeout_at(since + settle, pending::<()>()).await.unwrap_err();
}

#[test]
fn w16_a_request_that_finds_only_young_connections_gets_a_new_one_where_that_is_sooner() {
    run(async {
        let server = numbering();
        let client = Client::new(Options { settle: LONG, ..server.options() });
        for nth in ["0", "1", "2"] {
            client.got().await.is(200, nth);
        }
        rested(Instant::now(), LONG).await;
        // the newest of those that have rested, and no further one
        for nth in ["2", "1", "0", "3"] {
            client.got().await.is(200, nth);
        }
    });
}

#[test]
fn w16_a_request_waits_for_the_rest_where_a_new_connection_takes_longer() {
    run(async {
        let server = numbering();
        let options = Options { settle: LONG, ..server.options() };
        let prepared = Origin::prepare(options).unwrap();
        let (address, first) = (server.address, std::cell::Cell::new(true));
        let dial = move || -> LocalBoxFuture<'static, _> {
            let first = first.replace(false);
            Box::pin(async move {
                if !first {
                    pending::<()>().await;
                }
                Ok(Box::new(TcpStream::connect(address).await.unwrap()) as Transport)
            })
        };
        let client = Client(Origin::over(&prepared, dial));
        client.got().await.is(200, "0");
        let began = Instant::now();
        client.got().await.is(200, "0");
        // time counts from the answer's last byte, which came just before
        assert!(began.elapsed() > LONG / 2, "{:?}", began.elapsed());
    });
}

#[test]
fn w16_a_new_connection_that_nobody_needs_any_more_is_kept() {
    run(async {
        let server = numbering();
        let prepared = Origin::prepare(Options { settle: LONG, ..server.options() }).unwrap();
        let (dialled, count) = (prepared.clone(), std::rc::Rc::new(std::cell::Cell::new(0)));
        let counted = count.clone();
        let dial = move || -> LocalBoxFuture<'static, _> {
            let (prepared, n) = (dialled.clone(), counted.replace(counted.get() + 1));
            Box::pin(async move {
                if n == 1 {
                    // by then the first one has rested three times
                    rested(Instant::now(), LONG * 4).await;
                }
                connect::dial(prepared).await
            })
        };
        let client = Client(Origin::over(&prepared, dial));
        client.got().await.is(200, "0");
        client.got().await.is(200, "0");
        // while one is on its way no other is opened: it waits for the rest of the first again
        client.got().await.is(200, "0");
        while server.connections() < 2 {
            tokio::task::yield_now().await;
        }
        rested(Instant::now(), LONG).await;
        client.got().await.is(200, "1");
        assert_eq!(count.get(), 2);
    });
}

#[test]
fn w16_no_connection_is_opened_beside_those_that_rest_where_there_would_be_more_than_places() {
    run(async {
        let server = numbering();
        let settle = Duration::from_millis(20);
        let prepared = Origin::prepare(Options { max_connections: 2, settle, ..server.options() }).unwrap();
        let [one, other] = [(); 2].map(|()| Client(Origin::new(prepared.clone())));
        other.got().await.is(200, "0");
        for _ in 0..5 {
            one.got().await.is(200, "1");
        }
        // what is in use counts, too
        let used = answer(&other).await;
        for _ in 0..5 {
            one.got().await.is(200, "1");
        }
        read(used).await.is(200, "0");
    });
}

#[test]
fn w16_a_request_waits_for_the_rest_no_longer_than_for_a_new_connection() {
    run(async {
        let server = numbering();
        let hour = Duration::from_secs(3600);
        let connect_timeout = Duration::from_millis(50);
        let client = Client::new(Options { max_connections: 1, settle: hour, connect_timeout, ..server.options() });
        for nth in ["0", "1"] {
            client.got().await.is(200, nth);
        }
    });
}

/// Answers, and sends this behind it when the test says so.
fn talking(unasked: &'static str) -> Server {
    Server::new(move |mut peer| {
        while let Some(head) = peer.head() {
            peer.send(if head.contains("Connection: close") { OK.replace("ok", "no") } else { OK.to_owned() });
            peer.wait();
            peer.send(unasked);
            peer.say("sent");
        }
    })
}

#[test]
fn w16_an_origin_that_is_caught_sending_unasked_bytes_gets_no_second_request_on_a_connection() {
    run(async {
        for (unasked, caught) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL", true),
            ("x", true),
            ("\r\n", false),
            ("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", false),
        ] {
            let mut server = talking(unasked);
            let client = Client::new(Options { settle: LONG, ..server.options() });
            let mut answers = Vec::new();
            for _ in 0..3 {
                answers.push(String::from_utf8(client.got().await.body.unwrap()).unwrap());
                let since = Instant::now();
                server.go_on();
                assert_eq!(server.heard().await, "sent");
                rested(since, LONG).await;
            }
            // the second request sees it, and gets a new connection; from the third on none is to be kept
            assert_eq!(answers, ["ok", "ok", if caught { "no" } else { "ok" }], "{unasked:?}");
            assert_eq!(server.connections(), 3);
        }
    });
}

#[test]
fn w16_bytes_that_come_with_an_answer_or_behind_a_head_without_content_are_unasked_too() {
    run(async {
        for (method, answer) in [
            (Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, and more"),
            (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            (Method::GET, "HTTP/1.1 204 No Content\r\n\r\nok"),
            (Method::GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nmore"),
        ] {
            let mut server = Server::new(move |mut peer| {
                while let Some(head) = peer.head() {
                    peer.say(if head.contains("Connection: close") { "close" } else { "kept" });
                    peer.send(answer);
                }
            });
            let client = server.client();
            client.send(request(method.clone(), "/")).await.unwrap();
            client.send(request(method, "/")).await.unwrap();
            assert_eq!([server.heard().await, server.heard().await], ["kept", "close"], "{answer:?}");
        }
    });
}
