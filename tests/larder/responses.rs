//! Responses as they are: what Larder does not touch, and how it lets go of what nobody wants any more.

use std::{
    io::{self, Write},
    net::TcpListener,
    sync::mpsc,
    thread,
};

use crate::support::{End, Origin, PATIENCE, Proxy, RecordedRequest, Response, Spawned, Step, request, respond};

const FRESH: &str = "Cache-Control: max-age=600";

fn raw(bytes: impl Into<Vec<u8>>) -> Vec<Step> {
    vec![Step::Send(bytes.into()), Step::Close]
}

#[test]
fn encoded_content_is_never_decoded() {
    let bomb: Vec<u8> = [&b"\x1f\x8b\x08"[..], &[0xff; 5000]].concat();
    for coding in ["gzip", "br", "zstd", "deflate", "gzip, gzip", "x-own"] {
        let line = format!("Content-Encoding: {coding}");
        let origin = Origin::always(respond(200, &[FRESH, &line], &bomb));
        let proxy = Proxy::start(&origin, &[]);
        for word in ["MISS", "HIT"] {
            let answer = proxy.get("/");
            assert_eq!((answer.x_cache(), answer.field("Content-Encoding")), (word, Some(coding)));
            assert!(answer.body == bomb && answer.field("Content-Length") == Some("5003"), "{coding}");
        }
    }
}

#[test]
fn every_byte_value_gets_through_a_body() {
    let body: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let chunked = [&b"11170\r\n"[..], &body, b"\r\n0\r\n\r\n"].concat();
    for (framing, content) in [("Content-Length: 70000", &body), ("Transfer-Encoding: chunked", &chunked)] {
        let head = format!("HTTP/1.1 200 OK\r\n{FRESH}\r\n{framing}\r\n\r\n").into_bytes();
        let origin = Origin::always(raw([head, content.clone()].concat()));
        let proxy = Proxy::start(&origin, &[]);
        for word in ["MISS", "HIT"] {
            let answer = proxy.get("/");
            assert_eq!((answer.x_cache(), answer.end), (word, End::Whole));
            assert!(answer.body == body, "{framing}");
        }
    }
}

#[test]
fn field_values_that_are_not_ascii_go_through_as_they_are() {
    let head = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nX-Utf8: \xc3\xbc\r\nX-Latin: \xfc\xff\r\nContent-Length: 0\r\n\r\n";
    let origin = Origin::always(raw(head.to_vec()));
    let proxy = Proxy::start(&origin, &[]);
    for _ in 0..2 {
        let answer = proxy.get("/");
        for value in [&b": \xc3\xbc\r\n"[..], b": \xfc\xff\r\n"] {
            assert!(answer.head.windows(value.len()).any(|window| window == value), "{answer:?}");
        }
    }
}

#[test]
fn any_status_gets_through_and_its_reason_phrase_means_nothing() {
    for (line, status) in [
        ("HTTP/1.1 200 ", 200),
        ("HTTP/1.1 200", 200),
        ("HTTP/1.1 299 Own Words", 299),
        ("HTTP/1.1 418 \u{fc}", 418),
        ("HTTP/1.1 599 OK", 599),
        ("HTTP/1.1 451 Unavailable For Legal Reasons", 451),
        ("HTTP/1.0 200 OK", 200),
    ] {
        let origin = Origin::always(raw(format!("{line}\r\nContent-Length: 2\r\n\r\nok").into_bytes()));
        let answer = Proxy::start(&origin, &[]).get("/");
        assert_eq!((answer.status, answer.text().as_str(), answer.end), (status, "ok", End::Whole), "{line}");
        assert!(answer.head.starts_with(format!("HTTP/1.1 {status} ").as_bytes()), "{line}");
    }
}

