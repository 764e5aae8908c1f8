//! The stream that awc reads and writes. What reaches awc is whole and unambiguous: one head of our own making that says
//! no more than how the body ends, and the body's bytes up to that end; or an error. What leaves is our own head, not awc's,
//! and the request's body, sent while the response is awaited, so that an early answer is seen.

use std::{
    cell::RefCell,
    fmt, io,
    pin::{Pin, pin},
    rc::{Rc, Weak},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use actix_rt::net::{ActixStream, Ready};
use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
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
};

/// Interim responses in front of one final response.
const MAX_INTERIMS: usize = 32;

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
    /// Has carried a request.
    used: bool,
    opened: Instant,
    idle_since: Instant,
    limits: head::Limits,
    exchange: Option<Rc<Exchange>>,
}

impl Connection {
    pub(super) fn new(io: Transport, limits: head::Limits) -> Rc<RefCell<Connection>> {
        let now = Instant::now();
        Rc::new(RefCell::new(Connection {
            io: Some(io),
            rx: Rx::Idle,
            sending: Sending::default(),
            unread: BytesMut::new(),
            parse: false,
            out: BytesMut::new(),
            interims: 0,
            keep: true,
            used: false,
            opened: now,
            idle_since: now,
            limits,
            exchange: None,
        }))
    }

    /// Closes it if it is idle and too old, or closed or talked on by the origin. awc's pool looks only at what it takes.
    pub(super) fn sweep(&mut self, idle_timeout: Duration, max_age: Duration) {
        if matches!(self.rx, Rx::Idle) {
            if self.idle_since.elapsed() > idle_timeout || self.opened.elapsed() > max_age {
                self.io = None;
            }
            let _ = self.poll_silence(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Pending for as long as nothing comes in. Between exchanges the origin has nothing to say: whatever comes ends the
    /// connection.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(io) = &mut self.io {
            let silent = Pin::new(&mut *io).poll_read(cx, &mut ReadBuf::new(&mut [0])).is_pending();
            if silent && !io.has_input() {
                return Poll::Pending;
            }
            self.io = None;
        }
        Poll::Ready(())
    }

    fn fail<T>(&mut self, error: OriginError) -> Poll<io::Result<T>> {
        if let Some(exchange) = self.exchange.take() {
            exchange.fail(error);
        }
        self.io = None;
        self.rx = Rx::Idle;
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    /// The response's last byte goes to awc.
    fn finish(&mut self) {
        if !self.keep || !self.unread.is_empty() || !self.sending.completed() {
            self.io = None;
        }
        self.rx = Rx::Idle;
        self.exchange = None;
        self.used = true;
        self.idle_since = Instant::now();
    }

    /// awc has a head to write: the exchange's goes out in its stead.
    fn begin(&mut self) -> io::Result<()> {
        let Some(exchange) = Exchange::current() else { return Err(io::ErrorKind::InvalidInput.into()) };
        exchange.begin(self.used);
        self.sending = Sending::of(&exchange);
        self.exchange = Some(exchange);
        (self.rx, self.keep, self.parse, self.interims) = (Rx::Head, true, false, 0);
        Ok(())
    }

    /// Says what is waited for, for the time-outs.
    fn pending<T>(&self) -> Poll<T> {
        if let Some(exchange) = &self.exchange {
            let response = if matches!(self.rx, Rx::Head) { Wait::Head } else { Wait::Body };
            exchange.wait.set(self.sending.waits_for().unwrap_or(response));
        }
        Poll::Pending
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if matches!(self.rx, Rx::Idle) {
            // awc looks at a pooled connection: end-of-file makes it take another, and in the end a new one
            if Exchange::current().is_some_and(|exchange| exchange.again.get()) {
                self.io = None;
            }
            ready!(self.poll_silence(cx));
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
                buf.put_slice(&self.out.split_to(n));
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
            let before = self.unread.len();
            self.unread.reserve(4096);
            match ready!(pin!(io.read_buf(&mut self.unread)).poll(cx)) {
                Ok(n) if n > 0 => {
                    if let Some(exchange) = &self.exchange {
                        exchange.responded.set(true);
                    }
                    // no head is complete without another line's end: spares the re-parsing of what comes slowly
                    let line_end = memchr::memchr(b'\n', &self.unread[before..]).is_some();
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
        // awc reads to the end of the stream only where the version is 1.0, and does not pool such a connection
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
        if !self.keep || self.sending.abandoned() {
            self.out.extend_from_slice(b"connection: close\r\n");
        }
        self.out.extend_from_slice(b"\r\n");
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
            buf.put_slice(&self.unread.split_to(n));
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
            self.keep &= taken == got;
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

/// awc's handle of a [`Connection`]; the other one is the sweep's.
pub(super) struct OriginStream(Rc<RefCell<Connection>>);

impl OriginStream {
    pub(super) fn new(connection: Rc<RefCell<Connection>>) -> OriginStream {
        OriginStream(connection)
    }
}

/// The sweep's handle.
pub(super) type Watched = Weak<RefCell<Connection>>;

impl fmt::Debug for OriginStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OriginStream")
    }
}

impl AsyncRead for OriginStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for OriginStream {
    /// awc writes one thing only, its whole head at once; everything is sent by the reads that follow.
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.borrow_mut().begin().map(|()| bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().io = None;
        Poll::Ready(Ok(()))
    }
}

/// Asked for by the bounds of `awc::Connector::connector`; awc 3.11 calls neither.
impl ActixStream for OriginStream {
    fn poll_read_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        Poll::Ready(Ok(Ready::READABLE))
    }
    fn poll_write_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        Poll::Ready(Ok(Ready::WRITABLE))
    }
}
