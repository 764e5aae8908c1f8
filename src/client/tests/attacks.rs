//! The catalogue's rows on request framing that this side owns (S01 to S28): one answer, an end, nothing smuggled.

use super::rig::{Server, blind, echo, get, last, statuses};
use crate::client::Options;

/// What comes back when `bytes` and another request behind them are sent.
fn answers(server: &Server, bytes: &str) -> Vec<u16> {
    let text = server.ask(bytes.to_owned() + &get("/smuggled"));
    assert!(!text.contains("smuggled"), "{bytes:?}: {text}");
    statuses(&text)
}

#[test]
fn requests_that_two_parsers_could_frame_differently_are_refused() {
    let server = Server::start(Options::default(), echo);
    for (row, request) in [
        ("S01", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"),
        ("S02", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n"),
        ("S03", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("S04", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        ("S06", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        ("S07", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 05\r\n\r\nhello"),
        ("S09", "POST /a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("S10", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n"),
        ("S11", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nhello\r\n0\r\n\r\n"),
        ("S12", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n"),
        ("S13", "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\n"),
        ("S14", "POST /a HTTP/1.1\nHost: h\nContent-Length: 5\n\nhello"),
        ("S15", "GET /a\r\n\r\n"),
        ("S22", "GET /a HTTP/1.1\r\n\r\n"),
    ] {
        assert_eq!(answers(&server, request), [400], "{row}");
    }
    let huge = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\n";
    assert_eq!(answers(&server, huge), [413], "S08");
    assert_eq!(answers(&server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), [505], "S26");
}

#[test]
fn an_endless_extension_or_trailer_is_cut_short() {
    let server = Server::start(Options::default(), echo);
    let chunked = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(answers(&server, &format!("{chunked}5;{}", "a".repeat(20_000))), [400], "S11");
    assert_eq!(answers(&server, &format!("{chunked}0\r\n{}", "a: b\r\n".repeat(3_000))), [400], "S13");
}

#[test]
fn connect_and_websocket_get_their_answer_and_the_end() {
    let server = Server::start(Options::default(), blind);
    for request in [
        "CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\n",
    ] {
        assert_eq!(answers(&server, request), [200], "S16, S17");
    }
}

#[test]
fn an_upgrade_that_is_not_made_leaves_an_ordinary_request() {
    let server = Server::start(Options::default(), |presented: crate::client::Presented| async move {
        let upgrade = presented.fields.first(&http::header::UPGRADE).cloned();
        super::rig::text_reply(200, format!("{} {upgrade:?}", presented.target))
    });
    let text = server.ask(
        "GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n".to_owned() + &last("GET", "/admin"),
    );
    assert_eq!(statuses(&text), [200, 200], "{text}");
    assert!(text.contains("/x Some(\"foo\")") && text.contains("/admin None"));
}

#[test]
fn earlier_answers_are_complete_when_a_later_request_is_malformed() {
    let server = Server::start(Options::default(), echo);
    let text = server.ask(get("/1") + &get("/2") + "GET /3\r\n\r\n" + &get("/4"));
    assert_eq!(statuses(&text), [200, 200, 400], "S27");
    assert!(text.contains("GET /1 []") && text.contains("GET /2 []") && !text.contains("/4"));
}

#[test]
fn a_refusal_is_not_overtaken_by_a_reset() {
    let server = Server::start(Options::default(), echo);
    let mut client = server.connect();
    client.send("GET /a\r\n\r\n".to_owned() + &"x".repeat(1 << 20));
    client.end_sending();
    let rest = client.rest();
    assert_eq!((statuses(&rest.text), rest.broken), (vec![400], None));
}
