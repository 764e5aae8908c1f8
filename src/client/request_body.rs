//! The request's body as the core reads it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;

use super::{connection::Handle, incoming::Incoming};

/// Chunked content that is longer streams.
const AHEAD: usize = 64 << 10;

/// The request's body: read it, or drop it and let the connection deal with the rest.
///
/// Its stream ends with `None` only at the body's proven end. Its errors: `UnexpectedEof` (the client left),
/// `InvalidData` (malformed chunks; the client has got a 400), `TimedOut` (408), `ConnectionAborted` (the response is
/// out: too late). A client that waits for `100 Continue` gets it when the stream is polled for the first time.
pub struct RequestBody {
    connection: Handle,
    exchange: u64,
    length: Option<u64>,
    /// What [`RequestBody::read_ahead`] has read, and whether that is all.
    ahead: BytesMut,
    ended: bool,
}

impl RequestBody {
    pub(super) fn new(connection: Handle, exchange: u64, length: Option<u64>, chunked: bool) -> RequestBody {
        let ended = !chunked && length.unwrap_or(0) == 0;
        RequestBody { connection, exchange, length, ahead: BytesMut::new(), ended }
    }

    /// Reads chunked content until it ends, pauses for `ahead_pause` or has more than [`AHEAD`] bytes: what is malformed in
    /// them fails before anybody else has heard of the request. Content that has ended has a length from then on.
    pub async fn read_ahead(&mut self) -> io::Result<()> {
        let state = self.connection.upgrade().ok_or(io::ErrorKind::ConnectionAborted)?;
        let pause = state.borrow().worker.options.ahead_pause;
        drop(state);
        while self.length.is_none() && !self.ended && self.ahead.len() <= AHEAD {
            match tokio::time::timeout(pause, std::future::poll_fn(|cx| self.poll_piece(cx))).await {
                Ok(Some(piece)) => self.ahead.extend_from_slice(&piece?),
                Ok(None) => {
                    self.length = Some(self.ahead.len() as u64);
                    self.ended = true;
                }
                Err(_) => {
                    self.note(|body| body.reader = None);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Changes what the connection knows of this body, while it does.
    fn note(&self, change: impl FnOnce(&mut Incoming)) {
        let Some(state) = self.connection.upgrade() else { return };
        let mut state = state.borrow_mut();
        if state.exchange == self.exchange {
            change(&mut state.body);
        }
    }

    /// The next piece from the connection.
    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match self.connection.upgrade() {
            Some(state) => state.borrow_mut().poll_body(self.exchange, cx),
            None => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
        }
    }

    /// Content-Length; `None` where the body is chunked and its end was not seen yet.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// There is no content: none was announced, or it has ended without a byte.
    pub fn is_empty(&self) -> bool {
        self.ended && self.ahead.is_empty()
    }

    pub fn into_stream(self) -> Pin<Box<dyn Stream<Item = io::Result<Bytes>>>> {
        Box::pin(self)
    }

    /// Reads to the end; false where there were more than `limit` bytes, or the end did not come in `drain_timeout`.
    pub async fn discard(mut self, limit: u64) -> bool {
        let Some(patience) = self.connection.upgrade().map(|state| state.borrow().worker.options.drain_timeout) else {
            return false;
        };
        let end = async {
            let mut read = 0;
            while let Some(piece) = std::future::poll_fn(|cx| Pin::new(&mut self).poll_next(cx)).await {
                let Ok(piece) = piece else { return false };
                read += piece.len() as u64;
                if read > limit {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(patience, end).await.unwrap_or(false)
    }
}

impl Stream for RequestBody {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if !self.ahead.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.ahead).freeze())));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        self.poll_piece(cx)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.note(|body| {
            body.held = false;
            body.reader = None;
        });
    }
}
