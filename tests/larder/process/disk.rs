//! A disk that does not answer, or slowly: strace makes the program's calls wait.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use larder::clock;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{End, Origin, Spawned, open_files, proxy::larder, request, respond, until};

/// What the store is waited for when it closes (`CLOSING` in src/server.rs), and as much again for a busy machine.
const BOUND: Duration = Duration::from_secs(20);

fn strace_is_there() -> bool {
    let there = Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !there {
        eprintln!("skipped: there is no strace here");
    }
    there
}

/// Larder on a disk that strace makes slow, or fail; strace is its child, so that signals reach Larder itself.
fn traced(origin: &Origin, folder: &Path, trace: &Path, flags: &[&str], inject: &str) -> Spawned {
    let words = ["--origin", &origin.url(), "--port", "0", "--cache-dir", folder.to_str().unwrap()];
    let program = larder(&[&words, flags].concat());
    let calls = inject.split(':').next().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "--seccomp-bpf", "-qq", "-e", &format!("trace={calls}")]);
    strace.args(["-e", &format!("inject={inject}"), "-o"]).arg(trace);
    strace.arg(program.get_program()).args(program.get_args()).env_clear().stdin(Stdio::null());
    Spawned::from(&mut strace)
}

/// Larder with a disk that answers no sync.
fn on_a_disk_that_hangs(origin: &Origin, folder: &Path, trace: &Path) -> Spawned {
    traced(origin, folder, trace, &[], "fdatasync:delay_enter=3600s")
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

#[test]
fn an_answer_that_invalidates_several_urls_waits_once_for_a_disk_that_hangs() {
    if !strace_is_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::answering(|request| match request.method.as_str() {
        "POST" => respond(201, &["Location: /1", "Content-Location: /2"], ""),
        _ => respond(200, &["Cache-Control: max-age=600"], "hello"),
    });
    let larder = on_a_disk_that_hangs(&origin, &folder.path().join("cache"), &folder.path().join("trace"));
    for target in ["/0", "/1", "/2"] {
        until("a hit", || larder.get(target).x_cache() == "HIT");
    }
    let began = clock::instant();
    assert_eq!(larder.client().ask("POST", "/0", &["Content-Length: 0"]).status, 201);
    // a second for each of the three URLs, and for each with GET and with QUERY, would be six
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let tracer = Pid::from_raw(larder.status("TracerPid").parse().unwrap()).unwrap();
    kill_process(tracer, Signal::KILL).unwrap();
    for target in ["/0", "/1", "/2"] {
        assert_eq!(larder.get(target).x_cache(), "MISS", "{target}");
    }
}

#[test]
fn stored_responses_that_512_connections_ask_for_at_once_after_a_restart_all_come_from_the_disk() {
    const CLIENTS: usize = 512;
    // one end of each connection is in this process
    assert!(open_files() > 2 * CLIENTS as u64);
    let folder = tempfile::tempdir().unwrap();
    let (cache, trace) = (folder.path().join("cache"), folder.path().join("trace"));
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: max-age=600"], request.target.repeat(100)));
    let flags = ["--memory", "0B", "--disk", "256MiB"];
    let larder = Spawned::start(&origin.url(), &cache, &flags);
    let mut client = larder.client();
    for n in 0..CLIENTS {
        client.get(&format!("/{n}"));
    }
    drop(client);
    assert!(larder.stop().success());

    let larder = match strace_is_there() {
        true => traced(&origin, &cache, &trace, &flags, "pread64,preadv2:delay_enter=3ms"),
        false => Spawned::start(&origin.url(), &cache, &flags),
    };
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| larder.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(request("GET", &format!("/{n}"), &[]));
    }
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.response("GET").text(), format!("/{n}").repeat(100));
    }
    assert_eq!(origin.request_count(), CLIENTS, "the origin was asked for what is stored");
}
