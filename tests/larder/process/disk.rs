//! A disk that does not answer: every sync of a file waits, by strace, until the program has ended.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use larder::clock;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{End, Origin, Spawned, proxy::larder, respond, until};

/// What the store is waited for when it closes (`CLOSING` in src/server.rs), and as much again for a busy machine.
const BOUND: Duration = Duration::from_secs(20);

fn strace_is_there() -> bool {
    let there = Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !there {
        eprintln!("skipped: there is no strace here");
    }
    there
}

/// Larder with a disk that answers no sync; strace is its child, so that signals reach Larder itself.
fn on_a_disk_that_hangs(origin: &Origin, folder: &Path, trace: &Path) -> Spawned {
    let program = larder(&["--origin", &origin.url(), "--port", "0", "--cache-dir", folder.to_str().unwrap()]);
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qq", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=3600s", "-o"]);
    strace.arg(trace).arg(program.get_program()).args(program.get_args()).env_clear().stdin(Stdio::null());
    Spawned::from(&mut strace)
}

#[test]
fn a_disk_that_hangs_stops_no_answer_and_holds_up_the_end_for_a_bounded_time() {
    if !strace_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (cache, trace) = (folder.path().join("cache"), folder.path().join("trace"));
    let body = |target: &str| target.repeat(3000);
    let origin = Origin::answering(move |request| respond(200, &["Cache-Control: max-age=600"], body(&request.target)));
    let targets = |word: &'static str| (0..20).map(move |n| format!("/{word}{n}"));

    let larder = Spawned::start(&origin.url(), &cache, &[]);
    targets("before").for_each(|target| drop(larder.get(&target)));
    assert_eq!(larder.stop().code(), Some(0));

    let larder = on_a_disk_that_hangs(&origin, &cache, &trace);
    for target in targets("before") {
        until("a hit", || larder.get(&target).x_cache() == "HIT");
    }
    for target in targets("during") {
        larder.get(&target);
    }
    let hangs = || std::fs::read_to_string(&trace).is_ok_and(|calls| calls.contains("fdatasync("));
    until("a sync that hangs", hangs);
    for target in targets("during") {
        let answer = larder.get(&target);
        assert_eq!((answer.text(), answer.end), (body(&target), End::Whole));
    }
    let tracer = Pid::from_raw(larder.status("TracerPid").parse().unwrap()).unwrap();
    let began = clock::instant();
    larder.signal(Signal::TERM);
    larder.await_line("the disk does not answer; what was stored last may be lost");
    // all of it but the thread that the disk holds, which no signal can end
    until("the program to have ended", || larder.status("State").starts_with('Z'));
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    kill_process(tracer, Signal::KILL).unwrap();
    assert_eq!(larder.wait().code(), Some(0));

    let larder = Spawned::start(&origin.url(), &cache, &[]);
    for target in targets("before") {
        until("a hit", || larder.get(&target).x_cache() == "HIT");
    }
    for target in targets("before").chain(targets("during")) {
        assert_eq!(larder.get(&target).text(), body(&target));
    }
    assert_eq!(larder.stop().code(), Some(0));
}
