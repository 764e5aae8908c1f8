//! The file is read once more: by `larder reload`, by a hangup, and told to the service manager.

use std::{fs, os::unix::net::UnixDatagram, path::Path, process::Command};

use rustix::process::Signal;

use crate::support::{
    Origin, Spawned,
    proxy::{larder, output},
    respond,
};

/// Writes the file, and returns the words of a command for it.
fn write(folder: &Path, origin: &str, rules: &str) {
    let cache = folder.join("cache");
    let text = format!("origin = \"{origin}\"\nport = 0\ncache-dir = \"{}\"\n{rules}", cache.display());
    fs::write(folder.join("larder.toml"), text).unwrap();
}

fn with_file(folder: &Path, command: &[&str]) -> Command {
    let file = folder.join("larder.toml");
    larder(&[command, &["--config", file.to_str().unwrap()]].concat())
}

const BYPASS: &str = "[[rule]]\npath = \"/\"\nbypass = true\n";

#[test]
fn the_file_is_read_once_more_when_it_is_asked_for_and_what_is_wrong_in_it_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    write(folder.path(), &origin.url(), "");
    let spawned = Spawned::from(&mut with_file(folder.path(), &[]));
    spawned.get("/a");
    assert_eq!(spawned.get("/a").x_cache(), "HIT");
    let reload = || {
        let told = output(&mut with_file(folder.path(), &["reload"]));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (told.status.code(), text(&told.stdout), text(&told.stderr))
    };
    write(folder.path(), &origin.url(), BYPASS);
    assert_eq!(reload(), (Some(0), "reloaded: 1 rule added\n".to_owned(), String::new()));
    assert_eq!(spawned.get("/a").x_cache(), "MISS");
    write(folder.path(), &origin.url(), "[[rule]]\ntll = \"60s\"\nbypass = 7\n");
    let (code, _, problems) = reload();
    assert_eq!(code, Some(2));
    assert!(problems.contains("larder.toml:5: ") && problems.contains("did you mean ttl?"), "{problems}");
    write(folder.path(), &origin.url(), &format!("{BYPASS}[[rule]]\npath = \"/b\"\nttl = \"1m\"\n"));
    spawned.signal(Signal::HUP);
    spawned.await_line("reloaded: 1 rule added");
    write(folder.path(), &origin.url(), &format!("memory = \"64MiB\"\n{BYPASS}"));
    let (code, _, problems) = reload();
    assert_eq!(
        (code, problems.as_str()),
        (Some(2), "error: memory: a change needs a restart of Larder; nothing has changed\n")
    );
    spawned.signal(Signal::HUP);
    spawned.await_line("not reloaded: memory: a change needs a restart");
    assert_eq!(spawned.get("/a").x_cache(), "MISS");
    assert_eq!(spawned.stop().code(), Some(0));
    let (code, _, problems) = reload();
    assert!(code == Some(1) && problems.starts_with("error: no Larder is running on "), "{problems}");
}

#[test]
fn a_reload_with_another_folder_names_the_setting_and_one_with_another_log_level_takes_it_over() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::always(respond(200, &[], "hello"));
    write(folder.path(), &origin.url(), "");
    let file = folder.path().join("larder.toml");
    let spawned = Spawned::from(&mut with_file(folder.path(), &[]));
    let reload = || {
        let told = output(&mut with_file(folder.path(), &["reload"]));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (told.status.code(), text(&told.stdout), text(&told.stderr))
    };
    write(folder.path(), &origin.url(), "verbose = 1\n");
    assert_eq!(reload(), (Some(0), "reloaded: the log level changed\n".to_owned(), String::new()));
    spawned.get("/a");
    // more is said of each request
    spawned.await_line(", site http://");
    write(folder.path(), &origin.url(), "quiet = 1\n");
    assert_eq!(reload().1, "reloaded: the log level changed\n");
    let text = fs::read_to_string(&file).unwrap().replace("/cache", "/other");
    fs::write(&file, text).unwrap();
    let expected = format!(
        "error: no Larder is running on {}; if {}:3: cache-dir has changed since Larder was started, that needs a restart of \
         Larder; nothing has changed\n",
        folder.path().join("other").display(),
        file.display()
    );
    assert_eq!(reload(), (Some(1), String::new(), expected));
    spawned.signal(Signal::HUP);
    // the log has errors and warnings alone now
    spawned.await_line("not reloaded: cache-dir: a change needs a restart of Larder; nothing has changed");
    let lines = spawned.log().into_iter().filter(|line| line.contains(" INFO ")).count();
    spawned.get("/a");
    let log = spawned.stop_and_read();
    assert_eq!(log.iter().filter(|line| line.contains(" INFO ")).count(), lines);
}

#[test]
fn the_service_manager_is_told_of_the_start_of_a_reload_and_of_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::always(respond(200, &[], "hello"));
    write(folder.path(), &origin.url(), "");
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let heard = || {
        let mut bytes = [0; 256];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let spawned = Spawned::from(with_file(folder.path(), &[]).env("NOTIFY_SOCKET", &path));
    assert_eq!(heard(), "READY=1\n");
    write(folder.path(), &origin.url(), BYPASS);
    spawned.signal(Signal::HUP);
    let reloading = heard();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(heard(), "READY=1\n");
    spawned.signal(Signal::TERM);
    assert_eq!(heard(), "STOPPING=1\n");
    assert_eq!(spawned.wait().code(), Some(0));
}

#[test]
fn a_default_that_stands_in_the_file_is_told_by_its_line_and_one_of_a_flag_by_the_flag() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::answering(|request| match &*request.target {
        "/gone" => respond(404, &[], "x"),
        "/large" => respond(200, &["Cache-Control: max-age=60"], "x".repeat(3000)),
        _ => respond(200, &[], "x"),
    });
    write(folder.path(), &origin.url(), "default-ttl = \"2m\"\nnegative-ttl = \"7s\"\nmax-object = \"2K\"\n");
    let spawned = Spawned::from(&mut with_file(folder.path(), &["--negative-ttl", "8s"]));
    for (target, words) in [
        ("/a", "stored for 2m (larder.toml:4: default-ttl = \"2m\")"),
        ("/gone", "stored for 8s (--negative-ttl)"),
        ("/large", "not stored: larder.toml:6: max-object = \"2K\""),
    ] {
        spawned.get(target);
        let line = spawned.await_line(&format!(" GET {target} "));
        assert!(line.ends_with(words), "{line}");
    }
}

#[test]
fn a_reload_that_shares_the_open_files_out_anew_is_no_change_of_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::always(respond(200, &[], "hello"));
    let sites = |count: usize| {
        let site = |nth| format!("[[site]]\npath = \"/{nth}\"\norigin = \"{}\"\n", origin.url());
        let text = format!("port = 0\ncache-dir = \"{}\"\n", folder.path().join("cache").display());
        fs::write(folder.path().join("larder.toml"), text + &(0..count).map(site).collect::<String>()).unwrap();
    };
    sites(1);
    let program = with_file(folder.path(), &[]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 2000 && exec \"$0\" \"$@\""]).env_clear();
    let spawned = Spawned::from(command.arg(program.get_program()).args(program.get_args()));
    sites(3);
    let told = output(&mut with_file(folder.path(), &["reload"]));
    assert_eq!(String::from_utf8(told.stdout).unwrap(), "reloaded: 2 sites added\n");
    assert_eq!([spawned.get("/2/a").status, spawned.get("/3/a").status], [200, 404]);
}
