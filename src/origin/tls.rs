//! TLS towards the origin: HTTP/1.1 only, the system's roots, no process-wide default.

use std::{io, path::Path, sync::Arc};

use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, ClientConfig, RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier},
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::errors::OriginError;

/// Whom to trust, and the name that the origin must prove.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// `ca`: a PEM file with roots besides the system's.
    pub(super) fn new(host: &str, ca: Option<&Path>) -> Result<Tls, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("the origin's host {host:?} is neither a DNS name nor an address"))?;
        let extra = ca.map(certificates).transpose()?.unwrap_or_default();
        let provider = Arc::new(ring::default_provider());
        let verifier = verifier(extra, &provider).map_err(|error| match ca {
            Some(file) => format!("cannot trust the certificates in {}: {error}", file.display()),
            None => format!("cannot set up TLS: {error}"),
        })?;
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

/// The certificates in a PEM file. The error names the file and what is wrong with it.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let name = file.display();
    let bytes = std::fs::read(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("{name} is no PEM file: {error}"))?;
    if found.is_empty() {
        return Err(format!("{name} holds no certificate"));
    }
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        roots.add(certificate.clone()).map_err(|error| format!("cannot trust the certificates in {name}: {error}"))?;
    }
    Ok(found)
}

/// The system's roots and `extra`; where the system has none, Mozilla's and `extra`.
fn verifier(
    extra: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in &extra {
        roots.add(certificate.clone()).map_err(|error| error.to_string())?;
    }
    match Verifier::new_with_extra_roots(extra, provider.clone()) {
        Ok(system) => Ok(Arc::new(system)),
        Err(error) => {
            log::warn!("the system's root certificates cannot be used ({error}); Mozilla's are used instead");
            let mozilla = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
            Ok(mozilla.build().map_err(|error| error.to_string())?)
        }
    }
}

fn handshake_error(error: io::Error) -> OriginError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        // rustls wraps what webpki says, and webpki is no crate of ours: its words are all there is
        Some(rustls::Error::InvalidCertificate(why)) if format!("{why:?}").contains("CaUsedAsEndEntity") => {
            OriginError::AuthorityAsServer
        }
        Some(rustls::Error::InvalidCertificate(_)) => OriginError::Certificate(error.to_string()),
        _ => OriginError::Tls(error.to_string()),
    }
}
