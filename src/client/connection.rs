//! One connection of a client: what is known of it, shared by the I/O type that actix drives (`stream`), the request's
//! body, the reply's body, the core's handle and the worker's tick.
//!
//! actix is given one request at a time: the next head is handed over when the response before it has gone out to the
//! last byte. So whatever actix writes belongs to the one exchange that runs, and while the core has not answered yet
//! nothing of actix's waits anywhere: that is when an interim response may be written.

mod ending;

use std::{
    any::Any,
    cell::RefCell,
    io,
    net::IpAddr,
    pin::pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::{
    deadline::Worker,
    framing::Step,
    head::{Head, Scan},
    incoming::{Drained, Incoming},
    limits::Admission,
    output::{self, Output},
    refusal::Refusal,
};
use crate::message::{Fields, StatusCode};

/// What is read at once, and kept of a request body before the core takes it.
const READ: usize = 4 << 10;
const BODY_READ: usize = 16 << 10;
const BODY_AHEAD: usize = 64 << 10;
/// Pipelined requests are read this far ahead; reading on is how an abort is noticed.
const PIPELINED: usize = 8 << 10;

/// What the connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for a request head, or is in the middle of one.
    Head,
    /// The core has the request and has not answered.
    Handling,
    /// The core has answered; actix writes. `streamed`: what it writes depends on others.
    Answering { streamed: bool },
    /// actix has the whole response in its buffer, or has written it.
    Flushing,
    /// The response is out; what is left of the request's body is read away.
    Draining,
    /// Closed for writing; late bytes are read away so that no reset overtakes the response.
    Lingering,
}

/// A connection's state. Bound to its worker's thread.
pub(super) struct State {
    pub io: TcpStream,
    pub worker: Rc<Worker>,
    pub peer: Option<IpAddr>,
    _admission: Admission,
    pub phase: Phase,
    /// When the phase began, in the worker's milliseconds.
    pub since: u64,
    pub opened: u64,
    /// Received and not yet taken.
    pub input: BytesMut,
    scan: Scan,
    pub output: Output,
    /// Read by the adapter as soon as actix calls it.
    pub head: Option<Head>,
    /// Which exchange runs; handles of an older one have no effect.
    pub exchange: u64,
    pub body: Incoming,
    /// A further request is read after this one; and whether the client has said that it sends none.
    pub persistent: bool,
    last: bool,
    pub http_10: bool,
    /// The task that drives actix's dispatcher.
    waker: Option<Waker>,
    /// The client's side is at its end.
    eof: bool,
    /// `eof` is passed on unless the answer is there by the next look.
    eof_soon: bool,
    /// No further byte goes to actix: it shuts the connection down.
    pub closed: bool,
    /// We answered instead of actix: what it still writes is swallowed.
    pub muted: bool,
    /// The response that is written ends with the connection: if it is cut short only a reset tells the client.
    close_delimited: bool,
    /// The client gets a reset whatever state it is in.
    reset: bool,
    /// Bytes may still come in when the connection is shut down.
    linger: bool,
    /// The last read found nothing and left a waker with the socket.
    parked: bool,
    /// Kept by the core for as long as the connection lasts.
    pub attachment: Option<Rc<dyn Any>>,
}

