//! The direct lane and the way through actix: the bytes that a client gets are the same.

use crate::support::{Origin, Proxy, RecordedRequest, Step, respond, until};

const FRESH: &str = "Cache-Control: max-age=600";

fn answer(asked: &RecordedRequest) -> Vec<Step> {
    let date = "Date: Thu, 01 Jan 2026 00:00:00 GMT";
    let chunked = |body: &str| {
        let head = format!("HTTP/1.1 200 OK\r\n{date}\r\n{FRESH}\r\nTransfer-Encoding: chunked\r\n\r\n");
        vec![Step::Send(format!("{head}{:x}\r\n{body}\r\n0\r\nX-Trailer: t\r\n\r\n", body.len()).into())]
    };
    match asked.target.as_str() {
        "/etag" => {
            respond(200, &[date, FRESH, "ETag: \"v\"", "Last-Modified: Wed, 31 Dec 2025 00:00:00 GMT"], "tagged")
        }
        "/vary" => respond(200, &[date, FRESH, "Vary: Accept-Language"], "varied"),
        "/empty" => respond(200, &[date, FRESH], ""),
        "/large" => respond(200, &[date, FRESH], vec![b'l'; 1 << 20]),
        "/beside" => respond(200, &[date, FRESH], vec![b'b'; 300 << 10]),
        "/chunked" => chunked("in a chunk"),
        "/gone" => respond(410, &[date, FRESH], "gone"),
        "/moved" => respond(301, &[date, FRESH, "Location: /etag"], ""),
        "/204" => vec![Step::Send(format!("HTTP/1.1 204 No Content\r\n{date}\r\n{FRESH}\r\n\r\n").into())],
        "/hints" => {
            let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n".to_vec();
            [vec![Step::Send(hints)], respond(200, &[date, FRESH], "after hints")].concat()
        }
        "/cut" => {
            let head = format!("HTTP/1.1 200 OK\r\n{date}\r\n{FRESH}\r\nContent-Length: 10\r\n\r\ncut");
            vec![Step::Send(head.into()), Step::Close]
        }
        "/close" => {
            vec![Step::Send(format!("HTTP/1.1 200 OK\r\n{date}\r\n{FRESH}\r\n\r\nto the end").into()), Step::Close]
        }
        "/no-answer" => vec![Step::Close],
        "/nonsense" => vec![Step::Send(b"nonsense\r\n\r\n".to_vec())],
        "/private" => respond(200, &[date, "Cache-Control: private"], "private"),
        "/error" => respond(500, &[date], "an error"),
        _ => respond(200, &[date, FRESH], "plain"),
    }
}