#[test]
fn trailers_are_passed_on_to_clients_that_take_them_and_are_not_stored() {
    let origin = Origin::answering(|request| {
        let cached = if request.target == "/stored" { "max-age=600" } else { "no-store" };
        raw(format!(
            "HTTP/1.1 200 OK\r\nCache-Control: {cached}\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\nx-sum: 42\r\nSet-Cookie: a=1\r\nContent-Length: 9\r\nX-Cache: HIT\r\n\r\n"
        ))
    });
    let proxy = Proxy::start(&origin, &[]);
    let asked = |target: &str, version: &str, fields: &str| {
        let head = format!("GET {target} HTTP/{version}\r\nHost: h\r\nConnection: close, TE\r\n{fields}\r\n");
        String::from_utf8(proxy.client().send(head).rest()).unwrap()
    };
    let with = "5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n";
    for target in ["/relayed", "/stored"] {
        let answer = asked(target, "1.1", "TE: trailers\r\n");
        assert!(answer.ends_with(with) && answer.contains("Transfer-Encoding: chunked"), "{answer}");
    }
    let hit = asked("/stored", "1.1", "TE: trailers\r\n");
    assert!(hit.contains("X-Cache: HIT") && hit.ends_with("\r\n\r\nhello"), "{hit}");
    for (version, fields, body) in [
        ("1.1", "", "5\r\nhello\r\n0\r\n\r\n"),
        ("1.1", "TE: gzip\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("1.0", "TE: trailers\r\n", "\r\n\r\nhello"),
    ] {
        let answer = asked("/relayed", version, fields);
        assert!(answer.ends_with(body) && !answer.contains("X-Sum: 42"), "{answer}");
    }
}

#[test]
fn a_426_keeps_its_upgrade_and_no_other_answer_does() {
    let origin = Origin::answering(|request| {
        let status = request.target[1..].parse().unwrap();
        respond(status, &["Upgrade: TLS/1.2, HTTP/1.1", "Connection: Upgrade"], "")
    });
    let proxy = Proxy::start(&origin, &[]);
    let required = proxy.get("/426");
    assert_eq!((required.status, required.field("Upgrade")), (426, Some("TLS/1.2, HTTP/1.1")));
    assert_eq!(required.field("Connection"), Some("Upgrade"));
    let last = proxy.client().ask("GET", "/426", &["Connection: close"]);
    assert_eq!(last.field("Connection"), Some("Upgrade, close"));
    for target in ["/200", "/404"] {
        assert_eq!((proxy.get(target).field("Upgrade"), proxy.get(target).field("Connection")), (None, None));
    }
    // with --strict it may be stored
    let origin =
        Origin::always(respond(426, &["Upgrade: TLS/1.2", "Connection: Upgrade", "Cache-Control: max-age=9"], ""));
    let proxy = Proxy::start(&origin, &["--strict"]);
    for word in ["MISS", "HIT"] {
        let required = proxy.get("/426");
        let named = ["Upgrade", "Connection"].map(|name| required.field(name));
        assert_eq!((required.x_cache(), named), (word, [Some("TLS/1.2"), Some("Upgrade")]));
    }
}

#[test]
fn what_the_origin_exposes_to_scripts_of_other_sites_stays_as_it_is() {
    let exposed = "Access-Control-Expose-Headers: ETag, x-own";
    let origin = Origin::answering(|_| respond(200, &[FRESH, exposed], "hello"));
    let proxy = Proxy::start(&origin, &[]);
    for word in ["MISS", "HIT"] {
        let answer = proxy.get("/");
        assert_eq!((answer.x_cache(), answer.field("Access-Control-Expose-Headers")), (word, Some("ETag, x-own")));
    }
}

#[test]
fn a_head_that_is_malformed_is_a_502_and_not_one_byte_of_it_is_used() {
    for line in [
        "X-\u{fc}: 1",
        "X: a\x01b",
        "X: a\x7fb",
        " X: folded",
        ": no name",
        "X Y: 1",
        "X\0: 1",
        "X(): 1",
        "X: a\nY: b\rZ: c",
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n{line}\r\n\r\nevil");
        let origin = Origin::always(raw(head.into_bytes()));
        let answer = Proxy::start(&origin, &[]).get("/");
        assert_eq!((answer.status, answer.text().contains("evil")), (502, false), "{line:?}");
    }
}

#[test]
fn whitespace_before_a_colon_of_the_origins_is_taken_out() {
    let origin = Origin::always(raw("HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 2\r\n\r\nok"));
    let answer = Proxy::start(&origin, &[]).get("/");
    assert!(answer.status == 502 || answer.field("X-A") == Some("1"), "{answer:?}");
}

/// Splits the answer of an origin that decodes it.
const SPLITTING: &str = "/?x=%0d%0aSet-Cookie:%20evil";

/// What stands behind `x=`, percent-decoded.
fn decoded(request: &RecordedRequest) -> Vec<u8> {
    let value = request.target.split_once("x=").unwrap().1;
    let mut parts = value.split('%');
    let mut decoded = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        decoded.push(u8::from_str_radix(&part[..2], 16).unwrap());
        decoded.extend(part[2..].bytes());
    }
    decoded
}

