//! Every way of the catalogue (faults.md 1.2) in which an origin can spoil an answer.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use super::{Connection, EVIL, OVER, answer::Answer};
use crate::{
    message,
    world::{Count, pause},
};

/// Lines that make a head malformed, or ambiguous (R11, R14).
const LINES: [&str; 16] = [
    "Content-Length: 1",
    "Content-Length: -1",
    "Content-Length: +5",
    "Content-Length: 5, 6",
    "Content-Length: ",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: xchunked",
    "no colon",
    "X-Fold: a\r\n folded: b",
    "X-Nul: a\0b",
    "X-Return: a\rb",
    "X-Space : a",
    ": no name",
    "X-\u{e9}: 8 bits",
    "X-Feed: a\nb",
];

/// Lines that are no status line, or say nothing that a status line can say (R15).
const STATUS: [&str; 8] = [
    "HTTP/1.1 2000 OK",
    "HTTP/1.1 1000 OK",
    "HTTP/1.1 099 OK",
    "HTTP/1.1 20 OK",
    "HTTP/2 200 OK",
    "ICY 200 OK",
    "<html>an answer of HTTP/0.9</html>",
    "HTTP/1.1  200 OK",
];

/// What is no chunk (R16).
const CHUNKS: [&str; 6] = [
    "zz\r\nhello\r\n0\r\n\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\r\nhelloXX0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "\r\n0\r\n\r\n",
];

