//! SIGTERM, SIGINT, and SIGHUP on a terminal: running responses may end, for a while; what was stored is still there afterwards.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use larder::{clock, server};
use rustix::process::Signal;

use crate::support::{
    Client, End, Gate, Origin, Response, Spawned, Step, proxy::larder, request, respond, terminal, until,
};

/// An origin that sends half of its answer and waits.
fn halfway(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::answering(move |_| {
        let half = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nCache-Control: max-age=600\r\n\r\nhello";
        vec![Step::Send(half.into()), Step::Wait(gate.clone()), Step::Send("world".into())]
    })
}

/// Larder as the leader of a session of its own, which has no terminal unless the flags say so.
fn of_session(flags: &[&str], origin: &Origin, folder: &Path) -> Command {
    let (url, cache) = (origin.url(), folder.join("cache"));
    let program = larder(&["--origin", &url, "--port", "0", "--cache-dir", cache.to_str().unwrap()]);
    let mut command = Command::new("setsid");
    command.args(flags).arg(program.get_program()).args(program.get_args()).env_clear().stdin(Stdio::null());
    command
}

#[test]
fn without_a_terminal_a_hangup_reloads_and_log_rotation_never_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    let spawned = Spawned::from(&mut of_session(&[], &origin, folder.path()));
    spawned.signal(Signal::USR1);
    spawned.signal(Signal::HUP);
    spawned.await_line("reloaded: nothing has changed");
    spawned.signal(Signal::USR1);
    assert_eq!(spawned.get("/a").text(), "hello");
    assert_eq!(spawned.stop().code(), Some(0));
}

/// A client with the first half of an answer.
fn begun(spawned: &Spawned) -> (Client, Response) {
    let mut client = spawned.client();
    let mut response = client.send(request("GET", "/a", &[])).head();
    response.body = client.bytes(5);
    (client, response)
}

#[test]
fn a_signal_lets_running_responses_end_and_takes_on_no_others() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let (gate, folder) = (Gate::closed(), tempfile::tempdir().unwrap());
        let origin = halfway(&gate);
        // a terminal of its own, which it has as its stdin
        let (_shows, terminal) = terminal::open();
        let mut command = of_session(&["--ctty"], &origin, folder.path());
        let spawned = Spawned::from(command.stdin(terminal));
        let (mut client, mut response) = begun(&spawned);
        let mut idle = spawned.client();
        spawned.signal(signal);
        spawned.await_line("stopping: ");
        until("the listener to be closed", || TcpStream::connect(spawned.address).is_err());
        assert_eq!(idle.rest(), b"", "idle connections are closed");
        gate.open();
        client.body("GET", &mut response);
        assert_eq!((response.text().as_str(), response.end), ("helloworld", End::Whole));
        assert_eq!(client.rest(), b"");
        drop((client, idle));
        assert_eq!(spawned.wait().code(), Some(0));
    }
}

#[test]
fn the_end_says_how_many_requests_it_waits_for_and_then_that_it_has_come() {
    let (gate, folder) = (Gate::closed(), tempfile::tempdir().unwrap());
    let origin = halfway(&gate);
    let spawned = Spawned::start(&origin.url(), &folder.path().join("cache"), &["--shutdown-timeout", "40s"]);
    let (mut client, mut response) = begun(&spawned);
    spawned.signal(Signal::TERM);
    spawned.await_line(" INFO  stopping: waiting up to 40s for 1 request under way");
    gate.open();
    client.body("GET", &mut response);
    drop(client);
    let log = spawned.stop_and_read();
    assert!(log.last().unwrap().ends_with(" INFO  stopped"), "{log:#?}");

    let idle = Spawned::start(&origin.url(), &folder.path().join("idle"), &[]);
    let log = idle.stop_and_read();
    let ends = log.iter().map(|line| line.split("Z INFO  ").last().unwrap());
    assert_eq!(ends.skip(1).collect::<Vec<_>>(), ["stopping", "stopped"], "{log:#?}");
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    let flags = ["--drain-timeout", "60s", "--shutdown-timeout", "60s"];
    let spawned = Spawned::start(&origin.url(), &folder.path().join("cache"), &flags);
    // it stays open on this side, whatever the other side does
    let mut client = spawned.client();
    assert_eq!(client.get("/a").text(), "hello");
    let began = clock::instant();
    spawned.stop_and_read();
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
    assert_eq!(client.rest(), b"");
}

