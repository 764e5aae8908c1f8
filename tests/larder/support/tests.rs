//! The tests' own tools, tested: what they claim of a message must be true.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use larder::clock;

use super::{CANARY, Client, End, Gate, Origin, SlowDisk, Spawned, Step, message, request, respond};

fn cut(bytes: &str) -> Vec<Step> {
    vec![Step::Send(bytes.as_bytes().to_vec()), Step::Close]
}

#[test]
fn the_client_knows_a_whole_message_from_a_cut_one() {
    for (answer, body, end) in [
        (respond(200, &[], "hello"), "hello", End::Whole),
        (cut("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"), "hello", End::Cut),
        (cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), "hello", End::Cut),
        (
            cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n"),
            "hello",
            End::Whole,
        ),
        (cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nhello\r\n"), "", End::Broken),
        (cut("HTTP/1.1 200 OK\r\n\r\nhello"), "hello", End::Closed),
        (cut("HTTP/1.1 204 No\r\n\r\n"), "", End::Whole),
    ] {
        let origin = Origin::always(answer);
        let response = Client::connect(origin.address).get("/");
        assert_eq!((response.text().as_str(), response.end), (body, end));
    }
}

#[test]
fn a_reset_is_broken() {
    let gate = Gate::closed();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".to_vec();
    let origin = Origin::always(vec![Step::Send(answer), Step::Wait(gate.clone()), Step::Reset]);
    let mut client = Client::connect(origin.address);
    let mut response = client.send(request("GET", "/", &[])).head();
    response.body = client.bytes(5);
    gate.open();
    client.body("GET", &mut response);
    assert_eq!((response.text().as_str(), response.end), ("hello", End::Broken));
}

#[test]
fn the_origin_records_what_it_was_asked_on_which_connection() {
    let origin =
        Origin::answering(|request| respond(200, &["X-A: 1"], format!("{} {}", request.method, request.target)));
    let mut client = Client::connect(origin.address);
    assert_eq!(client.get("/a").text(), "GET /a");
    client.send("POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_eq!(client.response("POST").text(), "POST /b");
    assert_eq!(Client::connect(origin.address).ask("GET", "/c", &["Cookie: a"]).field("x-a"), Some("1"));
    let seen: Vec<_> = origin.requests().iter().map(|r| (r.index, r.connection, r.turn, r.body.len())).collect();
    assert_eq!(seen, [(0, 0, 0, 0), (1, 0, 1, 5), (2, 1, 0, 0)]);
    assert_eq!(origin.requests()[2].field("cookie"), Some("a"));
    assert!(origin.requests()[0].head.starts_with(b"GET /a HTTP/1.1\r\nHost: larder.test\r\n"));
    assert_eq!((origin.request_count(), origin.connection_count()), (3, 2));
    drop(client);
    origin.await_no_connections();
}

#[test]
fn a_script_answers_in_turn_and_then_complains() {
    let origin = Origin::script(vec![respond(200, &[], "one"), respond(404, &[], "two")]);
    let mut client = Client::connect(origin.address);
    assert_eq!([client.get("/").status, client.get("/").status, client.get("/").status], [200, 404, 500]);
}

#[test]
fn an_answer_can_be_held_and_can_come_before_the_body() {
    let gate = Gate::closed();
    let held = gate.clone();
    let calls = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let origin = Origin::before_bodies(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        vec![
            Step::Send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".to_vec()),
            Step::Wait(held.clone()),
            Step::Send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n".to_vec()),
            Step::ReadBody,
        ]
    });
    let mut client = Client::connect(origin.address);
    client.send("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n");
    origin.await_requests(1);
    gate.open();
    let response = client.response("POST");
    assert_eq!((response.status, response.interim[0].0), (413, 103));
    assert_eq!(client.send("abcd").get("/next").status, 413);
    assert_eq!(origin.await_requests(2)[0].body, b"abcd");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

/// Is interrupted before each read, as a socket with a timeout is in a process that was stopped and goes on.
struct Interrupted<'a>(&'a [u8], bool);

impl io::Read for Interrupted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { io::Read::read(&mut self.0, into) }
    }
}

#[test]
fn an_interrupted_read_goes_on() {
    let mut read = Vec::new();
    message::read_to_end(&mut Interrupted(b"all of it", false), &mut Vec::new(), &mut read).unwrap();
    assert_eq!(read, b"all of it");
}

#[test]
fn a_secret_in_what_a_program_says_fails_the_test_that_started_it() {
    let says = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stderr(Stdio::piped());
        let spawned = Spawned::at(([127, 0, 0, 1], 9).into(), &mut command);
        catch_unwind(AssertUnwindSafe(|| spawned.wait())).is_ok()
    };
    assert!(says("echo nothing; echo nothing >&2"));
    assert!(!says(&format!("echo 'first\nthe {CANARY} of the origin'")));
    assert!(!says(&format!("printf '\\377\n%s' {CANARY} >&2")));
}

#[test]
fn a_slow_disk_delays_and_refuses_what_its_rules_name_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let disk = SlowDisk::new(folder.path());
    let runs = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(folder.path()).stderr(Stdio::null());
        let began = clock::instant();
        (disk.under(&mut command).status().unwrap().success(), began.elapsed())
    };
    let delay = Duration::from_millis(200);
    disk.rules(&["unlink /gone 200", "sync /synced 200", "write /synced 100", "unlink /kept 3600000", "link / EPERM"]);
    assert!(runs(": > gone; rm gone").1 >= delay);
    assert!(runs("echo > synced").1 >= delay / 2);
    // sync writes nothing itself
    assert!(runs("sync synced").1 >= delay);
    assert!(!runs(": > a; ln a b").0 && !folder.path().join("b").exists());
    disk.rules(&["open /kept 200"]);
    assert!(runs("cat < kept; : > kept").1 >= delay);
    // the rule that was there would hold it up for an hour
    assert!(runs("rm kept; : > a; ln a b").0 && folder.path().join("b").exists());
    disk.rules(&[]);
    assert!(runs("rm a b").0);
}
