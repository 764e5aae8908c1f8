//! One line in the log for each request.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use futures_core::Stream;

use super::respond::Verdict;
use crate::{
    client::{Presented, Reply, ReplyBody},
    clock,
    logging::{self, ACCESS, redact},
    message::{Method, StatusCode},
    policy::Reason,
};

/// A line in the making. Costs nothing where nobody reads it.
pub struct Entry(Option<Line>);

struct Line {
    began: Instant,
    method: Method,
    target: String,
    status: StatusCode,
    word: &'static str,
    reason: Reason,
    sent: u64,
    /// How many bytes are to be sent; `None`: not known before the end has come.
    expected: Option<u64>,
}

impl Entry {
    pub fn begin(presented: &Presented) -> Entry {
        Entry(log::log_enabled!(target: ACCESS, log::Level::Info).then(|| Line {
            began: clock::instant(),
            method: presented.method.clone(),
            target: presented.target.clone(),
            status: StatusCode::OK,
            word: "MISS",
            reason: Reason::Refused,
            sent: 0,
            expected: Some(0),
        }))
    }

    /// What the answer will be.
    pub fn settle(&mut self, status: StatusCode, verdict: &Verdict) {
        if let Some(line) = &mut self.0 {
            (line.status, line.word, line.reason) = (status, verdict.word(), verdict.reason);
        }
    }

    /// Writes the line when the last byte was handed over.
    pub fn end(self, mut reply: Reply) -> Reply {
        let Some(mut line) = self.0 else { return reply };
        reply.body = match reply.body {
            ReplyBody::Stream { length, pieces } => {
                line.expected = length;
                ReplyBody::Stream { length, pieces: Box::pin(Watched { line, pieces }) }
            }
            body => {
                line.sent = if let ReplyBody::Bytes(bytes) = &body { bytes.len() as u64 } else { 0 };
                line.expected = Some(line.sent);
                body
            }
        };
        reply
    }
}

/// A body whose bytes are counted; the line is written when it goes.
struct Watched {
    line: Line,
    pieces: Pin<Box<dyn Stream<Item = std::io::Result<Bytes>>>>,
}

impl Stream for Watched {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.pieces.as_mut().poll_next(cx);
        match &polled {
            Poll::Ready(Some(Ok(bytes))) => self.line.sent += bytes.len() as u64,
            Poll::Ready(None) => self.line.expected = self.line.expected.or(Some(self.line.sent)),
            _ => {}
        }
        polled
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        logging::line(log::Level::Info, ACCESS, |line| {
            line.push(self.word);
            line.push(" ");
            line.push(self.status.as_str());
            line.push(" ");
            line.push_foreign(self.method.as_str());
            line.push(" ");
            line.push_foreign(&redact(&self.target));
            line.push(" ");
            line.push_milliseconds(self.began.elapsed());
            line.push(" ms ");
            line.push_number(self.sent);
            line.push(" B ");
            line.push(self.reason.as_str());
            if self.expected != Some(self.sent) {
                line.push(" (broken off)");
            }
        });
    }
}
