//! What goes through: methods, fields and bodies, both ways.

use std::{
    io::{self, ErrorKind, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use crate::support::{Client, End, Gate, Origin, Proxy, RecordedRequest, Step, request, respond};

/// Answers every request with its own request line.
fn echo() -> Origin {
    Origin::answering(|request| {
        respond(200, &["Cache-Control: no-store"], format!("{} {}", request.method, request.target))
    })
}

/// Bytes that are not the same anywhere near each other.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8 ^ (n >> 12) as u8).collect()
}

/// The names of the request's field lines, in lower case.
fn names(request: &RecordedRequest) -> Vec<String> {
    request.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect()
}

fn all<'a>(request: &'a RecordedRequest, name: &str) -> Vec<&'a str> {
    let same = request.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    same.map(|(_, value)| value.as_str()).collect()
}

#[test]
fn every_method_reaches_the_origin_as_it_is() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    for method in [
        "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "M-SEARCH", "PROPFIND", "PURGE", "get",
        "M#$%&'X",
    ] {
        let answer = proxy.client().ask(method, "/a?b", &[]);
        assert_eq!((answer.status, answer.text(), answer.x_cache()), (200, format!("{method} /a?b"), "MISS"));
    }
    let head = proxy.client().ask("HEAD", "/a?b", &[]);
    assert_eq!((head.status, head.field("Content-Length"), origin.request_count()), (200, Some("9"), 14));
}

#[test]
fn the_order_and_the_repeats_of_request_fields_stay() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    let sent =
        ["X-B: 1", "Accept: a", "X-A: 2", "X-B: 3", "Cookie: c=1", "Accept: b", "X-Empty:", "X-Odd: \"a\\,b\";\t=x"];
    proxy.client().ask("GET", "/", &sent);
    let ours: Vec<_> = sent.iter().map(|line| line.split_once(':').unwrap()).collect();
    let seen = &origin.requests()[0];
    let kept: Vec<_> = seen
        .fields
        .iter()
        .filter(|(name, _)| ours.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .collect();
    let expected: Vec<_> = ours.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned())).collect();
    assert_eq!(kept, expected);
}

#[test]
fn larder_adds_no_field_that_changes_what_is_asked_for() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    proxy.client().ask("GET", "/", &[]);
    for absent in ["accept-encoding", "user-agent", "date", "content-length", "transfer-encoding", "accept", "expect"] {
        assert!(!names(&origin.requests()[0]).contains(&absent.to_owned()), "{absent}");
    }
}

// actix writes fields of different names in no particular order; RFC 9110 §5.3 gives that no meaning
#[test]
fn the_repeats_of_response_fields_stay_and_in_order_on_a_miss_and_on_a_hit() {
    let lines = ["X-B: 1", "Link: </a>", "X-A: 2", "Link: </b>", "X-B: 3", "Warning: 199 - \"x\"", "X-Empty:"];
    let mut fields = lines.to_vec();
    fields.extend(["Cache-Control: public, max-age=60", "Set-Cookie: b=1", "Set-Cookie: a=2"]);
    let origin = Origin::always(respond(200, &fields, "x"));
    let proxy = Proxy::start(&origin, &[]);
    for (word, cookies) in [("MISS", &["b=1", "a=2"][..]), ("HIT", &[])] {
        let answer = proxy.get("/");
        assert_eq!(answer.x_cache(), word);
        for (name, values) in [
            ("X-B", &["1", "3"][..]),
            ("Link", &["</a>", "</b>"]),
            ("X-A", &["2"]),
            ("Warning", &["199 - \"x\""]),
            ("X-Empty", &[""]),
            ("Set-Cookie", cookies),
        ] {
            assert_eq!(answer.values(name), values, "{name}");
        }
    }
}

