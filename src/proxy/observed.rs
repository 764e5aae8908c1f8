//! Watches a request to its end, and tells its outcome.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_core::Stream;

use super::{
    access,
    outcome::{End, Outcome},
    verdict::Answer,
};
use crate::{
    client::{Connection, Presented, Refused, Reply, ReplyBody},
    clock,
    message::Version,
};

/// A request whose outcome is told when it is dropped. It costs nothing where nobody reads outcomes.
pub struct Observed(Option<Observation>);

struct Observation {
    began: Instant,
    outcome: Outcome,
}

impl Observed {
    pub fn begin(presented: &Presented) -> Observed {
        Observed(access::is_read().then(|| Observation {
            began: clock::instant(),
            outcome: Outcome {
                method: Some(presented.method.clone()),
                target: presented.target.clone(),
                version: presented.version,
                peer: presented.peer,
                status: None,
                verdict: None,
                sent: 0,
                took: Duration::ZERO,
                // until its answer has come to its end, whoever drops it does so because the client has left
                end: End::Left,
            },
        }))
    }

    /// Tells the outcome when the last byte of the answer was handed over, or nobody takes it any more.
    pub fn end(self, answer: Answer, connection: &Connection) -> Reply {
        let Answer { mut reply, verdict } = answer;
        let Some(mut observation) = self.0 else { return reply };
        if has_left(connection) {
            return reply;
        }
        let outcome = &mut observation.outcome;
        (outcome.status, outcome.verdict) = (Some(reply.status), Some(verdict));
        reply.body = match reply.body {
            ReplyBody::Stream { length, pieces } => {
                ReplyBody::Stream { length, pieces: Box::pin(Watched { observation, pieces, left: length }) }
            }
            body => {
                outcome.sent = if let ReplyBody::Bytes(bytes) = &body { bytes.len() as u64 } else { 0 };
                outcome.end = End::Whole;
                body
            }
        };
        reply
    }
}

/// Returns true if the client left while it sent its content. It gets no answer.
fn has_left(connection: &Connection) -> bool {
    use io::ErrorKind::{InvalidData, TimedOut};
    // malformed or late content: the client is there, and the client side has told it so
    connection.content_failure().is_some_and(|kind| !matches!(kind, InvalidData | TimedOut))
}

/// A body whose bytes are counted.
struct Watched {
    observation: Observation,
    pieces: Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>,
    /// Bytes still to come, where the length is known.
    left: Option<u64>,
}

impl Stream for Watched {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.pieces.as_mut().poll_next(cx);
        let this = &mut *self;
        let outcome = &mut this.observation.outcome;
        match &polled {
            Poll::Ready(Some(Ok(bytes))) => {
                outcome.sent += bytes.len() as u64;
                this.left = this.left.map(|left| left.saturating_sub(bytes.len() as u64));
                if this.left == Some(0) {
                    outcome.end = End::Whole;
                }
            }
            Poll::Ready(None) if this.left.is_none_or(|left| left == 0) => outcome.end = End::Whole,
            Poll::Ready(None | Some(Err(_))) => outcome.end = End::BrokenOff,
            Poll::Pending => {}
        }
        polled
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.outcome.took = self.began.elapsed();
        // a panic of Larder's own is not the client's
        if std::thread::panicking() && self.outcome.end == End::Left {
            self.outcome.end = End::BrokenOff;
        }
        tell(&self.outcome);
    }
}

/// Tells that the client side refused a request. A request that the core has already tells its own outcome.
pub fn refused(refused: &Refused) {
    if refused.handed_over {
        return;
    }
    tell(&Outcome {
        method: refused.method.clone(),
        target: refused.target.clone().unwrap_or_default(),
        version: refused.version.unwrap_or(Version::Http11),
        peer: refused.peer,
        status: Some(refused.status),
        verdict: None,
        sent: refused.sent,
        took: refused.took,
        end: End::Refused(refused.detail),
    });
}

fn tell(outcome: &Outcome) {
    access::log(outcome);
}
