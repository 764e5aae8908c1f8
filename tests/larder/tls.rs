//! Origins behind TLS, through the whole proxy.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, UNIX_EPOCH},
};

use larder::clock::Clock;
use rcgen::{CertificateParams, SanType};

use crate::support::{End, Origin, Proxy, Spawned, TlsEnd, TlsOrigin, respond, until};

const FRESH: &str = "Cache-Control: max-age=600\r\n";

fn whole(body: &str) -> (String, TlsEnd) {
    (format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{FRESH}\r\n{body}", body.len()), TlsEnd::Open)
}

fn in_front_of(origin: &TlsOrigin) -> Proxy {
    Proxy::before(&origin.url(), &["--origin-ca", origin.ca().to_str().unwrap()])
}

#[test]
fn an_https_origin_is_cached_like_any_other() {
    let origin = TlsOrigin::start(|_| whole("hello"));
    let proxy = in_front_of(&origin);
    let mut client = proxy.client();
    for word in ["MISS", "HIT", "HIT"] {
        let response = client.get("/a?b");
        assert_eq!((response.text().as_str(), response.x_cache()), ("hello", word));
    }
    let requests = origin.requests();
    assert!(requests.len() == 1 && requests[0].starts_with("GET /a?b HTTP/1.1\r\n"), "{requests:?}");
    assert!(requests[0].to_ascii_lowercase().contains("\r\nhost: larder.test\r\n"), "{requests:?}");
    client.send("POST /p HTTP/1.1\r\nHost: larder.test\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response("POST").status, 200);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_a_502_and_nothing_is_asked() {
    let origin = TlsOrigin::start(|_| whole("hello"));
    let other = TlsOrigin::start(|_| whole("hello"));
    for proxy in [
        Proxy::before(&origin.url(), &[]),
        // another's file
        Proxy::before(&origin.url(), &["--origin-ca", other.ca().to_str().unwrap()]),
    ] {
        let response = proxy.get("/a");
        assert_eq!(response.status, 502);
        let why = response.field("Proxy-Status").unwrap();
        assert!(why.contains("tls_certificate_error"), "{why}");
        // a client on this machine learns where the origin is, and nothing else about it
        let text = response.text().replace(&origin.address.to_string(), "");
        assert!(text.contains("is not trusted") && !text.contains("127.0.0.1"), "{text}");
    }
    assert_eq!(origin.requests(), Vec::<String>::new());
}

#[test]
fn a_self_signed_certificate_that_calls_itself_an_authoritys_is_trusted_where_it_is_named() {
    let origin = TlsOrigin::as_authority(|_| whole("hello"));
    let proxy = in_front_of(&origin);
    let response = proxy.get("/a");
    assert_eq!((response.status, response.text().as_str()), (200, "hello"), "{response:?}");
    // one like it, but not the same bytes
    let other = TlsOrigin::as_authority(|_| whole("hello"));
    for flags in [&["--origin-ca", other.ca().to_str().unwrap()][..], &[]] {
        let folder = tempfile::tempdir().unwrap();
        let spawned = Spawned::start(&origin.url(), &folder.path().join("cache"), flags);
        assert_eq!(spawned.get("/a").status, 502, "{flags:?}");
        let line = spawned.await_line("the origin's certificate is not trusted (");
        assert!(line.contains("name its file with --origin-ca"), "{line}");
        // nor does a library say it in its own words
        let log = spawned.stop_and_read();
        let leaked = log.iter().find(|line| line.contains("CaUsed") || line.contains("peer certificate"));
        assert_eq!(leaked, None);
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn w56_the_origins_own_certificate_is_trusted_where_it_is_named_whatever_names_are_in_it() {
    let no_name = |parameters: &mut CertificateParams| parameters.subject_alt_names.clear();
    let other_name = |parameters: &mut CertificateParams| {
        parameters.subject_alt_names = vec![SanType::DnsName("other.test".try_into().unwrap())];
    };
    let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
    for (origin, why) in [
        (TlsOrigin::made(no_name, listener(), |_| whole("hello")), "it has no subjectAltName"),
        (TlsOrigin::made(other_name, listener(), |_| whole("hello")), "it is for other.test, not for 127.0.0.1"),
    ] {
        assert_eq!(in_front_of(&origin).get("/a").status, 200, "{why}");
        // an authority that is named vouches for a name, not for any certificate
        let other = TlsOrigin::as_authority(|_| whole("hello"));
        let folder = tempfile::tempdir().unwrap();
        let flags = ["--origin-ca", other.ca().to_str().unwrap()];
        let spawned = Spawned::start(&origin.url(), &folder.path().join("cache"), &flags);
        assert_eq!(spawned.get("/a").status, 502, "{why}");
        spawned.await_line("the origin's certificate is not trusted (");
        assert_eq!(origin.requests().len(), 1, "{why}");
    }
}

#[test]
fn a_named_certificate_must_be_in_force() {
    let now = UNIX_EPOCH + Duration::from_millis(Clock::system().wall().0.unsigned_abs());
    let hour = Duration::from_secs(3600);
    let past = |parameters: &mut CertificateParams| {
        parameters.not_before = (now - 3 * hour).into();
        parameters.not_after = (now - hour).into();
    };
    let future = |parameters: &mut CertificateParams| {
        parameters.not_before = (now + hour).into();
        parameters.not_after = (now + 2 * hour).into();
    };
    let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
    let expired = TlsOrigin::made(past, listener(), |_| whole("hello"));
    let early = TlsOrigin::made(future, listener(), |_| whole("hello"));
    for (origin, url, why) in
        [(&expired, expired.url(), "it has expired"), (&early, early.url(), "it is not in force yet")]
    {
        let folder = tempfile::tempdir().unwrap();
        let flags = ["--origin-ca", origin.ca().to_str().unwrap()];
        let spawned = Spawned::start(&url, &folder.path().join("cache"), &flags);
        assert_eq!(spawned.get("/a").status, 502, "{why}");
        let line = spawned.await_line("the origin's certificate is not trusted (");
        assert!(line.contains(why), "{line}");
        assert_eq!(origin.requests().len(), 0, "{why}");
    }
}

#[test]
fn with_origin_insecure_any_certificate_will_do_and_each_start_warns_of_it() {
    let listener = || TcpListener::bind("127.0.0.1:0").unwrap();
    let other_name = |parameters: &mut CertificateParams| {
        parameters.subject_alt_names = vec![SanType::DnsName("other.test".try_into().unwrap())];
    };
    let folder = tempfile::tempdir().unwrap();
    for (n, origin) in [
        TlsOrigin::start(|_| whole("hello")),
        TlsOrigin::as_authority(|_| whole("hello")),
        TlsOrigin::made(other_name, listener(), |_| whole("hello")),
    ]
    .iter()
    .enumerate()
    {
        let cache = folder.path().join(n.to_string());
        for _ in 0..2 {
            let spawned = Spawned::start(&origin.url(), &cache, &["--origin-insecure"]);
            let line = spawned.await_line("--origin-insecure: ");
            assert!(line.contains(" WARN ") && line.contains("anybody between"), "{line}");
            until("an answer", || spawned.get("/a").status == 200);
        }
        let spawned = Spawned::start(&origin.url(), &folder.path().join(format!("checked{n}")), &[]);
        assert_eq!(spawned.get("/a").status, 502);
        assert!(!spawned.log().iter().any(|line| line.contains("insecure")), "{:?}", spawned.log());
    }
}

#[test]
fn r24_plain_bytes_in_place_of_tls_are_a_502_and_not_one_of_them_is_used() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=600\r\n\r\nEVIL"[..],
        b"EVIL",
        b"\x16\x03\x03\x00\x04EVIL",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Proxy::before(&format!("https://{address}"), &["--connect-timeout", "2s"]);
        let serving = std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.write_all(bytes);
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        for _ in 0..2 {
            let response = proxy.get("/a");
            assert!([502, 504].contains(&response.status), "{}", response.status);
            assert!(!String::from_utf8_lossy(&response.head).contains("EVIL") && !response.text().contains("EVIL"));
            assert_eq!(response.x_cache(), "MISS");
        }
        serving.join().unwrap();
    }
}

#[test]
fn a_body_that_ends_with_the_connection_is_whole_only_where_tls_says_so() {
    for (end, stored) in [(TlsEnd::Notified, true), (TlsEnd::Cut, false)] {
        let origin = TlsOrigin::start(move |_| (format!("HTTP/1.1 200 OK\r\n{FRESH}\r\nhello"), end));
        let proxy = in_front_of(&origin);
        let first = proxy.get("/a");
        assert_eq!((first.text().as_str(), first.end == End::Whole), ("hello", stored), "{end:?}");
        assert_eq!(proxy.get("/a").x_cache(), if stored { "HIT" } else { "MISS" }, "{end:?}");
        assert_eq!(origin.requests().len(), if stored { 1 } else { 2 }, "{end:?}");
    }
}

#[test]
fn a_part_that_ends_with_the_connection_is_whole_only_where_tls_says_so() {
    for (end, stored) in [(TlsEnd::Notified, true), (TlsEnd::Cut, false)] {
        let part = "Content-Range: bytes 0-4/10\r\nETag: \"v\"";
        let origin = TlsOrigin::start(move |_| (format!("HTTP/1.1 206 P\r\n{FRESH}{part}\r\n\r\nhello"), end));
        let proxy = in_front_of(&origin);
        let ask = || proxy.client().ask("GET", "/a", &["Range: bytes=0-4"]);
        // all of its bytes are there, but nobody has said that these are all
        let first = ask();
        assert_eq!((first.status, first.end == End::Whole), (206, stored), "{end:?}");
        assert_eq!(ask().x_cache(), if stored { "HIT" } else { "MISS" }, "{end:?}");
    }
}

#[test]
fn framed_bodies_that_tls_cuts_are_broken_off_and_not_stored() {
    for framing in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        for end in [TlsEnd::Notified, TlsEnd::Cut] {
            let origin = TlsOrigin::start(move |_| (format!("HTTP/1.1 200 OK\r\n{FRESH}{framing}"), end));
            let proxy = in_front_of(&origin);
            for _ in 0..2 {
                let response = proxy.get("/a");
                assert!(response.end != End::Whole && response.x_cache() == "MISS", "{framing:?} {end:?}");
            }
        }
    }
}

/// Ports 80 and 443 of one loopback address that is this test's own; `None`, and a word about it, without the right to.
fn usual_ports() -> Option<(TcpListener, TcpListener)> {
    static TESTS: AtomicU8 = AtomicU8::new(64);
    let [_, _, c, d] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, TESTS.fetch_add(1, Ordering::Relaxed), c, d.max(2));
    match (TcpListener::bind((address, 80)), TcpListener::bind((address, 443))) {
        (Ok(plain), Ok(tls)) => Some((plain, tls)),
        (plain, tls) => {
            eprintln!("skipped: {address}:80 and :443 cannot be bound: {:?} {:?}", plain.err(), tls.err());
            None
        }
    }
}

