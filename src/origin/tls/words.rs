//! What TLS says is wrong, in words for people: the library's own words are names of its code.

use tokio_rustls::rustls::{CertificateError, Error, InvalidMessage};

/// What to do where the certificate is the expected one and has other names.
const NAME_IT: &str = "if it is the one that you expect, name its own file with --origin-ca";

/// The most names of a certificate that are shown.
const NAMES: usize = 3;

/// Says why a certificate is not trusted.
pub fn of_certificate(why: &CertificateError) -> String {
    use CertificateError::*;
    let plainly = match why {
        Expired | ExpiredContext { .. } => "it has expired",
        NotValidYet | NotValidYetContext { .. } => "it is not in force yet",
        Revoked => "its authority has revoked it",
        UnknownIssuer => "its issuer is not known; if that is your own, name its file with --origin-ca",
        NotValidForName => "only its name is wrong: it is for another host",
        NotValidForNameContext { expected, presented } => {
            let (wrong, needed) = ("only its name is wrong", expected.to_str());
            if presented.is_empty() {
                return format!("{wrong}: it has no subjectAltName, and {needed} must be one; {NAME_IT}");
            }
            let shown: Vec<&str> = presented.iter().take(NAMES).map(|name| bare(name)).collect();
            let more = if presented.len() > NAMES { ", ..." } else { "" };
            return format!("{wrong}: it is for {}{more}, not for {needed}; {NAME_IT}", shown.join(", "));
        }
        BadSignature => "its signature is wrong",
        UnsupportedSignatureAlgorithmContext { .. } | UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "its signature has a form that is not supported, such as SHA-1"
        }
        InvalidPurpose | InvalidPurposeContext { .. } => "it is not made for a server",
        // webpki's errors come through without a type, so that their names are all there is
        other => match format!("{other:?}") {
            name if name.contains("CaUsedAsEndEntity") => {
                "it calls itself an authority's (CA:TRUE); if it is the one that you expect, name its file with --origin-ca"
            }
            name if name.contains("UnsupportedCertVersion") => "its version of X.509 is too old; version 3 is needed",
            name if name.contains("Eku") => "it is not made for a server",
            name if name.contains("Signature") => "its signature has a form that is not supported, such as SHA-1",
            _ => "it is not valid",
        },
    };
    plainly.to_owned()
}

/// `DnsName("a.example")` as `a.example`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

/// Says why there is no TLS session.
pub fn of_handshake(error: &Error) -> String {
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the origin does not speak TLS on this port; if it speaks plain HTTP, name it with http://".to_owned()
        }
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "the origin's handshake is not valid TLS".to_owned()
        }
        Error::AlertReceived(alert) => {
            let name = format!("{alert:?}");
            let known = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let why = if known { spaced(&name) } else { format!("alert {}", u8::from(*alert)) };
            format!("the origin ended the handshake: {why}")
        }
        Error::PeerIncompatible(_) => {
            "the origin speaks no version of TLS, or no cipher, that Larder speaks (TLS 1.2 and 1.3)".to_owned()
        }
        Error::PeerMisbehaved(_) => "the origin broke the rules of TLS".to_owned(),
        Error::NoApplicationProtocol => "the origin does not offer HTTP/1.1".to_owned(),
        Error::DecryptError | Error::PeerSentOversizedRecord => "the origin's handshake cannot be read".to_owned(),
        Error::General(why) => why.clone(),
        _ => "the handshake failed".to_owned(),
    }
}

/// `HandshakeFailure` as `handshake failure`.
fn spaced(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_rustls::rustls::{AlertDescription, OtherError, PeerIncompatible, pki_types::ServerName};

    use super::*;

    #[derive(Debug)]
    struct CaUsedAsEndEntity;
    impl std::fmt::Display for CaUsedAsEndEntity {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("CaUsedAsEndEntity")
        }
    }
    impl std::error::Error for CaUsedAsEndEntity {}

    #[test]
    fn no_name_of_the_librarys_code_is_in_the_words() {
        let presented = ["DnsName(\"a.example\")", "DnsName(\"b.example\")", "IpAddress(::1)", "x"].map(str::to_owned);
        let certificates = [
            CertificateError::Expired,
            CertificateError::UnknownIssuer,
            CertificateError::BadEncoding,
            CertificateError::InvalidPurpose,
            CertificateError::Other(OtherError(Arc::new(CaUsedAsEndEntity))),
            CertificateError::NotValidForNameContext {
                expected: ServerName::try_from("c.example").unwrap(),
                presented: presented.to_vec(),
            },
        ];
        let handshakes = [
            Error::InvalidMessage(InvalidMessage::InvalidContentType),
            Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge),
            Error::AlertReceived(AlertDescription::HandshakeFailure),
            Error::AlertReceived(AlertDescription::Unknown(200)),
            Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered),
            Error::NoApplicationProtocol,
            Error::EncryptError,
        ];
        let words = certificates.iter().map(of_certificate).chain(handshakes.iter().map(of_handshake));
        for words in words {
            let humps =
                words.as_bytes().windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
            assert!(!humps, "{words}");
        }
        let name = of_certificate(&certificates[5]);
        let wrong = "only its name is wrong: it is for a.example, b.example, ::1, ..., not for c.example";
        assert_eq!(name, format!("{wrong}; {NAME_IT}"));
        assert_eq!(of_handshake(&handshakes[2]), "the origin ended the handshake: handshake failure");
        assert_eq!(of_handshake(&handshakes[3]), "the origin ended the handshake: alert 200");
    }
}
