//! Reads the bytes of an answer from memory, from disk, from a fill or from the origin.

use std::io;

use bytes::{Buf, Bytes};
use futures_core::Stream;

use super::{fill::FillReader, gaps::Composite, pieces, warning::Warning};
use crate::{
    client::{Piece, ReplyBody, Trailers},
    message::{Method, Request},
    origin::OriginBody,
    store::StoredBody,
};

/// The source of an answer's bytes.
pub enum Source {
    Stored(StoredBody),
    Fill(FillReader),
    /// Stored parts, and bytes that are fetched.
    Parts(Box<Composite>),
}

/// A part of an answer's body.
pub enum Segment {
    Text(Bytes),
    /// Bytes of the source: the offset of the first, and how many.
    Body(u64, u64),
}

impl Segment {
    pub fn length(&self) -> u64 {
        match self {
            Segment::Text(text) => text.len() as u64,
            Segment::Body(_, length) => *length,
        }
    }
}

/// Returns the body with `length` bytes of the source from offset `from`. If `length` is `None`, the body goes to the
/// end.
pub fn body(request: &Request, source: Source, from: u64, length: Option<u64>) -> ReplyBody {
    match (source.in_memory(), length) {
        (Some(mut bytes), Some(length)) if request.method != Method::HEAD && from + length <= bytes.len() as u64 => {
            bytes.truncate((from + length) as usize);
            bytes.advance(from as usize);
            ReplyBody::Bytes(bytes)
        }
        _ => stream(request, source, vec![Segment::Body(from, length.unwrap_or(u64::MAX))], length),
    }
}

/// Returns the body with all segments, in order. `length` is the sum of their lengths, if it is known.
pub fn stream(request: &Request, source: Source, segments: Vec<Segment>, length: Option<u64>) -> ReplyBody {
    if request.method == Method::HEAD {
        return ReplyBody::Empty(length);
    }
    if length == Some(0) {
        return ReplyBody::Empty(Some(0));
    }
    ReplyBody::Stream { length, pieces: Box::pin(all(source, segments)) }
}

/// Returns the bytes of all segments, in order. A source that ends too early is an error.
fn all(source: Source, segments: Vec<Segment>) -> impl Stream<Item = io::Result<Piece>> {
    let started = (source, segments.into_iter(), None);
    futures_util::stream::unfold(started, |(mut source, mut segments, mut segment)| async move {
        loop {
            match segment.take() {
                None => match segments.next()? {
                    Segment::Text(text) => return Some((Ok(text.into()), (source, segments, None))),
                    Segment::Body(from, length) => {
                        source.seek(from);
                        segment = Some((from, length));
                    }
                },
                Some((_, 0)) => {}
                Some((from, left)) => match source.read(from, left).await {
                    Some(Ok(piece)) => {
                        let n = piece.length();
                        return Some((Ok(piece), (source, segments, Some((from + n, left - n)))));
                    }
                    Some(Err(error)) => return Some((Err(error), (source, Vec::new().into_iter(), None))),
                    // the end of a body of unknown length; if the length is known, the client sees that bytes are
                    // missing
                    None => {}
                },
            }
        }
    })
}

impl Source {
    /// Returns all bytes, if memory holds them in one piece.
    fn in_memory(&self) -> Option<Bytes> {
        match self {
            Source::Stored(StoredBody::Memory(bytes)) => Some(bytes.clone()),
            Source::Fill(reader) => reader.in_memory(),
            Source::Stored(StoredBody::Disk(_)) | Source::Parts(_) => None,
        }
    }

    fn seek(&mut self, from: u64) {
        if let Source::Fill(reader) = self {
            reader.skip_to(from);
        }
    }

    async fn read(&mut self, from: u64, left: u64) -> Option<io::Result<Piece>> {
        match self {
            Source::Fill(reader) => {
                let piece = reader.next(left).await?;
                Some(piece.map_err(|_| io::Error::other("the origin broke the response off")))
            }
            Source::Parts(composite) => Some(composite.read(from, left).await),
            Source::Stored(body) if from >= body.length() => None,
            Source::Stored(body) => Some(pieces::next(body, from, left).await),
        }
    }
}

/// Returns the origin's bytes as they come, and sets `trailers` at the end.
pub fn relay(body: OriginBody, trailers: Trailers) -> impl Stream<Item = io::Result<Piece>> {
    futures_util::stream::unfold(Some((body, trailers)), |state| async move {
        let (mut body, trailers) = state?;
        let Some(next) = body.next().await else {
            trailers.set(body.take_trailers());
            return None;
        };
        match next {
            Ok(bytes) => Some((Ok(bytes.into()), Some((body, trailers)))),
            Err(error) => {
                static BROKEN_OFF: Warning = Warning::new();
                BROKEN_OFF.say(format_args!("a response was broken off: {error}"));
                Some((Err(io::Error::other("the origin broke the response off")), None))
            }
        }
    })
}
