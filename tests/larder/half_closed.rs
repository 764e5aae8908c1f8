//! Clients that end their side of the connection behind the request, and go on reading.

use serde_json::Value;

use crate::{
    logs::run,
    support::{End, Gate, Origin, Proxy, Step, request, respond, stats, until},
};

const FRESH: &str = "Cache-Control: max-age=600";

#[test]
fn a_client_that_half_closes_before_its_answer_gets_it_wherever_it_comes_from() {
    let large = vec![b'x'; 3 << 20];
    let body = large.clone();
    let origin = Origin::answering(move |request| match request.target.as_str() {
        "/large" => respond(200, &[FRESH], &body),
        "/relayed" => respond(200, &["Cache-Control: no-store"], "small"),
        "/chunked" => vec![Step::Send(
            b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsmall\r\n0\r\n\r\n"
                .to_vec(),
        )],
        _ => respond(200, &[FRESH], "small"),
    });
    let mut proxy = Proxy::start(&origin, &["--memory", "0B"]);
    let ask = |proxy: &Proxy, target: &str| {
        let mut client = proxy.client();
        client.send(request("GET", target, &[])).finish();
        client.response("GET")
    };
    for target in ["/small", "/large"] {
        assert_eq!(ask(&proxy, target).end, End::Whole, "a miss: {target}");
        until("a hit", || proxy.get(target).x_cache() == "HIT");
    }
    proxy.restart();
    for (target, length) in [("/small", 5), ("/large", large.len())] {
        let hit = ask(&proxy, target);
        assert_eq!((hit.x_cache(), hit.body.len(), hit.end), ("HIT", length, End::Whole), "from the disk: {target}");
    }
    for target in ["/relayed", "/chunked"] {
        assert_eq!((ask(&proxy, target).text().as_str(), ask(&proxy, target).end), ("small", End::Whole), "{target}");
    }
}

#[test]
fn a_client_that_half_closes_waits_for_an_origin_that_takes_its_time() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |_| [vec![Step::Wait(held.clone())], respond(200, &[FRESH], "late")].concat());
    let proxy = Proxy::start(&origin, &[]);
    let mut client = proxy.client();
    client.send(request("GET", "/a", &[])).finish();
    origin.await_requests(1);
    gate.open();
    assert_eq!(client.response("GET").text(), "late");
}

/// An origin whose answers wait for the gate.
fn slow(gate: &Gate) -> Origin {
    let (held, large) = (gate.clone(), vec![b'x'; 1 << 20]);
    let chunked =
        "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsmall\r\n0\r\n\r\n";
    Origin::answering(move |request| {
        let answer = match request.target.as_str() {
            "/large" => respond(200, &[FRESH], &large),
            "/chunked" => vec![Step::Send(chunked.into())],
            "/private" => respond(200, &["Cache-Control: private"], "small"),
            "/empty" => respond(200, &[FRESH], ""),
            _ => respond(200, &[FRESH], "small"),
        };
        [vec![Step::Wait(held.clone())], answer].concat()
    })
}

const TARGETS: [&str; 5] = ["/small", "/large", "/chunked", "/private", "/empty"];

#[test]
fn a_client_that_has_closed_its_connection_before_its_answer_is_logged_and_counted_as_left() {
    // as curl -m and a closed tab do: a reset comes only once something is sent to them
    let gate = Gate::closed();
    let origin = slow(&gate);
    let run = run(&origin, &[]);
    for (n, target) in TARGETS.into_iter().enumerate() {
        let mut client = run.larder.client();
        client.send(request("GET", target, &[]));
        origin.await_requests(n + 1);
        drop(client);
    }
    gate.open();
    for target in TARGETS {
        let line = run.larder.await_line(&format!(" GET {target} "));
        assert!(line.contains(&format!(" ---- left GET {target} ")), "{line}");
        assert!(line.ends_with(" ms 0 B the client left before it got an answer"), "{line}");
    }
    let numbers = stats(&run.cache());
    assert_eq!(
        (&numbers["answers"]["left"]["requests"], &numbers["hit_ratio"]),
        (&5.into(), &Value::Null),
        "{numbers}"
    );
}

#[test]
fn a_client_that_half_closes_and_reads_is_logged_and_counted_as_answered() {
    let gate = Gate::closed();
    let origin = slow(&gate);
    let run = run(&origin, &[]);
    let ask = |(n, target): (usize, &str)| {
        let mut client = run.larder.client();
        client.send(request("GET", target, &[])).finish();
        origin.await_requests(n + 1);
        client
    };
    let clients: Vec<_> = TARGETS.into_iter().enumerate().map(ask).collect();
    gate.open();
    for (mut client, target) in clients.into_iter().zip(TARGETS) {
        assert_eq!(client.response("GET").end, End::Whole, "{target}");
        // it keeps its connection for as long as it likes
        let line = run.larder.await_line(&format!(" GET {target} "));
        assert!(line.contains(&format!(" MISS 200 GET {target} ")) && !line.contains("left"), "{line}");
    }
    let numbers = stats(&run.cache());
    assert_eq!(
        (&numbers["answers"]["left"]["requests"], &numbers["answers"]["miss"]["requests"]),
        (&0.into(), &3.into())
    );
}

#[test]
fn the_end_of_a_clients_side_within_a_body_of_unknown_length_means_that_it_has_left() {
    // it sends no more, and hears when the connection is closed
    let origin = Origin::always(vec![Step::Send(
        b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec(),
    )]);
    let proxy = Proxy::start(&origin, &[]);
    let mut tab = proxy.client();
    tab.send(request("GET", "/events", &[]));
    tab.head();
    origin.await_connections(1);
    tab.finish();
    origin.await_no_connections();
}

#[test]
fn a_client_that_half_closes_behind_its_content_gets_its_answer() {
    let origin = Origin::answering(|request| respond(200, &[], request.body.len().to_string()));
    let proxy = Proxy::start(&origin, &[]);
    for (lines, content, length) in [
        (&["Content-Length: 4"][..], "body".to_owned(), "4"),
        (&["Content-Length: 4", "Expect: 100-continue"], "body".to_owned(), "4"),
        (&["Content-Length: 200000"], "x".repeat(200_000), "200000"),
        (&["Transfer-Encoding: chunked"], "4\r\nbody\r\n0\r\n\r\n".to_owned(), "4"),
    ] {
        let mut client = proxy.client();
        client.send([request("POST", "/", lines), content.into_bytes()].concat()).finish();
        assert_eq!(client.response("POST").text(), length, "{lines:?}");
    }
}

#[test]
fn a_client_that_ends_its_side_within_its_content_is_not_waited_for() {
    let origin = Origin::always(respond(200, &[], ""));
    let proxy = Proxy::start(&origin, &[]);
    for lines in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let mut client = proxy.client();
        client.send([request("POST", "/", &[lines]), b"4\r\n".to_vec()].concat()).finish();
        client.rest();
    }
    assert_eq!(origin.request_count(), 0);
}
