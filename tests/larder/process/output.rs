//! What it writes down: nobody else's lines, and no secrets.

use std::{fs::File, net::TcpStream};

use crate::support::{
    CANARY, Client, Origin, Spawned, Step,
    proxy::{free_port, larder, output},
    request, respond, until,
};

#[test]
fn no_request_can_write_a_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::answering(|_| respond(200, &["Cache-Control: no-store"], ""));
    let spawned = Spawned::start(&origin.url(), &folder.path().join("cache"), &["-v"]);
    let forged = [
        "\r\n2026-01-01T00:00:00.000Z ERROR FORGED",
        "\nFORGED",
        "\rFORGED",
        "\x1b[2JFORGED",
        "\0FORGED",
        "\x7fFORGED",
        "\u{9b}2JFORGED",
        "\u{202e}FORGED",
        "%0d%0aFORGED",
        "%1b[2JFORGED",
    ];
    for text in forged {
        for head in [
            format!("GET /{text} HTTP/1.1\r\nHost: larder.test\r\n\r\n"),
            format!("GET /a HTTP/1.1\r\nHost: {text}\r\n\r\n"),
            format!("G{text} /a HTTP/1.1\r\nHost: larder.test\r\n\r\n"),
            format!("GET /a HTTP/1.1\r\nHost: larder.test\r\nX: {text}\r\nConnection: {text}\r\n\r\n"),
        ] {
            let mut client = spawned.client();
            let _ = client.try_send(head);
            client.finish();
            client.rest();
        }
    }
    let mut client = spawned.client();
    // overlong, and no UTF-8 at all
    client.send(b"GET /\xc0\x8aFORGED\xff HTTP/1.1\r\nHost: larder.test\r\nConnection: close\r\n\r\n").rest();
    spawned.get("/the-last-one");
    spawned.await_line("/the-last-one");
    let log = spawned.log();
    for line in &log {
        assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{line:?}");
        // a line that bears foreign text begins as each of Larder's own does
        let own = line.len() > 24 && line.as_bytes()[10] == b'T' && line.as_bytes()[23] == b'Z';
        assert!(own || !line.contains("FORGED"), "{line:?}");
        assert!(!line.contains("Z ERROR "), "{line:?}");
    }
    assert!(log.iter().any(|line| line.contains("%0d%0aFORGED")), "{log:#?}");
}

#[test]
fn x12_malformed_requests_do_not_fill_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::answering(|_| respond(200, &[], ""));
    let spawned = Spawned::start(&origin.url(), &folder.path().join("cache"), &[]);
    let before = spawned.log().len();
    for _ in 0..300 {
        let mut client = spawned.client();
        client.send("GET / HTTP/9\r\n\r\n");
        assert_eq!(client.response("GET").status, 400);
    }
    spawned.get("/the-last-one");
    spawned.await_line("/the-last-one");
    assert!(spawned.log().len() == before + 1, "{:#?}", spawned.log());
}

#[test]
fn a_log_that_nobody_reads_stops_no_request_and_says_how_much_of_it_is_missing() {
    const REQUESTS: usize = 4000;
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    let mut spawned = Spawned::unread(&origin.url(), &folder.path().join("cache"), &[]);
    let target = format!("/{}", "a".repeat(1000));
    let mut client = spawned.client();
    for n in 0..REQUESTS {
        assert_eq!(client.get(&target).status, 200, "{n}");
    }
    spawned.read_log();
    spawned.await_line("lines are missing here");
    client.get("/last");
    spawned.await_line(" GET /last ");
    let log = spawned.log();
    let missing: usize = log
        .iter()
        .filter_map(|line| line.split_once(" WARN  ")?.1.split_once(" lines are missing here")?.0.parse::<usize>().ok())
        .sum();
    let written = log.iter().filter(|line| line.contains(&target[..900])).count();
    assert_eq!(missing + written, REQUESTS, "{} lines", log.len());
    assert!(log[0].contains(" GET /aaa") && log.last().unwrap().contains(" GET /last "), "the order is kept");
    drop(client);
    assert_eq!(spawned.stop().code(), Some(0));
}

#[test]
fn it_can_be_stopped_while_nobody_reads_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    let spawned = Spawned::unread(&origin.url(), &folder.path().join("cache"), &[]);
    let mut client = spawned.client();
    for _ in 0..200 {
        assert_eq!(client.get(&format!("/{}", "a".repeat(1000))).status, 200);
    }
    drop(client);
    assert_eq!(spawned.stop().code(), Some(0));
}

#[test]
fn a_stderr_that_takes_nothing_ends_nothing() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(larder(&["--orign"]).stderr(full()).status().unwrap().code(), Some(2));
    assert_eq!(larder(&[]).stderr(full()).status().unwrap().code(), Some(2));
    let folder = tempfile::tempdir().unwrap();
    let (cache, port) = (folder.path().join("cache"), free_port());
    assert_eq!(larder(&["stats", "--cache-dir", "/x"]).stderr(full()).status().unwrap().code(), Some(3));
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    let (url, text) = (origin.url(), port.to_string());
    let words = ["--origin", &url, "--port", &text, "--cache-dir", cache.to_str().unwrap()];
    let spawned = Spawned::at(([127, 0, 0, 1], port).into(), larder(&words).stderr(full()));
    until("it to listen", || TcpStream::connect(spawned.address).is_ok());
    assert_eq!(spawned.get("/").status, 200);
    assert_eq!(spawned.stop().code(), Some(0));
}

