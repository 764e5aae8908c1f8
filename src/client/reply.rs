//! The answer of the core.

use std::{cell::RefCell, fs::File, io, os::unix::fs::FileExt, pin::Pin, rc::Rc, sync::Arc};

use bytes::Bytes;
use futures_core::Stream;

use crate::message::{Fields, StatusCode, WrittenLines};

/// The core's answer to one request. Content-Length, Transfer-Encoding and Connection follow from `body` and the
/// connection; if they stand in `fields` they are left out. Date is added if there is none. A 400 ends the connection.
pub struct Reply {
    pub status: StatusCode,
    /// They stand before `fields`, and none of them is Upgrade.
    pub written: Option<WrittenLines>,
    /// They are sent in this order.
    pub fields: Fields,
    pub body: ReplyBody,
    /// They go behind a chunked body, to a client that takes them.
    pub trailers: Trailers,
}

/// The fields behind a body. They are known when its last piece is. Cheap to clone: all clones are the same. The default has
/// none, and no place for any: most replies are so.
#[derive(Clone, Default)]
pub struct Trailers(Option<Rc<RefCell<Fields>>>);

impl Trailers {
    /// Returns a place for trailers that are not known yet.
    pub fn to_come() -> Trailers {
        Trailers(Some(Rc::default()))
    }

    /// Sets the trailers, where there is a place for them.
    pub fn set(&self, fields: Fields) {
        if let Some(place) = &self.0 {
            place.replace(fields);
        }
    }

    pub(super) fn take(&self) -> Fields {
        self.0.as_ref().map(|place| place.take()).unwrap_or_default()
    }
}

/// The pieces of a body. An `Err` breaks the connection off, so that the client sees it.
pub type Pieces = Pin<Box<dyn Stream<Item = io::Result<Piece>>>>;

pub enum Piece {
    Bytes(Bytes),
    File(FilePiece),
}

/// Bytes of a file, which the kernel sends from its own memory. What is not there yet holds the worker up until the disk
/// has it.
#[derive(Clone)]
pub struct FilePiece {
    pub file: Arc<File>,
    pub offset: u64,
    pub length: u64,
    /// Called if the file turns out to have fewer bytes. The connection is broken off then.
    pub on_cut: Rc<dyn Fn()>,
}

impl Piece {
    pub fn length(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::File(piece) => piece.length,
        }
    }

    /// Cuts it to this length, if it is longer.
    pub(super) fn truncate(&mut self, length: u64) {
        match self {
            Piece::Bytes(bytes) => bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX)),
            Piece::File(piece) => piece.length = piece.length.min(length),
        }
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Piece {
        Piece::Bytes(bytes)
    }
}

impl FilePiece {
    /// Reads it. Blocks.
    pub(super) fn read(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; usize::try_from(self.length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, self.offset)?;
        Ok(bytes.into())
    }

    /// Notes that so many bytes were sent.
    pub(super) fn advance(&mut self, sent: u64) {
        (self.offset, self.length) = (self.offset + sent, self.length - sent);
    }
}

pub enum ReplyBody {
    /// No body. `Some(n)`: the head has `Content-Length: n` all the same (HEAD, 304). `None`: 204, 304, or HEAD of
    /// unknown length.
    Empty(Option<u64>),
    Bytes(Bytes),
    /// If there are fewer bytes than `length`, the connection is broken off; what exceeds it is cut. Without a length the
    /// body is chunked, or ends with the connection (HTTP/1.0).
    Stream {
        length: Option<u64>,
        pieces: Pieces,
    },
}
