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
        (
            &["--strict"][..],
            &[][..],
            "error: missing --origin: the site to cache, for example --origin http://example.com",
        ),
        (
            &["--origin", "a.example"],
            &[],
            "error: invalid --origin \"a.example\": missing scheme; write http://a.example or https://a.example",
        ),
        (
            &["a.example"],
            &[],
            "error: invalid --origin \"a.example\": missing scheme; write http://a.example or https://a.example",
        ),
        (&["localhost"], &[], "error: invalid --origin \"localhost\": missing scheme; write http://localhost or "),
        (
            &["http://unix:/run/app.sock"],
            &[],
            "error: invalid --origin \"http://unix:/run/app.sock\": Unix sockets are not supported; ",
        ),
        (
            &[origin[0], origin[1], "--cache-dir", "/x", "--disk", "10"],
            &[],
            "error: invalid --disk \"10\": missing unit ",
        ),
        (
            &origin,
            &[("LARDER_CACHE_DIR", "/x"), ("LARDER_DISK", "10")],
            "error: invalid LARDER_DISK \"10\": missing unit ",
        ),
        (&[], &[("LARDER_ORIGIN", "ftp://a")], "error: invalid LARDER_ORIGIN \"ftp://a\": unknown scheme "),
        (&["x://a"], &[("LARDER_ORIGIN", "http://a")], "error: invalid --origin \"x://a\": unknown scheme "),
        (
            &["--origin", "http://169.254.169.254"],
            &[],
            "error: invalid --origin \"http://169.254.169.254\": link-local and cloud metadata addresses ",
        ),
        (&origin, &[], "error: missing --cache-dir: neither XDG_CACHE_HOME nor HOME is set; "),
        (&["--clear-cache"], &[], "error: missing --cache-dir: neither XDG_CACHE_HOME nor HOME "),
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
    let no_switch = "expected yes or no (or 1, true, on, 0, false, off)";
    let no_number = "expected a number, for example 2, or yes or no";
    let one_origin =
        "several values of --origin: one Larder has one origin; start one Larder for each, with its own --port";
    let negative = |flag: &str, value: &str, expected: &str| format!("invalid {flag} \"{value}\": expected {expected}");
    let seconds = "a time such as 30s, 1h30m, 2d or 1w";
    let to_purge = "name URLs, --prefix, --tag, --glob, --stale or --all, for example larder purge /products/1";
    let meant = |typed: &str, meant: &str| format!("unknown {typed}: did you mean {meant}? (larder --help lists all)");
    for (words, variables, line) in [
        (&["--orign", "http://a"][..], &[][..], meant("flag --orign", "--origin")),
        (&["--ttl", "1m"], &[], meant("flag --ttl", "--default-ttl TIME")),
        (&["--ttl"], &[], meant("flag --ttl", "--default-ttl TIME")),
        (&["--listen=:80"], &[], meant("flag --listen", "--host ADDRESS and --port N")),
        (&["-p", "80"], &[], meant("flag -p", "--port N")),
        (&["--upstream", "http://a"], &[], meant("flag --upstream", "--origin URL")),
        (&["--target", "http://a"], &[], meant("flag --target", "--origin URL")),
        (&["clear"], &[], meant("command \"clear\"", "--clear-cache")),
        (&["purge", "--cache-dir", "/x"], &[], format!("missing what to purge: {to_purge}")),
        (&["purge", "/a", "--all", "--cache-dir", "/x"], &[], format!("more than one thing to purge: {to_purge}")),
        (&["purge", "--prefix", "a", "--cache-dir", "/x"], &[], "invalid prefix \"a\": expected a path that begins with /, for example /products/".to_owned()),
        (&["ls", "*.css", "--cache-dir", "/x"], &[], "invalid GLOB \"*.css\": expected \"/\" in front, for example \"/**/*.css\"".to_owned()),
        (&["completions", "sh"], &[], "invalid SHELL \"sh\": expected bash, elvish, fish, powershell or zsh".to_owned()),
        (&["ls", "--sort", "name"], &[], "invalid --sort \"name\": expected size, age, hits or expires".to_owned()),
        (&["list"], &[], meant("command \"list\"", "ls")),
        (&["stat"], &[], meant("command \"stat\"", "stats")),
        (&["clear-cache"], &[], meant("command \"clear-cache\"", "--clear-cache")),
        (&["stats", "clear-cache"], &[], meant("command \"clear-cache\"", "--clear-cache")),
        (&["port", "80"], &[], meant("command \"port\"", "--port N")),
        (&["version"], &[], meant("command \"version\"", "--version")),
        (&["qqq", "http://a"], &[], "unknown command \"qqq\": larder --help lists all; an origin is a URL, like http://example.com".to_owned()),
        (&["stats", "http://a"], &[], "unexpected \"http://a\" after stats: write larder stats alone, or name the site that Larder caches: larder stats --origin URL".to_owned()),
        (&["config", "show", "http://a"], &[], "unexpected \"http://a\" after config show: write larder config show alone, or name the site that Larder caches: larder config show --origin URL".to_owned()),
        (&["http://a", "stats", "http://b"], &[], "unexpected \"http://b\" after stats: write larder stats alone, or name the site that Larder caches: larder stats --origin URL".to_owned()),
        (&["stats", "stats"], &[], "stats is written twice: write larder stats".to_owned()),
        (&["--qqq"], &[], "unknown flag --qqq: larder --help lists all".to_owned()),
        (&["-x"], &[], "unknown flag -x: larder --help lists all".to_owned()),
        (&["stats", "xyz"], &[], "unknown command \"xyz\": larder --help lists all; an origin is a URL, like http://example.com".to_owned()),
        (&["http://a", "http://b"], &[], one_origin.to_owned()),
        (&["--origin", "http://a", "--origin", "http://b"], &[], one_origin.to_owned()),
        (&["run", "http://a", "http://b"], &[], one_origin.to_owned()),
        (&["http://a", "run", "--origin", "http://b"], &[], one_origin.to_owned()),
        (&["run", "shop"], &[], "invalid URL \"shop\": expected the site to cache, for example larder run http://example.com".to_owned()),
        (&["run", "stats"], &[], "invalid URL \"stats\": expected the site to cache, for example larder run http://example.com".to_owned()),
        (&["run", "a.example"], &[], "invalid --origin \"a.example\": missing scheme; write http://a.example or https://a.example".to_owned()),
        (&["run"], &[], "missing --origin: the site to cache, for example --origin http://example.com".to_owned()),
        (&["run", "--prot", "1"], &[], meant("flag --prot", "--port")),
        (&["serve"], &[], meant("command \"serve\"", "run")),
        (&["--clear-cache", "run"], &[], "--clear-cache: cannot be combined with run; run one, then the other".to_owned()),
        (&["explain"], &[], "missing URL: write larder explain URL (larder explain --help says more)".to_owned()),
        (&["warm", "-q"], &[], "missing URL: write larder warm URL (larder warm --help says more)".to_owned()),
        (&["completions"], &[], "missing SHELL: write larder completions SHELL: bash, elvish, fish, powershell or zsh".to_owned()),
        (&["completions", "tcsh"], &[], "invalid SHELL \"tcsh\": expected bash, elvish, fish, powershell or zsh".to_owned()),
        (&["config"], &[], "missing command after config: write larder config show".to_owned()),
        (&["check", "http://a", "--connect"], &[], "unexpected \"http://a\" after check: write larder check alone, or name the site that Larder caches: larder check --origin URL".to_owned()),
        (&["top"], &[], meant("command \"top\"", "stats --watch, or tail")),
        (&["status"], &[], meant("command \"status\"", "stats")),
        (&["refresh", "/a"], &[], meant("command \"refresh\"", "purge, and then warm")),
        (&["rm", "/a"], &[], meant("command \"rm\"", "purge")),
        (&["--port"], &[], "missing value of --port: write --port N".to_owned()),
        (&["--origin", "--strict"], &[], "missing value of --origin: write --origin URL".to_owned()),
        (&["stats", "--port", "1"], &[], "unknown flag --port: larder stats --help lists all".to_owned()),
        (&["http://a", "--cache-dir", "/x", "--port", "-1"], &[], negative("--port", "-1", "0 to 65535")),
        (&["http://a", "--cache-dir", "/x", "--workers", "-2"], &[], negative("--workers", "-2", "1 to 1024")),
        (&["http://a", "--cache-dir", "/x", "--default-ttl", "-1s"], &[], negative("--default-ttl", "-1s", seconds)),
        (&["http://a", "--cache-dir", "/x", "--stale-if-error", "-1s"], &[], negative("--stale-if-error", "-1s", seconds)),
        (&["http://a", "--cache-dir", "/x", "--disk", "-1G"], &[], negative("--disk", "-1G", "a size such as 512K, 1.5G or 10GiB")),
        (&["--origin", "-1"], &[], "invalid --origin \"-1\": missing scheme; write http://-1 or https://-1".to_owned()),
        (&["-v", "-1"], &[], "unknown flag -1: larder --help lists all".to_owned()),
        (&["--strict", "yes"], &[], "invalid --strict \"yes\": expected no value; write --strict alone, or leave it out".to_owned()),
        (&["--client-reload", "yes", "http://a"], &[], "invalid --client-reload \"yes\": expected no value; write --client-reload alone, or leave it out".to_owned()),
        (&["stats", "--json", "yes"], &[], "invalid --json \"yes\": expected no value; write --json alone, or leave it out".to_owned()),
        (&["http://a", "--strict", "1"], &[], "invalid --strict \"1\": expected no value; write --strict alone, or leave it out".to_owned()),
        (&["--strict=yes"], &[], "invalid --strict \"yes\": expected no value; write --strict alone, or leave it out".to_owned()),
        (&["-v\n=x"], &[], "unknown flag -\\n: larder --help lists all".to_owned()),
        (&[], &[("LARDER_VERBOSE", "loud")], format!("invalid LARDER_VERBOSE \"loud\": {no_number}")),
        (&[], &[("LARDER_QUIET", "-1")], format!("invalid LARDER_QUIET \"-1\": {no_number}")),
        (&[], &[("LARDER_STRICT", "maybe")], format!("invalid LARDER_STRICT \"maybe\": {no_switch}")),
        (&[], &[("LARDER_IGNORE_COOKIES", "\n")], format!("invalid LARDER_IGNORE_COOKIES \"\\n\": {no_switch}")),
        (
            &["--origin", "http://a"],
            &[("LARDER_CACHE_DIR", "")],
            "invalid LARDER_CACHE_DIR \"\": expected a folder, for example /var/cache/larder".to_owned(),
        ),
        (&["--clear-cache", "stats"], &[], "--clear-cache: cannot be combined with stats; run one, then the other".to_owned()),
        (
            &["--origin", "http://a", "--cache-dir", "/x", "--origin-ca", plain],
            &[],
            format!("invalid --origin-ca \"{plain}\": no certificate in it; expected a file of PEM certificates"),
        ),
        (
            &["--origin", "https://a", "--cache-dir", "/x"],
            &[("LARDER_ORIGIN_CA", "/x/y")],
            "invalid LARDER_ORIGIN_CA \"/x/y\": cannot be read: No such file or directory (os error 2); expected a file of PEM certificates".to_owned(),
        ),
    ] {
        let (code, stdout, stderr) = run(words, variables);
        assert_eq!(stderr, format!("error: {line}\n"), "{words:?}");
        assert_eq!((code, stdout.as_str()), (2, ""));
    }
}

