//! `larder stats`: answers are counted, and the hit ratio comes first.

use std::{collections::BTreeMap, io::Read, path::Path};

use serde_json::Value;

use super::support::{
    Client, Gate, Origin, Spawned, Step,
    proxy::{larder, output},
    request, respond, stats as numbers, terminal, until,
};

/// The lines of `larder stats` on this folder in a pipe.
fn lines(cache: &Path) -> Vec<String> {
    let said = output(&mut larder(&["stats", "--cache-dir", cache.to_str().unwrap()]));
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    String::from_utf8(said.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The number of answers of each kind that occurred.
fn kinds(numbers: &Value) -> BTreeMap<String, u64> {
    let answers = numbers["answers"].as_object().unwrap().iter();
    let counted = answers.map(|(kind, answers)| (kind.clone(), answers["requests"].as_u64().unwrap()));
    counted.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn answers_are_counted_by_kind_and_reason_with_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/private" => respond(200, &["Cache-Control: private"], "yours"),
        "/validated" if request.field("If-None-Match").is_some() => respond(304, &["ETag: \"v\""], ""),
        "/validated" => respond(200, &["Cache-Control: max-age=0", "ETag: \"v\""], "hello"),
        // stale from the beginning
        "/stale" => respond(200, &["Cache-Control: max-age=1, stale-if-error=600", "Age: 5"], "hello"),
        _ => respond(200, &["Cache-Control: max-age=600"], "hello"),
    });
    // no log reads the outcomes
    let larder = Spawned::start(&origin.url(), &cache, &["-q"]);
    let mut expected = BTreeMap::new();
    let mut count = |kind: &str| *expected.entry(kind.to_owned()).or_insert(0) += 1;
    let mut client = larder.client();
    until("hits", || {
        let answer = client.get("/fresh");
        count(if answer.x_cache() == "HIT" { "fresh" } else { "miss" });
        answer.x_cache() == "HIT"
    });
    for target in ["/validated", "/stale"] {
        client.get(target);
        count("miss");
    }
    until("a validated answer", || {
        let validated = client.get("/validated").x_cache() == "HIT";
        count(if validated { "validated" } else { "miss" });
        validated
    });
    for _ in 0..2 {
        client.get("/private");
        count("not_cached");
    }
    client.ask("POST", "/form", &[]);
    count("not_cached");
    drop(origin);
    until("a stale answer", || {
        let stale = client.get("/stale").status == 200;
        count(if stale { "stale" } else { "error" });
        stale
    });
    assert_eq!(client.get("/nothing").status, 502);
    count("error");
    assert_eq!(client.ask("GET", "nonsense", &[]).status, 400);
    count("refused");
    assert_eq!(larder.client().send("no request\r\n\r\n").response("GET").status, 400);
    count("refused");

    until("all to be counted", || kinds(&numbers(&cache)) == expected);
    let numbers = numbers(&cache);
    let answers = &numbers["answers"];
    assert_eq!(answers["not_cached"]["reasons"], serde_json::json!({ "private": 2, "unsafe_method": 1 }));
    assert_eq!(answers["not_cached"]["bytes"], 15);
    assert_eq!(answers["fresh"]["bytes"].as_u64(), Some(5 * expected["fresh"]));
    assert_eq!(answers["miss"]["reasons"]["not_stored"].as_u64(), Some(expected["miss"]));
    assert_eq!(answers["error"]["reasons"]["connection_refused"].as_u64(), Some(expected["error"]));
    let hits = expected["fresh"] + expected["validated"] + expected["stale"];
    let all = hits + expected["miss"] + expected["not_cached"];
    let ratio = numbers["hit_ratio"].as_f64().unwrap();
    assert!((ratio - hits as f64 / all as f64).abs() < 1e-3, "{numbers}");
    assert_eq!(numbers["saved"]["bytes"].as_u64(), Some(5 * hits));
    assert_eq!(numbers["hit_time"]["count"], answers["fresh"]["requests"]);
    assert!(numbers["origin_time"]["median_ms"].as_f64().is_some() && numbers["running_seconds"].is_u64(), "{numbers}");

    let lines = lines(&cache);
    let at = |name: &str| lines.iter().position(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(lines[0].contains(&format!("http://{} -> http://127.0.0.1:", larder.address)), "{lines:#?}");
    assert_eq!(at("Hit ratio: "), 1, "{lines:#?}");
    assert!(lines[1].starts_with(&format!("Hit ratio: {:.1} % of {all} requests, ", ratio * 100.0)), "{lines:#?}");
    assert_eq!(lines[at("Not cached: ")], "Not cached: 3 (private 2, unsafe method 1)");
    assert_eq!(lines[at("Errors: ")], format!("Errors: {0} (origin refused the connection {0})", expected["error"]));
    let hits = format!("Hits: {hits} (fresh {}, validated 1, stale 1)", expected["fresh"]);
    assert_eq!(lines[at("Hits: ")], hits);
    assert!(lines.iter().all(|line| line.is_ascii() && !line.contains('\x1b')), "{lines:#?}");
}

#[test]
fn a_client_that_left_and_a_request_under_way_are_no_part_of_the_hit_ratio() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |_| {
        [vec![Step::Wait(held.clone())], respond(200, &["Cache-Control: no-store"], "late")].concat()
    });
    let larder = Spawned::start(&origin.url(), &cache, &["-q"]);
    let (mut leaves, mut stays) = (larder.client(), larder.client());
    leaves.send(request("GET", "/a", &[]));
    stays.send(request("GET", "/b", &[]));
    until("both to be asked", || origin.request_count() == 2);
    assert_eq!(numbers(&cache)["under_way"], 2);
    leaves.reset();
    until("it to be counted", || kinds(&numbers(&cache)) == BTreeMap::from([("left".to_owned(), 1)]));
    assert_eq!(numbers(&cache)["hit_ratio"], Value::Null);
    assert!(lines(&cache).contains(&"Hit ratio: nothing to count yet".to_owned()), "{:?}", lines(&cache));
    gate.open();
    assert_eq!(stays.response("GET").text(), "late");
    until("it to be counted", || numbers(&cache)["hit_ratio"] == 0.0);
    assert_eq!(numbers(&cache)["under_way"], 0);
}

