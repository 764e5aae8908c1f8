//! Reads stored bodies piece by piece.

use std::{io, rc::Rc};

use bytes::Bytes;

use crate::{
    client::{FilePiece, Piece},
    store::{self, DiskBody, Span, StoredBody},
};

/// The most bytes that are read from a file at a time.
const READ: u64 = 64 * 1024;
/// The most bytes of a file that the kernel is told to send at a time.
const SPAN: u64 = 512 * 1024;

/// Returns the next piece of the bytes `from..from + left` of a stored body.
pub async fn next(body: &StoredBody, from: u64, left: u64) -> io::Result<Piece> {
    let in_file = if let StoredBody::Disk(body) = body { in_file(body, from, left) } else { None };
    match in_file {
        Some(piece) => Ok(Piece::File(piece)),
        None => read(body, from, left).await.map(Piece::Bytes),
    }
}

/// Returns bytes of a stored body that the kernel can send: they are on disk and in its memory, and they were found right or
/// are of a body that is still being written.
pub fn in_file(body: &DiskBody, from: u64, left: u64) -> Option<FilePiece> {
    let span = body.span(from, left.min(SPAN)).filter(Span::is_in_memory)?;
    let body = body.clone();
    let on_cut = Rc::new(move || {
        log::error!("the file of a stored body was cut while it was sent");
        body.is_cut();
    });
    Some(FilePiece { file: span.file, offset: span.offset, length: span.length, on_cut })
}

async fn read(body: &StoredBody, from: u64, left: u64) -> io::Result<Bytes> {
    match store::read(body, from, left.min(READ) as usize).await {
        Ok(bytes) if bytes.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(bytes) => Ok(bytes),
        Err(error) => {
            log::error!("a stored body could not be read: {error:?}");
            Err(io::Error::other("the stored response could not be read"))
        }
    }
}
