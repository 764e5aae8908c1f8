//! The heads of responses as bytes. Whatever goes to a client gets its head here: the core's replies, interim responses
//! and the client side's own refusals. The encoder knows nothing of the connection that carries the bytes.
//!
//! Names, values and statuses are `http`'s types, so no line end and no other forbidden byte can be in them; a reason
//! phrase comes from this file alone.

use bytes::Bytes;
use http::header;

use crate::{
    fields::lines,
    message::{Fields, StatusCode, Version, WrittenLines},
};

/// A date of RFC 9110 §5.6.7.
pub(super) type Date = [u8; 29];

/// The answer to `Expect: 100-continue`.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How the head tells where the body ends (RFC 9112 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// By no field: there is no body, or the body ends with the connection.
    Untold,
    /// By Content-Length. A response without a body may have it, too: HEAD, 304.
    Known(u64),
    Chunked,
}

/// The framing of one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// The version that the client spoke.
    pub version: Version,
    /// The connection carries further requests after this response.
    pub persistent: bool,
    pub length: Length,
}

impl Frame {
    /// The value of Connection, where the version's default is not what is meant (RFC 9112 §9.3). `upgrades`: the fields hold
    /// Upgrade, which Connection must name (RFC 9110 §7.8).
    fn connection(&self, upgrades: bool) -> Option<&'static str> {
        match (self.version, self.persistent, upgrades) {
            (Version::Http10, true, false) => Some("keep-alive"),
            (Version::Http10, true, true) => Some("Upgrade, keep-alive"),
            (Version::Http11, false, false) => Some("close"),
            (Version::Http11, false, true) => Some("Upgrade, close"),
            (Version::Http11, true, true) | (Version::Http10, false, true) => Some("Upgrade"),
            (Version::Http11, true, false) | (Version::Http10, false, false) => None,
        }
    }
}

/// Encodes the head of a final response. The `written` ones stand before the others. `date` is used where none is a Date.
/// `body` is a short body that goes out together with the head, or nothing. `out` is an empty buffer.
pub(super) fn head(
    out: Vec<u8>,
    frame: Frame,
    status: StatusCode,
    written: Option<&WrittenLines>,
    fields: &Fields,
    date: &Date,
    body: &[u8],
) -> Vec<u8> {
    let dated = written.is_some_and(|written| written.stored.dated) || fields.contains(&header::DATE);
    let written: [&[u8]; 2] = written.map(|WrittenLines { stored, own }| [&stored.lines[..], own]).unwrap_or_default();
    let mut size = written[0].len() + written[1].len() + lines::size(fields);
    let (mut digits, connection) = ([0; 20], frame.connection(fields.contains(&header::UPGRADE)));
    let length: Option<(&str, &[u8])> = match frame.length {
        Length::Untold => None,
        Length::Known(length) => Some(("Content-Length", decimal(length, &mut digits))),
        Length::Chunked => Some(("Transfer-Encoding", b"chunked")),
    };
    let own = [
        (!dated).then_some(("Date", &date[..])),
        length,
        connection.map(|connection| ("Connection", connection.as_bytes())),
    ];
    size += own.iter().flatten().map(|(name, value)| line_size(name, value.len())).sum::<usize>();
    let mut out = begin(out, frame.version, status, size + body.len());
    for (name, value) in own.into_iter().flatten() {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    written.into_iter().for_each(|lines| out.extend_from_slice(lines));
    let mut out = end(out, fields);
    out.extend_from_slice(body);
    out
}

/// Encodes an interim response (RFC 9110 §15.2). Returns `None` for a status that is not interim, that changes the
/// protocol (101) or that is sent elsewhere (100).
pub(super) fn interim(status: StatusCode, fields: &Fields) -> Option<Vec<u8>> {
    if !status.is_informational() || matches!(status.as_u16(), 100 | 101) {
        return None;
    }
    Some(end(begin(Vec::new(), Version::Http11, status, lines::size(fields)), fields))
}

/// Encodes the last chunk and the trailer section (RFC 9112 §7.1.2).
pub(super) fn last_chunk(trailers: &Fields) -> Bytes {
    if trailers.is_empty() {
        return Bytes::from_static(b"0\r\n\r\n");
    }
    end(b"0\r\n".to_vec(), trailers).into()
}

/// Returns the reason phrase of a status, empty for an unknown one. An origin's own phrase is never passed on.
pub(super) fn reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        // `http` 0.2 does not know RFC 8297
        103 => "Early Hints",
        _ => status.canonical_reason().unwrap_or_default(),
    }
}

