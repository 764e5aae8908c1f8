//! An origin that misbehaves at random.

use std::{
    io::{self, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use crate::{
    message::{self, field},
    world::{Count, Identity, Own, Resource, Rng, World, bytes, length, pause},
};

pub fn start(world: &Arc<World>, faults: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let world = world.clone();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let world = world.clone();
            let rng = Rng(world.seed ^ (number as u64) << 32 ^ 0x0519);
            std::thread::Builder::new()
                .stack_size(256 << 10)
                .spawn(move || {
                    let _ = stream.set_nodelay(true);
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(120)));
                    let _ = Connection { world, stream: &stream, rng, buffer: Vec::new(), faults }.serve();
                })
                .unwrap();
        }
    });
    address
}

struct Connection<'a> {
    world: Arc<World>,
    stream: &'a TcpStream,
    rng: Rng,
    buffer: Vec<u8>,
    faults: u64,
}

struct Asked {
    method: String,
    path: String,
    fields: Vec<(String, String)>,
    number: u64,
}

/// An answer before it is put on the wire.
struct Answer {
    status: u16,
    fields: Vec<String>,
    body: Vec<u8>,
    head_only: bool,
}

const OVER: io::ErrorKind = io::ErrorKind::ConnectionAborted;

impl Connection<'_> {
    fn serve(&mut self) -> io::Result<()> {
        while let Some(head) = message::read_head(&mut self.stream, &mut self.buffer)? {
            self.world.count(Count::OriginRequests);
            let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
            let mut words = line.split(' ').map(str::to_owned);
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let fields = message::fields(&head);
            let number = field(&fields, "X-Number").and_then(|number| number.parse().ok()).unwrap_or(0);
            self.exchange(&Asked { method, path, fields, number })?;
        }
        Ok(())
    }

    fn exchange(&mut self, asked: &Asked) -> io::Result<()> {
        let Some(resource) = Resource::of(&asked.path) else {
            self.world.problem(format!("the origin was asked for {} {}", asked.method, asked.path));
            return Err(OVER.into());
        };
        if asked.method == "POST" {
            self.world.posted(asked.number);
        }
        let safe = matches!(asked.method.as_str(), "GET" | "HEAD");
        let faulty = self.rng.chance(self.faults);
        if faulty {
            self.world.count(Count::Faults);
        }
        if faulty && !safe && self.rng.chance(400) {
            return self.too_early(asked, resource);
        }
        let mut content = Vec::new();
        if field(&asked.fields, "Transfer-Encoding").is_some() {
            message::read_chunked(&mut self.stream, &mut self.buffer, &mut content)?;
        } else if let Some(length) = field(&asked.fields, "Content-Length").and_then(|length| length.parse().ok()) {
            message::read_exactly(&mut self.stream, &mut self.buffer, length, &mut content)?;
        }
        if content != bytes(asked.number, content.len()) || safe && !content.is_empty() {
            self.world.problem(format!("{} {} {} came with another's body", asked.method, asked.path, asked.number));
        }
        if !safe {
            if faulty && self.rng.chance(500) {
                return self.vanish();
            }
            let version = self.world.change(resource);
            let answer = self.own(asked, resource, 200, version);
            return if faulty { self.misbehave(answer) } else { self.send(&answer) };
        }
        if self.rng.chance(15) {
            self.world.change(resource);
        }
        if faulty && self.rng.chance(120) {
            let status = [500, 502, 503, 404, 410][self.rng.below(5) as usize];
            let answer = self.own(asked, resource, status, self.world.version(resource));
            return self.send(&answer);
        }
        let answer = self.answer(asked, resource, faulty);
        if faulty { self.misbehave(answer) } else { self.send(&answer) }
    }

    fn identity(&self, asked: &Asked, resource: Resource, request: u64, version: u64) -> Identity {
        let own = resource.kind().own;
        let user = field(&asked.fields, "Cookie").or(field(&asked.fields, "Authorization"));
        let user = user.and_then(|user| user.rsplit('u').next()?.parse().ok()).filter(|_| own == Own::Request);
        let variant = field(&asked.fields, "X-Kind").filter(|_| own == Own::Varies).unwrap_or_default().to_owned();
        let path = asked.path.clone();
        let length = length(resource.slot() as u64 * 1_000_003 + version % 5);
        Identity { path, user: user.unwrap_or(0), variant, version, request, length }
    }

    fn fields(&self, identity: &Identity) -> Vec<String> {
        let serial = self.world.serial.fetch_add(1, SeqCst);
        vec![
            format!("X-Soak: {}", identity.text()),
            format!("X-Made: {serial} {}", self.world.now()),
            format!("ETag: {}", identity.tag()),
        ]
    }

    /// An answer for this request alone.
    fn own(&mut self, asked: &Asked, resource: Resource, status: u16, version: u64) -> Answer {
        let mut identity = self.identity(asked, resource, asked.number, version);
        identity.length = self.rng.below(600);
        let mut fields = self.fields(&identity);
        fields.push("Cache-Control: no-store".to_owned());
        Answer { status, fields, body: identity.body(), head_only: asked.method == "HEAD" }
    }

    /// What a resource answers: whole, a part, or 304.
    fn answer(&mut self, asked: &Asked, resource: Resource, faulty: bool) -> Answer {
        let kind = resource.kind();
        let request = if kind.own == Own::Request { asked.number } else { 0 };
        let version = self.world.version(resource);
        let identity = self.identity(asked, resource, request, version);
        let mut fields = self.fields(&identity);
        fields.extend(kind.fields.iter().map(|field| (*field).to_owned()));
        if matches!(kind.letter, 's' | 'q') {
            fields.push(format!("Set-Cookie: id={}; Path=/", asked.number));
        }
        let head_only = asked.method == "HEAD";
        let tag = identity.tag();
        let known =
            field(&asked.fields, "If-None-Match").is_some_and(|tags| tags.split(", ").any(|known| known == tag));
        let lie = faulty && field(&asked.fields, "If-None-Match").is_some() && self.rng.chance(100);
        if known || lie {
            return Answer { status: 304, fields, body: Vec::new(), head_only: true };
        }
        let body = identity.body();
        let fits = field(&asked.fields, "If-Range").is_none_or(|range| range == tag);
        let range = field(&asked.fields, "Range").filter(|_| fits).and_then(|range| range.strip_prefix("bytes="));
        let range = range.and_then(|range| range.split_once('-'));
        if let Some((first, last)) = range.filter(|_| !head_only && !body.is_empty()) {
            let end = body.len() - 1;
            let (mut first, mut last) = match (first.parse::<usize>(), last.parse::<usize>()) {
                (Ok(first), Ok(last)) => (first, last.min(end)),
                (Ok(first), Err(_)) => (first, end),
                (Err(_), Ok(bytes)) => ((end + 1).saturating_sub(bytes), end),
                _ => return Answer { status: 200, fields, body, head_only },
            };
            if faulty && self.rng.chance(200) {
                // another part than the one asked for, named rightly
                first = self.rng.below(body.len() as u64) as usize;
                last = first + self.rng.below((body.len() - first) as u64) as usize;
            }
            if first > last {
                fields.push(format!("Content-Range: bytes */{}", body.len()));
                return Answer { status: 416, fields, body: Vec::new(), head_only };
            }
            fields.push(format!("Content-Range: bytes {first}-{last}/{}", body.len()));
            return Answer { status: 206, fields, body: body[first..=last].to_vec(), head_only };
        }
        Answer { status: 200, fields, body, head_only }
    }

    /// A final answer before the request's body was read.
    fn too_early(&mut self, asked: &Asked, resource: Resource) -> io::Result<()> {
        let answer = self.own(asked, resource, 413, 0);
        let mut wire = head(&answer, &[&format!("Content-Length: {}", answer.body.len()), "Connection: close"]);
        wire.extend_from_slice(&answer.body);
        self.write(&wire)?;
        if self.rng.chance(500) {
            return self.vanish();
        }
        let _ = self.stream.shutdown(Shutdown::Write);
        let mut rest = Vec::new();
        let _ = message::read_to_end(&mut self.stream, &mut self.buffer, &mut rest);
        Err(OVER.into())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn vanish(&mut self) -> io::Result<()> {
        if self.rng.chance(500) {
            socket2::SockRef::from(self.stream).set_linger(Some(Duration::ZERO))?;
        } else {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
        Err(OVER.into())
    }

    /// In order, framed one way or another.
    fn send(&mut self, answer: &Answer) -> io::Result<()> {
        let length = format!("Content-Length: {}", answer.body.len());
        if answer.head_only {
            let fields: &[&str] = if answer.status != 304 { &[&length] } else { &[] };
            return self.write(&head(answer, fields));
        }
        match self.rng.below(20) {
            0..15 => self.write(&[head(answer, &[&length]), answer.body.clone()].concat()),
            15..19 => {
                let chunks = self.chunks(&answer.body);
                self.write(&[head(answer, &["Transfer-Encoding: chunked"]), chunks].concat())
            }
            _ => {
                self.write(&[head(answer, &["Connection: close"]), answer.body.clone()].concat())?;
                let _ = self.stream.shutdown(Shutdown::Both);
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

    fn misbehave(&mut self, answer: Answer) -> io::Result<()> {
        let body = &answer.body;
        let length = format!("Content-Length: {}", body.len());
        let whole = [head(&answer, &[&length]), if answer.head_only { Vec::new() } else { body.clone() }].concat();
        let unasked = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Soak: /evil|0||0|0|6\r\nCache-Control: max-age=60\r\n\r\nEVIL!!";
        match self.rng.below(24) {
            // cut at any place, in order or by a reset
            0..4 => {
                let wire = if self.rng.chance(500) {
                    whole
                } else {
                    let chunks = self.chunks(body);
                    [head(&answer, &["Transfer-Encoding: chunked"]), chunks].concat()
                };
                let some = self.rng.below(wire.len() as u64) as usize;
                self.write(&wire[..some])?;
                pause(self.rng.below(4));
                self.vanish()
            }
            4 => {
                // without a length an end in order would be an end: only a reset is a fault
                let some = self.rng.below(1 + body.len() as u64) as usize;
                self.write(&[head(&answer, &[]), body[..some].to_vec()].concat())?;
                pause(1 + self.rng.below(3));
                socket2::SockRef::from(self.stream).set_linger(Some(Duration::ZERO))?;
                Err(OVER.into())
            }
            5..7 => {
                for _ in 0..1 + self.rng.below(3) {
                    self.write(b"HTTP/1.1 103 Early Hints\r\nLink: </s>\r\nX-Soak: /interim|0||0|0|0\r\n\r\n")?;
                    pause(self.rng.below(2));
                }
                self.write(&whole)
            }
            7 => {
                for _ in 0..self.rng.below(40) {
                    self.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                }
                self.vanish()
            }
            8..10 if whole.len() < 16_000 => self.write(&[&whole[..], &unasked[..]].concat()),
            10 => {
                let chunks = self.chunks(body);
                self.write(&[head(&answer, &[&length, "Transfer-Encoding: chunked"]), chunks].concat())
            }
            11 => self.write(&[head(&answer, &[&length, "Content-Length: 1"]), body.clone()].concat()),
            12..14 => {
                let mut at = 0;
                while at < whole.len().min(600) {
                    let end = (at + 1 + self.rng.below(200) as usize).min(whole.len());
                    self.write(&whole[at..end])?;
                    pause(self.rng.below(4));
                    at = end;
                }
                self.write(&whole[at..])
            }
            14 => self.vanish(),
            15 => {
                self.write(&whole)?;
                self.vanish_in_order()
            }
            16 if answer.status == 304 || answer.head_only => {
                // a 304 with some length, or a body where HEAD has none
                let (length, body) =
                    if answer.status == 304 { ("Content-Length: 5", &b""[..]) } else { (&length[..], &body[..]) };
                self.write(&[head(&answer, &[length]), body.to_vec()].concat())
            }
            16 => self.write(
                &[head(&answer, &["Transfer-Encoding: chunked"]), b"zz\r\nhello\r\n0\r\n\r\n".to_vec()].concat(),
            ),
            17 => {
                let wire =
                    String::from_utf8_lossy(&head(&answer, &["Transfer-Encoding: chunked"])).replacen("1.1", "1.0", 1);
                let chunks = self.chunks(body);
                self.write(&[wire.into_bytes(), chunks].concat())
            }
            18 => self.write(b"HTTP/1.1 2000 OK\r\nno colon\r\n\r\n"),
            19 => self.write(
                &[head(&answer, &[&length, "Upgrade: websocket", "Connection: upgrade"]), body.clone()].concat(),
            ),
            20 => self.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\nraw"),
            21 if self.rng.chance(60) => {
                self.write(&whole[..whole.len() / 2])?;
                let mut rest = Vec::new();
                message::read_to_end(&mut self.stream, &mut self.buffer, &mut rest)
            }
            22 => {
                let many = "X-Filler: 0123456789\r\n".repeat(if self.rng.chance(500) { 300 } else { 8000 });
                let wire = format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 6\r\n\r\nEVIL!!");
                self.write(wire.as_bytes())?;
                self.vanish()
            }
            // too few bytes in a body whose length was named, and the next answer's in their place
            23 if !answer.head_only && body.len() > 1 => {
                let some = self.rng.below(body.len() as u64) as usize;
                self.write(&[head(&answer, &[&length]), body[..some].to_vec()].concat())?;
                let _ = self.stream.shutdown(Shutdown::Write);
                Err(OVER.into())
            }
            _ => self.send(&answer),
        }
    }

    fn vanish_in_order(&mut self) -> io::Result<()> {
        let _ = self.stream.shutdown(Shutdown::Write);
        Err(OVER.into())
    }
}

fn head(answer: &Answer, more: &[&str]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} Status\r\n", answer.status);
    for line in answer.fields.iter().map(String::as_str).chain(more.iter().copied()) {
        head.push_str(line);
        head.push_str("\r\n");
    }
    format!("{head}\r\n").into_bytes()
}
