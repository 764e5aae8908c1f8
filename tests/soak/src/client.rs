//! One client: it asks for anything, in any way, and believes nothing.

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::{
    check,
    message::{self, field},
    world::{Count, KINDS, Own, Resource, Rng, URLS, World, bytes, length, pause},
};

/// How long an answer may take before it counts as never coming.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request, and what was true when it was sent.
pub struct Asked {
    pub method: &'static str,
    pub resource: Resource,
    pub number: u64,
    pub user: u64,
    pub variant: String,
    pub range: Option<String>,
    pub tag: Option<String>,
    pub http_10: bool,
    pub close: bool,
    pub body: u64,
    pub chunked: bool,
    pub at: u64,
    pub floor: u64,
    pub version: u64,
    pub cleared: u64,
}

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
}

pub struct Client {
    pub world: Arc<World>,
    pub user: u64,
    pub rng: Rng,
    pub address: Arc<Mutex<Option<SocketAddr>>>,
    /// Requests left for all clients.
    pub left: Arc<AtomicU64>,
    /// Tags that were seen: resource, variant, tag.
    pub seen: Vec<(Resource, String, String)>,
}

/// Why a connection is at its end.
enum Over {
    /// After a whole answer, as announced.
    InOrder,
    /// In the middle of an answer, or before it.
    Cut,
}

struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn run(mut self) {
        let mut wire: Option<Wire> = None;
        while self.take() {
            let Some(mut open) = wire.take().or_else(|| self.connect()) else { continue };
            let pipelined = self.rng.chance(20);
            let count = if pipelined { 2 + self.rng.below(4) } else { 1 };
            let asked: Vec<Asked> = (0..count).map(|_| self.invent(pipelined)).collect();
            if self.rng.chance(15) {
                self.abort(open, &asked[0]);
                continue;
            }
            match self.exchange(&mut open, &asked) {
                Ok(()) => wire = Some(open),
                Err(Over::InOrder) => {}
                Err(Over::Cut) => self.world.count(Count::Cut),
            }
        }
    }

    fn take(&self) -> bool {
        let took = self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        took && !self.world.stopping.load(SeqCst)
    }

    fn connect(&self) -> Option<Wire> {
        for _ in 0..5000 {
            let address = *self.address.lock().unwrap();
            if let Some(stream) = address.and_then(|address| TcpStream::connect(address).ok()) {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                return Some(Wire { stream, buffer: Vec::new() });
            }
            pause(2);
        }
        self.world.problem("no connection for 10 s".to_owned());
        None
    }

    fn invent(&mut self, pipelined: bool) -> Asked {
        let rng = &mut self.rng;
        let kind = rng.below(KINDS.len() as u64) as usize;
        // few resources are asked for often
        let spread = rng.below(URLS) * rng.below(URLS) / URLS;
        let mut resource = Resource { kind, number: spread * rng.below(URLS) / URLS };
        let (mut range, mut tag, mut body, mut chunked) = (None, None, 0, false);
        let mut variant = ["", "a", "b", "c"][rng.below(4) as usize].to_owned();
        let mut method = "GET";
        match rng.below(1000) {
            0..50 => method = "HEAD",
            50..120 => {
                let (first, some) = (rng.below(20_000), rng.below(20_000));
                range = Some(match rng.below(4) {
                    0 => format!("bytes={first}-{}", first + some),
                    1 => format!("bytes={}-{some}", first.min(some)),
                    2 => format!("bytes={}-", first / 10),
                    _ => format!("bytes=-{}", 1 + some),
                });
            }
            120..200 if !self.seen.is_empty() => {
                let known = self.seen[rng.below(self.seen.len() as u64) as usize].clone();
                (resource, variant, tag) = (known.0, known.1, Some(known.2));
            }
            200..250 if !pipelined => method = "POST",
            250..260 if !pipelined => method = "PUT",
            260..265 if !pipelined => method = "DELETE",
            _ => {}
        }
        if method == "POST" || method == "PUT" {
            body = length(rng.next()) / 4;
            chunked = rng.chance(300);
        }
        let http_10 = !pipelined && !chunked && rng.chance(10);
        let close = !pipelined && rng.chance(10);
        let world = &self.world;
        Asked {
            method,
            resource,
            number: world.number(),
            user: self.user,
            variant,
            range,
            tag,
            http_10,
            close,
            body,
            chunked,
            at: world.now(),
            floor: world.floor(resource),
            version: world.version(resource),
            cleared: world.cleared.load(SeqCst),
        }
    }

    fn exchange(&mut self, wire: &mut Wire, asked: &[Asked]) -> Result<(), Over> {
        let mut bytes: Vec<u8> = Vec::new();
        asked.iter().for_each(|asked| bytes.extend(render(asked)));
        // an answer may come before all was sent, and then the rest is not wanted
        let sent = wire.stream.write_all(&bytes);
        for asked in asked {
            let got = match read(wire, asked) {
                Ok(got) => got,
                Err(error) => {
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
                        self.world.problem(format!("no end of the answer to {} {}", asked.method, check::name(asked)));
                    } else if error.kind() == io::ErrorKind::InvalidData {
                        self.world.problem(format!("{} {}: {error}", asked.method, check::name(asked)));
                    }
                    return Err(Over::Cut);
                }
            };
            let closes = got.field("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
            let tag = check::answer(&self.world, asked, &got);
            if let Some(tag) = tag {
                self.remember(asked, tag);
            }
            if closes || !got.framed || asked.http_10 || sent.is_err() {
                return Err(Over::InOrder);
            }
        }
        Ok(())
    }

    fn remember(&mut self, asked: &Asked, tag: String) {
        let known = (asked.resource, asked.variant.clone(), tag);
        if self.seen.len() < 64 {
            self.seen.push(known);
        } else {
            let at = self.rng.below(64) as usize;
            self.seen[at] = known;
        }
    }

    /// Sends some or all of a request, reads some or none of the answer, and goes.
    fn abort(&mut self, mut wire: Wire, asked: &Asked) {
        self.world.count(Count::Aborted);
        let bytes = render(asked);
        let some = if self.rng.chance(300) { self.rng.below(bytes.len() as u64) as usize } else { bytes.len() };
        let _ = wire.stream.write_all(&bytes[..some]);
        if some == bytes.len() && self.rng.chance(700) {
            let mut into = Vec::new();
            let some = self.rng.below(3000) as usize;
            let _ = wire.stream.set_read_timeout(Some(Duration::from_millis(20)));
            let _ = message::read_exactly(&mut wire.stream, &mut wire.buffer, some, &mut into);
        }
        if self.rng.chance(500) {
            let _ = socket2::SockRef::from(&wire.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

fn render(asked: &Asked) -> Vec<u8> {
    let Asked { method, resource, number, user, variant, .. } = asked;
    let version = if asked.http_10 { "1.0" } else { "1.1" };
    let mut head = format!("{method} {} HTTP/{version}\r\nHost: soak.test\r\nX-Number: {number}\r\n", resource.path());
    let mut line = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
    match (resource.kind().own, resource.kind().letter) {
        (Own::Varies, _) if !variant.is_empty() => line("X-Kind", variant),
        (_, 'p') => line("Cookie", &format!("user=u{user}")),
        (_, 'a') => line("Authorization", &format!("Basic u{user}")),
        _ => {}
    }
    if let Some(range) = &asked.range {
        line("Range", range);
    }
    if let Some(tag) = &asked.tag {
        line("If-None-Match", tag);
    }
    if asked.close {
        line("Connection", "close");
    }
    let body = bytes(*number, asked.body as usize);
    match *method {
        "POST" | "PUT" if asked.chunked => line("Transfer-Encoding", "chunked"),
        "POST" | "PUT" => line("Content-Length", &body.len().to_string()),
        _ => {}
    }
    let mut bytes = format!("{head}\r\n").into_bytes();
    if asked.chunked {
        for chunk in body.chunks(7777) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
    } else {
        bytes.extend_from_slice(&body);
    }
    bytes
}

/// An answer that ended in order; everything else is an error.
fn read(wire: &mut Wire, asked: &Asked) -> io::Result<Got> {
    let Wire { stream, buffer } = wire;
    let (status, fields) = loop {
        let head = message::read_head(stream, buffer)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head
            .strip_prefix(b"HTTP/1.")
            .and_then(|rest| rest.get(2..5))
            .and_then(|s| std::str::from_utf8(s).ok()?.parse().ok());
        let status: u16 = status.ok_or_else(|| invalid(format!("no status line: {}", head.escape_ascii())))?;
        if !(100..200).contains(&status) {
            break (status, message::fields(&head));
        }
        if asked.http_10 {
            return Err(invalid(format!("an interim {status} for HTTP/1.0")));
        }
    };
    let mut got = Got { status, fields, body: Vec::new(), framed: true };
    let length =
        got.field("Content-Length").map(|length| length.parse::<usize>().map_err(|_| invalid(length.to_owned())));
    if asked.method == "HEAD" || status == 204 || status == 304 {
    } else if got.field("Transfer-Encoding").is_some() {
        if asked.http_10 || length.is_some() {
            return Err(invalid("chunked where it may not be".to_owned()));
        }
        let chunked = message::read_chunked(stream, buffer, &mut got.body);
        chunked
            .map_err(|error| if error.kind() == io::ErrorKind::Other { invalid(error.to_string()) } else { error })?;
    } else if let Some(length) = length {
        message::read_exactly(stream, buffer, length?, &mut got.body)?;
    } else {
        got.framed = false;
        message::read_to_end(stream, buffer, &mut got.body)?;
    }
    Ok(got)
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
