//! `larder check`: what is wrong with the settings, and with `--connect` whether each origin can be reached, and what its first
//! answer would be in the cache.

use std::{fs, net::TcpListener, path::Path};

use crate::support::{
    Origin, TlsEnd, TlsOrigin,
    proxy::{free_port, larder, output},
    respond,
};

/// Exit code, stdout, stderr of `larder check` on a file of this text.
fn check(text: &str, words: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("larder.toml");
    fs::write(&path, text).unwrap();
    let words = [&["check", path.to_str().unwrap()], words].concat();
    let output = output(&mut larder(&words));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Replaces each time that something took, and the free room: `0.3 ms`, `1.2 s`, `7.5 GiB of the disk are free`.
fn without_figures(text: &str) -> String {
    let figures = [(r"[0-9]+(\.[0-9])? m?s\n", "TIME\n"), (r"[0-9.]+ [A-Za-z]+ of the disk", "ROOM of the disk")];
    figures.into_iter().fold(text.to_owned(), |text, (figure, instead)| {
        regex::Regex::new(figure).unwrap().replace_all(&text, instead).into_owned()
    })
}

/// The line about a cache folder that is not there yet.
fn to_be_made(folder: &Path) -> String {
    format!("cache {}, to be made: ROOM of the disk are free, 10 GiB may be used\n", folder.display())
}

#[test]
fn every_origin_is_connected_to_once_and_told_with_what_was_seen_and_how_long_it_took() {
    let plain = Origin::answering(|request| match &*request.target {
        "/base/" => respond(403, &["Cache-Control: private"], "b"),
        _ => respond(200, &[], "a"),
    });
    let secure = TlsOrigin::start(|_| {
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: max-age=60\r\n\r\n".to_owned(), TlsEnd::Open)
    });
    let (first, second, ca) = (plain.url(), secure.url(), secure.ca().display());
    let site = |path: &str, origin: &str| format!("[[site]]\npath = '{path}'\norigin = '{origin}'\n");
    let sites = [site("/a", &first), site("/b", &second), site("/c", &format!("{first}/base"))].concat();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("below/cache");
    let text = format!("cache-dir = '{}'\norigin-ca = '{ca}'\n{sites}", cache.display());
    let (code, stdout, stderr) = check(&text, &["--connect"]);
    let expected = format!(
        "ok: 3 sites, 0 rules, 3 origins\n{}{first}: connected to {}, TIME\n  /a/  200  would be stored for 1h (--default-ttl)\n  \
         /c/  403  would not be stored: Cache-Control: private\n{second}: connected to {}, TLS 1.3, TIME\n  /b/  200  would be \
         stored for 1m\n",
        to_be_made(&cache),
        plain.address,
        secure.address
    );
    assert_eq!((code, without_figures(&stdout), stderr), (0, expected, String::new()));
    assert_eq!(plain.request_count(), 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made");
    // without the word nothing is opened
    let connections = plain.connection_count();
    assert_eq!(check(&text, &[]).1, "ok: 3 sites, 0 rules, 3 origins\n");
    assert_eq!(plain.connection_count(), connections);
}

#[test]
fn an_origin_that_cannot_be_reached_is_told_with_the_reason_and_the_others_are_tried_all_the_same() {
    let (plain, refused) = (Origin::always(respond(200, &[], "a")), free_port());
    let strange = TlsOrigin::start(|_| (String::new(), TlsEnd::Open));
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let text = format!(
        "cache-dir = '{}'\n[[site]]\npath = '/a'\norigin = 'http://127.0.0.1:{refused}'\n[[site]]\npath = '/b'\n\
         origin = '{}'\n[[site]]\norigin = '{}'\n",
        cache.display(),
        strange.url(),
        plain.url(),
    );
    let (code, stdout, stderr) = check(&text, &["--connect"]);
    let made = to_be_made(&cache);
    let reached = format!(
        "ok: 3 sites, 0 rules, 3 origins\n{made}{}: connected to {}, TIME\n  /  200  would be stored for 1h (--default-ttl)\n",
        plain.url(),
        plain.address
    );
    assert_eq!((code, without_figures(&stdout)), (1, reached));
    let stderr = without_figures(&stderr);
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(
        lines[0],
        format!("error: http://127.0.0.1:{refused}: the origin refused the connection (127.0.0.1:{refused}), TIME")
    );
    assert!(
        lines[1].starts_with(&format!("error: {}: the origin's certificate is not trusted (", strange.url())),
        "{stderr}"
    );
    assert_eq!(lines.len(), 2, "{stderr}");
}

#[test]
fn the_first_answer_of_an_origin_is_judged_by_the_rules_of_its_site_and_asked_for_by_its_host() {
    let origin = Origin::answering(|request| match request.field("Host") {
        Some("www.shop.test") => respond(200, &[], "a"),
        _ => respond(404, &[], ""),
    });
    let url = origin.url();
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "cache-dir = '{}'\n[[site]]\nhosts = ['*.shop.test']\norigin = '{url}'\nttl = '5m'\n[[site]]\nhosts = ['b.test']\n\
         origin = '{url}'\nno-store = true\n",
        folder.path().join("cache").display()
    );
    let (code, stdout, stderr) = check(&text, &["--connect"]);
    let lines: Vec<&str> = stdout.lines().skip(3).collect();
    let expected = [
        "  *.shop.test/  200  would be stored for 5m (site 1 of larder.toml: ttl = \"5m\")",
        "  b.test/  404  would not be stored: site 2 of larder.toml: no-store = true",
    ];
    assert_eq!((code, &*stderr, lines.as_slice()), (0, "", &expected[..]));
    // who accepts a connection and answers nothing is reached, and has no answer
    let silent = Origin::always(Vec::new());
    let text = format!(
        "cache-dir = '{}'\nfirst-byte-timeout = '100ms'\norigin = '{}'\n",
        folder.path().join("cache").display(),
        silent.url()
    );
    let (code, stdout, stderr) = check(&text, &["--connect"]);
    assert_eq!((code, stdout.lines().count()), (1, 3), "{stdout}");
    assert!(stderr.starts_with(&format!("error: / of {}: the origin ", silent.url())), "{stderr}");
}

#[test]
fn an_origin_that_never_shakes_hands_is_given_up_after_the_connect_timeout() {
    let (silent, folder) = (TcpListener::bind("127.0.0.1:0").unwrap(), tempfile::tempdir().unwrap());
    let (address, cache) = (silent.local_addr().unwrap(), folder.path().join("cache"));
    let text = format!("cache-dir = '{}'\nconnect-timeout = '100ms'\norigin = 'https://{address}'\n", cache.display());
    let (code, _, stderr) = check(&text, &["--connect"]);
    let expected = format!("error: https://{address}: the origin took too long to accept a connection, TIME\n");
    assert_eq!((code, without_figures(&stderr)), (1, expected));
}

#[test]
fn an_origin_that_is_larder_itself_is_told() {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let cache = folder.path().join("cache");
    let text = format!("cache-dir = '{}'\nport = {port}\norigin = 'http://127.0.0.1:{port}'\n", cache.display());
    let (code, _, stderr) = check(&text, &["--connect"]);
    let expected = format!(
        "error: http://127.0.0.1:{port} is the address that Larder itself listens on; name the site's own, or choose \
         another --port\n"
    );
    assert_eq!((code, stderr), (1, expected));
}

#[test]
fn a_cache_folder_that_cannot_be_used_is_told() {
    let (plain, file) = (Origin::always(respond(200, &[], "a")), tempfile::NamedTempFile::new().unwrap());
    let (path, url) = (file.path().display(), plain.url());
    let (code, stdout, stderr) = check(&format!("cache-dir = '{path}/cache'\norigin = '{url}'\n"), &["--connect"]);
    assert_eq!((code, stderr), (1, format!("error: {path} is not a folder; name another one with --cache-dir\n")));
    assert_eq!(stdout.lines().count(), 3, "{stdout}");
}

#[test]
fn flags_stand_before_or_behind_a_command_that_takes_them_all() {
    let flags = ["--disk", "50G", "--strict", "--rule=/a bypass", "-v"];
    let text = "origin = 'http://a.example'\ncache-dir = '/x'\n";
    assert_eq!(check(text, &flags), (0, "ok: 1 site, 1 rule, 1 origin\n".to_owned(), String::new()));
    let run = |words: &[&str]| {
        let output = output(&mut larder(words));
        (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let before = run(&["http://a.example", "--cache-dir", "/x", "--disk", "1G", "config", "show"]);
    for words in [
        &["config", "show", "--origin", "http://a.example", "--cache-dir", "/x", "--disk", "1G"][..],
        &["config", "--disk", "1G", "show", "--cache-dir=/x", "--origin", "http://a.example"],
        &["--disk", "2G", "config", "show", "--origin", "http://a.example", "--cache-dir=/x", "--disk", "1G"],
    ] {
        assert_eq!(run(words), before, "{words:?}");
    }
    for (words, told) in [
        (&["check", "--dsk", "1G"][..], "error: unknown flag --dsk: did you mean --disk? (larder --help lists all)\n"),
        (&["check", "--disk"], "error: missing value of --disk: write --disk SIZE\n"),
        (
            &["http://a", "check", "--cache-dir", "/x", "--port", "-1"],
            "error: invalid --port \"-1\": expected 0 to 65535\n",
        ),
        (&["stats", "--disk", "1G"], "error: unknown flag --disk: larder stats --help lists all\n"),
    ] {
        assert_eq!(run(words), (2, told.to_owned()), "{words:?}");
    }
}
