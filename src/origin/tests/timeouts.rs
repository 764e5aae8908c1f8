//! Origins that take too long.

use std::{future::Future, pin::Pin, time::Duration};

use super::rig::{Client, Server, fed, read, request, run, soon, zeros};
use crate::{
    message::Method,
    origin::{Options, OriginError, OriginRequest, Upload},
};

const SHORT: Duration = Duration::from_millis(40);

/// Lets time pass for the client's timers, and for nobody else.
async fn later(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

async fn still_pending<F: Future>(future: &mut Pin<&mut F>) {
    tokio::select! {
        biased;
        _ = future => panic!("it is over"),
        () = std::future::ready(()) => {}
    }
}

#[test]
fn an_origin_that_does_not_answer_is_left_after_the_first_byte_timeout() {
    run(async {
        for part in ["", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 103 E\r\n\r\n"] {
            let mut server = Server::new(move |mut peer| {
                peer.head();
                peer.send(part);
                peer.rest();
                peer.say("closed");
            });
            let client = Client::new(Options { first_byte_timeout: SHORT, ..server.options() });
            assert_eq!(client.get().await.unwrap_err(), OriginError::FirstByteTimeout);
            assert_eq!(server.heard().await, "closed");
            assert_eq!(server.connections(), 1);
        }
    });
}

#[test]
fn the_first_byte_timeout_begins_with_the_end_of_the_upload() {
    run(async {
        let mut server = Server::new(|mut peer| {
            peer.head();
            peer.say("head");
            peer.take(4);
            peer.say("body");
            peer.rest();
            peer.say("closed");
        });
        let client = server.client();
        let (feed, source) = fed();
        let body = Some(Upload { length: Some(4), pieces: source });
        let sent = client.0.send(OriginRequest { body, ..request(Method::POST, "/") }, |_| {});
        let mut upload = std::pin::pin!(sent);
        tokio::select! {
            _ = &mut upload => panic!("there is no answer"),
            said = server.heard() => assert_eq!(said, "head"),
        }
        // the client takes its time: no time-out of the origin's
        let limit = server.options().first_byte_timeout;
        later(3 * limit).await;
        still_pending(&mut upload).await;
        feed.send("body".into()).unwrap();
        tokio::select! {
            _ = &mut upload => panic!("it has only begun to wait"),
            said = server.heard() => assert_eq!(said, "body"),
        }
        later(limit + SHORT).await;
        assert_eq!(upload.await.err(), Some(OriginError::FirstByteTimeout));
        assert_eq!(server.heard().await, "closed");
    });
}

#[test]
fn interim_responses_do_not_put_the_first_byte_timeout_off() {
    run(async {
        let mut server = Server::new(|mut peer| {
            peer.head();
            for _ in 0..2 {
                peer.wait();
                peer.send("HTTP/1.1 102 Processing\r\n\r\n");
            }
            peer.rest();
            peer.say("closed");
        });
        let client = server.client();
        let (told, mut interims) = tokio::sync::mpsc::unbounded_channel();
        let sent = client.0.send(request(Method::GET, "/"), move |interim| told.send(interim.status).unwrap());
        let paced = async {
            // less than one time-out passes between any two, more than one in all
            for _ in 0..2 {
                server.go_on();
                assert_eq!(soon(interims.recv()).await.unwrap(), 102);
                later(server.options().first_byte_timeout * 2 / 3).await;
            }
        };
        let in_time = tokio::time::timeout(server.options().first_byte_timeout * 3 / 2, sent);
        let (response, ()) = tokio::join!(in_time, paced);
        assert_eq!(response.unwrap().err(), Some(OriginError::FirstByteTimeout));
        assert_eq!(server.heard().await, "closed");
    });
}

#[test]
fn a_body_that_stops_coming_is_left() {
    run(async {
        for framing in ["Content-Length: 10", "Transfer-Encoding: chunked", "X: y"] {
            let mut server = Server::new(move |mut peer| {
                peer.head();
                peer.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n5\r\nhello"));
                peer.rest();
                peer.say("closed");
            });
            let client = Client::new(Options { between_bytes_timeout: SHORT, ..server.options() });
            assert_eq!(client.got().await.body, Err(OriginError::BodyTimeout));
            assert_eq!(server.heard().await, "closed");
        }
    });
}

#[test]
fn a_body_may_take_longer_than_the_longest_pause_and_is_left_when_it_pauses_for_longer() {
    run(async {
        let mut server = Server::new(move |mut peer| {
            peer.head();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
            for _ in 0..6 {
                peer.wait();
                peer.send("x");
            }
            peer.rest();
            peer.say("closed");
        });
        let client = server.client();
        let limit = server.options().between_bytes_timeout;
        let mut response = client.0.send(request(Method::GET, "/"), |_| {}).await.unwrap();
        for _ in 0..6 {
            {
                let mut next = std::pin::pin!(response.body.next());
                still_pending(&mut next).await;
                later(limit * 2 / 3).await;
                still_pending(&mut next).await;
            }
            server.go_on();
            assert_eq!(response.body.next().await, Some(Ok("x".into())));
        }
        let mut next = std::pin::pin!(response.body.next());
        still_pending(&mut next).await;
        later(limit).await;
        assert_eq!(soon(next).await, Some(Err(OriginError::BodyTimeout)));
        assert_eq!(server.heard().await, "closed");
    });
}

#[test]
fn a_reader_that_takes_its_time_is_no_fault_of_the_origins() {
    run(async {
        let server =
            Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n".to_owned() + &"x".repeat(20_000));
        let client = server.client();
        let mut response = client.0.send(request(Method::GET, "/"), |_| {}).await.unwrap();
        let first = response.body.next().await.unwrap().unwrap();
        later(3 * server.options().between_bytes_timeout).await;
        let rest = read(response).await.body.unwrap();
        assert_eq!(first.len() + rest.len(), 20_000);
    });
}

#[test]
fn an_upload_that_the_origin_does_not_take_is_left() {
    run(async {
        let mut server = Server::new(|mut peer| {
            peer.head();
            peer.wait();
            peer.rest();
            peer.say("closed");
        });
        let client = Client::new(Options { between_bytes_timeout: SHORT, ..server.options() });
        let (source, pulled) = zeros(256 << 20);
        let left = client.upload(Method::POST, Some(256 << 20), source).await.unwrap_err();
        assert_eq!(left, OriginError::UploadTimeout);
        assert!(pulled.get() < 64 << 20);
        server.go_on();
        assert_eq!(server.heard().await, "closed");
    });
}

#[test]
fn a_handshake_that_is_not_answered_is_left_after_the_connect_timeout() {
    run(async {
        let mut server = Server::new(|mut peer| {
            peer.take(1);
            peer.say("hello");
            peer.rest();
            peer.say("closed");
        });
        let limit = Duration::from_secs(60);
        let client = Client::new(Options { https: true, connect_timeout: limit, ..server.options() });
        let mut sent = std::pin::pin!(client.0.send(request(Method::GET, "/"), |_| {}));
        tokio::select! {
            _ = &mut sent => panic!("there is no answer"),
            said = server.heard() => assert_eq!(said, "hello"),
        }
        later(limit / 2).await;
        still_pending(&mut sent).await;
        later(limit).await;
        assert_eq!(sent.await.err(), Some(OriginError::ConnectTimeout));
        assert_eq!(server.heard().await, "closed");
    });
}

#[test]
fn a_response_that_is_let_go_closes_its_connection() {
    run(async {
        let mut server = Server::new(|mut peer| {
            peer.head();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nhello");
            peer.rest();
            peer.say("closed");
        });
        let client = server.client();
        let mut response = client.0.send(request(Method::GET, "/"), |_| {}).await.unwrap();
        assert_eq!(response.body.next().await, Some(Ok("hello".into())));
        drop(response);
        assert_eq!(server.heard().await, "closed");
    });
}

#[test]
fn a_request_that_is_let_go_closes_its_connection_and_frees_its_place() {
    run(async {
        let mut server = Server::new(|mut peer| {
            peer.head();
            peer.say("head");
            peer.rest();
            peer.say("closed");
        });
        let client = Client::new(Options { max_connections: 1, ..server.options() });
        for body in [false, true] {
            let (_feed, pieces) = fed();
            let body = body.then_some(Upload { length: Some(5), pieces });
            let mut sent = Box::pin(client.0.send(OriginRequest { body, ..request(Method::PUT, "/") }, |_| {}));
            tokio::select! {
                _ = &mut sent => panic!("there is no answer"),
                said = server.heard() => assert_eq!(said, "head"),
            }
            drop(sent);
            assert_eq!(server.heard().await, "closed");
        }
    });
}
