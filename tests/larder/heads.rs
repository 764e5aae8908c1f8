//! The bytes of heads, for every kind of answer that Larder gives: spelling, order, framing. What is made up anew for each
//! run (dates, Larder's name in Via, boundaries) and the reasons' words are replaced; what they say is tested elsewhere.

use std::net::TcpListener;

use crate::support::{Client, Origin, Proxy, Step};

/// A URL where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// The origin's answer for each path. Its fields are in an order that no table of hashes has.
fn origin() -> Origin {
    Origin::answering(|request| {
        let fields = "Server: nginx\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nx-frame-options: DENY\r\nETAG: \"v1\"\r\n\
                      Via: 1.0 inner\r\nCache-Control: public, max-age=60\r\nSet-Cookie: a=1\r\nX-Cache: MISS from inner\r\n\
                      Content-Type: text/plain\r\nWWW-Authenticate: Basic\r\nSet-Cookie: b=2\r\n\
                      Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT\r\ncache-status: inner; hit\r\nconnection: x\r\nx: y\r\n";
        let answer = match request.target.as_str() {
            "/fields" => format!("HTTP/1.1 200 Fine\r\n{fields}Content-Length: 5\r\n\r\nhello"),
            "/chunked" => {
                "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                    .to_owned()
            }
            "/none" => "HTTP/1.1 204 No Content\r\nServer: s\r\n\r\n".to_owned(),
            "/odd" => "HTTP/1.1 299 Odd\r\nContent-Length: 0\r\nNEL: {}\r\n\r\n".to_owned(),
            "/hints" => "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n\
                         HTTP/1.1 404 Gone Fishing\r\ncontent-length: 2\r\ncache-control: no-store\r\n\r\nno"
                .to_owned(),
            _ => "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\nETag: \"v1\"\r\n\
                  Cache-Control: max-age=60\r\nContent-Digest: sha-256=:x:\r\nContent-Length: 5\r\n\r\nhello"
                .to_owned(),
        };
        vec![Step::Send(answer.into_bytes())]
    })
}

