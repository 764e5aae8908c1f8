//! The reply's body as actix writes it.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use actix_http::body::{BodySize, MessageBody};
use bytes::Bytes;

use super::{Pieces, connection::Handle};

/// A whole body would stay in actix's write buffer until the client has taken all of it.
const SLICE: usize = 64 << 10;

/// What actix asks for pieces. Dropping it is how the connection learns that actix has the whole response.
pub(super) struct Outgoing {
    connection: Handle,
    exchange: u64,
    size: BodySize,
    content: Content,
    /// actix has asked to the end; it does not ask where the size is zero or none.
    over: bool,
}

pub(super) enum Content {
    /// Nothing is written, whatever the size says.
    Nothing,
    Bytes(Bytes),
    /// `rest`: bytes still owed, where a length was promised.
    Stream {
        rest: Option<u64>,
        pieces: Pieces,
    },
    /// The connection is being broken off.
    Broken,
}

/// The stream failed, or ended too early.
struct Incomplete;

impl Outgoing {
    pub fn new(connection: Handle, exchange: u64, size: BodySize, content: Content) -> Outgoing {
        Outgoing { connection, exchange, size, content, over: size.is_eof() }
    }
}

impl Content {
    /// The next piece; an error where it cannot be completed.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Incomplete>> {
        match self {
            Content::Nothing => Poll::Ready(Ok(None)),
            Content::Broken => Poll::Pending,
            Content::Bytes(bytes) if bytes.is_empty() => Poll::Ready(Ok(None)),
            Content::Bytes(bytes) => Poll::Ready(Ok(Some(bytes.split_to(bytes.len().min(SLICE))))),
            Content::Stream { rest: Some(0), .. } => Poll::Ready(Ok(None)),
            Content::Stream { rest, pieces } => loop {
                match pieces.as_mut().poll_next(cx) {
                    Poll::Pending => return Poll::Pending,
                    // actix would take an empty piece for the last chunk
                    Poll::Ready(Some(Ok(piece))) if piece.is_empty() => {}
                    Poll::Ready(Some(Ok(mut piece))) => {
                        if let Some(rest) = rest {
                            piece.truncate(usize::try_from(*rest).unwrap_or(usize::MAX));
                            *rest -= piece.len() as u64;
                        }
                        return Poll::Ready(Ok(Some(piece)));
                    }
                    Poll::Ready(None) if rest.is_none() => return Poll::Ready(Ok(None)),
                    Poll::Ready(None | Some(Err(_))) => return Poll::Ready(Err(Incomplete)),
                }
            },
        }
    }
}

impl MessageBody for Outgoing {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        // what is swallowed would never end where the stream does not
        if self.connection.upgrade().is_some_and(|state| state.borrow().muted) {
            return Poll::Pending;
        }
        match self.content.poll_piece(cx) {
            Poll::Ready(Ok(piece)) => {
                self.over = piece.is_none();
                Poll::Ready(piece.map(Ok))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(Incomplete)) => {
                // an error given to actix would be logged as one of ours; the connection just ends here
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
