//! The other side: requests to the origin over awc, made safe by `framing`.

use std::{path::PathBuf, pin::Pin, time::Duration};

use bytes::Bytes;
use futures_core::Stream;

use crate::message::{Fields, Method, ResponseHead, StatusCode};

/// Which origin, and how long it may take.
#[derive(Debug, Clone)]
pub struct Options {
    pub https: bool,
    /// As in the URL: a name or an address, IPv6 in brackets.
    pub host: String,
    pub port: u16,
    /// PEM certificates to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// Name look-up, TCP and TLS together.
    pub connect_timeout: Duration,
    /// From the request's end to the response's head.
    pub first_byte_timeout: Duration,
    /// Between two reads of the response's body, and two writes of the request's.
    pub between_bytes_timeout: Duration,
    /// A pooled connection is closed after this long without a request.
    pub idle_timeout: Duration,
    /// A connection is not used for new requests after this long, so that the name is resolved anew.
    pub max_age: Duration,
    /// Connections at once, of one worker; a request waits for one until `connect_timeout`.
    pub max_connections: usize,
    /// Bytes of a response head.
    pub max_head: usize,
    /// Field lines of a response head.
    pub max_fields: usize,
}

/// A request body on its way; `length` where the client said it.
pub struct Upload {
    pub length: Option<u64>,
    pub pieces: Pin<Box<dyn Stream<Item = std::io::Result<Bytes>>>>,
}

/// What is sent.
pub struct OriginRequest {
    pub method: Method,
    /// Origin-form, base path included.
    pub target: String,
    /// All fields as they go out, Host included; no framing fields: they follow from `body`.
    pub fields: Fields,
    pub body: Option<Upload>,
}

/// A 1xx response other than 101 (RFC 9110 §15.2).
#[derive(Debug, Clone)]
pub struct Interim {
    pub status: StatusCode,
    pub fields: Fields,
}

/// The final response.
pub struct OriginResponse {
    /// Hop-by-hop fields are gone.
    pub head: ResponseHead,
    /// Content-Length as the origin sent it, also where it frames nothing (HEAD, 304).
    pub length: Option<u64>,
    pub body: OriginBody,
}

/// The response's bytes; ends with `None` only where its end was proven (RFC 9112 §8).
pub struct OriginBody;

impl OriginBody {
    pub async fn next(&mut self) -> Option<Result<Bytes, OriginError>> {
        todo!()
    }
}

/// What went wrong between Larder and the origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginError {
    Resolve(String),
    Refused(String),
    Tls(String),
    ConnectTimeout,
    /// No connection became free in time.
    Exhausted,
    FirstByteTimeout,
    BodyTimeout,
    /// Closed before the response, or within its head.
    Closed,
    /// Closed within the body.
    Truncated,
    /// The bytes are no message that can be framed safely.
    Protocol(&'static str),
    /// It failed a moment ago and was not asked again.
    Failing,
    /// The client's body failed.
    Upload,
}

/// The client of one worker: cheap to clone, bound to its thread.
#[derive(Clone)]
pub struct Origin;

impl Origin {
    /// Fails where the CA file cannot be read.
    pub fn prepare(_o: Options) -> Result<Prepared, String> {
        todo!()
    }
    pub fn new(_options: Prepared) -> Origin {
        todo!()
    }

    /// Sends a request. `interim` is called for each 1xx but 101 and 100, as it comes in.
    pub async fn send(
        &self,
        _request: OriginRequest,
        _interim: impl FnMut(Interim) + 'static,
    ) -> Result<OriginResponse, OriginError> {
        todo!()
    }
}

impl std::fmt::Display for OriginError {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}
impl OriginError {
    pub fn status(&self) -> StatusCode {
        todo!()
    }
    pub fn public(&self) -> &'static str {
        todo!()
    }
    pub fn proxy_status(&self) -> &'static str {
        todo!()
    }
}
#[derive(Clone)]
pub struct Prepared;
impl Prepared {
    pub fn secure_twin(&self) -> Option<Prepared> {
        None
    }
}
