//! Bodies that are too long for memory, while they come: written once to the disk, read from there at everyone's own pace.

use std::{net::TcpStream, thread};

use crate::support::{Client, End, Gate, Origin, Proxy, Response, Step, until};

const HALF: usize = 3 << 19;

/// Bytes that differ wherever one looks.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8 ^ (n >> 12) as u8).collect()
}

/// 3 MiB that stop in the middle until the gate opens; with a length, or in chunks.
fn halved(gate: &Gate, chunked: bool) -> Origin {
    let (gate, body) = (gate.clone(), pattern(2 * HALF));
    let framed = move |half: &[u8]| match chunked {
        true => [format!("{:x}\r\n", half.len()).as_bytes(), half, b"\r\n"].concat(),
        false => half.to_vec(),
    };
    let (framing, end) = match chunked {
        true => ("Transfer-Encoding: chunked".to_owned(), "0\r\n\r\n"),
        false => (format!("Content-Length: {}", body.len()), ""),
    };
    let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n{framing}\r\n\r\n");
    Origin::always(vec![
        Step::Send([head.as_bytes(), &framed(&body[..HALF])].concat()),
        Step::Wait(gate),
        Step::Send([&framed(&body[HALF..]), end.as_bytes()].concat()),
    ])
}

/// Asks (in HTTP/1.0, so that no chunks are in what comes), and reads the half that comes.
fn ask(proxy: &Proxy) -> (Client, Response) {
    let mut client = proxy.client();
    client.send("GET /a HTTP/1.0\r\nHost: larder.test\r\n\r\n");
    let mut response = client.head();
    response.body = client.bytes(HALF);
    (client, response)
}

fn rest((client, response): &mut (Client, Response)) {
    client.body("GET", response);
    assert!(matches!(response.end, End::Whole | End::Closed), "{:?}", response.end);
    assert!(response.body == pattern(2 * HALF), "{} bytes", response.body.len());
}

#[test]
fn who_comes_later_reads_a_large_body_while_it_is_still_written() {
    for chunked in [false, true] {
        let gate = Gate::closed();
        let origin = halved(&gate, chunked);
        let proxy = Proxy::start(&origin, &[]);
        let mut readers = [ask(&proxy), ask(&proxy), ask(&proxy)];
        gate.open();
        readers.iter_mut().for_each(rest);
        until("a hit", || proxy.get("/a").x_cache() == "HIT");
        assert_eq!(origin.request_count(), 1);
    }
}

#[test]
fn a_large_body_reaches_those_who_stay_when_its_first_client_leaves() {
    for reset in [false, true] {
        let gate = Gate::closed();
        let origin = halved(&gate, false);
        let proxy = Proxy::start(&origin, &[]);
        let (first, _) = ask(&proxy);
        let mut second = ask(&proxy);
        if reset {
            first.reset()
        } else {
            drop(first)
        }
        gate.open();
        rest(&mut second);
        until("a hit", || proxy.get("/a").x_cache() == "HIT");
        assert_eq!(origin.request_count(), 1);
    }
}

#[test]
fn a_graceful_stop_lets_a_body_end_whose_first_client_was_another_workers_and_has_left() {
    let gate = Gate::closed();
    let origin = halved(&gate, false);
    let mut proxy = Proxy::start(&origin, &["--workers", "2"]);
    // connections go to the workers in turn
    let (first, _) = ask(&proxy);
    let mut second = ask(&proxy);
    drop(first);
    let address = proxy.address;
    let stopping = thread::spawn(move || proxy.stop());
    // a worker without a connection would end at once
    until("the listener to be closed", || TcpStream::connect(address).is_err());
    gate.open();
    rest(&mut second);
    stopping.join().unwrap();
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn a_body_that_grows_too_long_for_the_store_reaches_all_its_readers_and_is_not_stored() {
    let gate = Gate::closed();
    let origin = halved(&gate, true);
    // the first half still is on the disk
    let proxy = Proxy::start(&origin, &["--max-object", "2MiB"]);
    let mut readers = [ask(&proxy), ask(&proxy), ask(&proxy)];
    gate.open();
    // all at once: the slowest holds the others up from now on
    thread::scope(|scope| readers.iter_mut().for_each(|reader| drop(scope.spawn(|| rest(reader)))));
    assert_eq!(origin.request_count(), 1);
    let next = proxy.get("/a");
    assert_eq!((next.x_cache(), next.body.len()), ("MISS", 2 * HALF));
}
