//! The byte stream below a connection to the origin.

use std::{io, mem::MaybeUninit, net::SocketAddr};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{client::TlsStream, rustls::ProtocolVersion};

/// A byte stream to the origin: TCP, or TLS over TCP.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin {
    /// Returns true if the kernel holds unread bytes or the end of the stream. `poll_read` sees them only once the reactor
    /// has run.
    fn has_input(&self) -> bool;

    /// Returns what is known of the connection.
    fn connection(&self) -> Connection {
        Connection::default()
    }
}

/// A connection to the origin, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// The address that took it.
    pub address: Option<SocketAddr>,
    /// The version of TLS: `TLS 1.3`. `None` without TLS.
    pub tls: Option<&'static str>,
}

impl Io for TcpStream {
    fn has_input(&self) -> bool {
        let peeked = SockRef::from(self).peek(&mut [MaybeUninit::uninit()]);
        !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    fn connection(&self) -> Connection {
        Connection { address: self.peer_addr().ok(), tls: None }
    }
}

impl Io for TlsStream<TcpStream> {
    fn has_input(&self) -> bool {
        self.get_ref().0.has_input()
    }

    fn connection(&self) -> Connection {
        let (tcp, session) = self.get_ref();
        let tls = match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        };
        Connection { tls: Some(tls), ..tcp.connection() }
    }
}

pub(super) type Transport = Box<dyn Io>;
