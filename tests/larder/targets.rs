//! What is asked for and of whom: targets and hosts, and what is refused before the origin hears of it.

use crate::support::{CANARY, Client, Origin, Proxy, Response, respond};

fn echo() -> Origin {
    Origin::answering(|request| respond(200, &["Cache-Control: max-age=600"], request.target.clone()))
}

/// A raw head on a connection of its own.
fn send(proxy: &Proxy, head: impl AsRef<[u8]>) -> Response {
    proxy.client().send(head).response("GET")
}

#[test]
fn paths_and_queries_reach_the_origin_byte_for_byte_and_are_keyed_apart() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    let targets = [
        "/",
        "//",
        "//a",
        "/a//b",
        "/a/",
        "/a",
        "/A",
        "/a?",
        "/a??",
        "/a?b",
        "/a?b=",
        "/a?b&c",
        "/a?c&b",
        "/a?b=1&b=2",
        "/a%2Fb",
        "/a%2fb",
        "/a/b",
        "/%zz",
        "/%",
        "/a%00",
        "/a%0a",
        "/a%23b",
        "/a%3fb",
        "/../a",
        "/./a",
        "/a/../b",
        "/a/..",
        "/a/%2e%2e/b",
        "/a;b",
        "/a|b",
        "/a\"b",
        "/a{b}",
        "/a`b",
        "/a^b",
        "/a<b>",
        "/a[b]",
        "/a'b",
        "/a*b",
        "/a@b:c",
        "/a?x=http://evil/",
        "/a?u=%26",
        "/a?u=&",
        "/a+b",
        "/a%20b",
        "/~a",
        "/%7Ea",
    ];
    for target in targets {
        let answer = proxy.get(target);
        assert_eq!((answer.x_cache(), answer.text().as_str()), ("MISS", target));
    }
    for target in targets {
        let answer = proxy.get(target);
        assert_eq!((answer.x_cache(), answer.text().as_str()), ("HIT", target));
    }
    let seen: Vec<_> = origin.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(seen, targets);
}

#[test]
fn bytes_that_are_no_utf8_are_refused() {
    let origin = Origin::always(respond(200, &[], "ok"));
    let proxy = Proxy::start(&origin, &[]);
    for path in [&b"/\xc3"[..], b"/\xff\xfe", b"/a?q=\xe2\x82", b"/\xc0\x8a", b"/\xed\xa0\x80"] {
        let answer = send(&proxy, [b"GET ", path, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat());
        assert_eq!(answer.status, 400, "{}", path.escape_ascii());
    }
    assert_eq!(origin.request_count(), 0);
}

#[test]
fn an_absolute_form_is_the_path_on_the_host_that_it_names() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &["--allow-host", "larder.test"]);
    for (target, path) in [
        ("http://larder.test/a?b#", None),
        ("http://larder.test/a?b", Some("/a?b")),
        ("http://larder.test", Some("/")),
        ("HTTP://LARDER.test:80?q", Some("/?q")),
        ("http://larder.test//x", Some("//x")),
    ] {
        let answer = proxy.get(target);
        match path {
            Some(path) => assert_eq!((answer.text().as_str(), proxy.get(path).x_cache()), (path, "HIT"), "{target}"),
            None => assert_eq!(answer.status, 400, "{target}"),
        }
    }
    for seen in origin.requests() {
        assert_eq!(seen.field("Host"), Some("larder.test"));
    }
}

#[test]
fn a_target_that_is_neither_a_path_nor_a_url_of_the_named_host_is_refused() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    for target in [
        "*",
        "evil",
        "http:evil",
        "evil:80",
        "?x=1",
        "@evil/",
        "/a#f",
        "#",
        "\\a",
        "http://",
        "http:///x",
        "http://evil/x",
        "https://larder.test/",
        "http://larder.test@evil/",
        "http://evil@larder.test/",
        "ftp://larder.test/",
        "http://larder.test:99999/",
        "/a\x7fb",
        "/a\\b",
        "/\\evil/",
    ] {
        let answer = proxy.get(target);
        assert_eq!(answer.status, 400, "{target}");
        assert!(!answer.text().contains("evil"), "{target}");
    }
    assert_eq!(origin.request_count(), 0);
}

