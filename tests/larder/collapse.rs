//! One fetch for many, and never one answer for those who must not share it.

use std::{sync::mpsc, thread};

use crate::support::{Client, End, Gate, Origin, PATIENCE, Proxy, Response, Step, request, respond};

const FRESH: &str = "Cache-Control: max-age=600";

/// An origin that holds its first answers until the gate opens.
fn held(gate: &Gate, answer: impl Fn(&crate::support::RecordedRequest) -> Vec<Step> + Send + Sync + 'static) -> Origin {
    let gate = gate.clone();
    Origin::answering(move |request| {
        let mut steps = vec![Step::Wait(gate.clone())];
        steps.extend(answer(request));
        steps
    })
}

/// Asks from this many clients at once; opens the gate when `arrived` of them have reached the origin and all others wait
/// for them.
fn at_once(
    proxy: &Proxy,
    origin: &Origin,
    gate: &Gate,
    clients: usize,
    arrived: usize,
    fields: fn(usize) -> Vec<String>,
) -> Vec<Response> {
    thread::scope(|scope| {
        let asking: Vec<_> = (0..clients)
            .map(|n| {
                let mut client = proxy.client();
                let fields = fields(n);
                let lines: Vec<&str> = fields.iter().map(String::as_str).collect();
                client.send(crate::support::request("GET", "/a", &lines));
                scope.spawn(move || client.response("GET"))
            })
            .collect();
        origin.await_requests(arrived);
        proxy.await_following(clients - arrived);
        gate.open();
        asking.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

#[test]
fn concurrent_requests_for_a_cold_key_are_one_request_to_the_origin() {
    let gate = Gate::closed();
    let origin = held(&gate, |_| respond(200, &[FRESH], "shared"));
    let proxy = Proxy::start(&origin, &[]);
    let answers = at_once(&proxy, &origin, &gate, 40, 1, |_| Vec::new());
    assert!(answers.iter().all(|answer| answer.text() == "shared" && answer.end == End::Whole));
    assert_eq!(origin.request_count(), 1);
    let collapsed = answers.iter().filter(|a| a.field("Cache-Status").unwrap().contains("collapsed")).count();
    let hits = answers.iter().filter(|a| a.x_cache() == "HIT").count();
    assert_eq!(collapsed + hits, 39);
}

#[test]
fn followers_stream_a_body_as_it_arrives() {
    let (head, rest) = (Gate::closed(), Gate::closed());
    let (first, second) = (head.clone(), rest.clone());
    let origin = Origin::answering(move |_| {
        vec![
            Step::Wait(first.clone()),
            Step::Send(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 10\r\n\r\nhello".to_vec()),
            Step::Wait(second.clone()),
            Step::Send(b"world".to_vec()),
        ]
    });
    let proxy = Proxy::start(&origin, &[]);
    let mut clients: Vec<_> = (0..5).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET /a HTTP/1.1\r\nHost: larder.test\r\n\r\n");
    }
    origin.await_requests(1);
    head.open();
    for client in &mut clients {
        assert_eq!(client.head().status, 200);
        assert_eq!(client.bytes(5), b"hello");
    }
    rest.open();
    for client in &mut clients {
        assert_eq!(client.bytes(5), b"world");
    }
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn a_client_that_leaves_does_not_spoil_the_fill() {
    let gate = Gate::closed();
    let origin = held(&gate, |_| respond(200, &[FRESH], "for all"));
    let proxy = Proxy::start(&origin, &[]);
    let mut leaver = proxy.client();
    leaver.send("GET /a HTTP/1.1\r\nHost: larder.test\r\n\r\n");
    origin.await_requests(1);
    drop(leaver);
    gate.open();
    assert_eq!(proxy.get("/a").text(), "for all");
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn few_requests_go_on_whose_clients_have_left_before_an_answer_came() {
    let closes = |client: Client| drop(client);
    // a request with credentials goes alone
    let alone = &["Authorization: Basic eDp5"][..];
    for (leaves, lines) in [(Client::reset as fn(Client), &[][..]), (closes, &[]), (closes, alone)] {
        // it never answers, and hears when it is left
        let origin = Origin::always(Vec::new());
        let proxy =
            Proxy::tuned(&origin, &["--workers", "1"], |config| config.sites[0].origin_client.max_connections = 16);
        let mut leavers: Vec<_> = (0..16).map(|_| proxy.client()).collect();
        for (n, leaver) in leavers.iter_mut().enumerate() {
            leaver.send(request("GET", &format!("/{n}"), lines));
        }
        origin.await_requests(16);
        leavers.into_iter().for_each(leaves);
        origin.await_connections(2);
    }
}

#[test]
fn few_requests_go_on_whose_clients_have_ended_their_side_and_the_other_clients_are_told() {
    for (name, lines, target) in [
        ("leaders", &[][..], None),
        ("those who go alone", &["Authorization: Basic eDp5"][..], None),
        ("followers", &[][..], Some("/a")),
    ] {
        let gate = Gate::closed();
        let origin = held(&gate, |_| respond(200, &[FRESH], "late"));
        let proxy =
            Proxy::tuned(&origin, &["--workers", "1"], |config| config.sites[0].origin_client.max_connections = 17);
        // it stays, and leads the followers
        let mut leader = proxy.client();
        leader.send(request("GET", "/a", &[]));
        origin.await_requests(1);
        let mut clients: Vec<_> = (0..16).map(|_| proxy.client()).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            client.send(request("GET", target.unwrap_or(&format!("/{n}")), lines));
        }
        proxy.await_received(17);
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            for mut client in clients {
                client.finish();
                let tell = tell.clone();
                scope.spawn(move || drop(tell.send(client.response("GET"))));
            }
            for _ in 0..14 {
                let answer = told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{name} are not told"));
                assert_eq!(answer.status, 503, "{name}");
                assert_eq!(answer.field("Proxy-Status"), Some("larder; error=connection_limit_reached"), "{name}");
                // of 17 connections to the origin these clients have two
                let detail = "too many clients that have ended their side of the connection wait for the origin";
                assert_eq!(answer.detail(), detail, "{name}");
            }
            gate.open();
            for _ in 0..2 {
                assert_eq!(told.recv_timeout(PATIENCE).unwrap().text(), "late", "{name}");
            }
        });
        assert_eq!(leader.response("GET").text(), "late", "{name}");
    }
}

#[test]
fn who_follows_a_client_that_leaves_gets_the_answer_all_the_same() {
    let gate = Gate::closed();
    let origin = held(&gate, |_| respond(200, &[FRESH], "for all"));
    // too few connections for one that nobody waits for
    let proxy = Proxy::tuned(&origin, &["--workers", "1"], |config| config.sites[0].origin_client.max_connections = 1);
    let mut leader = proxy.client();
    leader.send(request("GET", "/a", &[]));
    origin.await_requests(1);
    let mut follower = proxy.client();
    follower.send(request("GET", "/a", &[]));
    proxy.await_following(1);
    leader.reset();
    gate.open();
    assert_eq!(follower.response("GET").text(), "for all");
}

#[test]
fn a_hundred_users_each_get_their_own_private_answer() {
    let gate = Gate::closed();
    let origin = held(&gate, |request| {
        respond(200, &["Cache-Control: private"], format!("for {}", request.field("X-User").unwrap()))
    });
    let proxy = Proxy::start(&origin, &[]);
    let answers = at_once(&proxy, &origin, &gate, 100, 1, |n| vec![format!("X-User: {n}")]);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!((answer.text(), answer.x_cache()), (format!("for {n}"), "MISS"));
    }
    assert_eq!(origin.request_count(), 100);
}

#[test]
fn requests_with_authorization_do_not_wait_for_each_other() {
    let gate = Gate::closed();
    let origin = held(&gate, |request| respond(200, &[FRESH], request.field("Authorization").unwrap()));
    let proxy = Proxy::start(&origin, &[]);
    let answers = at_once(&proxy, &origin, &gate, 8, 8, |n| vec![format!("Authorization: Bearer {n}")]);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.text(), format!("Bearer {n}"));
    }
}

