//! Answers that the client side gives itself, before or in place of the core.

use std::time::{Duration, UNIX_EPOCH};

use crate::{clock::Clock, message::StatusCode};

/// Why a request goes no further. The connection ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: StatusCode,
    /// A sentence for a person; holds nothing that the client sent.
    pub detail: &'static str,
}

impl Refusal {
    pub fn malformed(detail: &'static str) -> Refusal {
        Refusal { status: StatusCode::BAD_REQUEST, detail }
    }

    /// The whole response (RFC 9457), after which the connection is closed.
    pub fn response(&self) -> Vec<u8> {
        let title = self.status.canonical_reason().unwrap_or_default();
        let code = self.status.as_u16();
        let wall = u64::try_from(Clock::system().wall().0).unwrap_or(0);
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(wall));
        let body = format!("{{\"title\":\"{title}\",\"status\":{code},\"detail\":\"{}\"}}\n", self.detail);
        // RFC 9209 §2.3: malformed, or sound and more than is allowed
        let denied = self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS;
        let error = if denied { "http_request_denied" } else { "http_request_error" };
        format!(
            "HTTP/1.1 {code} {title}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nX-Cache: MISS\r\nCache-Status: larder; detail=\"refused\"\r\n\
             Proxy-Status: larder; error={error}\r\nDate: {date}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}
