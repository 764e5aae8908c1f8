//! How a request ended, as its line in the log tells it: the status, the bytes, the end and the reason that were its own.

use crate::{
    logs::run,
    support::{Client, Gate, Origin, Step, request, respond, until},
};

#[test]
fn late_or_malformed_content_is_logged_and_counted_as_what_the_client_was_told() {
    let origin = Origin::always(respond(200, &[], "fine"));
    let run = run(&origin, &["-v", "--body-timeout", "1s"]);
    let (known, chunked) = ("Content-Length: 50", "Transfer-Encoding: chunked");
    for (target, framing, content, behind, status) in [
        ("/late", known, "hello", "", 408),
        ("/late-chunks", chunked, "5\r\nhello\r\n", "", 408),
        ("/malformed", chunked, "5\r\nhello\r\nZZ\r\n", "", 400),
        // the origin has been asked by then
        ("/malformed-later", chunked, "5\r\nhello\r\n", "ZZ\r\n", 400),
    ] {
        let mut client = run.larder.client();
        let asked = origin.connection_count();
        client.send(format!("POST {target} HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n{content}"));
        if !behind.is_empty() {
            until("the origin to be asked", || origin.connection_count() > asked);
            client.send(behind);
        }
        let answer = client.response("POST");
        let (text, detail) = (answer.text(), answer.detail());
        assert!(answer.status == status && text.contains(detail), "{target}: {answer:?}");
        let line = run.larder.await_line(&format!(" POST {target} "));
        let told = format!(" ms {} B {detail} [client 127.0.0.1, HTTP/1.1", text.len());
        assert!(line.contains(&format!(" ---- {status} POST {target} ")) && line.contains(&told), "{line}");
    }
    let log = run.larder.log();
    assert!(!log.iter().any(|line| line.contains(" WARN ")), "{log:#?}");
    assert_eq!(log.iter().filter(|line| line.contains(" POST /")).count(), 4, "{log:#?}");
}

#[test]
fn an_answer_that_larder_itself_cut_off_is_told_from_a_client_that_left() {
    let body = vec![b'x'; 8 << 20];
    let origin = Origin::answering(move |_| respond(200, &["Cache-Control: no-store"], &body));
    let run = run(&origin, &["--write-timeout", "1s"]);
    let mut client = Client::connect_as_from_afar(run.larder.address);
    client.send(request("GET", "/unread", &[]));
    let line = run.larder.await_line(" MISS 200 GET /unread ");
    assert!(line.ends_with(" not stored: Cache-Control: no-store (cut off: --write-timeout)"), "{line}");
}

#[test]
fn what_was_not_stored_in_the_end_is_not_said_to_be_stored() {
    let chunk = [b"10000\r\n", &vec![b'x'; 0x10000][..], b"\r\n"].concat();
    let head = |rest: &str| format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{rest}\r\n\r\n").into_bytes();
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match request.target.as_str() {
        "/half" => vec![Step::Send([head("Content-Length: 10"), b"half".to_vec()].concat()), Step::Close],
        "/long" => {
            let chunks = [chunk.repeat(32), b"0\r\n\r\n".to_vec()].concat();
            vec![Step::Send([head("Transfer-Encoding: chunked"), chunks].concat())]
        }
        _ => vec![
            Step::Send([head("Transfer-Encoding: chunked"), b"5\r\nhello\r\n".to_vec()].concat()),
            Step::Wait(held.clone()),
        ],
    });
    let run = run(&origin, &["--max-object", "1MiB"]);
    for (target, ending) in
        [("/half", " 4 B not stored (broken off)"), ("/long", " 2097152 B not stored: larger than --max-object")]
    {
        run.larder.get(target);
        let line = run.larder.await_line(&format!(" MISS 200 GET {target} "));
        assert!(line.ends_with(ending), "{line}");
    }
    let mut client = run.larder.client();
    client.send(request("GET", "/left", &[])).head();
    assert_eq!(client.bytes(10), b"5\r\nhello\r\n");
    client.reset();
    let line = run.larder.await_line(" MISS 200 GET /left ");
    assert!(line.ends_with(" 5 B not stored yet (left)"), "{line}");
    gate.open();
}

#[test]
fn the_size_in_a_line_is_that_of_the_body_that_was_sent() {
    let origin = Origin::always(vec![Step::Close]);
    let run = run(&origin, &["-v"]);
    for (method, target) in [("HEAD", "/dead"), ("HEAD", "nonsense"), ("GET", "/dead2")] {
        let answer = run.larder.client().ask(method, target, &[]);
        let line = run.larder.await_line(&format!(" {method} {target} "));
        assert!(line.contains(&format!(" ms {} B ", answer.body.len())), "{line}: {answer:?}");
    }
    let answer = run.larder.client().send("GET /refused HTTP/1.1\r\n\r\n").response("GET");
    let line = run.larder.await_line(" GET /refused ");
    assert!(line.contains(&format!(" ms {} B ", answer.body.len())), "{line}: {answer:?}");
}

#[test]
fn a_malformed_request_line_leaves_no_holes_in_its_line_and_claims_no_version() {
    let origin = Origin::always(respond(200, &[], "fine"));
    let run = run(&origin, &["-v"]);
    for (sent, begins, of_client) in [
        ("GET  HTTP/1.1\r\nHost: h\r\n\r\n", " ---- 400 GET - ", " [client 127.0.0.1"),
        ("POST /x\r\n\r\n", " ---- 400 POST /x ", " [client 127.0.0.1]"),
        ("\x16\x03\x01 x\r\n\r\n", " ---- 400 - - ", " [client 127.0.0.1]"),
    ] {
        let answer = run.larder.client().send(sent).response("GET");
        let line = run.larder.await_line(begins);
        assert!(line.contains(of_client) && answer.status == 400, "{line}");
        assert!(line.contains(answer.detail()) && answer.text().contains(answer.detail()), "{line}: {answer:?}");
    }
}
