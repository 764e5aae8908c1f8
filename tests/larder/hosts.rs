//! Host and scheme: what the origin hears of the client, what comes back, and whose site is served.

use crate::support::{Client, Origin, Proxy, RecordedRequest, Response, Spawned, TlsEnd, TlsOrigin, respond, until};

const FRESH: &str = "Cache-Control: max-age=600";
const TOLD: [&str; 4] = ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"];

/// An application that builds its answer from what it hears.
pub fn hearing() -> Origin {
    Origin::answering(|request| respond(200, &[FRESH], request.field("Host").unwrap_or("-")))
}

/// Asks for this host on a connection of its own. `fields`: lines without their line ends.
pub fn ask(proxy: &Proxy, method: &str, target: &str, host: &str, fields: &[&str]) -> Response {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    fields.iter().for_each(|field| head.push_str(&format!("{field}\r\n")));
    proxy.client().send(format!("{head}\r\n")).response(method)
}

pub fn last(origin: &Origin) -> RecordedRequest {
    origin.requests().pop().unwrap()
}

pub fn told(request: &RecordedRequest) -> [Option<&str>; 4] {
    TOLD.map(|name| request.field(name))
}

#[test]
fn w20_an_application_beside_larder_hears_the_clients_host_and_who_it_is() {
    let origin = hearing();
    let proxy = Proxy::start(&origin, &[]);
    assert_eq!(ask(&proxy, "GET", "/", "Shop.test.", &[]).text(), "shop.test");
    let forwarded = "for=127.0.0.1;host=\"shop.test\";proto=http";
    assert_eq!(told(&last(&origin)), [Some("127.0.0.1"), Some("shop.test"), Some("http"), Some(forwarded)]);
}

#[test]
fn w20_localhost_and_127_0_0_1_are_two_sites_of_an_application() {
    let origin = hearing();
    let proxy = Proxy::start(&origin, &[]);
    let port = proxy.address.port();
    for name in ["localhost", "127.0.0.1", "[::1]", "127.0.0.2"] {
        let host = format!("{name}:{port}");
        for word in ["MISS", "HIT"] {
            let answer = ask(&proxy, "GET", "/", &host, &[]);
            assert_eq!((answer.text(), answer.x_cache()), (host.clone(), word));
        }
    }
}

#[test]
fn w20_somebodys_site_hears_its_own_host_and_nothing_of_the_client() {
    let origin = hearing();
    let own = origin.address.to_string();
    for (host_header, heard) in
        [("origin", &*own), ("site.example", "site.example"), ("Site.example:81", "site.example:81")]
    {
        let proxy = Proxy::start(&origin, &["--host-header", host_header]);
        let lies = ["X-Forwarded-For: 6.6.6.6", "Forwarded: host=evil"];
        assert_eq!(ask(&proxy, "GET", "/", "shop.test", &lies).text(), heard);
        assert_eq!(told(&last(&origin)), [None; 4]);
        // hosts that a client makes up do not split the cache
        for made_up in ["evil.test", "127.0.0.1", "shop.test:8080"] {
            assert_eq!(ask(&proxy, "GET", "/", made_up, &[]).x_cache(), "HIT", "{made_up}");
        }
    }
}

#[test]
fn w20_with_forward_client_somebodys_site_hears_who_the_client_is_and_each_host_has_its_own_answers() {
    let origin = hearing();
    let proxy = Proxy::start(&origin, &["--host-header", "origin", "--forward-client"]);
    for host in ["shop.test", "evil.test"] {
        let answer = ask(&proxy, "GET", "/", host, &[]);
        assert_eq!((answer.text(), answer.x_cache()), (origin.address.to_string(), "MISS"));
        let forwarded = format!("for=127.0.0.1;host=\"{host}\";proto=http");
        assert_eq!(told(&last(&origin)), [Some("127.0.0.1"), Some(host), Some("http"), Some(&*forwarded)]);
    }
}

