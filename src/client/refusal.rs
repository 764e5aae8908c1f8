//! Answers that the client side gives itself, before or in place of the core.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use http::header;
use serde::Serialize;

use super::encode::{self, Date, Frame, Length};
use crate::{
    fields::cache_status::CacheStatus,
    message::{FieldName, FieldValue, Fields, Method, StatusCode, Version},
};

/// The body of every answer that Larder gives by itself (RFC 9457), as one line. `detail` becomes a sentence.
pub fn problem(status: StatusCode, detail: &str) -> String {
    #[derive(Serialize)]
    struct Problem<'a> {
        title: &'a str,
        status: u16,
        detail: &'a str,
    }
    let detail = match detail.as_bytes().first() {
        Some(first @ b'a'..=b'z') => &*format!("{}{}", first.to_ascii_uppercase() as char, &detail[1..]),
        _ => detail,
    };
    let problem = Problem { title: encode::reason(status), status: status.as_u16(), detail };
    // text and numbers are always JSON
    serde_json::to_string(&problem).unwrap_or_default() + "\n"
}

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

    /// The refusal of a connection without a request.
    pub fn told(&self, peer: Option<IpAddr>, sent: u64) -> Refused {
        Refused {
            status: self.status,
            detail: self.detail,
            peer,
            sent,
            took: Duration::ZERO,
            handed_over: false,
            method: None,
            target: None,
            version: None,
        }
    }

    /// Returns the response's body.
    pub fn body(&self) -> String {
        problem(self.status, self.detail)
    }

    /// Returns the whole response, after which the connection is closed.
    pub fn response(&self, date: &Date) -> Vec<u8> {
        let body = self.body();
        // RFC 9209 §2.3: malformed, or sound and more than is allowed
        let denied = self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS;
        let error = if denied { "larder; error=http_request_denied" } else { "larder; error=http_request_error" };
        let mut fields = Fields::with_capacity(5);
        for (name, value) in [
            (header::CONTENT_TYPE, "application/problem+json"),
            (header::CACHE_CONTROL, "no-store"),
            (FieldName::from_static("proxy-status"), error),
        ] {
            fields.append(name, FieldValue::from_static(value));
        }
        CacheStatus { detail: Some(self.detail.into()), ..CacheStatus::default() }.append_to(&mut fields);
        fields.append(FieldName::from_static("x-cache"), FieldValue::from_static("MISS"));
        let frame = Frame { version: Version::Http11, persistent: false, length: Length::Known(body.len() as u64) };
        encode::head(Vec::new(), frame, self.status, None, &fields, date, body.as_bytes())
    }
}

/// How the client side itself has ended an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// It has refused the request's content. It answered in place of the core if the core's answer had not begun. `sent`:
    /// the bytes of the body of its own answer.
    Refusal { status: StatusCode, detail: &'static str, sent: u64 },
    /// The client took no byte of its answer for too long.
    WriteTimeout,
    /// The server was stopped, and did not wait any longer.
    Stop,
}

/// A function that is called once, with true if the client had left before its answer could reach it.
pub type OnFate = Box<dyn FnOnce(bool)>;

/// A refusal as others hear of it: plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub status: StatusCode,
    /// A sentence for a person; holds nothing that the client sent.
    pub detail: &'static str,
    pub peer: Option<IpAddr>,
    /// Bytes of the answer's body. Zero where an answer of the core had begun, or where the client was gone.
    pub sent: u64,
    /// Since the request's first byte. Zero for a connection over the limit, and for a head that was whole at once.
    pub took: Duration,
    /// The core has the request: its body was refused, and whoever handles it knows its head.
    pub handed_over: bool,
    /// From the request line, where the core does not have the request: `None` where it cannot be told.
    pub method: Option<Method>,
    /// The same; no longer than `max_target`, and without control characters.
    pub target: Option<String>,
    /// The same.
    pub version: Option<Version>,
}

/// A function that is called once for each refusal, on the worker's thread.
#[derive(Clone)]
pub struct OnRefusal(Arc<dyn Fn(&Refused) + Send + Sync>);

impl OnRefusal {
    pub fn new(tell: impl Fn(&Refused) + Send + Sync + 'static) -> OnRefusal {
        OnRefusal(Arc::new(tell))
    }

    pub(super) fn tell(&self, refused: &Refused) {
        (self.0)(refused);
    }
}

impl fmt::Debug for OnRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnRefusal")
    }
}
