//! Origins that write more than they announce, a moment later (the commonest bug of handlers).

use crate::support::{Gate, Origin, Spawned, Step, TlsEnd, TlsOrigin, respond, until};

const WARNING: &str = "bytes that nobody asked for";

#[test]
fn w16_bytes_that_come_a_little_late_are_nobodys_answer_and_are_warned_of_once() {
    let evil = || respond(200, &["Cache-Control: max-age=600"], "EVIL");
    let late = Gate::closed();
    let held = late.clone();
    let origin = Origin::answering(move |request| match request.method.as_str() {
        "HEAD" => {
            vec![Step::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n".to_vec()), Step::Send(b"EVIL".to_vec())]
        }
        _ => [respond(200, &["Cache-Control: max-age=600"], &request.target), vec![Step::Wait(held.clone())], evil()]
            .concat(),
    });
    let folder = tempfile::tempdir().unwrap();
    // long: the machine that the test runs on may be busy
    let flags = ["--workers", "1", "--origin-settle", "500ms"];
    let larder = Spawned::start(&origin.url(), folder.path(), &flags);
    let mut client = larder.client();
    assert_eq!(client.get("/first").text(), "/first");
    // they come while the next request is on its way
    late.open();
    for n in 0..20 {
        let target = format!("/{n}");
        assert_eq!(client.get(&target).text(), target);
        assert_eq!(client.ask("HEAD", &format!("/head{n}"), &[]).status, 200);
    }
    for n in 0..20 {
        assert_eq!(client.get(&format!("/{n}")).text(), format!("/{n}"), "nor stored");
    }
    let mut asked = 0;
    until("it to be caught", || {
        asked += 1;
        assert_eq!(client.get(&format!("/again{asked}")).text(), format!("/again{asked}"));
        larder.log().iter().any(|line| line.contains(WARNING))
    });
    // from then on no connection is kept
    let caught = origin.connection_count();
    for n in 0..5 {
        client.get(&format!("/alone{n}"));
    }
    assert_eq!(origin.connection_count() - caught, 5);
    assert_eq!(larder.log().iter().filter(|line| line.contains(WARNING)).count(), 1);
}

#[test]
fn w16_over_tls_an_end_or_a_ticket_is_not_suspected_and_bytes_are() {
    let origin = TlsOrigin::start(|head| {
        let target = head.split(' ').nth(1).unwrap();
        let answer = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\nok";
        match target {
            "/notified" => (answer.to_owned(), TlsEnd::Notified),
            "/cut" => (answer.to_owned(), TlsEnd::Cut),
            "/talks" => (format!("{answer}EVIL"), TlsEnd::Open),
            _ => (answer.to_owned(), TlsEnd::Open),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--workers", "1", "--origin-ca", origin.ca().to_str().unwrap()];
    let larder = Spawned::start(&origin.url(), folder.path(), &flags);
    let mut client = larder.client();
    for _ in 0..5 {
        for target in ["/", "/notified", "/", "/cut", "/"] {
            assert_eq!(client.get(target).text(), "ok");
        }
    }
    assert!(!larder.log().iter().any(|line| line.contains(WARNING)), "{:#?}", larder.log());
    assert_eq!(client.get("/talks").text(), "ok");
    larder.await_line(WARNING);
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "ok");
    }
    let asked_to_close =
        origin.requests().iter().filter(|head| head.to_ascii_lowercase().contains("connection: close")).count();
    assert_eq!(asked_to_close, 5);
}
