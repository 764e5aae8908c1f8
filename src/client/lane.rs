//! The direct lane. A request is answered here, and actix never learns of it: it costs no second parser, no second future and
//! no copy of its body. Only where the answer is not ready at once and content of the request is still to come is it handed to
//! actix.

use std::{
    cell::Cell,
    future::poll_fn,
    io::{self, IoSlice},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_http::body::MessageBody;
use bytes::{Buf, Bytes};

use super::{
    Connection, Presented, Reply, ReplyBody, RequestBody, Trailers,
    connection::{Phase, Shared, State},
    encode::{self, Frame, Length},
    exchange::{Exchange, Http1},
    reply_body::{Answering, Chunk, Content, Outgoing},
    worker::WorkerHandle,
};
use crate::{
    boxes::Boxes,
    fields::trailer::takes_trailers,
    message::{Method, Scheme, StatusCode, Version},
};

/// The longest body, in bytes, that is copied behind its head. Longer ones go out by `writev`, which costs more than to copy
/// so few bytes.
const JOINED: usize = 2 << 10;

/// Pipelined requests of one client that are answered before others get their turn.
const AT_ONCE: usize = 16;

/// The core: it answers each request of a worker's clients.
pub(super) trait Core {
    /// Asks for an answer. Returns the future that it will come from.
    fn begin(&self, presented: Presented) -> Pending;

    /// Asks for an answer. Returns it if it is ready, or else the future that it will come from.
    fn ask(&self, presented: Presented, cx: &mut Context<'_>) -> Result<Reply, Pending>;
}

/// A future that becomes ready once, with an answer.
type Pending = Pin<Box<dyn Future<Output = Reply>>>;

/// A core that is a function.
pub(super) struct Handler<H, F> {
    handler: H,
    boxes: Boxes<F>,
}

impl<H, F> Handler<H, F> {
    pub fn new(handler: H) -> Handler<H, F> {
        Handler { handler, boxes: Boxes::default() }
    }
}

impl<H, F> Core for Handler<H, F>
where
    H: Fn(Presented) -> F,
    F: Future<Output = Reply> + 'static,
{
    fn begin(&self, presented: Presented) -> Pending {
        Box::pin(self.boxes.pin((self.handler)(presented)))
    }

    fn ask(&self, presented: Presented, cx: &mut Context<'_>) -> Result<Reply, Pending> {
        let mut answering = self.boxes.pin((self.handler)(presented));
        match Pin::new(&mut answering).poll(cx) {
            Poll::Ready(reply) => Ok(reply),
            Poll::Pending => Err(Box::pin(answering)),
        }
    }
}

/// The way that the requests of one connection go.
pub(super) struct Lane {
    core: Rc<dyn Core>,
    /// What actix reads next.
    for_actix: Cell<Option<&'static [u8]>>,
    /// The running exchange, until actix takes it.
    handed_over: Cell<Option<Unanswered>>,
    /// The running exchange, if it is answered here and not yet.
    unanswered: Cell<Option<Unanswered>>,
    /// The rest of an answer that the socket did not take at once.
    rest: Cell<Option<Outgoing>>,
}

/// A request that the core has, and what the framing of its answer depends on.
pub(super) struct Asked {
    pub exchange: u64,
    version: Version,
    head_only: bool,
    takes_trailers: bool,
}

/// A request that the core has not answered yet.
pub(super) type Unanswered = (Asked, Pending);

impl Lane {
    pub fn new(core: Rc<dyn Core>) -> Lane {
        let (for_actix, handed_over, unanswered, rest) = Default::default();
        Lane { core, for_actix, handed_over, unanswered, rest }
    }

    /// Serves a connection. `dispatcher`, which is actix's, is polled only while it has something to do.
    pub async fn drive<D: Future>(&self, shared: Shared, dispatcher: D) -> D::Output {
        let mut dispatcher = pin!(dispatcher);
        let mut busy = false;
        poll_fn(|cx| {
            if !busy {
                self.for_actix.set(Some(ready!(self.poll_input(&shared, cx))));
            }
            let served = dispatcher.as_mut().poll(cx);
            busy = !shared.borrow().is_idle();
            served
        })
        .await
    }

    /// Returns the next head for actix; empty at the connection's end.
    pub fn poll_input(&self, shared: &Shared, cx: &mut Context<'_>) -> Poll<&'static [u8]> {
        if let Some(head) = self.for_actix.take() {
            return Poll::Ready(head);
        }
        shared.borrow_mut().register(cx.waker());
        for _ in 0..AT_ONCE {
            if let Some(ended) = ready!(self.poll_answer(shared, cx)) {
                return Poll::Ready(ended);
            }
            if let Some(ended) = ready!(self.poll_rest(shared, cx)) {
                return Poll::Ready(ended);
            }
            let for_actix = ready!(shared.borrow_mut().poll_input(cx));
            let Some((asked, presented)) = present(shared) else { return Poll::Ready(for_actix) };
            let direct = shared.borrow().worker.options.direct;
            let answer = if direct { self.core.ask(presented, cx) } else { Err(self.core.begin(presented)) };
            match answer {
                Ok(reply) => self.answer(shared, &asked, reply),
                Err(reply) if direct && shared.borrow().body.is_over() => {
                    if let Some(ended) = ready!(self.await_answer(shared, (asked, reply), cx)) {
                        return Poll::Ready(ended);
                    }
                }
                Err(reply) => {
                    self.handed_over.set(Some((asked, reply)));
                    return Poll::Ready(for_actix);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends the answer that was awaited, as soon as there is one. Returns what actix reads if the connection has ended
    /// meanwhile.
    fn poll_answer(&self, shared: &Shared, cx: &mut Context<'_>) -> Poll<Option<&'static [u8]>> {
        let Some((asked, mut reply)) = self.unanswered.take() else { return Poll::Ready(None) };
        // first, so that a client that has left before its answer is known to have
        if let Poll::Ready(ended) = shared.borrow_mut().poll_input(cx) {
            return Poll::Ready(Some(ended));
        }
        match reply.as_mut().poll(cx) {
            Poll::Ready(reply) => {
                self.answer(shared, &asked, reply);
                Poll::Ready(None)
            }
            Poll::Pending => self.await_answer(shared, (asked, reply), cx),
        }
    }

    fn await_answer(
        &self,
        shared: &Shared,
        unanswered: Unanswered,
        cx: &mut Context<'_>,
    ) -> Poll<Option<&'static [u8]>> {
        let mut state = shared.borrow_mut();
        // interim responses
        if let Poll::Ready(Err(_)) = state.poll_output(cx) {
            state.fail();
        }
        // reading on is how a client that leaves is noticed
        let input = state.poll_input(cx);
        if input.is_pending() {
            self.unanswered.set(Some(unanswered));
        }
        input.map(Some)
    }

    fn answer(&self, shared: &Shared, asked: &Asked, reply: Reply) {
        let mut state = shared.borrow_mut();
        let answering = begin(&mut state, asked, reply);
        let rest = state.send_at_once(answering);
        self.rest.set(rest.map(|rest| Outgoing::new(Rc::downgrade(shared), rest)));
    }

    /// Sends the rest of an answer. Returns what actix reads if the connection has ended meanwhile.
    fn poll_rest(&self, shared: &Shared, cx: &mut Context<'_>) -> Poll<Option<&'static [u8]>> {
        let Some(mut rest) = self.rest.take() else { return Poll::Ready(None) };
        if Pin::new(&mut rest).poll_next(cx).is_ready() {
            drop(rest);
            shared.borrow_mut().end_exchange();
            return Poll::Ready(None);
        }
        // reading on is how a client that leaves is noticed
        let input = shared.borrow_mut().poll_input(cx);
        if input.is_pending() {
            self.rest.set(Some(rest));
        }
        input.map(Some)
    }

    /// Takes the exchange that was handed to actix.
    pub fn take(&self) -> Option<Unanswered> {
        self.handed_over.take()
    }
}

/// Makes the core's request from the head that was just read. Returns `None` if there is none.
fn present(shared: &Shared) -> Option<(Asked, Presented)> {
    let mut state = shared.borrow_mut();
    let head = state.head.take()?;
    let exchange = Exchange::Http1(Http1 { state: Rc::downgrade(shared), number: state.exchange });
    let asked = Asked {
        exchange: state.exchange,
        version: head.version,
        head_only: head.method == Method::HEAD,
        takes_trailers: takes_trailers(&head.fields),
    };
    let presented = Presented {
        method: head.method,
        target: head.target,
        scheme: Scheme::Http,
        version: head.version,
        fields: head.fields,
        peer: state.peer,
        local: state.local,
        body: RequestBody::new(exchange.clone(), head.length, head.chunked),
        connection: Connection(exchange),
        worker: WorkerHandle(state.worker.clone()),
    };
    Some((asked, presented))
}

/// Begins the answer: its head as bytes, and its content.
pub(super) fn begin(state: &mut State, asked: &Asked, reply: Reply) -> Answering {
    let Reply { status, written, fields, body, trailers } = reply;
    let trailers = if asked.takes_trailers { trailers } else { Trailers::default() };
    let (length, content) = frame(asked, status, body, trailers);
    let streamed = matches!(content, Content::Stream { .. } | Content::Chunked { .. });
    let close_delimited = streamed && length == Length::Untold;
    state.persistent &= !close_delimited
        && status != StatusCode::BAD_REQUEST
        && state.body.can_end(&state.worker.options)
        && !state.worker.stopping();
    if close_delimited {
        state.end_by_closing();
    }
    let endless = matches!(content, Content::Chunked { .. } | Content::Stream { rest: None, .. });
    state.enter(Phase::Answering { endless });
    let persistent = state.persistent;
    let (short, content) = match content {
        Content::Bytes(bytes) if bytes.len() <= JOINED => (bytes, Content::Nothing),
        content => (Bytes::new(), content),
    };
    let frame = Frame { version: asked.version, persistent, length };
    let buffer = state.worker.buffer.take();
    let head = encode::head(buffer, frame, status, written.as_ref(), &fields, &state.worker.date(), &short);
    Answering { exchange: asked.exchange, persistent, head, sent: 0, content }
}

/// Decides whether the response has a body, and how its head tells where that ends (RFC 9112 §6.3).
fn frame(asked: &Asked, status: StatusCode, body: ReplyBody, trailers: Trailers) -> (Length, Content) {
    let length = match &body {
        ReplyBody::Empty(length) => *length,
        ReplyBody::Bytes(bytes) => Some(bytes.len() as u64),
        ReplyBody::Stream { length, .. } => *length,
    };
    if status == StatusCode::NO_CONTENT || status.is_informational() {
        return (Length::Untold, Content::Nothing);
    }
    if asked.head_only || status == StatusCode::NOT_MODIFIED {
        return (length.map_or(Length::Untold, Length::Known), Content::Nothing);
    }
    match body {
        ReplyBody::Empty(_) => (Length::Known(0), Content::Nothing),
        ReplyBody::Bytes(bytes) => (Length::Known(bytes.len() as u64), Content::Bytes(bytes)),
        ReplyBody::Stream { length: Some(length), pieces } => {
            (Length::Known(length), Content::Stream { rest: Some(length), pieces })
        }
        ReplyBody::Stream { length: None, pieces } if asked.version == Version::Http10 => {
            (Length::Untold, Content::Stream { rest: None, pieces })
        }
        ReplyBody::Stream { length: None, pieces } => {
            (Length::Chunked, Content::Chunked { next: Chunk::Size, pieces, trailers })
        }
    }
}

impl State {
    /// Sends what the socket takes at once of an answer in memory. Returns the rest.
    fn send_at_once(&mut self, mut answering: Answering) -> Option<Answering> {
        let Answering { exchange, head, sent: of_head, content, .. } = &mut answering;
        let body: &[u8] = match content {
            Content::Nothing => &[],
            Content::Bytes(bytes) => bytes,
            _ => return Some(answering),
        };
        // the client side's own bytes go first
        if self.muted || self.output.waits() {
            return Some(answering);
        }
        let written = match body {
            [] => self.io.try_write(head),
            body => self.io.try_write_vectored(&[IoSlice::new(head), IoSlice::new(body)]),
        };
        let sent = match written {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.fail();
                return None;
            }
        };
        if sent == head.len() + body.len() {
            self.response_over(*exchange);
            self.end_exchange();
            self.worker.reuse(answering.head);
            return None;
        }
        *of_head = sent.min(head.len());
        if let Content::Bytes(bytes) = content {
            bytes.advance(sent - *of_head);
        }
        Some(answering)
    }
}
