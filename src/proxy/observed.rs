//! Watches a request to its end, and passes its outcome to the log and to the counts.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{self, Poll},
    time::{Duration, Instant},
};

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
    client::{BytesRead, Connection, EndedBy, Piece, Pieces, Presented, Refused, Reply, ReplyBody, SPOKE_TLS},
    clock,
    message::Method,
};

/// A request that is being watched. Its outcome is logged and counted when this value is dropped.
pub struct Observed(Observation);

struct Observation {
    cx: Rc<Context>,
    began: Instant,
    /// The time to the head of the answer.
    waited: Option<Duration>,
    received: BytesRead,
    connection: Connection,
    outcome: Outcome,
    /// The connection has told how the answer ended. It must not be asked again while it does.
    is_settled: bool,
}

impl Observed {
    pub fn begin(cx: &Rc<Context>, presented: &Presented) -> Observed {
        cx.counts.begin();
        let is_read = access::is_read() || cx.shared.tails.is_watched();
        Observed(Observation {
            cx: cx.clone(),
            began: clock::instant(),
            waited: None,
            received: presented.body.bytes_read(),
            connection: presented.connection.clone(),
            outcome: Outcome {
                method: Some(presented.method.clone()),
                // only the log and those who look on need the target
                target: if is_read { presented.target.clone() } else { String::new() },
                version: Some(presented.version),
                peer: presented.peer,
                ..Outcome::default()
            },
            is_settled: false,
        })
    }

    /// Notes the site that was chosen for the request.
    pub fn chose(&mut self, site: &Rc<Site>) {
        self.0.outcome.site = Some(site.clone());
    }

    /// Returns the reply. The outcome is logged and counted when the last byte of the reply was sent, or when the
    /// client takes no more of it.
    pub fn end(mut self, answer: Answer) -> Reply {
        let Answer { mut reply, verdict } = answer;
        let observation = &mut self.0;
        // the client does not get this answer: it has left, or the client side has answered
        if observation.connection.content_failure().is_some() {
            return reply;
        }
        let waited = observation.began.elapsed();
        observation.waited = Some(waited);
        let outcome = &mut observation.outcome;
        (outcome.status, outcome.verdict) = (Some(reply.status), Some(verdict));
        reply.body = match reply.body {
            ReplyBody::Stream { length, pieces } => {
                let watched = Watched { pieces, left: length, observation: Ending(Some(self.0)) };
                ReplyBody::Stream { length, pieces: Box::pin(watched) }
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
                if observation.awaits_fate() {
                    self.0.await_fate();
                }
                body
            }
        };
        reply
    }
}

/// A body that counts its bytes.
struct Watched {
    pieces: Pieces,
    /// How many bytes are still to come, if the length is known.
    left: Option<u64>,
    /// Dropped last: by then `pieces` is not read any more.
    observation: Ending,
}

/// An observation that ends when it is dropped. `None` only while that happens.
struct Ending(Option<Observation>);

impl Stream for Watched {
    type Item = io::Result<Piece>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.pieces.as_mut().poll_next(cx);
        let this = &mut *self;
        let Some(Observation { outcome, .. }) = &mut this.observation.0 else { return polled };
        match &polled {
            Poll::Ready(Some(Ok(piece))) => {
                outcome.sent += piece.length();
                this.left = this.left.map(|left| left.saturating_sub(piece.length()));
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

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.take_if(|observation| observation.awaits_fate()).into_iter().for_each(Observation::await_fate);
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.note_time();
        if self.outcome.end == End::Left && !self.is_settled {
            self.ended_by_larder();
        }
        self.outcome.received = self.received.get();
        self.cx.counts.end(&self.outcome, self.waited);
        access::log(&self.outcome, log::Level::Info);
        if self.cx.shared.tails.is_watched() {
            self.cx.shared.tails.tell(&self.outcome, clock::wall());
        }
    }
}

impl Observation {
    fn note_time(&mut self) {
        if self.outcome.took.is_zero() {
            self.outcome.took = self.began.elapsed();
        }
    }

    /// Returns true if the answer is whole, and the client has ended its side of the connection: whether it has left is not
    /// known yet.
    fn awaits_fate(&self) -> bool {
        self.outcome.end == End::Whole && self.connection.has_ended_its_side()
    }

    /// Logs and counts the request when it is known whether the client has left.
    fn await_fate(mut self) {
        self.note_time();
        let may_have_got_nothing = self.connection.may_have_got_nothing(self.outcome.sent);
        let connection = self.connection.clone();
        connection.await_fate(Box::new(move |has_left| {
            self.is_settled = true;
            if has_left {
                self.lose_client(may_have_got_nothing);
            }
        }));
    }

    /// Notes that the client has left. If it may have got nothing, it counts as one that got no answer.
    fn lose_client(&mut self, may_have_got_nothing: bool) {
        let outcome = &mut self.outcome;
        outcome.end = End::Left;
        if may_have_got_nothing {
            (outcome.status, outcome.verdict, outcome.sent) = (None, None, 0);
        }
    }

    /// Notes it if Larder itself ended the answer, and not a client that left.
    fn ended_by_larder(&mut self) {
        let outcome = &mut self.outcome;
        outcome.end = match self.connection.ended_by() {
            // a panic is Larder's own fault, not the client's
            _ if std::thread::panicking() => End::BrokenOff,
            None => {
                let sent = outcome.sent;
                return self.lose_client(self.connection.may_have_got_nothing(sent));
            }
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

/// Logs and counts a request that the client side refused. If the core has the request already, nothing is done here:
/// the outcome of the request is logged and counted.
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
    // bytes that are no request are logged only with -v, and told to nobody who looks on
    let outcome = Outcome {
        method: refused.method.clone(),
        target: refused.target.clone().unwrap_or_default(),
        version: refused.version,
        peer: refused.peer,
        status: Some(refused.status),
        sent: refused.sent,
        took: refused.took,
        end: End::Refused(refused.detail),
        ..Outcome::default()
    };
    access::log(&outcome, log::Level::Debug);
}