/// Replaces what no test can know.
fn plain(head: &[u8]) -> String {
    let head = String::from_utf8(head.to_vec()).unwrap();
    let lines = head.split("\r\n").map(|line| match line.split_once(": ") {
        Some(("Date", date)) if date != "Thu, 01 Jan 2026 00:00:00 GMT" => "Date: now".to_owned(),
        Some(("Via", via)) if via.contains("larder-") => {
            format!("Via: {}", via.split_once("larder-").map_or(via, |(protocol, _)| protocol).to_owned() + "larder")
        }
        Some(("Content-Type", kind)) if kind.contains("boundary=") => {
            format!("Content-Type: {}boundary=b", kind.split_once("boundary=").unwrap().0)
        }
        Some(("Content-Length", _)) if head.contains("problem+json") => "Content-Length: n".to_owned(),
        Some(("Cache-Status", status)) => {
            let what = status.split_once("detail=").map_or(status, |(what, _)| what);
            format!("Cache-Status: {what}{}", if what == status { "" } else { "detail" })
        }
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\r\n")
}

/// The head of the answer to this request line with these fields, each without its line end.
fn head(client: &mut Client, line: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    client.send(format!("{line}\r\nHost: larder.test\r\n{fields}\r\n"));
    let method = line.split(' ').next().unwrap();
    plain(&client.response(method).head)
}

/// One request line, its fields, and the head of the answer; each line of it ends with `|` here.
type Case<'a> = (&'a str, &'a [&'a str], &'a str);

fn wire(expected: &str) -> String {
    expected.replace('|', "\r\n") + "\r\n"
}

/// Asks each on a connection of its own.
fn assert_heads(proxy: &Proxy, cases: &[Case<'_>]) {
    for (line, fields, expected) in cases {
        assert_eq!(head(&mut proxy.client(), line, fields), wire(expected), "{line} {fields:?}");
    }
}

#[test]
fn answers_keep_the_origins_order_and_larders_fields_come_last() {
    let origin = origin();
    let proxy = Proxy::start(&origin, &[]);
    let cases: &[Case<'_>] = &[
        (
            "GET /fields HTTP/1.1",
            &[],
            "HTTP/1.1 200 OK|Content-Length: 5|Server: nginx|Date: Thu, 01 Jan 2026 00:00:00 GMT|\
             X-Frame-Options: DENY|ETag: \"v1\"|Via: 1.0 inner|Cache-Control: public, max-age=60|\
             Set-Cookie: a=1|Content-Type: text/plain|WWW-Authenticate: Basic|Set-Cookie: b=2|\
             Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT|Cache-Status: inner; hit|Via: 1.1 larder|\
             Cache-Status: larder; fwd=uri-miss; fwd-status=200; stored; detail|X-Cache: MISS|",
        ),
        (
            "GET /fields HTTP/1.1",
            &[],
            "HTTP/1.1 200 OK|Content-Length: 5|Server: nginx|Date: Thu, 01 Jan 2026 00:00:00 GMT|\
             X-Frame-Options: DENY|ETag: \"v1\"|Via: 1.0 inner|Cache-Control: public, max-age=60|\
             Content-Type: text/plain|WWW-Authenticate: Basic|Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT|\
             Cache-Status: inner; hit|Via: 1.1 larder|Age: 0|Cache-Status: larder; hit; ttl=60; detail|\
             X-Cache: HIT|",
        ),
    ];
    assert_heads(&proxy, cases);
}

#[test]
fn the_head_tells_how_the_answer_is_framed() {
    let origin = origin();
    let proxy = Proxy::start(&origin, &[]);
    let cases: &[Case<'_>] = &[
        (
            "GET /chunked HTTP/1.1",
            &[],
            "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Cache-Control: no-store|\
             Date: Thu, 01 Jan 2026 00:00:00 GMT|Via: 1.1 larder|\
             Cache-Status: larder; fwd=uri-miss; fwd-status=200; detail|X-Cache: MISS|",
        ),
        (
            "HEAD /chunked HTTP/1.1",
            &[],
            "HTTP/1.1 200 OK|Cache-Control: no-store|Date: Thu, 01 Jan 2026 00:00:00 GMT|Via: 1.1 larder|\
             Cache-Status: larder; fwd=uri-miss; fwd-status=200; detail|X-Cache: MISS|",
        ),
        (
            "GET /chunked HTTP/1.0",
            &[],
            "HTTP/1.0 200 OK|Cache-Control: no-store|Date: Thu, 01 Jan 2026 00:00:00 GMT|Via: 1.1 larder|\
             Cache-Status: larder; fwd=uri-miss; fwd-status=200; detail|X-Cache: MISS|",
        ),
        (
            "GET /none HTTP/1.1",
            &[],
            "HTTP/1.1 204 No Content|Server: s|Date: Thu, 01 Jan 2026 00:00:00 GMT|Via: 1.1 larder|\
             Cache-Status: larder; fwd=uri-miss; fwd-status=204; stored; detail|X-Cache: MISS|",
        ),
        (
            "GET /odd HTTP/1.1",
            &[],
            "HTTP/1.1 299 |Content-Length: 0|NEL: {}|Date: Thu, 01 Jan 2026 00:00:00 GMT|Via: 1.1 larder|\
             Cache-Status: larder; fwd=uri-miss; fwd-status=299; detail|X-Cache: MISS|",
        ),
    ];
    assert_heads(&proxy, cases);
}

#[test]
fn hits_and_the_parts_that_are_cut_from_them_have_these_heads() {
    let origin = origin();
    let proxy = Proxy::start(&origin, &[]);
    let cases: &[Case<'_>] = &[
        (
            "GET /a HTTP/1.1",
            &[],
            "HTTP/1.1 200 OK|Content-Length: 5|Date: Thu, 01 Jan 2026 00:00:00 GMT|Content-Type: text/plain|\
             ETag: \"v1\"|Cache-Control: max-age=60|Content-Digest: sha-256=:x:|Via: 1.1 larder|\
             Cache-Status: larder; fwd=uri-miss; fwd-status=200; stored; detail|X-Cache: MISS|",
        ),
        (
            "GET /a HTTP/1.1",
            &[],
            "HTTP/1.1 200 OK|Content-Length: 5|Date: Thu, 01 Jan 2026 00:00:00 GMT|Content-Type: text/plain|\
             ETag: \"v1\"|Cache-Control: max-age=60|Content-Digest: sha-256=:x:|Via: 1.1 larder|Age: 0|\
             Cache-Status: larder; hit; ttl=60; detail|X-Cache: HIT|",
        ),
        (
            "HEAD /a HTTP/1.1",
            &[],
            "HTTP/1.1 200 OK|Content-Length: 5|Date: Thu, 01 Jan 2026 00:00:00 GMT|Content-Type: text/plain|\
             ETag: \"v1\"|Cache-Control: max-age=60|Content-Digest: sha-256=:x:|Via: 1.1 larder|Age: 0|\
             Cache-Status: larder; hit; ttl=60; detail|X-Cache: HIT|",
        ),
        (
            "GET /a HTTP/1.1",
            &["If-None-Match: \"v1\""],
            "HTTP/1.1 304 Not Modified|Date: Thu, 01 Jan 2026 00:00:00 GMT|ETag: \"v1\"|\
             Cache-Control: max-age=60|Via: 1.1 larder|Age: 0|Cache-Status: larder; hit; ttl=60; detail|\
             X-Cache: HIT|",
        ),
        (
            "GET /a HTTP/1.1",
            &["Range: bytes=1-2"],
            "HTTP/1.1 206 Partial Content|Content-Length: 2|Date: Thu, 01 Jan 2026 00:00:00 GMT|\
             Content-Type: text/plain|ETag: \"v1\"|Cache-Control: max-age=60|Content-Range: bytes 1-2/5|\
             Via: 1.1 larder|Age: 0|Cache-Status: larder; hit; ttl=60; detail|X-Cache: HIT|",
        ),
        (
            "GET /a HTTP/1.1",
            &["Range: bytes=0-0,2-2"],
            "HTTP/1.1 206 Partial Content|Content-Length: 251|Date: Thu, 01 Jan 2026 00:00:00 GMT|ETag: \"v1\"|\
             Cache-Control: max-age=60|Content-Type: multipart/byteranges; boundary=b|Via: 1.1 larder|Age: 0|\
             Cache-Status: larder; hit; ttl=60; detail|X-Cache: HIT|",
        ),
        (
            "GET /a HTTP/1.1",
            &["Range: bytes=9-"],
            "HTTP/1.1 416 Range Not Satisfiable|Content-Length: 0|Date: Thu, 01 Jan 2026 00:00:00 GMT|\
             Cache-Control: no-store|Content-Range: bytes */5|Via: 1.1 larder|Age: 0|\
             Cache-Status: larder; hit; ttl=60; detail|X-Cache: HIT|",
        ),
        (
            "GET /a HTTP/1.0",
            &["Connection: keep-alive"],
            "HTTP/1.0 200 OK|Content-Length: 5|Connection: keep-alive|Date: Thu, 01 Jan 2026 00:00:00 GMT|\
             Content-Type: text/plain|ETag: \"v1\"|Cache-Control: max-age=60|Content-Digest: sha-256=:x:|\
             Via: 1.1 larder|Age: 0|Cache-Status: larder; hit; ttl=60; detail|X-Cache: HIT|",
        ),
        (
            "GET /a HTTP/1.0",
            &[],
            "HTTP/1.0 200 OK|Content-Length: 5|Date: Thu, 01 Jan 2026 00:00:00 GMT|Content-Type: text/plain|\
             ETag: \"v1\"|Cache-Control: max-age=60|Content-Digest: sha-256=:x:|Via: 1.1 larder|Age: 0|\
             Cache-Status: larder; hit; ttl=60; detail|X-Cache: HIT|",
        ),
        (
            "GET /a HTTP/1.1",
            &["Connection: close"],
            "HTTP/1.1 200 OK|Content-Length: 5|Connection: close|Date: Thu, 01 Jan 2026 00:00:00 GMT|\
             Content-Type: text/plain|ETag: \"v1\"|Cache-Control: max-age=60|Content-Digest: sha-256=:x:|\
             Via: 1.1 larder|Age: 0|Cache-Status: larder; hit; ttl=60; detail|X-Cache: HIT|",
        ),
    ];
    assert_heads(&proxy, cases);
}

#[test]
fn refusals_of_the_proxy_have_these_heads() {
    let origin = origin();
    let proxy = Proxy::start(&origin, &[]);
    let cases: &[Case<'_>] = &[
        (
            "GET /b HTTP/1.1",
            &["Cache-Control: only-if-cached"],
            "HTTP/1.1 504 Gateway Timeout|Date: now|Content-Length: n|Content-Type: application/problem+json|\
             Cache-Control: no-store|Proxy-Status: larder; error=proxy_internal_response|\
             Cache-Status: larder; detail|X-Cache: MISS|",
        ),
        (
            "GET /b HTTP/1.1",
            &["Expect: x"],
            "HTTP/1.1 417 Expectation Failed|Date: now|Content-Length: n|Connection: close|\
             Content-Type: application/problem+json|Cache-Control: no-store|\
             Proxy-Status: larder; error=http_request_error|Cache-Status: larder; detail|X-Cache: MISS|",
        ),
        (
            "GET /b HTTP/1.1",
            &["Upgrade: websocket"],
            "HTTP/1.1 501 Not Implemented|Date: now|Content-Length: n|Connection: close|\
             Content-Type: application/problem+json|Cache-Control: no-store|\
             Proxy-Status: larder; error=http_request_denied|Cache-Status: larder; detail|X-Cache: MISS|",
        ),
        (
            "CONNECT a:1 HTTP/1.1",
            &[],
            "HTTP/1.1 501 Not Implemented|Date: now|Content-Length: n|Connection: close|\
             Content-Type: application/problem+json|Cache-Control: no-store|\
             Proxy-Status: larder; error=http_request_denied|Cache-Status: larder; detail|X-Cache: MISS|",
        ),
        (
            "OPTIONS * HTTP/1.1",
            &[],
            "HTTP/1.1 204 No Content|Date: now|Connection: close|\
             Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY|Cache-Status: larder; detail|\
             X-Cache: MISS|",
        ),
        (
            "OPTIONS / HTTP/1.1",
            &["Max-Forwards: 0"],
            "HTTP/1.1 200 OK|Date: now|Content-Length: 0|Connection: close|\
             Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, QUERY|Cache-Status: larder; detail|\
             X-Cache: MISS|",
        ),
        (
            "GET http:// HTTP/1.1",
            &[],
            "HTTP/1.1 400 Bad Request|Date: now|Content-Length: n|Connection: close|\
             Content-Type: application/problem+json|Cache-Control: no-store|\
             Proxy-Status: larder; error=http_request_error|Cache-Status: larder; detail|X-Cache: MISS|",
        ),
    ];
    assert_heads(&proxy, cases);
}

#[test]
fn a_hint_and_the_answer_behind_it_have_these_heads() {
    let origin = origin();
    let proxy = Proxy::start(&origin, &[]);
    let mut client = proxy.client();
    client.send("GET /hints HTTP/1.1\r\nHost: larder.test\r\n\r\n");
    assert_eq!(plain(&client.raw_head()), "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    let expected = "HTTP/1.1 404 Not Found|Content-Length: 2|Cache-Control: no-store|\
     Date: Thu, 01 Jan 2026 00:00:00 GMT|Via: 1.1 larder|\
     Cache-Status: larder; fwd=uri-miss; fwd-status=404; detail|X-Cache: MISS|";
    assert_eq!(plain(&client.response("GET").head), wire(expected));
}

#[test]
fn an_error_of_the_origin_has_this_head() {
    let proxy = Proxy::before(&nobody(), &[]);
    let expected = "HTTP/1.1 502 Bad Gateway|Date: now|Content-Length: n|Content-Type: application/problem+json|\
     Cache-Control: no-store|Proxy-Status: larder; error=connection_refused|Via: 1.1 larder|\
     Cache-Status: larder; fwd=uri-miss; detail|X-Cache: MISS|";
    assert_heads(&proxy, &[("GET / HTTP/1.1", &[], expected)]);
}
