//! A connection as an origin has it: plain or TLS, and every way to end it.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
    time::Duration,
};

use rcgen::{CertificateParams, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring, pki_types::PrivateKeyDer};

pub enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// What a TLS origin shows, and the PEM text that vouches for it.
pub fn certificate() -> (Arc<ServerConfig>, String) {
    let pair = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&pair).unwrap();
    let key = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (Arc::new(config), certificate.pem())
}

impl Wire {
    pub fn new(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Wire {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(Duration::from_secs(120)));
        match tls {
            None => Wire::Plain(stream),
            Some(config) => {
                let session = ServerConnection::new(config.clone()).unwrap();
                Wire::Tls(Box::new(StreamOwned::new(session, stream)))
            }
        }
    }

    pub fn is_tls(&self) -> bool {
        matches!(self, Wire::Tls(_))
    }

    /// What is below TLS: bytes written there are in no record of the session's.
    pub fn socket(&mut self) -> &mut TcpStream {
        match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(session) => &mut session.sock,
        }
    }

    /// Ends what is sent in order: with close_notify where there is TLS.
    pub fn end(&mut self) {
        if let Wire::Tls(session) = self {
            session.conn.send_close_notify();
            let _ = session.flush();
        }
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// Ends without close_notify. Where there is no TLS this looks like an end in order.
    pub fn cut(&mut self) {
        let _ = self.socket().shutdown(Shutdown::Both);
    }

    /// Its end will be a reset.
    pub fn reset(&mut self) {
        let _ = socket2::SockRef::from(&*self.socket()).set_linger(Some(Duration::ZERO));
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(into),
            Wire::Tls(session) => session.read(into),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Tls(session) => session.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(stream) => stream.flush(),
            Wire::Tls(session) => session.flush(),
        }
    }
}
