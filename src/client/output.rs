//! Writes to the client's socket: the client side's own bytes (interim responses, refusals) first, then the answer's.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use rustix::{
    fs::sendfile,
    net::{SendAncillaryBuffer, SendFlags, sendmsg},
};
use tokio::{io::Interest, net::TcpStream};

use super::reply::{FilePiece, Piece};

/// The most bytes of interim responses that wait for the client.
const BOUND: usize = 64 << 10;
/// The most pieces that are sent at once.
const SLICES: usize = 16;

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
    pub fn poll_flush(&mut self, io: &TcpStream, cx: &mut Context<'_>, now: u64) -> Poll<io::Result<()>> {
        while !self.ours.is_empty() {
            let written = poll_io(io, cx, || io.try_write(&self.ours));
            let written = ready!(self.progress(written, now))?;
            self.ours.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Sends all these pieces behind the client side's own bytes. Those that were sent are gone from `pieces`.
    pub fn poll_send(
        &mut self,
        io: &TcpStream,
        cx: &mut Context<'_>,
        pieces: &mut VecDeque<Piece>,
        now: u64,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(io, cx, now))?;
        while let Some(first) = pieces.front_mut() {
            match first {
                Piece::File(piece) => {
                    let sent = poll_io(io, cx, || send_file(io, piece));
                    let sent = ready!(self.progress(sent, now))?;
                    piece.advance(sent as u64);
                    if piece.length == 0 {
                        pieces.pop_front();
                    }
                }
                Piece::Bytes(_) => {
                    let sent = poll_io(io, cx, || send_bytes(io, pieces));
                    let sent = ready!(self.progress(sent, now))?;
                    advance(pieces, sent);
                }
            }
        }
        Poll::Ready(Ok(()))
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

/// Calls what writes to the socket, as soon as that takes bytes.
fn poll_io(
    io: &TcpStream,
    cx: &mut Context<'_>,
    mut write: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(io.poll_write_ready(cx))?;
        match io.try_io(Interest::WRITABLE, &mut write) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => return Poll::Ready(written),
        }
    }
}

/// Sends the bytes that come before the next piece of a file. The kernel waits for that one, so that both share a packet.
fn send_bytes(io: &TcpStream, pieces: &VecDeque<Piece>) -> io::Result<usize> {
    let bytes = pieces.iter().map_while(|piece| match piece {
        Piece::Bytes(bytes) => Some(IoSlice::new(bytes)),
        Piece::File(_) => None,
    });
    let slices: Vec<IoSlice<'_>> = bytes.take(SLICES).collect();
    let more = if pieces.len() > slices.len() { SendFlags::MORE } else { SendFlags::empty() };
    Ok(sendmsg(io, &slices, &mut SendAncillaryBuffer::default(), more | SendFlags::NOSIGNAL)?)
}

/// Has the kernel send bytes of a file. An end of the file before them is [`io::ErrorKind::UnexpectedEof`].
fn send_file(io: &TcpStream, piece: &FilePiece) -> io::Result<usize> {
    let length = usize::try_from(piece.length).unwrap_or(usize::MAX);
    match sendfile(io, &piece.file, Some(&mut piece.offset.clone()), length)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        sent => Ok(sent),
    }
}

/// Drops so many bytes in front.
fn advance(pieces: &mut VecDeque<Piece>, mut sent: usize) {
    while let Some(Piece::Bytes(bytes)) = pieces.front_mut() {
        if sent < bytes.len() {
            bytes.advance(sent);
            return;
        }
        sent -= bytes.len();
        pieces.pop_front();
    }
}
