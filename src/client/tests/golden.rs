//! The bytes of every kind of response that the client side writes. Only Date is replaced, where Larder makes it up.

use std::time::Duration;

use bytes::Bytes;

use super::{
    replies::stream,
    rig::{Server, echo, get, last},
};
use crate::{
    client::{Options, Presented, Reply, ReplyBody, Trailers},
    message::{FieldName, FieldValue, Fields, StatusCode},
};

fn fields(lines: &[(&'static str, &'static str)]) -> Fields {
    lines.iter().map(|(name, value)| (FieldName::from_static(name), FieldValue::from_static(value))).collect()
}

fn reply(status: u16, lines: &[(&'static str, &'static str)], body: ReplyBody) -> Reply {
    Reply {
        status: StatusCode::from_u16(status).unwrap(),
        written: None,
        fields: fields(lines),
        body,
        trailers: Trailers::default(),
    }
}

fn bytes(text: &'static str) -> ReplyBody {
    ReplyBody::Bytes(Bytes::from_static(text.as_bytes()))
}

/// Answers each path with the reply of that name.
async fn core(presented: Presented) -> Reply {
    let parts = "--b\r\nContent-Range: bytes 0-0/5\r\n\r\nh\r\n--b--\r\n";
    match presented.target.as_str() {
        "/repeats" => reply(
            200,
            &[
                ("server", "nginx"),
                ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
                ("set-cookie", "a=1"),
                ("etag", "\"x\""),
                ("content-length", "999"),
                ("x-odd_name", "y"),
                ("set-cookie", "b=2"),
                ("connection", "x"),
                ("via", "1.1 a"),
                ("transfer-encoding", "gzip"),
                ("via", "1.1 larder"),
                ("age", "7"),
                ("cache-status", "larder; hit"),
                ("x-cache", "HIT"),
            ],
            bytes("hello"),
        ),
        "/empty" => reply(200, &[], ReplyBody::Empty(None)),
        "/stream" => reply(200, &[("content-type", "text/plain")], stream(None, &[Ok("one"), Ok(""), Ok("two")])),
        "/sized" => reply(200, &[], stream(Some(6), &[Ok("one"), Ok("two")])),
        "/none" => reply(204, &[("x-cache", "MISS")], bytes("never sent")),
        "/304" => reply(304, &[("etag", "\"x\"")], ReplyBody::Empty(None)),
        "/304-sized" => reply(304, &[("etag", "\"x\"")], ReplyBody::Empty(Some(5))),
        "/206" => reply(206, &[("content-range", "bytes 1-2/5")], bytes("el")),
        "/parts" => reply(206, &[("content-type", "multipart/byteranges; boundary=b")], bytes(parts)),
        "/416" => reply(416, &[("content-range", "bytes */5")], ReplyBody::Empty(Some(0))),
        "/odd" => reply(299, &[], bytes("")),
        "/odd-5xx" => reply(599, &[], bytes("")),
        "/bad" => reply(400, &[], bytes("bad")),
        "/502" => reply(502, &[("content-type", "application/problem+json"), ("x-cache", "MISS")], bytes("{}\n")),
        "/broken" => reply(200, &[], stream(None, &[Ok("one"), Err(())])),
        "/broken-sized" => reply(200, &[], stream(Some(10), &[Ok("one"), Err(())])),
        "/hints" => {
            let hint = fields(&[("link", "</s>; rel=preload"), ("content-length", "9")]);
            for status in [103, 102, 199, 100, 101] {
                presented.connection.send_interim(StatusCode::from_u16(status).unwrap(), &hint);
            }
            reply(200, &[], bytes("hinted"))
        }
        "/last" => {
            presented.connection.close_after();
            reply(200, &[], bytes("bye"))
        }
        _ => reply(200, &[], bytes("hello")),
    }
}

