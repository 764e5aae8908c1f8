//! The I/O type that actix reads constant request heads from, and writes responses to.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{connection::Shared, lane::Lane};

/// actix's end of a connection.
pub(super) struct ClientStream {
    pub state: Shared,
    pub lane: Rc<Lane>,
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        self.state.borrow_mut().dropped();
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let head = ready!(self.lane.poll_input(&self.state, cx));
        // actix has room for 1 KiB at least; the constant head has less than 64 bytes
        buffer.put_slice(head);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.state.borrow_mut().poll_write(bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.borrow_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.borrow_mut().poll_shutdown(cx)
    }
}
