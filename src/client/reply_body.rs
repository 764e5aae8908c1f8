//! Sends a reply: the head, the body and the framing of a chunked body. actix polls it as a body without a single byte, which
//! ends when all was sent.

use std::{
    collections::VecDeque,
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
    reply::{Piece, Pieces, Trailers},
};

/// The bytes of small pieces that are gathered, so that they are sent at once.
const GATHERED: u64 = 64 << 10;

/// An answer, or the rest of one.
pub(super) struct Answering {
    pub exchange: u64,
    /// Another request is read after this one.
    pub persistent: bool,
    /// The bytes of its head, and of a short body behind it.
    pub head: Vec<u8>,
    /// How many of them were sent.
    pub sent: usize,
    pub content: Content,
}

/// The body that actix polls. Dropping it tells the connection whether the whole response was sent.
pub(super) struct Outgoing {
    connection: Handle,
    exchange: u64,
    /// What is sent next. The head is the first of it.
    pieces: VecDeque<Piece>,
    content: Content,
    /// All of it was sent.
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
    /// The stream has failed, or ended too early.
    Incomplete,
    /// The connection is being broken off.
    Broken,
}

/// The part of a chunked body that is sent next (RFC 9112 §7.1).
pub(super) enum Chunk {
    /// The size of the next piece, or the last chunk.
    Size,
    Data(Piece),
    LineEnd,
    Nothing,
}

/// The stream failed, or ended too early.
pub(super) struct Incomplete;

impl Outgoing {
    pub fn new(connection: Handle, answering: Answering) -> Outgoing {
        let Answering { exchange, head, sent, content, .. } = answering;
        let head = Bytes::from(head).slice(sent..);
        Outgoing { connection, exchange, pieces: VecDeque::from([Piece::Bytes(head)]), content, over: false }
    }
}

impl Content {
    /// Returns the next piece, or an error if the response cannot be completed.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Piece>, Incomplete>> {
        match self {
            Content::Nothing => Poll::Ready(Ok(None)),
            Content::Incomplete => Poll::Ready(Err(Incomplete)),
            Content::Broken => Poll::Pending,
            Content::Bytes(bytes) if bytes.is_empty() => Poll::Ready(Ok(None)),
            Content::Bytes(bytes) => Poll::Ready(Ok(Some(mem::take(bytes).into()))),
            Content::Stream { rest: Some(0), .. } => Poll::Ready(Ok(None)),
            Content::Stream { rest, pieces } => {
                let mut piece = ready!(poll_filled(pieces, cx))?;
                match (&mut piece, rest) {
                    (Some(piece), Some(rest)) => {
                        piece.truncate(*rest);
                        *rest -= piece.length();
                    }
                    (None, Some(_)) => return Poll::Ready(Err(Incomplete)),
                    (_, None) => {}
                }
                Poll::Ready(Ok(piece))
            }
            Content::Chunked { next, pieces, trailers } => {
                let (piece, then) = match mem::replace(next, Chunk::Size) {
                    Chunk::Size => match ready!(poll_filled(pieces, cx))? {
                        Some(piece) => {
                            (Some(Bytes::from(format!("{:X}\r\n", piece.length())).into()), Chunk::Data(piece))
                        }
                        None => (Some(encode::last_chunk(&trailers.take()).into()), Chunk::Nothing),
                    },
                    Chunk::Data(piece) => (Some(piece), Chunk::LineEnd),
                    Chunk::LineEnd => (Some(Bytes::from_static(b"\r\n").into()), Chunk::Size),
                    Chunk::Nothing => (None, Chunk::Nothing),
                };
                *next = then;
                Poll::Ready(Ok(piece))
            }
        }
    }
}

/// Returns the next piece that is not empty: an empty chunk would be the last one.
fn poll_filled(pieces: &mut Pieces, cx: &mut Context<'_>) -> Poll<Result<Option<Piece>, Incomplete>> {
    loop {
        match ready!(pieces.as_mut().poll_next(cx)) {
            Some(Ok(piece)) if piece.length() == 0 => {}
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
        let this = &mut *self;
        let Some(state) = this.connection.upgrade() else { return Poll::Pending };
        let sent = loop {
            // nobody gets the bytes, and an endless stream would be read for ever
            if state.borrow().muted {
                return Poll::Pending;
            }
            // the pieces may ask the connection something
            let gathered = this.gather(cx);
            let sent = ready!(state.borrow_mut().poll_send(cx, &mut this.pieces));
            match sent.and(gathered) {
                Ok(Gathered::Enough) => {}
                Ok(Gathered::AllThereIs) => return Poll::Pending,
                Ok(Gathered::All) => break Ok(()),
                Err(Incomplete) => break Err(Incomplete),
            }
        };
        match sent {
            Ok(()) => {
                this.over = true;
                Poll::Ready(None)
            }
            Err(Incomplete) => {
                // actix would log an error as Larder's own. The connection just ends here
                this.content = Content::Broken;
                this.pieces.clear();
                state.borrow_mut().break_off();
                Poll::Pending
            }
        }
    }
}

/// What there is to send.
enum Gathered {
    /// There may be more.
    Enough,
    /// More is to come.
    AllThereIs,
    /// Nothing follows.
    All,
}

impl Outgoing {
    /// Gathers the next pieces, as many as are sent at once.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<Gathered, Incomplete> {
        while self.pieces.iter().map(Piece::length).sum::<u64>() < GATHERED {
            match self.content.poll_piece(cx) {
                Poll::Ready(Ok(Some(piece))) => self.pieces.push_back(piece),
                // what is gathered may have to wait for the socket: the stream must not be asked again then
                Poll::Ready(Ok(None)) => {
                    self.content = Content::Nothing;
                    return Ok(Gathered::All);
                }
                Poll::Ready(Err(incomplete)) => {
                    self.content = Content::Incomplete;
                    return Err(incomplete);
                }
                Poll::Pending => return Ok(Gathered::AllThereIs),
            }
        }
        Ok(Gathered::Enough)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(state) = self.connection.upgrade().filter(|_| self.over) {
            state.borrow_mut().response_over(self.exchange);
        }
    }
}
