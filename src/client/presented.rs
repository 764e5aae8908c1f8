//! The request that the core gets, and the connection that it came on.

use std::net::IpAddr;

use super::{exchange::Exchange, request_body::RequestBody};
use crate::message::{Fields, Method, StatusCode, Version};

/// A request as it came in. Only its framing was checked: an HTTP/1.1 request has one Host field, and at most one of
/// Content-Length and `Transfer-Encoding: chunked`.
pub struct Presented {
    pub method: Method,
    /// The request-target of the request line, byte for byte. It may have any form, and a fragment (RFC 9112 §3.2).
    pub target: String,
    pub version: Version,
    /// All field lines in their order, hop-by-hop fields included.
    pub fields: Fields,
    pub peer: Option<IpAddr>,
    pub body: RequestBody,
    pub connection: Connection,
}

/// The client's connection as the core sees it, for the one exchange that it was given for.
#[derive(Clone)]
pub struct Connection(pub(super) Exchange);

impl Connection {
    /// Sends an interim response (RFC 9110 §15.2) but 100 and 101. Returns false if it was not sent: to an HTTP/1.0
    /// client, or when the final response has begun.
    pub fn send_interim(&self, status: StatusCode, fields: &Fields) -> bool {
        self.0.send_interim(status, fields)
    }

    /// Makes the response to this request the last on the connection. To be called before the reply is returned.
    pub fn close_after(&self) {
        self.0.close_after();
    }
}
