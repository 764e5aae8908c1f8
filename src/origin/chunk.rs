//! Where a chunked message ends (RFC 9112 §7.1). Changes no byte; takes a subset of what awc's own decoder takes, so that
//! the two cannot find different ends.

/// Bytes of all chunk extensions of one message.
const MAX_EXTENSIONS: usize = 4 * 1024;
/// Bytes of a trailer section.
const MAX_TRAILERS: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    SizeStart,
    Size,
    SizeBlank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    LineStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

#[derive(Debug)]
pub(super) struct ChunkScan {
    at: At,
    /// Of the current chunk's size.
    left: u64,
    extensions: usize,
    /// The lines of the trailer section, as they came.
    trailers: Vec<u8>,
}

impl ChunkScan {
    pub(super) fn new() -> ChunkScan {
        ChunkScan { at: At::SizeStart, left: 0, extensions: 0, trailers: Vec::new() }
    }

    /// Takes coded bytes. `Ok((n, true))`: the message ended with the first `n` of them; `Ok((n, false))`: all belong to
    /// the message, and more must come.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<(usize, bool), &'static str> {
        let mut i = 0;
        while i < bytes.len() && self.at != At::End {
            if self.at == At::Data {
                let taken = self.left.min((bytes.len() - i) as u64);
                self.left -= taken;
                i += taken as usize;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            self.at = self.step(bytes[i])?;
            i += 1;
        }
        Ok((i, self.at == At::End))
    }

    /// The trailer section of a message that has ended, with the empty line at its end; `None`: it has none.
    pub(super) fn take_trailers(&mut self) -> Option<Vec<u8>> {
        let mut lines = std::mem::take(&mut self.trailers);
        if lines.is_empty() {
            return None;
        }
        lines.extend_from_slice(b"\r\n");
        Some(lines)
    }

    fn step(&mut self, byte: u8) -> Result<At, &'static str> {
        Ok(match (self.at, byte) {
            (At::SizeStart, _) => {
                self.left = hex(byte)?;
                At::Size
            }
            (At::Size | At::SizeBlank | At::Extension, b'\r') => At::SizeLf,
            (At::Size | At::SizeBlank, b';') => At::Extension,
            (At::Size | At::SizeBlank, b' ' | b'\t') => self.extension(At::SizeBlank)?,
            (At::Size, _) => {
                self.left = self.left.checked_mul(16).ok_or("its chunk size is too large")? | hex(byte)?;
                At::Size
            }
            (At::Extension, 0x00..=0x08 | 0x0a..=0x1f | 0x7f) => {
                return Err("its chunk extension holds a control byte");
            }
            (At::Extension, _) => self.extension(At::Extension)?,
            (At::SizeLf, b'\n') if self.left == 0 => At::LineStart,
            (At::SizeLf, b'\n') => At::Data,
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::SizeStart,
            (At::LineStart, b'\r') => At::EndLf,
            (At::Trailer, b'\r') => At::TrailerLf,
            (At::LineStart | At::Trailer, b'\n' | 0) => return Err("its trailer section is malformed"),
            (At::LineStart | At::Trailer, _) => {
                self.trailers.push(byte);
                if self.trailers.len() > MAX_TRAILERS {
                    return Err("its trailer section is too large");
                }
                At::Trailer
            }
            (At::TrailerLf, b'\n') => {
                self.trailers.extend_from_slice(b"\r\n");
                At::LineStart
            }
            (At::EndLf, b'\n') => At::End,
            _ => return Err("its chunks are malformed"),
        })
    }

    fn extension(&mut self, then: At) -> Result<At, &'static str> {
        self.extensions += 1;
        if self.extensions > MAX_EXTENSIONS { Err("its chunk extensions are too long") } else { Ok(then) }
    }
}

fn hex(byte: u8) -> Result<u64, &'static str> {
    (byte as char).to_digit(16).map(u64::from).ok_or("its chunk size is no number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_message_ends_behind_its_trailers_however_it_is_cut() {
        let message = b"5;a=b\r\nhello\r\n1 \r\n!\r\n0\r\nX-T: 1\r\nY: 2\r\n\r\nrest";
        let end = message.len() - 4;
        for cut in 0..message.len() {
            let mut scan = ChunkScan::new();
            let first = scan.scan(&message[..cut]).unwrap();
            if cut >= end {
                assert_eq!(first, (end, true));
            } else {
                assert_eq!(first, (cut, false));
                assert_eq!(scan.scan(&message[cut..]).unwrap(), (end - cut, true));
            }
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for bad in [
            &b"\r\n"[..],
            b"g\r\n",
            b"5 5\r\n",
            b"+5\r\n",
            b"0x5\r\n",
            b"11111111111111111\r\n",
            b"5\nhello\r\n",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n",
            b"0\r\nX\nY\r\n\r\n",
            b"0\r\n\n",
            b"5;\0\r\n",
            b"0\r\n\rX",
        ] {
            assert!(ChunkScan::new().scan(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
