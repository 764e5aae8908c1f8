//! What the core answers.

use std::{io, pin::Pin};

use bytes::Bytes;
use futures_core::Stream;

use crate::message::{Fields, StatusCode};

/// The core's answer to one request. Content-Length, Transfer-Encoding and Connection follow from `body` and the connection;
/// where they stand in `fields` they are left out. Date is added where there is none. A 400 ends the connection.
pub struct Reply {
    pub status: StatusCode,
    /// They go out in this order.
    pub fields: Fields,
    pub body: ReplyBody,
}

/// Pieces of a body; an `Err` breaks the connection off visibly.
pub type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>;

pub enum ReplyBody {
    /// No body. `Some(n)`: with `Content-Length: n` all the same (HEAD, 304); `None`: 204, 304, or HEAD of unknown length.
    Empty(Option<u64>),
    Bytes(Bytes),
    /// Fewer bytes than `length` break the connection off; what goes beyond is cut. Without a length the body is chunked,
    /// or ends with the connection (HTTP/1.0).
    Stream {
        length: Option<u64>,
        pieces: Pieces,
    },
}
