//! A request to the origin, and what the origin says before its final response.

use std::{io, pin::Pin};

use bytes::Bytes;
use futures_core::Stream;

use crate::message::{Fields, Method, StatusCode};

/// The pieces of a request's body.
pub type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>;

/// A request body on its way; `length` where the client said it. Without it the body goes out chunked.
pub struct Upload {
    pub length: Option<u64>,
    pub pieces: Pieces,
}

/// What is sent.
pub struct OriginRequest {
    pub method: Method,
    /// Origin-form, base path included.
    pub target: String,
    /// All fields as they go out, Host included; no framing fields: they follow from `body`. Connection only as `close`:
    /// the connection is then not used again, whatever the origin says.
    pub fields: Fields,
    pub body: Option<Upload>,
}

/// A 1xx response other than 101 (RFC 9110 §15.2).
#[derive(Debug, Clone)]
pub struct Interim {
    pub status: StatusCode,
    pub fields: Fields,
}
