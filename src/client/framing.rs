//! Finds the end of a request's body, and takes its framing off (RFC 9112 §6.3, §7.1).

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

use super::{Options, refusal::Refusal};
use crate::{
    fields::{is_text, is_token},
    message::StatusCode,
};

/// The largest length of a body or a chunk that is accepted: 1 EiB.
pub(super) const LENGTH_BOUND: u64 = 1 << 60;

/// The most digits of a chunk size.
const SIZE_DIGITS: usize = 16;

pub(super) fn too_large() -> Refusal {
    Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, detail: "The request's body is too large." }
}

/// The framing of a body, and how much of it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// This many bytes are still to come.
    Length(u64),
    Chunked(Chunked),
    /// The end was read.
    Done,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chunked {
    expects: Expects,
    /// Bytes of chunk extensions so far.
    extensions: usize,
    /// Bytes of trailer lines so far.
    trailer: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Expects {
    /// A chunk size and its extensions.
    #[default]
    Size,
    /// This many bytes of data.
    Data(u64),
    /// The line end behind the data.
    DataEnd,
    /// A trailer line, or the empty line that ends the body.
    Trailer,
}

/// The result of one look at the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Piece(Bytes),
    /// More input is needed.
    More,
    Done,
}

impl Framing {
    /// Takes the next piece from the front of `input`, never a byte behind the body's end.
    pub fn next(&mut self, input: &mut BytesMut, options: &Options) -> Result<Step, Refusal> {
        match self {
            Framing::Done => Ok(Step::Done),
            Framing::Length(rest) => {
                let step = take(rest, input);
                if *rest == 0 {
                    *self = Framing::Done;
                }
                Ok(step)
            }
            Framing::Chunked(chunked) => {
                let step = chunked.next(input, options)?;
                if step == Step::Done {
                    *self = Framing::Done;
                }
                Ok(step)
            }
        }
    }

    /// Returns how many bytes are still to come, if that is known.
    pub fn rest(&self) -> Option<u64> {
        match self {
            Framing::Length(rest) => Some(*rest),
            Framing::Chunked(_) => None,
            Framing::Done => Some(0),
        }
    }
}

/// Takes at most `rest` bytes from `input`.
fn take(rest: &mut u64, input: &mut BytesMut) -> Step {
    if *rest == 0 {
        return Step::Done;
    }
    if input.is_empty() {
        return Step::More;
    }
    let length = usize::try_from(*rest).map_or(input.len(), |rest| rest.min(input.len()));
    *rest -= length as u64;
    Step::Piece(input.split_to(length).freeze())
}

impl Chunked {
    fn next(&mut self, input: &mut BytesMut, options: &Options) -> Result<Step, Refusal> {
        loop {
            match &mut self.expects {
                Expects::Size => {
                    let Some(line) = line(input, SIZE_DIGITS + options.max_chunk_extension)? else {
                        return Ok(Step::More);
                    };
                    let (size, extension) = chunk_size(&line)?;
                    self.extensions += extension;
                    if extension > options.max_chunk_extension || self.extensions > options.max_chunk_extensions {
                        return Err(Refusal::malformed("The chunk extensions are too long."));
                    }
                    self.expects = if size == 0 { Expects::Trailer } else { Expects::Data(size) };
                }
                Expects::Data(rest) => match take(rest, input) {
                    Step::Done => self.expects = Expects::DataEnd,
                    step => return Ok(step),
                },
                Expects::DataEnd => {
                    if !b"\r\n".starts_with(&input[..input.len().min(2)]) {
                        return Err(Refusal::malformed("A chunk is longer than its size says."));
                    }
                    if input.len() < 2 {
                        return Ok(Step::More);
                    }
                    input.advance(2);
                    self.expects = Expects::Size;
                }
                Expects::Trailer => {
                    let Some(line) = line(input, options.max_trailer.saturating_sub(self.trailer))? else {
                        return Ok(Step::More);
                    };
                    if line.is_empty() {
                        return Ok(Step::Done);
                    }
                    self.trailer += line.len() + 2;
                    if !is_field_line(&line) {
                        return Err(Refusal::malformed("A trailer line is malformed."));
                    }
                }
            }
        }
    }
}

/// Takes a line without its CRLF; `None` while it is incomplete. A line longer than `bound` is refused.
fn line(input: &mut BytesMut, bound: usize) -> Result<Option<BytesMut>, Refusal> {
    let seen = &input[..input.len().min(bound + 2)];
    match memchr(b'\n', seen) {
        Some(0) => Err(Refusal::malformed("A line of the body does not end with CR and LF.")),
        Some(newline) if seen[newline - 1] != b'\r' || memchr(b'\r', &seen[..newline - 1]).is_some() => {
            Err(Refusal::malformed("A line of the body does not end with CR and LF."))
        }
        Some(newline) => {
            let line = input.split_to(newline - 1);
            input.advance(2);
            Ok(Some(line))
        }
        None if input.len() >= bound + 2 => Err(Refusal::malformed("A line of the body is too long.")),
        None => Ok(None),
    }
}

/// Parses the line in front of a chunk: the chunk's size, and the length of its extensions.
fn chunk_size(line: &[u8]) -> Result<(u64, usize), Refusal> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extensions) = line.split_at(digits);
    let leading_zero = size.len() > 1 && size[0] == b'0';
    if size.is_empty() || size.len() > SIZE_DIGITS || leading_zero || !are_extensions(extensions) {
        return Err(Refusal::malformed("A chunk size is malformed."));
    }
    let size = std::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
    match size.filter(|size| *size <= LENGTH_BOUND) {
        Some(size) => Ok((size, extensions.len())),
        None => Err(too_large()),
    }
}

/// Returns the text without leading spaces and tabs, the only white space there is (RFC 9110 §5.6.3).
fn unblank(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|byte| b" \t".contains(byte)).count()..]
}

/// Returns true if the text is `*( ";" name [ "=" ( token / quoted-string ) ] )`. White space may stand around names and
/// values, but not before the first semicolon and not at the end.
fn are_extensions(mut rest: &[u8]) -> bool {
    fn token(rest: &[u8]) -> Option<&[u8]> {
        let length = rest.iter().take_while(|byte| is_token(**byte)).count();
        (length > 0).then(|| unblank(&rest[length..]))
    }
    fn quoted(rest: &[u8]) -> Option<&[u8]> {
        let mut at = 1;
        loop {
            match *rest.get(at)? {
                b'"' => return Some(unblank(&rest[at + 1..])),
                b'\\' if is_text(*rest.get(at + 1)?) => at += 2,
                byte if is_text(byte) && byte != b'\\' => at += 1,
                _ => return None,
            }
        }
    }
    if rest.ends_with(b" ") || rest.ends_with(b"\t") {
        return false;
    }
    while let Some(extension) = rest.strip_prefix(b";") {
        let Some(behind) = token(unblank(extension)) else { return false };
        rest = behind;
        if let Some(value) = behind.strip_prefix(b"=") {
            let value = unblank(value);
            let behind = if value.starts_with(b"\"") { quoted(value) } else { token(value) };
            let Some(behind) = behind else { return false };
            rest = behind;
        }
    }
    rest.is_empty()
}

/// Returns true if the line is `name ":" value`.
fn is_field_line(line: &[u8]) -> bool {
    match memchr(b':', line) {
        Some(colon) => {
            colon > 0 && line[..colon].iter().all(|byte| is_token(*byte)) && line[colon..].iter().all(|b| is_text(*b))
        }
        None => false,
    }
}
