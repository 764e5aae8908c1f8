//! `larder purge` and `larder ls`: of a running Larder, and of a folder that none runs on.

use std::{
    io::{Read, Write},
    path::Path,
    process::{Output, Stdio},
};

use serde_json::Value;

use super::support::{
    Gate, Origin, Spawned, Step,
    proxy::{larder, output},
    request, respond, terminal, until,
};

const FRESH: &str = "Cache-Control: max-age=600";

/// Exit code, stdout, stderr.
type Said = (i32, String, String);

fn said(output: Output) -> Said {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Runs a command on this folder.
fn run(cache: &Path, words: &[&str]) -> Said {
    said(output(&mut larder(&[words, &["--cache-dir", cache.to_str().unwrap()]].concat())))
}

fn ok(stdout: &str) -> Said {
    (0, stdout.to_owned(), String::new())
}

fn nothing(stderr: &str) -> Said {
    (3, String::new(), stderr.to_owned())
}

/// Everything is fresh for ten minutes, or what `/stale` says.
fn origin() -> Origin {
    Origin::answering(|request| match request.target.as_str() {
        "/stale" if request.field("If-None-Match").is_some() => respond(304, &["ETag: \"1\""], ""),
        "/stale" => respond(200, &["Cache-Control: max-age=0", "ETag: \"1\""], "old"),
        "/tagged" => respond(200, &[FRESH, "Surrogate-Key: red blue"], "hello"),
        _ => respond(200, &[FRESH], "hello"),
    })
}

struct Fixture {
    larder: Option<Spawned>,
    cache: std::path::PathBuf,
    origin: Origin,
    _folder: tempfile::TempDir,
}

impl Fixture {
    /// A Larder that has stored these.
    fn with(targets: &[&str], flags: &[&str]) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let (cache, origin) = (folder.path().join("cache"), origin());
        let larder = Spawned::start(&origin.url(), &cache, &[&["-q"], flags].concat());
        let fixture = Fixture { larder: Some(larder), cache, origin, _folder: folder };
        targets.iter().for_each(|target| fixture.store(target));
        fixture
    }

    fn larder(&self) -> &Spawned {
        self.larder.as_ref().unwrap()
    }

    fn store(&self, target: &str) {
        until("it to be stored", || self.larder().get(target).x_cache() == "HIT");
    }

    fn is_hit(&self, target: &str) -> bool {
        self.larder().get(target).x_cache() == "HIT"
    }

    fn run(&self, words: &[&str]) -> Said {
        run(&self.cache, words)
    }

    fn stop(&mut self) {
        assert_eq!(self.larder.take().unwrap().stop().code(), Some(0));
    }
}

#[test]
fn a_purged_url_is_asked_for_anew_with_all_its_variants_and_its_neighbour_is_not() {
    let fixture = Fixture::with(&["/a", "/a?x", "/b"], &[]);
    assert_eq!(fixture.run(&["purge", "/a"]), ok("removed 1 stored response, 5 B\n"));
    assert!(!fixture.is_hit("/a") && fixture.is_hit("/a?x") && fixture.is_hit("/b"));
    let whole = format!("http://{}/b", fixture.larder().address);
    fixture.store("/b");
    assert_eq!(fixture.run(&["purge", &whole, "/a?x"]).0, 0);
    assert!(!fixture.is_hit("/a?x"));
}

#[test]
fn where_nothing_is_stored_the_nearest_url_is_told_and_the_exit_code_is_3() {
    let fixture = Fixture::with(&["/note", "/products/1"], &[]);
    let (code, stdout, stderr) = fixture.run(&["purge", "/nope"]);
    assert_eq!((code, &*stdout), (3, ""));
    assert!(stderr.starts_with("nothing is stored for /nope (nearest: ") && stderr.ends_with("/note)\n"), "{stderr}");
    assert_eq!(fixture.run(&["purge", "/zzzzzz"]), nothing("nothing is stored for /zzzzzz\n"));
    assert_eq!(fixture.run(&["purge", "--prefix", "/x", "--count"]), nothing("nothing is stored below /x\n"));
    assert!(fixture.is_hit("/note"));
}

