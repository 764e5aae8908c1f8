//! Connections that were authenticated: each belongs to one client.

use std::{rc::Rc, time::Duration};

use tokio::time::Instant;

use super::rig::{Client, Got, Server, fields, request, run};
use crate::{
    message::{ConnectionScheme, Method},
    origin::{Options, Origin, OriginRequest, Owner},
};

/// Answers with the number of the connection; `/login` is answered with a challenge. Says when a connection has closed.
fn numbering() -> Server {
    Server::new(|mut peer| {
        while let Some(head) = peer.head() {
            let challenge = "401 Unauthorized\r\nWWW-Authenticate: Basic\r\nWWW-Authenticate: ntlm";
            let status = if head.starts_with("GET /login ") { challenge } else { "200 OK" };
            peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: 1\r\n\r\n{}", peer.nth));
        }
        peer.say(format!("{} closed", peer.nth));
    })
}

async fn get(client: &Client, target: &str, lines: &[(&'static str, &str)], owner: Option<&Rc<Owner>>) -> Got {
    let client = Client(client.0.owned_by(owner.cloned()));
    client.send(OriginRequest { fields: fields(lines), ..request(Method::GET, target) }).await.unwrap()
}

const NEGOTIATE: &[(&str, &str)] = &[("authorization", "Negotiate YII=")];

#[test]
fn a_connection_that_carried_such_credentials_is_its_clients_alone() {
    run(async {
        for scheme in ["Negotiate YII=", "nTLM", "Kerberos", "negotiate,"] {
            let server = numbering();
            let client = server.client();
            let [alice, bob] = [(); 2].map(|()| Rc::<Owner>::default());
            // it was everybody's before
            get(&client, "/", &[], None).await.is(200, "0");
            let authenticated = get(&client, "/", &[("authorization", scheme)], Some(&alice)).await;
            authenticated.is(200, "0");
            assert!(authenticated.bound.is_some() && alice.bound().is_some(), "{scheme}");
            get(&client, "/", &[], Some(&bob)).await.is(200, "1");
            get(&client, "/", &[], None).await.is(200, "1");
            let again = get(&client, "/", &[], Some(&alice)).await;
            again.is(200, "0");
            assert_eq!((again.bound, bob.bound()), (authenticated.bound, None));
        }
    });
}

#[test]
fn a_challenge_binds_the_connection_that_it_came_on_and_the_handshake_goes_on_there() {
    run(async {
        let server = numbering();
        let client = server.client();
        let alice = Rc::<Owner>::default();
        let challenge = get(&client, "/login", &[], Some(&alice)).await;
        assert_eq!((challenge.status, challenge.bound), (401, Some(ConnectionScheme::Ntlm)));
        get(&client, "/", &[], None).await.is(200, "1");
        for _ in 0..2 {
            get(&client, "/", &[("authorization", "NTLM TlRMTVNTUAAB")], Some(&alice)).await.is(200, "0");
        }
        // what asks for other credentials binds nothing
        let got = get(&client, "/", &[("authorization", "Basic YTpi")], None).await;
        got.is(200, "1");
        assert_eq!(got.bound, None);
        assert_eq!(server.connections(), 2);
    });
}

#[test]
fn w16_it_rests_before_the_next_request_of_its_client() {
    run(async {
        let server = numbering();
        let settle = Duration::from_millis(300);
        let client = Client::new(Options { settle, ..server.options() });
        let alice = Rc::<Owner>::default();
        get(&client, "/", NEGOTIATE, Some(&alice)).await.is(200, "0");
        let began = Instant::now();
        get(&client, "/", &[], Some(&alice)).await.is(200, "0");
        assert!(began.elapsed() > settle / 2, "{:?}", began.elapsed());
    });
}

#[test]
fn it_closes_with_its_client_and_at_once_where_there_is_none() {
    run(async {
        let mut server = numbering();
        let client = server.client();
        let alice = Rc::<Owner>::default();
        get(&client, "/", NEGOTIATE, Some(&alice)).await.is(200, "0");
        drop(alice);
        assert_eq!(server.heard().await, "0 closed");
        for nth in ["1", "2"] {
            get(&client, "/login", &[], None).await;
            assert_eq!(server.heard().await, format!("{nth} closed"));
        }
    });
}

#[test]
fn it_closes_when_its_client_asks_for_nothing_for_fifteen_seconds() {
    run(async {
        let mut server = numbering();
        let client = server.client();
        let alice = Rc::<Owner>::default();
        get(&client, "/", NEGOTIATE, Some(&alice)).await.is(200, "0");
        let mut kept = alice.take().unwrap();
        kept.connection.idle_since -= Duration::from_secs(15);
        alice.keep(kept);
        // the sweep comes within seconds
        assert_eq!(server.heard().await, "0 closed");
        assert_eq!(alice.bound(), None);
        get(&client, "/", &[], Some(&alice)).await.is(200, "1");
    });
}

#[test]
fn at_most_half_of_the_places_are_kept_for_them_and_the_one_idle_for_longest_makes_room() {
    run(async {
        let mut server = numbering();
        let client = Client::new(Options { max_connections: 4, ..server.options() });
        let owners: Vec<_> = (0..3).map(|_| Rc::<Owner>::default()).collect();
        for owner in &owners {
            get(&client, "/", NEGOTIATE, Some(owner)).await;
        }
        assert_eq!(server.heard().await, "0 closed");
        let bound: Vec<_> = owners.iter().map(|owner| owner.bound().is_some()).collect();
        assert_eq!(bound, [false, true, true]);
    });
}

#[test]
fn another_workers_idle_ones_make_room_too() {
    run(async {
        let mut server = numbering();
        let prepared = Origin::prepare(Options { max_connections: 4, ..server.options() }).unwrap();
        let [one, other] = [(); 2].map(|()| Client(Origin::new(prepared.clone())));
        let owners: Vec<_> = (0..3).map(|_| Rc::<Owner>::default()).collect();
        for (owner, client) in owners.iter().zip([&one, &one, &other]) {
            get(client, "/", NEGOTIATE, Some(owner)).await;
        }
        assert_eq!(server.heard().await, "0 closed");
        let bound: Vec<_> = owners.iter().map(|owner| owner.bound().is_some()).collect();
        assert_eq!(bound, [false, true, true]);
    });
}
