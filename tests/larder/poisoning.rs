//! Poisoning and deception: one client sends the attack, another asks plainly, and gets what it would get from an empty
//! cache.

use crate::support::{Client, Origin, Proxy, RecordedRequest, Response, Step, request, respond, until};

const FRESH: &str = "Cache-Control: max-age=600";

/// The name that a field has for those who tell no separators apart, as CGI and servers before it.
fn heard(spelled: &str) -> String {
    spelled.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

/// An origin that believes everything, in any spelling: its answer is all that it was told.
fn credulous(request: &RecordedRequest) -> Vec<Step> {
    let told = |name: &str| {
        let said = request.fields.iter().filter(|(spelled, _)| heard(spelled) == heard(name));
        said.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut seen =
        vec![request.method.clone(), request.target.clone(), String::from_utf8_lossy(&request.body).into_owned()];
    for name in UNKEYED {
        seen.push(told(name));
    }
    respond(200, &[FRESH], seen.join("\n"))
}

const UNKEYED: [&str; 29] = [
    "Host",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Scheme",
    "X-Forwarded-Port",
    "X-Forwarded-Server",
    "X-Forwarded-Prefix",
    "X-Forwarded-Ssl",
    "X-Host",
    "X-Original-Host",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Real-IP",
    "True-Client-IP",
    "X-Forwarded",
    "X-Scheme",
    "X-Url-Scheme",
    "Client-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "CF-Connecting-IP",
    "Front-End-Https",
    "Base-Url",
    "X-ForwardedFor",
];

/// B's answer after A's attack, and B's answer from an empty cache.
fn after_and_before(origin: &Origin, attack: impl AsRef<[u8]>, plain: &[u8]) -> [Response; 2] {
    let ask = |proxy: &Proxy, bytes: &[u8]| {
        let method = String::from_utf8_lossy(bytes).split(' ').next().unwrap().to_owned();
        proxy.client().send(bytes).response(&method)
    };
    let clean = ask(&Proxy::start(origin, &[]), plain);
    let proxy = Proxy::start(origin, &[]);
    ask(&proxy, attack.as_ref());
    [ask(&proxy, plain), clean]
}

fn assert_unharmed(origin: &Origin, attack: impl AsRef<[u8]>, plain: &[u8]) {
    let shown = String::from_utf8_lossy(attack.as_ref()).into_owned();
    let [after, clean] = after_and_before(origin, attack, plain);
    assert_eq!((after.status, after.text()), (clean.status, clean.text()), "{shown}");
    for name in ["Location", "Content-Range", "Set-Cookie", "Access-Control-Allow-Origin", "Content-Length"] {
        assert_eq!(after.values(name), clean.values(name), "{name} after {shown}");
    }
}

#[test]
fn fields_that_no_key_knows_of_do_not_change_anybody_elses_answer() {
    let origin = Origin::answering(credulous);
    let proxy = Proxy::start(&origin, &[]);
    for name in UNKEYED.iter().filter(|name| **name != "Host") {
        let others = ["_", ".", "~", "!", "+"].map(|other| [name.replace('-', other), name.replacen('-', other, 1)]);
        for (at, spelled) in [name.to_string()].iter().chain(others.as_flattened()).enumerate() {
            let target = format!("/p?cb={name}{at}");
            let told = proxy.client().ask("GET", &target, &[&format!("{spelled}: evil.test")]);
            assert!(!told.text().contains("evil.test"), "{spelled}: {}", told.text());
            assert_eq!((proxy.get(&target).x_cache(), proxy.get(&target).text()), ("HIT", told.text()), "{spelled}");
        }
    }
}

#[test]
fn a_field_of_http_in_another_spelling_selects_no_answer_for_others() {
    let origin = Origin::answering(|request| {
        let language = request.fields.iter().find(|(name, _)| heard(name) == "accept-language");
        respond(200, &[FRESH, "Vary: Accept-Language"], language.map_or("en", |(_, value)| value))
    });
    let proxy = Proxy::start(&origin, &[]);
    proxy.client().ask("GET", "/p", &["Accept_Language: evil", "Accept.Language: evil"]);
    assert_eq!((proxy.get("/p").x_cache(), proxy.get("/p").text().as_str()), ("HIT", "en"));
}

#[test]
fn a_reference_to_the_origin_whose_path_reads_like_a_host_leads_to_larder() {
    for base in ["", "/base"] {
        let origin = Origin::answering(move |request| {
            let there = format!("http://{}{base}//evil.test/%2f..", request.field("Host").unwrap());
            let there = ["Location", "Content-Location"].map(|name| format!("{name}: {there}"));
            respond(301, &[FRESH, &there[0], &there[1]], "")
        });
        let proxy = Proxy::before(&(origin.url() + base), &[]);
        for word in ["MISS", "HIT"] {
            let answer = proxy.get("/gone");
            assert_eq!(answer.x_cache(), word);
            assert_eq!(answer.values("Location"), ["/.//evil.test/%2f.."]);
            assert_eq!(answer.values("Content-Location"), ["/.//evil.test/%2f.."]);
        }
    }
}

#[test]
fn a_method_override_does_not_turn_a_get_into_something_else() {
    let origin = Origin::answering(|request| {
        let overridden = ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"]
            .iter()
            .find_map(|name| request.field(name));
        match overridden {
            Some(method) => respond(404, &[FRESH], format!("no {method} here")),
            None => respond(200, &[FRESH], "page"),
        }
    });
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        assert_unharmed(&origin, request("GET", "/p", &[&format!("{name}: POST")]), &request("GET", "/p", &[]));
    }
}

#[test]
fn a_method_override_of_an_unsafe_request_reaches_the_origin_and_its_answer_is_nobody_elses() {
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let origin = Origin::answering(|request| match request.method.as_str() {
            "POST" => respond(200, &[FRESH, &format!("Content-Location: {}", request.target)], "deleted"),
            _ => respond(200, &[FRESH], "page"),
        });
        let proxy = Proxy::start(&origin, &[]);
        let mut client = proxy.client();
        let done = client.ask("POST", "/p", &["Content-Length: 0", &format!("{name}: DELETE")]);
        assert_eq!((done.text().as_str(), done.detail()), ("deleted", "this method is not cached"), "{name}");
        assert_eq!(origin.requests()[0].field(name), Some("DELETE"));
        let next = client.get("/p");
        assert_eq!((next.text().as_str(), next.x_cache()), ("page", "MISS"), "{name}");
        // safe ones go without it: their answers are shared, or are what a cache may not know
        for method in ["HEAD", "OPTIONS", "QUERY"] {
            client.ask(method, "/q", &[&format!("{name}: DELETE")]);
            let seen = origin.requests().pop().unwrap();
            assert_eq!((seen.method.as_str(), seen.field(name)), (method, None));
        }
    }
}

