//! The request's body as the core reads it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;

use super::connection::Handle;

/// The request's body: read it, or drop it and let the connection deal with the rest.
///
/// Its stream ends with `None` only at the body's proven end. Its errors: `UnexpectedEof` (the client left),
/// `InvalidData` (malformed chunks; the client has got a 400), `TimedOut` (408), `ConnectionAborted` (the response is
/// out: too late). A client that waits for `100 Continue` gets it when the stream is polled for the first time.
pub struct RequestBody {
    connection: Handle,
    exchange: u64,
    length: Option<u64>,
    announced: bool,
}

impl RequestBody {
    pub(super) fn new(connection: Handle, exchange: u64, length: Option<u64>, chunked: bool) -> RequestBody {
        RequestBody { connection, exchange, length, announced: chunked || length.is_some_and(|length| length > 0) }
    }

    /// Content-Length; `None` also where the body is chunked.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// No body was announced, or one of no bytes.
    pub fn is_empty(&self) -> bool {
        !self.announced
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

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if !self.announced {
            return Poll::Ready(None);
        }
        match self.connection.upgrade() {
            Some(state) => state.borrow_mut().poll_body(self.exchange, cx),
            None => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(state) = self.connection.upgrade() else { return };
        let mut state = state.borrow_mut();
        if state.exchange == self.exchange {
            state.body.held = false;
            state.body.reader = None;
        }
    }
}
