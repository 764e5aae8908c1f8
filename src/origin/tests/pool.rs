//! Connections: kept, limited, swept, and never with another request's bytes on them.

use std::time::Duration;

use super::rig::{Client, OK, Server, fed, pieces, read, request, run, soon};
use crate::{
    message::Method,
    origin::{Options, OriginError},
};

#[test]
fn a_connection_is_used_again() {
    run(async {
        let server = Server::answering(OK);
        let client = server.client();
        for _ in 0..5 {
            client.got().await.is(200, "ok");
        }
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn a_connection_is_free_with_the_last_byte_that_content_length_promises() {
    run(async {
        let server = Server::answering(OK);
        let client = Client::new(Options { max_connections: 1, ..server.options() });
        for _ in 0..5 {
            let mut response = soon(client.0.send(request(Method::GET, "/"), |_| {})).await.unwrap();
            let mut length = 0;
            while length < 2 {
                length += soon(response.body.next()).await.unwrap().unwrap().len();
            }
            // its reader has all of it, and may hold it or drop it without asking for the end
            client.got().await.is(200, "ok");
        }
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn bytes_behind_a_response_end_its_connection() {
    run(async {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nEVIL",
        ] {
            let server = Server::answering(answer);
            let client = server.client();
            for nth in 1..4 {
                client.got().await.is(200, "ok");
                assert_eq!(server.connections(), nth);
            }
        }
    });
}

#[test]
fn bytes_that_come_later_unasked_end_the_connection() {
    run(async {
        let mut server = Server::new(|mut peer| {
            peer.head();
            peer.send(OK);
            peer.wait();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL");
            peer.say("sent");
            peer.rest();
        });
        let client = server.client();
        for nth in 1..4 {
            // a POST: it must not be sent where it would get that answer
            client.send(request(Method::POST, "/")).await.unwrap().is(200, "ok");
            assert_eq!(server.connections(), nth);
            server.go_on();
            assert_eq!(server.heard().await, "sent");
        }
    });
}

#[test]
fn a_request_waits_for_a_connection_until_the_connect_timeout() {
    run(async {
        let server = Server::new(|mut peer| {
            while peer.head().is_some() {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
                peer.wait();
                peer.send("ok");
            }
        });
        let connect_timeout = Duration::from_millis(40);
        let client = Client::new(Options { max_connections: 1, connect_timeout, ..server.options() });
        let held = soon(client.0.send(request(Method::GET, "/"), |_| {})).await.unwrap();
        assert_eq!(client.get().await.unwrap_err(), OriginError::Exhausted);
        server.go_on();
        read(held).await.is(200, "ok");
        server.go_on();
        client.got().await.is(200, "ok");
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn slow_uploads_never_hold_more_than_half_of_the_connections() {
    run(async {
        let mut server = Server::new(|mut peer| {
            while let Some(head) = peer.head() {
                if head.starts_with("POST") && !head.contains("Content-Length: 0") {
                    peer.say("upload");
                    peer.rest();
                } else {
                    peer.send(OK);
                }
            }
        });
        let connect_timeout = Duration::from_millis(40);
        let client = Client::new(Options { max_connections: 4, connect_timeout, ..server.options() });
        let mut slow = Vec::new();
        for _ in 0..2 {
            let (feed, pieces) = fed();
            let mut sent = Box::pin(client.upload(Method::POST, Some(4), pieces));
            tokio::select! {
                _ = &mut sent => panic!("it has not ended"),
                said = server.heard() => assert_eq!(said, "upload"),
            }
            slow.push((feed, sent));
        }
        let third = client.upload(Method::POST, Some(4), pieces(&["once"]));
        assert_eq!(third.await.unwrap_err(), OriginError::Exhausted);
        client.got().await.is(200, "ok");
        // one without content is no upload
        client.upload(Method::POST, Some(0), pieces(&[])).await.unwrap().is(200, "ok");
        slow.pop();
        let mut sent = Box::pin(client.upload(Method::POST, Some(4), pieces(&["once"])));
        tokio::select! {
            _ = &mut sent => panic!("it has no answer"),
            said = server.heard() => assert_eq!(said, "upload"),
        }
    });
}

#[test]
fn idle_and_old_connections_are_closed() {
    run(async {
        let short = Duration::from_millis(30);
        let of = |server: &Server| {
            [Options { idle_timeout: short, ..server.options() }, Options { max_age: short, ..server.options() }]
        };
        for which in 0..2 {
            let mut server = Server::new(|mut peer| {
                peer.head();
                peer.send(OK);
                peer.rest();
                peer.say("closed");
            });
            let [idle, old] = of(&server);
            let client = Client::new(if which == 0 { idle } else { old });
            client.got().await.is(200, "ok");
            assert_eq!(server.heard().await, "closed");
            client.got().await.is(200, "ok");
            assert_eq!(server.connections(), 2);
        }
    });
}

#[test]
fn without_keep_alive_each_request_gets_a_connection_of_its_own_and_late_bytes_are_nobodys() {
    run(async {
        let server = Server::new(|mut peer| {
            let head = peer.head().unwrap();
            assert!(head.contains("Connection: close\r\n"), "{head}");
            // an origin that keeps the connection all the same, and talks on
            peer.send(OK);
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nEVIL!!");
            peer.rest();
        });
        let client = Client::new(Options { idle_timeout: Duration::ZERO, ..server.options() });
        for asked in 1..=20 {
            client.got().await.is(200, "ok");
            assert_eq!(server.connections(), asked);
        }
    });
}

#[test]
fn idle_connections_that_the_origin_closed_or_talks_on_are_closed() {
    run(async {
        for talks in [false, true] {
            let mut server = Server::new(move |mut peer| {
                peer.head();
                peer.send(OK);
                if talks {
                    peer.wait();
                    peer.send("x");
                } else {
                    peer.half_close();
                }
                peer.rest();
                peer.say("closed");
            });
            // the sweep comes often, the time-outs are far
            let client = Client::new(Options { idle_timeout: Duration::from_secs(2), ..server.options() });
            client.got().await.is(200, "ok");
            server.go_on();
            assert_eq!(server.heard().await, "closed");
        }
    });
}

#[test]
fn the_pool_closes_with_its_client() {
    run(async {
        let mut server = Server::new(|mut peer| {
            peer.head();
            peer.send(OK);
            peer.rest();
            peer.say("closed");
        });
        let client = server.client();
        client.got().await.is(200, "ok");
        drop(client);
        assert_eq!(server.heard().await, "closed");
    });
}