#[test]
fn an_http_origin_that_redirects_the_same_url_to_https_is_followed_once() {
    let Some((plain, tls)) = usual_ports() else { return };
    let host = plain.local_addr().unwrap().ip();
    let origin = Origin::on(plain, move |request| {
        let location = match request.target.as_str() {
            "/elsewhere" => "Location: https://other.test/elsewhere".to_owned(),
            "/moved" => format!("Location: https://{host}/to"),
            target => format!("Location: https://{host}{target}"),
        };
        respond(301, &[&location, "Cache-Control: no-store"], "moved")
    });
    let secure = TlsOrigin::on(tls, move |head| {
        let location = match head.split(' ').nth(1).unwrap() {
            "/back" => format!("http://{host}/back"),
            "/on" => format!("https://{host}/further?x"),
            "/away" => "https://other.test/".to_owned(),
            _ => return whole("secure"),
        };
        (format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"), TlsEnd::Open)
    });
    let flags = ["--origin-ca", secure.ca().to_str().unwrap()];
    let proxy = Proxy::before(&format!("http://{host}"), &flags);
    let followed = proxy.get("/a?b");
    assert_eq!((followed.status, followed.text().as_str()), (200, "secure"));
    until("it to be stored", || proxy.get("/a?b").x_cache() == "HIT");
    assert_eq!((origin.request_count(), secure.requests().len()), (1, 1));
    assert_eq!(proxy.client().ask("HEAD", "/head", &[]).status, 200);
    assert_eq!((origin.request_count(), secure.requests().len()), (2, 2));

    // back again: relayed, not followed for ever; what points at the origin by either scheme leads through Larder
    for (target, location) in [("/back", "/back"), ("/on", "/further?x"), ("/away", "https://other.test/")] {
        let response = proxy.get(target);
        assert_eq!((response.status, response.field("Location")), (302, Some(location)), "{target}");
    }
    assert_eq!((origin.request_count(), secure.requests().len()), (5, 5));
    // any other place is the client's to go to
    for target in ["/elsewhere", "/moved"] {
        assert_eq!(proxy.get(target).status, 301, "{target}");
    }
    // and what may change something is never sent twice, with content or without
    let mut client = proxy.client();
    client.send("POST /p HTTP/1.1\r\nHost: larder.test\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response("POST").status, 301);
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = proxy.client().ask(method, "/p", &["Content-Length: 0"]);
        let location = format!("https://{host}/p");
        assert_eq!((answer.status, answer.field("Location")), (301, Some(location.as_str())), "{method}");
    }
    assert_eq!(secure.requests().len(), 5);
}

#[test]
fn where_https_cannot_be_had_the_redirect_to_it_is_relayed() {
    let Some((plain, tls)) = usual_ports() else { return };
    let host = plain.local_addr().unwrap().ip();
    let origin = Origin::on(plain, move |request| {
        let location = format!("Location: https://{host}{}", request.target);
        respond(301, &[&location, "Cache-Control: no-store"], "moved")
    });
    // nobody vouches for its certificate; then nobody listens there
    let secure = TlsOrigin::on(tls, |_| whole("secure"));
    let proxy = Proxy::before(&format!("http://{host}"), &[]);
    let relayed = |proxy: &Proxy| {
        let response = proxy.get("/a");
        let location = format!("https://{host}/a");
        assert_eq!((response.status, response.text().as_str()), (301, "moved"));
        assert_eq!((response.field("Location"), response.end), (Some(location.as_str()), End::Whole));
    };
    relayed(&proxy);
    assert_eq!(secure.requests().len(), 0);
    drop(secure);
    relayed(&proxy);
    assert_eq!(origin.request_count(), 2);
}

#[test]
fn with_an_http_origin_origin_insecure_is_said_to_have_no_effect() {
    let folder = tempfile::tempdir().unwrap();
    let spawned = Spawned::start("http://127.0.0.1:9", &folder.path().join("cache"), &["--origin-insecure"]);
    let line = spawned.await_line("--origin-insecure ");
    assert!(line.contains("has no effect") && !line.contains("anybody between"), "{line}");
}
