//! Peers that are slow, silent or gone.

use std::time::Duration;

use larder::clock;

use crate::support::{Client, Gate, Origin, Proxy, Response, Step, request, respond, until};

/// No deadline of these tests is longer; the defaults are.
const SOON: Duration = Duration::from_secs(4);
const FRESH: &str = "Cache-Control: max-age=600";

fn echo() -> Origin {
    Origin::answering(|request| respond(200, &["Cache-Control: no-store"], &request.target))
}

/// What `wait` returns, which must be there soon.
fn soon<T>(wait: impl FnOnce() -> T) -> T {
    let began = clock::instant();
    let value = wait();
    assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
    value
}

#[test]
fn x01_x02_a_head_that_does_not_end_is_answered_408_on_every_request() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &["--head-timeout", "200ms"]);
    for earlier in [0, 1, 3] {
        let mut client = proxy.client();
        for _ in 0..earlier {
            assert_eq!(client.get("/a").text(), "/a");
        }
        client.send("GET /slow HTTP/1.1\r\nX: y\r\n");
        let trickling = client.trickle(b"X: y\r\n");
        assert_eq!(soon(|| client.response("GET").status), 408, "after {earlier} requests");
        client.finish();
        trickling.join().unwrap();
    }
    assert_eq!(proxy.counters().head_timeouts.count(), 3);
    assert_eq!(origin.request_count(), 4);
}

#[test]
fn x01_a_connection_on_which_nothing_comes_is_closed() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &["--head-timeout", "200ms"]);
    assert_eq!(soon(|| proxy.client().rest()), b"");
}

#[test]
fn x03_an_idle_connection_is_closed_and_not_before_its_time() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &["--keep-alive", "300ms"]);
    let mut client = proxy.client();
    client.get("/a");
    let began = clock::instant();
    assert_eq!(soon(|| client.rest()), b"");
    // the tick is coarse: it may be early by one
    assert!(began.elapsed() > Duration::from_millis(200), "{:?}", began.elapsed());
}

#[test]
fn x04_a_body_that_stalls_is_answered_408_and_its_upload_is_given_up() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &["--body-timeout", "200ms"]);
    let mut client = proxy.client();
    client.send(request("POST", "/a", &["Content-Length: 1000"])).send("x");
    assert_eq!(soon(|| client.response("POST").status), 408);
    assert_eq!(client.rest(), b"");
    assert_eq!(proxy.counters().body_timeouts.count(), 1);
    origin.await_no_connections();
    assert_eq!(origin.request_count(), 0, "the origin never got the whole of it");
}

#[test]
fn x04_a_body_that_trickles_is_answered_408() {
    let origin = echo();
    let grace = |config: &mut larder::config::Config| config.client.min_rate_grace = Duration::from_millis(300);
    let proxy = Proxy::tuned(&origin, &["--min-rate", "1MiB"], grace);
    let mut client = proxy.client();
    client.send(request("POST", "/a", &["Content-Length: 1000000"]));
    let trickling = client.trickle(b"x");
    assert_eq!(soon(|| client.response("POST").status), 408);
    client.finish();
    trickling.join().unwrap();
    let fast = Proxy::tuned(&origin, &["--min-rate", "0B"], grace);
    let mut client = fast.client();
    client.send(request("POST", "/a", &["Content-Length: 100"]));
    let trickling = client.trickle(b"x");
    assert_eq!(client.response("POST").text(), "/a");
    client.finish();
    trickling.join().unwrap();
}

#[test]
fn x05_a_client_that_does_not_read_is_cut_off_and_holds_up_nobody() {
    let body = vec![b'x'; 32 << 20];
    let origin = Origin::always(respond(200, &[FRESH], &body));
    let proxy = Proxy::start(&origin, &["--write-timeout", "300ms"]);
    let mut silent = proxy.client();
    silent.send(request("GET", "/big", &[]));
    origin.await_requests(1);
    let other = proxy.get("/big");
    assert!(other.body == body, "{} of {} bytes", other.body.len(), body.len());
    until("the silent client to be cut off", || proxy.counters().write_timeouts.count() == 1);
    assert!(silent.rest().len() < body.len());
    until("a hit", || proxy.get("/big").x_cache() == "HIT");
    // who looked just before it was stored, and asked just after its flight had ended, asks once more
    assert!(origin.request_count() <= 2, "{}", origin.request_count());
}

#[test]
fn x05_a_client_that_does_not_read_does_not_hold_a_connection_to_the_origin() {
    let origin = Origin::always(respond(200, &["Cache-Control: no-store"], vec![b'x'; 32 << 20]));
    let proxy = Proxy::start(&origin, &["--write-timeout", "300ms"]);
    let mut silent = proxy.client();
    silent.send(request("GET", "/big", &[]));
    origin.await_requests(1);
    until("the silent client to be cut off", || proxy.counters().write_timeouts.count() == 1);
    origin.await_no_connections();
}

#[test]
fn x05_a_client_that_reads_slowly_but_steadily_gets_all_of_its_answer() {
    let body = vec![b'x'; 16 << 20];
    let origin = Origin::always(respond(200, &[FRESH], &body));
    let proxy = Proxy::start(&origin, &["--write-timeout", "1s"]);
    until("a hit", || proxy.get("/big").x_cache() == "HIT");
    let mut client = proxy.client();
    client.send(request("GET", "/big", &[])).head();
    // the default of 30 s and a reader of 20 KiB/s, thirty times as fast
    let (began, mut read) = (clock::instant(), 0);
    while began.elapsed() < Duration::from_secs(5) {
        read += client.bytes(8 << 10).len();
        std::thread::park_timeout(Duration::from_millis(13));
    }
    assert_eq!(read + client.bytes(body.len() - read).len(), body.len());
    assert_eq!(proxy.counters().write_timeouts.count(), 0);
}