#[test]
fn an_answer_that_a_full_device_does_not_take_ends_with_1_and_says_so() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    assert_eq!(Spawned::start(&origin.url(), &cache, &[]).stop().code(), Some(0));
    let cache = cache.to_str().unwrap();
    for words in [
        &["--help"][..],
        &["-h"],
        &["help"],
        &["--version"],
        &["stats", "--cache-dir", cache],
        &["stats", "--json", "--cache-dir", cache],
        &["--clear-cache", "--cache-dir", cache],
    ] {
        let ended = output(larder(words).stdout(full()));
        let stderr = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(stderr, "error: cannot write to stdout: No space left on device (os error 28)\n", "{words:?}");
        assert_eq!(ended.status.code(), Some(1), "{words:?}");
    }
}

/// Everything that a client is told, and everything that is logged, at this verbosity.
fn all_output(flags: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::answering(move |request| match request.target.as_bytes().get(1) {
        Some(b'c') => vec![Step::Close],
        Some(b'm') => vec![Step::Send("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n".into()), Step::Close],
        Some(b't') => vec![
            Step::Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nCache-Control: max-age=9\r\n\r\nabc".into()),
            Step::Close,
        ],
        _ => respond(200, &[&format!("Set-Cookie: id={CANARY}"), "Cache-Control: max-age=600"], "fine"),
    });
    let spawned = Spawned::start(&origin.url(), &folder.path().join("cache"), flags);
    let fields = [
        format!("Authorization: Bearer {CANARY}"),
        format!("Proxy-Authorization: Basic {CANARY}"),
        format!("Cookie: id={CANARY}"),
        format!("X-Api-Key: {CANARY}"),
    ];
    let secret: Vec<&str> = fields.iter().map(String::as_str).collect();
    let ask = |bytes: Vec<u8>, output: &mut String| {
        let mut client: Client = spawned.client();
        let _ = client.try_send(bytes);
        client.finish();
        let heard = String::from_utf8_lossy(&client.rest()).into_owned();
        // the origin's own cookie and field are the client's to have
        let own = [format!("Set-Cookie: id={CANARY}"), format!("X-Origin-Key: {CANARY}")];
        let own = |line: &&str| own.iter().any(|own| own.eq_ignore_ascii_case(line));
        heard.lines().filter(|line| !own(line)).for_each(|line| output.extend([line, "\n"]));
    };
    let mut output = String::new();
    for path in ["/", "/closes", "/malformed", "/truncated"] {
        for name in ["token", "api_key", "client_secret", "password", "sig", "session", "code", "%74oken"] {
            ask(request("GET", &format!("{path}?a=b&{name}={CANARY}&c=d"), &secret), &mut output);
        }
        ask(request("POST", path, &[&secret[..], &["Content-Length: 5"]].concat()), &mut output);
        ask(request("GET", path, &[&secret[..], &["Content-Length: x"]].concat()), &mut output);
        ask(request("GET", path, &[&secret[..], &["Upgrade: websocket", "Connection: upgrade"]].concat()), &mut output);
        ask(request("GET", path, &[&secret[..], &["Expect: x"]].concat()), &mut output);
        ask(request("GET", path, &[&secret[..], &["Connection: Authorization"]].concat()), &mut output);
        ask(request("GET", path, &[&secret[..], &["Cache-Control: only-if-cached", "Vary: x"]].concat()), &mut output);
    }
    ask(request("GET", &format!("http://user:{CANARY}@larder.test/"), &secret), &mut output);
    ask(request("CONNECT", &format!("user:{CANARY}@larder.test:443"), &secret), &mut output);
    spawned.get("/the-last-one");
    spawned.await_line("/the-last-one");
    output.push_str(&spawned.log().join("\n"));
    output
}

#[test]
fn f16_no_credential_is_in_the_log_or_in_an_answer_of_larders_own() {
    for flags in [&[][..], &["-v"], &["-vv"]] {
        let output = all_output(flags);
        let found = output.lines().find(|line| line.contains(CANARY));
        assert_eq!(found, None, "{flags:?}");
        assert!(output.contains("?a=b&token=***&c=d"), "{output}");
    }
}

#[test]
fn f16_a_password_in_the_origin_is_refused_without_being_shown() {
    let folder = tempfile::tempdir().unwrap();
    let origin = format!("http://user:{CANARY}@a.example/");
    let words = ["--origin", &origin, "--cache-dir", folder.path().to_str().unwrap()];
    let output = output(&mut larder(&words));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!stderr.contains(CANARY) && stderr.contains("--origin"), "{stderr}");
}
