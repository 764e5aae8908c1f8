//! Says in words why an exchange with the origin failed, and what to check.

use std::net::IpAddr;

use crate::{origin::OriginError, policy::Reason};

/// Returns the reason that Cache-Status, the log and the answer's body give for a failed exchange.
pub fn reason(error: &OriginError) -> Reason {
    match error {
        OriginError::Resolve(_) => Reason::NameNotResolved,
        OriginError::LinkLocal(_) => Reason::AddressNotAllowed,
        OriginError::Refused(_) => Reason::ConnectionRefused,
        OriginError::Unreachable(_) => Reason::OriginUnreachable,
        OriginError::Tls(_) => Reason::TlsFailed,
        OriginError::Certificate(_) => Reason::CertificateNotTrusted,
        OriginError::ConnectTimeout => Reason::ConnectTimeout,
        OriginError::Exhausted => Reason::NoConnectionFree,
        OriginError::Crowded => Reason::HalfClosedCrowd,
        OriginError::NoThread => Reason::NoThread,
        OriginError::FirstByteTimeout => Reason::FirstByteTimeout,
        OriginError::BodyTimeout => Reason::BodyTimeout,
        OriginError::UploadTimeout => Reason::UploadTimeout,
        OriginError::Closed => Reason::ClosedWithoutAnswer,
        OriginError::Truncated => Reason::ClosedWithinAnswer,
        OriginError::Protocol(_) => Reason::NotHttp,
        OriginError::UnaskedNotModified => Reason::UnaskedNotModified,
        OriginError::Upload => Reason::ContentBroken,
    }
}

/// Returns the status of the origin's answer, if the error means that there was one.
pub fn status_of(error: &OriginError) -> Option<u16> {
    (*error == OriginError::UnaskedNotModified).then_some(304)
}

/// Returns the sentences for the client: what failed, and what to check. Only a client on this machine learns the
/// origin's URL.
pub fn detail(error: &OriginError, origin: &str, peer: Option<IpAddr>) -> String {
    let what = reason(error).as_str();
    let check = match error {
        OriginError::Resolve(_) | OriginError::LinkLocal(_) => "Check the host in --origin",
        OriginError::Refused(_) | OriginError::Unreachable(_) | OriginError::ConnectTimeout => {
            "Check that the origin runs, and the host and port in --origin"
        }
        OriginError::Tls(_) => "Check that --origin names an https server",
        OriginError::Certificate(_) => "Check the origin's certificate; --origin-ca names one to trust",
        OriginError::Exhausted | OriginError::Crowded | OriginError::NoThread => "Try again later",
        OriginError::Upload => "Send the request again",
        _ => "Check the origin and its log",
    };
    match peer.is_some_and(|peer| peer.to_canonical().is_loopback()) {
        true => format!("{what}. {check} ({origin})."),
        false => format!("{what}. {check}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_and_the_client_hear_the_same_words() {
        let why = || "why".to_owned();
        for error in [
            OriginError::Resolve(why()),
            OriginError::LinkLocal(why()),
            OriginError::Refused(why()),
            OriginError::Unreachable(why()),
            OriginError::Tls(why()),
            OriginError::Certificate(why()),
            OriginError::ConnectTimeout,
            OriginError::Exhausted,
            OriginError::Crowded,
            OriginError::NoThread,
            OriginError::FirstByteTimeout,
            OriginError::BodyTimeout,
            OriginError::UploadTimeout,
            OriginError::Closed,
            OriginError::Truncated,
            OriginError::Protocol("why"),
            OriginError::UnaskedNotModified,
            OriginError::Upload,
        ] {
            let words = reason(&error).as_str();
            assert!(error.to_string().starts_with(words), "{words}: {error}");
            assert!(detail(&error, "http://o", None).starts_with(words), "{words}");
        }
    }

    #[test]
    fn only_a_client_on_this_machine_learns_where_the_origin_is() {
        let error = OriginError::Refused("10.0.0.7:80: Connection refused".to_owned());
        let told = |peer: Option<&str>| detail(&error, "http://app.internal", peer.map(|peer| peer.parse().unwrap()));
        let words = "the origin refused the connection. Check that the origin runs, and the host and port in --origin";
        for near in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(told(Some(near)), format!("{words} (http://app.internal)."), "{near}");
        }
        for far in [Some("10.0.0.1"), Some("2001:db8::1"), None] {
            assert_eq!(told(far), format!("{words}."), "{far:?}");
        }
    }
}