#[test]
fn w20_another_host_header_never_finds_what_was_stored_before() {
    let origin = hearing();
    let folder = tempfile::tempdir().unwrap();
    for host_header in ["client", "origin", "app.test", "other.test"] {
        let larder = Spawned::start(&origin.url(), folder.path(), &["--host-header", host_header]);
        assert_eq!(larder.get("/").x_cache(), "MISS", "{host_header}");
        until("it to be stored", || larder.get("/").x_cache() == "HIT");
        larder.stop();
    }
}

#[test]
fn w20_the_start_up_line_says_which_host_the_origin_hears() {
    let folder = tempfile::tempdir().unwrap();
    for (n, (origin, flags, word)) in [
        ("http://127.0.0.1:9", &[][..], "client"),
        ("http://example.com", &[], "origin"),
        ("http://example.com", &["--host-header", "Client"], "client"),
        ("http://127.0.0.1:9", &["--host-header", "app.test"], "app.test"),
    ]
    .into_iter()
    .enumerate()
    {
        let larder = Spawned::start(origin, &folder.path().join(n.to_string()), flags);
        let line = larder.await_line("listening on");
        assert!(line.contains(&format!(" origin={origin} host={word} ")), "{line}");
    }
}

/// An application that takes a form only from a page of its own, and a MOVE only within itself.
fn careful(scheme: &'static str) -> Origin {
    Origin::answering(move |request| {
        let own = format!("{scheme}://{}", request.field("Host").unwrap());
        let leads_here = |name: &str| {
            request
                .field(name)
                .and_then(|text| text.strip_prefix(&own))
                .map(str::to_owned)
                .unwrap_or("elsewhere".to_owned())
        };
        respond(200, &["Cache-Control: no-store"], ["Origin", "Referer", "Destination"].map(leads_here).join(" "))
    })
}

#[test]
fn w20_a_form_and_a_move_are_taken_by_an_application_and_by_somebodys_site() {
    let origin = careful("http");
    for flags in [&[][..], &["--host-header", "origin", "--allow-host", "shop.test", "--allow-host", "127.0.0.1"]] {
        let proxy = Proxy::start(&origin, flags);
        for host in [format!("127.0.0.1:{}", proxy.address.port()), "shop.test".to_owned()] {
            let fields = [("Origin", ""), ("Referer", "/form?a"), ("Destination", "/new")];
            let fields = fields.map(|(name, path)| format!("{name}: http://{host}{path}"));
            let fields = fields.each_ref().map(|field| field.as_str());
            assert_eq!(ask(&proxy, "MOVE", "/old", &host, &fields).text(), " /form?a /new", "{host}");
        }
        let foreign = ["Origin: http://evil.test", "Referer: http://evil.test/", "Destination: http://evil.test/new"];
        assert_eq!(ask(&proxy, "MOVE", "/old", "shop.test", &foreign).text(), ["elsewhere"; 3].join(" "));
    }
}

#[test]
fn w20_a_destination_gets_the_base_path_and_never_leaves_it() {
    let origin = Origin::answering(|request| respond(200, &[], request.field("Destination").unwrap_or("-")));
    let base = format!("{}/base", origin.url());
    for mode in ["client", "origin"] {
        let proxy = Proxy::before(&base, &["--host-header", mode]);
        let host = format!("localhost:{}", proxy.address.port());
        let heard = if mode == "client" { host.clone() } else { origin.address.to_string() };
        let moved = |to: &str| ask(&proxy, "MOVE", "/a", &host, &[&format!("Destination: {to}")]);
        assert_eq!(moved(&format!("http://{host}/b")).text(), format!("http://{heard}/base/b"));
        assert_eq!(moved("/b").text(), "/base/b");
        for climbing in [format!("http://{host}/../b"), "/%2e%2e/b".to_owned()] {
            assert_eq!(moved(&climbing).status, 400, "{climbing}");
        }
    }
}

