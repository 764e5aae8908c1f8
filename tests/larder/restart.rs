//! What is on the disk: it survives a restart as it was, it is gone when it is cleared, and secrets never get there.

use std::path::Path;

use crate::support::{
    Origin, Proxy, RecordedRequest, Spawned, Step,
    proxy::{larder, output},
    respond, until,
};

const FRESH: &str = "Cache-Control: max-age=600";

/// Bytes that depend on the seed and differ wherever one looks.
fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8 ^ (n >> 12) as u8 ^ seed as u8).collect()
}

/// As many bytes as the path says.
fn sized(request: &RecordedRequest) -> Vec<Step> {
    let length = request.target[1..].parse().unwrap();
    respond(200, &[FRESH, "X-A: 1", "X-A: 2", "ETag: \"v\""], pattern(length, length))
}

/// Asks, and asks again until the answer is stored: its last byte reaches the client before it is.
fn store(proxy: &Proxy, target: &str, fields: &[&str]) {
    until("it to be stored", || proxy.client().ask("GET", target, fields).x_cache() == "HIT");
}

/// Every byte of every file below this folder.
fn bytes_below(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => all.extend(bytes_below(&entry.path())),
            kind if kind.is_file() => all.extend(std::fs::read(entry.path()).unwrap()),
            _ => {}
        }
    }
    all
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[test]
fn stored_responses_of_every_size_survive_a_restart_byte_for_byte() {
    let origin = Origin::answering(sized);
    let mut proxy = Proxy::start(&origin, &[]);
    let sizes = [0, 1, 1000, 16 << 10, (16 << 10) + 1, 100_000, 300_000, 5 << 20];
    for size in sizes {
        store(&proxy, &format!("/{size}"), &[]);
    }
    proxy.advance(100);
    for _ in 0..2 {
        proxy.restart();
        for size in sizes {
            let hit = proxy.get(&format!("/{size}"));
            assert_eq!((hit.status, hit.x_cache(), hit.field("Age")), (200, "HIT", Some("100")), "{size}");
            assert!(hit.body == pattern(size, size), "{size}");
            assert_eq!((hit.values("X-A"), hit.field("ETag")), (vec!["1", "2"], Some("\"v\"")));
        }
    }
    assert_eq!(origin.request_count(), sizes.len());
}

#[test]
fn a_range_of_a_large_body_comes_from_the_disk_after_a_restart() {
    let origin = Origin::answering(sized);
    let mut proxy = Proxy::start(&origin, &[]);
    let length = 5 << 20;
    store(&proxy, &format!("/{length}"), &[]);
    proxy.restart();
    let whole = pattern(length, length);
    for (first, last) in [(0, 0), (4_000_000, 4_100_000), (length - 1, length - 1), (65_535, 65_536)] {
        let range = format!("Range: bytes={first}-{last}");
        let part = proxy.client().ask("GET", &format!("/{length}"), &[&range]);
        assert_eq!((part.status, part.x_cache()), (206, "HIT"), "{range}");
        assert!(part.body == whole[first..=last], "{range}");
    }
}

#[test]
fn a_stored_part_is_completed_after_a_restart() {
    let origin = Origin::answering(|request| match request.field("Range") {
        Some("bytes=0-3") => respond(206, &[FRESH, "ETag: \"v\"", "Content-Range: bytes 0-3/8"], "0123"),
        Some("bytes=4-") => respond(206, &[FRESH, "ETag: \"v\"", "Content-Range: bytes 4-7/8"], "4567"),
        _ => respond(200, &[FRESH, "ETag: \"v\""], "01234567"),
    });
    let mut proxy = Proxy::start(&origin, &[]);
    store(&proxy, "/", &["Range: bytes=0-3"]);
    proxy.restart();
    assert_eq!(proxy.get("/").text(), "01234567");
    assert_eq!(origin.requests()[1].field("Range"), Some("bytes=4-"));
    store(&proxy, "/", &[]);
    proxy.restart();
    assert_eq!((proxy.get("/").x_cache(), proxy.get("/").text().as_str()), ("HIT", "01234567"));
}