#[test]
fn this_machines_names_for_larder_share_a_cache_and_the_origin_hears_one_of_them_for_all() {
    let origin = Origin::answering(|request| {
        let said = ["X-Forwarded-Host", "Forwarded"].map(|name| request.field(name).unwrap_or("-").to_owned());
        respond(200, &[FRESH], said.join(" "))
    });
    for first in ["localhost", "127.0.0.1", "[::1]", "LOCALHOST."] {
        let proxy = Proxy::start(&origin, &[]);
        let port = proxy.address.port();
        let ask = |host: &str| {
            let head = format!("GET /p HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
            proxy.client().send(head).response("GET")
        };
        let one = format!("localhost:{port} for=127.0.0.1;host=\"localhost:{port}\";proto=http");
        assert_eq!(ask(first).text(), one);
        until("it to be stored", || ask(first).x_cache() == "HIT");
        for same in ["localhost", "127.0.0.1", "[::1]"] {
            assert_eq!((ask(same).x_cache(), ask(same).text()), ("HIT", one.clone()), "{first} {same}");
        }
        for other in ["127.0.0.2", "127.1.2.3", "[::2]", "localhost.test"] {
            let answer = ask(other);
            assert_eq!(answer.x_cache(), "MISS", "{other}");
            assert!(answer.text().starts_with(&format!("{other}:{port} ")), "{}", answer.text());
        }
    }
}

#[test]
fn a_refusal_that_an_odd_request_provokes_is_not_everyones_answer() {
    for status in [400, 403, 406, 411, 413, 414, 415, 417, 421, 429, 431, 500, 501, 502, 503, 504, 505] {
        let origin = Origin::answering(move |request| match request.field("X-Oversized") {
            Some(_) => respond(status, &[], "refused"),
            None => respond(200, &[FRESH], "page"),
        });
        let oversized = format!("X-Oversized: {}", "a".repeat(9000));
        assert_unharmed(&origin, request("GET", "/p", &[&oversized]), &request("GET", "/p", &[]));
    }
}

#[test]
fn a_405_that_an_odd_request_provokes_is_over_a_second_later() {
    let origin = Origin::answering(move |request| match request.field("X-Method") {
        Some(_) => respond(405, &[], "refused"),
        None => respond(200, &[FRESH], "page"),
    });
    let proxy = Proxy::start(&origin, &[]);
    proxy.client().ask("GET", "/p", &["X-Method: BREW"]);
    proxy.advance(1);
    assert_eq!(proxy.get("/p").text(), "page");
}

#[test]
fn a_field_with_a_control_byte_never_reaches_the_origin() {
    let origin = Origin::answering(credulous);
    let proxy = Proxy::start(&origin, &[]);
    for byte in ["\x07", "\x00", "\x1b", "\x7f", "\x0b", "\r"] {
        let answer = proxy.client().ask("GET", "/p", &[&format!("X-Meta: a{byte}b")]);
        assert_eq!(answer.status, 400, "{byte:?}");
    }
    assert_eq!(origin.request_count(), 0);
}

#[test]
fn another_host_or_port_has_a_cache_of_its_own() {
    let origin = Origin::answering(|request| {
        let host = request.field("X-Forwarded-Host").unwrap_or("-");
        respond(301, &[FRESH, &format!("Location: http://{host}/login")], "")
    });
    let plain = request("GET", "/", &[]);
    for host in
        ["larder.test:1337", "evil.test", "larder.test.evil.test", "xlarder.test", "larder.testx", "a@larder.test"]
    {
        assert_unharmed(&origin, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), &plain);
    }
    assert_unharmed(&origin, "GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n", &plain);
    assert_unharmed(&origin, "GET / HTTP/1.0\r\n\r\n", &plain);
}