impl State {
    pub fn new(io: TcpStream, worker: Rc<Worker>, peer: Option<IpAddr>, admission: Admission) -> State {
        let now = worker.now();
        State {
            io,
            worker,
            peer,
            _admission: admission,
            phase: Phase::Head,
            since: now,
            opened: now,
            input: BytesMut::new(),
            scan: Scan::default(),
            output: Output::default(),
            head: None,
            exchange: 0,
            body: Incoming::none(),
            persistent: true,
            last: false,
            http_10: false,
            waker: None,
            eof: false,
            eof_soon: false,
            closed: false,
            muted: false,
            close_delimited: false,
            reset: false,
            linger: false,
            parked: false,
            attachment: None,
        }
    }

    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = self.worker.now();
    }

    pub fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    pub fn register(&mut self, waker: &Waker) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.waker = Some(waker.clone());
        }
    }

    /// The next head for actix, empty at the connection's end.
    pub fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<&'static [u8]> {
        loop {
            if self.closed {
                return Poll::Ready(b"");
            }
            match self.phase {
                Phase::Head => match self.take_head() {
                    Ok(Some(canonical)) => return Poll::Ready(canonical),
                    Ok(None) if self.eof || (self.input.is_empty() && self.worker.stopping()) => {
                        self.closed = true;
                        continue;
                    }
                    Ok(None) => {}
                    Err(refusal) => {
                        self.refuse(refusal);
                        continue;
                    }
                },
                Phase::Draining => match self.body.drain(&mut self.input, &self.worker.options) {
                    Drained::End => {
                        self.enter(Phase::Head);
                        continue;
                    }
                    Drained::More => {}
                    Drained::Never => {
                        self.close();
                        continue;
                    }
                },
                _ => {}
            }
            if self.eof {
                return self.end_of_input(cx);
            }
            match ready!(self.poll_receive(cx)) {
                Ok(true) => {}
                Ok(false) => self.eof = true,
                Err(_) => self.closed = true,
            }
        }
    }

    /// The client sends nothing more. A core that is working for it is stopped; an answer that is there goes out.
    fn end_of_input(&mut self, cx: &mut Context<'_>) -> Poll<&'static [u8]> {
        let pending = matches!(self.phase, Phase::Handling | Phase::Answering { streamed: true });
        if !pending && !matches!(self.phase, Phase::Draining | Phase::Lingering) {
            return Poll::Pending;
        }
        // an answer from the cache comes within the same poll: this is the moment to let it
        if self.phase == Phase::Handling && !self.eof_soon {
            self.eof_soon = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.body.fail(io::ErrorKind::UnexpectedEof);
        self.closed = true;
        Poll::Ready(b"")
    }

    fn take_head(&mut self) -> Result<Option<&'static [u8]>, Refusal> {
        let Some(head) = self.scan.head(&mut self.input, &self.worker.options)? else { return Ok(None) };
        let canonical = head.canonical();
        self.worker.options.counters.requests.add();
        self.exchange += 1;
        self.body = Incoming::of(&head);
        self.persistent = !head.last && !head.tunnel && !self.worn_out();
        self.last = head.last;
        self.http_10 = head.http_10;
        self.close_delimited = false;
        self.head = Some(head);
        self.eof_soon = false;
        self.enter(Phase::Handling);
        Ok(Some(canonical))
    }

    /// Has lived its life: the request at hand is its last.
    fn worn_out(&self) -> bool {
        let options = &self.worker.options;
        let age = self.worker.now() - self.opened;
        self.worker.stopping()
            || self.exchange >= options.max_requests
            || u128::from(age) >= options.max_age.as_millis()
    }

    /// `Ok(true)`: something came in; `Ok(false)`: the client's side has ended.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let body = !self.body.is_over();
        let bound = match self.phase {
            Phase::Head => self.worker.options.max_head + 1,
            _ if body => BODY_AHEAD,
            _ => PIPELINED,
        };
        self.parked = false;
        if self.input.len() >= bound {
            return Poll::Pending;
        }
        if self.input.capacity() - self.input.len() < READ / 4 {
            self.input.reserve(if body { BODY_READ } else { READ });
        }
        let first = self.phase == Phase::Head && self.input.is_empty();
        match pin!(self.io.read_buf(&mut self.input)).poll(cx) {
            Poll::Pending => {
                self.parked = true;
                Poll::Pending
            }
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(false)),
            Poll::Ready(Ok(received)) => {
                if first {
                    self.since = self.worker.now();
                }
                self.body.arrived(received);
                Poll::Ready(Ok(true))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }

    /// The next piece of the body of exchange `exchange`.
    pub fn poll_body(&mut self, exchange: u64, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(kind) = self.body.failure {
            return Poll::Ready(Some(Err(kind.into())));
        }
        if exchange != self.exchange || matches!(self.phase, Phase::Draining | Phase::Lingering) {
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
        }
        match self.body.next(&mut self.input, &self.worker.options) {
            Ok(Step::Piece(piece)) => Poll::Ready(Some(Ok(piece))),
            Ok(Step::Done) => Poll::Ready(None),
            Ok(Step::More) => {
                if std::mem::take(&mut self.body.expects_continue) && self.phase == Phase::Handling {
                    self.send(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                self.body.wait(cx.waker(), self.worker.now());
                // it may have stopped reading because enough was there
                if !self.parked {
                    self.wake();
                }
                Poll::Pending
            }
            Err(refusal) => {
                self.refuse(refusal);
                Poll::Ready(Some(Err(io::ErrorKind::InvalidData.into())))
            }
        }
    }

    /// Answers in place of the core where nothing of an answer is on its way yet, and ends the connection.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.worker.options.counters.refused.add();
        if matches!(self.phase, Phase::Head | Phase::Handling) {
            self.muted = true;
            self.send(&refusal.response());
        }
        let kind = if refusal.status == StatusCode::REQUEST_TIMEOUT {
            io::ErrorKind::TimedOut
        } else {
            io::ErrorKind::InvalidData
        };
        self.body.fail(kind);
        self.close();
    }

    /// actix has the last byte of the response.
    pub fn response_over(&mut self, exchange: u64) {
        if exchange == self.exchange && matches!(self.phase, Phase::Answering { .. }) {
            self.enter(Phase::Flushing);
        }
    }

    /// All that actix had was written.
    fn flushed(&mut self) {
        if self.phase != Phase::Flushing || self.closed {
            return;
        }
        let unread = !self.body.is_over();
        self.linger = unread || !self.last || !self.input.is_empty();
        if unread {
            // whoever still reads it comes too late
            self.body.fail(io::ErrorKind::ConnectionAborted);
        }
        if !self.persistent {
            self.closed = true;
        } else {
            self.enter(if unread { Phase::Draining } else { Phase::Head });
        }
        if !self.parked || !self.input.is_empty() || self.worker.stopping() {
            self.wake();
        }
    }

    /// Sends an interim response if nothing of a final one is on its way.
    pub fn send_interim(&mut self, exchange: u64, status: StatusCode, fields: &Fields) -> bool {
        let safe = exchange == self.exchange && self.phase == Phase::Handling && !self.closed && !self.http_10;
        if !safe || self.output.is_full() {
            return false;
        }
        let Some(interim) = output::interim(status, fields) else { return false };
        self.send(&interim);
        true
    }

    fn send(&mut self, bytes: &[u8]) {
        match self.output.send(&self.io, bytes) {
            Ok(false) => {}
            Ok(true) => self.wake(),
            Err(_) => {
                self.closed = true;
                self.wake();
            }
        }
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(&mut self.io, cx, self.worker.now())
    }

    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.muted {
            return Poll::Ready(Ok(bytes.len()));
        }
        self.output.poll_write(&mut self.io, cx, bytes, self.worker.now())
    }

    /// actix calls it when its own buffer is empty.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_output(cx))?;
        self.flushed();
        Poll::Ready(Ok(()))
    }
}

/// Held by whoever drives the connection; all others hold it weakly, so that the socket closes with its driver.
pub(super) type Shared = Rc<RefCell<State>>;
pub(super) type Handle = Weak<RefCell<State>>;