#[test]
fn larder_alone_prints_the_short_help_and_serves_where_a_variable_names_the_origin() {
    let (code, stdout, stderr) = run(&[], &[]);
    assert!(stderr.starts_with("Larder: a caching HTTP proxy that says why.\n") && stdout.is_empty(), "{stderr}");
    assert!(stderr.lines().count() <= 24, "{stderr}");
    assert_eq!(code, 2);
    let folder = tempfile::tempdir().unwrap();
    let mut command = larder(&[]);
    command
        .env("LARDER_ORIGIN", "http://127.0.0.1:9")
        .env("LARDER_PORT", "0")
        .env("LARDER_CACHE_DIR", folder.path().join("c"));
    Spawned::from(&mut command).await_line("origin=http://127.0.0.1:9 ");
}

#[test]
fn a_url_alone_or_behind_run_is_the_origin_and_wins_over_the_variable() {
    let flags = ["--port", "0", "--disk", "0.5G", "--default-ttl", "1h30m"];
    for words in
        [&["http://127.0.0.1:9"][..], &["run", "http://127.0.0.1:9"], &["run", "--origin", "http://127.0.0.1:9"]]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut command = larder(&[words, &flags[..]].concat());
        command.env("LARDER_ORIGIN", "http://127.0.0.1:8").env("LARDER_CACHE_DIR", folder.path().join("c"));
        Spawned::from(&mut command).await_line("origin=http://127.0.0.1:9 ");
    }
}

