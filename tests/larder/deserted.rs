//! Bodies that last long: whom they wait for, who may join them, and when they are given up.

use larder::clock;

use crate::support::{Client, End, Gate, Origin, Proxy, Response, Step, request, respond, until};

const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

/// An origin that sends these bytes and no more. It hears when the connection is closed.
fn beginning(bytes: impl Into<Vec<u8>>) -> Origin {
    Origin::always(vec![Step::Send(bytes.into())])
}

/// Asks, and reads the response's head.
fn ask(proxy: &Proxy, target: &str) -> (Client, Response) {
    let mut client = proxy.client();
    client.send(request("GET", target, &[]));
    let head = client.head();
    assert_eq!(head.status, 200, "{head:?}");
    (client, head)
}

#[test]
fn a_body_of_unknown_length_ends_soon_after_its_last_client_has_left() {
    let origin = beginning(CHUNKED);
    let proxy = Proxy::tuned(&origin, &["--workers", "1"], |config| config.sites[0].origin_client.max_connections = 16);
    // many more than there may be connections to the origin
    for n in 0..100 {
        drop(ask(&proxy, &format!("/{n}")));
    }
    let left = clock::instant();
    origin.await_no_connections();
    assert!(left.elapsed().as_secs() < 5, "{:?}", left.elapsed());
}

#[test]
fn a_slow_body_of_known_length_ends_soon_after_its_last_client_has_left() {
    let origin = beginning(
        [b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 60000000\r\n\r\n", &[b'x'; 2000][..]]
            .concat(),
    );
    let proxy = Proxy::start(&origin, &[]);
    // the end of its side alone may be a half-close
    ask(&proxy, "/a").0.reset();
    origin.await_no_connections();
}

#[test]
fn w34_a_condition_on_a_large_url_that_was_given_up_goes_on_to_the_origin() {
    let origin = Origin::answering(|request| match request.field("If-None-Match") {
        Some("\"v\"") => respond(304, &["ETag: \"v\""], ""),
        _ => {
            let head =
                "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nETag: \"v\"\r\nContent-Length: 60000000\r\n\r\n";
            vec![Step::Send([head.as_bytes(), &[b'x'; 2000]].concat())]
        }
    });
    let proxy = Proxy::start(&origin, &[]);
    let ask = || proxy.client().ask("GET", "/a", &["If-None-Match: \"v\""]);
    // for all clients at first: how long the transfer takes is not known yet
    assert_eq!((ask().status, origin.requests()[0].field("If-None-Match")), (304, None));
    origin.await_no_connections();
    until("the transfer to be given up", || {
        let asked = origin.request_count();
        ask().status == 304 && origin.requests()[asked].field("If-None-Match") == Some("\"v\"")
    });
}

#[test]
fn nobody_joins_a_body_of_unknown_length_that_began_long_ago() {
    let origin = beginning(CHUNKED);
    let proxy = Proxy::start(&origin, &[]);
    let first = ask(&proxy, "/a");
    let joined = ask(&proxy, "/a");
    assert_eq!(origin.request_count(), 1);
    proxy.advance(6);
    let mut late = proxy.client();
    late.send(request("GET", "/a", &[]));
    let head = late.head();
    assert_eq!((origin.request_count(), head.cache_status().contains("collapsed")), (2, false));
    drop((first, joined));
}

#[test]
fn a_body_that_the_store_refuses_is_relayed_to_each_client_alone() {
    let body = vec![b'x'; 2 << 20];
    let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: {}\r\n\r\n", body.len());
    let origin = beginning([head.as_bytes(), &body].concat());
    let proxy = Proxy::start(&origin, &["--max-object", "1MiB"]);
    let stalled = ask(&proxy, "/a");
    let mut reader = proxy.client();
    let whole = reader.get("/a");
    assert_eq!((whole.end, whole.body.len(), origin.request_count()), (End::Whole, body.len(), 2));
    assert_eq!(whole.detail(), "larger than --max-object");
    assert!(!whole.cache_status().contains("stored;"), "{}", whole.cache_status());
    drop(stalled);
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody_where_the_store_refuses_in_mid_body() {
    const PIECE: usize = 64 << 10;
    let mut bytes = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..(40 << 20) / PIECE {
        bytes.extend_from_slice(format!("{PIECE:x}\r\n").as_bytes());
        bytes.extend_from_slice(&[b'x'; PIECE]);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    let rest = bytes.split_off(PIECE);
    let gate = Gate::closed();
    let both_have_asked = gate.clone();
    let origin = Origin::answering(move |_| {
        vec![Step::Send(bytes.clone()), Step::Wait(both_have_asked.clone()), Step::Send(rest.clone())]
    });
    let proxy = Proxy::start(&origin, &["--max-object", "1MiB", "--write-timeout", "60s"]);
    let (mut reader, mut whole) = ask(&proxy, "/a");
    let stalled = ask(&proxy, "/a");
    gate.open();
    let began = clock::instant();
    reader.body("GET", &mut whole);
    assert_eq!((whole.end, whole.body.len(), origin.request_count()), (End::Whole, 40 << 20, 1));
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
    drop(stalled);
}

#[test]
fn what_the_cache_has_no_room_or_no_folder_for_is_not_said_to_be_stored() {
    let body = vec![b'x'; 1 << 20];
    let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: {}\r\n\r\n", body.len());
    let origin = beginning([head.as_bytes(), &body].concat());
    let folder = tempfile::NamedTempFile::new().unwrap();
    let within = folder.path().join("cache");
    let proxy = Proxy::tuned(&origin, &[], |config| config.store.folder = within);
    let answer = proxy.get("/a");
    assert_eq!((answer.status, answer.body.len()), (200, body.len()));
    assert_eq!(answer.detail(), "the cache is not available");
    assert!(!answer.cache_status().contains("stored;"), "{}", answer.cache_status());
}