#[test]
fn a_follower_whose_nominated_fields_differ_gets_its_own_answer() {
    let gate = Gate::closed();
    let origin = held(&gate, |request| {
        respond(200, &[FRESH, "Vary: X-Tone"], format!("in {}", request.field("X-Tone").unwrap()))
    });
    let proxy = Proxy::start(&origin, &[]);
    let answers = at_once(&proxy, &origin, &gate, 12, 1, |n| vec![format!("X-Tone: {}", n % 3)]);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.text(), format!("in {}", n % 3));
    }
}

#[test]
fn a_failure_is_shared_and_is_one_request_to_the_origin() {
    let gate = Gate::closed();
    let origin = held(&gate, |_| vec![Step::Close]);
    let proxy = Proxy::start(&origin, &[]);
    let answers = at_once(&proxy, &origin, &gate, 20, 1, |_| Vec::new());
    assert!(answers.iter().all(|answer| answer.status == 502));
    // a failure is not stored: who has not joined when it lands asks again (all joined: exactly one, src/proxy/tests.rs)
    assert!(origin.request_count() <= 2, "{}", origin.request_count());
}

#[test]
fn an_answer_that_was_asked_for_before_an_invalidation_is_not_followed_nor_stored_after_it() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match (request.method.as_str(), request.index) {
        ("GET", 0) => [vec![Step::Wait(held.clone())], respond(200, &[FRESH], "old")].concat(),
        ("GET", _) => respond(200, &[FRESH], "new"),
        _ => respond(204, &[], ""),
    });
    let proxy = Proxy::start(&origin, &[]);
    let mut early = proxy.client();
    early.send("GET /a HTTP/1.1\r\nHost: larder.test\r\n\r\n");
    origin.await_requests(1);
    assert_eq!(proxy.client().ask("DELETE", "/a", &[]).status, 204);
    assert_eq!(proxy.get("/a").text(), "new");
    gate.open();
    assert_eq!(early.response("GET").text(), "old");
    assert_eq!(proxy.get("/a").text(), "new");
}

