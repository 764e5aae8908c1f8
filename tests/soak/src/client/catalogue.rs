//! Requests that have to be refused, by their names in the project's catalogue of attacks.

use super::attack::MARKER;
use crate::{random::Rng, resource::CANARY};

pub struct Attack {
    /// For people.
    pub name: String,
    pub bytes: Vec<u8>,
    /// Up to here it may come in pieces.
    pub head: usize,
}

/// Field lines of a POST, and what comes behind its head.
const FIELDS: [(&str, &str, &str); 51] = [
    ("S01", "Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\nG"),
    ("S02", "Transfer-Encoding: chunked\r\nContent-Length: 4", "5c\r\n"),
    ("S03", "Transfer-Encoding: xchunked", "0\r\n\r\n"),
    ("S03", "Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
    ("S03", "Transfer-Encoding: identity, chunked", "0\r\n\r\n"),
    ("S03", "Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
    ("S03", "Transfer-Encoding: ,chunked", "0\r\n\r\n"),
    ("S03", "Transfer-Encoding: \"chunked\"", "0\r\n\r\n"),
    ("S03", "Transfer-Encoding: chunked;q=1", "0\r\n\r\n"),
    ("S03", "Transfer-Encoding: \x0bchunked", "0\r\n\r\n"),
    ("S03", "Transfer-Encoding:", "0\r\n\r\n"),
    ("S03", "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow", "0\r\n\r\n"),
    ("S04", "Transfer-Encoding : chunked", "0\r\n\r\n"),
    ("S04", " Transfer-Encoding: chunked", "0\r\n\r\n"),
    ("S04", "Transfer-Encoding\0: chunked", "0\r\n\r\n"),
    ("S04", "X: a\r\n Transfer-Encoding: chunked", "0\r\n\r\n"),
    ("S06", "Content-Length: 5\r\nContent-Length: 5", "hello"),
    ("S06", "Content-Length: 5\r\nContent-Length: 6", "hello"),
    ("S06", "Content-Length: 5, 5", "hello"),
    ("S07", "Content-Length: +5", "hello"),
    ("S07", "Content-Length: -5", "hello"),
    ("S07", "Content-Length: 0x5", "hello"),
    ("S07", "Content-Length: 5a", "hello"),
    ("S07", "Content-Length: 1e1", "hello"),
    ("S07", "Content-Length: ", "hello"),
    ("S07", "Content-Length: 5_0", "hello"),
    ("S07", "Content-Length: 05", "hello"),
    ("S07", "Content-Length: 18446744073709551616", "hello"),
    ("S08", "Content-Length: 18446744073709551615", ""),
    ("S14", "X: a\rY: b\r\nContent-Length: 5", "hello"),
    ("S14", "X: a\nY: b\r\nContent-Length: 5", "hello"),
    ("S14", "X: a\0b\r\nContent-Length: 5", "hello"),
    ("S14", "X: a\x7fb\r\nContent-Length: 5", "hello"),
    ("S14", "X: a\x01b\r\nContent-Length: 5", "hello"),
    ("obs-fold", "X: a\r\n b\r\nContent-Length: 5", "hello"),
    ("obs-fold", "X: a\r\n\tb\r\nContent-Length: 5", "hello"),
    ("no name", ": a\r\nContent-Length: 5", "hello"),
    ("no colon", "nothing\r\nContent-Length: 5", "hello"),
    ("S16", "Upgrade: websocket\r\nConnection: upgrade", ""),
    ("S16", "Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 5", "hello"),
    ("S21", "Expect: 200-ok\r\nContent-Length: 5", "hello"),
    ("S21", "Expect: y 100-continue\r\nContent-Length: 5", "hello"),
    ("S22", "Host: soak.test\r\nContent-Length: 5", "hello"),
    ("S22", "Host : soak.test\r\nContent-Length: 5", "hello"),
    ("S25", "Connection: Host\r\nContent-Length: 5", "hello"),
    ("S25", "Connection: Content-Length\r\nContent-Length: 5", "hello"),
    ("S25", "Connection: close, Authorization, Cookie\r\nContent-Length: 5", "hello"),
    ("S25", "Connection: Cache-Control\r\nContent-Length: 5", "hello"),
    ("S25", "Connection: X-Forwarded-For\r\nContent-Length: 5", "hello"),
    ("S07", "Content-Length: 5;", "hello"),
    ("S10", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
];

/// Chunked content.
const CHUNKS: [(&str, &str); 34] = [
    ("S10", " 5\r\nhello\r\n0\r\n\r\n"),
    ("S10", "+5\r\nhello\r\n0\r\n\r\n"),
    ("S10", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("S10", "5_0\r\nhello\r\n0\r\n\r\n"),
    ("S10", "5\nhello\r\n0\r\n\r\n"),
    ("S10", "5 \r\nhello\r\n0\r\n\r\n"),
    ("S10", "\r\nhello\r\n0\r\n\r\n"),
    ("S10", ";\r\nhello\r\n0\r\n\r\n"),
    ("S10", "-1\r\nhello\r\n0\r\n\r\n"),
    ("S10", "05\r\nhello\r\n0\r\n\r\n"),
    ("S10", "FFFFFFFFFFFFFFED\r\nhello\r\n0\r\n\r\n"),
    ("S10", "FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
    ("S10", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("S10", "000000000000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("S11", "5;a\nhello\r\n0\r\n\r\n"),
    ("S11", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("S11", "5\r\r;a\r\nhello\r\n0\r\n\r\n"),
    ("S11", "5;\0\r\nhello\r\n0\r\n\r\n"),
    ("S11", "5;a=\"\r\nhello\r\n0\r\n\r\n"),
    ("S11", "5;\r\nhello\r\n0\r\n\r\n"),
    ("S11", "5;a=\"x\\\"\r\nGET /smuggled HTTP/1.1\r\nHost: soak.test\r\n\r\n\"\r\nhello\r\n0\r\n\r\n"),
    ("S12", "5\r\nhelloXX0\r\n\r\n"),
    ("S12", "d\r\nSpurious CRLF\r\n\r\n0\r\n\r\n"),
    ("S12", "1\r\nZ  2\r\n3d\r\n0\r\n\r\nPOST /smuggled HTTP/1.1\r\n"),
    ("S12", "5\r\nhello\n0\r\n\r\n"),
    ("S12", "5\r\nhello0\r\n\r\n"),
    ("S12", "5\r\nhello\r\n05\r\nhello\r\n0\r\n\r\n"),
    ("S13", "5\r\nhello\r\n0\r\nX: y\n\nGET /smuggled HTTP/1.1\r\nHost: soak.test\r\n\r\n"),
    ("S13", "5\r\nhello\r\n0\r\n\0\x01 no colon\r\n\r\n"),
    ("S13", "5\r\nhello\r\n0\r\nX : y\r\n\r\n"),
    ("S13", "5\r\nhello\r\n0\r\n X: y\r\n\r\n"),
    ("S13", "0\r\nX: y\n\n"),
    ("S13", "0\r\nno colon\r\n\r\n"),
    ("S13", "0\r\n: y\r\n\r\n"),
];

/// Request lines; `@` is the target.
const LINES: [(&str, &str); 20] = [
    ("S15", "GET @"),
    ("S15", "GET @ HTTP/1.10"),
    ("S15", "GET @ HTTP/1.2"),
    ("S15", "GET @ HTTP/2.0"),
    ("S15", "GET @ HTTP/0.9"),
    ("S15", "GET @ http/1.1"),
    ("S15", "GET  @ HTTP/1.1"),
    ("S15", "GET @  HTTP/1.1"),
    ("S15", "GET\t@ HTTP/1.1"),
    ("S15", "GET @ b HTTP/1.1"),
    ("S15", "GET @ HTTP/1.1 "),
    ("S15", " GET @ HTTP/1.1"),
    ("S15", "G(T @ HTTP/1.1"),
    ("S17", "CONNECT @ HTTP/1.1"),
    ("S17", "CONNECT evil:443 HTTP/1.1"),
    ("S14", "GET @ HTTP/1.1\nX: y"),
    ("S09", "POST @ HTTP/1.0\r\nTransfer-Encoding: chunked"),
    ("S19", "TRACE @ HTTP/1.1\r\nContent-Length: 5"),
    ("S26", "PRI * HTTP/2.0"),
    ("S15", "GET HTTP/1.1"),
];

/// Hosts that are none, and targets that are neither path nor URL.
const HOSTS: [&str; 15] =
    ["", "a, b", "a@b", "a/b", "a:99999", "a b", "a\0b", "[::1", "..", "a.:1.2", "a?b", "a#b", "a\\b", "a:b", ":80"];
const TARGETS: [&str; 20] = [
    "*",
    "evil",
    "http:evil",
    "evil:80",
    "?x=1",
    "@evil/",
    "@#f",
    "\\a",
    "/\\evil",
    "/a\\b",
    "http://",
    "http:///x",
    "http://evil@",
    "https://soak.test/",
    "http://soak.test:81/",
    "ftp://soak.test/",
    "http://user:CANARY-7f3a@soak.test/",
    "http://@soak.test/",
    "http://soak.test@evil/",
    "/a\x7fb",
];

/// Ways to write Transfer-Encoding; `\u{1}` stands for a byte that a sloppy parser could skip (S05).
const SPELLED: [&str; 5] = [
    "\u{1}Transfer-Encoding: chunked",
    "Transfer-Encoding\u{1}: chunked",
    "Transfer-Encoding:\u{1}chunked",
    "Transfer-Encoding: chunked\u{1}",
    "Transfer\u{1}Encoding: chunked",
];

/// How many more ways there are: those that are no head, those that are too much, and misspelt fields.
const NO_HEAD: usize = 6;
const TOO_MUCH: usize = 11;
const MISSPELT: usize = 30;

/// The attacks in turn, so that a short run has them all. `number`: of the request.
pub fn attack(turn: u64, rng: &mut Rng, number: u64) -> Attack {
    let target = format!("/{MARKER}/{number}?token={CANARY}");
    let marked = format!(
        "X-Mark: {MARKER}-{number}\r\nAuthorization: Basic {CANARY}\r\nCookie: id={CANARY}\r\nX-Number: {number}"
    );
    let kinds = [FIELDS.len(), CHUNKS.len(), LINES.len(), HOSTS.len(), TARGETS.len(), NO_HEAD, TOO_MUCH, MISSPELT];
    let mut at = turn as usize % kinds.iter().sum::<usize>();
    let mut kind = 0;
    while at >= kinds[kind] {
        at -= kinds[kind];
        kind += 1;
    }
    let post = |fields: &[u8]| {
        let line = format!("POST {target} HTTP/1.1\r\nHost: soak.test\r\n{marked}\r\n");
        [line.as_bytes(), fields, b"\r\n\r\n"].concat()
    };
    let get =
        |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{marked}\r\n\r\n").into_bytes();
    let (name, head, behind): (String, Vec<u8>, Vec<u8>) = match kind {
        0 => {
            let (name, fields, behind) = FIELDS[at];
            (format!("{name} {fields:?}"), post(fields.as_bytes()), behind.into())
        }
        1 => {
            let (name, chunks) = CHUNKS[at];
            (format!("{name} {chunks:?}"), post(b"Transfer-Encoding: chunked"), chunks.into())
        }
        2 => {
            let (name, line) = LINES[at];
            let line = line.replace('@', &target);
            (format!("{name} {line:?}"), format!("{line}\r\nHost: soak.test\r\n{marked}\r\n\r\n").into(), Vec::new())
        }
        3 => (format!("S22 {:?}", HOSTS[at]), get(&target, HOSTS[at]), Vec::new()),
        4 => {
            let odd = TARGETS[at].replace("@#", &format!("{target}#"));
            (format!("S23 S24 {odd:?}"), get(&odd, "soak.test"), Vec::new())
        }
        5 => return no_head(at, rng, &target),
        6 => return too_much(at, &target, &marked),
        _ => {
            let (line, byte) = (SPELLED[at % SPELLED.len()], skippable(rng));
            let (before, behind) = line.split_once('\u{1}').unwrap_or((line, ""));
            let line = [before.as_bytes(), &[byte], behind.as_bytes()].concat();
            let length = [4, 60][rng.below(2) as usize];
            let fields = [format!("Content-Length: {length}\r\n").as_bytes(), &line].concat();
            let name = format!("S05 {length} {}", line.escape_ascii());
            (name, post(&fields), b"3c\r\n".to_vec())
        }
    };
    Attack { name, head: head.len(), bytes: [head, behind].concat() }
}

/// A byte that belongs in no field name.
fn skippable(rng: &mut Rng) -> u8 {
    match rng.below(3) {
        0 => rng.below(0x21) as u8,
        1 => 0x7f + rng.below(0x81) as u8,
        // a colon would end the name: what is before it is another field's
        _ => b"\"(),/;<=>?@[\\]{}"[rng.below(16) as usize],
    }
}

/// What is no head of HTTP/1.1 at all.
fn no_head(at: usize, rng: &mut Rng, target: &str) -> Attack {
    let bytes: Vec<u8> = match at {
        0 => format!("GET {target}\r\n\r\n").into(),
        1 => format!("POST {target} HTTP/1.1\nHost: soak.test\nContent-Length: 5\n\nhello").into(),
        2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        3 => [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3].into(),
        4 => format!("GET {target} HTTP/1.1\r\n\r\n").into(),
        _ => (0..1 + rng.below(200)).map(|_| 0x80 | rng.next() as u8).collect(),
    };
    Attack { name: format!("no head: {}", bytes.escape_ascii()), head: bytes.len(), bytes }
}

/// What goes beyond the limits.
fn too_much(at: usize, target: &str, marked: &str) -> Attack {
    let rest = format!("HTTP/1.1\r\nHost: soak.test\r\n{marked}\r\n");
    let chunked = format!("POST {target} {rest}Transfer-Encoding: chunked\r\n\r\n");
    let (name, bytes) = match at {
        0 => ("a field of 40 KB", format!("GET {target} {rest}X: {}\r\n\r\n", "y".repeat(40_000))),
        1 => ("a head without an end", format!("GET {target} {rest}X: {}", "y".repeat(40_000))),
        2 => ("97 fields", format!("GET {target} {rest}{}\r\n", "X: y\r\n".repeat(97))),
        3 => ("300 fields", format!("GET {target} {rest}{}\r\n", "X: y\r\n".repeat(300))),
        4 => ("a target of 9 KB", format!("GET {target}{} {rest}\r\n", "a".repeat(9 << 10))),
        5 => ("a target of 60 KB", format!("GET {target}{} {rest}\r\n", "a".repeat(60_000))),
        6 => ("a method of 33 bytes", format!("{} {target} {rest}\r\n", "M".repeat(33))),
        7 => ("a method without an end", "M".repeat(100_000)),
        8 => ("an extension of 257 bytes", format!("{chunked}5;a={}\r\nhello\r\n0\r\n\r\n", "x".repeat(257))),
        9 => ("extensions of 5 KB", chunked + &format!("1;a={}\r\nx\r\n", "x".repeat(250)).repeat(20) + "0\r\n\r\n"),
        _ => ("a trailer of 12 KB", format!("{chunked}5\r\nhello\r\n0\r\n{}\r\n", "X: y\r\n".repeat(2000))),
    };
    let bytes = bytes.into_bytes();
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |end| end + 4);
    Attack { name: name.to_owned(), bytes, head }
}
