//! Origins that authenticate connections (NTLM, Negotiate): whoever authenticated one is answered on it alone.

use std::{collections::HashMap, sync::Mutex};

use crate::support::{Client, Gate, Origin, Proxy, RecordedRequest, Response, Step, respond};

const ALONE: &str = "the connection is authenticated (Negotiate)";

/// One worker, that uses connections again at once: the tests tell them apart by their numbers.
const FLAGS: &[&str] = &["--workers", "1", "--origin-settle", "0s"];

/// Takes whoever authenticated a connection for the user of each request on it. Whatever it says may be stored.
fn authenticating() -> Origin {
    let users: Mutex<HashMap<usize, String>> = Mutex::default();
    Origin::answering(move |request: &RecordedRequest| {
        let mut users = users.lock().unwrap();
        if let Some(user) =
            request.field("Authorization").and_then(|credentials| credentials.strip_prefix("Negotiate "))
        {
            users.insert(request.connection, user.to_owned());
        }
        let user = users.get(&request.connection).map_or("nobody", String::as_str);
        let fields = ["Cache-Control: public, max-age=600", "ETag: \"1\""];
        respond(200, &fields, format!("hello {user} on {}", request.connection))
    })
}

fn as_user(client: &mut Client, user: &str, target: &str) -> Response {
    client.ask("GET", target, &[&format!("Authorization: Negotiate {user}")])
}

#[test]
fn w10_who_authenticated_a_connection_to_the_origin_is_answered_on_it_alone() {
    let origin = authenticating();
    let proxy = Proxy::start(&origin, FLAGS);
    let [mut alice, mut bob] = [(); 2].map(|()| proxy.client());
    let first = as_user(&mut alice, "alice", "/x");
    assert_eq!((first.text().as_str(), first.x_cache(), first.detail()), ("hello alice on 0", "MISS", ALONE));
    // from then on the connection speaks for her
    let second = alice.get("/y");
    assert_eq!((second.text().as_str(), second.x_cache(), second.detail()), ("hello alice on 0", "MISS", ALONE));
    // neither what she got nor her connection is anybody else's
    for target in ["/x", "/y"] {
        let other = bob.get(target);
        assert_eq!((other.text().as_str(), other.x_cache()), ("hello nobody on 1", "MISS"), "{target}");
    }
    assert_eq!(as_user(&mut bob, "bob", "/z").text(), "hello bob on 1");
    assert_eq!(proxy.get("/z").text(), "hello nobody on 2");
    // and it closes with hers
    drop(alice);
    origin.await_connections(2);
}

#[test]
fn w10_what_is_stored_for_everybody_is_a_hit_for_who_is_authenticated_too() {
    let origin = authenticating();
    let proxy = Proxy::start(&origin, FLAGS);
    assert_eq!(proxy.get("/x").text(), "hello nobody on 0");
    let mut alice = proxy.client();
    as_user(&mut alice, "alice", "/other");
    let hit = alice.get("/x");
    assert_eq!((hit.text().as_str(), hit.x_cache()), ("hello nobody on 0", "HIT"));
    // a stale one is validated by her for herself: the origin knows her there
    proxy.advance(700);
    assert_eq!(alice.get("/x").text(), "hello alice on 0");
    assert_eq!(proxy.get("/x").text(), "hello nobody on 1");
}

#[test]
fn w10_a_handshake_of_ntlm_goes_through_on_one_connection() {
    let origin = Origin::answering(|request| match (request.field("Authorization"), request.turn) {
        (None, 0) => respond(401, &["WWW-Authenticate: NTLM", "Cache-Control: max-age=600"], "who are you?"),
        (Some("NTLM one"), 1) => respond(401, &["WWW-Authenticate: NTLM two"], "prove it"),
        (Some("NTLM three"), 2) => respond(200, &["Cache-Control: max-age=600"], "hello alice"),
        (None, 3) => respond(200, &["Cache-Control: max-age=600"], "hello again"),
        _ => respond(500, &[], "not here"),
    });
    let proxy = Proxy::start(&origin, FLAGS);
    let mut alice = proxy.client();
    let challenge = alice.get("/x");
    assert_eq!((challenge.status, challenge.detail()), (401, "the connection is authenticated (NTLM)"));
    // somebody else's request does not get in between
    assert_eq!(proxy.get("/x").status, 401);
    assert_eq!(alice.ask("GET", "/x", &["Authorization: NTLM one"]).status, 401);
    assert_eq!(alice.ask("GET", "/x", &["Authorization: NTLM three"]).text(), "hello alice");
    assert_eq!(alice.get("/x").text(), "hello again");
    assert_eq!(origin.connection_count(), 2);
}

#[test]
fn w10_a_client_connection_of_many_users_binds_nothing() {
    let origin = authenticating();
    let proxy = Proxy::start(&origin, FLAGS);
    let mut client = proxy.client();
    for (n, forwarded) in ["Via: 1.1 front", "X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1"].iter().enumerate()
    {
        let answer = client.ask("GET", "/x", &["Authorization: Negotiate alice", forwarded]);
        assert_eq!((answer.text(), answer.detail()), (format!("hello alice on {n}"), ALONE));
        // it served this one request
        origin.await_no_connections();
    }
    assert_eq!(client.ask("GET", "/x", &["Via: 1.1 front"]).text(), "hello nobody on 3");
}

#[test]
fn w10_those_who_authenticate_do_not_wait_for_each_other() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match request.field("Authorization") {
        None => respond(200, &["Cache-Control: max-age=1", "ETag: \"1\""], "stored"),
        Some(user) => {
            [vec![Step::Wait(held.clone())], respond(200, &["Cache-Control: public, max-age=600"], user)].concat()
        }
    });
    let proxy = Proxy::start(&origin, &[]);
    // to be validated, for which others would wait for each other
    proxy.get("/x");
    proxy.advance(100);
    let mut clients: Vec<_> = (0..10)
        .map(|n| {
            let mut client = proxy.client();
            client.send(crate::support::request("GET", "/x", &[&format!("Authorization: Kerberos {n}")]));
            client
        })
        .collect();
    origin.await_requests(11);
    gate.open();
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.response("GET").text(), format!("Kerberos {n}"));
    }
    assert_eq!(proxy.get("/x").x_cache(), "MISS", "none of them was stored");
}

#[test]
fn w10_a_304_that_nobody_asked_for_freshens_nothing_for_others_where_it_is_for_one_user() {
    let origin = Origin::answering(|request| match request.field("Authorization") {
        None => respond(200, &["Cache-Control: public, max-age=60"], "stored"),
        Some(_) => respond(304, &["Cache-Control: public, max-age=600"], ""),
    });
    let proxy = Proxy::start(&origin, &["--workers", "1"]);
    proxy.get("/x");
    proxy.advance(100);
    let alices = as_user(&mut proxy.client(), "alice", "/x");
    assert_eq!((alices.status, alices.text().as_str()), (200, "stored"));
    assert_eq!(proxy.get("/x").x_cache(), "MISS");
}