#[test]
fn stale_while_revalidate_answers_at_once_and_validates_behind() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match request.index {
        0 => respond(200, &["Cache-Control: max-age=1, stale-while-revalidate=60"], "old"),
        _ => [vec![Step::Wait(held.clone())], respond(200, &[FRESH], "new")].concat(),
    });
    let proxy = Proxy::start(&origin, &[]);
    assert_eq!(proxy.get("/a").text(), "old");
    proxy.advance(5);
    for _ in 0..3 {
        let stale = proxy.get("/a");
        assert_eq!((stale.text().as_str(), stale.x_cache()), ("old", "HIT"));
    }
    origin.await_requests(2);
    gate.open();
    origin.await_requests(2);
    let mut fresh = proxy.get("/a");
    while fresh.text() == "old" {
        fresh = proxy.get("/a");
    }
    assert_eq!((fresh.text().as_str(), origin.request_count()), ("new", 2));
}

#[test]
fn the_clients_of_a_cold_url_that_varies_are_one_request_for_each_variant() {
    const EACH: usize = 8;
    const ROUNDS: usize = 40;
    let gates: Vec<Gate> = (0..ROUNDS).map(|_| Gate::closed()).collect();
    let held = gates.clone();
    let origin = Origin::answering(move |request| {
        let gate = held[request.target[1..].parse::<usize>().unwrap()].clone();
        let coding = request.field("Accept-Encoding").unwrap_or("-");
        [vec![Step::Wait(gate)], respond(200, &[FRESH, "Vary: Accept-Encoding"], coding)].concat()
    });
    let proxy = Proxy::start(&origin, &[]);
    let mut clients: Vec<_> = (0..EACH * 2).map(|_| proxy.client()).collect();
    for (round, gate) in gates.iter().enumerate() {
        for (number, client) in clients.iter_mut().enumerate() {
            let coding = ["Accept-Encoding: gzip", "Accept-Encoding: br"][number % 2];
            client.send(request("GET", &format!("/{round}"), &[coding]));
        }
        // some of them have not looked for a flight yet, and do when the first one has ended
        origin.await_requests(round * 2 + 1);
        gate.open();
        for (number, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.response("GET").text(), ["gzip", "br"][number % 2]);
        }
        assert_eq!(origin.request_count(), round * 2 + 2);
    }
}