#[test]
fn a_variable_that_nobody_reads_and_a_tilde_are_warnings_and_what_kubernetes_sets_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = larder(&["http://127.0.0.1:9", "--cache-dir", "~/c"]);
    command.current_dir(folder.path());
    let link = "tcp://10.43.0.7:3000";
    let of_kubernetes = [("LARDER_PORT", link), ("LARDER_SERVICE_PORT", "3000"), ("LARDER_PORT_3000_TCP", link)];
    // the port that is listened on is the default one, unless the flag names one
    command.args(["--port", "0"]).envs(of_kubernetes).env("LARDER_CLEAR_CACHE", "1").env("LARDER_DEFUALT_TTL", "1h");
    let spawned = Spawned::from(&mut command);
    spawned.await_line("listening on http://");
    let log = spawned.log();
    let warned: Vec<_> = log.iter().filter_map(|line| Some(line.split_once(" WARN  ")?.1)).collect();
    for begin in [
        "unknown variable LARDER_CLEAR_CACHE: ignored; only the flag --clear-cache clears the cache",
        "unknown variable LARDER_DEFUALT_TTL: ignored; did you mean LARDER_DEFAULT_TTL?",
        "--cache-dir \"~/c\": no shell has replaced the ~, ",
    ] {
        assert_eq!(warned.iter().filter(|line| line.starts_with(begin)).count(), 1, "{log:#?}");
    }
    assert!(!log.iter().any(|line| line.contains("LARDER_PORT") || line.contains("SERVICE")), "{log:#?}");
}

