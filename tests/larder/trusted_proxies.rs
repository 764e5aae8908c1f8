//! Proxies in front of Larder: who is believed what about the client.

use crate::{
    hosts::{ask, hearing, last, told},
    support::{Client, Gate, Origin, Proxy, Spawned, Step, respond, until},
};

#[test]
fn w21_a_trusted_proxy_is_believed_and_nobody_else() {
    let origin = hearing();
    let said = ["X-Forwarded-For: 6.6.6.6, 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.test:443"];
    let forwarded = ["Forwarded: for=192.0.2.1;proto=https;host=shop.test"];
    let proxy = Proxy::start(&origin, &["--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "127.0.0.1"]);
    for (target, fields) in [("/a", &said[..]), ("/b", &forwarded)] {
        assert_eq!(ask(&proxy, "GET", target, "larder:3000", fields).text(), "shop.test");
        let heard = "for=192.0.2.1;host=\"shop.test\";proto=https";
        assert_eq!(told(&last(&origin)), [Some("192.0.2.1"), Some("shop.test"), Some("https"), Some(heard)]);
    }
    // the scheme is a part of the key: the application builds its URLs from it
    assert_eq!(ask(&proxy, "GET", "/a", "shop.test", &[]).x_cache(), "MISS");
    assert_eq!(ask(&proxy, "GET", "/a", "shop.test", &["X-Forwarded-Proto: https"]).x_cache(), "HIT");

    let stranger = Proxy::start(&origin, &["--trusted-proxy", "10.0.0.0/8"]);
    assert_eq!(ask(&stranger, "GET", "/a", "larder:3000", &said).text(), "larder:3000");
    assert_eq!(told(&last(&origin))[..3], [Some("127.0.0.1"), Some("larder:3000"), Some("http")]);
}

#[test]
fn w21_the_forwarded_host_must_be_allowed_and_well_formed() {
    let origin = hearing();
    let proxy = Proxy::start(&origin, &["--trusted-proxy", "127.0.0.1", "--allow-host", "shop.test"]);
    for (host, forwarded, status) in [
        ("larder:3000", "shop.test", 200),
        ("shop.test", "evil.test", 421),
        ("shop.test", "a b", 400),
        ("shop.test", "evil.test, shop.test", 200),
        ("larder:3000", "", 421),
    ] {
        let answer = ask(&proxy, "GET", "/", host, &[&format!("X-Forwarded-Host: {forwarded}")]);
        assert_eq!(answer.status, status, "{host} {forwarded}");
    }
}

#[test]
fn w21_the_log_shows_the_client_and_not_the_proxy() {
    let origin = hearing();
    let folder = tempfile::tempdir().unwrap();
    let larder = Spawned::start(&origin.url(), folder.path(), &["-v", "--trusted-proxy", "127.0.0.0/8"]);
    larder.client().ask("GET", "/seen", &["X-Forwarded-For: 192.0.2.1"]);
    let line = larder.await_line("GET /seen ");
    assert!(line.contains("[client 192.0.2.1, "), "{line}");
}

#[test]
fn w21_the_limit_for_an_address_holds_for_the_clients_of_a_trusted_proxy_and_not_for_itself() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match request.target.as_str() {
        "/held" => [vec![Step::Wait(held.clone())], respond(200, &["Cache-Control: no-store"], "held")].concat(),
        _ => respond(200, &["Cache-Control: no-store"], "at once"),
    });
    let flags = ["--trusted-proxy", "127.0.0.1", "--max-connections-per-address", "1"];
    let proxy = Proxy::start(&origin, &flags);
    let (mut first, mut second) = (proxy.client(), proxy.client());
    let send = |client: &mut Client, target: &str, of: &str| {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {of}\r\n\r\n"));
    };
    send(&mut first, "/held", "192.0.2.1");
    until("it to reach the origin", || origin.request_count() == 1);
    for (of, status) in [("192.0.2.1", 429), ("192.0.2.2", 200), ("192.0.2.2", 200), ("192.0.2.1", 429)] {
        send(&mut second, "/", of);
        let answer = second.response("GET");
        assert_eq!(answer.status, status, "{of}");
        if status == 429 {
            let reason = "too many requests at once from this address (see --max-connections-per-address)";
            assert_eq!(answer.detail(), reason);
        }
    }
    gate.open();
    assert_eq!(first.response("GET").text(), "held");
    // though its connection stays
    until("its place to be free again", || {
        send(&mut second, "/", "192.0.2.1");
        second.response("GET").text() == "at once"
    });

    // who is not trusted is counted by its connections
    let mut counted = Client::connect_from([127, 0, 0, 2], proxy.address);
    assert_eq!(counted.get("/").status, 200);
    assert_eq!(Client::connect_from([127, 0, 0, 2], proxy.address).response("GET").status, 429);
}

#[test]
fn a_redirect_to_https_behind_a_proxy_that_is_not_trusted_is_a_warning_that_names_the_flag() {
    // as WordPress and Django with SECURE_SSL_REDIRECT do
    let origin = Origin::answering(|request| match request.field("X-Forwarded-Proto") {
        Some("https") => respond(200, &[], "welcome"),
        _ => respond(301, &[&format!("Location: https://shop.test{}", request.target)], ""),
    });
    let folder = tempfile::tempdir().unwrap();
    let flags = |trusted: &'static str| ["--trusted-proxy", trusted];
    let larder = Spawned::start(&origin.url(), &folder.path().join("a"), &flags("10.0.0.0/8"));
    let ask = |larder: &Spawned, target: &str, line: &str| {
        larder.client().send(format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\n{line}\r\n\r\n")).response("GET")
    };
    assert_eq!(ask(&larder, "/plain", "X-Forwarded-Proto: http").status, 301);
    larder.await_line(" GET /plain ");
    let warnings = || larder.log().iter().filter(|line| line.contains("--trusted-proxy")).count();
    assert_eq!(warnings(), 0, "{:#?}", larder.log());
    for (target, line) in [("/a?b", "X-Forwarded-Proto: https"), ("/c", "Forwarded: for=192.0.2.1;proto=https")] {
        assert_eq!(ask(&larder, target, line).status, 301);
        larder.await_line(&format!(" GET {target} "));
    }
    let line = larder.await_line("--trusted-proxy");
    assert!(line.contains(" WARN "), "{line}");
    assert!(line.ends_with("if it is your TLS proxy, write --trusted-proxy 127.0.0.1"), "{line}");
    assert_eq!(warnings(), 1, "one a minute: {:#?}", larder.log());

    let mended = Spawned::start(&origin.url(), &folder.path().join("b"), &flags("127.0.0.1"));
    assert_eq!(ask(&mended, "/a", "X-Forwarded-Proto: https").text(), "welcome");
}

#[test]
fn w21_a_connection_of_a_trusted_proxy_carries_many_users() {
    let origin = Origin::answering(|request| {
        let user = request.field("Authorization").unwrap_or("nobody").to_owned();
        respond(200, &["Cache-Control: no-store"], format!("{user} on {}", request.connection))
    });
    let proxy = Proxy::start(&origin, &["--workers", "1", "--trusted-proxy", "127.0.0.1"]);
    let mut client = proxy.client();
    assert_eq!(client.ask("GET", "/", &["Authorization: Negotiate alice"]).text(), "Negotiate alice on 0");
    origin.await_no_connections();
    assert_eq!(client.get("/").text(), "nobody on 1");
}
