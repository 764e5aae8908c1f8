//! Sends the answers of a connection.

use std::{
    collections::VecDeque,
    io,
    task::{Context, Poll, ready},
};

use memchr::memchr_iter;

use super::{
    super::{reply::Piece, reply_body::Incomplete},
    State,
};

impl State {
    /// Sends what waits of the client side's own bytes.
    pub fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(&self.io, cx, self.worker.now())
    }

    /// Drops the head that actix writes.
    pub fn poll_write(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.muted {
            return Poll::Ready(Ok(bytes.len()));
        }
        let head = if std::mem::take(&mut self.head_of_actix) { head_length(bytes) } else { None };
        // actix answers by itself only where something is wrong: the client must not see it
        Poll::Ready(head.ok_or(io::ErrorKind::InvalidData.into()))
    }

    /// Sends all these pieces of the answer. Returns an error if a file has fewer bytes than its piece.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, pieces: &mut VecDeque<Piece>) -> Poll<Result<(), Incomplete>> {
        while let Err(error) = ready!(self.output.poll_send(&self.io, cx, pieces, self.worker.now())) {
            match (pieces.front(), error.kind()) {
                (Some(Piece::File(piece)), io::ErrorKind::UnexpectedEof) => {
                    (piece.on_cut)();
                    return Poll::Ready(Err(Incomplete));
                }
                // the file system has no such call
                (Some(Piece::File(piece)), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
                    let Ok(bytes) = piece.read() else { return Poll::Ready(Err(Incomplete)) };
                    pieces[0] = Piece::Bytes(bytes);
                }
                _ => {
                    self.fail();
                    self.wake();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Flushes. actix calls it once its own buffer is empty.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_output(cx))?;
        self.flushed();
        Poll::Ready(Ok(()))
    }
}

/// Returns the length of the head that `bytes` begin with. actix writes a whole head at once, with nothing before it.
fn head_length(bytes: &[u8]) -> Option<usize> {
    memchr_iter(b'\n', bytes).find(|at| bytes[at + 1..].starts_with(b"\r\n")).map(|at| at + b"\n\r\n".len())
}