#[test]
fn a_host_that_is_none_is_refused() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    for host in [
        "",
        "Host: \r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: a, b\r\n",
        "Host: a@b\r\n",
        "Host: a/b\r\n",
        "Host: a:99999\r\n",
        "Host: a:b\r\n",
        "Host: a:80:80\r\n",
        "Host: a b\r\n",
        "Host: a\0b\r\n",
        "Host: [::1\r\n",
        "Host: [::1]x\r\n",
        "Host: ..\r\n",
        "Host: .\r\n",
        "Host: a.:1.2\r\n",
        "Host : a\r\n",
        "Host: a\\b\r\n",
        "Host: a?b\r\n",
        "Host: a#b\r\n",
        "Host: http://a\r\n",
        "Host: \"a\"\r\n",
        "Host: a\tb\r\n",
        "Host: \u{fc}\r\n",
        "Host: a\r\n b\r\n",
    ] {
        let mut client = proxy.client();
        let answer = client.send(format!("GET /x HTTP/1.1\r\n{host}\r\n")).response("GET");
        assert_eq!(answer.status, 400, "{host:?}");
        assert_eq!(client.rest(), b"", "{host:?}: the connection ends with it");
    }
    assert_eq!(origin.request_count(), 0);
}

#[test]
fn spellings_of_one_host_share_what_is_stored_and_different_hosts_do_not() {
    let origin = Origin::answering(|request| {
        respond(200, &["Cache-Control: max-age=600"], request.field("X-Forwarded-Host").unwrap_or("none"))
    });
    let proxy = Proxy::start(&origin, &[]);
    let ask = |host: &str| send(&proxy, format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(ask("good.test").x_cache(), "MISS");
    for same in ["GOOD.test", "good.test.", "good.test:80", "Good.Test.:80", "good.test:"] {
        let answer = ask(same);
        assert_eq!((answer.x_cache(), answer.text().as_str()), ("HIT", "good.test"), "{same}");
    }
    for other in ["good.test:8080", "good.test2", "evil.test", "good", "[::1]", "127.0.0.1"] {
        let answer = ask(other);
        assert_eq!((answer.x_cache(), answer.text().as_str()), ("MISS", other), "{other}");
    }
}

#[test]
fn with_allow_host_no_other_host_is_served() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &["--allow-host", "shop.test", "--allow-host", "api.test:8080"]);
    for (host, status) in [
        ("shop.test", 200),
        ("SHOP.test.", 200),
        ("shop.test:3000", 200),
        ("api.test:8080", 200),
        ("api.test", 421),
        ("evil.test", 421),
        ("shop.test.evil", 421),
        ("127.0.0.1", 421),
    ] {
        assert_eq!(send(&proxy, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).status, status, "{host}");
    }
    assert_eq!(send(&proxy, "GET http://shop.test/ HTTP/1.1\r\nHost: shop.test\r\n\r\n").status, 200);
    assert_eq!(send(&proxy, "GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n").status, 421);
    assert_eq!(send(&proxy, "GET / HTTP/1.0\r\n\r\n").status, 421);
    for (host, status) in [("shop.test", 204), ("evil.test", 421)] {
        assert_eq!(send(&proxy, format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n")).status, status, "{host}");
    }
}

/// Refused with this status, without a byte to the origin, and what follows on the connection is no request.
fn refused(origin: &Origin, proxy: &Proxy, head: &str, status: u16) {
    let mut client = proxy.client();
    let before = origin.request_count();
    let answer = client.send(format!("{head}GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")).response("GET");
    assert_eq!(answer.status, status, "{head:?}");
    assert_eq!(answer.field("Content-Type"), Some("application/problem+json"), "{head:?}");
    assert_eq!(client.rest(), b"", "{head:?}");
    assert_eq!(origin.request_count(), before, "{head:?}");
}

#[test]
fn connect_and_websocket_are_refused_and_nothing_behind_them_is_a_request() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    refused(&origin, &proxy, "CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n", 501);
    refused(&origin, &proxy, "CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n", 501);
    for upgrade in ["websocket", "WebSocket", "h2c, websocket"] {
        let fields = format!("Host: h\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\nSec-WebSocket-Version: 13\r\n");
        refused(&origin, &proxy, &format!("GET /chat HTTP/1.1\r\n{fields}\r\n"), 501);
    }
}

