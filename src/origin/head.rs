//! Heads: the response's parsed, the request's written. What either says about framing is decided here (RFC 9112 §6).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header;

use super::request::OriginRequest;
use crate::{
    fields::{authentication::connection_scheme, hop_by_hop, members, spelling, trailer::may_trail},
    message::{ConnectionScheme, FieldName, FieldValue, Fields, Method, StatusCode},
};

/// Up to so many slots for field lines are on the stack.
const FEW: usize = 256;

/// Lines of a trailer section that are passed on; of a longer one none is.
const MAX_TRAILERS: usize = 64;

/// How the response's end is found (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// In bytes; 0 also where a body is not allowed.
    Length(u64),
    Chunked,
    /// By the end of the connection.
    Close,
}

/// One response head, interim or final.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    /// Without hop-by-hop fields; at most one Content-Length, in plain digits.
    pub(super) fields: Fields,
    /// Content-Length, also where it frames nothing.
    pub(super) length: Option<u64>,
    pub(super) framing: Framing,
    /// The connection may carry another request after this response (RFC 9112 §9.3).
    pub(super) persistent: bool,
    /// It offers to authenticate the connection.
    pub(super) offers: Option<ConnectionScheme>,
}

/// What of a response head is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes.
    pub(super) head: usize,
    pub(super) fields: usize,
}

/// Parses the head that `bytes` begin with, and how long it is; `None`: there is more of it to come.
pub(super) fn parse(bytes: &[u8], method: &Method, limits: Limits) -> Result<Option<(Head, usize)>, &'static str> {
    let (mut few, mut many) = ([const { MaybeUninit::uninit() }; FEW], Vec::<httparse::Header>::new());
    let mut response = httparse::Response::new(&mut []);
    let mut parser = httparse::ParserConfig::default();
    // RFC 9112 §5.1: a proxy removes them from responses
    parser.allow_spaces_after_header_name_in_responses(true);
    let slots = few.get_mut(..limits.fields).unwrap_or_else(|| {
        many.reserve_exact(limits.fields);
        &mut many.spare_capacity_mut()[..limits.fields]
    });
    let end = match parser.parse_response_with_uninit_headers(&mut response, bytes, slots) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err("its head has more field lines than allowed"),
        Err(httparse::Error::Status | httparse::Error::Version) => return Err("its status line is malformed"),
        Err(_) => return Err("its head is malformed"),
    };
    let code = response.code.unwrap_or(0);
    let status = StatusCode::from_u16(code).map_err(|_| "its status code is not between 100 and 999")?;
    let lines = Lines::of(response.headers, response.version == Some(0))?;

    let bodiless = *method == Method::HEAD || status.is_informational() || code == 204 || code == 304;
    let framing = match (bodiless, lines.chunked, lines.length) {
        (true, ..) => Framing::Length(0),
        (_, true, _) => Framing::Chunked,
        (_, _, Some(length)) => Framing::Length(length),
        _ => Framing::Close,
    };
    // RFC 9110 §8.6: neither may have one
    let length = lines.length.filter(|_| !status.is_informational() && code != 204);
    let values = Values::of(&bytes[..end]);
    let mut fields = lines.fields(response.headers, length, &values)?;
    if status == StatusCode::UPGRADE_REQUIRED {
        // RFC 9110 §15.5.22: without it the client cannot know what is required
        for line in response.headers.iter().filter(|line| line.name.eq_ignore_ascii_case("upgrade")) {
            fields.append(header::UPGRADE, values.value(line.value)?);
        }
    }
    let head = Head {
        status,
        fields,
        length,
        framing,
        persistent: lines.persistent && framing != Framing::Close,
        offers: if matches!(code, 401 | 407) { offers(response.headers) } else { None },
    };
    Ok(Some((head, end)))
}

/// Parses a trailer section. Leaves out what must not be in one; of a malformed section nothing is taken.
pub(super) fn trailers(lines: &[u8]) -> Fields {
    let mut slots = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    let Ok(httparse::Status::Complete((_, lines))) = httparse::parse_headers(lines, &mut slots) else {
        return Fields::new();
    };
    let field = |line: &httparse::Header<'_>| {
        let name = FieldName::from_bytes(line.name.as_bytes()).ok()?;
        Some((name, FieldValue::from_bytes(line.value).ok()?))
    };
    lines.iter().filter_map(field).filter(|(name, _)| may_trail(name)).collect()
}

/// What a head's lines say to this hop.
struct Lines {
    length: Option<u64>,
    chunked: bool,
    persistent: bool,
}