#[test]
fn a_prefix_a_tag_a_glob_and_all_are_purged_and_counted_if_that_is_asked_for() {
    let fixture = Fixture::with(&["/products/1", "/products/2", "/products", "/productsx", "/tagged", "/a.css"], &[]);
    let (code, stdout, _) = fixture.run(&["purge", "--prefix", "/products", "--dry-run"]);
    assert_eq!(code, 0);
    assert!(stdout.starts_with("would remove 3 stored responses, 15 B:\n  "), "{stdout}");
    assert!(fixture.is_hit("/products/1"));
    assert_eq!(fixture.run(&["purge", "--prefix", "/products/", "--count"]), ok("removed 2 stored responses, 10 B\n"));
    assert!(!fixture.is_hit("/products/1") && fixture.is_hit("/products"));
    assert_eq!(fixture.run(&["purge", "--prefix", "/products"]), ok("removed /products and everything below it\n"));
    assert!(!fixture.is_hit("/products") && fixture.is_hit("/productsx"));
    assert_eq!(fixture.run(&["purge", "--tag", "red", "--count"]), ok("removed 1 stored response, 5 B\n"));
    assert!(!fixture.is_hit("/tagged"));
    assert_eq!(fixture.run(&["purge", "--glob", "/*.css"]), ok("removed 1 stored response, 5 B\n"));
    assert!(!fixture.is_hit("/a.css") && fixture.is_hit("/productsx"));
    assert_eq!(fixture.run(&["purge", "--all"]), ok("removed everything\n"));
    assert!(!fixture.is_hit("/productsx"));
}

#[test]
fn a_glob_that_matches_everything_needs_a_confirmation() {
    let fixture = Fixture::with(&["/a", "/b"], &[]);
    let (code, _, stderr) = fixture.run(&["purge", "--glob", "/**"]);
    let said = "/** matches everything that is stored (2): nothing is removed; add --yes\n";
    assert!(code == 1 && stderr.ends_with(said), "{stderr}");
    assert!(fixture.is_hit("/a"));
    assert_eq!(fixture.run(&["purge", "--glob", "/**", "--yes"]), ok("removed 2 stored responses, 10 B\n"));
    assert!(!fixture.is_hit("/a"));
}

/// Runs a command on a terminal, and types an answer when it asks. Returns its exit code and what the terminal shows.
fn on_terminal(cache: &Path, words: &[&str], answer: &[u8]) -> (i32, String) {
    let (mut shows, tty) = terminal::open();
    let mut command = larder(&[words, &["--cache-dir", cache.to_str().unwrap()]].concat());
    let own = || tty.try_clone().unwrap();
    command.env("NO_COLOR", "1").stdin(own()).stdout(own()).stderr(own());
    let mut child = command.spawn().unwrap();
    // whoever holds the other side of the terminal keeps it from ending
    drop((command, tty));
    let (mut shown, mut piece) = (Vec::new(), [0; 1024]);
    let mut is_answered = false;
    while let Ok(read @ 1..) = shows.read(&mut piece) {
        shown.extend_from_slice(&piece[..read]);
        if !is_answered && shown.ends_with(b"[y/N] ") {
            shows.write_all(answer).unwrap();
            is_answered = true;
        }
    }
    (child.wait().unwrap().code().unwrap(), String::from_utf8(shown).unwrap().replace('\r', ""))
}

