//! The command line as a user meets it.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

use super::support::{
    Spawned,
    proxy::{larder, output},
};

/// Exit code, stdout, stderr.
fn run(words: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let output = output(larder(words).envs(variables.iter().copied()));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_is_not_valid_is_one_line_and_exit_code_2() {
    let origin = ["--origin", "http://a.example"];
    for (words, variables, line) in [
        (&[][..], &[][..], "error: --origin: is missing; "),
        (&["--origin", "a.example"], &[], "error: --origin: \"a.example\" does not begin with http:// or https://; "),
        (&[origin[0], origin[1], "--disk", "10"], &[], "error: --disk: \"10\" has no unit; "),
        (&origin, &[("LARDER_DISK", "10")], "error: LARDER_DISK: \"10\" has no unit; "),
        (&[], &[("LARDER_ORIGIN", "ftp://a")], "error: LARDER_ORIGIN: \"ftp\" is no scheme "),
        (
            &["--origin", "http://169.254.169.254"],
            &[],
            "error: --origin: 169.254.169.254 is a link-local address, or one where",
        ),
        (&origin, &[], "error: --cache-dir: is missing, and neither XDG_CACHE_HOME nor HOME names a place; "),
        (&["--clear-cache"], &[], "error: --cache-dir: is missing, and neither XDG_CACHE_HOME nor HOME "),
    ] {
        let (code, stdout, stderr) = run(words, variables);
        assert!(stderr.starts_with(line) && stderr.lines().count() == 1, "{words:?}: {stderr}");
        assert_eq!((code, stdout.as_str()), (2, ""));
    }
}

#[test]
fn what_cannot_be_understood_is_one_line_too_that_names_the_flag_or_the_variable() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain.pem");
    fs::write(&plain, "no certificate").unwrap();
    let plain = plain.to_str().unwrap();
    let no_switch = "is neither on nor off; write 1, true, yes or on, or 0, false, no or off";
    for (words, variables, line) in [
        (&["--orign", "http://a"][..], &[][..], "--orign: there is no such flag; did you mean --origin? larder --help lists them all".to_owned()),
        (&["--qqq"], &[], "--qqq: there is no such flag; larder --help lists them all".to_owned()),
        (&["-x"], &[], "-x: there is no such flag; larder --help lists them all".to_owned()),
        (&["stat"], &[], "stat: there is no such command; did you mean stats? larder --help lists them all".to_owned()),
        (&["http://a.example"], &[], "http://a.example: there is no such command; larder --help lists them all".to_owned()),
        (&["stats", "x"], &[], "x: there is no such command; larder --help lists them all".to_owned()),
        (&["--port"], &[], "--port: its value is missing; write --port <PORT>".to_owned()),
        (&["--origin", "--strict"], &[], "--origin: its value is missing; write --origin <URL>".to_owned()),
        (&["--port", "1", "--port", "2"], &[], "--port: it is given more than once; give it once".to_owned()),
        (&["--strict=yes"], &[], "--strict: it takes no value, but \"yes\" was given; write --strict alone, or leave it out".to_owned()),
        (&["-v\n=x"], &[], "-\\n: there is no such flag; larder --help lists them all".to_owned()),
        (&[], &[("LARDER_VERBOSE", "loud")], format!("LARDER_VERBOSE: \"loud\" {no_switch}, or how often")),
        (&[], &[("LARDER_QUIET", "-1")], format!("LARDER_QUIET: \"-1\" {no_switch}, or how often")),
        (&[], &[("LARDER_STRICT", "maybe")], format!("LARDER_STRICT: \"maybe\" {no_switch}")),
        (&[], &[("LARDER_IGNORE_COOKIES", "\n")], format!("LARDER_IGNORE_COOKIES: \"\\n\" {no_switch}")),
        (&["stats"], &[("LARDER_CLEAR_CACHE", "2")], format!("LARDER_CLEAR_CACHE: \"2\" {no_switch}")),
        (
            &["--origin", "http://a"],
            &[("LARDER_CACHE_DIR", "")],
            "LARDER_CACHE_DIR: \"\" is no folder (it is empty); write a path like /var/cache/larder".to_owned(),
        ),
        (&["--clear-cache", "stats"], &[], "--clear-cache: it does not go together with stats; run one, then the other".to_owned()),
        (
            &["stats"],
            &[("LARDER_CLEAR_CACHE", "1")],
            "LARDER_CLEAR_CACHE: it does not go together with stats; run one, then the other".to_owned(),
        ),
        (
            &["--origin", "http://a", "--cache-dir", "/x", "--origin-ca", plain],
            &[],
            format!("--origin-ca: {plain} holds no certificate; name a file of PEM certificates"),
        ),
        (
            &["--origin", "https://a", "--cache-dir", "/x"],
            &[("LARDER_ORIGIN_CA", "/x/y")],
            "LARDER_ORIGIN_CA: cannot read /x/y: No such file or directory (os error 2); name a file of PEM certificates".to_owned(),
        ),
    ] {
        let (code, stdout, stderr) = run(words, variables);
        assert_eq!(stderr, format!("error: {line}\n"), "{words:?}");
        assert_eq!((code, stdout.as_str()), (2, ""));
    }
}

