//! The stream that awc reads and writes. What reaches awc is whole and unambiguous: one head of our own making that says
//! no more than how the body ends, and the body's bytes up to that end; or an error. What leaves is our own head, not awc's,
//! and the request's body, sent while the response is awaited, so that an early answer is seen.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, ReadBuf},
    time::Instant,
};

use super::{
    chunk::ChunkScan,
    errors::OriginError,
    exchange::{Exchange, Wait},
    head::{self, Framing},
    request::Interim,
    sending::Sending,
    transport::Transport,
    unasked::is_unasked,
};
use crate::message::ConnectionScheme;

/// Interim responses in front of one final response.
const MAX_INTERIMS: usize = 32;

/// The most bytes that are read at once as long as the head is incomplete: a short body comes with it.
const FIRST: usize = 17 << 10;

/// The most bytes that awc sees of a head.
const SHOWN: usize = 96;

/// The response, as far as it came.
enum Rx {
    /// Between exchanges.
    Idle,
    Head,
    /// Bytes to come.
    Length(u64),
    Chunked(ChunkScan),
    Close,
    /// All of it is here; awc has all but what is in `out`.
    Ended,
}

pub(super) struct Connection {
    /// `None`: closed.
    io: Option<Transport>,
    rx: Rx,
    sending: Sending,
    /// Read from the origin, not yet looked at.
    unread: BytesMut,
    /// `unread` may hold a whole head.
    parse: bool,
    /// For awc, before anything else.
    out: BytesMut,
    interims: usize,
    /// May carry another request after this one.
    keep: bool,
    /// Was kept before the exchange, and may have died meanwhile.
    pub(super) kept: bool,
    /// How it was authenticated, or may have been: it belongs to one client then.
    pub(super) bound: Option<ConnectionScheme>,
    /// The origin has sent what nobody asked for.
    pub(super) unasked: bool,
    pub(super) opened: Instant,
    pub(super) idle_since: Instant,
    limits: head::Limits,
    exchange: Option<Rc<Exchange>>,
}

impl Connection {
    pub(super) fn new(io: Transport, limits: head::Limits) -> Connection {
        let now = Instant::now();
        Connection {
            io: Some(io),
            rx: Rx::Idle,
            sending: Sending::default(),
            unread: BytesMut::new(),
            parse: false,
            out: BytesMut::new(),
            interims: 0,
            keep: true,
            kept: false,
            bound: None,
            unasked: false,
            opened: now,
            idle_since: now,
            limits,
            exchange: None,
        }
    }