#[test]
fn on_a_terminal_the_numbers_stand_in_columns_and_in_colours() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    let larder = Spawned::start(&origin.url(), &cache, &["-q"]);
    until("a hit", || larder.get("/a").x_cache() == "HIT");
    let shown = |variables: &[(&str, &str)]| {
        let (mut shows, stdout) = terminal::open();
        let mut command = larder_stats(&cache);
        assert!(command.envs(variables.iter().copied()).stdout(stdout).status().unwrap().success());
        // whoever holds the other side of the terminal keeps it from ending
        drop(command);
        let mut text = Vec::new();
        let _ = shows.read_to_end(&mut text);
        String::from_utf8(text).unwrap().replace('\r', "")
    };
    let plain = shown(&[("NO_COLOR", "1")]);
    for line in ["\n  Hit ratio    ", "\n  Hits         1   fresh 1\n", "\n  Disk         ", "\n  Memory       "] {
        assert!(plain.contains(line), "{plain}");
    }
    assert!(!plain.contains('\x1b') && plain.lines().all(|line| line.chars().count() <= 120), "{plain}");
    assert!(shown(&[]).contains("\n  Hits         \x1b[32m1\x1b[0m   fresh 1\n"), "{}", shown(&[]));
}

fn larder_stats(cache: &Path) -> std::process::Command {
    larder(&["stats", "--cache-dir", cache.to_str().unwrap()])
}

