//! Just enough of HTTP/1.1's syntax, written apart from Larder's own so that both cannot be wrong in the same way.

use std::io::{self, Read};

/// Reads up to and with the empty line. `Ok(None)`: the connection ended before the first byte.
pub fn read_head(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            return Ok(Some(buffer.drain(..end + 4).collect()));
        }
        if !fill(stream, buffer)? {
            return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

/// Reads exactly this many bytes into `into`; what came before a failure is there as well.
pub fn read_exactly(stream: &mut impl Read, buffer: &mut Vec<u8>, length: usize, into: &mut Vec<u8>) -> io::Result<()> {
    let mut missing = length;
    loop {
        let take = missing.min(buffer.len());
        into.extend(buffer.drain(..take));
        missing -= take;
        if missing == 0 {
            return Ok(());
        }
        if !fill(stream, buffer)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Reads a chunked body, trailers dropped, its content into `into`.
pub fn read_chunked(stream: &mut impl Read, buffer: &mut Vec<u8>, into: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(stream, buffer)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| io::Error::other(format!("chunk size {line:?}")))?;
        if size == 0 {
            while !read_line(stream, buffer)?.is_empty() {}
            return Ok(());
        }
        read_exactly(stream, buffer, size, into)?;
        if !read_line(stream, buffer)?.is_empty() {
            return Err(io::Error::other("no line end behind a chunk"));
        }
    }
}

pub fn read_to_end(stream: &mut impl Read, buffer: &mut Vec<u8>, into: &mut Vec<u8>) -> io::Result<()> {
    loop {
        into.append(buffer);
        if !fill(stream, buffer)? {
            return Ok(());
        }
    }
}

/// Field lines in order, values trimmed.
pub fn fields(head: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(head).into_owned();
    let lines = text.split("\r\n").skip(1).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_owned(), value.trim().to_owned())
        })
        .collect()
}

/// The first value of a field, whatever its case.
pub fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn read_line(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(end) = find(buffer, b"\r\n") {
            let line: Vec<u8> = buffer.drain(..end + 2).collect();
            return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        if !fill(stream, buffer)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn fill(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut piece = [0; 16 << 10];
    let n = loop {
        match stream.read(&mut piece) {
            // a read with a timeout ends so where the process was stopped and goes on
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    buffer.extend_from_slice(&piece[..n]);
    Ok(n > 0)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
