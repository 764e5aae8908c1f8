//! Requests that wait together for an origin that fails, is slow, or answers what cannot be stored.

use std::{thread, time::Duration};

use larder::clock;

use crate::support::{Client, Gate, Origin, Proxy, RecordedRequest, Response, Step, request, respond, until};

/// An origin that holds its answers until the gate opens.
fn held(gate: &Gate, answer: impl Fn(&RecordedRequest) -> Vec<Step> + Send + Sync + 'static) -> Origin {
    let gate = gate.clone();
    Origin::answering(move |request| [vec![Step::Wait(gate.clone())], answer(request)].concat())
}

/// Asks from this many clients at once, the first of them ahead of the others; opens the gate when all
/// others wait for its answer.
fn at_once(
    proxy: &Proxy,
    origin: &Origin,
    gate: &Gate,
    clients: usize,
    fields: fn(usize) -> &'static str,
) -> Vec<Response> {
    thread::scope(|scope| {
        let asking: Vec<_> = (0..clients)
            .map(|n| {
                let mut client = proxy.client();
                let lines = [fields(n)];
                client.send(request("GET", "/a", if lines[0].is_empty() { &[] } else { &lines }));
                if n == 0 {
                    origin.await_requests(1);
                }
                scope.spawn(move || client.response("GET"))
            })
            .collect();
        proxy.await_following(clients - 1);
        gate.open();
        asking.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

#[test]
fn w40_a_small_server_error_is_shared_by_those_who_wait_and_nothing_is_remembered() {
    for (status, chunked) in [(500, false), (502, false), (503, true), (504, false)] {
        let gate = Gate::closed();
        let origin = held(&gate, move |_| match chunked {
            false => respond(status, &[], "sorry"),
            true => vec![Step::Send(
                format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsorry\r\n0\r\n\r\n").into(),
            )],
        });
        let proxy = Proxy::start(&origin, &[]);
        let answers = at_once(&proxy, &origin, &gate, 50, |_| "");
        assert!(answers.iter().all(|answer| (answer.status, answer.text().as_str()) == (status, "sorry")));
        assert!(answers.iter().all(|answer| answer.x_cache() == "MISS"));
        let collapsed = answers.iter().filter(|answer| answer.cache_status().contains("; collapsed")).count();
        assert_eq!((collapsed, origin.request_count()), (49, 1), "{status}");
        // the next herd is one request again
        let gate = Gate::closed();
        let before = origin.request_count();
        let next = at_once(&proxy, &origin, &gate, 1, |_| "");
        assert_eq!((next[0].status, origin.request_count()), (status, before + 1));
    }
}

#[test]
fn w40_an_error_that_may_be_somebodys_own_is_asked_for_by_four_at_a_time() {
    let big = "x".repeat(70 * 1024);
    type Fields = fn(usize) -> &'static str;
    let anonymous: Fields = |_| "";
    let cases: [(&'static [&'static str], String, Fields); 6] = [
        (&["Cache-Control: no-store"], "sorry".to_owned(), anonymous),
        (&["Cache-Control: private"], "sorry".to_owned(), anonymous),
        (&["Set-Cookie: a=b"], "sorry".to_owned(), anonymous),
        (&["Vary: *"], "sorry".to_owned(), anonymous),
        (&[], big, anonymous),
        (&[], "sorry".to_owned(), |_| "Cookie: a=b"),
    ];
    for (lines, body, fields) in cases {
        let gate = Gate::closed();
        let origin = held(&gate, move |_| respond(503, lines, &body));
        let proxy = Proxy::start(&origin, &[]);
        let answers = at_once(&proxy, &origin, &gate, 12, fields);
        assert!(answers.iter().all(|answer| answer.status == 503));
        assert_eq!(origin.request_count(), 12, "{lines:?}");
    }
}

#[test]
fn w40_who_says_who_it_is_gets_an_error_of_its_own() {
    for fields in [(|n| if n == 1 { "Cookie: a=b" } else { "" }) as fn(usize) -> &'static str, |n| {
        if n == 1 { "X-Api-Key: k" } else { "" }
    }] {
        let gate = Gate::closed();
        let origin = held(&gate, |_| respond(503, &[], "sorry"));
        let proxy = Proxy::start(&origin, &[]);
        at_once(&proxy, &origin, &gate, 10, fields);
        assert_eq!(origin.request_count(), 2);
    }
}

#[test]
fn w40_with_strict_an_error_is_for_the_one_who_asked() {
    let gate = Gate::closed();
    let origin = held(&gate, |_| respond(503, &[], "sorry"));
    let proxy = Proxy::start(&origin, &["--strict"]);
    at_once(&proxy, &origin, &gate, 6, |_| "");
    assert_eq!(origin.request_count(), 6);
}

#[test]
fn those_who_wait_for_what_cannot_be_cached_are_let_go_together_and_later_bursts_do_not_wait() {
    let gates: [Gate; 3] = std::array::from_fn(|_| Gate::closed());
    let of_origin = gates.clone();
    let origin = Origin::answering(move |request| {
        let answer = respond(200, &["Cache-Control: private"], "yours");
        let gate = match request.index {
            0 => &of_origin[0],
            1..10 => &of_origin[1],
            10 => return answer,
            _ => &of_origin[2],
        };
        [vec![Step::Wait(gate.clone())], answer].concat()
    });
    let proxy = Proxy::start(&origin, &[]);
    let ask = || {
        let mut client = proxy.client();
        client.send(request("GET", "/a", &[]));
        client
    };
    let burst = || (0..10).map(|_| ask()).collect::<Vec<_>>();
    let answered =
        |clients: Vec<Client>| clients.into_iter().all(|mut client| client.response("GET").text() == "yours");
    let first = burst();
    proxy.await_following(9);
    origin.await_requests(1);
    assert_eq!(origin.request_count(), 1);
    gates[0].open();
    // all of them are at the origin before one of them has an answer
    origin.await_requests(10);
    gates[1].open();
    assert!(answered(first));
    // a URL that is asked for goes on being asked for alone
    proxy.advance(9);
    assert!(answered(vec![ask()]));
    proxy.advance(9);
    let later = burst();
    origin.await_requests(21);
    gates[2].open();
    assert!(answered(later));
}

#[test]
fn w42_who_joins_late_is_not_failed_by_the_time_of_the_one_who_leads() {
    let origin = Origin::answering(|request| match request.index {
        0 => vec![Step::Wait(Gate::closed())],
        _ => respond(200, &["Cache-Control: max-age=60"], "late"),
    });
    let proxy = Proxy::start(&origin, &["--first-byte-timeout", "1s"]);
    let mut leader = proxy.client();
    let began = clock::instant();
    leader.send(request("GET", "/", &[]));
    origin.await_requests(1);
    thread::scope(|scope| {
        let led = scope.spawn(|| leader.response("GET").status);
        until("half of the leader's time to be over", || began.elapsed() > Duration::from_millis(500));
        let late = proxy.get("/");
        assert_eq!((late.status, late.text().as_str()), (200, "late"));
        assert_eq!(led.join().unwrap(), 504);
    });
}

#[test]
fn w43_what_was_fresh_for_less_time_than_the_origin_took_is_shared_by_those_who_asked_before_it_came() {
    for (flags, lines, shared, stored) in [
        (&[][..], &["Cache-Control: max-age=1"][..], true, true),
        (&["--stale-if-error", "0s"], &["Cache-Control: max-age=1"], true, false),
        (&[], &["Cache-Control: max-age=1", "ETag: \"1\""], true, true),
        (&[], &["Cache-Control: max-age=5", "Age: 5"], false, false),
        (&[], &["Cache-Control: max-age=1, must-revalidate"], false, false),
        (&[], &["Cache-Control: max-age=1, proxy-revalidate"], false, false),
        // RFC 9111 §4.2.3 counts the time that the origin takes as age
        (&["--strict"], &["Cache-Control: max-age=1"], false, false),
    ] {
        let gate = Gate::closed();
        let origin = held(&gate, move |_| respond(200, lines, "body"));
        let proxy = Proxy::start(&origin, flags);
        let answers = thread::scope(|scope| {
            let asking: Vec<_> = (0..8)
                .map(|_| {
                    let mut client = proxy.client();
                    client.send(request("GET", "/a", &[]));
                    scope.spawn(move || client.response("GET"))
                })
                .collect();
            origin.await_requests(1);
            proxy.await_following(7);
            // the origin takes longer than the response is fresh
            proxy.advance(2);
            gate.open();
            asking.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(answers.iter().all(|answer| (answer.status, answer.text().as_str()) == (200, "body")), "{lines:?}");
        assert_eq!(origin.request_count() == 1, shared, "{lines:?}: {}", origin.request_count());
        if shared {
            let says_stored = answers.iter().filter(|answer| answer.cache_status().contains("; stored")).count();
            assert_eq!(says_stored, usize::from(stored), "{lines:?}");
            // who comes later asks for itself
            if stored {
                drop(origin);
                let stood_in = proxy.get("/a");
                assert!(stood_in.detail().starts_with("stale: the origin "), "{lines:?}: {}", stood_in.detail());
            } else {
                assert!(!proxy.get("/a").cache_status().contains("hit"), "{lines:?}");
            }
        }
    }
}

#[test]
fn w44_who_waits_for_what_needs_validation_validates_what_is_being_stored() {
    let gate = Gate::closed();
    let origin = held(&gate, |request| match request.field("If-None-Match") {
        Some("\"v\"") => respond(304, &["ETag: \"v\"", "Cache-Control: no-cache", "X-Of: 304"], ""),
        _ => respond(200, &["ETag: \"v\"", "Cache-Control: no-cache"], "large"),
    });
    let proxy = Proxy::start(&origin, &[]);
    let answers = at_once(&proxy, &origin, &gate, 20, |_| "");
    assert!(answers.iter().all(|answer| (answer.status, answer.text().as_str()) == (200, "large")));
    let whole = origin.requests().iter().filter(|request| request.field("If-None-Match").is_none()).count();
    assert_eq!((whole, origin.request_count()), (1, 20));
    let validated: Vec<_> = answers.iter().filter(|answer| answer.detail() == "validated").collect();
    assert_eq!(validated.len(), 19);
    assert!(validated.iter().all(|answer| answer.x_cache() == "HIT" && answer.field("X-Of") == Some("304")));
}

#[test]
fn w40_no_fifth_asks_while_four_are_asking_again() {
    let gates: Vec<Gate> = (0..12).map(|_| Gate::closed()).collect();
    let held = gates.clone();
    let origin = Origin::answering(move |request| {
        let answer = respond(503, &["Cache-Control: no-store"], "sorry");
        [vec![Step::Wait(held[request.index].clone())], answer].concat()
    });
    let proxy = Proxy::start(&origin, &[]);
    let mut clients: Vec<_> = (0..12).map(|_| proxy.client()).collect();
    for (nth, client) in clients.iter_mut().enumerate() {
        client.send(request("GET", "/", &[]));
        if nth == 0 {
            origin.await_requests(1);
        }
    }
    proxy.await_following(11);
    gates[0].open();
    assert_eq!(clients[0].response("GET").status, 503);
    // with each that gets its answer one more asks
    for (asked, gate) in (5..12).zip(&gates[1..]) {
        origin.await_requests(asked);
        assert_eq!(origin.request_count(), asked);
        gate.open();
    }
    gates.iter().for_each(Gate::open);
    assert!(clients[1..].iter_mut().all(|client| client.response("GET").status == 503));
    assert_eq!(origin.request_count(), 12);
}

#[test]
fn w41_a_stale_response_says_that_the_origin_refused_the_connection() {
    let origin = Origin::always([respond(200, &["Connection: close"], "good"), vec![Step::Close]].concat());
    let proxy = Proxy::start(&origin, &["--default-ttl", "10s"]);
    proxy.get("/");
    proxy.advance(20);
    drop(origin);
    let stale = proxy.get("/");
    assert_eq!((stale.text().as_str(), stale.detail()), ("good", "stale: the origin refused the connection"));
}