fn set_cookies(answer: &Response) -> usize {
    answer.values("Set-Cookie").len() + String::from_utf8_lossy(&answer.head).matches("\nSet-Cookie").count()
}

#[test]
fn r17_what_an_origin_reflects_undecoded_arrives_as_it_is_and_is_nowhere_decoded() {
    let origin = Origin::answering(|request| {
        let location = format!("Location: http://{}{}&", request.field("Host").unwrap(), request.target);
        respond(302, &[FRESH, &location, &format!("X-Reflected: {}", request.target)], "")
    });
    let folder = tempfile::tempdir().unwrap();
    let larder = Spawned::start(&format!("{}/base", origin.url()), folder.path(), &[]);
    for word in ["MISS", "HIT"] {
        let answer = larder.get(SPLITTING);
        assert_eq!((answer.status, answer.x_cache(), set_cookies(&answer)), (302, word, 0), "{answer:?}");
        assert_eq!(answer.values("X-Reflected"), [format!("/base{SPLITTING}")]);
        // the one field of these that Larder writes anew
        assert_eq!(answer.values("Location"), [format!("{SPLITTING}&")]);
    }
    let line = larder.await_line("HIT 302");
    assert!(line.contains(SPLITTING), "{line}");
}

#[test]
fn r17_answers_of_larders_own_hold_nothing_of_the_target() {
    let origin = Origin::always(vec![Step::Close]);
    let proxy = Proxy::start(&origin, &["--allow-host", "larder.test"]);
    for (bytes, status) in [
        (format!("GET {SPLITTING} HTTP/1.1\r\nHost: larder.test\r\n\r\n"), 502),
        (format!("GET {SPLITTING} HTTP/1.1\r\nHost: other.test\r\n\r\n"), 421),
        (format!("GET {SPLITTING} HTTP/1.1\r\nHost: larder.test\r\nCache-Control: only-if-cached\r\n\r\n"), 504),
        (format!("CONNECT {SPLITTING} HTTP/1.1\r\nHost: larder.test\r\n\r\n"), 501),
    ] {
        let answer = proxy.client().send(&bytes).response("GET");
        assert_eq!((answer.status, set_cookies(&answer)), (status, 0), "{answer:?}");
        let head = String::from_utf8_lossy(&answer.head).to_lowercase();
        assert!(!head.contains("evil") && !head.contains("%0d"), "{head}");
    }
}

#[test]
fn r17_a_line_that_an_origin_lets_a_client_write_is_its_own_affair_and_a_control_character_is_a_502() {
    let origin = Origin::answering(|request| {
        let head = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 4\r\nX-Reflected: ";
        vec![Step::Send([&head[..], &decoded(request), b"\r\n\r\nbody"].concat())]
    });
    let proxy = Proxy::start(&origin, &[]);
    // the origin did send that line; for nobody but the client that wrote it
    for _ in 0..2 {
        let split = proxy.get(SPLITTING);
        assert_eq!((split.status, split.x_cache(), split.values("Set-Cookie")), (200, "MISS", vec!["evil"]));
    }
    for control in ["%0d", "%00", "%01", "%1b", "%7f"] {
        for target in [format!("/?x=a{control}evil"), format!("/?x={control}evil"), format!("/?x=evil{control}")] {
            let answer = proxy.get(&target);
            let everything = [answer.head.as_slice(), &answer.body].concat();
            assert_eq!((answer.status, answer.x_cache()), (502, "MISS"), "{target}: {answer:?}");
            assert!(!String::from_utf8_lossy(&everything).contains("evil"), "{target}: {answer:?}");
        }
    }
}