#[test]
fn w20_references_to_the_origin_lead_through_larder_in_every_field_that_has_them() {
    let origin = Origin::answering(|request| {
        let here = format!("http://{}/base/next", request.field("X-Named").or(request.field("Host")).unwrap());
        let fields = [
            format!("Location: {here}"),
            format!("Content-Location: {here}"),
            format!("Link: <{here}>; rel=next, <https://other.test/>; rel=x"),
            format!("Refresh: 5; url={here}"),
        ];
        respond(201, &fields.each_ref().map(|field| field.as_str()), "")
    });
    let own = origin.address.to_string();
    let base = format!("{}/base", origin.url());
    for (mode, named) in [
        ("client", None),
        ("client", Some(own.clone())),
        // many servers put their own port behind the host that they hear
        ("client", Some(format!("shop.test:{}", origin.address.port()))),
        ("origin", None),
        ("app.test", None),
        ("app.test", Some(own.clone())),
    ] {
        let proxy = Proxy::before(&base, &["--host-header", mode]);
        let named = named.map(|named| format!("X-Named: {named}"));
        let answer = ask(&proxy, "GET", "/", "shop.test", &named.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(answer.field("Location"), Some("/next"), "{mode} {named:?}");
        assert_eq!(answer.field("Content-Location"), Some("/next"), "{mode} {named:?}");
        assert_eq!(answer.field("Link"), Some("</next>; rel=next, <https://other.test/>; rel=x"), "{mode} {named:?}");
        assert_eq!(answer.field("Refresh"), Some("5; url=/next"), "{mode} {named:?}");
    }
}

#[test]
fn w20_a_cookie_fits_the_host_that_the_client_asked_on_a_miss_and_on_a_hit() {
    let origin = Origin::answering(|request| {
        let control =
            if request.target == "/shared" { "Cache-Control: s-maxage=60" } else { "Cache-Control: no-store" };
        respond(200, &[control, "Set-Cookie: sid=1; Domain=api.example.com; Secure; Path=/"], "in")
    });
    for mode in ["client", "origin"] {
        let proxy = Proxy::start(&origin, &["--host-header", mode, "--strict"]);
        let own = format!("localhost:{}", proxy.address.port());
        for target in ["/private", "/shared", "/shared"] {
            for (host, cookie) in [
                (&*own, "sid=1; Path=/"),
                ("shop.test", "sid=1; Secure; Path=/"),
                ("api.example.com", "sid=1; Domain=api.example.com; Secure; Path=/"),
            ] {
                let answer = ask(&proxy, "GET", target, host, &[]);
                assert_eq!(answer.values("Set-Cookie"), [cookie], "{mode} {target} {host} {}", answer.x_cache());
            }
        }
        assert_eq!(ask(&proxy, "GET", "/shared", &own, &[]).x_cache(), "HIT");
    }
}

#[test]
fn w22_an_https_origin_hears_https_and_redirects_nobody_to_itself_for_ever() {
    let secure = TlsOrigin::start(|head| {
        let field = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
            line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
        };
        let (host, target) = (field("host: ").unwrap(), head.split(' ').nth(1).unwrap());
        let location = match field("x-forwarded-proto: ").as_deref() {
            Some("http") => format!("https://{host}{target}"),
            _ if target == "/old" => format!("https://{host}/new"),
            _ => {
                let origin = field("origin: ").unwrap_or_default();
                let answer =
                    format!("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: {}\r\n\r\n", origin.len());
                return (answer + &origin, TlsEnd::Open);
            }
        };
        (format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"), TlsEnd::Open)
    });
    let ca = secure.ca().to_str().unwrap().to_owned();
    for flags in [&[][..], &["--host-header", "origin"], &["--host-header", "origin", "--forward-client"]] {
        let proxy = Proxy::before(&secure.url(), &[&["--origin-ca", &ca], flags].concat());
        let host = format!("localhost:{}", proxy.address.port());
        assert_eq!(ask(&proxy, "GET", "/a", &host, &[]).status, 200, "{flags:?}");
        // the client has come by http, and so must the next request
        assert_eq!(ask(&proxy, "GET", "/old", &host, &[]).field("Location"), Some("/new"), "{flags:?}");
        // and its pages are those of the site that the application knows itself as
        let heard = if flags.is_empty() { host.clone() } else { secure.address.to_string() };
        let posted = ask(&proxy, "POST", "/a", &host, &["Content-Length: 0", &format!("Origin: http://{host}")]);
        assert_eq!(posted.text(), format!("https://{heard}"), "{flags:?}");
    }
}

#[test]
fn w23_a_client_that_takes_larder_for_a_forward_proxy_gets_421_and_the_log_one_warning() {
    let origin = hearing();
    let folder = tempfile::tempdir().unwrap();
    let larder =
        Spawned::start(&origin.url(), folder.path(), &["--allow-host", "shop.test", "--allow-host", "127.0.0.1"]);
    for (target, host, status) in [
        ("http://other.test/a", "other.test", 421),
        ("http://other.test:8080/a", "other.test:8080", 421),
        ("http://shop.test/a", "shop.test", 200),
        (&format!("http://{}/a", larder.address), &larder.address.to_string(), 200),
    ] {
        let answer = larder.client().send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).response("GET");
        assert_eq!(answer.status, status, "{target}");
        if status == 421 {
            assert_eq!(answer.detail(), "a URL of another host: Larder is no forward proxy");
            assert!(!answer.text().contains("other.test"), "{}", answer.text());
        }
    }
    assert_eq!(origin.request_count(), 2);
    let log = larder.stop_and_read();
    let warnings: Vec<_> = log.iter().filter(|line| line.contains("uses Larder as a proxy for")).collect();
    assert_eq!(warnings.len(), 1, "{log:#?}");
    assert!(warnings[0].contains("other.test") && warnings[0].contains("--allow-host"), "{warnings:?}");
}

