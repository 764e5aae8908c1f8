//! A system that gives no thread.

use std::{
    os::unix::{fs::chown, process::CommandExt},
    process::{Command, Stdio},
};

use rustix::process::getuid;
use tempfile::TempDir;

use crate::support::{
    End, Origin, Spawned,
    proxy::{larder as program, output},
    respond, until,
};

const FRESH: &str = "Cache-Control: max-age=600";

/// Whom the program runs as: root may have as many threads as it likes.
const NOBODY: u32 = 65534;

/// As a user of its own, where that can be arranged.
fn of_nobody(words: &[&str], folder: &TempDir) -> Command {
    let mut command = program(words);
    if getuid().is_root() {
        // it may be in a folder that is root's alone
        let copy = folder.path().with_extension("program");
        if !copy.exists() {
            // not by this process: what it has open for writing another test may pass on to a child, and it could not be run
            assert!(Command::new("cp").arg(command.get_program()).arg(&copy).status().unwrap().success());
        }
        chown(folder.path(), Some(NOBODY), None).unwrap();
        command = Command::new(copy);
        command.args(words).env_clear().stdin(Stdio::null()).uid(NOBODY);
    }
    command
}

/// Started, with its store open.
struct Started {
    larder: Spawned,
    folder: TempDir,
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.folder.path().with_extension("program"));
    }
}

impl Started {
    fn before(origin: &str) -> Started {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let words = ["--origin", origin, "--port", "0", "--workers", "1", "--cache-dir", path];
        let larder = Spawned::from(&mut of_nobody(&words, &folder));
        Started { larder, folder }
    }

    /// The program again, for its cache.
    fn command(&self, words: &[&str]) -> Command {
        let folder = ["--cache-dir", self.folder.path().to_str().unwrap()];
        of_nobody(&[words, &folder].concat(), &self.folder)
    }

    fn may_have_threads(&self, yes: bool) {
        let pid = self.larder.pid();
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let most =
            limits.lines().find_map(|line| line.strip_prefix("Max processes")?.split_whitespace().nth(1)).unwrap();
        // the soft one alone: who lowered the hard one could not raise it again
        let limit = format!("--nproc={}:", if yes { most } else { "0" });
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &pid.to_string(), &limit]);
        if getuid().is_root() {
            prlimit.uid(NOBODY);
        }
        assert!(prlimit.status().unwrap().success());
    }
}

fn assert_no_panic(larder: &Spawned) {
    assert!(!larder.log().iter().any(|line| line.contains("panicked")), "{:#?}", larder.log());
}

#[test]
fn a_large_answer_is_relayed_whole() {
    let body = |target: &str| target.repeat(500_000);
    let origin = Origin::answering(move |request| respond(200, &[FRESH], body(&request.target)));
    let started = Started::before(&origin.url());
    let larder = &started.larder;
    started.may_have_threads(false);
    for target in ["/a", "/a", "/b"] {
        let answer = larder.get(target);
        assert_eq!((answer.status, answer.end), (200, End::Whole), "{target}: {:#?}", larder.log());
        assert!(answer.body == body(target).as_bytes(), "{target}");
    }
    assert_no_panic(larder);
}

#[test]
fn what_was_not_written_takes_no_space() {
    let body = |target: &str| target.repeat(100_000);
    let origin = Origin::answering(move |request| respond(200, &[FRESH], body(&request.target)));
    let started = Started::before(&origin.url());
    let larder = &started.larder;
    let used = || {
        let said = output(&mut started.command(&["stats", "--json"])).stdout;
        let stats: serde_json::Value = serde_json::from_slice(&said).unwrap();
        stats[started.folder.path().to_str().unwrap()]["disk_used"].as_u64().unwrap()
    };
    let before = used();
    started.may_have_threads(false);
    for n in 0..50 {
        let target = format!("/large{n}");
        assert!(larder.get(&target).text() == body(&target), "{target}");
    }
    assert_eq!(used(), before);
    started.may_have_threads(true);
    until("a hit", || larder.get("/large0").x_cache() == "HIT");
    assert_no_panic(larder);
}

#[test]
fn clearing_comes_to_its_end() {
    let origin = Origin::answering(|request| respond(200, &[FRESH], &request.target));
    let started = Started::before(&origin.url());
    let larder = &started.larder;
    started.may_have_threads(false);
    until("a hit", || larder.get("/a").x_cache() == "HIT");
    let mut clearing = started.command(&["--clear-cache"]).stdout(Stdio::null()).spawn().unwrap();
    let mut ended = None;
    until("it to be cleared", || {
        ended = clearing.try_wait().unwrap();
        ended.is_some()
    });
    assert!(ended.is_some_and(|status| status.success()), "{:#?}", larder.log());
    assert_eq!(larder.get("/a").x_cache(), "MISS");
    until("a hit", || larder.get("/a").x_cache() == "HIT");
    assert_no_panic(larder);
}

#[test]
fn an_origin_whose_name_nobody_can_look_up_is_a_503_until_there_is_a_thread() {
    // a name that nobody has: one whose address is known since the start is not looked up
    let started = Started::before(&format!("http://{}.invalid", "a".repeat(70)));
    let larder = &started.larder;
    started.may_have_threads(false);
    let mut client = larder.client();
    // what the look-up at the start brought counts for a second
    until("a look-up that has no thread", || client.get("/").status == 503);
    for n in 0..20 {
        let answer = client.get(&format!("/{n}"));
        assert_eq!((answer.status, answer.end), (503, End::Whole), "{:#?}", larder.log());
    }
    assert_no_panic(larder);
    started.may_have_threads(true);
    until("a look-up", || client.get("/again").field("Proxy-Status") == Some("larder; error=dns_error"));
    let log = larder.log();
    assert!(log.iter().any(|line| line.contains("thread")), "{log:#?}");
}
