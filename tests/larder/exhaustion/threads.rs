//! A system that gives no thread: the address space that is left has no room for another one's stack.

use std::process::Stdio;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::{
    End, Origin, Spawned,
    proxy::{larder as program, output},
    respond, until,
};

const FRESH: &str = "Cache-Control: max-age=600";

/// Started, with its store open; no worker of it has needed another thread yet.
fn started(origin: &str, folder: &tempfile::TempDir) -> Spawned {
    let larder = Spawned::start(origin, folder.path(), &["--workers", "1"]);
    // the last of its start-up lines
    larder.await_line("no freshness in an answer: ");
    larder
}

fn set_address_space(larder: &Spawned, most: Option<u64>) {
    let limit = Rlimit { current: most, maximum: None };
    prlimit(Pid::from_raw(larder.pid() as i32), Resource::As, limit).unwrap();
}

fn take_threads_away(larder: &Spawned) {
    let now: u64 = larder.status("VmSize").trim_end_matches(" kB").parse().unwrap();
    set_address_space(larder, Some((now + 1000) * 1024));
}

fn assert_no_panic(larder: &Spawned) {
    assert!(!larder.log().iter().any(|line| line.contains("panicked")), "{:#?}", larder.log());
}

#[test]
fn a_large_answer_is_relayed_whole() {
    let body = |target: &str| target.repeat(500_000);
    let origin = Origin::answering(move |request| respond(200, &[FRESH], body(&request.target)));
    let folder = tempfile::tempdir().unwrap();
    let larder = started(&origin.url(), &folder);
    take_threads_away(&larder);
    for target in ["/a", "/a", "/b"] {
        let answer = larder.get(target);
        assert_eq!((answer.status, answer.end), (200, End::Whole), "{target}: {:#?}", larder.log());
        assert!(answer.body == body(target).as_bytes(), "{target}");
    }
    assert_no_panic(&larder);
}

#[test]
fn what_was_not_written_takes_no_space() {
    let body = |target: &str| target.repeat(100_000);
    let origin = Origin::answering(move |request| respond(200, &[FRESH], body(&request.target)));
    let folder = tempfile::tempdir().unwrap();
    let larder = started(&origin.url(), &folder);
    let used = || {
        let words = ["stats", "--json", "--cache-dir", folder.path().to_str().unwrap()];
        let stats: serde_json::Value = serde_json::from_slice(&output(&mut program(&words)).stdout).unwrap();
        stats[folder.path().to_str().unwrap()]["disk_used"].as_u64().unwrap()
    };
    let before = used();
    take_threads_away(&larder);
    for n in 0..50 {
        let target = format!("/large{n}");
        assert_eq!(larder.get(&target).text(), body(&target));
    }
    assert_eq!(used(), before);
    set_address_space(&larder, None);
    until("a hit", || larder.get("/large0").x_cache() == "HIT");
    assert_no_panic(&larder);
}

#[test]
fn clearing_comes_to_its_end() {
    let origin = Origin::answering(|request| respond(200, &[FRESH], &request.target));
    let folder = tempfile::tempdir().unwrap();
    let larder = started(&origin.url(), &folder);
    take_threads_away(&larder);
    until("a hit", || larder.get("/a").x_cache() == "HIT");
    let mut clearing = program(&["--clear-cache", "--cache-dir", folder.path().to_str().unwrap()]);
    let mut clearing = clearing.stdout(Stdio::null()).spawn().unwrap();
    let mut ended = None;
    until("it to be cleared", || {
        ended = clearing.try_wait().unwrap();
        ended.is_some()
    });
    assert!(ended.is_some_and(|status| status.success()), "{:#?}", larder.log());
    assert_eq!(larder.get("/a").x_cache(), "MISS");
    until("a hit", || larder.get("/a").x_cache() == "HIT");
    assert_no_panic(&larder);
}

#[test]
fn an_origin_whose_name_nobody_can_look_up_is_a_503_until_there_is_a_thread() {
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: no-store"], &request.target));
    let folder = tempfile::tempdir().unwrap();
    let larder = started(&origin.url().replace("127.0.0.1", "localhost"), &folder);
    take_threads_away(&larder);
    let mut client = larder.client();
    for n in 0..20 {
        let answer = client.get(&format!("/{n}"));
        assert_eq!((answer.status, answer.end), (503, End::Whole), "{:#?}", larder.log());
    }
    assert_no_panic(&larder);
    assert_eq!(origin.connection_count(), 0);
    set_address_space(&larder, None);
    assert_eq!(client.get("/again").text(), "/again");
    let log = larder.log();
    assert!(log.iter().any(|line| line.contains("thread")), "{log:#?}");
}
