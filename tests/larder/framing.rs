//! Every way in which an origin can end a message, through the whole proxy: right bytes or a visible break, never stored
//! when not whole, never another request's answer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::support::{End, Origin, Proxy, RecordedRequest, Response, Step, respond};

const FRESH: &str = "Cache-Control: max-age=600";

fn raw(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

/// An answer made of raw bytes, after which the origin closes.
fn closing(text: &str) -> Vec<Step> {
    vec![raw(text), Step::Close]
}

/// The first request gets this answer, the later ones a good one that says which request it answers.
fn first(answer: Vec<Step>) -> Origin {
    Origin::answering(move |request: &RecordedRequest| match request.index {
        0 => answer.clone(),
        n => respond(200, &[FRESH], format!("answer to {n} {}", request.target)),
    })
}

/// Asks twice; the second answer has to be a MISS that the origin gave whole.
fn broken_and_not_stored(answer: Vec<Step>) -> Response {
    let origin = first(answer);
    let proxy = Proxy::start(&origin, &[]);
    let broken = proxy.get("/a");
    let next = proxy.get("/a");
    assert_eq!((next.x_cache(), next.text().as_str(), next.end), ("MISS", "answer to 1 /a", End::Whole));
    assert_eq!(proxy.get("/a").x_cache(), "HIT");
    broken
}

/// Asks twice: a MISS with this body, then a HIT with the same.
fn whole_and_stored(answer: Vec<Step>, body: &str) -> Response {
    let origin = first(answer);
    let proxy = Proxy::start(&origin, &[]);
    let response = proxy.get("/a");
    assert_eq!((response.text().as_str(), response.end), (body, End::Whole));
    let again = proxy.get("/a");
    assert_eq!((again.x_cache(), again.text().as_str(), again.end), ("HIT", body, End::Whole));
    assert_eq!(origin.request_count(), 1);
    response
}

/// A whole answer, then asks for something else: its answer has to be its own.
fn next_answer_is_its_own(method: &str, answer: Vec<Step>) -> Response {
    let origin = first(answer);
    let proxy = Proxy::start(&origin, &[]);
    let response = proxy.client().ask(method, "/a", &[]);
    assert_eq!(proxy.get("/b").text(), "answer to 1 /b");
    response
}

#[test]
fn a_body_that_ends_with_the_connection_is_whole_and_stored() {
    whole_and_stored(closing("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n\r\nhello"), "hello");
    whole_and_stored(closing("HTTP/1.0 200 OK\r\nCache-Control: max-age=600\r\n\r\nhello"), "hello");
}

#[test]
fn a_body_that_ends_with_a_reset_is_broken_off_and_not_stored() {
    let answer = vec![raw("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\n\r\nhello"), Step::Reset];
    let broken = broken_and_not_stored(answer);
    assert_ne!(broken.end, End::Whole);
}

#[test]
fn fewer_bytes_than_content_length_are_broken_off_and_not_stored() {
    let broken = broken_and_not_stored(closing(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 100\r\n\r\nabc",
    ));
    assert!(matches!(broken.end, End::Cut | End::Broken), "{:?}", broken.end);
}

#[test]
fn a_chunked_body_without_its_last_chunk_is_broken_off_and_not_stored() {
    for cut in ["5\r\nhello\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r\n0\r\n", "5\r\nhello\r\n0\r\nX: y\r\n"] {
        let answer =
            format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\n{cut}");
        let broken = broken_and_not_stored(closing(&answer));
        assert!(matches!(broken.end, End::Cut | End::Broken), "{cut:?}: {:?}", broken.end);
    }
}

#[test]
fn a_malformed_chunk_is_broken_off_and_not_stored() {
    for bad in
        ["ZZ\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n10000000000000005\r\n", "5\nhello\n0\n\n", "5\r\nhelloXX0\r\n\r\n"]
    {
        let answer =
            format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\n{bad}");
        let broken = broken_and_not_stored(closing(&answer));
        assert!(broken.status == 502 || matches!(broken.end, End::Cut | End::Broken), "{bad:?}: {broken:?}");
    }
}

#[test]
fn interim_responses_are_never_the_answer() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n",
    ] {
        let answer =
            format!("{interim}HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 5\r\n\r\nhello");
        whole_and_stored(vec![raw(&answer)], "hello");
    }
}

#[test]
fn an_interim_response_without_a_final_one_is_a_502() {
    assert_eq!(broken_and_not_stored(closing("HTTP/1.1 103 Early Hints\r\n\r\n")).status, 502);
    assert_eq!(broken_and_not_stored(closing(&"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(200))).status, 502);
}

#[test]
fn unasked_bytes_behind_an_answer_answer_nothing() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nEVIL!!";
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let at_once = next_answer_is_its_own("GET", vec![raw(&format!("{whole}{evil}"))]);
    assert_eq!(at_once.text(), "hello");
    let later = next_answer_is_its_own("GET", vec![raw(whole), raw(evil)]);
    assert_eq!(later.text(), "hello");
}

#[test]
fn a_204_or_304_has_no_body_whatever_its_fields_say() {
    for framing in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", ""] {
        let answer = format!("HTTP/1.1 204 No Content\r\n{framing}\r\n");
        let response = next_answer_is_its_own("GET", vec![raw(&answer)]);
        assert_eq!((response.status, response.text().as_str(), response.end), (204, "", End::Whole), "{framing:?}");
        assert!(response.field("Content-Length").is_none() && response.field("Transfer-Encoding").is_none());
    }
}

#[test]
fn a_304_with_a_length_validates_and_the_stored_body_stays() {
    let origin = Origin::answering(|request| match request.field("If-None-Match") {
        Some("\"v\"") => vec![raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"v\"\r\n\r\n")],
        _ => respond(200, &["Cache-Control: max-age=1", "ETag: \"v\""], "hello world"),
    });
    let proxy = Proxy::start(&origin, &[]);
    assert_eq!(proxy.get("/a").text(), "hello world");
    proxy.advance(5);
    let validated = proxy.get("/a");
    assert_eq!((validated.status, validated.text().as_str()), (200, "hello world"));
    assert_eq!((validated.field("Content-Length"), origin.request_count()), (Some("11"), 2));
}

