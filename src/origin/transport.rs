//! The byte stream below a connection to the origin.

use std::{io, mem::MaybeUninit};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// A byte stream to the origin: TCP, or TLS over TCP.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin {
    /// Returns true if the kernel holds unread bytes or the end of the stream. `poll_read` sees them only once the reactor
    /// has run.
    fn has_input(&self) -> bool;
}

impl Io for TcpStream {
    fn has_input(&self) -> bool {
        let peeked = SockRef::from(self).peek(&mut [MaybeUninit::uninit()]);
        !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Io for TlsStream<TcpStream> {
    fn has_input(&self) -> bool {
        self.get_ref().0.has_input()
    }
}

pub(super) type Transport = Box<dyn Io>;
