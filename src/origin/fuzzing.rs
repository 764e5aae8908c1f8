//! See [`crate::fuzzing`].

use super::{
    chunk::ChunkScan,
    head::{self, Framing, Limits},
};
use crate::message::Method;

/// A head is found where it ends, by whoever has read that far, and by nobody who has not.
pub fn origin_head(data: &[u8]) {
    let limits = Limits { head: 8192, fields: 40 };
    for method in [Method::GET, Method::HEAD] {
        let Ok(Some((found, end))) = head::parse(data, &method, limits) else { continue };
        assert!(data[..end].ends_with(b"\n"));
        assert_eq!(head::parse(&data[..end], &method, limits), Ok(Some((found, end))));
        let at = end - 1;
        for shorter in [at, at / 2, at / 3] {
            assert_eq!(head::parse(&data[..shorter], &method, limits), Ok(None), "half a head is no head");
        }
        if method == Method::HEAD {
            let (found, _) = head::parse(data, &method, limits).unwrap_or_default().unwrap_or_else(|| unreachable!());
            assert_eq!(found.framing, Framing::Length(0));
        }
    }
}

/// A chunked message ends where it ends, however it comes. The first byte says how large the pieces are.
pub fn origin_chunks(data: &[u8]) {
    let (size, data) = data.split_first().unwrap_or((&0, data));
    assert_eq!(scan(data, data.len().max(1)), scan(data, usize::from(*size) + 1));
}

/// Where a chunked message ends.
pub fn origin_end(data: &[u8]) -> Result<Option<usize>, &'static str> {
    scan(data, data.len().max(1))
}

fn scan(data: &[u8], size: usize) -> Result<Option<usize>, &'static str> {
    let (mut scan, mut at) = (ChunkScan::new(), 0);
    for piece in data.chunks(size) {
        let (taken, ended) = scan.scan(piece)?;
        at += taken;
        if ended {
            return Ok(Some(at));
        }
        assert_eq!(taken, piece.len());
    }
    Ok(None)
}
