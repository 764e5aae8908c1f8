//! The command line as a user meets it.

use super::support::{Spawned, proxy::larder};

/// Exit code, stdout, stderr.
fn run(words: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let output = larder(words).envs(variables.iter().copied()).output().unwrap();
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
        (&origin, &[], "error: --cache-dir: is missing, and neither XDG_CACHE_HOME nor HOME names a place; "),
        (&["--clear-cache"], &[], "error: --cache-dir: is missing, and neither XDG_CACHE_HOME nor HOME "),
    ] {
        let (code, stdout, stderr) = run(words, variables);
        assert!(stderr.starts_with(line) && stderr.lines().count() == 1, "{words:?}: {stderr}");
        assert_eq!((code, stdout.as_str()), (2, ""));
    }
}

#[test]
fn an_unknown_flag_is_exit_code_2_and_help_is_0() {
    assert_eq!(run(&["--orign", "http://a"], &[]).0, 2);
    assert_eq!(run(&["--help"], &[]).0, 0);
    assert_eq!(run(&["--version"], &[]).1, format!("larder {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_taken_port_is_one_line_that_names_the_flag_and_exit_code_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().to_str().unwrap();
    let (code, _, stderr) = run(&["--origin", "http://127.0.0.1:9", "--cache-dir", cache, "--port", &port], &[]);
    let line = stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(line.starts_with(&format!("error: --port: {port} ")) && line.contains("taken"), "{stderr}");
    assert_eq!(code, 1);
}

#[test]
fn a_switch_in_the_environment_takes_the_usual_words() {
    let folder = tempfile::tempdir().unwrap();
    for (word, on) in [("1", true), ("true", true), ("yes", true), ("0", false), ("false", false), ("", false)] {
        let mut command = larder(&["--origin", "http://127.0.0.1:9", "--port", "0"]);
        command.env("LARDER_STRICT", word).env("LARDER_CACHE_DIR", folder.path().join(format!("c{word}")));
        let line = Spawned::from(command).await_line("caches: ");
        assert_eq!(line.contains("--strict"), on, "LARDER_STRICT={word:?}: {line}");
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