#[test]
fn bytes_that_are_no_text_are_named_by_their_variable_or_flag() {
    let wrong = OsStr::from_bytes(b"http://\xff");
    let variable = output(larder(&[]).env("LARDER_ORIGIN", wrong));
    let flag = output(larder(&["--origin"]).arg(wrong));
    for (output, name) in [(variable, "LARDER_ORIGIN"), (flag, "http://\\xFF")] {
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr, format!("error: {name}: it is not UTF-8; write it in plain text\n"));
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn help_and_version_are_answers_and_no_errors() {
    let (code, stdout, stderr) = run(&["--help"], &[]);
    assert!(stdout.starts_with("Examples:") && stderr.is_empty(), "{stdout}{stderr}");
    assert_eq!(code, 0);
    assert_eq!(run(&["--version"], &[]), (0, format!("larder {}\n", env!("CARGO_PKG_VERSION")), String::new()));
}

#[test]
fn a_taken_port_is_one_line_that_names_the_flag_and_exit_code_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().to_str().unwrap();
    let words = ["--origin", "http://127.0.0.1:9", "--cache-dir", cache];
    let taken = format!("{port} is taken on 127.0.0.1; stop what listens there or name another port");
    let (code, _, stderr) = run(&[&words[..], &["--port", &port]].concat(), &[]);
    assert_eq!((code, stderr), (1, format!("error: --port: {taken}\n")));
    let (code, _, stderr) = run(&words, &[("LARDER_PORT", &port)]);
    assert_eq!((code, stderr), (1, format!("error: LARDER_PORT: {taken}\n")));
    // 192.0.2.1 is nobody's (RFC 5737)
    let (code, _, stderr) = run(&[&words[..], &["--host", "192.0.2.1", "--port", "0"]].concat(), &[]);
    let foreign =
        "error: --host: 192.0.2.1 is no address of this machine; write one of its own, like 127.0.0.1 or 0.0.0.0\n";
    assert_eq!((code, stderr.as_str()), (1, foreign));
}

#[test]
fn a_switch_in_the_environment_takes_the_usual_words() {
    let folder = tempfile::tempdir().unwrap();
    for (word, on) in [
        ("1", true),
        ("true", true),
        ("Yes", true),
        ("on", true),
        ("0", false),
        ("FALSE", false),
        ("off", false),
        ("", false),
    ] {
        let mut command = larder(&["--origin", "http://127.0.0.1:9", "--port", "0"]);
        command.env("LARDER_STRICT", word).env("LARDER_CACHE_DIR", folder.path().join(format!("c{word}")));
        let line = Spawned::from(&mut command).await_line("listening on http://");
        assert_eq!(line.ends_with(" strict=yes"), on, "LARDER_STRICT={word:?}: {line}");
    }
}

#[test]
fn clearing_and_counting_where_there_is_no_cache_says_so_and_is_no_error() {
    let home = tempfile::tempdir().unwrap();
    let variables = [("HOME", home.path().to_str().unwrap())];
    for words in [&["--clear-cache"][..], &["--clear-cache", "--origin", "http://a"], &["stats"]] {
        let (code, stdout, stderr) = run(words, &variables);
        assert!(stderr.starts_with("there is no cache at ") && stderr.lines().count() == 1, "{words:?}: {stderr}");
        assert_eq!((code, stdout.as_str()), (0, ""));
    }
    assert!(!home.path().join(".cache").exists(), "asking must not create anything");
}

#[test]
fn a_file_in_place_of_a_folder_is_named_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    for words in [["stats", "--cache-dir", path], ["--clear-cache", "--cache-dir", path]] {
        let (code, stdout, stderr) = run(&words, &[]);
        assert_eq!(stderr, format!("error: {path} is not a folder; name another one with --cache-dir\n"));
        assert_eq!((code, stdout.as_str()), (1, ""));
    }
}

#[test]
fn a_folder_that_is_no_cache_is_not_touched_by_clearing() {
    let folder = tempfile::tempdir().unwrap();
    let photo = folder.path().join("live/photo");
    std::fs::create_dir(photo.parent().unwrap()).unwrap();
    std::fs::write(&photo, "mine").unwrap();
    let path = folder.path().to_str().unwrap();
    for words in [&["--clear-cache", "--cache-dir", path][..], &["stats", "--cache-dir", path]] {
        let output = output(&mut larder(words));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr), (Some(0), format!("there is no cache at {path}\n")), "{words:?}");
    }
    let refused = output(&mut larder(&["--origin", "http://127.0.0.1:9", "--cache-dir", path]));
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("is not a cache folder"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(photo.exists());
}
