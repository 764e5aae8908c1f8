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
