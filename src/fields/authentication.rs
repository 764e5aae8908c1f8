//! Authentication that holds for a connection rather than for a request: NTLM, Negotiate and Kerberos (RFC 4559 §6).

use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};

use crate::message::{ConnectionScheme, Fields};

/// The words of each scheme. Nego2 and CredSSP carry the tokens of Negotiate.
const WORDS: [(&str, ConnectionScheme); 5] = [
    ("ntlm", ConnectionScheme::Ntlm),
    ("negotiate", ConnectionScheme::Negotiate),
    ("kerberos", ConnectionScheme::Kerberos),
    ("nego2", ConnectionScheme::Negotiate),
    ("credssp", ConnectionScheme::Negotiate),
];

/// Returns the scheme that credentials or a challenge name. A malformed value counts as well, because a server may
/// accept it and authenticate the connection.
pub fn connection_scheme(value: &[u8]) -> Option<ConnectionScheme> {
    let mut words = value.split(|byte| !byte.is_ascii_alphanumeric());
    words.find_map(|word| {
        let named = |(name, _): &&(&str, _)| word.eq_ignore_ascii_case(name.as_bytes());
        WORDS.iter().find(named).map(|(_, scheme)| *scheme)
    })
}

/// Returns the scheme by which this request authenticates the connection that carries it.
pub fn authenticates_connection(request: &Fields) -> Option<ConnectionScheme> {
    let mut credentials = request.iter().filter(|(name, _)| **name == AUTHORIZATION || **name == PROXY_AUTHORIZATION);
    credentials.find_map(|(_, value)| connection_scheme(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::FieldName;

    fn fields(lines: &[(&'static str, &str)]) -> Fields {
        lines.iter().map(|(name, value)| (FieldName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_scheme_of_connections_is_found_in_any_case_and_in_malformed_values_too() {
        for (value, scheme) in [
            ("NTLM TlRMTVNTUAAB", Some(ConnectionScheme::Ntlm)),
            ("negotiate", Some(ConnectionScheme::Negotiate)),
            ("Negotiate YII=", Some(ConnectionScheme::Negotiate)),
            ("KERBEROS x", Some(ConnectionScheme::Kerberos)),
            ("Nego2 x", Some(ConnectionScheme::Negotiate)),
            (" ,Negotiate,", Some(ConnectionScheme::Negotiate)),
            ("Negotiate\tx", Some(ConnectionScheme::Negotiate)),
            ("\"Negotiate", Some(ConnectionScheme::Negotiate)),
            ("Basic realm=\"a, b\", NTLM", Some(ConnectionScheme::Ntlm)),
            ("Basic YWxpY2U6c2VjcmV0", None),
            ("Bearer ntlmnegotiate", None),
            ("Digest username=\"Negotiator\"", None),
            ("", None),
        ] {
            assert_eq!(connection_scheme(value.as_bytes()), scheme, "{value:?}");
        }
    }

    #[test]
    fn every_line_of_credentials_is_looked_at() {
        let lines = fields(&[("authorization", "Basic x"), ("x", "NTLM"), ("authorization", "ntlm x")]);
        assert_eq!(authenticates_connection(&lines), Some(ConnectionScheme::Ntlm));
        assert_eq!(
            authenticates_connection(&fields(&[("proxy-authorization", "Kerberos")])),
            Some(ConnectionScheme::Kerberos)
        );
        assert_eq!(authenticates_connection(&fields(&[("authorization", "Basic x"), ("cookie", "NTLM")])), None);
    }
}
