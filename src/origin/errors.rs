//! What went wrong between Larder and the origin, in words for the log, for clients and for Proxy-Status.

use std::{fmt, io};

use rustix::io::Errno;

use crate::message::StatusCode;

/// What went wrong between Larder and the origin. `Display` is for the log: it may name the origin's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginError {
    /// The name has no address.
    Resolve(String),
    /// The name has no address but those that Larder does not connect to.
    LinkLocal(String),
    /// No address took the connection.
    Refused(String),
    /// No address can be reached.
    Unreachable(String),
    /// The TLS handshake failed.
    Tls(String),
    /// The origin's certificate is not one to trust.
    Certificate(String),
    ConnectTimeout,
    /// No connection became free in time, or the process has no file descriptor for one: the origin was not asked.
    Exhausted,
    /// Too many clients that have ended their side of the connection wait already: this one is not waited for.
    Crowded,
    /// The system gives no thread to look the name up with: the origin was not asked.
    NoThread,
    FirstByteTimeout,
    /// The response's body stopped coming.
    BodyTimeout,
    /// The origin stopped taking the request's body.
    UploadTimeout,
    /// Closed before the response, or within its head.
    Closed,
    /// Closed within the body.
    Truncated,
    /// The bytes are no message that can be framed safely.
    Protocol(&'static str),
    /// The origin answered 304 to a request that had no conditions.
    UnaskedNotModified,
    /// The client's body failed, or was not as long as it said.
    Upload,
}

impl OriginError {
    /// Words without addresses, names or certificates: for clients.
    pub fn public(&self) -> &'static str {
        match self {
            OriginError::Resolve(_) => "the origin's name could not be resolved",
            OriginError::LinkLocal(_) => "the origin's address is not allowed",
            OriginError::Refused(_) => "the origin refused the connection",
            OriginError::Unreachable(_) => "the origin could not be reached",
            OriginError::Tls(_) => "no secure connection to the origin could be made",
            OriginError::Certificate(_) => "the origin's certificate is not trusted",
            OriginError::ConnectTimeout => "the origin took too long to accept a connection",
            OriginError::Exhausted => "all connections to the origin are in use",
            OriginError::Crowded => "too many clients that have ended their side of the connection wait for the origin",
            OriginError::NoThread => "the system has no thread to look up the origin's name",
            OriginError::FirstByteTimeout => "the origin took too long to answer",
            OriginError::BodyTimeout => "the origin stopped in the middle of its response",
            OriginError::UploadTimeout => "the origin stopped reading the request",
            OriginError::Closed => "the origin closed the connection without an answer",
            OriginError::Truncated => "the origin closed the connection in the middle of its response",
            OriginError::Protocol(_) => "the origin's response is not valid HTTP",
            OriginError::UnaskedNotModified => "the origin answered 304 to a request without conditions",
            OriginError::Upload => "the request's body could not be read to its end",
        }
    }

    /// The status of the response that Larder makes instead.
    pub fn status(&self) -> StatusCode {
        match self {
            OriginError::ConnectTimeout
            | OriginError::FirstByteTimeout
            | OriginError::BodyTimeout
            | OriginError::UploadTimeout => StatusCode::GATEWAY_TIMEOUT,
            OriginError::Exhausted | OriginError::Crowded | OriginError::NoThread => StatusCode::SERVICE_UNAVAILABLE,
            OriginError::Upload => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// The type of RFC 9209 §2.3.
    pub fn proxy_status(&self) -> &'static str {
        match self {
            OriginError::Resolve(_) => "dns_error",
            OriginError::LinkLocal(_) => "destination_ip_prohibited",
            OriginError::Refused(_) => "connection_refused",
            OriginError::Unreachable(_) => "destination_ip_unroutable",
            OriginError::Tls(_) => "tls_protocol_error",
            OriginError::Certificate(_) => "tls_certificate_error",
            OriginError::ConnectTimeout => "connection_timeout",
            OriginError::Exhausted | OriginError::Crowded => "connection_limit_reached",
            OriginError::NoThread => "proxy_internal_error",
            OriginError::FirstByteTimeout => "http_response_timeout",
            OriginError::BodyTimeout => "connection_read_timeout",
            OriginError::UploadTimeout => "connection_write_timeout",
            OriginError::Closed => "connection_terminated",
            OriginError::Truncated => "http_response_incomplete",
            OriginError::Protocol(_) | OriginError::UnaskedNotModified => "http_protocol_error",
            OriginError::Upload => "http_request_error",
        }
    }
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.public())?;
        match self {
            OriginError::Resolve(why)
            | OriginError::Refused(why)
            | OriginError::Unreachable(why)
            | OriginError::Tls(why)
            | OriginError::Certificate(why) => write!(f, " ({why})"),
            OriginError::LinkLocal(why) => {
                write!(f, " ({why}); if it is the one that you mean, allow it with --allow-link-local-origin")
            }
            OriginError::Protocol(why) => write!(f, ": {why}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for OriginError {}

/// Returns true if the process, or the machine, has as many files open as it may.
pub(super) fn has_no_descriptor(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_log_learns_the_address() {
        let refused = OriginError::Refused("10.0.0.1:80: Connection refused".into());
        assert_eq!(refused.to_string(), "the origin refused the connection (10.0.0.1:80: Connection refused)");
        assert_eq!(refused.public(), "the origin refused the connection");
        assert_eq!((refused.status(), refused.proxy_status()), (StatusCode::BAD_GATEWAY, "connection_refused"));
        assert_eq!(OriginError::FirstByteTimeout.status(), StatusCode::GATEWAY_TIMEOUT);
        for ours in [OriginError::Exhausted, OriginError::Crowded, OriginError::NoThread] {
            assert_eq!(ours.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
    }

    #[test]
    fn a_lack_of_descriptors_is_no_fault_of_the_origin() {
        for (error, ours) in [(Errno::MFILE, true), (Errno::NFILE, true), (Errno::NETUNREACH, false)] {
            assert_eq!(has_no_descriptor(&error.into()), ours, "{error}");
        }
    }
}
