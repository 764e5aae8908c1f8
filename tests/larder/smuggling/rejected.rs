//! What is refused, with the exact bytes.

use super::{SMUGGLED, target, tuned};
use crate::support::PATIENCE;

/// A POST with these field lines and these bytes behind its head.
fn post(fields: &str, body: &str) -> Vec<u8> {
    format!("POST /a HTTP/1.1\r\nHost: larder.test\r\n{fields}\r\n\r\n{body}").into_bytes()
}

fn chunked(body: &str) -> Vec<u8> {
    post("Transfer-Encoding: chunked", body)
}

/// A GET of this target with this Host.
fn get(target: &str, host: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

/// Each is refused with this status; not even its head reaches the origin.
fn all_refused(status: u16, attacks: impl IntoIterator<Item = (&'static str, Vec<u8>)>) {
    let target = target(&[]);
    for (name, attack) in attacks {
        target.refuses(&format!("{name} {:?}", String::from_utf8_lossy(&attack)), &attack, status);
    }
    target.is_untouched();
}

#[test]
fn s01_s02_content_length_beside_transfer_encoding_is_refused() {
    let s01 = post("Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\nG");
    let s02 = post("Transfer-Encoding: chunked\r\nContent-Length: 4", "5c\r\n");
    all_refused(400, [("S01", s01), ("S02", s02)]);
}

#[test]
fn s03_transfer_codings_other_than_chunked_are_refused() {
    let values = [
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
    ];
    all_refused(400, values.map(|value| ("S03", post(&format!("Transfer-Encoding: {value}"), "0\r\n\r\n"))));
}

#[test]
fn s04_names_that_look_like_transfer_encoding_are_refused() {
    let lines = [
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding\0: chunked",
        "X: a\r\n Transfer-Encoding: chunked",
    ];
    all_refused(400, lines.map(|line| ("S04", post(line, "0\r\n\r\n"))));
}

#[test]
fn s06_s07_lengths_that_are_not_one_plain_number_are_refused() {
    // Repeated equal lengths may be accepted, RFC 9110 8.6 says; refusing them is the other choice that it leaves.
    let several =
        ["Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5, 5", "Content-Length: 5\r\nContent-Length: 6"];
    all_refused(400, several.map(|lines| ("S06", post(lines, "hello"))));
    let malformed = ["+5", "-5", "0x5", "5a", "1e1", "5;", "", "5_0", "05", "00", "005"];
    all_refused(400, malformed.map(|value| ("S07", post(&format!("Content-Length: {value}"), "hello"))));
}

#[test]
fn s07_s08_lengths_beyond_all_bounds_are_refused_before_the_body() {
    // A number that can be told is too large (RFC 9110 15.5.14); one that cannot is none (9112 6.3, rule 5).
    let length = |value| ("S08", post(&format!("Content-Length: {value}"), ""));
    all_refused(413, ["18446744073709551615", "1152921504606846977"].map(length));
    all_refused(400, ["18446744073709551616", "9999999999999999999999"].map(length));
}

#[test]
fn s09_http_1_0_with_transfer_encoding_is_refused() {
    let bytes = b"POST /a HTTP/1.0\r\nHost: larder.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    all_refused(400, [("S09", bytes.to_vec())]);
}

#[test]
fn s10_chunk_sizes_that_are_not_plain_hexadecimal_are_refused() {
    let sizes =
        [" 5", "+5", "0x5", "5_0", "5\n", "5 \n", "", ";", "-1", "10000000000000005", "000000000000000000000005", "05"];
    all_refused(400, sizes.map(|size| ("S10", chunked(&format!("{size}\r\nhello\r\n0\r\n\r\n")))));
    let huge = ["FFFFFFFFFFFFFFED", "FFFFFFFFFFFFFFFF", "8000000000000000"];
    all_refused(413, huge.map(|size| ("S10", chunked(&format!("{size}\r\nhello\r\n0\r\n\r\n")))));
    // RFC 9112 7.1 has no white space behind a size without an extension.
    all_refused(400, [("S10", chunked("5 \r\nhello\r\n0\r\n\r\n"))]);
}

#[test]
fn s11_chunk_extensions_that_hide_a_line_end_are_refused() {
    let lines = [
        "5;a\nhello".to_owned(),
        "5;a\rb\r\nhello".to_owned(),
        "5\r\r;a\r\nhello".to_owned(),
        "5;\0\r\nhello".to_owned(),
        "5;a=\"\r\nhello".to_owned(),
        // inside quotes, too, a line ends where it ends
        "5;a=\"x\\\"\r\nGET /smuggled HTTP/1.1\r\nHost: larder.test\r\n\r\n\"\r\nhello".to_owned(),
        "5;\r\nhello".to_owned(),
        format!("5;a={}\r\nhello", "x".repeat(257)),
        format!("5;a={}\r\nhello", "x".repeat(1 << 20)),
        format!("1;a={}\r\nx\r\n", "x".repeat(250)).repeat(20),
    ];
    all_refused(400, lines.map(|line| ("S11", chunked(&format!("{line}\r\n0\r\n\r\n")))));
}

#[test]
fn s12_chunks_that_do_not_end_where_they_say_are_refused() {
    let bodies = [
        "5\r\nhelloXX0\r\n\r\n",
        "d\r\nSpurious CRLF\r\n\r\n0\r\n\r\n",
        "1\r\nZ  2\r\n3d\r\n0\r\n\r\nPOST /smuggled HTTP/1.1\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
    ];
    all_refused(400, bodies.map(|body| ("S12", chunked(body))));
}

#[test]
fn s12_chunks_that_turn_out_malformed_later_are_refused_before_the_origin_is_asked() {
    let target = tuned(&[], |config| config.client.ahead_pause = PATIENCE);
    for body in ["5\r\nhelloXX0\r\n\r\n", "5\r\nhello\r\n05\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\nX : y\r\n\r\n"]
    {
        let attack = chunked(body);
        for at in attack.len() - body.len()..attack.len() {
            let mut client = target.proxy.client();
            let before = target.proxy.counters().requests.count();
            client.send(&attack[..at]);
            target.proxy.await_received(before + 1);
            let _ = client.try_send([&attack[at..], SMUGGLED.as_bytes()].concat());
            let heard = String::from_utf8_lossy(&client.rest()).into_owned();
            assert!(heard.starts_with("HTTP/1.1 400 ") && heard.matches("HTTP/1.1 ").count() == 1, "{heard:?}");
        }
    }
    target.is_untouched();
}

#[test]
fn s13_trailers_that_are_no_fields_or_too_long_are_refused() {
    let trailers = [
        "X: y\n\nGET /smuggled HTTP/1.1\r\nHost: larder.test\r\n\r\n".to_owned(),
        "\0\x01 no colon\r\n\r\n".to_owned(),
        "X : y\r\n\r\n".to_owned(),
        " X: y\r\n\r\n".to_owned(),
        format!("X: {}\r\n\r\n", "y".repeat(9 << 10)),
        "X: y\r\n".repeat(2000),
    ];
    all_refused(400, trailers.map(|trailer| ("S13", chunked(&format!("5\r\nhello\r\n0\r\n{trailer}")))));
}

#[test]
fn s14_line_ends_and_values_with_control_characters_are_refused() {
    let lf = b"POST /a HTTP/1.1\nHost: larder.test\nContent-Length: 5\n\nhello";
    all_refused(400, [("S14", lf.to_vec())]);
    let controls = (0x00..0x20u8).filter(|byte| *byte != b'\t').chain([0x7f]);
    all_refused(
        400,
        controls
            .map(|byte| ("S14", [b"GET /a HTTP/1.1\r\nHost: larder.test\r\nX: a", &[byte][..], b"b\r\n\r\n"].concat())),
    );
}

#[test]
fn s15_request_lines_other_than_http_1_0_and_1_1_are_refused() {
    let lines = [
        "GET /a",
        "GET /a HTTP/1.10",
        "GET /a HTTP/01.1",
        "GET /a HTTP/2",
        "GET /a HTTP/1,1",
        "GET /a HTTP/x.1",
        "GET /a http/1.1",
        "GET HTTP/1.2",
        "GET  /a HTTP/1.1",
        "GET /a  HTTP/1.1",
        "GET\t/a HTTP/1.1",
        "GET /a\tHTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /a HTTP/1.1 ",
        " GET /a HTTP/1.1",
        "GET HTTP/1.1",
        "G(T /a HTTP/1.1",
    ];
    all_refused(400, lines.map(|line| ("S15", format!("{line}\r\nHost: larder.test\r\n\r\n").into_bytes())));
    all_refused(400, [("S15", b"GET /a\r\n\r\n".to_vec())]);
    let versions = ["0.9", "1.2", "2.0", "3.0", "9.9"];
    all_refused(
        505,
        versions.map(|version| ("S15", format!("GET /a HTTP/{version}\r\nHost: larder.test\r\n\r\n").into_bytes())),
    );
}

#[test]
fn s15_a_method_that_is_too_long_is_not_implemented_and_one_without_an_end_is_none() {
    let line = |length| format!("{} /a HTTP/1.1\r\nHost: larder.test\r\n\r\n", "M".repeat(length)).into_bytes();
    all_refused(501, [33, 1000, 8192].map(|length| ("S15", line(length))));
    all_refused(400, [8193, 100_000].map(|length| ("S15", line(length))));
    all_refused(400, [("S15", vec![b'M'; 100_000]), ("S15", b"MMMM\r\n\r\n".to_vec())]);
}

#[test]
fn content_of_trace_is_refused() {
    // RFC 9110 9.3.8
    let trace = |rest: &str| format!("TRACE /a HTTP/1.1\r\nHost: larder.test\r\n{rest}").into_bytes();
    all_refused(
        400,
        [
            ("TRACE", trace("Content-Length: 5\r\n\r\nhello")),
            ("TRACE", trace("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")),
            ("TRACE", trace("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ],
    );
}

#[test]
fn s16_s17_tunnels_are_refused_and_nothing_behind_them_is_read() {
    let websocket = |more: &str| {
        format!("GET /x HTTP/1.1\r\nHost: larder.test\r\nUpgrade: websocket\r\nConnection: upgrade\r\n{more}\r\n")
    };
    all_refused(
        501,
        [
            ("S16", websocket("").into_bytes()),
            ("S16", (websocket("Content-Length: 5\r\n") + "hello").into_bytes()),
            ("S17", b"CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n".to_vec()),
            ("S17", b"CONNECT larder.test HTTP/1.1\r\nHost: larder.test\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ],
    );
}

#[test]
fn s21_unknown_expectations_are_refused() {
    let values = ["200-ok", "y 100-continue", "100-continue, x", "100-continue y"];
    all_refused(417, values.map(|value| ("S21", post(&format!("Expect: {value}\r\nContent-Length: 5"), "hello"))));
}

#[test]
fn s22_hosts_that_are_none_are_refused() {
    let hosts = [
        "",
        "a, b",
        "a@b",
        "a/b",
        "a:99999",
        "a b",
        "a\0b",
        "[::1",
        "..",
        "example.com.:1.2",
        "a?b",
        "a#b",
        "a\\b",
        "[::1]x",
        "a:b",
        ":80",
        "a\r\nHost: b",
        "a\r\nHost: a",
    ];
    all_refused(400, hosts.map(|host| ("S22", get("/", host))));
    all_refused(
        400,
        [
            ("S22", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
            ("S22", b"GET / HTTP/1.1\r\nHost : larder.test\r\n\r\n".to_vec()),
        ],
    );
}

#[test]
fn s23_absolute_forms_of_another_host_are_refused() {
    // RFC 9112 3.2.2 has the target's host take the place of a Host that differs. To refuse a request that names two hosts
    // is the stricter reading: no client means both, and a cache must not choose for an attacker.
    all_refused(
        400,
        [
            ("S23", get("http://evil/x", "larder.test")),
            ("S23", get("https://larder.test/", "larder.test")),
            ("S23", get("http://larder.test", "good")),
            ("S23", get("http://a@larder.test/", "larder.test")),
            ("S23", get("ftp://larder.test/", "larder.test")),
        ],
    );
}

#[test]
fn s24_targets_that_are_neither_path_nor_url_are_refused() {
    let targets = ["*", "evil", "http:evil", "evil:80", "?x=1", "@evil/", "/a#f", "\\a", "http://", "http:///x"];
    all_refused(400, targets.map(|target| ("S24", get(target, "larder.test"))));
    // a backslash is a slash to some
    let targets = ["/\\evil", "/a\\b", "/?\\"];
    all_refused(400, targets.map(|target| ("S24", get(target, "larder.test"))));
    all_refused(400, [("S24", b"GET /\xff\xfe HTTP/1.1\r\nHost: larder.test\r\n\r\n".to_vec())]);
}

#[test]
fn s25_fields_that_are_for_everybody_cannot_be_nominated_away() {
    let names = [
        "Host",
        "Content-Length",
        "Cache-Control",
        "Authorization",
        "Cookie",
        "Via",
        "X-Forwarded-For",
        "Forwarded",
        "close, X-Forwarded-For, Authorization, Cookie, Host, Content-Length, Cache-Control",
    ];
    all_refused(400, names.map(|name| ("S25", post(&format!("Connection: {name}\r\nContent-Length: 5"), "hello"))));
}

#[test]
fn s26_the_preface_of_http_2_is_refused() {
    all_refused(505, [("S26", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec())]);
}