impl Lines {
    fn of(lines: &[httparse::Header<'_>], http_10: bool) -> Result<Lines, &'static str> {
        let (mut close, mut keep_alive) = (false, false);
        let mut this = Lines { length: None, chunked: false, persistent: false };
        for line in lines {
            if line.name.eq_ignore_ascii_case("content-length") {
                // RFC 9112 §6.3: a list of equal lengths may be taken for one
                for member in members(line.value) {
                    let length = digits(member).ok_or("its Content-Length is no number")?;
                    if this.length.replace(length).is_some_and(|other| other != length) {
                        return Err("its Content-Lengths differ");
                    }
                }
            } else if line.name.eq_ignore_ascii_case("transfer-encoding") {
                let chunked = line.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                if this.chunked || http_10 || !chunked {
                    return Err("its Transfer-Encoding is not chunked alone");
                }
                this.chunked = true;
            } else if line.name.eq_ignore_ascii_case("connection") {
                for member in members(line.value) {
                    close |= member.eq_ignore_ascii_case(b"close");
                    keep_alive |= member.eq_ignore_ascii_case(b"keep-alive");
                }
            }
        }
        if this.chunked && this.length.is_some() {
            return Err("it has both Content-Length and Transfer-Encoding");
        }
        this.persistent = !close && (!http_10 || keep_alive);
        Ok(this)
    }

    fn fields(
        &self,
        lines: &[httparse::Header<'_>],
        length: Option<u64>,
        values: &Values<'_>,
    ) -> Result<Fields, &'static str> {
        // one more for the Date that a recipient adds
        let mut fields = Fields::with_capacity(lines.len() + 1);
        let mut length = length;
        for line in lines {
            let name = FieldName::from_bytes(line.name.as_bytes()).map_err(|_| "a field name is malformed")?;
            if name == header::CONTENT_LENGTH {
                if let Some(length) = length.take() {
                    let is_plain = itoa::Buffer::new().format(length).as_bytes() == line.value;
                    fields.append(name, if is_plain { values.value(line.value)? } else { length.into() });
                }
            } else if name != header::TRANSFER_ENCODING {
                fields.append(name, values.value(line.value)?);
            }
        }
        hop_by_hop::strip(&mut fields);
        Ok(fields)
    }
}

/// The values of a head's fields. They share one copy of the head.
struct Values<'a> {
    head: &'a [u8],
    copy: Bytes,
}

impl<'a> Values<'a> {
    fn of(head: &'a [u8]) -> Values<'a> {
        Values { head, copy: Bytes::copy_from_slice(head) }
    }

    /// Returns a value that is a part of the head.
    fn value(&self, value: &[u8]) -> Result<FieldValue, &'static str> {
        let at = (value.as_ptr() as usize).wrapping_sub(self.head.as_ptr() as usize);
        // httparse has another place for an empty value
        let part = if value.is_empty() { Bytes::new() } else { self.copy.slice(at..at + value.len()) };
        FieldValue::from_maybe_shared(part).map_err(|_| "a field value is malformed")
    }
}

/// The scheme of connections that a challenge names. Proxy-Authenticate goes no further than here.
fn offers(lines: &[httparse::Header<'_>]) -> Option<ConnectionScheme> {
    let is_challenge =
        |name: &str| ["www-authenticate", "proxy-authenticate"].iter().any(|n| name.eq_ignore_ascii_case(n));
    lines.iter().filter(|line| is_challenge(line.name)).find_map(|line| connection_scheme(line.value))
}

fn digits(value: &[u8]) -> Option<u64> {
    let plain = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| plain)?.parse().ok()
}

/// The request's head as it goes out: the caller's fields in their order, and the framing of its body.
pub(super) fn write(request: &OriginRequest) -> Result<Bytes, &'static str> {
    // anything else would begin a second line, or a second request
    if request.target.is_empty() || request.target.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err("the request's target holds a space or a control character");
    }
    let mut out = Vec::with_capacity(128 + request.target.len() + request.fields.size() + 4 * request.fields.len());
    for part in [request.method.as_str(), " ", &request.target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let mut line = |name: &FieldName, value: &[u8]| {
        spelling::write(name, &mut out);
        for part in [b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    };
    for (name, value) in request.fields.iter() {
        // framing is ours; Expect never leaves us
        if ![header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT].contains(name) {
            line(name, value.as_bytes());
        }
    }
    match request.body.as_ref().map(|upload| upload.length) {
        Some(Some(length)) => line(&header::CONTENT_LENGTH, length.to_string().as_bytes()),
        Some(None) => line(&header::TRANSFER_ENCODING, b"chunked"),
        None => {}
    }
    out.extend_from_slice(b"\r\n");
    Ok(Bytes::from(out))
}
