//! The request's body on its way out, framed; the first of it remembered, so that it can be sent again.

use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};

use super::request::{Pieces, Upload};

/// How much of an upload is remembered, in bytes.
const REPLAY: usize = 64 * 1024;

pub(super) struct Replay {
    /// `None` once it has ended.
    source: Option<Pieces>,
    length: Option<u64>,
    seen: Vec<Bytes>,
    seen_bytes: usize,
    /// More went by than is remembered.
    forgotten: bool,
    /// How far this try is: the next of `seen`, and of `length` what is left.
    at: usize,
    left: u64,
    ended: bool,
}

impl Replay {
    pub(super) fn new(upload: Upload) -> Replay {
        let mut replay = Replay {
            source: Some(upload.pieces),
            length: upload.length,
            seen: Vec::new(),
            seen_bytes: 0,
            forgotten: false,
            at: 0,
            left: 0,
            ended: false,
        };
        replay.rewind();
        replay
    }

    /// Can be sent from its beginning (again).
    pub(super) fn replayable(&self) -> bool {
        !self.forgotten
    }

    pub(super) fn rewind(&mut self) {
        (self.at, self.left, self.ended) = (0, self.length.unwrap_or(0), self.length == Some(0));
    }

    /// The next bytes for the wire; `None` behind the last. Fails where the source does, or breaks its announced length.
    pub(super) fn poll_framed(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ()>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        let piece = ready!(self.poll_piece(cx))?;
        Poll::Ready(match (piece, self.length) {
            (Some(piece), Some(_)) => match self.left.checked_sub(piece.len() as u64) {
                Some(left) => {
                    self.left = left;
                    self.ended = left == 0;
                    Ok(Some(piece))
                }
                None => Err(()),
            },
            (Some(piece), None) => Ok(Some(chunk(&piece))),
            (None, Some(_)) => Err(()),
            (None, None) => {
                self.ended = true;
                Ok(Some(Bytes::from_static(b"0\r\n\r\n")))
            }
        })
    }

    /// The next piece that is not empty.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ()>> {
        if let Some(piece) = self.seen.get(self.at) {
            self.at += 1;
            return Poll::Ready(Ok(Some(piece.clone())));
        }
        let Some(source) = &mut self.source else { return Poll::Ready(Ok(None)) };
        let piece = loop {
            match ready!(source.as_mut().poll_next(cx)) {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => break piece,
                Some(Err(_)) => {
                    (self.source, self.forgotten) = (None, true);
                    return Poll::Ready(Err(()));
                }
                None => {
                    self.source = None;
                    return Poll::Ready(Ok(None));
                }
            }
        };
        self.seen_bytes = self.seen_bytes.saturating_add(piece.len());
        if self.seen_bytes > REPLAY {
            self.forgotten = true;
            self.seen = Vec::new();
        } else {
            self.seen.push(piece.clone());
            self.at += 1;
        }
        Poll::Ready(Ok(Some(piece)))
    }
}

fn chunk(piece: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(piece.len() + 20);
    out.put_slice(format!("{:x}\r\n", piece.len()).as_bytes());
    out.put_slice(piece);
    out.put_slice(b"\r\n");
    out.freeze()
}