#[test]
fn who_names_no_host_gets_what_localhost_gets() {
    let origin = Origin::answering(|request| {
        let host = request.field("X-Forwarded-Host").unwrap_or("-");
        respond(200, &[FRESH], host)
    });
    let proxy = Proxy::start(&origin, &[]);
    let name = format!("localhost:{}", proxy.address.port());
    let named = format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n");
    for (ask, word) in [("GET / HTTP/1.0\r\n\r\n", "MISS"), (named.as_str(), "HIT")] {
        let answer = proxy.client().send(ask).response("GET");
        assert_eq!((answer.x_cache(), answer.text().as_str()), (word, name.as_str()));
    }
}

#[test]
fn a_body_on_a_safe_request_changes_nobody_elses_answer() {
    let origin = Origin::answering(credulous);
    for method in ["GET", "HEAD"] {
        let fat = format!("{method} /p?id=1 HTTP/1.1\r\nHost: larder.test\r\nContent-Length: 6\r\n\r\nid=bad");
        let chunked = format!(
            "{method} /p?id=1 HTTP/1.1\r\nHost: larder.test\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nid=bad\r\n0\r\n\r\n"
        );
        for attack in [fat, chunked] {
            assert_unharmed(&origin, attack, &request("GET", "/p?id=1", &[]));
        }
    }
    let long = [
        b"QUERY /p?id=1 HTTP/1.1\r\nHost: larder.test\r\nContent-Length: 100000\r\n\r\n".to_vec(),
        vec![b'x'; 100_000],
    ]
    .concat();
    assert_unharmed(&origin, &long, &request("GET", "/p?id=1", &[]));
    assert_unharmed(&origin, &long, &request("QUERY", "/p?id=1", &[]));
}

#[test]
fn every_byte_of_the_query_is_in_the_key() {
    let origin = Origin::answering(credulous);
    for odd in [
        "/p?id=1&utm_source=evil",
        "/p?id=1;cb=evil",
        "/p?id=1&id=2",
        "/p?id%3D1",
        "/p?id=1%26x",
        "/p?id=1&",
        "/p?ID=1",
        "/p?id=%31",
        "/p?id=1?",
    ] {
        assert_unharmed(&origin, request("GET", odd, &[]), &request("GET", "/p?id=1", &[]));
    }
}

#[test]
fn a_method_that_looks_like_another_has_an_answer_of_its_own() {
    let origin = Origin::answering(credulous);
    for method in ["get", "GETT", "GE", "HEAD", "OPTIONS", "TRACE", "QUERY", "POST", "PUT"] {
        assert_unharmed(&origin, request(method, "/p", &[]), &request("GET", "/p", &[]));
    }
}

#[test]
fn ranges_and_conditions_of_one_client_are_nobody_elses() {
    let origin = Origin::answering(|request| {
        let asked = |name: &str| request.field(name).is_some();
        match request.field("Range") {
            Some("bytes=0-0") => respond(206, &[FRESH, "Content-Range: bytes 0-0/4"], "p"),
            Some(_) => respond(416, &[FRESH, "Content-Range: bytes */4"], ""),
            None if asked("If-Match") || asked("If-Unmodified-Since") => respond(412, &[FRESH], ""),
            None if asked("If-None-Match") || asked("If-Modified-Since") => respond(304, &[FRESH], ""),
            None => respond(200, &[FRESH], "page"),
        }
    });
    for attack in [
        &["Range: bytes=0-0"][..],
        &["Range: bytes=99-"],
        &["If-None-Match: \"evil\""],
        &["If-None-Match: *"],
        &["If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT"],
        &["If-Match: \"evil\""],
        &["If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"],
        &["If-Range: \"x\"", "Range: bytes=99-"],
        &["If-Match: \"evil\"", "Range: bytes=0-0"],
    ] {
        assert_unharmed(&origin, request("GET", "/p", attack), &request("GET", "/p", &[]));
    }
}