#[test]
fn hop_by_hop_fields_end_at_larder_in_both_directions() {
    let hops = [
        "Connection: X-Hop, keep-alive",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "Trailer: X-T",
        "Upgrade: foo/2",
        "X-End: 1",
    ];
    let mut answer = hops.to_vec();
    answer.push("Cache-Control: max-age=60");
    let origin = Origin::always(respond(200, &answer, "x"));
    let proxy = Proxy::start(&origin, &[]);
    let mut asked = hops.to_vec();
    asked.extend(["Proxy-Authorization: Basic eA==", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"]);
    let miss = proxy.client().ask("GET", "/", &asked);
    let hit = proxy.get("/");
    assert_eq!((miss.x_cache(), hit.x_cache()), ("MISS", "HIT"));
    let seen = &origin.requests()[0];
    for gone in ["X-Hop", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade"] {
        assert_eq!((seen.field(gone), miss.field(gone), hit.field(gone)), (None, None, None), "{gone}");
    }
    assert_eq!((seen.field("Proxy-Authorization"), seen.field("HTTP2-Settings")), (None, None));
    assert_eq!((seen.field("X-End"), miss.field("X-End"), hit.field("X-End")), (Some("1"), Some("1"), Some("1")));
}

#[test]
fn a_connection_field_that_nominates_what_is_for_everyone_is_refused() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    for name in ["Host", "Content-Length", "Cache-Control", "Authorization", "Cookie", "Via", "X-Forwarded-For"] {
        let answer =
            proxy.client().ask("GET", "/", &[&format!("Connection: close, {name}"), "Cookie: a", "Via: 1.1 x"]);
        assert_eq!(answer.status, 400, "{name}");
    }
    assert_eq!(origin.request_count(), 0);
}

#[test]
fn what_larder_says_of_a_request_replaces_what_a_stranger_says() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    let lies = [
        "Via: 1.0 before",
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Host: evil.test",
        "X-Forwarded-Proto: https",
        "Forwarded: for=6.6.6.6;host=evil.test;proto=https",
    ];
    let answer = proxy.client().ask("GET", "/", &lies);
    let seen = &origin.requests()[0];
    assert_eq!(all(seen, "X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(all(seen, "X-Forwarded-Host"), ["larder.test"]);
    assert_eq!(all(seen, "X-Forwarded-Proto"), ["http"]);
    assert_eq!(all(seen, "Forwarded"), ["for=127.0.0.1;host=\"larder.test\";proto=http"]);
    assert_eq!(all(seen, "Host"), [origin.address.to_string()]);
    let via = all(seen, "Via");
    assert_eq!((via[0], via.len()), ("1.0 before", 2));
    assert!(via[1].starts_with("1.1 larder-"), "{via:?}");
    assert_eq!(answer.field("Via"), Some(via[1]));
}

#[test]
fn an_http_1_0_client_is_named_as_such_in_via() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    let answer = proxy.client().send("GET /a HTTP/1.0\r\n\r\n").response("GET");
    assert_eq!((answer.status, answer.text().as_str()), (200, "GET /a"));
    let seen = &origin.requests()[0];
    assert!(seen.field("Via").unwrap().starts_with("1.0 larder-"));
    assert!(seen.head.starts_with(b"GET /a HTTP/1.1\r\n"));
    // it named no host: that is the site that Larder stands before
    let own = format!("localhost:{}", proxy.address.port());
    assert_eq!(seen.field("X-Forwarded-Host"), Some(own.as_str()));
}

#[test]
fn a_request_body_arrives_whole_and_with_one_framing() {
    let origin = Origin::answering(|request| respond(200, &[], request.body.len().to_string()));
    let proxy = Proxy::start(&origin, &[]);
    let large = pattern(5 << 20);
    for (n, body) in [&b""[..], b"x", &large].into_iter().enumerate() {
        for method in ["POST", "PUT", "PATCH", "DELETE", "M-SEARCH"] {
            let mut client = proxy.client();
            client.send(format!("{method} /{n} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len()));
            assert_eq!(client.send(body).response(method).text(), body.len().to_string());
        }
        let mut client = proxy.client();
        client.send(format!("POST /{n} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"));
        for chunk in body.chunks(70_000) {
            client.send(format!("{:x};ext=1\r\n", chunk.len())).send(chunk).send("\r\n");
        }
        assert_eq!(client.send("0\r\nX-Trailer: 1\r\n\r\n").response("POST").text(), body.len().to_string());
    }
    for seen in origin.requests() {
        let length = [0, 1, large.len()][seen.target[1..].parse::<usize>().unwrap()];
        assert!(seen.body == large[..length] || (length == 1 && seen.body == b"x"), "{}", seen.target);
        let framings = [all(&seen, "Content-Length").len(), all(&seen, "Transfer-Encoding").len()];
        assert!(framings == [1, 0] || framings == [0, 1] || (length == 0 && framings == [0, 0]), "{framings:?}");
        assert_eq!(seen.field("X-Trailer"), None);
    }
}

#[test]
fn a_post_without_a_body_says_so_to_the_origin() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    proxy.client().ask("POST", "/", &[]);
    assert_eq!(origin.requests()[0].field("Content-Length"), Some("0"));
}

#[test]
fn a_response_streams_as_it_comes_and_arrives_whole() {
    let body = pattern(5 << 20);
    for control in ["no-store", "max-age=600"] {
        let gate = Gate::closed();
        let (held, sent) = (gate.clone(), body.clone());
        let origin = Origin::answering(move |_| {
            let head = format!("HTTP/1.1 200 OK\r\nCache-Control: {control}\r\nContent-Length: {}\r\n\r\n", sent.len());
            vec![
                Step::Send(head.into_bytes()),
                Step::Send(sent[..1 << 20].to_vec()),
                Step::Wait(held.clone()),
                Step::Send(sent[1 << 20..].to_vec()),
            ]
        });
        let proxy = Proxy::start(&origin, &[]);
        let mut client = proxy.client();
        let mut response = client.send(request("GET", "/", &[])).head();
        response.body = client.bytes(1 << 20);
        gate.open();
        client.body("GET", &mut response);
        assert!(response.body == body && response.end == End::Whole, "{control}: {}", response.body.len());
    }
}

/// Writes until the other side has taken nothing for a while, or all of this many bytes.
fn write_until_it_stalls(mut stream: &TcpStream, most: usize) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let (piece, mut written) = (pattern(64 << 10), 0);
    while written < most {
        match stream.write(&piece[written % piece.len()..]) {
            Ok(n) => written += n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("{error}"),
        }
    }
    written
}

#[test]
fn a_client_that_does_not_read_stops_the_origin_from_sending() {
    const LENGTH: usize = 256 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::before(&format!("http://{}", listener.local_addr().unwrap()), &[]);
    let mut client = proxy.client();
    client.send(request("GET", "/", &[]));
    let (mut stream, _) = listener.accept().unwrap();
    let _ = io::Read::read(&mut stream, &mut [0; 4096]).unwrap();
    write!(stream, "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: {LENGTH}\r\n\r\n").unwrap();
    let written = write_until_it_stalls(&stream, LENGTH);
    assert!(written < 64 << 20, "{written} bytes were taken from the origin for a client that reads none");
}

#[test]
fn an_origin_that_does_not_read_stops_the_client_from_sending() {
    const LENGTH: usize = 256 << 20;
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::before_bodies(move |_| vec![Step::Wait(held.clone()), Step::Close]);
    let proxy = Proxy::start(&origin, &[]);
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    write!(stream, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {LENGTH}\r\n\r\n").unwrap();
    let written = write_until_it_stalls(&stream, LENGTH);
    assert!(written < 64 << 20, "{written} bytes were taken from the client for an origin that reads none");
    gate.open();
}

#[test]
fn a_get_with_a_body_is_for_its_client_alone_and_its_connection_is_not_used_again() {
    let origin = Origin::answering(|request| {
        respond(200, &["Cache-Control: max-age=600"], format!("{} {}", request.method, request.body.len()))
    });
    let proxy = Proxy::start(&origin, &["--workers", "1"]);
    let fat = "GET /a HTTP/1.1\r\nHost: larder.test\r\nContent-Length: 5\r\n\r\nid=66";
    let answer = proxy.client().send(fat).response("GET");
    assert_eq!((answer.x_cache(), answer.text().as_str()), ("MISS", "GET 5"));
    assert_eq!(answer.detail(), "the request has content, which is not in the key");
    let plain = proxy.get("/a");
    assert_eq!((plain.x_cache(), plain.text().as_str()), ("MISS", "GET 0"));
    assert_eq!(proxy.client().send(fat).response("GET").x_cache(), "MISS");
    let connections: Vec<_> = origin.requests().iter().map(|request| request.connection).collect();
    assert!(connections[0] != connections[1], "{connections:?}");
}

#[test]
fn a_base_path_stands_before_every_path_and_is_taken_off_what_comes_back() {
    let origin = Origin::answering(|request| {
        let host = request.field("Host").unwrap();
        let location = format!("Location: http://{host}/api/v1/next?x#y");
        respond(302, &[&location, &format!("Content-Location: http://{host}/api/v1/this")], "")
    });
    let proxy = Proxy::before(&format!("{}/api/v1/", origin.url()), &[]);
    for (asked, seen) in [("/", "/api/v1/"), ("/a//b?c=/../d", "/api/v1/a//b?c=/../d"), ("/../x", "/api/v1/../x")] {
        let answer = proxy.get(asked);
        assert_eq!(origin.requests().last().unwrap().target, seen);
        assert_eq!(answer.values("Location"), ["/next?x#y"]);
        assert_eq!(answer.values("Content-Location"), ["/this"]);
    }
}

#[test]
fn a_location_that_leads_elsewhere_is_left_alone_and_never_followed() {
    for location in ["http://other.test/x", "https://other.test/", "/relative", "next", "//other.test/y"] {
        let origin = Origin::always(respond(301, &[&format!("Location: {location}")], ""));
        let proxy = Proxy::start(&origin, &[]);
        let answer = proxy.get("/");
        assert_eq!((answer.status, answer.values("Location")), (301, vec![location]));
        assert_eq!(origin.request_count(), 1);
    }
}

#[test]
fn a_request_that_comes_back_through_its_own_origin_is_a_loop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::before(&format!("http://{}", listener.local_addr().unwrap()), &[]);
    let address = proxy.address;
    // the origin is Larder itself, by another address
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let back = TcpStream::connect(address).unwrap();
            for (mut from, mut to) in [(stream.try_clone().unwrap(), back.try_clone().unwrap()), (back, stream)] {
                thread::spawn(move || io::copy(&mut from, &mut to));
            }
        }
    });
    let answer = Client::connect(address).get("/a");
    assert_eq!(answer.status, 508);
    assert_eq!(answer.field("Content-Type"), Some("application/problem+json"));
}

#[test]
fn answers_with_a_length_leave_their_connection_to_the_next_request() {
    let origin = Origin::answering(|request| match request.method.as_str() {
        "HEAD" => vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nCache-Control: no-store\r\n\r\n".to_vec())],
        _ => respond(200, &["Cache-Control: no-store"], [&request.body[..], b"answered"].concat()),
    });
    let proxy = Proxy::start(&origin, &["--origin-settle", "0s"]);
    let mut client = proxy.client();
    for _ in 0..5 {
        assert_eq!(client.get("/a").text(), "answered");
        client.send("POST /p HTTP/1.1\r\nHost: larder.test\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.response("POST").text(), "helloanswered");
        assert_eq!(client.ask("HEAD", "/a", &[]).status, 200);
        assert_eq!(client.ask("DELETE", "/a", &[]).text(), "answered");
    }
    assert_eq!((origin.request_count(), origin.connection_count()), (20, 1));
}
