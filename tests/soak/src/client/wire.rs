//! A client's end of a connection.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::atomic::Ordering::SeqCst,
    time::Duration,
};

use socket2::{Domain, SockRef, Socket, Type};

use super::asked::Asked;
use crate::{
    message::{self, field},
    random::Rng,
    world::{Side, World, pause},
};

/// How long an answer may take before it counts as never coming.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a client that reads slowly lets the system take for it. (With less than a segment of the loopback's, 64 KiB, it is
/// the system that waits.)
const SMALL: usize = 128 << 10;

/// A client that reads slowly does so this many times, and then hurries.
const SLOW_READS: u32 = 200;

/// An answer that ended in order.
pub struct Got {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Its framing says that this is all.
    pub framed: bool,
}

impl Got {
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    pub fn closes(&self) -> bool {
        self.field("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

pub struct Wire {
    /// Which of the two Larders it leads to.
    pub side: usize,
    /// How often that one was told to end by the time of the connection.
    ends: u64,
    stream: Paced,
    buffer: Vec<u8>,
}

/// Reads so much at once, and waits so many milliseconds before each time.
struct Paced {
    stream: TcpStream,
    most: usize,
    pause: u64,
    /// For so many times more.
    times: u32,
}

impl Read for Paced {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut most = into.len();
        if let Some(times) = self.times.checked_sub(1) {
            self.times = times;
            most = most.min(self.most);
            pause(self.pause);
        }
        self.stream.read(&mut into[..most])
    }
}

impl Wire {
    /// `None`: nobody listens there now. `small`: the system takes little for it while it does not read.
    pub fn connect(world: &World, side: usize, small: bool) -> Option<Wire> {
        let Side { address, ends, .. } = &world.sides[side];
        let (address, ends) = {
            let address = address.lock().unwrap();
            ((*address)?, ends.load(SeqCst))
        };
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
        if small {
            socket.set_recv_buffer_size(SMALL).ok()?;
        }
        socket.connect(&address.into()).ok()?;
        let stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Some(Wire { side, ends, stream: Paced { stream, most: 0, pause: 0, times: 0 }, buffer: Vec::new() })
    }

    /// Its Larder was told to end since it was opened: whatever is missing may be missing for that.
    pub fn was_ended(&self, world: &World) -> bool {
        world.sides[self.side].ends.load(SeqCst) != self.ends
    }

    pub fn pace(&mut self, most: usize, pause: u64) {
        (self.stream.most, self.stream.pause, self.stream.times) = (most, pause, SLOW_READS);
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.stream.write_all(bytes)
    }

    /// Sends in pieces with pauses between them, while the run lasts.
    pub fn dribble(&mut self, bytes: &[u8], rng: &mut Rng, world: &World) -> io::Result<()> {
        let most = 1 + bytes.len() as u64 / (2 + rng.below(12));
        let slow = rng.below(40);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((1 + rng.below(most) as usize).min(rest.len()));
            self.send(piece)?;
            rest = behind;
            // now and then long enough for chunked content to be taken as one that pauses
            idle(world, if rng.chance(20) { 130 } else { rng.below(1 + slow) });
        }
        Ok(())
    }

    /// The next head, whatever it is; an error of kind `WouldBlock` or `TimedOut` where it has not come in time.
    pub fn head(&mut self, asked: &Asked, patience: Duration) -> io::Result<Got> {
        self.stream.stream.set_read_timeout(Some(patience))?;
        let head = message::read_head(&mut self.stream, &mut self.buffer);
        self.stream.stream.set_read_timeout(Some(PATIENCE))?;
        let head = head?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head
            .strip_prefix(b"HTTP/1.")
            .and_then(|rest| rest.get(2..5))
            .and_then(|s| std::str::from_utf8(s).ok()?.parse().ok());
        let status: u16 = status.ok_or_else(|| invalid(format!("no status line: {}", head.escape_ascii())))?;
        if (100..200).contains(&status) && asked.http_10 {
            return Err(invalid(format!("an interim {status} for HTTP/1.0")));
        }
        Ok(Got { status, fields: message::fields(&head), body: Vec::new(), framed: true })
    }

    /// The next final head.
    pub fn final_head(&mut self, asked: &Asked) -> io::Result<Got> {
        loop {
            let got = self.head(asked, PATIENCE)?;
            if !(100..200).contains(&got.status) {
                return Ok(got);
            }
        }
    }

    /// Reads the body that belongs to this head. Everything but an end in order is an error.
    pub fn body(&mut self, asked: &Asked, got: &mut Got) -> io::Result<()> {
        let (stream, buffer) = (&mut self.stream, &mut self.buffer);
        let length =
            got.field("Content-Length").map(|length| length.parse::<usize>().map_err(|_| invalid(length.to_owned())));
        if asked.method == "HEAD" || got.status == 204 || got.status == 304 {
        } else if got.field("Transfer-Encoding").is_some() {
            if asked.http_10 || length.is_some() {
                return Err(invalid("chunked where it may not be".to_owned()));
            }
            let chunked = message::read_chunked(stream, buffer, &mut got.body);
            chunked.map_err(|error| match error.kind() {
                io::ErrorKind::Other => invalid(error.to_string()),
                _ => error,
            })?;
        } else if let Some(length) = length {
            message::read_exactly(stream, buffer, length?, &mut got.body)?;
        } else {
            got.framed = false;
            message::read_to_end(stream, buffer, &mut got.body)?;
        }
        Ok(())
    }

    /// All that still comes, and how it ended.
    pub fn rest(&mut self) -> (Vec<u8>, io::Result<()>) {
        let mut rest = Vec::new();
        let ended = message::read_to_end(&mut self.stream, &mut self.buffer, &mut rest);
        (rest, ended)
    }

    /// Reads so many bytes at most, and waits 20 ms at most for each piece.
    pub fn some(&mut self, bytes: usize) {
        let _ = self.stream.stream.set_read_timeout(Some(Duration::from_millis(20)));
        let _ = message::read_exactly(&mut self.stream, &mut self.buffer, bytes, &mut Vec::new());
    }

    /// Waits until something comes, or the end; `false`: the run, or this Larder's, is over before.
    pub fn await_anything(&mut self, world: &World) -> bool {
        let _ = self.stream.stream.set_read_timeout(Some(Duration::from_millis(50)));
        let stopped = loop {
            let peeked = self.stream.stream.peek(&mut [0]);
            // stopped and going on, this process has not heard anything either
            let waits = peeked.is_err_and(|error| is_late(&error) || error.kind() == io::ErrorKind::Interrupted);
            if !waits || world.left() == 0 || self.was_ended(world) {
                break waits;
            }
        };
        let _ = self.stream.stream.set_read_timeout(Some(PATIENCE));
        !stopped
    }

    /// Its end will be a reset.
    pub fn reset(&self) {
        let _ = SockRef::from(&self.stream.stream).set_linger(Some(Duration::ZERO));
    }
}

pub fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Lets time go by, while the run lasts.
pub fn idle(world: &World, milliseconds: u64) {
    let until = world.now() + milliseconds;
    while let left @ 1.. = until.saturating_sub(world.now()) {
        if world.left() == 0 {
            return;
        }
        pause(left.min(50));
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