/// Writes the status line into a buffer that has room for it, for `lines` bytes of field lines, and for the empty line.
fn begin(mut out: Vec<u8>, version: Version, status: StatusCode, lines: usize) -> Vec<u8> {
    let (start, reason): (&[u8], _) = match version {
        Version::Http10 => (b"HTTP/1.0 ", reason(status)),
        Version::Http11 => (b"HTTP/1.1 ", reason(status)),
    };
    out.reserve_exact(start.len() + "200 ".len() + reason.len() + "\r\n".len() + lines + "\r\n".len());
    for part in [start, status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"] {
        out.extend_from_slice(part);
    }
    out
}

/// Writes the fields but for those of the framing, in their order, and the empty line.
fn end(mut out: Vec<u8>, fields: &Fields) -> Vec<u8> {
    lines::write(fields, &mut out);
    out.extend_from_slice(b"\r\n");
    out
}

fn line_size(name: &str, value: usize) -> usize {
    name.len() + ": ".len() + value + "\r\n".len()
}

/// Writes `number` at the end of `digits` and returns what it wrote.
fn decimal(mut number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{FieldName, FieldValue};

    const DATE: &Date = b"Thu, 01 Jan 1970 00:00:00 GMT";

    fn fields(lines: &[(&'static str, &'static str)]) -> Fields {
        lines.iter().map(|(name, value)| (FieldName::from_static(name), FieldValue::from_static(value))).collect()
    }

    fn text(frame: Frame, status: u16, lines: &[(&'static str, &'static str)]) -> String {
        let (status, fields) = (StatusCode::from_u16(status).unwrap(), fields(lines));
        let written = WrittenLines { stored: lines::written(&fields), own: Vec::new() };
        let at_once = head(Vec::new(), frame, status, Some(&written), &Fields::new(), DATE, b"");
        let head = head(Vec::new(), frame, status, None, &fields, DATE, b"");
        assert!(at_once == head || fields.contains(&header::UPGRADE));
        assert_eq!(head.capacity(), head.len(), "one allocation, without room to spare");
        String::from_utf8(head).unwrap()
    }

    #[test]
    fn framing_comes_first_and_fields_keep_their_order_and_repeats() {
        let frame = Frame { version: Version::Http11, persistent: false, length: Length::Known(1230) };
        let lines = [("set-cookie", "a=1"), ("etag", "\"x\""), ("set-cookie", "b=2"), ("x-cache", "HIT")];
        assert_eq!(
            text(frame, 200, &lines),
            "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 1230\r\nConnection: close\r\n\
             Set-Cookie: a=1\r\nETag: \"x\"\r\nSet-Cookie: b=2\r\nX-Cache: HIT\r\n\r\n"
        );
    }

    #[test]
    fn a_date_that_is_there_stays_where_it_is_and_framing_is_nobody_elses() {
        let frame = Frame { version: Version::Http10, persistent: true, length: Length::Chunked };
        let lines = [
            ("server", "s"),
            ("connection", "x"),
            ("date", "then"),
            ("content-length", "9"),
            ("transfer-encoding", "gzip"),
        ];
        assert_eq!(
            text(frame, 299, &lines),
            "HTTP/1.0 299 \r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\nServer: s\r\nDate: then\r\n\r\n"
        );
    }

    #[test]
    fn the_versions_default_needs_no_connection_field() {
        for (version, persistent) in [(Version::Http11, true), (Version::Http10, false)] {
            let frame = Frame { version, persistent, length: Length::Untold };
            assert_eq!(text(frame, 404, &[("date", "d")]).lines().count(), 3);
        }
    }

    #[test]
    fn an_upgrade_that_is_asked_for_is_named_by_connection() {
        for (version, persistent, connection) in [
            (Version::Http11, true, "Connection: Upgrade\r\n"),
            (Version::Http11, false, "Connection: Upgrade, close\r\n"),
            (Version::Http10, true, "Connection: Upgrade, keep-alive\r\n"),
            (Version::Http10, false, "Connection: Upgrade\r\n"),
        ] {
            let frame = Frame { version, persistent, length: Length::Known(0) };
            let head = text(frame, 426, &[("date", "d"), ("upgrade", "TLS/1.2")]);
            assert!(head.contains(connection) && head.contains("Upgrade: TLS/1.2\r\n"), "{head}");
        }
    }

    #[test]
    fn interim_responses_have_no_date_and_no_framing() {
        let encoded = |status: u16| {
            let head =
                interim(StatusCode::from_u16(status).unwrap(), &fields(&[("link", "</s>"), ("connection", "x")]));
            head.map(|head| String::from_utf8(head).unwrap())
        };
        assert_eq!(encoded(103).unwrap(), "HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n");
        assert_eq!(encoded(102).unwrap(), "HTTP/1.1 102 Processing\r\nLink: </s>\r\n\r\n");
        assert_eq!(encoded(199).unwrap(), "HTTP/1.1 199 \r\nLink: </s>\r\n\r\n");
        assert_eq!([100, 101, 200].map(encoded), [None, None, None]);
    }

    #[test]
    fn lengths_are_written_in_decimal() {
        for number in [0, 9, 10, 1230, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