#[test]
fn a_malformed_or_excluding_accept_encoding_does_not_change_what_others_get() {
    let origin = Origin::answering(|request| {
        let accepted = request.field("Accept-Encoding").unwrap_or("").to_owned();
        respond(200, &[FRESH, "Vary: Accept-Encoding"], accepted)
    });
    let long = format!("Accept-Encoding: {}", "x,".repeat(4000));
    for attack in [
        "Accept-Encoding: gzip;q=0",
        "Accept-Encoding: *;q=0",
        "Accept-Encoding: gzip;q=9",
        "Accept-Encoding: gzip;;",
        "Accept-Encoding: \"gzip\"",
        "Accept-Encoding:",
        &long,
    ] {
        for plain in ["Accept-Encoding: gzip", "Accept-Encoding: br, gzip", "X-None: 1"] {
            assert_unharmed(&origin, request("GET", "/p", &[attack]), &request("GET", "/p", &[plain]));
        }
    }
}

#[test]
fn a_redirect_for_one_client_is_not_stored_for_all() {
    for status in [302, 303, 307] {
        let origin = Origin::answering(move |request| match request.field("User-Agent") {
            Some("evil") => respond(status, &["Location: http://evil.test/"], ""),
            _ => respond(200, &[FRESH], "page"),
        });
        assert_unharmed(&origin, request("GET", "/p", &["User-Agent: evil"]), &request("GET", "/p", &[]));
    }
}

#[test]
fn trailers_and_interim_fields_are_never_part_of_what_is_stored() {
    let origin = Origin::always(vec![Step::Send(
        b"HTTP/1.1 103 Early Hints\r\nX-Evil: 1\r\nSet-Cookie: a=1\r\n\r\n\
          HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\nTrailer: X-Evil\r\n\r\n\
          4\r\npage\r\n0\r\nX-Evil: 2\r\nSet-Cookie: b=2\r\nCache-Control: no-store\r\n\r\n"
            .to_vec(),
    )]);
    let proxy = Proxy::start(&origin, &[]);
    for word in ["MISS", "HIT"] {
        let answer = proxy.get("/");
        assert_eq!((answer.x_cache(), answer.text().as_str()), (word, "page"));
        assert_eq!((answer.field("X-Evil"), answer.field("Set-Cookie")), (None, None));
        assert_eq!(answer.values("Cache-Control"), ["max-age=600"]);
    }
}

#[test]
fn a_name_or_ending_of_a_path_never_makes_a_page_public() {
    let page = |request: &RecordedRequest| match request.field("Cookie") {
        Some(cookie) => format!("account of {cookie}"),
        None => "please log in".to_owned(),
    };
    for control in ["Cache-Control: private", "Cache-Control: no-store", "X-Says: nothing"] {
        let origin =
            Origin::answering(move |request| respond(200, &[control, "Content-Type: text/html"], page(request)));
        let proxy = Proxy::start(&origin, &[]);
        for path in [
            "/account/x.css",
            "/account.css",
            "/account;.js",
            "/account%00.png",
            "/account%0a.css",
            "/account%23.js",
            "/account%3f.css",
            "/account/..%2fstatic/x.js",
            "/static/..%2f..%2faccount",
            "/static/%2e%2e/account",
            "//account",
            "/./account",
            "/static/../account",
            "/ACCOUNT",
            "/account/",
            "/account%2f",
            "/favicon.ico",
            "/robots.txt",
            "/account/index.html",
            "/assets/account.js?v=1",
        ] {
            let victim = proxy.client().ask("GET", path, &["Cookie: victim"]);
            assert_eq!((victim.x_cache(), victim.text().as_str()), ("MISS", "account of victim"), "{path}");
            let thief = proxy.client().ask("GET", path, &[]);
            assert_eq!((thief.x_cache(), thief.text().as_str()), ("MISS", "please log in"), "{path}");
        }
    }
}

#[test]
fn the_unread_body_of_a_request_that_was_answered_from_the_store_is_no_request() {
    let origin = Origin::answering(|request| respond(200, &[FRESH], request.target.clone()));
    let proxy = Proxy::start(&origin, &[]);
    proxy.get("/hit");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut client = Client::connect(proxy.address);
    client.send(format!(
        "GET /hit HTTP/1.1\r\nHost: larder.test\r\nContent-Length: {}\r\n\r\n{smuggled}",
        smuggled.len()
    ));
    assert_eq!(client.response("GET").text(), "/hit");
    client.send("GET /next HTTP/1.1\r\nHost: larder.test\r\n\r\n");
    assert_eq!(client.response("GET").text(), "/next");
    assert!(origin.requests().iter().all(|request| request.target != "/smuggled"));
}
