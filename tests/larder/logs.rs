//! The log of the real program: one line for each request, that no stranger can forge and that holds no secret.

use std::{
    fs::{self, File},
    path::PathBuf,
};

use crate::support::{
    CANARY, Gate, Origin, Spawned, Step,
    proxy::{larder, stats},
    request, respond, until,
};

pub struct Run {
    pub larder: Spawned,
    folder: tempfile::TempDir,
}

impl Run {
    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }
}

pub fn run(origin: &Origin, flags: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let larder = Spawned::start(&origin.url(), &folder.path().join("cache"), flags);
    Run { larder, folder }
}

/// The words behind the time and the level.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().skip(2).collect()
}

#[test]
fn each_request_is_one_line_with_word_status_target_time_size_and_reason() {
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/gone" => respond(404, &["Cache-Control: no-store"], "gone"),
        "/silent" => respond(200, &[], "hello"),
        _ => respond(200, &["Cache-Control: max-age=600"], "hello"),
    });
    let run = run(&origin, &[]);
    for (method, target, begins, ends) in [
        ("GET", "/a?b=c", "MISS 200 GET /a?b=c ", "ms 5 B stored for 10m"),
        ("GET", "/a?b=c", "HIT 200 GET /a?b=c ", "m left"),
        ("HEAD", "/a?b=c", "HIT 200 HEAD /a?b=c ", "m left"),
        ("GET", "/gone", "MISS 404 GET /gone ", "ms 4 B not stored: Cache-Control: no-store"),
        ("POST", "/form", "MISS 200 POST /form ", "ms 5 B POST is not cached"),
        ("GET", "/silent", "MISS 200 GET /silent ", "ms 5 B stored for 1h (--default-ttl)"),
        ("GET", "/silent", "HIT 200 GET /silent ", " left (--default-ttl)"),
        ("GET", "nonsense", "---- 400 GET nonsense ", "B the request target is invalid"),
    ] {
        run.larder.client().ask(method, target, &[]);
        let line = run.larder.await_line(begins);
        assert!(line.contains(" INFO ") && line.ends_with(ends), "{line}");
        let at = words(&line).iter().position(|word| *word == "ms").unwrap();
        assert!(words(&line)[at - 1].parse::<f64>().is_ok(), "{line}");
    }
    let lines = run.larder.log();
    assert_eq!(lines.iter().filter(|line| line.contains(" /a?b=c ")).count(), 3, "{lines:#?}");
}

/// Runs Larder with flags and a RUST_LOG, asks for each target, ends it at once, and returns the lines for requests.
fn lines_for(targets: &[String], flags: &[&str], filter: Option<&str>) -> Vec<String> {
    let origin = Origin::answering(|_| respond(200, &["Cache-Control: max-age=19800"], "hello"));
    let folder = tempfile::tempdir().unwrap();
    let (cache, log) = (folder.path().join("cache"), folder.path().join("log"));
    let url = origin.url();
    let words = ["--origin", &url, "--port", "0", "--cache-dir", cache.to_str().unwrap(), "--disk", "256MiB"];
    let mut command = larder(&[&words, flags].concat());
    command.stderr(File::create(&log).unwrap()).envs(filter.map(|filter| ("RUST_LOG", filter)));
    let mut spawned = Spawned::at(([0; 4], 0).into(), &mut command);
    let mut listening = None;
    until("it to listen", || {
        listening = stats(&cache)["listening"].as_str().map(|url| url.trim_start_matches("http://").parse().unwrap());
        listening.is_some()
    });
    spawned.address = listening.unwrap();
    let mut client = spawned.client();
    for target in targets {
        assert_eq!(client.get(target).status, 200);
    }
    drop(client);
    assert_eq!(spawned.stop().code(), Some(0));
    let log = fs::read_to_string(log).unwrap();
    log.lines().filter(|line| line.contains(" GET /")).map(str::to_owned).collect()
}

