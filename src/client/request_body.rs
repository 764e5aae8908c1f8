//! The request's body as the core reads it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;

use super::exchange::Exchange;

/// The most bytes of chunked content that are read before the core goes on; longer content is streamed.
const AHEAD: usize = 64 << 10;

/// The body of a request. The connection deals with what is unread when it is dropped.
///
/// Its stream ends with `None` only at the body's proven end. Its errors are `UnexpectedEof` (the client left),
/// `InvalidData` (malformed chunks; the client has got a 400), `TimedOut` (the client has got a 408) and
/// `ConnectionAborted` (the response was sent already). A client that waits for `100 Continue` gets it when the stream is
/// polled for the first time.
pub struct RequestBody {
    exchange: Exchange,
    length: Option<u64>,
    /// The bytes that [`RequestBody::read_ahead`] has read.
    ahead: BytesMut,
    /// Nothing is to come behind `ahead`.
    ended: bool,
}

impl RequestBody {
    pub(super) fn new(exchange: Exchange, length: Option<u64>, chunked: bool) -> RequestBody {
        let ended = !chunked && length.unwrap_or(0) == 0;
        RequestBody { exchange, length, ahead: BytesMut::new(), ended }
    }

    /// Reads chunked content until it ends, pauses for `ahead_pause` or has more than [`AHEAD`] bytes. Malformed chunks
    /// in it fail before the origin has seen the request. Content that has ended has a length from then on.
    pub async fn read_ahead(&mut self) -> io::Result<()> {
        if self.length.is_some() || self.ended {
            return Ok(());
        }
        let pause = self.exchange.options().ok_or(io::ErrorKind::ConnectionAborted)?.ahead_pause;
        while !self.ended && self.ahead.len() <= AHEAD {
            match tokio::time::timeout(pause, std::future::poll_fn(|cx| self.exchange.poll_body(cx))).await {
                Ok(Some(piece)) => self.ahead.extend_from_slice(&piece?),
                Ok(None) => {
                    self.length = Some(self.ahead.len() as u64);
                    self.ended = true;
                }
                Err(_) => {
                    self.exchange.stop_waiting();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Returns the length; `None` if the body is chunked and its end was not read yet.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns true if there is no content: none was announced, or it has ended without a byte.
    pub fn is_empty(&self) -> bool {
        self.ended && self.ahead.is_empty()
    }

    pub fn into_stream(self) -> Pin<Box<dyn Stream<Item = io::Result<Bytes>>>> {
        Box::pin(self)
    }

    /// Reads to the end. Returns false if there were more than `limit` bytes, or if the end did not come in
    /// `drain_timeout`.
    pub async fn discard(mut self, limit: u64) -> bool {
        let Some(options) = self.exchange.options() else { return false };
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
        tokio::time::timeout(options.drain_timeout, end).await.unwrap_or(false)
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
        self.exchange.poll_body(cx)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.exchange.release_body();
    }
}
