//! Parses a request's head into plain data, or refuses it (RFC 9112 §2, §3, §5, §6).
//!
//! actix never sees a client's head: it gets a fixed one ([`FOR_ACTIX`]). So there are no two parsers that could differ
//! about where a message ends.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::header;
use memchr::memchr;

use super::{Options, refusal::Refusal};
use crate::message::{FieldName, FieldValue, Fields, Method, StatusCode, Version};

/// The largest value of `max_fields`.
pub const FIELDS_BOUND: usize = 256;

/// The most empty lines before a request line. Some clients send one or two behind a body.
const EMPTY_LINES: usize = 2;

/// The length of " HTTP/1.1".
const VERSION: usize = 9;

/// A valid request head.
#[derive(Debug)]
pub(super) struct Head {
    pub method: Method,
    pub target: String,
    pub version: Version,
    pub fields: Fields,
    /// Content-Length.
    pub length: Option<u64>,
    pub chunked: bool,
    /// The client sends nothing behind this request (RFC 9112 §9.3).
    pub last: bool,
    /// CONNECT or WebSocket: the bytes behind the head may be another protocol, and are never read as a request.
    pub tunnel: bool,
    /// The client waits for `100 Continue` (RFC 9110 §10.1.1).
    pub expects_continue: bool,
}

/// The head that actix gets in place of each valid one. actix does not frame responses, so it needs to know nothing more.
pub(super) const FOR_ACTIX: &[u8] = b"GET / HTTP/1.1\r\nhost:-\r\n\r\n";

/// How far an incomplete head was scanned, so that each byte is looked at once.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Where the incomplete line begins.
    line: usize,
    /// Where to continue to look for its end.
    at: usize,
    /// How many empty lines before the request line were removed (RFC 9112 §2.2).
    skipped: usize,
}

impl Scan {
    /// Takes the head from the front of `input`; `None` while it is incomplete. A refused head stays in `input`.
    pub fn head(&mut self, input: &mut BytesMut, options: &Options) -> Result<Option<Head>, Refusal> {
        while self.skipped < EMPTY_LINES && input.starts_with(b"\r\n") {
            input.advance(2);
            *self = Scan { skipped: self.skipped + 1, ..Scan::default() };
        }
        let Some(end) = self.end(input, options)? else { return Ok(None) };
        *self = Scan::default();
        let head = input.split_to(end).freeze();
        match parse(&head, options) {
            Ok(parsed) => Ok(Some(parsed)),
            Err(refusal) => {
                // whoever is told of the refusal wants to know the request line
                let behind = std::mem::replace(input, BytesMut::from(&head[..]));
                input.unsplit(behind);
                Err(refusal)
            }
        }
    }

    /// Returns the head's length; `None` until the empty line at its end has come.
    fn end(&mut self, input: &[u8], options: &Options) -> Result<Option<usize>, Refusal> {
        while let Some(offset) = memchr(b'\n', &input[self.at..]) {
            let newline = self.at + offset;
            if newline == self.line || input[newline - 1] != b'\r' {
                return Err(Refusal::malformed("A line of the request does not end with CR and LF."));
            }
            let line = &input[self.line..newline - 1];
            if self.line == 0 {
                request_line(line, options)?;
            }
            self.line = newline + 1;
            self.at = self.line;
            if line.is_empty() {
                return over_head(self.line, options).map(|()| Some(self.line));
            }
        }
        if self.line == 0 {
            request_line_so_far(input, options)?;
        }
        self.at = input.len();
        over_head(self.at, options).map(|()| None)
    }
}

fn over_head(length: usize, options: &Options) -> Result<(), Refusal> {
    if length <= options.max_head {
        return Ok(());
    }
    Err(Refusal { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail: "The request's head is too long." })
}

/// Returns the method's length, or the line's length so far while the method is incomplete.
fn method(line: &[u8], options: &Options) -> Result<usize, Refusal> {
    let space = memchr(b' ', line);
    let length = space.unwrap_or(line.len());
    if length > options.max_target {
        return Err(Refusal::malformed("The request line does not begin with a method."));
    }
    if space.is_some() && length > options.max_method {
        let detail = "The method is too long.";
        return Err(Refusal { status: StatusCode::NOT_IMPLEMENTED, detail });
    }
    Ok(length)
}

fn over_target(length: usize, options: &Options) -> Result<(), Refusal> {
    if length <= options.max_target {
        return Ok(());
    }
    Err(Refusal { status: StatusCode::URI_TOO_LONG, detail: "The request-target is too long." })
}

/// Refuses another protocol by its first byte.
fn begins(line: &[u8]) -> Result<(), Refusal> {
    if line.first().is_some_and(|byte| !byte.is_ascii_graphic()) {
        return Err(Refusal::malformed("This is not an HTTP/1.1 request."));
    }
    Ok(())
}

/// Checks the lengths and the version of a complete request line. httparse checks its characters.
fn request_line(line: &[u8], options: &Options) -> Result<(), Refusal> {
    begins(line)?;
    let method = method(line, options)?;
    let version = line.len().saturating_sub(VERSION);
    match &line[version..] {
        b" HTTP/1.1" | b" HTTP/1.0" => over_target(version.saturating_sub(method + 1), options),
        [b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if method < version && major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            let detail = "Only HTTP/1.1 and HTTP/1.0 are served here.";
            Err(Refusal { status: StatusCode::HTTP_VERSION_NOT_SUPPORTED, detail })
        }
        _ => Err(Refusal::malformed("The request line does not end with a version of HTTP.")),
    }
}

/// Checks an incomplete request line, so that it is refused as early as possible.
fn request_line_so_far(line: &[u8], options: &Options) -> Result<(), Refusal> {
    if line == b"\r" {
        return Ok(());
    }
    begins(line)?;
    let method = method(line, options)?;
    over_target(line.len().saturating_sub(method + 1 + VERSION + 1), options)
}

