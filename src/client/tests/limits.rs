//! How many may come.

use super::rig::{Server, blind, get, last, statuses};
use crate::client::Options;

#[test]
fn connections_over_the_total_are_turned_away_until_one_leaves() {
    let server = Server::start(Options { max_connections: 2, ..Options::default() }, blind);
    let mut held = [server.connect(), server.connect()];
    for client in &mut held {
        client.send(get("/"));
        client.until("unread");
    }
    assert_eq!(statuses(&server.connect().rest().text), [503]);
    assert_eq!(server.counters.over_connections.count(), 1);
    let [first, mut second] = held;
    let mut left = first;
    left.send(last("GET", "/"));
    left.rest();
    second.send(get("/"));
    second.until("unread");
    // the place is free once the server has seen the end, which the client cannot see: ask until it is
    while statuses(&server.ask(last("GET", "/"))) != [200] {}
}

#[test]
fn connections_over_the_limit_of_an_address_are_turned_away() {
    let server = Server::start(Options { max_connections_per_address: 1, ..Options::default() }, blind);
    let mut held = server.connect();
    held.send(get("/"));
    held.until("unread");
    assert_eq!(statuses(&server.connect().rest().text), [429]);
    assert_eq!(server.counters.over_address.count(), 1);
}

#[test]
fn limits_of_the_head_are_answered_with_their_statuses() {
    let options = Options { max_head: 2000, max_fields: 5, max_target: 100, max_method: 10, ..Options::default() };
    let server = Server::start(options, blind);
    let asked = |request: String| statuses(&server.ask(request + &get("/smuggled")));
    assert_eq!(asked(last("M12345678901", "/")), [501]);
    assert_eq!(asked(last("GET", &format!("/{}", "a".repeat(100)))), [414]);
    assert_eq!(asked(format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a: b\r\n".repeat(5))), [431]);
    assert_eq!(asked(format!("GET / HTTP/1.1\r\nHost: h\r\na: {}\r\n\r\n", "b".repeat(2000))), [431]);
    assert_eq!(server.counters.refused.count(), 4);
    assert_eq!(server.counters.requests.count(), 0);
}