/// Requests of one connection each. Each is sent twice, so that what is stored is asked for again.
fn conversations() -> Vec<Vec<u8>> {
    let line = |method: &str, target: &str, version: &str, fields: &str| {
        format!("{method} {target} HTTP/{version}\r\nHost: larder.test\r\n{fields}\r\n")
    };
    let get = |target: &str, fields: &str| line("GET", target, "1.1", fields);
    let mut all = Vec::new();
    for target in [
        "/",
        "/etag",
        "/vary",
        "/empty",
        "/large",
        "/beside",
        "/chunked",
        "/gone",
        "/moved",
        "/204",
        "/private",
        "/error",
        "/hints",
        "/cut",
        "/close",
        "/no-answer",
        "/nonsense",
    ] {
        all.push(get(target, ""));
        all.push(line("HEAD", target, "1.1", ""));
        all.push(line("GET", target, "1.0", ""));
        all.push(line("GET", target, "1.0", "Connection: keep-alive\r\n"));
        all.push(get(target, "Connection: close\r\n"));
        all.push(get(target, "TE: trailers\r\n"));
    }
    for range in ["0-0", "1-2", "-1", "9-", "0-0,2-2", "100-"] {
        all.push(get("/etag", &format!("Range: bytes={range}\r\n")));
        all.push(get("/large", &format!("Range: bytes={range}\r\n")));
    }
    for condition in
        ["If-None-Match: \"v\"", "If-None-Match: \"w\"", "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT"]
    {
        all.push(get("/etag", &format!("{condition}\r\n")));
    }
    all.push(get("/vary", "Accept-Language: de\r\n"));
    all.push(get("/", "Cache-Control: only-if-cached\r\n"));
    all.push(get("/not-stored", "Cache-Control: only-if-cached\r\n"));
    all.push(line("POST", "/", "1.1", "Content-Length: 4\r\nExpect: 100-continue\r\n") + "body");
    all.push(line("PUT", "/x", "1.1", "Transfer-Encoding: chunked\r\n") + "4\r\nbody\r\n0\r\n\r\n");
    all.push(line("OPTIONS", "*", "1.1", ""));
    all.push(line("CONNECT", "larder.test:443", "1.1", ""));
    // refusals, by the core and by the client side
    all.push("GET / HTTP/1.1\r\n\r\n".to_owned());
    all.push("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned());
    all.push("GET / HTTP/3.0\r\nHost: h\r\n\r\n".to_owned());
    all.push("nonsense\r\n\r\n".to_owned());
    all.push("GET http://other.test/ HTTP/1.1\r\nHost: other.test\r\n\r\n".to_owned());
    // pipelined: more than are answered at once, among them what is not stored and what has content
    all.push(get("/", "").repeat(40));
    let mixed =
        [get("/", ""), get("/private", ""), get("/large", ""), get("/etag", "If-None-Match: \"v\"\r\n")].concat();
    all.push(format!("{}{}GET / HTTP/1.1\r\n\r\n", mixed, line("POST", "/", "1.1", "Content-Length: 1\r\n") + "x"));
    all.into_iter().map(String::into_bytes).collect()
}

/// What two clients get, one after the other, up to the end of their connections; without what is each Larder's own.
fn heard(proxy: &Proxy, origin: &Origin, asked: &[u8]) -> Vec<String> {
    let twice = (0..2).map(|_| {
        let mut client = proxy.client();
        let _ = client.try_send(asked);
        client.finish();
        String::from_utf8_lossy(&client.rest()).into_owned()
    });
    twice.map(|text| without_own(&text).replace(&origin.url(), "ORIGIN")).collect()
}

fn without_own(text: &str) -> String {
    let own = |line: &&str| !line.starts_with("Date: ") && !line.starts_with("Via: ");
    let boundary = text.split("boundary=").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or("\0");
    let text = text.split("\r\n").filter(own).collect::<Vec<_>>().join("\n").replace(boundary, "boundary");
    // nobody wants to read a long body where a test fails
    ['l', 'b'].iter().fold(text, |text, byte| shortened(&text, *byte))
}

/// Writes the length of each long run of this byte in its place.
fn shortened(text: &str, byte: char) -> String {
    let mut short = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(&String::from(byte).repeat(100)) {
        let run = rest[at..].len() - rest[at..].trim_start_matches(byte).len();
        short += &format!("{}{run} times {byte}", &rest[..at]);
        rest = &rest[at + run..];
    }
    short + rest
}

#[test]
fn every_kind_of_reply_has_the_same_bytes_with_and_without_the_direct_lane() {
    let origins = [Origin::answering(answer), Origin::answering(answer)];
    let lane = Proxy::tuned(&origins[0], &["--host-header", "shop.test"], |config| config.client.direct = true);
    let actix = Proxy::tuned(&origins[1], &["--host-header", "shop.test"], |config| config.client.direct = false);
    // what is large is a hit only once the disk has it
    for (proxy, target) in [(&lane, "/large"), (&lane, "/beside"), (&actix, "/large"), (&actix, "/beside")] {
        until("a large response to be stored", || proxy.get(target).x_cache() == "HIT");
    }
    let before = origins.each_ref().map(Origin::request_count);
    for asked in conversations() {
        let (direct, by_actix) = (heard(&lane, &origins[0], &asked), heard(&actix, &origins[1], &asked));
        assert_eq!(direct, by_actix, "{}", String::from_utf8_lossy(&asked));
        assert!(
            direct.iter().all(|text| text.starts_with("HTTP/1.")),
            "{}: {direct:?}",
            String::from_utf8_lossy(&asked)
        );
    }
    let asked = |n: usize| origins[n].request_count() - before[n];
    assert_eq!(asked(0), asked(1));
}
