//! The bytes of a reply as actix takes them: the head, the body and the framing of a chunked body. actix is told that the
//! body ends with the connection, so that it adds nothing.

use std::{
    convert::Infallible,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_http::body::{BodySize, MessageBody};
use bytes::Bytes;

use super::{
    connection::Handle,
    encode,
    reply::{Pieces, Trailers},
};

/// The most bytes that actix is given at once: it holds them until the client has taken all of them.
const SLICE: usize = 64 << 10;

/// The body that actix polls. Dropping it tells the connection that actix has the whole response.
pub(super) struct Outgoing {
    connection: Handle,
    exchange: u64,
    /// Sent before the content; empty once it was.
    head: Bytes,
    content: Content,
    /// actix has polled it to its end.
    over: bool,
}

pub(super) enum Content {
    Nothing,
    Bytes(Bytes),
    /// `rest`: bytes still to be sent, if a length was promised.
    Stream {
        rest: Option<u64>,
        pieces: Pieces,
    },
    Chunked {
        next: Chunk,
        pieces: Pieces,
        /// Those that the client takes.
        trailers: Trailers,
    },
    /// The connection is being broken off.
    Broken,
}

/// The part of a chunked body that is sent next (RFC 9112 §7.1).
pub(super) enum Chunk {
    /// The size of the next piece, or the last chunk.
    Size,
    Data(Bytes),
    LineEnd,
    Nothing,
}

/// The stream failed, or ended too early.
struct Incomplete;

impl Outgoing {
    pub fn new(connection: Handle, exchange: u64, head: Bytes, content: Content) -> Outgoing {
        Outgoing { connection, exchange, head, content, over: false }
    }
}

impl Content {
    /// Returns the next bytes, or an error if the response cannot be completed.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Incomplete>> {
        match self {
            Content::Nothing => Poll::Ready(Ok(None)),
            Content::Broken => Poll::Pending,
            Content::Bytes(bytes) if bytes.is_empty() => Poll::Ready(Ok(None)),
            Content::Bytes(bytes) => Poll::Ready(Ok(Some(bytes.split_to(bytes.len().min(SLICE))))),
            Content::Stream { rest: Some(0), .. } => Poll::Ready(Ok(None)),
            Content::Stream { rest, pieces } => {
                let mut piece = ready!(poll_filled(pieces, cx))?;
                match (&mut piece, rest) {
                    (Some(piece), Some(rest)) => {
                        piece.truncate(usize::try_from(*rest).unwrap_or(usize::MAX));
                        *rest -= piece.len() as u64;
                    }
                    (None, Some(_)) => return Poll::Ready(Err(Incomplete)),
                    (_, None) => {}
                }
                Poll::Ready(Ok(piece))
            }
            Content::Chunked { next, pieces, trailers } => {
                let (bytes, then) = match mem::replace(next, Chunk::Size) {
                    Chunk::Size => match ready!(poll_filled(pieces, cx))? {
                        Some(piece) => (Bytes::from(format!("{:X}\r\n", piece.len())), Chunk::Data(piece)),
                        None => (encode::last_chunk(&trailers.take()), Chunk::Nothing),
                    },
                    Chunk::Data(piece) => (piece, Chunk::LineEnd),
                    Chunk::LineEnd => (Bytes::from_static(b"\r\n"), Chunk::Size),
                    Chunk::Nothing => (Bytes::new(), Chunk::Nothing),
                };
                *next = then;
                Poll::Ready(Ok((!bytes.is_empty()).then_some(bytes)))
            }
        }
    }
}

/// Returns the next piece that is not empty: an empty chunk would be the last one.
fn poll_filled(pieces: &mut Pieces, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Incomplete>> {
    loop {
        match ready!(pieces.as_mut().poll_next(cx)) {
            Some(Ok(piece)) if piece.is_empty() => {}
            Some(Ok(piece)) => return Poll::Ready(Ok(Some(piece))),
            Some(Err(_)) => return Poll::Ready(Err(Incomplete)),
            None => return Poll::Ready(Ok(None)),
        }
    }
}

impl MessageBody for Outgoing {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        // nobody gets the bytes, and an endless stream would be read for ever
        if self.connection.upgrade().is_some_and(|state| state.borrow().muted) {
            return Poll::Pending;
        }
        if !self.head.is_empty() {
            return Poll::Ready(Some(Ok(mem::take(&mut self.head))));
        }
        match self.content.poll_piece(cx) {
            Poll::Ready(Ok(piece)) => {
                self.over = piece.is_none();
                Poll::Ready(piece.map(Ok))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(Incomplete)) => {
                // actix would log an error as Larder's own. The connection just ends here
                self.content = Content::Broken;
                if let Some(state) = self.connection.upgrade() {
                    state.borrow_mut().break_off();
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(state) = self.connection.upgrade().filter(|_| self.over) {
            state.borrow_mut().response_over(self.exchange);
        }
    }
}
