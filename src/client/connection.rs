//! The state of one client connection. It is shared by the I/O type that actix drives (`stream`), the request's body, the
//! reply's body, the core's handle and the worker's tick.
//!
//! actix gets one request at a time: the next head is handed over once the last byte of the response before it was sent.
//! All bytes that a client gets are written here. What actix writes is its own head of the response, which is dropped.

mod ending;
mod sending;

use std::{
    any::Any,
    cell::RefCell,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::{
    encode,
    framing::Step,
    head::{self, Head, Scan},
    incoming::{Drained, Incoming},
    limits::{Admission, Place},
    output::Output,
    refusal::{EndedBy, OnFate, Refusal},
    worker::Worker,
};
use crate::{
    clock,
    message::{Fields, StatusCode, Version},
};

/// Bytes read at once, and bytes of a request body that are kept until the core takes them.
const READ: usize = 4 << 10;
const BODY_READ: usize = 16 << 10;
const BODY_AHEAD: usize = 64 << 10;
/// Bytes of pipelined requests that are read ahead. Reading on is how a client that leaves is noticed.
const PIPELINED: usize = 8 << 10;

/// The connection's current activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for the next request head, or for the rest of one.
    Head,
    /// The core has the request and has not answered.
    Handling,
    /// The core has answered and actix writes. `endless`: nobody knows how long the body is.
    Answering { endless: bool },
    /// actix has the whole response in its buffer, or has written it.
    Flushing,
    /// The response was sent. The rest of the request's body is read and discarded.
    Draining,
    /// Closed for writing. Late bytes are read and discarded, so that no reset overtakes the response.
    Lingering,
}

/// The state of a connection, bound to its worker's thread.
pub(super) struct State {
    pub io: TcpStream,
    pub worker: Rc<Worker>,
    pub peer: Option<IpAddr>,
    pub local: Option<SocketAddr>,
    pub admission: Admission,
    /// The place of the client for which a trusted proxy has forwarded the running request.
    pub client_place: Option<Place>,
    pub phase: Phase,
    /// When the phase began, in milliseconds of the worker's clock.
    pub since: u64,
    /// When the request was first seen. Set only if its head was incomplete then, or its body is still to come.
    begun: Option<Instant>,
    pub opened: u64,
    /// Bytes that were received and are not parsed yet.
    pub input: BytesMut,
    scan: Scan,
    pub output: Output,
    /// The head of the running exchange, until the core gets it.
    pub head: Option<Head>,
    /// The number of the running exchange. Handles of an earlier one have no effect.
    pub exchange: u64,
    pub body: Incoming,
    /// Another request is read after this one.
    pub persistent: bool,
    /// The client has said that it sends no further request.
    last: bool,
    version: Version,
    /// The task that drives actix's dispatcher.
    waker: Option<Waker>,
    /// The client has ended its side of the connection.
    eof: bool,
    /// It had ended before the answer to the request at hand was there.
    half_closed: bool,
    /// The task that waits for that.
    half_close_watcher: Option<Waker>,
    /// actix reads an end of file next, and shuts the connection down.
    pub closed: bool,
    /// The client side has answered by itself, or gives up. All that actix still writes is dropped.
    pub muted: bool,
    /// How the client side itself has ended the running exchange.
    ended_by: Option<EndedBy>,
    /// Waits to learn whether the answer reached a client that has ended its side.
    awaits_fate: Option<OnFate>,
    /// The socket has failed: the client has left.
    failed: bool,
    /// The next bytes that actix writes are its own head of the response, which is dropped.
    pub head_of_actix: bool,
    /// The response ends with the connection. If it is cut short, only a reset tells the client.
    close_delimited: bool,
    /// The connection ends with a reset in any case.
    reset: bool,
    /// The client may still send bytes when the connection is shut down.
    linger: bool,
    /// The last read found no bytes, so that the socket wakes the task when some come.
    parked: bool,
    /// Kept by the core for as long as the connection lasts.
    pub attachment: Option<Rc<dyn Any>>,
}

