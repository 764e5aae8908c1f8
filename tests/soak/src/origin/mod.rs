//! Two origins that misbehave at random, one of them over TLS.

mod answer;
mod misbehave;
mod wire;

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
};

use rustls::ServerConfig;

use self::{answer::Answer, wire::Wire};
use crate::{
    client::attack::MARKER,
    message::{self, field},
    random::Rng,
    resource::{Resource, content},
    world::{Count, World, pause},
};

/// An answer that is nobody's, with all that it takes to be kept.
const EVIL: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Soak: /evil|0||0|0|6\r\nCache-Control: max-age=60\r\n\r\nEVIL!!";

pub struct Origin {
    pub address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
}

/// The plain one, the one that speaks TLS, and the PEM text that vouches for it.
pub fn start(world: &Arc<World>, faults: u64) -> ([Origin; 2], String) {
    let (config, pem) = wire::certificate();
    let origins = [None, Some(config)].map(|tls| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = Origin { address: listener.local_addr().unwrap(), tls: tls.clone() };
        let world = world.clone();
        std::thread::spawn(move || listen(&listener, &world, tls.as_ref(), faults));
        origin
    });
    (origins, pem)
}

impl Origin {
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }
}

fn listen(listener: &TcpListener, world: &Arc<World>, tls: Option<&Arc<ServerConfig>>, faults: u64) {
    for (number, stream) in listener.incoming().flatten().enumerate() {
        let (world, tls) = (world.clone(), tls.cloned());
        let mut rng = Rng(world.seed ^ (number as u64) << 32 ^ if tls.is_some() { 0x1510 } else { 0x0519 });
        let serve = move || {
            if rng.chance(faults / 8) && no_beginning(&stream, &mut rng, &world, tls.is_some()) {
                return;
            }
            let wire = Wire::new(stream, tls.as_ref());
            let _ = Connection { world, wire, rng, buffer: Vec::new(), faults, user: None }.serve();
        };
        std::thread::Builder::new().stack_size(256 << 10).spawn(serve).unwrap();
    }
}

/// A connection that ends before it has begun; with TLS, raw bytes before or in place of the handshake. `false`: it begins
/// all the same.
fn no_beginning(mut stream: &TcpStream, rng: &mut Rng, world: &World, tls: bool) -> bool {
    if !tls {
        let _ = socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
        return true;
    }
    world.count(Count::TlsFaults);
    let hello = |mut stream: &TcpStream| {
        let _ = stream.set_read_timeout(Some(std::time::Duration::from_secs(5)));
        let _ = stream.read(&mut [0; 4096]);
    };
    match rng.below(7) {
        // an answer before, and in place of, the handshake
        0 => drop(stream.write_all(EVIL)),
        1 => {
            hello(stream);
            let _ = stream.write_all(EVIL);
        }
        // and then the handshake goes on as if nothing were
        2 => return stream.write_all(EVIL).is_err(),
        3 => {
            hello(stream);
            let garbage: Vec<u8> = (0..1 + rng.below(3000)).map(|_| rng.next() as u8).collect();
            let _ = stream.write_all(&garbage);
        }
        // handshake_failure
        4 => {
            hello(stream);
            let _ = stream.write_all(&[0x15, 3, 3, 0, 2, 2, 40]);
        }
        5 => hello(stream),
        _ => drop(socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO))),
    }
    pause(rng.below(3));
    true
}

struct Connection {
    world: Arc<World>,
    wire: Wire,
    rng: Rng,
    buffer: Vec<u8>,
    faults: u64,
    /// Who has authenticated the connection.
    user: Option<String>,
}

struct Asked {
    method: String,
    resource: Resource,
    fields: Vec<(String, String)>,
    number: u64,
    /// Bytes of its content.
    content: usize,
}

impl Asked {
    fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    fn is_safe(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }
}

const OVER: io::ErrorKind = io::ErrorKind::ConnectionAborted;

