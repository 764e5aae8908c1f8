//! Streams of events: each client has one of its own.

use std::time::Duration;

use larder::clock;

use crate::support::{End, Gate, Origin, Proxy, Spawned, Step, open_files, request};

const KINDS: [&str; 5] = [
    "text/event-stream",
    "Text/Event-Stream; charset=utf-8",
    "multipart/x-mixed-replace; boundary=x",
    "application/x-ndjson",
    "application/grpc+proto",
];

/// Begins each answer at once, with a chunk that says the how manyeth it is, and ends it when the gate opens.
fn streaming(fields: &'static [&'static str], gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::answering(move |request| {
        let kind = KINDS[request.target[1..].parse::<usize>().unwrap() % KINDS.len()];
        let fields: String = fields.iter().map(|line| format!("{line}\r\n")).collect();
        let chunk = |text: String| Step::Send(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes());
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{fields}Transfer-Encoding: chunked\r\n\r\n");
        let begins = chunk(format!("data: {} begins\n\n", request.index));
        let ends = chunk(format!("data: {} ends\n\n", request.index));
        vec![Step::Send(head.into()), begins, Step::Wait(gate.clone()), ends, Step::Send(b"0\r\n\r\n".into())]
    })
}

#[test]
fn two_clients_of_a_stream_each_get_their_own_from_its_beginning_and_as_it_comes() {
    for flags in [&[][..], &["--strict"]] {
        let gate = Gate::closed();
        let origin = streaming(&["ETag: \"v\"", "Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT"], &gate);
        let proxy = Proxy::start(&origin, flags);
        let mut streams = Vec::new();
        for (n, kind) in KINDS.iter().enumerate() {
            for _ in 0..2 {
                let mut client = proxy.client();
                let head = client.send(request("GET", &format!("/{n}"), &[])).head();
                assert_eq!((head.status, head.detail()), (200, "a stream without a lifetime"), "{kind}");
                assert!(!head.cache_status().contains("collapsed"), "{kind}: {}", head.cache_status());
                // the first event is there while the stream goes on
                let number = streams.len();
                let begins = format!("data: {number} begins\n\n");
                let chunk = format!("{:X}\r\n{begins}\r\n", begins.len());
                let came = String::from_utf8(client.bytes(chunk.len())).unwrap();
                assert_eq!(came.to_uppercase(), chunk.to_uppercase(), "{kind}");
                streams.push((client, head));
            }
        }
        assert_eq!(origin.request_count(), streams.len());
        gate.open();
        for (number, (mut client, mut head)) in streams.into_iter().enumerate() {
            client.body("GET", &mut head);
            assert_eq!((head.text(), head.end), (format!("data: {number} ends\n\n"), End::Whole));
        }
        let later = proxy.get("/0");
        assert_eq!((later.x_cache(), later.text().contains("data: 10 begins")), ("MISS", true), "{}", later.text());
    }
}

#[test]
fn six_hundred_streams_whose_clients_leave_are_gone_at_the_origin_within_two_seconds() {
    // more than --origin-connections
    const STREAMS: usize = 600;
    assert!(open_files() > 4 * STREAMS as u64);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    // hears when it is closed
    let origin = Origin::always(vec![Step::Send(format!("{head}3\r\n:\n\n\r\n").into())]);
    let folder = tempfile::tempdir().unwrap();
    let larder = Spawned::start(&origin.url(), folder.path(), &[]);
    let mut clients: Vec<_> = (0..STREAMS).map(|_| larder.client()).collect();
    for client in &mut clients {
        client.send(request("GET", "/0", &[]));
    }
    for client in &mut clients {
        assert_eq!(client.head().status, 200);
    }
    origin.await_connections(STREAMS);
    let left = clock::instant();
    drop(clients);
    origin.await_no_connections();
    assert!(left.elapsed() < Duration::from_secs(2), "{:?}", left.elapsed());
}

#[test]
fn a_stream_that_has_a_lifetime_is_stored_like_anything_else() {
    let gate = Gate::closed();
    gate.open();
    let origin = streaming(&["Cache-Control: max-age=60"], &gate);
    let proxy = Proxy::start(&origin, &[]);
    for n in 0..KINDS.len() {
        let target = format!("/{n}");
        let (first, next) = (proxy.get(&target), proxy.get(&target));
        assert_eq!((first.x_cache(), next.x_cache(), first.text() == next.text()), ("MISS", "HIT", true), "{n}");
    }
}
