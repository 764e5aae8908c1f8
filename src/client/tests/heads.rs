//! Request heads: what passes, what is refused, however it is cut.

use bytes::BytesMut;

use crate::{
    client::{
        Options,
        head::{Head, Scan},
    },
    message::{StatusCode, Version},
};

/// All of it at once.
fn whole(bytes: &[u8]) -> Result<Option<Head>, StatusCode> {
    Scan::default().head(&mut BytesMut::from(bytes), &Options::default()).map_err(|refusal| refusal.status)
}

/// A byte at a time: the first result that is one.
fn trickled(bytes: &[u8]) -> Result<Option<Head>, StatusCode> {
    let (mut scan, mut input, options) = (Scan::default(), BytesMut::new(), Options::default());
    for byte in bytes {
        input.extend_from_slice(&[*byte]);
        if let Some(head) = scan.head(&mut input, &options).map_err(|refusal| refusal.status)? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn request(fields: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n")
}

/// The status that both ways of arriving give.
fn refused(bytes: impl AsRef<[u8]>) -> Option<u16> {
    let (whole, trickled) = (whole(bytes.as_ref()), trickled(bytes.as_ref()));
    let shown = String::from_utf8_lossy(bytes.as_ref()).into_owned();
    match (whole, trickled) {
        (Err(whole), Err(trickled)) if whole == trickled => Some(whole.as_u16()),
        (Ok(Some(_)), Ok(Some(_))) | (Ok(None), Ok(None)) => None,
        (whole, trickled) => panic!("{shown:?}: at once {whole:?}, byte by byte {trickled:?}"),
    }
}

#[test]
fn a_head_is_read_byte_for_byte_and_nothing_behind_it() {
    let bytes = "\r\nGET //a/../b?c#d HTTP/1.1\r\nB: 2\r\nhost: h\r\nA:\t1 \r\nB: 3\r\n\r\nnext";
    let mut input = BytesMut::from(bytes);
    let head = Scan::default().head(&mut input, &Options::default()).unwrap().unwrap();
    assert_eq!((head.method.as_str(), head.target.as_str(), head.version), ("GET", "//a/../b?c#d", Version::Http11));
    let lines: Vec<_> = head.fields.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(lines, [("b", "2"), ("host", "h"), ("a", "1"), ("b", "3")]);
    assert!(!head.last && !head.tunnel);
    assert_eq!(&input[..], b"next");
}

#[test]
fn a_second_head_is_read_like_the_first() {
    let mut input = BytesMut::from("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut scan = Scan::default();
    for target in ["/1", "/2"] {
        assert_eq!(scan.head(&mut input, &Options::default()).unwrap().unwrap().target, target);
    }
}

#[test]
fn two_empty_lines_before_a_request_are_skipped_however_they_come() {
    for empty in ["", "\r\n", "\r\n\r\n"] {
        assert_eq!(refused(format!("{empty}{}", request(""))), None, "{empty:?}");
        let mut input = BytesMut::from(format!("{0}GET /1 HTTP/1.1\r\nHost: h\r\n\r\n{0}", empty).repeat(2).as_bytes());
        let mut scan = Scan::default();
        let next = |input: &mut BytesMut, scan: &mut Scan| scan.head(input, &Options::default());
        assert!(matches!(next(&mut input, &mut scan), Ok(Some(_))), "{empty:?}");
        // behind a request and before the next one there are twice as many
        let second = next(&mut input, &mut scan).map_err(|refusal| refusal.status.as_u16());
        assert_eq!(second.err(), (empty.len() > 2).then_some(400), "{empty:?}");
    }
}

#[test]
fn every_token_is_a_method() {
    for method in ["M#", "$", "a%41", "&&", "it's", "!#$%&'*+-.^_`|~"] {
        let head = whole(format!("{method} /a HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).unwrap().unwrap();
        assert_eq!(head.method.as_str(), method);
    }
    for method in ["M\"", "M(", "M/", "M@", "M{", "M\u{e4}"] {
        assert_eq!(refused(format!("{method} /a HTTP/1.1\r\nHost: h\r\n\r\n")), Some(400), "{method}");
    }
}

#[test]
fn ambiguous_lengths_are_refused() {
    for value in
        ["+5", "-5", "0x5", "5a", "1e1", "5;", "", " ", "5_0", "05", "00", "005", "5, 5", "5,6", "5 5", "\u{665}"]
    {
        assert_eq!(refused(request(&format!("Content-Length: {value}"))), Some(400), "{value:?}");
    }
    for (value, status) in [
        ("18446744073709551615", 413),
        ("1152921504606846977", 413),
        ("18446744073709551616", 400),
        ("99999999999999999999999", 400),
    ] {
        assert_eq!(refused(request(&format!("Content-Length: {value}"))), Some(status), "{value:?}");
    }
    for fields in [
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
    ] {
        assert_eq!(refused(request(fields)), Some(400), "{fields:?}");
    }
    for (value, length) in [("0", 0), ("5", 5), (" 7 ", 7), ("1152921504606846976", 1 << 60)] {
        let head = whole(request(&format!("Content-Length:{value}")).as_bytes()).unwrap().unwrap();
        assert_eq!(head.length, Some(length));
    }
}

#[test]
fn transfer_codings_but_chunked_are_refused() {
    for value in [
        "xchunked",
        "chunked, identity",
        "identity, chunked",
        "gzip, chunked",
        "gzip",
        "identity",
        ",chunked",
        "chunked,",
        "\"chunked\"",
        "chunked;q=1",
        "\x0bchunked",
        "",
        "chunked\r\nTransfer-Encoding: identity",
        "chunked\r\nTransfer-Encoding: cow",
        "chunked\r\nTransfer-Encoding: chunked",
        "cow\r\nTransfer-Encoding: chunked",
    ] {
        assert_eq!(refused(request(&format!("Transfer-Encoding: {value}"))), Some(400), "{value:?}");
    }
    assert!(whole(request("Transfer-Encoding: ChunKed").as_bytes()).unwrap().unwrap().chunked);
    assert_eq!(refused("POST /a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"), Some(400));
}

#[test]
fn malformed_lines_are_refused() {
    for fields in [
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding\0: chunked",
        "X: a\r\n Transfer-Encoding: chunked",
        "X: a\r\n\tb",
        "X: a\rY: b",
        "X: a\r",
        "X: \0",
        "X: \x7f",
        "X: \x01",
        "X",
        ": x",
        "X\u{e9}: y",
        "Host: h",
        "Host : a",
        "X: a\nY: b",
    ] {
        assert_eq!(refused(request(fields)), Some(400), "{fields:?}");
    }
    for head in [
        "GET /a\r\n\r\n",
        "GET /a HTTP/1.10\r\nHost: h\r\n\r\n",
        "GET /a HTTP/2\r\nHost: h\r\n\r\n",
        "GET /a HTTP/1.x\r\nHost: h\r\n\r\n",
        "GET /a http/1.1\r\nHost: h\r\n\r\n",
        "GET /a HTTP/1.1 \r\nHost: h\r\n\r\n",
        "GET  /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a  HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET\t/a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a\0 HTTP/1.1\r\nHost: h\r\n\r\n",
        " GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "G\"T /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a HTTP/1.1\nHost: h\n\n",
        "GET /a HTTP/1.1\r\nHost: h\n\r\n",
        "GET /a HTTP/1.1\r\nHost: h\r\n\n",
        "GET /a HTTP/1.1\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /a HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        "\r\n\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET HTTP/1.2\r\nHost: h\r\n\r\n",
        "\x16\x03\x01\x02\0\x01",
    ] {
        assert_eq!(refused(head), Some(400), "{head:?}");
    }
    for head in
        ["GET /a HTTP/1.2\r\n", "GET /a HTTP/0.9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/3.0\r\n"]
    {
        assert_eq!(refused(head), Some(505), "{head:?}");
    }
}

#[test]
fn trace_has_no_content() {
    let trace = |fields: &str| refused(format!("TRACE /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
    assert_eq!([trace("Content-Length: 1\r\n"), trace("Transfer-Encoding: chunked\r\n")], [Some(400); 2]);
    assert_eq!([trace(""), trace("Content-Length: 0\r\n")], [None; 2]);
}

#[test]
fn what_cannot_become_a_request_is_refused_before_it_is_whole() {
    for head in ["\x16\x03\x01", "\u{0}", "GET /a\r\n", "GET / HTTP/1.1\n", "GET / HTTP/3\r\n"] {
        assert_eq!(refused(head), Some(400), "{head:?}");
    }
    for head in ["", "\r", "\r\n", "G", "GET ", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r"] {
        assert_eq!(refused(head), None, "{head:?}");
    }
}

#[test]
fn limits_have_their_own_statuses() {
    let with = |method: &str, target: &str, fields: &str| {
        refused(format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
    };
    let lines = |count: usize| "a: b\r\n".repeat(count);
    assert_eq!(with(&"M".repeat(32), "/", ""), None);
    assert_eq!(with(&"M".repeat(33), "/", ""), Some(501));
    assert_eq!(with(&"M".repeat(8192), "/", ""), Some(501));
    assert_eq!(with(&"M".repeat(8193), "/", ""), Some(400));
    assert_eq!(refused("M".repeat(70_000)), Some(400));
    assert_eq!(refused("M".repeat(8192)), None, "its end may come");
    assert_eq!(with("GET", &format!("/{}", "a".repeat(8191)), ""), None);
    assert_eq!(with("GET", &format!("/{}", "a".repeat(8192)), ""), Some(414));
    assert_eq!(refused(format!("GET /{}", "a".repeat(60_000))), Some(414));
    assert_eq!(with("GET", "/", &lines(95)), None);
    assert_eq!(with("GET", "/", &lines(96)), Some(431));
    assert_eq!(with("GET", "/", &lines(300)), Some(431));
    assert_eq!(with("GET", "/", &format!("a: {}\r\n", "b".repeat(32 << 10))), Some(431));
    assert_eq!(refused(format!("GET / HTTP/1.1\r\na: {}", "b".repeat(32 << 10))), Some(431));
}

#[test]
fn the_last_request_is_known_by_version_and_connection_options() {
    let of = |line: &str, fields: &str| {
        let head = whole(format!("{line}\r\nHost: h\r\n{fields}\r\n").as_bytes()).unwrap().unwrap();
        (head.last, head.tunnel)
    };
    assert_eq!(of("GET / HTTP/1.1", ""), (false, false));
    assert_eq!(of("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: foo\r\n"), (false, false));
    assert_eq!(of("GET / HTTP/1.1", "Connection: x, CLOSE\r\n"), (true, false));
    assert_eq!(of("GET / HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n"), (true, false));
    assert_eq!(of("GET / HTTP/1.0", ""), (true, false));
    assert_eq!(of("GET / HTTP/1.0", "Connection: Keep-Alive\r\n"), (false, false));
    assert_eq!(of("CONNECT a:1 HTTP/1.1", ""), (false, true));
    assert_eq!(of("GET / HTTP/1.1", "Upgrade: WebSocket\r\n"), (false, true));
}

/// Bytes of which heads are made, and of which they should not be.
fn scraps() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let scrap = prop_oneof![
        4 => proptest::sample::select(vec![
            "GET / HTTP/1.1\r\n", "POST /a HTTP/1.0\r\n", "Host: h\r\n", "Content-Length: 5\r\n", "\r\n",
            "Transfer-Encoding: chunked\r\n", "X: y\r\n", "\n", "\r", " ", ":", "a", "HTTP/1.1", "\0",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => any::<[u8; 1]>().prop_map(|byte| byte.to_vec()),
    ];
    proptest::collection::vec(scrap, 0..12).prop_map(|scraps| scraps.concat())
}

proptest::proptest! {
    #[test]
    fn any_bytes_give_the_same_at_once_and_byte_by_byte(bytes in scraps()) {
        let show = |outcome: Result<Option<Head>, StatusCode>| outcome.map(|head| head.map(|head| {
            (head.method, head.target, head.fields, head.length, head.chunked, head.last)
        }));
        let (whole, trickled) = (show(whole(&bytes)), show(trickled(&bytes)));
        proptest::prop_assert_eq!(whole, trickled);
    }
}