#[test]
fn variants_survive_a_restart_and_stay_apart() {
    let origin =
        Origin::answering(|request| respond(200, &[FRESH, "Vary: X-Tone"], request.field("X-Tone").unwrap_or("-")));
    let mut proxy = Proxy::start(&origin, &[]);
    let ask = |proxy: &Proxy, tone: &str| proxy.client().ask("GET", "/", &[&format!("X-Tone: {tone}")]);
    for tone in ["a", "b", "c"] {
        store(&proxy, "/", &[&format!("X-Tone: {tone}")]);
    }
    proxy.restart();
    for tone in ["a", "b", "c"] {
        let hit = ask(&proxy, tone);
        assert_eq!((hit.x_cache(), hit.text().as_str()), ("HIT", tone));
    }
    assert_eq!(ask(&proxy, "d").x_cache(), "MISS");
}

#[test]
fn variants_by_credentials_survive_a_restart_and_the_credentials_are_nowhere_on_the_disk() {
    let origin = Origin::answering(|request| {
        let fields = ["Cache-Control: public, max-age=600", "Vary: Cookie, Authorization, X-Api-Key"];
        respond(200, &fields, request.field("X-Number").unwrap_or("-"))
    });
    let mut proxy = Proxy::start(&origin, &[]);
    let lines = |number: usize| {
        let credentials = ["Cookie: h1dd3n", "Authorization: Bearer h1dd3n", "X-Api-Key: h1dd3n"];
        let mut lines: Vec<String> = credentials.iter().map(|line| format!("{line}{number}")).collect();
        lines.push(format!("X-Number: {number}"));
        lines
    };
    let ask = |proxy: &Proxy, number: usize| {
        let lines = lines(number);
        proxy.client().ask("GET", "/", &lines.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for number in 0..3 {
        until("it to be stored", || ask(&proxy, number).x_cache() == "HIT");
    }
    proxy.restart();
    for number in 0..3 {
        let hit = ask(&proxy, number);
        assert_eq!((hit.x_cache(), hit.text()), ("HIT", number.to_string()));
    }
    assert_eq!(ask(&proxy, 3).x_cache(), "MISS");
    proxy.stop();
    let bytes = bytes_below(&proxy.folder());
    assert!(holds(&bytes, "x-api-key"), "the names are there in plain, so the search finds what it should");
    assert!(!holds(&bytes, "h1dd3n"));
}

#[test]
fn variants_of_one_url_are_bounded_and_the_latest_stay() {
    let origin =
        Origin::answering(|request| respond(200, &[FRESH, "Vary: X-Tone"], request.field("X-Tone").unwrap_or("-")));
    let proxy = Proxy::start(&origin, &[]);
    let ask = |tone: usize| proxy.client().ask("GET", "/", &[&format!("X-Tone: {tone}")]).x_cache().to_owned();
    for tone in 0..100 {
        assert_eq!(ask(tone), "MISS");
    }
    assert!((68..100).all(|tone| ask(tone) == "HIT"));
    assert_eq!(ask(0), "MISS");
}

#[test]
fn what_validation_taught_survives_a_restart() {
    let origin = Origin::answering(|request| match request.field("If-None-Match") {
        Some(_) => respond(304, &["Cache-Control: max-age=600", "ETag: \"v\"", "X-New: 1"], ""),
        None => respond(200, &["Cache-Control: max-age=10", "ETag: \"v\""], "body"),
    });
    let mut proxy = Proxy::start(&origin, &[]);
    store(&proxy, "/", &[]);
    proxy.advance(20);
    assert_eq!(proxy.get("/").detail(), "validated");
    proxy.restart();
    let hit = proxy.get("/");
    assert_eq!((hit.x_cache(), hit.detail(), hit.field("X-New")), ("HIT", "fresh", Some("1")));
    assert_eq!((hit.text().as_str(), origin.request_count()), ("body", 2));
}

#[test]
fn what_was_invalidated_does_not_come_back_with_a_restart() {
    let origin = Origin::answering(|request| match request.method.as_str() {
        "GET" => respond(200, &[FRESH], request.index.to_string()),
        _ => respond(204, &[], ""),
    });
    let mut proxy = Proxy::start(&origin, &[]);
    store(&proxy, "/", &[]);
    proxy.client().ask("DELETE", "/", &[]);
    proxy.restart();
    assert_eq!((proxy.get("/").x_cache(), proxy.get("/").text().as_str()), ("MISS", "2"));
}

#[test]
fn what_may_not_be_stored_is_nowhere_on_the_disk() {
    let secret = "c4n4ry-c4n4ry";
    let origin = Origin::answering(move |request| {
        let fields: &[&str] = match request.target.as_str() {
            "/no-store" => &["Cache-Control: no-store"],
            "/private" => &["Cache-Control: private, max-age=600"],
            "/user" => &[FRESH],
            _ => {
                let cookie = format!("Set-Cookie: {secret}");
                return respond(200, &["Cache-Control: public, max-age=600", &cookie], "st0red-st0red");
            }
        };
        respond(200, fields, secret)
    });
    let mut proxy = Proxy::start(&origin, &[]);
    let authorization = format!("Authorization: Bearer {secret}");
    let cookie = format!("Cookie: {secret}");
    for target in ["/no-store", "/private", "/user", "/page"] {
        proxy.client().ask("GET", target, &[&authorization, &cookie]);
    }
    store(&proxy, "/page", &[]);
    let head = format!("POST /post HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{secret}", secret.len());
    proxy.client().send(head).response("POST");
    proxy.stop();
    let bytes = bytes_below(&proxy.folder());
    assert!(holds(&bytes, "st0red-st0red"), "what may be stored is there in plain, so the search finds what it should");
    assert!(!holds(&bytes, secret));
}

/// Runs the program to its end: exit code and stderr.
fn run(words: &[&str]) -> (Option<i32>, String) {
    let output = output(&mut larder(words));
    (output.status.code(), String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_program_hits_after_a_restart_and_misses_after_a_clearing_on_line_and_off_line() {
    let origin = Origin::answering(|request| respond(200, &[FRESH], request.index.to_string()));
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let clear = || run(&["--clear-cache", "--cache-dir", cache.to_str().unwrap()]);
    let start = || Spawned::start(&origin.url(), &cache, &[]);
    let answer = |larder: &Spawned| {
        let answer = larder.get("/");
        (answer.x_cache().to_owned(), answer.text())
    };
    let first = start();
    assert_eq!(answer(&first), ("MISS".into(), "0".into()));
    assert_eq!(answer(&first), ("HIT".into(), "0".into()));
    assert!(first.stop().success());
    let second = start();
    assert_eq!(answer(&second), ("HIT".into(), "0".into()));
    let (code, said) = clear();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(answer(&second), ("MISS".into(), "1".into()));
    assert_eq!(answer(&second), ("HIT".into(), "1".into()));
    assert!(second.stop().success());
    let (code, said) = clear();
    assert_eq!(code, Some(0), "{said}");
    let third = start();
    assert_eq!(answer(&third), ("MISS".into(), "2".into()));
}

#[test]
fn a_second_larder_on_the_same_folder_is_refused_in_words_and_the_first_is_unharmed() {
    let origin = Origin::answering(|request| respond(200, &[FRESH], request.index.to_string()));
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let first = Spawned::start(&origin.url(), &cache, &[]);
    first.get("/");
    let (code, said) = run(&["--origin", &origin.url(), "--port", "0", "--cache-dir", cache.to_str().unwrap()]);
    // EX_TEMPFAIL: whoever starts it again later may have it
    assert_eq!(code, Some(75), "{said}");
    let line = said.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("--cache-dir"), "{line}");
    assert_eq!(first.get("/").x_cache(), "HIT");
}
