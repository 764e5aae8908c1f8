//! Answers that the client side gives itself, before or in place of the core.

use http::header;

use super::encode::{self, Date, Frame, Length};
use crate::message::{FieldName, FieldValue, Fields, StatusCode, Version};

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

    /// Returns the whole response (RFC 9457), after which the connection is closed.
    pub fn response(&self, date: &Date) -> Vec<u8> {
        let (title, code) = (encode::reason(self.status), self.status.as_u16());
        let body = format!("{{\"title\":\"{title}\",\"status\":{code},\"detail\":\"{}\"}}\n", self.detail);
        // RFC 9209 §2.3: malformed, or sound and more than is allowed
        let denied = self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS;
        let lines = [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::CACHE_CONTROL, "no-store"),
            (
                FieldName::from_static("proxy-status"),
                if denied { "larder; error=http_request_denied" } else { "larder; error=http_request_error" },
            ),
            (FieldName::from_static("cache-status"), "larder; detail=\"refused\""),
            (FieldName::from_static("x-cache"), "MISS"),
        ];
        let fields: Fields = lines.into_iter().map(|(name, value)| (name, FieldValue::from_static(value))).collect();
        let frame = Frame { version: Version::Http11, persistent: false, length: Length::Known(body.len() as u64) };
        let mut response = encode::head(frame, self.status, &fields, date);
        response.extend_from_slice(body.as_bytes());
        response
    }
}