/// An origin that never ends its body; tells when its connection was closed from the other side.
fn endless(control: &'static str) -> (String, mpsc::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (closed, told) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = io::Read::read(&mut stream, &mut [0; 4096]);
        write!(stream, "HTTP/1.1 200 OK\r\nCache-Control: {control}\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        let chunk = [&b"10000\r\n"[..], &[b'x'; 65536], b"\r\n"].concat();
        let mut sent = 0;
        while stream.write_all(&chunk).is_ok() {
            sent += 65536;
        }
        let _ = closed.send(sent);
    });
    (url, told)
}

#[test]
fn an_endless_body_streams_and_ends_when_its_client_leaves() {
    for control in ["no-store", "max-age=600"] {
        let (url, closed) = endless(control);
        let proxy = Proxy::before(&url, &[]);
        let mut client = proxy.client();
        assert_eq!(client.send(request("GET", "/", &[])).head().status, 200);
        for _ in 0..64 {
            client.bytes(64 << 10);
        }
        assert!(closed.try_recv().is_err(), "{control}: it goes on while somebody reads");
        drop(client);
        let sent = closed.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{control}: the origin still sends"));
        assert!(sent < 512 << 20, "{control}: {sent} bytes for nobody");
    }
}

#[test]
fn a_client_that_leaves_a_request_for_it_alone_ends_the_origins_work() {
    let (url, closed) = endless("no-store");
    let proxy = Proxy::before(&url, &[]);
    let mut client = proxy.client();
    client.send(request("POST", "/", &["Content-Length: 0"])).head();
    drop(client);
    closed.recv_timeout(PATIENCE).expect("the origin still sends");
}

#[test]
fn a09_no_field_tells_a_key_a_folder_or_where_the_origin_is() {
    let origin = Origin::on(TcpListener::bind("127.0.0.7:0").unwrap(), |request| match request.target.as_str() {
        "/stale" if request.index > 2 => vec![Step::Close],
        "/stale" => respond(200, &["Cache-Control: max-age=1, stale-if-error=600", "Vary: X-A", "ETag: \"v\""], "x"),
        "/late" => Vec::new(),
        "/cut" => vec![Step::Close],
        _ => respond(200, &[FRESH, "ETag: \"v\""], "stored"),
    });
    let proxy = Proxy::start(&origin, &["--first-byte-timeout", "100ms"]);
    let (folder, port) = (proxy.folder(), format!(":{}", origin.address.port()));
    let ask = |target: &str, fields: &[&str]| proxy.client().ask("GET", target, fields);
    let miss = ask("/", &[]);
    // by the name in Via a loop is known
    let own = miss.field("Via").unwrap().split(' ').nth(1).unwrap().to_owned();
    let mut answers = vec![
        ((200, "MISS"), miss),
        ((200, "HIT"), ask("/", &[])),
        ((206, "HIT"), ask("/", &["Range: bytes=1-2"])),
        ((304, "HIT"), ask("/", &["If-None-Match: \"v\""])),
        ((200, "MISS"), ask("/stale", &["X-A: 1"])),
        ((200, "MISS"), ask("/stale", &["X-A: 2"])),
    ];
    proxy.advance(10);
    answers.extend([
        ((200, "HIT"), ask("/stale", &["X-A: 2"])),
        ((502, "MISS"), ask("/cut", &[])),
        ((504, "MISS"), ask("/late", &["X-A: 1"])),
        ((504, "MISS"), ask("/nothing", &["Cache-Control: only-if-cached"])),
        ((508, "MISS"), ask("/", &[&format!("Via: 1.1 {own}")])),
        ((400, "MISS"), ask("nonsense", &[])),
    ]);
    for (expected, answer) in answers {
        let head = String::from_utf8_lossy(&answer.head).into_owned();
        assert_eq!((answer.status, answer.x_cache()), expected, "{head}");
        for secret in ["127.0.0.7", &port, "localhost", "; key", folder.to_str().unwrap()] {
            assert!(!head.contains(secret), "{secret} in {head}");
        }
        // half of a key is 32 digits; the name in Via has eight
        let digits = head.split(|c: char| !c.is_ascii_hexdigit()).map(str::len).max();
        assert!(digits < Some(16), "{head}");
    }
}
