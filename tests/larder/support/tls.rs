//! An origin that speaks TLS, with a certificate of its own making, and that can end a connection as it should not.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tempfile::NamedTempFile;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring, pki_types::PrivateKeyDer};

use super::message;

/// What becomes of the connection behind an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsEnd {
    /// It waits for the next request.
    Open,
    /// It ends in order, with close_notify.
    Notified,
    /// It ends without: anybody on the way could have cut it.
    Cut,
}

type Answering = dyn Fn(&str) -> (String, TlsEnd) + Send + Sync;

/// Listens until it is dropped; answers each request's head.
pub struct TlsOrigin {
    pub address: SocketAddr,
    ca: NamedTempFile,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    config: Arc<ServerConfig>,
    answering: Box<Answering>,
    requests: Mutex<Vec<String>>,
    streams: Mutex<Vec<TcpStream>>,
    stopping: AtomicBool,
}

impl TlsOrigin {
    pub fn start(answering: impl Fn(&str) -> (String, TlsEnd) + Send + Sync + 'static) -> TlsOrigin {
        TlsOrigin::on(TcpListener::bind("127.0.0.1:0").unwrap(), answering)
    }

    pub fn on(
        listener: TcpListener,
        answering: impl Fn(&str) -> (String, TlsEnd) + Send + Sync + 'static,
    ) -> TlsOrigin {
        TlsOrigin::made(|_| {}, listener, answering)
    }

    /// Listens with a certificate that calls itself an authority's, as `openssl req -x509` makes it.
    pub fn as_authority(answering: impl Fn(&str) -> (String, TlsEnd) + Send + Sync + 'static) -> TlsOrigin {
        let authority = |parameters: &mut CertificateParams| {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        };
        TlsOrigin::made(authority, TcpListener::bind("127.0.0.1:0").unwrap(), answering)
    }

    /// Listens with a self-signed certificate that `tune` changes before it is made.
    pub fn made(
        tune: impl FnOnce(&mut CertificateParams),
        listener: TcpListener,
        answering: impl Fn(&str) -> (String, TlsEnd) + Send + Sync + 'static,
    ) -> TlsOrigin {
        let address = listener.local_addr().unwrap();
        let mut parameters = CertificateParams::new(vec![address.ip().to_string()]).unwrap();
        tune(&mut parameters);
        let pair = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&pair).unwrap();
        let key = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
        let mut ca = NamedTempFile::new().unwrap();
        ca.write_all(certificate.pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let shared = Arc::new(Shared {
            config: Arc::new(config),
            answering: Box::new(answering),
            requests: Mutex::default(),
            streams: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let of_thread = shared.clone();
        let thread = std::thread::spawn(move || {
            let mut connections = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                if of_thread.stopping.load(Ordering::Acquire) {
                    break;
                }
                of_thread.streams.lock().unwrap().push(stream.try_clone().unwrap());
                let shared = of_thread.clone();
                connections.push(std::thread::spawn(move || shared.serve(stream)));
            }
            for connection in connections {
                connection.join().unwrap();
            }
        });
        TlsOrigin { address, ca, shared, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The file that vouches for it.
    pub fn ca(&self) -> &Path {
        self.ca.path()
    }

    /// The heads of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let session = ServerConnection::new(self.config.clone()).unwrap();
        let mut session = StreamOwned::new(session, stream);
        let mut buffer = Vec::new();
        // a client that goes away, or does not trust the certificate, is what some tests are about
        while let Ok(Some(head)) = message::read_head(&mut session, &mut buffer) {
            let head = String::from_utf8_lossy(&head).into_owned();
            self.requests.lock().unwrap().push(head.clone());
            let (bytes, end) = (self.answering)(&head);
            let sent = session.write_all(bytes.as_bytes()).and_then(|()| session.flush());
            if sent.is_err() || end != TlsEnd::Open {
                if end == TlsEnd::Notified {
                    session.conn.send_close_notify();
                    let _ = session.flush();
                }
                // whoever still listens hears that this is the end
                let _ = session.sock.shutdown(Shutdown::Write);
                let _ = session.sock.read_to_end(&mut Vec::new());
                return;
            }
        }
    }
}

impl Drop for TlsOrigin {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        for stream in self.shared.streams.lock().unwrap().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
