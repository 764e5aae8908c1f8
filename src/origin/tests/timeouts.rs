//! Origins that take too long.

use std::time::Duration;

use super::rig::{Client, OK, Server, fed, read, request, run, soon, zeros};
use crate::{
    message::Method,
    origin::{Options, OriginError, OriginRequest, Upload},
};

const SHORT: Duration = Duration::from_millis(40);

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
            peer.rest();
            peer.say("closed");
        });
        let client = Client::new(Options { first_byte_timeout: SHORT, ..server.options() });
        let (feed, source) = fed();
        let upload = client.upload(Method::POST, Some(4), source);
        let mut upload = std::pin::pin!(upload);
        // the client takes its time: no time-out of the origin's
        assert!(tokio::time::timeout(3 * SHORT, &mut upload).await.is_err());
        assert_eq!(server.heard().await, "head");
        feed.send("body".into()).unwrap();
        assert_eq!(soon(upload).await.unwrap_err(), OriginError::FirstByteTimeout);
        assert_eq!(server.heard().await, "closed");
    });
}

#[test]
fn an_interim_response_begins_the_first_byte_timeout_anew() {
    run(async {
        // more than one time-out passes in all, less than one between any two
        let limit = Duration::from_millis(400);
        let server = Server::new(|mut peer| {
            peer.head();
            for _ in 0..4 {
                peer.wait();
                peer.send("HTTP/1.1 102 Processing\r\n\r\n");
            }
            peer.wait();
            peer.send(OK);
        });
        let client = Client::new(Options { first_byte_timeout: limit, ..server.options() });
        let paced = async {
            for _ in 0..5 {
                tokio::time::sleep(limit / 3).await;
                server.go_on();
            }
        };
        let (got, ()) = tokio::join!(client.got(), paced);
        got.is(200, "ok");
        assert_eq!(got.interims, [102; 4]);
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
fn a_reader_that_takes_its_time_is_no_fault_of_the_origins() {
    run(async {
        let server =
            Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n".to_owned() + &"x".repeat(20_000));
        let client = Client::new(Options { between_bytes_timeout: SHORT, ..server.options() });
        let mut response = client.0.send(request(Method::GET, "/"), |_| {}).await.unwrap();
        let first = response.body.next().await.unwrap().unwrap();
        tokio::time::sleep(3 * SHORT).await;
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
        // takes the connection, and says nothing
        let mut server = Server::new(|mut peer| {
            peer.rest();
            peer.say("closed");
        });
        let client = Client::new(Options { https: true, connect_timeout: SHORT, ..server.options() });
        assert_eq!(client.get().await.unwrap_err(), OriginError::ConnectTimeout);
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