#[test]
fn on_a_terminal_a_glob_that_matches_everything_is_asked_about_and_yes_alone_removes_it() {
    let fixture = Fixture::with(&["/a", "/b"], &[]);
    let asked = "/** matches everything that is stored (2). Remove it? [y/N] ";
    // Ctrl-D, and Return alone, are no
    for answer in [&b"n\n"[..], b"\n", b"nonsense\n", b"\x04"] {
        let (code, shown) = on_terminal(&fixture.cache, &["purge", "--glob", "/**"], answer);
        assert!(code == 1 && shown.starts_with(asked) && shown.ends_with("nothing is removed\n"), "{code} {shown}");
        assert!(fixture.is_hit("/a") && fixture.is_hit("/b"));
    }
    let (code, shown) = on_terminal(&fixture.cache, &["purge", "--glob", "/**"], b"y\n");
    assert_eq!((code, shown), (0, format!("{asked}y\nremoved 2 stored responses, 10 B\n")));
    assert!(!fixture.is_hit("/a"));
    // nobody is asked about a part, nor where --yes is given
    ["/a", "/b"].iter().for_each(|target| fixture.store(target));
    let (code, shown) = on_terminal(&fixture.cache, &["purge", "--glob", "/a*"], b"");
    assert_eq!((code, &*shown), (0, "removed 1 stored response, 5 B\n"));
    let (code, shown) = on_terminal(&fixture.cache, &["purge", "--glob", "/**", "--yes"], b"");
    assert_eq!((code, &*shown), (0, "removed 1 stored response, 5 B\n"));
}

#[test]
fn what_is_stale_is_purged_and_what_is_fresh_stays() {
    let fixture = Fixture::with(&["/a", "/stale"], &[]);
    assert_eq!(fixture.run(&["purge", "--stale"]), ok("removed 1 stored response, 3 B\n"));
    assert_eq!(fixture.run(&["purge", "--stale"]), nothing("nothing that is stored is stale\n"));
    assert!(fixture.is_hit("/a"));
}

#[test]
fn a_soft_purge_has_the_response_validated_or_served_stale() {
    let fixture = Fixture::with(&["/a"], &["--stale-if-error", "1h"]);
    let before = fixture.origin.request_count();
    assert_eq!(fixture.run(&["purge", "/a", "--soft"]), ok("made 1 stored response stale, 5 B\n"));
    let (_, list, _) = fixture.run(&["ls"]);
    assert!(list.contains("\tstale\t200\t"), "{list}");
    assert!(!fixture.is_hit("/a") && fixture.origin.request_count() > before);
}

#[test]
fn a_url_of_another_site_is_an_error_that_names_the_sites() {
    let flags = ["--host-header", "origin", "--allow-host", "shop.example"];
    let fixture = Fixture::with(&[], &flags);
    let (code, stdout, stderr) = fixture.run(&["purge", "http://other.example/a"]);
    let sites = format!("127.0.0.1:{} -> {}\n", fixture.larder().address.port(), fixture.origin.url());
    let expected = format!("error: http://other.example/a is no URL of this Larder's sites: http://{sites}");
    assert_eq!((code, stdout, stderr), (1, String::new(), expected));
    let own = format!("{}/a", fixture.origin.url());
    assert_eq!(fixture.run(&["purge", &own]).0, 3, "the origin's own URL is known, too");
}

#[test]
fn a_purge_reaches_what_the_rules_stored_under_another_url() {
    let rule = "/ ignore-query=utm_* rewrite.from=^/old/ rewrite.to=/new/";
    let fixture = Fixture::with(&["/p?utm_source=y&a=1", "/old/x"], &["--rule", rule]);
    assert_eq!(fixture.run(&["purge", "/p?a=1&utm_source=x"]), ok("removed 1 stored response, 5 B\n"));
    assert!(!fixture.is_hit("/p?a=1"));
    assert_eq!(fixture.run(&["purge", "/old/x"]), ok("removed 1 stored response, 5 B\n"));
    assert!(!fixture.is_hit("/old/x"));
    // the origin gets what the key ignores, and the purge must not miss it
    let rule = "/ ignore-query=utm_* forward-ignored-query";
    let fixture = Fixture::with(&["/p?utm_source=y"], &["--rule", rule]);
    assert_eq!(fixture.run(&["purge", "/p"]), ok("removed 1 stored response, 5 B\n"));
    assert!(!fixture.is_hit("/p?utm_source=z"));
}

