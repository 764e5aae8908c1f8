//! Watches a request to its end, and tells its outcome to the log and to the counts.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{self, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_core::Stream;

use super::{
    access,
    context::Context,
    outcome::{Cut, End, Outcome},
    shared::Shared,
    site::Site,
    verdict::Answer,
    warning::Warning,
};
use crate::{
    client::{BytesRead, Connection, EndedBy, Presented, Refused, Reply, ReplyBody, SPOKE_TLS},
    clock,
    message::Method,
};

/// A request that is watched. Its outcome is told when this is dropped.
pub struct Observed(Observation);

struct Observation {
    cx: Rc<Context>,
    began: Instant,
    /// The time to the head of the answer.
    waited: Option<Duration>,
    received: BytesRead,
    connection: Connection,
    outcome: Outcome,
}

impl Observed {
    pub fn begin(cx: &Rc<Context>, presented: &Presented) -> Observed {
        cx.counts.begin();
        Observed(Observation {
            cx: cx.clone(),
            began: clock::instant(),
            waited: None,
            received: presented.body.bytes_read(),
            connection: presented.connection.clone(),
            outcome: Outcome {
                method: Some(presented.method.clone()),
                // only the log reads it
                target: if access::is_read() { presented.target.clone() } else { String::new() },
                version: Some(presented.version),
                peer: presented.peer,
                site: None,
                status: None,
                verdict: None,
                received: 0,
                sent: 0,
                took: Duration::ZERO,
                // until the answer has ended, only a client that leaves ends the request
                end: End::Left,
            },
        })
    }

    /// Notes the site that was chosen for the request.
    pub fn chose(&mut self, site: &Rc<Site>) {
        self.0.outcome.site = Some(site.clone());
    }

    /// Tells the outcome when the last byte of the answer was handed over, or when nobody takes the answer any more.
    pub fn end(self, answer: Answer) -> Reply {
        let Answer { mut reply, verdict } = answer;
        let mut observation = self.0;
        // the client gets no answer of the core's: it has left, or the client side has answered
        if observation.connection.content_failure().is_some() {
            return reply;
        }
        let waited = observation.began.elapsed();
        observation.waited = Some(waited);
        let outcome = &mut observation.outcome;
        (outcome.status, outcome.verdict) = (Some(reply.status), Some(verdict));
        reply.body = match reply.body {
            ReplyBody::Stream { length, pieces } => {
                ReplyBody::Stream { length, pieces: Box::pin(Watched { observation, pieces, left: length }) }
            }
            body => {
                let has_body = outcome.method != Some(Method::HEAD);
                outcome.sent = if let ReplyBody::Bytes(bytes) = &body
                    && has_body
                {
                    bytes.len() as u64
                } else {
                    0
                };
                (outcome.end, outcome.took) = (End::Whole, waited);
                body
            }
        };
        reply
    }
}

/// A body that counts its bytes.
struct Watched {
    pieces: Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>,
    /// How many bytes are still to come, if the length is known.
    left: Option<u64>,
    /// Dropped last: by then nobody reads `pieces` any more.
    observation: Observation,
}

impl Stream for Watched {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
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
        if self.outcome.took.is_zero() {
            self.outcome.took = self.began.elapsed();
        }
        if self.outcome.end == End::Left {
            self.ended_by_larder();
        }
        self.outcome.received = self.received.get();
        self.cx.counts.end(&self.outcome, self.waited);
        access::log(&self.outcome, log::Level::Info);
    }
}

impl Observation {
    /// Tells what Larder itself has ended from a client that has left.
    fn ended_by_larder(&mut self) {
        let outcome = &mut self.outcome;
        outcome.end = match self.connection.ended_by() {
            // a panic is Larder's own fault, not the client's
            _ if std::thread::panicking() => End::BrokenOff,
            None => End::Left,
            Some(EndedBy::Refusal { status, detail, sent }) if outcome.status.is_none() => {
                (outcome.status, outcome.sent) = (Some(status), sent);
                End::Refused(detail)
            }
            Some(EndedBy::Refusal { .. }) => End::CutOff(Cut::Content),
            Some(EndedBy::WriteTimeout) => End::CutOff(Cut::WriteTimeout),
            Some(EndedBy::Stop) => End::CutOff(Cut::Stop),
        };
    }
}

/// Tells that the client side refused a request. If the core has the request already, its own outcome is told instead.
pub fn refused(shared: &Shared, refused: &Refused) {
    if refused.handed_over {
        return;
    }
    if refused.detail == SPOKE_TLS {
        static HTTPS: Warning = Warning::each_minute();
        HTTPS.say(
            "somebody has asked this port for https://; it speaks http: use http://, or put a TLS terminator in front",
        );
    }
    shared.counts.refuse(refused.sent);
    // a stranger's bytes make no line, unless somebody wants to know more
    let outcome = Outcome {
        method: refused.method.clone(),
        target: refused.target.clone().unwrap_or_default(),
        version: refused.version,
        peer: refused.peer,
        status: Some(refused.status),
        site: None,
        verdict: None,
        received: 0,
        sent: refused.sent,
        took: refused.took,
        end: End::Refused(refused.detail),
    };
    access::log(&outcome, log::Level::Debug);
}