/// The text with each made-up date replaced.
fn undated(text: &str) -> String {
    let lines = text.split("\r\n").map(|line| match line.strip_prefix("Date: ") {
        Some(date) if httpdate::parse_http_date(date).is_ok() && !date.contains("1970") => "Date: now",
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\r\n")
}

/// All that comes back until the connection's end.
fn all(server: &Server, request: &str) -> String {
    undated(&server.ask(request))
}

fn old(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.0\r\n{fields}\r\n")
}

fn head(target: &str) -> String {
    last("HEAD", target)
}

#[test]
fn replies_of_the_core_are_these_bytes() {
    let server = Server::start(Options::default(), core);
    for (request, response) in [
        (last("GET", "/"), "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"),
        (
            last("GET", "/repeats"),
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nServer: nginx\r\n\
             Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nSet-Cookie: a=1\r\nETag: \"x\"\r\nX-Odd_name: y\r\n\
             Set-Cookie: b=2\r\nVia: 1.1 a\r\nVia: 1.1 larder\r\nAge: 7\r\nCache-Status: larder; hit\r\nX-Cache: HIT\r\n\r\n\
             hello",
        ),
        (
            get("/") + &last("GET", "/empty"),
            "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\n\r\nhello\
             HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        (
            get("/stream") + &last("GET", "/sized"),
            "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n\
             3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n\
             HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 6\r\nConnection: close\r\n\r\nonetwo",
        ),
        (
            old("/stream", "Connection: keep-alive\r\n"),
            "HTTP/1.0 200 OK\r\nDate: now\r\nContent-Type: text/plain\r\n\r\nonetwo",
        ),
        (
            old("/sized", "Connection: keep-alive\r\n") + &old("/", ""),
            "HTTP/1.0 200 OK\r\nDate: now\r\nContent-Length: 6\r\nConnection: keep-alive\r\n\r\nonetwo\
             HTTP/1.0 200 OK\r\nDate: now\r\nContent-Length: 5\r\n\r\nhello",
        ),
        (
            get("/none") + &get("/304") + &last("GET", "/304-sized"),
            "HTTP/1.1 204 No Content\r\nDate: now\r\nX-Cache: MISS\r\n\r\n\
             HTTP/1.1 304 Not Modified\r\nDate: now\r\nETag: \"x\"\r\n\r\n\
             HTTP/1.1 304 Not Modified\r\nDate: now\r\nContent-Length: 5\r\nConnection: close\r\nETag: \"x\"\r\n\r\n",
        ),
        (head("/"), "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"),
        (head("/sized"), "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 6\r\nConnection: close\r\n\r\n"),
        (head("/none"), "HTTP/1.1 204 No Content\r\nDate: now\r\nConnection: close\r\nX-Cache: MISS\r\n\r\n"),
        (head("/stream"), "HTTP/1.1 200 OK\r\nDate: now\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"),
        (
            get("/206") + &get("/parts") + &last("GET", "/416"),
            "HTTP/1.1 206 Partial Content\r\nDate: now\r\nContent-Length: 2\r\nContent-Range: bytes 1-2/5\r\n\r\nel\
             HTTP/1.1 206 Partial Content\r\nDate: now\r\nContent-Length: 45\r\n\
             Content-Type: multipart/byteranges; boundary=b\r\n\r\n\
             --b\r\nContent-Range: bytes 0-0/5\r\n\r\nh\r\n--b--\r\n\
             HTTP/1.1 416 Range Not Satisfiable\r\nDate: now\r\nContent-Length: 0\r\nConnection: close\r\n\
             Content-Range: bytes */5\r\n\r\n",
        ),
        (
            get("/odd") + &last("GET", "/odd-5xx"),
            "HTTP/1.1 299 \r\nDate: now\r\nContent-Length: 0\r\n\r\n\
             HTTP/1.1 599 \r\nDate: now\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        (
            get("/bad") + &get("/never"),
            "HTTP/1.1 400 Bad Request\r\nDate: now\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbad",
        ),
        (
            get("/502") + &get("/last") + &get("/never"),
            "HTTP/1.1 502 Bad Gateway\r\nDate: now\r\nContent-Length: 3\r\nContent-Type: application/problem+json\r\n\
             X-Cache: MISS\r\n\r\n{}\n\
             HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbye",
        ),
        (get("/broken"), "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"),
        (get("/broken-sized"), "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 10\r\n\r\none"),
        (
            last("GET", "/hints"),
            "HTTP/1.1 103 Early Hints\r\nLink: </s>; rel=preload\r\n\r\n\
             HTTP/1.1 102 Processing\r\nLink: </s>; rel=preload\r\n\r\n\
             HTTP/1.1 199 \r\nLink: </s>; rel=preload\r\n\r\n\
             HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhinted",
        ),
        (old("/hints", ""), "HTTP/1.0 200 OK\r\nDate: now\r\nContent-Length: 6\r\n\r\nhinted"),
    ] {
        assert_eq!(all(&server, &request), response, "{request:?}");
    }
}

/// A refusal's bytes. `error`: the one in Proxy-Status.
fn refusal(status: &str, error: &str, detail: &str) -> String {
    let (code, title) = status.split_once(' ').unwrap();
    let body = format!("{{\"title\":\"{title}\",\"status\":{code},\"detail\":\"{detail}\"}}\n");
    format!(
        "HTTP/1.1 {status}\r\nDate: now\r\nContent-Length: {}\r\nConnection: close\r\n\
         Content-Type: application/problem+json\r\nCache-Control: no-store\r\nProxy-Status: larder; error={error}\r\n\
         Cache-Status: larder; detail=\"{detail}\"\r\nX-Cache: MISS\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn refusals_of_the_client_side_are_these_bytes() {
    const ERROR: &str = "http_request_error";
    let options = Options {
        max_target: 20,
        max_fields: 3,
        max_method: 5,
        head_timeout: Duration::from_millis(60),
        body_timeout: Duration::from_millis(60),
        ..Options::default()
    };
    let server = Server::start(options, echo);
    let post = |body: &str| format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let with = |field: &str| format!("POST / HTTP/1.0\r\nHost: h\r\n{field}\r\n\r\n");
    for (request, status, error, detail) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400 Bad Request", ERROR, "A request needs exactly one Host field."),
        (post("x\r\n"), "400 Bad Request", ERROR, "A chunk size is malformed."),
        (post("1\r\n"), "408 Request Timeout", ERROR, "The request's body did not come in time."),
        ("GET / HT".to_owned(), "408 Request Timeout", ERROR, "The request's head did not end in time."),
        (
            with("Content-Length: 9999999999999999999"),
            "413 Payload Too Large",
            ERROR,
            "The request's body is too large.",
        ),
        (last("GET", &"/a".repeat(20)), "414 URI Too Long", ERROR, "The request-target is too long."),
        (
            with("A: b\r\nC: d\r\nE: f"),
            "431 Request Header Fields Too Large",
            ERROR,
            "The request has too many fields.",
        ),
        (last("LONGER", "/"), "501 Not Implemented", "http_request_denied", "The method is too long."),
        (
            "PRI * HTTP/2.0\r\n\r\n".to_owned(),
            "505 HTTP Version Not Supported",
            "http_request_denied",
            "Only HTTP/1.1 and HTTP/1.0 are served here.",
        ),
    ] {
        assert_eq!(all(&server, &request), refusal(status, error, detail), "{request:?}");
    }
}

#[test]
fn connections_over_a_limit_get_these_bytes() {
    let one = |status: &str, detail: &str, options: Options| {
        let server = Server::start(options, core);
        let mut held = server.connect();
        held.send(get("/"));
        held.until("hello");
        assert_eq!(undated(&server.connect().rest().text), refusal(status, "http_request_denied", detail));
    };
    let options = Options { max_connections: 1, ..Options::default() };
    one("503 Service Unavailable", "Too many connections are open.", options);
    let options = Options { max_connections_per_address: 1, ..Options::default() };
    one("429 Too Many Requests", "Too many connections are open from this address.", options);
}

#[test]
fn the_answer_to_an_expectation_is_these_bytes() {
    let server = Server::start(Options::default(), echo);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("ok");
    let answer = undated(&client.until("[ok]"));
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 11\r\n\r\nPOST / [ok]");
}
