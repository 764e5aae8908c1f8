//! Writes to the client's socket: the client side's own bytes (interim responses, refusals) first, then actix's.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::{io::AsyncWrite, net::TcpStream};

/// The most bytes of interim responses that wait for the client.
const BOUND: usize = 64 << 10;

#[derive(Default)]
pub(super) struct Output {
    /// The client side's own bytes that wait for the socket.
    ours: BytesMut,
    /// The client takes nothing of what waits for it, as far as the socket tells.
    pub stalled: Option<Stall>,
}

/// A socket that takes no bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stall {
    /// When it began, in the worker's milliseconds.
    pub since: u64,
    /// The bytes that the kernel held for the client at the last look, if there was one.
    pub unsent: Option<u64>,
}

impl Output {
    /// Returns true if too many of the client side's own bytes wait already.
    pub fn is_full(&self) -> bool {
        self.ours.len() > BOUND
    }

    /// Returns true if bytes of the client side's own wait.
    pub fn waits(&self) -> bool {
        !self.ours.is_empty()
    }

    /// Sends what the socket takes at once. Returns true if something is left for the next flush.
    pub fn send(&mut self, io: &TcpStream, bytes: &[u8]) -> io::Result<bool> {
        self.ours.extend_from_slice(bytes);
        match io.try_write(&self.ours) {
            Ok(written) => self.ours.advance(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(!self.ours.is_empty())
    }

    /// Sends the rest of the client side's own bytes.
    pub fn poll_flush(&mut self, io: &mut TcpStream, cx: &mut Context<'_>, now: u64) -> Poll<io::Result<()>> {
        while !self.ours.is_empty() {
            let written = Pin::new(&mut *io).poll_write(cx, &self.ours);
            let written = ready!(self.progress(written, now))?;
            self.ours.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends actix's bytes behind the client side's own.
    pub fn poll_write(
        &mut self,
        io: &mut TcpStream,
        cx: &mut Context<'_>,
        bytes: &[u8],
        now: u64,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(io, cx, now))?;
        let written = Pin::new(io).poll_write(cx, bytes);
        self.progress(written, now)
    }

    fn progress(&mut self, written: Poll<io::Result<usize>>, now: u64) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(_) => self.stalled = None,
            Poll::Pending => self.stalled = self.stalled.or(Some(Stall { since: now, unsent: None })),
        }
        written
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        *self = Output::default();
    }
}