#[test]
fn every_line_is_written_before_the_program_ends_and_in_its_order() {
    let targets: Vec<String> = (0..1000).map(|n| format!("/{}?n", n % 10 * 100 + n / 10)).collect();
    let lines = lines_for(&targets, &[], None);
    assert_eq!(lines.len(), targets.len());
    for (line, target) in lines.iter().zip(&targets) {
        assert!(line.contains(&format!(" GET {target} ")), "{target}: {line}");
    }
}

#[test]
fn rust_log_and_the_flags_decide_on_the_lines_for_requests() {
    let targets = ["/a", "/a", "/b"].map(str::to_owned);
    let cases: [(&[&str], Option<&str>, &[&str]); 10] = [
        (&[], None, &["MISS", "HIT", "MISS"]),
        (&[], Some("info"), &["MISS", "HIT", "MISS"]),
        (&[], Some("warn"), &[]),
        (&[], Some("warn,larder::access=info"), &["MISS", "HIT", "MISS"]),
        (&[], Some("info,larder::access=warn"), &[]),
        (&[], Some("info,larder=warn"), &[]),
        (&[], Some("info/HIT"), &["HIT"]),
        (&[], Some("info/stored for"), &["MISS", "MISS"]),
        (&["-q"], Some("info"), &[]),
        (&["-v"], Some("warn/nothing says this"), &["MISS", "HIT", "MISS"]),
    ];
    for (flags, filter, shown) in cases {
        let lines = lines_for(&targets, flags, filter);
        let shows: Vec<&str> = lines.iter().map(|line| words(line)[0]).collect();
        assert_eq!(shows, shown, "{flags:?} {filter:?}");
    }
}

#[test]
fn a_line_has_the_same_bytes_when_its_words_decide_whether_it_is_logged() {
    let long = "y".repeat(3000);
    let targets = ["/a?b=c&token=d", "/%fc%20", &format!("/{long}"), "/a?b=c&token=d"].map(str::to_owned);
    let (lines, others) = (lines_for(&targets, &[], Some("info")), lines_for(&targets, &[], Some("info/ms")));
    // what is measured differs
    let shape = |line: &String| {
        let shape: String = line.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        let (before, after) = shape.split_once(" ms ").unwrap();
        [before.trim_end_matches(['0', '.']), after].join("")
    };
    assert_eq!(lines.iter().map(shape).collect::<Vec<_>>(), others.iter().map(shape).collect::<Vec<_>>());
    assert_eq!(shape(&lines[0]), "0000-00-00T00:00:00.000Z INFO  MISS 000 GET /a?b=c&token=*** 0 B stored for 0h");
    assert!(lines[2].contains(&format!(" /{}... ", &long[1..1024])) && lines.len() == 4, "{}", lines[2]);
}