#[test]
fn an_upgrade_to_anything_else_is_a_plain_request() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    let mut client = proxy.client();
    client.send("GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: foo, h2c\r\nConnection: upgrade\r\n\r\nGET /y HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((client.response("GET").text(), client.response("GET").text()), ("/x".into(), "/y".into()));
    assert!(origin.requests().iter().all(|request| request.field("Upgrade").is_none()));
}

#[test]
fn an_expectation_that_is_not_understood_is_refused() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    for expectation in ["200-ok", "y 100-continue", "100-continue, x", ""] {
        let answer = send(&proxy, format!("GET /x HTTP/1.1\r\nHost: h\r\nExpect: {expectation}\r\n\r\n"));
        assert_eq!(answer.status, 417, "{expectation:?}");
    }
    assert_eq!(origin.request_count(), 0);
    assert_eq!(proxy.client().ask("GET", "/x", &["Expect: 100-Continue"]).text(), "/x");
    assert_eq!(origin.requests()[0].field("Expect"), None);
}

#[test]
fn options_of_the_whole_server_is_answered_here() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    let answer = proxy.client().ask("OPTIONS", "*", &[]);
    assert_eq!((answer.status, origin.request_count()), (204, 0));
    assert!(answer.field("Allow").unwrap().contains("QUERY"));
}

#[test]
fn max_forwards_counts_down_and_ends_here_at_zero() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    let cookie = format!("Cookie: {CANARY}");
    for method in ["OPTIONS", "TRACE"] {
        let last = proxy.client().ask(method, "/x", &["Max-Forwards: 0", &cookie]);
        assert_eq!((last.status, last.text().contains(CANARY), origin.request_count()), (200, false, 0));
    }
    for (n, (method, hops, seen)) in
        [("OPTIONS", "3", "2"), ("TRACE", "1", "0"), ("GET", "0", "0"), ("TRACE", "x", "x")].into_iter().enumerate()
    {
        proxy.client().ask(method, "/x", &[&format!("Max-Forwards: {hops}")]);
        assert_eq!(origin.requests()[n].field("Max-Forwards"), Some(seen), "{method} {hops}");
    }
}

#[test]
fn what_is_not_http_gets_an_answer_and_no_further_request() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &[]);
    for (bytes, status) in [
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET /a\r\n\r\n", 400),
        ("GET /a HTTP/1.2\r\nHost: h\r\n\r\n", 505),
        ("\x16\x03\x01\x02", 400),
    ] {
        let mut client = Client::connect(proxy.address);
        let answer = client.send(bytes).response("GET");
        assert_eq!(answer.status, status, "{bytes:?}");
        client.rest();
    }
    assert_eq!(origin.request_count(), 0);
}

#[test]
fn what_is_refused_is_named_by_what_it_is() {
    let origin = echo();
    let proxy = Proxy::start(&origin, &["--allow-host", "a"]);
    let via = send(&proxy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").field("Via").unwrap().to_owned();
    for (head, status, detail) in [
        ("GET nonsense HTTP/1.1\r\nHost: a", 400, "the request target is invalid"),
        ("GET / HTTP/1.1\r\nHost: a/b", 400, "the Host field is invalid"),
        ("GET / HTTP/1.1\r\nHost: b", 421, "Host not allowed (see --allow-host)"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Cookie\r\nCookie: a=b",
            400,
            "Connection names a field that must stay",
        ),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80", 501, "CONNECT refused"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket", 501, "WebSocket refused"),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea", 417, "an expectation other than 100-continue"),
        ("OPTIONS * HTTP/1.1\r\nHost: a", 204, "OPTIONS * asks about Larder itself"),
        ("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0", 200, "Max-Forwards: 0"),
        (&format!("GET / HTTP/1.1\r\nHost: a\r\nVia: {via}"), 508, "the request came through this Larder before"),
    ] {
        let answer = send(&proxy, format!("{head}\r\n\r\n"));
        assert_eq!((answer.status, answer.detail(), answer.x_cache()), (status, detail, "MISS"), "{head}");
    }
    assert_eq!(origin.request_count(), 1);
}