impl State {
    pub fn new(io: TcpStream, worker: Rc<Worker>, peer: Option<IpAddr>, admission: Admission) -> State {
        let now = worker.now();
        State {
            local: io.local_addr().ok(),
            io,
            worker,
            peer,
            admission,
            client_place: None,
            phase: Phase::Head,
            since: now,
            begun: None,
            opened: now,
            input: BytesMut::new(),
            scan: Scan::default(),
            output: Output::default(),
            head: None,
            exchange: 0,
            body: Incoming::none(),
            persistent: true,
            last: false,
            version: Version::Http11,
            waker: None,
            eof: false,
            half_closed: false,
            half_close_watcher: None,
            closed: false,
            muted: false,
            ended_by: None,
            awaits_fate: None,
            failed: false,
            head_of_actix: false,
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
        if phase == Phase::Head {
            self.begun = None;
        }
    }

    /// Returns true if no exchange is under way and the connection goes on.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Head && !self.closed
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

    /// Returns the next head for actix; empty at the connection's end.
    pub fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<&'static [u8]> {
        loop {
            if self.closed {
                return Poll::Ready(b"");
            }
            match self.phase {
                Phase::Head => match self.take_head() {
                    Ok(Some(canonical)) => return Poll::Ready(canonical),
                    Ok(None) if self.eof || (self.input.is_empty() && self.worker.stopping()) => {
                        // whoever has nothing under way has read the last answer: no reset can destroy it
                        self.linger = false;
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
                return self.end_of_input();
            }
            match self.poll_receive(cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => self.eof = true,
                Poll::Ready(Err(_)) => self.fail(),
                // the rest of a head is not waited for
                Poll::Pending if self.phase == Phase::Head && self.worker.stopping() => {
                    self.linger = false;
                    self.closed = true;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn take_head(&mut self) -> Result<Option<&'static [u8]>, Refusal> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let Some(head) = self.scan.head(&mut self.input, &self.worker.options)? else {
            // the scan skips empty lines
            if !self.input.is_empty() {
                self.begun.get_or_insert_with(clock::instant);
            }
            return Ok(None);
        };
        self.worker.options.counters.requests.add();
        self.learn_fate();
        self.exchange += 1;
        self.body = Incoming::of(&head);
        if !self.body.is_over() {
            self.begun.get_or_insert_with(clock::instant);
        }
        self.persistent = !head.last && !head.tunnel && !self.worn_out();
        self.last = head.last;
        self.version = head.version;
        self.close_delimited = false;
        self.head = Some(head);
        self.half_closed = self.eof;
        self.half_close_watcher = None;
        self.enter(Phase::Handling);
        Ok(Some(head::FOR_ACTIX))
    }

    /// Returns true if this request must be the connection's last.
    fn worn_out(&self) -> bool {
        let options = &self.worker.options;
        let age = self.worker.now() - self.opened;
        self.worker.stopping()
            || self.exchange >= options.max_requests
            || u128::from(age) >= options.max_age.as_millis()
    }

    /// Reads from the socket. Returns false if the client has ended its side.
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

    /// Returns the next piece of the request's body.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(kind) = self.body.failure {
            return Poll::Ready(Some(Err(kind.into())));
        }
        if matches!(self.phase, Phase::Draining | Phase::Lingering) {
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
        }
        match self.body.next(&mut self.input, &self.worker.options) {
            Ok(Step::Piece(piece)) => Poll::Ready(Some(Ok(piece))),
            Ok(Step::Done) => Poll::Ready(None),
            // the client has ended its side within the content
            Ok(Step::More) if self.eof => {
                self.abort();
                Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())))
            }
            Ok(Step::More) => {
                if std::mem::take(&mut self.body.expects_continue) && self.phase == Phase::Handling {
                    self.send(encode::CONTINUE);
                }
                self.body.wait(cx.waker(), self.worker.now());
                // reading may have stopped because enough was read ahead
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

    /// Notes that actix has taken the last byte of the response.
    pub fn response_over(&mut self, exchange: u64) {
        if exchange == self.exchange && matches!(self.phase, Phase::Answering { .. }) {
            self.enter(Phase::Flushing);
        }
    }

    /// Ends the exchange if all bytes of its response were written.
    pub fn end_exchange(&mut self) {
        if self.phase != Phase::Flushing || self.closed {
            return;
        }
        let unread = !self.body.is_over();
        self.client_place = None;
        self.linger = unread || !self.last || !self.input.is_empty();
        if unread {
            // a core that still reads it is too late
            self.body.fail(io::ErrorKind::ConnectionAborted);
        }
        if !self.persistent {
            self.closed = true;
        } else {
            self.enter(if unread { Phase::Draining } else { Phase::Head });
        }
    }

    /// Notes that all bytes of actix's were written.
    fn flushed(&mut self) {
        if self.phase != Phase::Flushing || self.closed {
            return;
        }
        self.end_exchange();
        if !self.parked || !self.input.is_empty() || self.worker.stopping() {
            self.wake();
        }
    }

    /// Sends an interim response, unless the final response has begun. Returns true if it was sent.
    pub fn send_interim(&mut self, status: StatusCode, fields: &Fields) -> bool {
        let safe = self.phase == Phase::Handling && !self.closed && self.version.has_interim();
        if !safe || self.output.is_full() {
            return false;
        }
        let Some(interim) = encode::interim(status, fields) else { return false };
        self.send(&interim)
    }

    /// Sends bytes that are not actix's. Returns false if the connection is broken.
    fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = self.output.send(&self.io, bytes);
        if sent.is_err() {
            self.fail();
        }
        if !matches!(sent, Ok(false)) {
            self.wake();
        }
        sent.is_ok()
    }
}

/// Held by the task that drives the connection. All others hold a `Handle`, so that the socket closes with the task.
pub(super) type Shared = Rc<RefCell<State>>;
pub(super) type Handle = Weak<RefCell<State>>;