#[test]
fn w54_half_a_head_and_a_refused_connection_do_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--drain-timeout", "60s", "--head-timeout", "60s", "--shutdown-timeout", "60s", "-v"];
    let spawned = Spawned::start("http://127.0.0.1:9", &folder.path().join("cache"), &flags);
    let (mut half, mut refused) = (spawned.client(), spawned.client());
    half.send("GET / HTTP/1.1\r\nHo");
    refused.send("GET /refused HTTP/1.1\r\n\r\n");
    assert_eq!(refused.response("GET").status, 400);
    let began = clock::instant();
    spawned.stop_and_read();
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
    assert_eq!((half.rest(), refused.rest()), (Vec::new(), Vec::new()));
}

#[test]
fn what_the_stop_cut_off_is_said_to_be_cut_off_and_counted() {
    let (gate, folder) = (Gate::closed(), tempfile::tempdir().unwrap());
    let origin = halfway(&gate);
    let spawned = Spawned::start(&origin.url(), &folder.path().join("cache"), &["--shutdown-timeout", "1s"]);
    let (client, _) = begun(&spawned);
    let log = spawned.stop_and_read();
    let line = log.iter().find(|line| line.contains(" GET /a ")).unwrap();
    assert!(line.ends_with(" 5 B not stored (cut off by the stop)"), "{line}");
    assert!(log.last().unwrap().ends_with(" WARN  stopped; 1 request was cut off"), "{log:#?}");
    drop(client);
}

#[test]
fn a_response_that_does_not_end_within_the_shutdown_timeout_is_broken_off() {
    let (gate, folder) = (Gate::closed(), tempfile::tempdir().unwrap());
    let origin = halfway(&gate);
    let flags = ["--shutdown-timeout", "1s"];
    let spawned = Spawned::start(&origin.url(), &folder.path().join("cache"), &flags);
    let (mut client, mut response) = begun(&spawned);
    let began = clock::instant();
    spawned.signal(Signal::TERM);
    client.body("GET", &mut response);
    assert_ne!(response.end, End::Whole);
    assert_eq!(spawned.wait().code(), Some(0));
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn a_shutdown_timeout_keeps_its_milliseconds() {
    let (gate, folder) = (Gate::closed(), tempfile::tempdir().unwrap());
    let origin = halfway(&gate);
    let spawned = Spawned::start(&origin.url(), &folder.path().join("cache"), &["--shutdown-timeout", "700ms"]);
    let (mut client, mut response) = begun(&spawned);
    let began = clock::instant();
    spawned.signal(Signal::TERM);
    client.body("GET", &mut response);
    assert_ne!(response.end, End::Whole);
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
    assert_eq!(spawned.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (gate, folder) = (Gate::closed(), tempfile::tempdir().unwrap());
    let origin = halfway(&gate);
    let spawned = Spawned::start(&origin.url(), &folder.path().join("cache"), &[]);
    let (mut client, mut response) = begun(&spawned);
    spawned.signal(Signal::TERM);
    spawned.await_line("stopping: ");
    // for the first second it counts as the same signal
    until("it to say that it ends", || {
        spawned.signal(Signal::TERM);
        spawned.log().iter().any(|line| line.ends_with("stopped without waiting; 1 request was cut off"))
    });
    assert_eq!(spawned.wait().code(), Some(1));
    client.body("GET", &mut response);
    assert_ne!(response.end, End::Whole);
}

#[test]
fn two_signals_that_come_together_are_one() {
    // as `timeout` sends them, and shells that pass Ctrl-C on
    loop {
        let (gate, folder) = (Gate::closed(), tempfile::tempdir().unwrap());
        let origin = halfway(&gate);
        let spawned = Spawned::start(&origin.url(), &folder.path().join("cache"), &[]);
        let (mut client, mut response) = begun(&spawned);
        let first = clock::instant();
        spawned.signal(Signal::INT);
        spawned.await_line("stopping: ");
        spawned.signal(Signal::TERM);
        until("the listener to be closed", || TcpStream::connect(spawned.address).is_err());
        let together = first.elapsed() < server::TOGETHER;
        gate.open();
        client.body("GET", &mut response);
        drop(client);
        let code = spawned.wait().code();
        if together {
            assert_eq!((response.text().as_str(), response.end, code), ("helloworld", End::Whole, Some(0)));
            return;
        }
    }
}

#[test]
fn under_nohup_a_hangup_stays_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["--origin", "http://127.0.0.1:9", "--port", "0", "--cache-dir", folder.path().to_str().unwrap()];
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_larder")]).args(words).env_clear();
    let spawned = Spawned::from(&mut command);
    let status = fs::read_to_string(format!("/proc/{}/status", spawned.pid())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 1, 1, "{ignored}");
}

#[test]
fn a_list_that_a_post_changed_is_validated_also_if_larder_is_killed_as_soon_as_the_post_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let posts = Arc::new(AtomicUsize::new(0));
    let origin = Origin::answering(move |request| match request.method.as_str() {
        "GET" => respond(200, &[], posts.load(Ordering::SeqCst).to_string()),
        _ => respond(201, &[], posts.fetch_add(1, Ordering::SeqCst).to_string()),
    });
    let spawned = Spawned::start(&origin.url(), &cache, &[]);
    assert_eq!(spawned.get("/items?page=1").text(), "0");
    assert_eq!(spawned.stop().code(), Some(0));
    let spawned = Spawned::start(&origin.url(), &cache, &[]);
    // the store may still be opening
    until("a hit", || spawned.get("/items?page=1").x_cache() == "HIT");
    assert_eq!(spawned.client().ask("POST", "/items", &[]).status, 201);
    spawned.kill();
    let spawned = Spawned::start(&origin.url(), &cache, &[]);
    until("another hit", || spawned.get("/items?page=1").x_cache() == "HIT");
    assert_eq!(spawned.get("/items?page=1").text(), "1");
}