#[test]
fn w04_a_client_that_reads_less_than_the_kernel_notices_gets_all_of_its_answer() {
    let body = vec![b'x'; 4 << 20];
    let origin = Origin::always(respond(200, &[FRESH], &body));
    let proxy = Proxy::start(&origin, &["--write-timeout", "8s"]);
    until("a hit", || proxy.get("/big").x_cache() == "HIT");
    let mut client = Client::connect_as_from_afar(proxy.address);
    client.send(request("GET", "/big", &[])).head();
    // the default of 60 s and a reader of 3,400 bytes a second, more than seven times as fast. On a busy machine this thread
    // may have no turn for seconds
    let (began, mut read) = (clock::instant(), 0);
    while began.elapsed() < Duration::from_secs(20) {
        // on a busy machine more at a time
        let due = began.elapsed().as_millis() as usize * 26;
        read += client.bytes(due - read.min(due)).len();
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(proxy.counters().write_timeouts.count(), 0);
    assert_eq!(read + client.bytes(body.len() - read).len(), body.len());
}

/// A POST whose body nobody reads, of which no more than this comes.
fn refused_upload(flags: &[&str], begin: &[u8]) -> (Response, Vec<u8>) {
    let origin = Origin::before_bodies(|_| [respond(413, &["Connection: close"], "no"), vec![Step::Close]].concat());
    let proxy = Proxy::start(&origin, flags);
    let mut client = proxy.client();
    client.send(request("POST", "/a", &["Content-Length: 50000"]));
    let response = client.response("POST");
    let _ = client.try_send(begin);
    (response, soon(|| client.rest()))
}

#[test]
fn s18_a_body_that_nobody_read_is_waited_for_within_its_bounds() {
    let (silent, behind) = refused_upload(&["--drain-timeout", "200ms"], b"");
    assert_eq!((silent.status, behind), (413, Vec::new()));
    let (long, behind) = refused_upload(&["--drain-limit", "1KiB"], &[b'x'; 2000]);
    assert_eq!((long.status, behind), (413, Vec::new()));
}

#[test]
fn x15_clients_that_leave_during_a_fill_neither_spoil_nor_leak_it() {
    for reset in [false, true] {
        let gate = Gate::closed();
        let held = gate.clone();
        let origin = Origin::answering(move |request| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n{FRESH}\r\n\r\n");
            let half = |head: &str| Step::Send([head.as_bytes(), &[b'x'; 100_000]].concat());
            if request.index > 0 {
                return respond(500, &[], "a second request");
            }
            vec![half(&head), Step::Wait(held.clone()), half("")]
        });
        let proxy = Proxy::start(&origin, &[]);
        let mut client = proxy.client();
        client.send(request("GET", "/a", &[])).head();
        client.bytes(1024);
        if reset {
            client.reset()
        } else {
            drop(client)
        }
        gate.open();
        let mut second = proxy.get("/a");
        assert_eq!((second.status, second.body.len()), (200, 200_000), "reset: {reset}");
        until("it to be stored", || {
            second = proxy.get("/a");
            second.x_cache() == "HIT"
        });
        assert_eq!((second.body.len(), origin.request_count()), (200_000, 1));
    }
}

#[test]
fn x15_a_fill_that_is_too_long_to_be_worth_it_ends_with_its_last_client() {
    for reset in [false, true] {
        let endless = std::iter::repeat_n(Step::Send(vec![b'x'; 1 << 20]), 200);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{FRESH}\r\n\r\n", 200 << 20);
        let origin = Origin::always([Step::Send(head.into_bytes())].into_iter().chain(endless).collect());
        let proxy = Proxy::start(&origin, &[]);
        let mut client = proxy.client();
        client.send(request("GET", "/a", &[])).head();
        client.bytes(1024);
        if reset {
            client.reset()
        } else {
            drop(client)
        }
        origin.await_no_connections();
        until("the disk to be given back", || super::load::disk_used(&proxy.folder()) < 8 << 20);
    }
}

#[test]
fn w05_event_streams_leave_places_for_other_requests() {
    let stream = ["Cache-Control: no-store", "Transfer-Encoding: chunked"].join("\r\n");
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match request.target.strip_prefix("/stream") {
        Some(_) => vec![
            Step::Send(format!("HTTP/1.1 200 OK\r\n{stream}\r\n\r\n3\r\none\r\n").into_bytes()),
            Step::Wait(held.clone()),
            Step::Send(b"0\r\n\r\n".to_vec()),
        ],
        None => respond(200, &["Cache-Control: no-store"], &request.target),
    });
    let proxy = Proxy::start(&origin, &["--origin-connections", "4", "--origin-streams", "4"]);
    let mut streams: Vec<_> = (0..8)
        .map(|n| {
            let mut client = proxy.client();
            client.send(request("GET", &format!("/stream{n}"), &[]));
            client
        })
        .collect();
    // four of them do not count against the four places after a while: the others take these
    for client in &mut streams[..] {
        assert_eq!(client.head().status, 200);
    }
    let refused = proxy.get("/other");
    assert_eq!((refused.status, refused.field("Proxy-Status")), (503, Some("larder; error=connection_limit_reached")));
    streams.pop();
    assert_eq!(soon(|| proxy.get("/other")).text(), "/other");
    gate.open();
}