#[test]
fn what_is_refused_before_it_is_a_request_makes_a_line_only_for_those_who_want_to_know_more() {
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    for (flags, lines) in [(&["-v"][..], 1), (&[], 0)] {
        let run = run(&origin, flags);
        let mut client = run.larder.client();
        client.send("GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
        assert_eq!(client.response("GET").status, 400);
        run.larder.get("/behind");
        run.larder.await_line(" GET /behind ");
        let log = run.larder.log();
        let refused: Vec<_> = log.iter().filter(|line| line.contains("---- 400 GET /a ")).collect();
        assert_eq!(refused.len(), lines, "{log:#?}");
        assert!(refused.iter().all(|line| line.contains(" DEBUG ") && line.contains("[client 127.0.0.1, HTTP/1.1]")));
    }
}

#[test]
fn a_line_with_more_words_names_the_site_and_the_bytes_that_came_in() {
    let origin = Origin::always(respond(200, &["Cache-Control: no-store"], "hello"));
    let run = run(&origin, &["-v"]);
    let mut client = run.larder.client();
    client.send("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345");
    assert_eq!(client.response("POST").status, 200);
    let chunks = "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    client.send(format!("PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"));
    assert_eq!(client.response("PUT").status, 200);
    client.send("GET /g HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response("GET").status, 200);
    for (line, received) in [("POST /p ", " 5 B came in,"), ("PUT /c ", " 7 B came in,"), ("GET /g ", "")] {
        let line = run.larder.await_line(line);
        let expected = format!(" [client 127.0.0.1, HTTP/1.1, site {},{received} from the origin", origin.url());
        assert!(line.contains(&expected), "{line}");
    }
}

#[test]
fn a_broken_off_response_is_called_that() {
    let origin = Origin::always(vec![
        Step::Send(b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 10\r\n\r\nhalf".to_vec()),
        Step::Close,
    ]);
    let run = run(&origin, &[]);
    run.larder.get("/half");
    let line = run.larder.await_line("MISS 200 GET /half ");
    assert!(line.ends_with("4 B not stored: Cache-Control: no-store (broken off)"), "{line}");
}

#[test]
fn what_a_stale_answer_stood_in_for_is_in_its_line_and_so_is_what_failed() {
    // stale from the beginning
    let stale = ["Cache-Control: max-age=1, stale-if-error=600", "Age: 5"];
    let origin = Origin::answering(move |request| match request.index {
        0 | 1 => respond(200, &stale, "hello"),
        _ => respond(503, &[], "sorry"),
    });
    let run = run(&origin, &[]);
    for target in ["/a", "/b"] {
        run.larder.get(target);
        run.larder.await_line(&format!("MISS 200 GET {target} "));
    }
    run.larder.get("/a");
    let line = run.larder.await_line("STALE 200 GET /a ");
    assert!(line.ends_with("s over; the origin answered 503"), "{line}");
    let port = origin.url().rsplit(':').next().unwrap().to_owned();
    drop(origin);
    let refused = format!("the origin refused the connection (127.0.0.1:{port})");
    until("the origin to be asked again", || {
        run.larder.get("/b");
        run.larder.log().iter().any(|line| line.contains("STALE 200 GET /b ") && line.contains(&refused))
    });
    run.larder.get("/x");
    let line = run.larder.await_line("---- 502 GET /x ");
    assert!(line.contains(&refused), "{line}");
}

#[test]
fn on_a_terminal_the_log_has_columns_colours_and_the_local_time() {
    let origin = Origin::answering(|_| respond(200, &["Cache-Control: max-age=600"], "hello"));
    let folder = tempfile::tempdir().unwrap();
    for (variables, hit) in [
        (&[("TZ", "TST-13")][..], "  \x1b[32mHIT  \x1b[0m 200   "),
        (&[("TZ", "TST-13"), ("NO_COLOR", "1")], "  HIT   200   "),
        (&[("TZ", "TST-13"), ("TERM", "dumb")], "  HIT   200   "),
    ] {
        let larder = Spawned::on_terminal(&origin.url(), &folder.path().join("cache"), variables);
        larder.await_line(&format!("  try     curl -i http://{}/ ", larder.address));
        let hour = || (larder::clock::Clock::system().wall().0 / 3_600_000 + 13) % 24;
        let before = hour();
        until("a hit", || larder.get("/max").x_cache() == "HIT");
        let line = larder.await_line(hit);
        assert!(line.ends_with("m left") && line.contains(" B   GET /max              "), "{line:?}");
        larder.signal(rustix::process::Signal::TERM);
        let last = larder.await_line("  INFO  stopped");
        assert!(last.as_bytes()[2] == b':' && last.len() == "22:24:48  INFO  stopped".len(), "{last:?}");
        let shown: i64 = line[..2].parse().unwrap_or_else(|_| panic!("{line:?}"));
        assert!(line[2..].starts_with(':') && (shown == before || shown == hour()), "{line:?}");
    }
}

#[test]
fn a_client_that_left_before_its_answer_is_logged_as_left_and_without_a_status() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |_| {
        [vec![Step::Wait(held.clone())], respond(200, &["Cache-Control: no-store"], "late")].concat()
    });
    let run = run(&origin, &[]);
    let mut client = run.larder.client();
    client.send(request("GET", "/slow", &[]));
    until("the origin to be asked", || origin.request_count() == 1);
    client.reset();
    let line = run.larder.await_line(" GET /slow ");
    gate.open();
    assert!(line.contains(" ---- left GET /slow "), "{line}");
    assert!(line.ends_with(" ms 0 B the client left before it got an answer"), "{line}");
    assert!(!line.contains("200") && !line.contains("refused"), "{line}");
}

#[test]
fn a_client_that_leaves_while_it_sends_its_content_is_logged_as_left() {
    let origin = Origin::always(respond(200, &[], "fine"));
    let run = run(&origin, &[]);
    let unfinished = [
        ("known", "Content-Length: 100\r\n\r\nhello"),
        ("chunked", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ];
    for (name, rest) in unfinished {
        for reset in [true, false] {
            let target = format!("/{name}-{reset}");
            let mut client = run.larder.client();
            client.send(format!("POST {target} HTTP/1.1\r\nHost: h\r\n{rest}"));
            match reset {
                true => client.reset(),
                false => drop(client),
            }
            let line = run.larder.await_line(&format!(" POST {target} "));
            assert!(line.contains(&format!(" ---- left POST {target} ")), "{line}");
        }
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_answer_is_told_from_an_origin_that_breaks_off() {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |_| {
        let half = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 10\r\n\r\nhello";
        vec![Step::Send(half.into()), Step::Wait(held.clone()), Step::Send("world".into())]
    });
    let run = run(&origin, &[]);
    let mut client = run.larder.client();
    client.send(request("GET", "/half", &[])).head();
    assert_eq!(client.bytes(5), b"hello");
    client.reset();
    let line = run.larder.await_line(" GET /half ");
    gate.open();
    assert!(
        line.contains(" MISS 200 GET /half ") && line.ends_with(" 5 B not stored: Cache-Control: no-store (left)"),
        "{line}"
    );
}

#[test]
fn nobody_can_write_a_line_of_the_log_or_move_the_cursor() {
    let origin =
        Origin::always(vec![Step::Send(b"HTTP/1.1 200 OK\r\nX\x1b[31m: \x07evil\r\n\r\n".to_vec()), Step::Close]);
    let run = run(&origin, &["-vv"]);
    for target in ["/%1b[2J%0d%0aforged", "/\u{202e}gpj.exe", "/\u{9b}31m", "/\u{fc}"] {
        run.larder.client().send(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")).response("GET");
    }
    for bytes in [
        "GET /\x1b[2J HTTP/1.1\r\nHost: h\r\n\r\n",
        "\x1b[31mGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \x1b]0;evil\x07\r\n\r\n",
    ] {
        run.larder.client().send(bytes).response("GET");
    }
    let long = format!("/long{}", "a".repeat(7000));
    run.larder.get(&long);
    let line = run.larder.await_line("/longaaa");
    assert!(line.contains("aaa...") && !line.contains(&long), "{} bytes", line.len());
    run.larder.get("/last");
    run.larder.await_line("/last");
    for line in run.larder.log() {
        assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{line:?}");
        assert!(!line.starts_with("forged"), "{line:?}");
    }
}

#[test]
fn secrets_of_either_side_are_never_in_the_log() {
    let secret = CANARY;
    let origin = Origin::answering(move |request| match request.target.as_str() {
        "/cut" => vec![
            Step::Send(format!("HTTP/1.1 200 OK\r\nSet-Cookie: {secret}\r\nContent-Length: 9\r\n\r\nx").into_bytes()),
            Step::Close,
        ],
        "/bad" => vec![
            Step::Send(
                format!("HTTP/1.1 200 OK\r\nSet-Cookie: {secret}\r\nContent-Length: x\r\n\r\n{secret}").into_bytes(),
            ),
            Step::Close,
        ],
        _ => respond(
            200,
            &[
                "Cache-Control: public, max-age=1, stale-if-error=60",
                &format!("Set-Cookie: s={secret}"),
                &format!("X-Api-Key: {secret}"),
            ],
            secret,
        ),
    });
    for flags in [&[][..], &["-vv"]] {
        let run = run(&origin, flags);
        let fields = [
            format!("Authorization: Bearer {secret}"),
            format!("Cookie: session={secret}"),
            format!("Proxy-Authorization: Basic {secret}"),
            format!("X-Api-Key: {secret}"),
        ];
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        for target in ["/", "/", "/cut", "/bad"] {
            for method in ["GET", "HEAD", "POST"] {
                run.larder.client().ask(method, target, &fields);
            }
        }
        let content = format!("Content-Length: {}\r\n\r\n{secret}", secret.len());
        run.larder.client().send(format!("POST / HTTP/1.1\r\nHost: h\r\n{content}")).response("POST");
        // refused ones as well
        run.larder.client().ask("GET", "nonsense", &fields);
        run.larder.client().ask("GET", "/", &[&["Connection: Cookie"], &fields[..]].concat());
        run.larder.client().send(format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: \x01{secret}\r\n\r\n")).response("GET");
        run.larder.get("/last");
        run.larder.await_line("/last");
        for line in run.larder.log() {
            assert!(!line.contains(secret), "{flags:?}: {line}");
        }
    }
}

#[test]
fn an_origin_that_fails_is_named_in_the_log_and_requests_are_silent_when_asked_to_be() {
    let origin = Origin::always(vec![Step::Close]);
    let quiet = run(&origin, &["-q"]);
    quiet.larder.get("/quiet");
    let line = quiet.larder.await_line("the origin closed the connection without an answer");
    assert!(line.contains(" WARN ") && line.contains(&origin.url()), "{line}");
    quiet.larder.get("/quiet");
    assert!(quiet.larder.log().iter().all(|line| !line.contains("/quiet")), "{:#?}", quiet.larder.log());
}

#[test]
fn a_failing_origin_does_not_fill_the_log() {
    let origin = Origin::answering(|request| {
        let control = if request.target.starts_with("/relayed") { "no-store" } else { "max-age=600" };
        let half = format!("HTTP/1.1 200 OK\r\nCache-Control: {control}\r\nContent-Length: 10\r\n\r\nhalf");
        match request.target.starts_with("/gone") {
            true => vec![Step::Close],
            false => vec![Step::Send(half.into_bytes()), Step::Close],
        }
    });
    let quiet = run(&origin, &["-q"]);
    let began = larder::clock::instant();
    for n in 0..100 {
        for target in ["gone", "relayed", "stored"] {
            quiet.larder.get(&format!("/{target}{n}"));
        }
    }
    quiet.larder.await_line("not stored: ");
    let seconds = began.elapsed().as_secs() as usize + 1;
    for words in ["closed the connection without an answer", "a response was broken off: ", "not stored: "] {
        let lines = quiet.larder.log().iter().filter(|line| line.contains(words)).count();
        assert!((1..=seconds).contains(&lines), "{lines} in {seconds} s: {words}");
    }
}

#[test]
fn libraries_say_what_they_do_only_where_rust_log_asks_them_to() {
    // of sled, mio, actix and rustls
    const CHATTER: [&str; 5] =
        ["starting pagecache", "registering event source", "starting service", "start flags", "cached session"];
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    for (flags, filter, chats, requests) in [
        (&["-vv"][..], "", false, true),
        (&[], "", false, true),
        (&[], "info", false, true),
        (&[], "larder=debug", false, true),
        (&[], "sled=trace", true, true),
        (&[], "warn,sled=trace", true, false),
        (&[], "warn", false, false),
        (&["-v"], "sled=trace", false, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let mut command = larder(&["--origin", &origin.url(), "--port", "0", "--cache-dir", cache.to_str().unwrap()]);
        let spawned = Spawned::from(command.args(flags).env("RUST_LOG", filter));
        until("a hit", || spawned.get("/a").x_cache() == "HIT");
        // what is logged is written behind
        let log = spawned.stop_and_read();
        let found = |words: &str| log.iter().any(|line| line.contains(words));
        assert_eq!(CHATTER.iter().any(|words| found(words)), chats, "{flags:?} RUST_LOG={filter}: {log:#?}");
        assert_eq!(found(" HIT 200 GET /a "), requests, "{flags:?} RUST_LOG={filter}: {log:#?}");
    }
}