#[test]
fn a_running_larder_counts_requests_and_what_it_refused_and_one_that_does_not_run_only_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    let spawned = Spawned::start(&origin.url(), &cache, &["--max-connections-per-address", "8"]);
    let mut client = spawned.client();
    until("a hit", || client.get("/").x_cache() == "HIT");
    let mut kept: Vec<Client> = (0..7).map(|_| spawned.client()).collect();
    kept.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
    assert_eq!(spawned.client().send("GET / HTTP/1.1\r\n").response("GET").status, 429);
    drop((client, kept));
    for _ in 0..3 {
        until("a place", || spawned.client().send("nonsense\r\n\r\n").response("GET").status == 400);
    }
    let (lines_, json) = (lines(&cache), numbers(&cache));
    assert_eq!((&json["state"], &json["responses"], &json["refused"]), (&"open".into(), &1.into(), &3.into()));
    assert!(json["requests"].as_u64().unwrap() >= 2 && json["turned_away"].as_u64().unwrap() >= 1, "{json}");
    assert!(json["connections"].as_u64().unwrap() >= 5 && json["lookups"]["memory"].is_u64(), "{json}");
    assert_eq!(json["panics"], 0);
    let refused = lines_.iter().find(|line| line.starts_with("Refused: ")).unwrap();
    assert!(refused.contains(" (not valid HTTP 3, over a connection limit "), "{lines_:?}");
    assert_eq!(spawned.stop().code(), Some(0));

    let (lines, json) = (lines(&cache), numbers(&cache));
    let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, ["bytes", "disk_used", "responses", "set_aside", "state"]);
    assert_eq!((&json["state"], &json["responses"]), (&"not running".into(), &1.into()));
    assert_eq!(lines[0], format!("{}   not running", cache.display()));
    assert!(
        lines.len() == 2 && lines[1].starts_with("Disk: 1 stored response, ") && lines[1].ends_with('B'),
        "{lines:?}"
    );
}

#[test]
fn empty_caches_of_other_origins_are_counted_and_shown_when_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| {
        let said = output(larder(words).env("HOME", home.path()));
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).unwrap()
    };
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    for (url, used) in
        [(origin.url(), true), ("http://a.example".to_owned(), false), ("http://b.example".to_owned(), false)]
    {
        let mut command = larder(&["--origin", &url, "--port", "0"]);
        let spawned = Spawned::from(command.env("HOME", home.path()));
        if used {
            until("a hit", || spawned.get("/").x_cache() == "HIT");
        }
        assert_eq!(spawned.stop().code(), Some(0));
    }
    let shown = run(&["stats"]);
    assert!(shown.ends_with("\n2 empty caches of other origins are not shown (--all)\n"), "{shown}");
    assert_eq!(shown.matches("not running").count(), 1, "{shown}");
    let all = run(&["stats", "--all"]);
    assert!(all.matches("not running").count() == 3 && !all.contains("--all"), "{all}");
    let json: Value = serde_json::from_str(&run(&["stats", "--json"])).unwrap();
    assert_eq!(json.as_object().unwrap().len(), 3);
    let one = run(&["stats", "--origin", "http://a.example"]);
    assert!(one.contains("0 stored responses, ") && !one.contains("--all"), "{one}");
}

#[test]
fn who_sends_late_content_is_refused_and_who_reads_nothing_has_not_left() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let body = vec![b'x'; 8 << 20];
    let origin = Origin::answering(move |_| respond(200, &["Cache-Control: no-store"], &body));
    let larder = Spawned::start(&origin.url(), &cache, &["-q", "--body-timeout", "1s", "--write-timeout", "1s"]);
    let answer = larder.client().send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nlate").response("POST");
    assert_eq!(answer.status, 408);
    let expected = BTreeMap::from([("refused".to_owned(), 1)]);
    until("it to be counted", || kinds(&numbers(&cache)) == expected);
    assert_eq!(numbers(&cache)["answers"]["refused"]["bytes"].as_u64(), Some(answer.body.len() as u64));
    let mut reads_nothing = Client::connect_as_from_afar(larder.address);
    reads_nothing.send(request("GET", "/", &[]));
    let expected = BTreeMap::from([("not_cached".to_owned(), 1), ("refused".to_owned(), 1)]);
    until("it to be counted", || kinds(&numbers(&cache)) == expected);
}

