//! See [`crate::fuzzing`].

use bytes::BytesMut;

use super::{
    Options,
    framing::{Chunked, Framing, Step},
    head::Scan,
    refusal::Refusal,
};

/// Bytes that come in pieces: the first byte of the input says how large those are.
fn pieces(data: &[u8]) -> (usize, &[u8]) {
    let (size, rest) = data.split_first().unwrap_or((&0, data));
    (usize::from(*size) + 1, rest)
}

/// A head that comes in pieces is the head that comes at once.
pub fn client_head(data: &[u8]) {
    let (size, data) = pieces(data);
    let options = Options { max_head: 2048, max_target: 512, max_fields: 20, ..Options::default() };
    let at_once = feed(data, data.len().max(1), &options);
    let in_pieces = feed(data, size, &options);
    // how much of it was read decides which of several faults is seen first, never whether there is one
    match (&at_once, &in_pieces) {
        (Err(_), Err(_)) => {}
        _ => assert_eq!(at_once, in_pieces),
    }
    if let Ok(Some((_, length, chunked, _))) = at_once {
        assert!(!(chunked && length.is_some()), "one framing at most");
    }
}

type HeadSeen = Option<(String, Option<u64>, bool, usize)>;

fn feed(data: &[u8], size: usize, options: &Options) -> Result<HeadSeen, Refusal> {
    let (mut scan, mut input, mut fed) = (Scan::default(), BytesMut::new(), 0);
    for piece in data.chunks(size) {
        input.extend_from_slice(piece);
        fed += piece.len();
        if let Some(head) = scan.head(&mut input, options)? {
            let taken = fed - input.len();
            let text = format!("{} {} {:?} {:?}", head.method, head.target, head.version, head.fields);
            return Ok(Some((text, head.length, head.chunked, taken)));
        }
    }
    Ok(None)
}

/// A chunked body that comes in pieces has the content and the end of one that comes at once.
pub fn client_body(data: &[u8]) {
    let (size, data) = pieces(data);
    let at_once = content(data, data.len().max(1));
    let in_pieces = content(data, size);
    match (&at_once, &in_pieces) {
        (Err(_), Err(_)) => {}
        _ => assert_eq!(at_once, in_pieces),
    }
}

/// The content of a chunked body, and where that ends, if it does; `None`: it is refused.
pub fn client_content(data: &[u8]) -> Option<(Vec<u8>, Option<usize>)> {
    let (content, behind) = content(data, data.len().max(1)).ok()?;
    Some((content, behind.map(|behind| data.len() - behind)))
}

/// The content, and how many bytes stand behind its end (`None`: that did not come).
fn content(data: &[u8], size: usize) -> Result<(Vec<u8>, Option<usize>), Refusal> {
    let options = Options::default();
    let (mut framing, mut input, mut content) = (Framing::Chunked(Chunked::default()), BytesMut::new(), Vec::new());
    let mut fed = 0;
    for piece in data.chunks(size) {
        input.extend_from_slice(piece);
        fed += piece.len();
        loop {
            match framing.next(&mut input, &options)? {
                Step::Piece(piece) => content.extend_from_slice(&piece),
                Step::More => break,
                Step::Done => return Ok((content, Some(data.len() - fed + input.len()))),
            }
        }
    }
    Ok((content, None))
}