#[test]
fn where_no_larder_runs_the_folder_is_listed_and_purged() {
    let mut fixture = Fixture::with(&["/a", "/b/c", "/b/d"], &[]);
    let url = fixture.origin.url();
    fixture.stop();
    let (code, list, _) = fixture.run(&["ls", "/b"]);
    assert_eq!((code, list.lines().count()), (0, 2), "{list}");
    let (code, _, stderr) = fixture.run(&["purge", "/a"]);
    assert!(code == 1 && stderr.contains("its sites are not known; name them with --origin or --config"), "{stderr}");
    assert_eq!(fixture.run(&["purge", "/a", "--origin", &url]), ok("removed 1 stored response, 5 B\n"));
    assert_eq!(fixture.run(&["purge", "--all", "--count"]), ok("removed 2 stored responses, 10 B\n"));
    assert_eq!(fixture.run(&["ls"]), nothing("nothing is stored\n"));
    let missing = fixture.cache.join("missing");
    assert_eq!(run(&missing, &["purge", "--all"]).0, 3);
}

#[test]
fn ten_thousand_urls_come_from_standard_input() {
    let fixture = Fixture::with(&["/n/1", "/n/9999", "/other"], &[]);
    let mut command = larder(&["purge", "-", "--cache-dir", fixture.cache.to_str().unwrap()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let urls: String = (0..10_000).map(|n| format!("/n/{n}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(urls.as_bytes()).unwrap();
    drop(stdin);
    let (code, stdout, stderr) = said(child.wait_with_output().unwrap());
    assert_eq!((code, &*stdout), (0, "removed 2 stored responses, 10 B\n"), "{stderr}");
    assert!(stderr.ends_with("and for 9,988 more\n"), "{stderr}");
    assert!(!fixture.is_hit("/n/9999") && fixture.is_hit("/other"));
}

#[test]
fn what_is_stored_is_listed_for_people_and_for_programs() {
    let fixture = Fixture::with(&["/b", "/a.css", "/stale"], &[]);
    let (code, list, stderr) = fixture.run(&["ls", "--sort", "size"]);
    assert_eq!((code, &*stderr), (0, ""));
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.iter().map(|row| row[1]).collect::<Vec<_>>(), ["5", "5", "3"], "{list}");
    assert!(rows[2][6].ends_with("/stale") && rows[2][4] == "stale", "{list}");
    let (_, list, _) = fixture.run(&["ls", "/*.css", "--json"]);
    let row: Value = serde_json::from_str(&list).unwrap();
    assert_eq!((&row["status"], &row["state"], &row["size"]), (&200.into(), &"fresh".into(), &5.into()));
    assert!(row["left"].as_i64().unwrap() > 500 && row["url"].as_str().unwrap().ends_with("/a.css"), "{row}");
    assert_eq!(fixture.run(&["ls", "/none"]), nothing("nothing is stored that /none matches\n"));
    let (_, purged, _) = fixture.run(&["purge", row["url"].as_str().unwrap(), "--json"]);
    let purged: Value = serde_json::from_str(&purged).unwrap();
    assert_eq!((&purged["responses"], &purged["bytes"]), (&1.into(), &5.into()), "{purged}");
}

#[test]
fn the_list_has_how_often_each_response_has_answered_and_a_new_head_keeps_the_count() {
    let mut fixture = Fixture::with(&["/a", "/b", "/stale"], &[]);
    let hits = |fixture: &Fixture, words: &[&str]| -> Vec<(String, Value)> {
        let (_, list, stderr) = fixture.run(&[&["ls", "--json"], words].concat());
        assert_eq!(stderr, "");
        let rows = list.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.map(|mut row| (row["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned(), row["hits"].take()))
            .collect()
    };
    // the fixture has asked until there was a hit; /stale is validated each time
    let before = hits(&fixture, &["/stale"])[0].1.as_u64().unwrap();
    (0..2).for_each(|_| assert!(fixture.is_hit("/stale")));
    assert_eq!(hits(&fixture, &["/stale"]), [("stale".to_owned(), (before + 2).into())]);
    (0..9).for_each(|_| assert!(fixture.is_hit("/b")));
    let (a, b) = (("a".to_owned(), 1.into()), ("b".to_owned(), 10.into()));
    let sorted = hits(&fixture, &["--sort", "hits"]);
    assert_eq!((&sorted[0], sorted.contains(&a)), (&b, true), "{sorted:?}");
    let (_, list, _) = fixture.run(&["ls", "/b"]);
    assert!(list.starts_with("10\t5\t"), "{list}");
    fixture.stop();
    assert_eq!(hits(&fixture, &["/b"]), [("b".to_owned(), Value::Null)], "the counts end with Larder");
}

#[test]
fn what_is_wrong_with_a_purge_is_told_with_what_would_be_right() {
    let fixture = Fixture::with(&[], &[]);
    let named = "name URLs, --prefix, --tag, --glob, --stale or --all, for example larder purge /products/1";
    for (words, code, line) in [
        (&["purge"][..], 2, format!("error: missing what to purge: {named}\n")),
        (&["purge", "/a", "--all"], 2, format!("error: more than one thing to purge: {named}\n")),
        (&["purge", "a"], 1, "invalid URL \"a\": expected a path, for example /products/1, or a URL".to_owned()),
        (&["purge", "--glob", "*.css"], 2, "error: invalid --glob \"*.css\": expected \"/\" in front".to_owned()),
        (&["purge", "--prefix", "/a?b"], 2, "invalid prefix \"/a?b\": expected a path without ? and #".to_owned()),
        (&["ls", "a"], 2, "error: invalid GLOB \"a\": expected \"/\" in front, for example \"/a\"\n".to_owned()),
        (
            &["ls", "--sort", "name"],
            2,
            "error: invalid --sort \"name\": expected size, age, hits or expires\n".to_owned(),
        ),
    ] {
        let (is, stdout, stderr) = fixture.run(words);
        assert!(is == code && stdout.is_empty() && stderr.contains(&line), "{words:?}: {is} {stderr}");
    }
}

#[test]
fn what_is_being_fetched_when_it_is_purged_answers_nobody_who_asks_later() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match request.index {
        0 => [vec![Step::Wait(held.clone())], respond(200, &[FRESH], "old")].concat(),
        _ => respond(200, &[FRESH], "new"),
    });
    let larder_ = Spawned::start(&origin.url(), &cache, &["-q"]);
    let mut first = larder_.client();
    first.send(request("GET", "/a", &[]));
    until("it to be asked", || origin.request_count() == 1);
    assert_eq!(run(&cache, &["purge", "/a"]), nothing("nothing is stored for /a\n"));
    let mut second = larder_.client();
    second.send(request("GET", "/a", &[]));
    gate.open();
    assert_eq!((first.response("GET").text(), second.response("GET").text()), ("old".into(), "new".into()));
}

#[test]
fn on_a_terminal_the_list_has_a_head_and_columns_and_a_sum() {
    let fixture = Fixture::with(&["/b"], &["--host-header", "origin"]);
    let (mut shows, stdout) = terminal::open();
    let mut command = larder(&["ls", "--cache-dir", fixture.cache.to_str().unwrap()]);
    assert!(command.env("NO_COLOR", "1").stdout(stdout).status().unwrap().success());
    // whoever holds the other side of the terminal keeps it from ending
    drop(command);
    let mut text = Vec::new();
    let _ = shows.read_to_end(&mut text);
    let text = String::from_utf8(text).unwrap().replace('\r', "");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "   HITS      SIZE    AGE     LEFT  STATUS  URL");
    assert!(lines[1].starts_with("      1       5 B     ") && lines[1].ends_with("  200     /b"), "{text}");
    assert_eq!(lines[2], "1 stored response, 5 B.");
}