#[test]
fn w23_without_allow_host_an_absolute_target_may_name_only_larder_itself() {
    let origin = hearing();
    let proxy = Proxy::start(&origin, &[]);
    let port = proxy.address.port();
    for (host, status) in [
        (format!("localhost:{port}"), 200),
        (format!("127.0.0.1:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        ("localhost".to_owned(), 421),
        (format!("127.0.0.2:{port}"), 421),
        ("other.test".to_owned(), 421),
    ] {
        assert_eq!(ask(&proxy, "GET", &format!("http://{host}/a"), &host, &[]).status, status, "{host}");
        // a plain path is served under every name
        assert_eq!(ask(&proxy, "GET", "/a", &host, &[]).status, 200, "{host}");
    }
}

#[test]
fn w23_an_allowed_host_may_have_the_port_of_http() {
    let origin = hearing();
    let proxy = Proxy::start(&origin, &["--allow-host", "shop.test:80"]);
    for (host, status) in [("shop.test", 200), ("shop.test:80", 200), ("shop.test:8080", 421)] {
        assert_eq!(ask(&proxy, "GET", "/", host, &[]).status, status, "{host}");
    }
}

#[test]
fn w23_https_typed_at_the_port_makes_one_warning_a_minute_that_says_so() {
    let origin = hearing();
    let folder = tempfile::tempdir().unwrap();
    let larder = Spawned::start(&origin.url(), folder.path(), &[]);
    for hello in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"\x16", b"\x16\x03\x03\x00\x10"] {
        let answer = larder.client().send(hello).response("GET");
        assert_eq!((answer.status, answer.text().contains("This port speaks http, not https.")), (400, true));
    }
    let log = larder.stop_and_read();
    let warnings = log.iter().filter(|line| line.contains("WARN") && line.contains("https://")).count();
    assert_eq!(warnings, 1, "{log:#?}");
}

#[test]
fn w24_a_path_does_not_lead_above_the_origins_base_path() {
    let origin = Origin::answering(|request| respond(200, &[], request.target.clone()));
    let based = Proxy::before(&format!("{}/base", origin.url()), &[]);
    for climbing in ["/../x", "/%2e%2e/x", "/a/../../x", "/..%2fx", "/..;/x", "//../x"] {
        assert_eq!(based.get(climbing).status, 400, "{climbing}");
    }
    assert_eq!(origin.request_count(), 0);
    for inside in ["/a/../x", "/a?b=/../../c", "/..."] {
        assert_eq!(based.get(inside).text(), format!("/base{inside}"));
    }
    // without a base path there is nothing to leave
    assert_eq!(Proxy::start(&origin, &[]).get("/../x").text(), "/../x");
}

#[test]
fn w25_raw_bytes_in_a_path_are_what_a_browser_would_have_sent() {
    let origin = Origin::answering(|request| respond(200, &[FRESH], request.target.clone()));
    let proxy = Proxy::start(&origin, &[]);
    for (raw, encoded) in [
        ("/m\u{fc}nchen", "/m%C3%BCnchen"),
        ("/\u{6d4b}\u{8bd5}?q=\u{20ac}&r=%e2", "/%E6%B5%8B%E8%AF%95?q=%E2%82%AC&r=%e2"),
        ("/\u{10d}\u{10a}", "/%C4%8D%C4%8A"),
    ] {
        assert_eq!((proxy.get(raw).text().as_str(), proxy.get(encoded).x_cache()), (encoded, "HIT"), "{raw}");
    }
    let own = format!("localhost:{}", proxy.address.port());
    let answer = ask(&proxy, "GET", &format!("http://{own}/m\u{fc}nchen"), &own, &[]);
    assert_eq!(answer.text(), "/m%C3%BCnchen");
    let asked = origin.request_count();
    for (target, host) in [
        ("/a\x01", "h"),
        ("/a b", "h"),
        ("/\x7f\u{fc}", "h"),
        ("/a", "m\u{fc}nchen.test"),
        ("http://m\u{fc}nchen.test/a", "m\u{fc}nchen.test"),
    ] {
        assert_eq!(ask(&proxy, "GET", target, host, &[]).status, 400, "{target}");
    }
    let no_utf8 = proxy.client().send(b"GET /caf\xe9 HTTP/1.1\r\nHost: h\r\n\r\n").response("GET");
    assert_eq!((no_utf8.status, origin.request_count()), (400, asked));
}

#[test]
fn w25_the_limit_of_a_target_counts_the_encoded_bytes() {
    let origin = Origin::answering(|_| respond(200, &[], ""));
    let proxy = Proxy::start(&origin, &["--max-target", "256B"]);
    for (count, status) in [(42, 200), (43, 414)] {
        // six bytes each
        let answer = proxy.get(&format!("/{}", "\u{fc}".repeat(count)));
        assert_eq!(answer.status, status, "{count}");
    }
}

#[test]
fn only_a_redirect_that_leads_past_larder_is_warned_of() {
    let origin = Origin::answering(|request| {
        let location = match request.target.as_str() {
            "/own" => format!("Location: http://{}/there", request.field("Host").unwrap()),
            "/past" => "Location: http://127.0.0.1:9/there".to_owned(),
            _ => return respond(200, &[], ""),
        };
        respond(302, &[&location], "")
    });
    let folder = tempfile::tempdir().unwrap();
    let larder = Spawned::start(&origin.url(), folder.path(), &["-q"]);
    let warnings = || larder.log().iter().filter(|line| line.contains("past Larder")).count();
    let mut client = Client::connect(larder.address);
    let own = larder.address.to_string();
    for host in [&*own, "shop.test"] {
        client.send(format!("GET /own HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.response("GET").field("Location"), Some(&*format!("http://{host}/there")));
    }
    assert_eq!(warnings(), 0, "{:#?}", larder.log());
    client.get("/past");
    until("a warning", || warnings() == 1);
}

#[test]
fn all_names_below_one_may_be_served_and_no_other() {
    let origin = hearing();
    let proxy = Proxy::start(&origin, &["--allow-host", "*.shop.test"]);
    for (host, status) in [("a.shop.test", 200), ("a.b.shop.test:81", 200), ("shop.test", 421), ("ashop.test", 421)] {
        assert_eq!(ask(&proxy, "GET", "/", host, &[]).status, status, "{host}");
    }
}
