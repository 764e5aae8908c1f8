//! Transfer-Encoding as scanners misspell it, beside a Content-Length, with a request hidden behind either end (S05).

use super::{SMUGGLED, target};

/// Ways to write the field. `\u{1}` stands for each byte that a sloppy parser could skip.
const AROUND: [&str; 6] = [
    "\u{1}Transfer-Encoding: chunked",
    "Transfer-Encoding\u{1}: chunked",
    "Transfer-Encoding:\u{1}chunked",
    "Transfer-Encoding: \u{1}chunked",
    "Transfer-Encoding: chunked\u{1}",
    "Transfer\u{1}Encoding: chunked",
];

/// And ways without such a byte.
const OTHERS: [&str; 30] = [
    "Transfer-Encoding: chunked",
    "transfer-encoding: chunked",
    "TRANSFER-ENCODING: CHUNKED",
    "tRANSFER-ENCODING: chunked",
    "Transfer-Encoding:chunked",
    "Transfer-Encoding:\tchunked",
    "Transfer-Encoding: cHuNkEd",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: x chunked",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: 'chunked'",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: chunked,chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked;x=y",
    "Transfer-Encoding: identity",
    "Transfer-Encoding:",
    "Transfer-Encoding: chunk",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding\r\n : chunked",
    "Transfer-\r\n Encoding: chunked",
    "X: y\r\n Transfer-Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X: y\rTransfer-Encoding: chunked",
];

/// All bytes that belong in no field name.
fn skippable() -> impl Iterator<Item = u8> {
    (0x00..=0x20u8).chain(0x7f..=0xff).chain(*b"\"(),/:;<=>?@[\\]{}")
}

fn mutations() -> Vec<Vec<u8>> {
    let written = OTHERS.iter().map(|line| line.as_bytes().to_vec());
    let inserted = AROUND.iter().flat_map(|line| {
        let at = line.find('\u{1}').unwrap();
        skippable().map(move |byte| [&line.as_bytes()[..at], &[byte], &line.as_bytes()[at + 1..]].concat())
    });
    // a colon ends the name: what is before it is another field's
    let all: Vec<_> = written.chain(inserted).filter(|line| !line.starts_with(b"Transfer:")).collect();
    assert!(all.len() > 134, "{}", all.len());
    all
}

#[test]
fn s05_no_spelling_of_transfer_encoding_hides_a_request() {
    let target = target(&[]);
    for line in mutations() {
        let name = String::from_utf8_lossy(&line).into_owned();
        let head = |length: usize| {
            let begin = format!("POST /a HTTP/1.1\r\nHost: larder.test\r\nContent-Length: {length}\r\n");
            [begin.as_bytes(), &line, b"\r\n\r\n"].concat()
        };
        // CL.TE: who believes the length takes the hidden request for content
        let content = format!("0\r\n\r\n{SMUGGLED}");
        target.refuses(&format!("CL.TE {name:?}"), &[head(content.len()), content.into_bytes()].concat(), 400);
        // TE.CL: who believes the chunks does
        let content = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
        target.refuses(&format!("TE.CL {name:?}"), &[head(4), content.into_bytes()].concat(), 400);
    }
    target.is_untouched();
}