impl Connection {
    fn any<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.rng.below(of.len() as u64) as usize]
    }

    pub fn misbehave(&mut self, answer: Answer) -> io::Result<()> {
        let body = &answer.body;
        let length = format!("Content-Length: {}", body.len());
        let whole = [answer.head(&[&length]), if answer.head_only { Vec::new() } else { body.clone() }].concat();
        match self.rng.below(if self.wire.is_tls() { 29 } else { 26 }) {
            // cut at any place, in order or by a reset
            0..4 => {
                let wire = if self.rng.chance(500) {
                    whole
                } else {
                    let chunks = self.chunks(body);
                    [answer.head(&["Transfer-Encoding: chunked"]), chunks].concat()
                };
                let some = self.rng.below(wire.len() as u64) as usize;
                self.write(&wire[..some])?;
                pause(self.rng.below(4));
                self.vanish()
            }
            4 | 26 => self.without_an_end(answer),
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
            8..10 if whole.len() < 16_000 && self.may_talk() => self.talk(&whole),
            10 => {
                let chunks = self.chunks(body);
                self.write(&[answer.head(&[&length, "Transfer-Encoding: chunked"]), chunks].concat())
            }
            11 => {
                let line = self.any(&LINES);
                self.write(&[answer.head(&[&length, line]), body.clone()].concat())
            }
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
                self.wire.end();
                Err(OVER.into())
            }
            16 if matches!(answer.status, 204 | 304) || answer.head_only && self.may_talk() => {
                // a 304 or 204 with some length, or a body where HEAD has none
                let (line, body) = match answer.status {
                    204 | 304 if self.rng.chance(500) => ("Transfer-Encoding: chunked", &b""[..]),
                    204 | 304 => ("Content-Length: 5", &b""[..]),
                    _ => (&length[..], &body[..]),
                };
                self.write(&[answer.head(&[line]), body.to_vec()].concat())
            }
            16 => {
                let chunks = self.any(&CHUNKS);
                self.write(&[&answer.head(&["Transfer-Encoding: chunked"]), chunks.as_bytes()].concat())
            }
            17 => {
                let wire = String::from_utf8_lossy(&answer.head(&["Transfer-Encoding: chunked"])).into_owned();
                let chunks = self.chunks(body);
                self.write(&[wire.replacen("1.1", "1.0", 1).into_bytes(), chunks].concat())
            }
            18 => {
                let status = self.any(&STATUS);
                self.write(format!("{status}\r\nX-Soak: /evil|0||0|0|6\r\nContent-Length: 6\r\n\r\nEVIL!!").as_bytes())
            }
            19 => self
                .write(&[answer.head(&[&length, "Upgrade: websocket", "Connection: upgrade"]), body.clone()].concat()),
            20 => self.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\nraw"),
            21 if self.rng.chance(60) => {
                self.write(&whole[..whole.len() / 2])?;
                let mut rest = Vec::new();
                message::read_to_end(&mut self.wire, &mut self.buffer, &mut rest)
            }
            22 => {
                let many = "X-Filler: 0123456789\r\n".repeat(if self.rng.chance(500) { 300 } else { 8000 });
                let wire = format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 6\r\n\r\nEVIL!!");
                self.write(wire.as_bytes())?;
                self.vanish()
            }
            // too few bytes in a body whose length was named, and an end in order
            23 if !answer.head_only && body.len() > 1 => {
                let some = self.rng.below(body.len() as u64) as usize;
                self.write(&[answer.head(&[&length]), body[..some].to_vec()].concat())?;
                self.wire.end();
                Err(OVER.into())
            }
            // more than may be stored, without an end (R23)
            24 if self.rng.chance(20) => {
                self.write(&answer.head(&["Transfer-Encoding: chunked"]))?;
                let chunk = [b"10000\r\n", &[b'x'; 64 << 10][..], b"\r\n"].concat();
                for _ in 0..20 * 16 {
                    self.write(&chunk)?;
                }
                self.vanish()
            }
            // below a session that goes on: bytes that are in no record, or a plain alert
            27 => {
                self.world.count(Count::TlsFaults);
                let some = self.rng.below(whole.len() as u64) as usize;
                self.write(&whole[..some])?;
                let raw = if self.rng.chance(500) { EVIL } else { &[0x15, 3, 3, 0, 2, 1, 0] };
                self.wire.socket().write_all(raw)?;
                pause(self.rng.below(3));
                self.vanish()
            }
            // the same below a whole answer: that one is good
            28 => {
                self.world.count(Count::TlsFaults);
                self.write(&whole)?;
                self.wire.socket().write_all(EVIL)?;
                pause(self.rng.below(3));
                self.vanish()
            }
            _ => self.send(&answer),
        }
    }

    /// Who is caught sending what nobody asked for gets no second request on a connection for ten minutes: so the plain origin
    /// seldom does, and the one that speaks TLS never.
    fn may_talk(&mut self) -> bool {
        !self.wire.is_tls() && self.rng.chance(50)
    }

    /// An answer, and another one that nobody asked for: with it, or up to a millisecond later.
    fn talk(&mut self, whole: &[u8]) -> io::Result<()> {
        if self.rng.chance(300) {
            return self.write(&[whole, EVIL].concat());
        }
        self.write(whole)?;
        let (written, pause) = (Instant::now(), Duration::from_micros(self.rng.below(1000)));
        while written.elapsed() < pause {
            std::thread::yield_now();
        }
        // a busy machine takes longer, and what comes later than --origin-settle is a known limit
        if written.elapsed() < Duration::from_micros(1500) { self.write(EVIL) } else { Ok(()) }
    }

    /// Some or all of a body that only the connection's end could end, and then no such end: a reset or, where there is TLS,
    /// no close_notify. Whoever takes it for whole is wrong even where no byte is missing; its head says so.
    fn without_an_end(&mut self, mut answer: Answer) -> io::Result<()> {
        if !answer.head_only {
            answer.fields.push("X-Never-Whole: 1".to_owned());
            // with a strong validator it would go on after the break (If-Range), and be whole
            answer.fields.retain(|line| !line.starts_with("ETag:"));
        }
        let length = answer.body.len() as u64;
        let some = if self.rng.chance(500) { length } else { self.rng.below(1 + length) } as usize;
        self.write(&[answer.head(&[]), answer.body[..some].to_vec()].concat())?;
        pause(1 + self.rng.below(3));
        if self.wire.is_tls() && self.rng.chance(700) {
            self.world.count(Count::TlsFaults);
            self.wire.cut();
        } else {
            self.wire.reset();
        }
        Err(OVER.into())
    }
}