impl Connection {
    fn serve(&mut self) -> io::Result<()> {
        while let Some(head) = message::read_head(&mut self.wire, &mut self.buffer)? {
            self.world.count(Count::OriginRequests);
            self.unmarked(&head);
            let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
            let mut words = line.split(' ').map(str::to_owned);
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let fields = message::fields(&head);
            let number = field(&fields, "X-Number").and_then(|number| number.parse().ok()).unwrap_or(0);
            let Some(resource) = Resource::of(&path) else {
                self.world.problem(format!("the origin was asked for {method} {path}"));
                return Err(OVER.into());
            };
            self.authenticate(&fields);
            let content = field(&fields, "X-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
            self.exchange(&Asked { method, resource, fields, number, content })?;
        }
        Ok(())
    }

    /// Whoever has authenticated the connection is the only one whose requests come on it.
    fn authenticate(&mut self, fields: &[(String, String)]) {
        // attacks have none
        let Some(user) = field(fields, "X-User") else { return };
        if let Some(owner) = self.user.as_ref().filter(|owner| *owner != user) {
            self.world.problem(format!("a request of {user} came on a connection that {owner} has authenticated"));
        }
        if field(fields, "Authorization").is_some_and(|credentials| credentials.starts_with("Negotiate ")) {
            self.user = Some(user.to_owned());
        }
    }

    /// Nothing of a request that has to be refused comes here.
    fn unmarked(&self, bytes: &[u8]) {
        if let Some(at) = bytes.windows(MARKER.len()).position(|window| window == MARKER.as_bytes()) {
            let near = &bytes[at.saturating_sub(200)..bytes.len().min(at + 200)];
            self.world.problem(format!("what must be refused reached the origin: {}", near.escape_ascii()));
        }
    }

    fn exchange(&mut self, asked: &Asked) -> io::Result<()> {
        if asked.method == "POST" {
            self.world.posted(asked.number);
        }
        let faulty = self.rng.chance(self.faults);
        if faulty {
            self.world.count(Count::Faults);
        }
        if faulty && !asked.is_safe() && self.rng.chance(400) {
            return self.too_early(asked);
        }
        self.content(asked)?;
        if !asked.is_safe() {
            if faulty && self.rng.chance(500) {
                return self.vanish();
            }
            let version = self.world.change(asked.resource);
            let nothing = asked.method == "DELETE" && self.rng.chance(500);
            let answer = self.own(asked, if nothing { 204 } else { 200 }, version);
            return if faulty { self.misbehave(answer) } else { self.send(&answer) };
        }
        if self.rng.chance(15) {
            self.world.change(asked.resource);
        }
        if faulty && self.rng.chance(120) {
            let status = [500, 502, 503, 404, 410][self.rng.below(5) as usize];
            let answer = self.own(asked, status, self.world.version(asked.resource));
            return self.send(&answer);
        }
        let answer = self.answer(asked, faulty);
        if faulty { self.misbehave(answer) } else { self.send(&answer) }
    }

    /// Reads the request's content, and sees that it is all of it and nobody else's.
    fn content(&mut self, asked: &Asked) -> io::Result<()> {
        let mut got = Vec::new();
        let length = asked.field("Content-Length").and_then(|length| length.parse().ok());
        let chunked = asked.field("Transfer-Encoding").is_some();
        if chunked {
            message::read_chunked(&mut self.wire, &mut self.buffer, &mut got)?;
        } else if let Some(length) = length {
            message::read_exactly(&mut self.wire, &mut self.buffer, length, &mut got)?;
        }
        self.unmarked(&got);
        let framing = asked.fields.iter().filter(|(name, _)| {
            name.eq_ignore_ascii_case("Content-Length") || name.eq_ignore_ascii_case("Transfer-Encoding")
        });
        let name = || format!("{} {} {}", asked.method, asked.resource.path(), asked.number);
        if got != content(asked.number, asked.content) {
            let (got, right) = (got.len(), asked.content);
            self.world.problem(format!("{} came with another's content, or a part: {got}, {right} are right", name()));
        }
        if framing.count() > 1 || asked.field("Expect").is_some() || asked.field("Upgrade").is_some() {
            self.world.problem(format!("{} came with {:?}", name(), asked.fields));
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes)?;
        self.wire.flush()
    }

    /// A final answer before the request's content was read.
    fn too_early(&mut self, asked: &Asked) -> io::Result<()> {
        let answer = self.own(asked, 413, 0);
        let mut wire = answer.head(&[&format!("Content-Length: {}", answer.body.len()), "Connection: close"]);
        wire.extend_from_slice(&answer.body);
        self.write(&wire)?;
        if self.rng.chance(500) {
            return self.vanish();
        }
        self.wire.end();
        let mut rest = Vec::new();
        let _ = message::read_to_end(&mut self.wire, &mut self.buffer, &mut rest);
        Err(OVER.into())
    }

    /// Ends the connection, not as it should be ended where TLS could tell.
    fn vanish(&mut self) -> io::Result<()> {
        if self.rng.chance(500) {
            self.wire.reset();
        } else {
            self.wire.cut();
        }
        Err(OVER.into())
    }

    /// In order, framed one way or another.
    fn send(&mut self, answer: &Answer) -> io::Result<()> {
        let length = format!("Content-Length: {}", answer.body.len());
        if answer.head_only {
            let fields: &[&str] = if matches!(answer.status, 204 | 304) { &[] } else { &[&length] };
            return self.write(&answer.head(fields));
        }
        match self.rng.below(20) {
            0..15 => self.write(&[answer.head(&[&length]), answer.body.clone()].concat()),
            15..19 => {
                let chunks = self.chunks(&answer.body);
                self.write(&[answer.head(&["Transfer-Encoding: chunked"]), chunks].concat())
            }
            _ => {
                let mut head = answer.head(&["Connection: close"]);
                if self.rng.chance(300) {
                    head[7] = b'0';
                }
                self.write(&[head, answer.body.clone()].concat())?;
                self.wire.end();
                Err(OVER.into())
            }
        }
    }

    fn chunks(&mut self, body: &[u8]) -> Vec<u8> {
        let mut wire = Vec::with_capacity(body.len() + 64);
        let mut rest = body;
        while !rest.is_empty() {
            let size = 1 + self.rng.below(1 + rest.len().min(40_000) as u64) as usize;
            let (chunk, left) = rest.split_at(size.min(rest.len()));
            let extension = if self.rng.chance(50) { ";a=b" } else { "" };
            wire.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
            rest = left;
        }
        wire.extend_from_slice(if self.rng.chance(100) { b"0\r\nX-Trailer: t\r\n\r\n" } else { b"0\r\n\r\n" });
        wire
    }
}
