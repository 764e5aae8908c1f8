//! How many connections there are, and how long they live.

use std::time::Duration;

use larder::clock;

use crate::support::{Client, Gate, Origin, PATIENCE, Proxy, Spawned, Step, respond, until};

fn echo() -> Origin {
    Origin::answering(|request| respond(200, &["Cache-Control: no-store"], &request.target))
}

#[test]
fn x06_connections_over_the_total_are_turned_away_until_one_leaves() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &["--max-connections", "4"]);
    let mut open: Vec<_> = (0..4).map(|_| proxy.client()).collect();
    for client in &mut open {
        assert_eq!(client.get("/a").status, 200);
    }
    let mut fifth = proxy.client();
    assert_eq!(fifth.response("GET").status, 503);
    assert_eq!(fifth.rest(), b"");
    for client in &mut open {
        assert_eq!(client.get("/b").status, 200, "those who were there are served on");
    }
    open.pop();
    until("its place to be free", || {
        let mut client = proxy.client();
        let _ = client.try_send(crate::support::request("GET", "/c", &[]));
        client.response("GET").status == 200
    });
    assert!(proxy.counters().over_connections.count() >= 1);
}

#[test]
fn x06_one_address_at_its_limit_leaves_the_others_alone() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &["--max-connections-per-address", "2"]);
    let mut open: Vec<_> = (0..2).map(|_| proxy.client()).collect();
    for client in &mut open {
        assert_eq!(client.get("/a").status, 200);
    }
    assert_eq!(proxy.client().response("GET").status, 429);
    assert_eq!(Client::connect_from([127, 0, 0, 2], proxy.address).get("/b").status, 200);
    assert_eq!(proxy.counters().over_address.count(), 1);
}

#[test]
fn x07_without_file_descriptors_clients_are_told_so_and_served_again_when_others_leave() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| {
        [vec![Step::Wait(held.clone())], respond(200, &["Cache-Control: no-store"], &request.target)].concat()
    });
    let folder = tempfile::tempdir().unwrap();
    let spawned = Spawned::limited("-n 110", &origin.url(), &folder.path().join("cache"), &[]);
    // 110 less the 64 that are kept, and of these 11 for connections to the origin and 12 for long responses: some are
    // turned away
    let most = 110 - 64 - 11 - 12;
    let mut clients: Vec<_> = (0..120).map(|_| spawned.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        let _ = client.try_send(crate::support::request("GET", &format!("/{n}"), &[]));
    }
    origin.await_requests(11);
    gate.open();
    let statuses: Vec<u16> = clients.iter_mut().map(|client| client.response("GET").status).collect();
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert!((most - 6..=most).contains(&served), "{served}: {statuses:?}");
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    drop(clients);
    until("places to be free", || {
        let mut client = spawned.client();
        let _ = client.try_send(crate::support::request("GET", "/b", &[]));
        client.response("GET").status == 200
    });
    let log = spawned.log();
    assert!(!log.iter().any(|line| line.contains(" ERROR ") || line.contains(" WARN ")), "{log:#?}");
}

#[test]
fn a_connection_ends_after_its_requests() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &["--max-connection-requests", "3"]);
    let mut client = proxy.client();
    let says_close = [(); 3].map(|()| client.get("/a").field("Connection").is_some());
    assert_eq!((says_close, client.rest()), ([false, false, true], Vec::new()));
}

#[test]
fn a_connection_ends_after_its_time() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &["--max-connection-age", "200ms"]);
    let mut client = proxy.client();
    let began = clock::instant();
    while client.get("/a").field("Connection").is_none() {
        assert!(began.elapsed() < PATIENCE);
        std::thread::park_timeout(Duration::from_millis(10));
    }
    assert_eq!(client.rest(), b"");
}

#[test]
fn r09_without_keep_alive_to_the_origin_late_bytes_are_nobodys() {
    let origin = Origin::answering(|request| {
        let mut steps = respond(200, &["Cache-Control: no-store"], &request.target);
        steps.extend(respond(200, &[], "EVIL"));
        steps
    });
    let proxy = Proxy::start(&origin, &["--origin-keep-alive", "0s"]);
    let mut client = proxy.client();
    for n in 0..50 {
        assert_eq!(client.get(&format!("/{n}")).text(), format!("/{n}"));
    }
    assert_eq!(origin.connection_count(), 50);
    assert!(origin.requests().iter().all(|request| request.turn == 0 && request.field("Connection") == Some("close")));
}