#[test]
fn what_was_answered_before_the_signal_is_a_hit_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let body = |target: &str| target.repeat(5000);
    let origin = Origin::answering(move |request| respond(200, &["Cache-Control: max-age=600"], body(&request.target)));
    let targets: Vec<String> = (0..20).map(|n| format!("/{n}")).collect();
    let spawned = Spawned::start(&origin.url(), &cache, &[]);
    for target in &targets {
        assert_eq!(spawned.get(target).x_cache(), "MISS");
    }
    assert_eq!(spawned.stop().code(), Some(0));
    let spawned = Spawned::start(&origin.url(), &cache, &[]);
    for target in &targets {
        // the store may still be opening
        until("a hit", || spawned.get(target).x_cache() == "HIT");
        assert_eq!(spawned.get(target).text(), body(target));
    }
    assert_eq!(spawned.stop().code(), Some(0));
}

#[test]
fn a_killed_larder_makes_no_part_of_a_response_look_like_the_whole() {
    let (gate, folder) = (Gate::closed(), tempfile::tempdir().unwrap());
    let held = gate.clone();
    let origin = Origin::answering(move |_| {
        let half = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        vec![Step::Send(half.into()), Step::Wait(held.clone()), Step::Send("5\r\nworld\r\n0\r\n\r\n".into())]
    });
    let cache = folder.path().join("cache");
    let begun = |spawned: &Spawned| {
        let mut client = spawned.client();
        // its end is the connection's
        let mut response = client.send("GET /a HTTP/1.0\r\n\r\n").head();
        response.body = client.bytes(5);
        (client, response)
    };
    let spawned = Spawned::start(&origin.url(), &cache, &[]);
    let (mut client, mut response) = begun(&spawned);
    spawned.kill();
    client.body("GET", &mut response);
    assert_eq!(response.end, End::Broken);

    let spawned = Spawned::start(&origin.url(), &cache, &[]);
    let (mut client, mut response) = begun(&spawned);
    gate.open();
    client.body("GET", &mut response);
    assert_eq!((response.end, response.text().as_str()), (End::Closed, "helloworld"));
}

#[test]
fn what_was_answered_before_the_signal_is_a_hit_after_a_restart_also_where_it_is_large() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let body = |target: &str| target.repeat(1_000_000);
    let origin = Origin::answering(move |request| respond(200, &["Cache-Control: max-age=600"], body(&request.target)));
    let targets: Vec<String> = (0..10).map(|n| format!("/{n}")).collect();
    let spawned = Spawned::start(&origin.url(), &cache, &[]);
    thread::scope(|scope| targets.iter().for_each(|target| drop(scope.spawn(|| spawned.get(target)))));
    assert_eq!(spawned.stop().code(), Some(0));
    let spawned = Spawned::start(&origin.url(), &cache, &[]);
    // the store may still be opening
    until("a hit", || spawned.get("/small").x_cache() == "HIT");
    for target in &targets {
        let hit = spawned.client().ask("GET", target, &["Cache-Control: only-if-cached"]);
        assert_eq!((hit.status, hit.x_cache()), (200, "HIT"), "{target}");
        assert!(hit.text() == body(target), "{target}");
    }
    assert_eq!(spawned.stop().code(), Some(0));
}