#[test]
fn an_answer_to_head_has_no_body_and_bytes_behind_it_answer_nothing() {
    let response = next_answer_is_its_own("HEAD", vec![raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")]);
    assert_eq!((response.status, response.field("Content-Length")), (200, Some("5")));
}

#[test]
fn an_upgrade_field_outside_of_a_101_does_not_swallow_the_body() {
    let response = whole_and_stored(
        vec![raw(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 5\r\nUpgrade: websocket\r\n\r\nhello",
        )],
        "hello",
    );
    assert_eq!(response.field("Upgrade"), None);
}

#[test]
fn a_101_that_nobody_asked_for_is_a_502() {
    let answer = closing("HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\nraw");
    assert_eq!(broken_and_not_stored(answer).status, 502);
}

#[test]
fn ambiguous_framing_is_a_502_and_not_one_byte_of_it_is_used() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.1 099 What\r\nContent-Length: 5\r\n",
        "HTTP/1.1 20 What\r\nContent-Length: 5\r\n",
        "HTTP/2 200 OK\r\nContent-Length: 5\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5\r\n",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 5\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 5\r\n",
        "garbage\r\n",
    ] {
        let answer = format!("{head}Cache-Control: max-age=600\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        let response = broken_and_not_stored(closing(&answer));
        assert_eq!((response.status, response.text().contains("hello")), (502, false), "{head:?}");
    }
}

#[test]
fn a_head_cut_anywhere_is_a_502() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    for cut in (1..head.len()).step_by(5) {
        assert_eq!(broken_and_not_stored(closing(&head[..cut])).status, 502, "{cut}");
    }
}

#[test]
fn an_early_answer_reaches_the_client_though_its_upload_is_not_read() {
    for close in [true, false] {
        let origin = Origin::before_bodies(move |request| match request.index {
            0 if close => closing("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig"),
            0 => vec![raw("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")],
            n => respond(200, &[], format!("answer to {n} {}", request.target)),
        });
        let proxy = Proxy::start(&origin, &[]);
        let mut client = proxy.client();
        client.send("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
        let _ = client.try_send([b'x'; 1000]);
        let response = client.response("POST");
        assert_eq!((response.status, response.text().as_str()), (413, "big"), "close: {close}");
        assert_eq!(proxy.get("/b").text(), "answer to 1 /b");
    }
}

#[test]
fn an_expectation_never_reaches_the_origin_and_eats_nobodys_request() {
    let origin = Origin::before_bodies(|request| match request.method.as_str() {
        "POST" => respond(404, &[], "no such place"),
        _ => respond(200, &[], format!("for {}", request.target)),
    });
    let proxy = Proxy::start(&origin, &[]);
    let posted = proxy
        .client()
        .send("POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n0123456789")
        .response("POST");
    assert_eq!(posted.status, 404);
    assert_eq!(proxy.get("/victim").text(), "for /victim");
    assert!(origin.requests().iter().all(|request| request.field("Expect").is_none()));
}

#[test]
fn a_connection_that_the_origin_closed_is_not_used_again() {
    let origin = Origin::answering(|request| {
        let mut answer = respond(200, &[], format!("for {}", request.target));
        answer.push(Step::Close);
        answer
    });
    let proxy = Proxy::start(&origin, &["--workers", "1"]);
    for n in 0..5 {
        assert_eq!(proxy.get(&format!("/{n}")).text(), format!("for /{n}"));
    }
}

#[test]
fn a_lost_race_is_retried_for_get_and_never_for_post() {
    // the second request on each connection is swallowed: the origin closes without a byte
    let posts = Arc::new(AtomicUsize::new(0));
    let counted = posts.clone();
    let origin = Origin::answering(move |request| {
        if request.method == "POST" {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        match request.turn {
            0 => respond(200, &[], format!("for {}", request.target)),
            _ => vec![Step::Close],
        }
    });
    let proxy = Proxy::start(&origin, &["--workers", "1", "--origin-settle", "0s"]);
    assert_eq!(proxy.get("/1").text(), "for /1");
    assert_eq!(proxy.get("/2").text(), "for /2");
    let lost = proxy.client().send("POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi").response("POST");
    assert_eq!((lost.status, posts.load(Ordering::SeqCst)), (502, 1));
}

#[test]
fn more_than_96_field_lines_get_through_or_are_a_clear_502() {
    let lines = |n: usize| (0..n).map(|i| format!("X-{i}: {i}\r\n")).collect::<String>();
    let answer = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", lines(90));
    assert_eq!(next_answer_is_its_own("GET", vec![raw(&answer)]).text(), "ok");
    let answer = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", lines(5000));
    assert_eq!(next_answer_is_its_own("GET", closing(&answer)).status, 502);
}