fn parse(head: &Bytes, options: &Options) -> Result<Head, Refusal> {
    let mut lines = [const { MaybeUninit::uninit() }; FIELDS_BOUND];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, &mut lines) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(too_many_fields()),
        Err(error) => return Err(Refusal::malformed(sentence(error))),
        Ok(_) => return Err(Refusal::malformed("The request's head is malformed.")),
    }
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Refusal::malformed("The request line is malformed."));
    };
    if parsed.headers.len() > options.max_fields {
        return Err(too_many_fields());
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::malformed("The method is malformed."))?;
    let mut framing = Framing::default();
    let mut fields = Fields::with_capacity(parsed.headers.len());
    for line in parsed.headers.iter() {
        let name = FieldName::from_bytes(line.name.as_bytes());
        let value = FieldValue::from_maybe_shared(head.slice_ref(line.value));
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Refusal::malformed("A field is malformed."));
        };
        framing.read(&name, value.as_bytes())?;
        fields.append(name, value);
    }
    let version = if version == 0 { Version::Http10 } else { Version::Http11 };
    framing.check(version)?;
    if method == Method::TRACE && (framing.chunked || framing.length.is_some_and(|length| length > 0)) {
        return Err(Refusal::malformed("A TRACE request must not have content."));
    }
    Ok(Head {
        last: framing.close || (version == Version::Http10 && !framing.keep_alive),
        tunnel: framing.websocket || method == Method::CONNECT,
        method,
        target: target.to_owned(),
        version,
        fields,
        length: framing.length,
        chunked: framing.chunked,
        expects_continue: framing.expects_continue && version.has_interim(),
    })
}

fn too_many_fields() -> Refusal {
    Refusal { status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail: "The request has too many fields." }
}

fn sentence(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "A field name is malformed.",
        httparse::Error::HeaderValue => "A field value is malformed.",
        httparse::Error::NewLine => "A line of the request does not end with CR and LF.",
        httparse::Error::Version => "The HTTP version is malformed.",
        _ => "The request line is malformed.",
    }
}

/// The parts of a refused head's request line, as far as they can be read.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub method: Option<Method>,
    pub target: Option<String>,
    pub version: Option<Version>,
}

impl Asked {
    /// Reads the line that `input` begins with, whatever that is.
    pub fn of(input: &[u8], options: &Options) -> Asked {
        let line = input.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        let mut parts = line.splitn(2, |byte| *byte == b' ');
        let (Some(method), Some(rest)) = (parts.next(), parts.next()) else { return Asked::default() };
        if begins(method).is_err() {
            return Asked::default();
        }
        let end = |byte: &u8| byte.is_ascii_whitespace() || byte.is_ascii_control();
        let target = rest.split(end).next().unwrap_or_default();
        let target = String::from_utf8_lossy(&target[..target.len().min(options.max_target)]);
        Asked {
            method: Method::from_bytes(method).ok().filter(|_| method.len() <= options.max_method),
            target: (!target.is_empty()).then(|| target.into_owned()),
            version: match &line[line.len().saturating_sub(VERSION)..] {
                b" HTTP/1.0" => Some(Version::Http10),
                b" HTTP/1.1" => Some(Version::Http11),
                _ => None,
            },
        }
    }
}

/// The fields that say where the message ends, and whether the connection lives on.
#[derive(Default)]
struct Framing {
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    websocket: bool,
    expects_continue: bool,
}

impl Framing {
    fn read(&mut self, name: &FieldName, value: &[u8]) -> Result<(), Refusal> {
        match *name {
            header::HOST => self.hosts += 1,
            header::CONTENT_LENGTH if self.length.is_some() => {
                return Err(Refusal::malformed("Content-Length appears more than once."));
            }
            header::CONTENT_LENGTH => self.length = Some(content_length(value)?),
            header::TRANSFER_ENCODING if self.chunked || !value.eq_ignore_ascii_case(b"chunked") => {
                return Err(Refusal::malformed("Transfer-Encoding must be a single `chunked`."));
            }
            header::TRANSFER_ENCODING => self.chunked = true,
            header::CONNECTION => {
                for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            header::EXPECT => self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue"),
            header::UPGRADE => self.websocket |= value.eq_ignore_ascii_case(b"websocket"),
            _ => {}
        }
        Ok(())
    }

    /// Checks what RFC 9112 §3.2 and §6.3 demand. Where they let a server be lenient, it refuses.
    fn check(&self, version: Version) -> Result<(), Refusal> {
        let http_10 = version == Version::Http10;
        if self.hosts > 1 || (self.hosts == 0 && !http_10) {
            return Err(Refusal::malformed("A request needs exactly one Host field."));
        }
        if self.chunked && http_10 {
            return Err(Refusal::malformed("An HTTP/1.0 request must not have Transfer-Encoding."));
        }
        if self.chunked && self.length.is_some() {
            return Err(Refusal::malformed("A request must not have both Content-Length and Transfer-Encoding."));
        }
        Ok(())
    }
}

/// Parses Content-Length (RFC 9110 §8.6). Leading zeros are refused.
fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit) && (value == b"0" || value[0] != b'0');
    if !digits {
        return Err(Refusal::malformed("Content-Length is not a number."));
    }
    match std::str::from_utf8(value).ok().and_then(|value| value.parse::<u64>().ok()) {
        Some(length) if length <= super::framing::LENGTH_BOUND => Ok(length),
        Some(_) => Err(super::framing::too_large()),
        // RFC 9112 §6.3: where such a body ends cannot be known
        None => Err(Refusal::malformed("Content-Length is too large.")),
    }
}