#[test]
fn what_kubernetes_sets_for_a_service_of_this_name_is_not_the_port() {
    let (_, _, stderr) = run(&["http://127.0.0.1:9", "--strict"], &[("LARDER_PORT", "tcp://10.43.0.7:3000")]);
    assert!(stderr.starts_with("error: missing --cache-dir: "), "the port was not looked at: {stderr}");
}

#[test]
fn bytes_that_are_no_text_are_named_by_their_variable_or_flag() {
    let wrong = OsStr::from_bytes(b"http://\xff");
    let variable = output(larder(&[]).env("LARDER_ORIGIN", wrong));
    let flag = output(larder(&["--origin"]).arg(wrong));
    for (output, name) in [(variable, "LARDER_ORIGIN"), (flag, "http://\\xFF")] {
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr, format!("error: invalid {name}: expected text in UTF-8\n"));
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn help_and_version_are_answers_and_no_errors() {
    let (code, stdout, stderr) = run(&["--help"], &[]);
    assert!(stdout.starts_with("Examples:") && stderr.is_empty(), "{stdout}{stderr}");
    assert_eq!(code, 0);
    assert_eq!(run(&["help"], &[]), (0, stdout, String::new()));
    assert!(run(&["help", "stats"], &[]).1.starts_with("Show the hit ratio"));
    let short = run(&["-h"], &[]);
    assert!(short.1.starts_with("Larder: ") && short.1.lines().count() <= 24, "{}", short.1);
    assert_eq!(run(&["--version"], &[]), (0, format!("larder {}\n", env!("CARGO_PKG_VERSION")), String::new()));
}

#[test]
fn a_taken_port_is_one_line_that_names_the_flag_and_exit_code_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().to_str().unwrap();
    let words = ["--origin", "http://127.0.0.1:9", "--cache-dir", cache];
    // the next one may be taken, too
    let next = taken.local_addr().unwrap().port().checked_add(1);
    let _also_taken = next.map(|next| std::net::TcpListener::bind(("127.0.0.1", next)));
    let free = |name: &str, (code, _, stderr): (i32, String, String)| {
        let words =
            format!("error: {name}: another program listens on 127.0.0.1:{port}; stop it, or choose another port");
        let example = stderr.trim_end().strip_prefix(&words).and_then(|rest| rest.strip_prefix(", for example "));
        let example: u16 = example.unwrap_or_else(|| panic!("{stderr}")).parse().unwrap();
        assert_eq!(code, 1);
        assert!(std::net::TcpListener::bind(("127.0.0.1", example)).is_ok(), "{example} is taken, too");
    };
    free("--port", run(&[&words[..], &["--port", &port]].concat(), &[]));
    free("LARDER_PORT", run(&words, &[("LARDER_PORT", &port)]));
    // 192.0.2.1 is nobody's (RFC 5737)
    let (code, _, stderr) = run(&[&words[..], &["--host", "192.0.2.1", "--port", "0"]].concat(), &[]);
    let foreign = "error: --host: this machine does not have the address 192.0.2.1; choose one that it has, for example 127.0.0.1 or 0.0.0.0\n";
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
fn clearing_and_counting_where_there_is_no_cache_says_so_and_has_an_exit_code_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let variables = [("HOME", home.path().to_str().unwrap())];
    let missing = ["stats", "--cache-dir", "/nonexistent/cache", "--json"];
    for (words, said) in [
        (&["--clear-cache"][..], ""),
        (&["--clear-cache", "--origin", "http://a"], ""),
        (&["stats"], ""),
        (&["stats", "--origin", "http://a"], ""),
        (&missing[..3], ""),
        (&missing, "{}\n"),
    ] {
        let (code, stdout, stderr) = run(words, &variables);
        assert!(stderr.starts_with("there is no cache at "), "{words:?}: {stderr}");
        assert!(stderr.ends_with("; --cache-dir names another folder\n") && stderr.lines().count() == 1, "{stderr}");
        assert_eq!((code, stdout.as_str()), (3, said));
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
        assert_eq!(
            (output.status.code(), stderr),
            (Some(3), format!("there is no cache at {path}; --cache-dir names another folder\n")),
            "{words:?}"
        );
    }
    let refused = output(&mut larder(&["--origin", "http://127.0.0.1:9", "--port", "0", "--cache-dir", path]));
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("is not a cache folder"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(photo.exists());
}

/// A file of this text, in a folder that goes with the first of both.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("larder.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn a_file_is_checked_without_a_cache_or_an_origin() {
    let text =
        "origin = 'http://nosuch.invalid'\ncache-dir = '/no/such/folder'\n[[rule]]\npath = '/admin'\nbypass = true\n";
    let (_folder, path) = file(text);
    let ok = (0, "ok: 1 site, 1 rule, 1 origin\n".to_owned(), String::new());
    assert_eq!(run(&["check", &path], &[]), ok);
    assert_eq!(run(&["check", "--config", &path], &[]), ok);
    assert_eq!(run(&["check"], &[("LARDER_CONFIG", &path)]), ok);
    assert_eq!(run(&["http://nosuch.invalid", "--cache-dir", "/x", "--rule", "/ bypass", "check"], &[]), ok);
}