    /// Returns true if nothing came in, and closes the connection otherwise. Between exchanges the origin has nothing to say.
    pub(super) fn is_silent(&mut self) -> bool {
        let Some(io) = &mut self.io else { return false };
        let mut said = [0; 32];
        let mut buf = ReadBuf::new(&mut said);
        match Pin::new(&mut *io).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf) {
            Poll::Pending if !io.has_input() => return true,
            Poll::Ready(Ok(())) => self.unasked = is_unasked(buf.filled()),
            _ => {}
        }
        self.io = None;
        false
    }

    pub(super) fn is_open(&self) -> bool {
        self.io.is_some()
    }

    /// Returns true if no exchange is under way.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.rx, Rx::Idle)
    }

    fn fail<T>(&mut self, error: OriginError) -> Poll<io::Result<T>> {
        if let Some(exchange) = self.exchange.take() {
            exchange.fail(error);
        }
        self.io = None;
        self.rx = Rx::Idle;
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    /// These bytes came behind the response.
    fn note_surplus(&mut self, bytes: &[u8]) {
        self.unasked |= self.keep && self.sending.completed() && is_unasked(bytes);
        self.keep = false;
    }

    /// The response's last byte goes to awc.
    fn finish(&mut self) {
        // an idle connection holds no buffers: the next exchange gets what is in the processor's cache still
        (self.out, self.parse) = (BytesMut::new(), false);
        let unread = std::mem::take(&mut self.unread);
        if !unread.is_empty() {
            self.note_surplus(&unread);
        }
        if !self.keep || !self.sending.completed() {
            self.io = None;
        }
        self.rx = Rx::Idle;
        self.exchange = None;
        self.idle_since = Instant::now();
    }

    /// Takes on an exchange: its request goes out with the reads that follow.
    pub(super) fn begin(&mut self, exchange: Rc<Exchange>) {
        exchange.begin(self.kept);
        self.bind(&exchange, exchange.authenticates);
        self.sending = Sending::of(&exchange);
        self.exchange = Some(exchange);
        (self.rx, self.keep, self.parse, self.interims) = (Rx::Head, true, false, 0);
    }

    fn bind(&mut self, exchange: &Exchange, by: Option<ConnectionScheme>) {
        self.bound = self.bound.or(by);
        exchange.bound.set(self.bound);
    }

    /// Says what is waited for, for the time-outs.
    fn pending<T>(&self) -> Poll<T> {
        if let Some(exchange) = &self.exchange {
            let response = if matches!(self.rx, Rx::Head) { Wait::Head } else { Wait::Body };
            exchange.wait.set(self.sending.waits_for().unwrap_or(response));
        }
        Poll::Pending
    }

    /// Reads for awc.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let (Some(io), Some(exchange)) = (&mut self.io, &self.exchange)
            && let Err(error) = self.sending.advance(io, exchange, cx)
        {
            return self.fail(error);
        }
        loop {
            // the end is held back until the request is out, for awc takes it for the end of the exchange
            let held_back = matches!(self.rx, Rx::Ended) && self.sending.unfinished();
            if !self.out.is_empty() && !held_back {
                let n = self.out.len().min(buf.remaining());
                buf.put_slice(&self.out[..n]);
                self.out.advance(n);
                if self.out.is_empty() && matches!(self.rx, Rx::Ended) {
                    self.finish();
                }
                return Poll::Ready(Ok(()));
            }
            let polled = match self.rx {
                Rx::Head => self.poll_head(cx),
                Rx::Idle | Rx::Ended => Poll::Pending,
                _ => self.poll_body(cx, buf),
            };
            match polled {
                Poll::Pending => return self.pending(),
                Poll::Ready(Ok(())) if !self.out.is_empty() => {}
                ready => return ready,
            }
        }
    }

    /// Ready when the final head was read, and `out` has what awc is to see of it.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while std::mem::take(&mut self.parse) {
                match self.take_head() {
                    Ok(true) => return Poll::Ready(Ok(())),
                    Ok(false) => {}
                    Err(why) => return self.fail(OriginError::Protocol(why)),
                }
            }
            let Some(io) = &mut self.io else { return self.fail(OriginError::Closed) };
            // on the stack, so that who waits for a head holds no buffer
            let mut first = [const { MaybeUninit::uninit() }; FIRST];
            let mut first = ReadBuf::uninit(&mut first);
            let read = ready!(Pin::new(io).poll_read(cx, &mut first));
            match first.filled() {
                came @ [_, ..] if read.is_ok() => {
                    self.unread.extend_from_slice(came);
                    if let Some(exchange) = &self.exchange {
                        exchange.responded.set(true);
                    }
                    // no head is complete without another line's end: spares the re-parsing of what comes slowly
                    let line_end = memchr::memchr(b'\n', came).is_some();
                    self.parse = line_end || self.unread.len() > self.limits.head;
                }
                _ => return self.fail(OriginError::Closed),
            }
        }
    }

    /// Takes one head out of `unread`, if it is there in full; true for a final one.
    fn take_head(&mut self) -> Result<bool, &'static str> {
        let Some(exchange) = self.exchange.clone() else { return Err("there is no request") };
        let parsed = head::parse(&self.unread, &exchange.method, self.limits)?;
        let size = parsed.as_ref().map_or(self.unread.len(), |(_, end)| *end);
        if size > self.limits.head {
            return Err("its head is larger than allowed");
        }
        let Some((head, end)) = parsed else { return Ok(false) };
        self.unread.advance(end);
        if head.status == 101 {
            return Err("it switches protocols unasked");
        }
        if head.status.is_informational() {
            self.interims += 1;
            if self.interims > MAX_INTERIMS {
                return Err("it has too many interim responses");
            }
            if head.status != 100 {
                exchange.inform(Interim { status: head.status, fields: head.fields });
            }
            self.parse = !self.unread.is_empty();
            return Ok(false);
        }
        self.bind(&exchange, head.offers);
        self.keep = head.persistent && !exchange.last;
        // whoever says no before the request is out does not want the rest of it
        if self.sending.unfinished() && !head.status.is_success() {
            self.sending.abandon();
        }
        self.rx = match head.framing {
            Framing::Length(0) => Rx::Ended,
            Framing::Length(length) => Rx::Length(length),
            Framing::Chunked => Rx::Chunked(ChunkScan::new()),
            Framing::Close => Rx::Close,
        };
        self.show(head.framing);
        exchange.answer(head);
        Ok(true)
    }

    /// What awc sees of the head: nothing but the framing, so that its parser cannot find another.
    fn show(&mut self, framing: Framing) {
        self.out.reserve(SHOWN);
        // awc reads to the end of the stream only where the version is 1.0
        self.out.extend_from_slice(if framing == Framing::Close {
            b"HTTP/1.0 200 OK\r\n"
        } else {
            b"HTTP/1.1 200 OK\r\n"
        });
        match framing {
            Framing::Length(length) => {
                self.out.extend_from_slice(b"content-length: ");
                self.out.extend_from_slice(length.to_string().as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
            Framing::Chunked => self.out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Framing::Close => {}
        }
        // the pool is ours: awc is to let the stream go
        self.out.extend_from_slice(b"connection: close\r\n\r\n");
    }

    /// Reads into awc's own buffer, and cuts there what is not the message's.
    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        if self.unread.is_empty() {
            let Some(io) = &mut self.io else { return self.fail(OriginError::Truncated) };
            let read = ready!(Pin::new(io).poll_read(cx, buf));
            if read.is_err() || buf.filled().len() == start {
                // over TLS only close_notify is an end without an error
                if read.is_ok() && matches!(self.rx, Rx::Close) {
                    self.finish();
                    return Poll::Ready(Ok(()));
                }
                return self.fail(OriginError::Truncated);
            }
        } else {
            let n = self.unread.len().min(buf.remaining());
            buf.put_slice(&self.unread[..n]);
            self.unread.advance(n);
        }
        let bytes = &buf.filled()[start..];
        let got = bytes.len();
        let (taken, ended) = match &mut self.rx {
            Rx::Length(left) => {
                let taken = (*left).min(got as u64);
                *left -= taken;
                (taken as usize, *left == 0)
            }
            Rx::Chunked(scan) => match scan.scan(bytes) {
                Ok(end) => end,
                Err(why) => {
                    buf.set_filled(start);
                    return self.fail(OriginError::Protocol(why));
                }
            },
            _ => (got, false),
        };
        if ended {
            if taken < got {
                self.note_surplus(&bytes[taken..]);
            }
            if let (Rx::Chunked(scan), Some(exchange)) = (&mut self.rx, &self.exchange)
                && let Some(lines) = scan.take_trailers()
            {
                *exchange.trailers.borrow_mut() = head::trailers(&lines);
            }
            self.rx = Rx::Ended;
            if self.sending.unfinished() {
                self.out.extend_from_slice(&bytes[..taken]);
                buf.set_filled(start);
            } else {
                buf.set_filled(start + taken);
                self.finish();
            }
        }
        Poll::Ready(Ok(()))
    }
}