/// Asks for a page that is not stored yet, and waits until that is counted.
fn count_one_miss(larder_: &Spawned, cache: &Path) {
    assert_eq!(larder_.get("/a").status, 200);
    until("it to be counted", || kinds(&numbers(cache)).get("miss") == Some(&1));
}

#[test]
fn the_counters_of_the_last_hour_begin_at_the_start_if_larder_has_run_for_less() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    let start = || Spawned::start(&origin.url(), &cache, &["-q"]);
    let larder_ = start();
    count_one_miss(&larder_, &cache);
    assert_eq!(larder_.stop().code(), Some(0));
    let larder_ = start();
    until("a hit", || larder_.get("/a").x_cache() == "HIT");
    until("it to be counted", || kinds(&numbers(&cache)).contains_key("fresh"));
    let since = |words: &[&str]| {
        let said = output(larder_stats(&cache).args(["--since", "1h"]).args(words));
        assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
        String::from_utf8(said.stdout).unwrap()
    };
    let now: Value = serde_json::from_str(&since(&["--json"])).unwrap();
    let now = &now[cache.to_str().unwrap()];
    let all = numbers(&cache);
    assert_eq!((kinds(now)["fresh"], kinds(now).get("miss")), (kinds(&all)["fresh"], None), "{now}");
    assert_eq!((&now["hit_ratio"], &now["window"]["asked_seconds"]), (&1.0.into(), &3600.into()), "{now}");
    assert!(now["window"]["seconds"].as_u64() < Some(3600) && all["window"] == Value::Null, "{now}");
    let head = since(&[]).lines().next().unwrap().to_owned();
    assert!(head.contains(", counters since ") && head.ends_with(" (its start)"), "{head}");
    let problem = "expected 1m to 1d, for example 15m";
    for time in ["30s", "2d", "1"] {
        let said = output(larder_stats(&cache).args(["--since", time]));
        let expected = format!("error: invalid --since \"{time}\": {problem}\n");
        assert_eq!((said.status.code(), String::from_utf8(said.stderr).unwrap()), (Some(2), expected));
    }
}

#[test]
fn counters_go_on_over_a_restart_and_a_watch_shows_them_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    let start = || Spawned::start(&origin.url(), &cache, &["-q"]);
    let larder_ = start();
    count_one_miss(&larder_, &cache);
    assert_eq!(numbers(&cache)["counted_since"], Value::Null);
    assert_eq!(larder_.stop().code(), Some(0));
    let larder_ = start();
    until("a hit", || larder_.get("/a").x_cache() == "HIT");
    until("it to be counted", || kinds(&numbers(&cache)).get("fresh") == Some(&1));
    let now = numbers(&cache);
    assert_eq!((kinds(&now)["miss"] >= 1, now["origin_time"]["count"].as_u64() >= Some(1)), (true, true), "{now}");
    assert!(now["counted_since"].as_i64().unwrap() > 1_700_000_000_000, "{now}");
    assert!(lines(&cache)[0].contains(", counters since "), "{:?}", lines(&cache));
    let mut command = larder(&["stats", "--watch", "--json", "--cache-dir", cache.to_str().unwrap()]);
    let mut watch = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut read = std::io::BufReader::new(watch.stdout.take().unwrap());
    for _ in 0..2 {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut read, &mut line).unwrap();
        let numbers: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(numbers[cache.to_str().unwrap()]["state"], "open");
    }
    // nobody reads it any more: it ends by itself
    drop(read);
    assert!(watch.wait().unwrap().success());
    // a file that is damaged counts as none
    assert_eq!(larder_.stop().code(), Some(0));
    std::fs::write(cache.join("counters"), "{\"answers\": 7").unwrap();
    let larder_ = start();
    assert_eq!((&numbers(&cache)["counted_since"], larder_.get("/a").status), (&Value::Null, 200));
}
