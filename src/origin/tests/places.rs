//! How many connections are in use at once, in the whole process.

use std::time::Duration;

use super::rig::{Client, OK, Server, read, request, run, soon};
use crate::{
    message::Method,
    origin::{Options, Origin, OriginError, OriginResponse},
};

/// Answers `/held` with a head and the rest of it when the test says so, and everything else at once.
fn holding() -> Server {
    Server::new(|mut peer| {
        while let Some(head) = peer.head() {
            if head.starts_with("GET /held ") {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
                peer.wait();
                peer.send("ok");
            } else {
                peer.send(OK);
            }
        }
    })
}

/// Lets them come to their ends.
async fn release(server: &Server, responses: impl IntoIterator<Item = OriginResponse, IntoIter: ExactSizeIterator>) {
    let responses = responses.into_iter();
    // any of those who wait may hear it
    (0..responses.len()).for_each(|_| server.go_on());
    for response in responses {
        read(response).await.is(200, "ok");
    }
}

async fn held(client: &Client) -> OriginResponse {
    soon(client.0.send(request(Method::GET, "/held"), |_| {})).await.unwrap()
}

#[test]
fn all_workers_share_the_places() {
    run(async {
        let server = holding();
        let connect_timeout = Duration::from_millis(40);
        let options = Options { max_connections: 1, connect_timeout, ..server.options() };
        let prepared = Origin::prepare(options.clone()).unwrap();
        let [one, other] = [(); 2].map(|()| Client(Origin::new(prepared.clone())));
        let beside = Client(Origin::new(prepared.beside(options).unwrap()));
        let response = held(&one).await;
        for client in [&one, &other, &beside] {
            assert_eq!(client.get().await.unwrap_err(), OriginError::Exhausted);
        }
        release(&server, [response]).await;
        other.got().await.is(200, "ok");
    });
}

#[test]
fn w05_a_response_that_is_read_for_two_seconds_gives_its_place_back() {
    run(async {
        let server = holding();
        let options = Options { max_connections: 1, max_streams: 8, ..server.options() };
        let client = Client::new(options);
        let first = held(&client).await;
        // waits for the place, which the first one gives back
        let second = held(&client).await;
        client.got().await.is(200, "ok");
        release(&server, [first, second]).await;
    });
}

#[test]
fn w05_where_the_places_for_streams_are_taken_a_response_keeps_its_own() {
    run(async {
        let server = holding();
        let connect_timeout = Duration::from_secs(4);
        let client = Client::new(Options { max_connections: 1, max_streams: 1, connect_timeout, ..server.options() });
        let stream = held(&client).await;
        let kept = held(&client).await;
        assert_eq!(client.get().await.unwrap_err(), OriginError::Exhausted);
        // a stream that ends frees its place for the next
        drop(stream);
        server.go_on();
        client.got().await.is(200, "ok");
        release(&server, [kept]).await;
    });
}

#[test]
fn idle_connections_hold_no_place() {
    run(async {
        let server = holding();
        let connect_timeout = Duration::from_millis(40);
        let options = Options { max_connections: 2, connect_timeout, ..server.options() };
        let prepared = Origin::prepare(options).unwrap();
        for _ in 0..4 {
            let client = Client(Origin::new(prepared.clone()));
            let both = [held(&client).await, held(&client).await];
            release(&server, both).await;
            // their connections stay open
            std::mem::forget(client);
        }
    });
}
