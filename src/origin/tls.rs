//! TLS towards the origin: HTTP/1.1 only, the system's roots, no process-wide default.

mod trust;
mod words;

use std::{io, path::Path, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use self::trust::{Anything, verifier};
use super::errors::OriginError;
use crate::regular;

/// The largest file of certificates.
const LARGEST: u64 = 16 << 20;

/// The certificates that are trusted, and the name that the origin must prove.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// `ca`: a PEM file of certificates to trust besides the system's. `insecure`: every certificate is trusted.
    pub(super) fn new(host: &str, ca: Option<&Path>, insecure: bool) -> Result<Tls, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("the origin's host {host:?} is neither a DNS name nor an address"))?;
        let read = |file: &Path| certificates(file).map_err(|error| format!("{}: {error}", file.display()));
        let extra = ca.map(read).transpose()?.unwrap_or_default();
        let provider = Arc::new(ring::default_provider());
        let verifier = match insecure {
            true => Arc::new(Anything(provider.clone())),
            false => verifier(extra, &provider).map_err(|error| match ca {
                Some(file) => format!("cannot trust the certificates in {}: {error}", file.display()),
                None => format!("cannot set up TLS: {error}"),
            })?,
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("cannot set up TLS: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls { config: Arc::new(config), name })
    }

    pub(super) async fn handshake(&self, tcp: TcpStream) -> Result<TlsStream<TcpStream>, OriginError> {
        TlsConnector::from(self.config.clone()).connect(self.name.clone(), tcp).await.map_err(handshake_error)
    }
}

/// Reads the certificates in a PEM file. The error says what is wrong with the file, without its name.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = regular::read(file, LARGEST)?;
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(|_| "not a PEM file".to_owned())?;
    if found.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        roots.add(certificate.clone()).map_err(|error| format!("cannot be trusted: {error}"))?;
    }
    Ok(found)
}

fn handshake_error(error: io::Error) -> OriginError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => OriginError::Certificate(words::of_certificate(why)),
        Some(why) => OriginError::Tls(words::of_handshake(why)),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            OriginError::Tls("the origin closed the connection during the handshake".to_owned())
        }
        None => OriginError::Tls(error.to_string()),
    }
}
