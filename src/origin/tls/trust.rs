//! Which certificates of an origin are trusted.

use std::sync::Arc;

use rustls_platform_verifier::Verifier;
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

/// Makes the verifier that trusts the system's authorities, and `named`: the authorities among these certificates, and
/// each of them where the origin itself has it. Where the system has no authorities, Mozilla's take their place.
pub fn verifier(
    named: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let mut of_named = RootCertStore::empty();
    for certificate in &named {
        for store in [&mut roots, &mut of_named] {
            store.add(certificate.clone()).map_err(|error| error.to_string())?;
        }
    }
    let by_roots = |roots: RootCertStore| {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        verifier.build().map_err(|error| error.to_string())
    };
    let authorities: Arc<dyn ServerCertVerifier> = match Verifier::new_with_extra_roots(named.clone(), provider.clone())
    {
        Ok(system) => Arc::new(system),
        Err(error) => {
            log::warn!("the system's root certificates cannot be used ({error}); Mozilla's are used instead");
            by_roots(roots)?
        }
    };
    if named.is_empty() {
        return Ok(authorities);
    }
    Ok(Arc::new(Named { of_named: by_roots(of_named)?, named, authorities }))
}

/// Trusts what the authorities vouch for, and an origin's certificate that was named itself: a self-signed one is often
/// marked as an authority's (`openssl req -x509` does so), and no authority's certificate may be a server's own. Often it
/// has no subjectAltName, or another host's. A named one must only be in force.
#[derive(Debug)]
struct Named {
    named: Vec<CertificateDer<'static>>,
    /// Trusts the named ones alone. It also looks at the time.
    of_named: Arc<WebPkiServerVerifier>,
    authorities: Arc<dyn ServerCertVerifier>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.named.iter().any(|named| named == end_entity) {
            return self.authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        }
        let verified = self.of_named.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // who vouches for it, and for which names, does not matter: it is the one that was named
            Err(Error::InvalidCertificate(why)) if !is_about_time(&why) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

fn is_about_time(why: &CertificateError) -> bool {
    use CertificateError::*;
    matches!(why, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
}

/// Trusts every certificate. It is what `--origin-insecure` asks for.
#[derive(Debug)]
pub struct Anything(pub Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    // where nobody knows whose the certificate is, it does not matter who has its key

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