#[test]
fn all_that_is_wrong_in_a_file_is_told_line_by_line_and_nothing_starts() {
    let (_folder, path) = file("origin = 'http://a'\n[[rule]]\ntll = '60s'\n[[rule]]\nttl = '60'\n");
    let expected = format!(
        "error: {path}:3: unknown setting \"tll\" in a rule: did you mean ttl?\n\
         error: {path}:5: ttl \"60\": missing unit (use ms, s, m, h, d or w)\n"
    );
    for words in [
        &["check", &path][..],
        &["--config", &path],
        &["config", "show", "--config", &path],
        &["stats", "--config", &path],
    ] {
        assert_eq!(run(words, &[]), (2, String::new(), expected.clone()), "{words:?}");
    }
    let (_folder, path) =
        file("origin = 'http://a'\ncache-dir = '/x'\ndisk = '10'\n[[rule]]\nstatus = 404\nbypass = true\n");
    let (code, _, stderr) = run(&["check", &path], &[]);
    assert_eq!((code, stderr.lines().count()), (2, 2), "{stderr}");
    assert!(stderr.contains("larder.toml:3: disk \"10\": missing unit"), "{stderr}");
    assert!(stderr.contains("larder.toml:6: bypass: a rule with `status` is about the answer"), "{stderr}");
    let (code, _, stderr) = run(&[], &[("LARDER_CONFIG", "/no/such.toml")]);
    assert!(
        code == 2 && stderr.starts_with("error: invalid LARDER_CONFIG \"/no/such.toml\": cannot be read: "),
        "{stderr}"
    );
}

#[test]
fn what_is_set_is_shown_with_who_set_it() {
    let (_folder, path) = file("origin = 'http://a'\ncache-dir = '/x'\nport = 81\nmemory = '1G'\n");
    let (code, stdout, stderr) =
        run(&["--port", "82", "config", "show", "--config", &path], &[("LARDER_MEMORY", "2G")]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for (setting, source) in [
        ("port = 82", "--port"),
        ("memory = \"2G\"", "LARDER_MEMORY"),
        ("origin = \"http://a\"", &*format!("{path}:1")),
        ("disk = \"10GiB\"", "default"),
    ] {
        let is = |line: &&str| line.starts_with(setting) && line.ends_with(&format!("# {source}"));
        assert!(stdout.lines().any(|line| is(&line)), "{setting} # {source}\n{stdout}");
    }
}

#[test]
fn a_file_starts_larder_and_its_port_is_named_when_it_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let text = |port| format!("origin = 'http://127.0.0.1:1'\ncache-dir = {cache:?}\nport = {port}\nquiet = 2\n");
    let (_folder, path) = file(&text(port));
    let (code, _, stderr) = run(&["--config", &path], &[]);
    assert!(
        code == 1 && stderr.starts_with(&format!("error: {path}:3: port: another program listens on ")),
        "{stderr}"
    );
}
