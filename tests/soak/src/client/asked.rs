//! A request: what it asks for, what was true when it was sent, and its bytes.

use std::sync::atomic::Ordering::SeqCst;

use super::Client;
use crate::resource::{CANARY, KINDS, Own, Resource, URLS, content, length, length_of};

pub struct Asked {
    /// Which Larder is asked.
    pub side: usize,
    pub method: &'static str,
    pub resource: Resource,
    pub number: u64,
    pub user: u64,
    pub variant: String,
    pub range: Option<String>,
    pub tag: Option<String>,
    pub http_10: bool,
    pub close: bool,
    /// Bytes of content.
    pub content: u64,
    pub chunked: bool,
    /// `Expect: 100-continue`.
    pub expects: bool,
    pub at: u64,
    pub floor: u64,
    pub version: u64,
    pub cleared: u64,
}

impl Asked {
    /// It may have changed what it names.
    pub fn is_unsafe(&self) -> bool {
        !matches!(self.method, "GET" | "HEAD" | "OPTIONS")
    }

    /// It says how long its content is, be it nothing.
    fn is_framed(&self) -> bool {
        self.content > 0 || matches!(self.method, "POST" | "PUT")
    }

    /// It authenticates the connection with the origin: from then on that is this user's.
    pub fn negotiates(&self) -> bool {
        self.resource.kind().letter == 'k' && self.number % 2 == 0
    }

    pub fn head(&self) -> Vec<u8> {
        let version = if self.http_10 { "1.0" } else { "1.1" };
        let (path, number, user) = (self.resource.path(), self.number, self.user);
        let mut head = format!("{} {path} HTTP/{version}\r\nHost: soak.test\r\nX-Number: {number}\r\n", self.method);
        let mut line = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        line("X-User", &format!("u{user}"));
        match (self.resource.kind().own, self.resource.kind().letter) {
            (Own::Varies, _) if !self.variant.is_empty() => line("X-Kind", &self.variant),
            (_, 'p') => {
                line("Cookie", &format!("id={CANARY}; user=u{user}"));
                line("X-Api-Key", CANARY);
            }
            (_, 'a') => {
                line("Authorization", &format!("Basic {CANARY}-u{user}"));
                line("Proxy-Authorization", &format!("Basic {CANARY}"));
            }
            (_, 'k') if self.negotiates() => line("Authorization", &format!("Negotiate {CANARY}-u{user}")),
            _ => {}
        }
        if let Some(range) = &self.range {
            line("Range", range);
        }
        if let Some(tag) = &self.tag {
            line("If-None-Match", tag);
        }
        if self.close {
            line("Connection", "close");
        }
        if self.expects {
            line("Expect", "100-continue");
        }
        if self.is_framed() {
            line("X-Length", &self.content.to_string());
            match self.chunked {
                true => line("Transfer-Encoding", "chunked"),
                false => line("Content-Length", &self.content.to_string()),
            }
        }
        format!("{head}\r\n").into_bytes()
    }

    pub fn body(&self) -> Vec<u8> {
        let content = content(self.number, self.content as usize);
        if !(self.chunked && self.is_framed()) {
            return content;
        }
        let mut bytes = Vec::with_capacity(content.len() + 64);
        for chunk in content.chunks(7777) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    }

    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.body()].concat()
    }

    /// For people: which request this was.
    pub fn name(&self) -> String {
        format!(
            "{} {} (request {}, user {}, X-Kind {:?}, range {:?}, tag {:?}, content {})",
            self.method,
            self.resource.path(),
            self.number,
            self.user,
            self.variant,
            self.range,
            self.tag,
            self.content
        )
    }
}

impl Client {
    /// Anything that may be asked. `pipelined`: others are sent before its answer is there.
    pub fn invent(&mut self, side: usize, pipelined: bool) -> Asked {
        let rng = &mut self.rng;
        let kind = rng.below(KINDS.len() as u64) as usize;
        // few resources are asked for often
        let spread = rng.below(URLS) * rng.below(URLS) / URLS;
        let mut resource = Resource { kind, number: spread * rng.below(URLS) / URLS };
        let (mut range, mut tag, mut content, mut chunked) = (None, None, 0, false);
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
            200..250 => method = "POST",
            250..260 => method = "PUT",
            260..265 => method = "DELETE",
            // content where it means nothing
            265..290 => {
                method = ["GET", "GET", "HEAD", "OPTIONS", "DELETE"][rng.below(5) as usize];
                content = 1 + length(rng.next()) / 8;
            }
            290..295 => method = "OPTIONS",
            _ => {}
        }
        if matches!(method, "POST" | "PUT") {
            content = length(rng.next()) / 4;
        }
        if content > 0 || matches!(method, "POST" | "PUT") {
            chunked = rng.chance(300);
        }
        if pipelined {
            // whoever sends much before it reads may wait for one who waits for it
            content %= 3000;
        }
        let http_10 = !pipelined && !chunked && rng.chance(10);
        let close = !pipelined && rng.chance(10);
        let expects = !pipelined && !http_10 && content > 0 && rng.chance(200);
        let (world, user) = (&self.world, self.user);
        let of = &world.sides[side];
        Asked {
            side,
            method,
            resource,
            number: world.number(),
            user,
            variant,
            range,
            tag,
            http_10,
            close,
            content,
            chunked,
            expects,
            at: world.now(),
            floor: of.floor(resource),
            version: world.version(resource),
            cleared: of.cleared.load(SeqCst),
        }
    }

    /// A GET whose answer is too long for the system to keep it for who does not read.
    pub fn invent_large(&mut self, side: usize) -> Asked {
        let mut asked = self.invent(side, true);
        loop {
            let resource = asked.resource;
            let version = self.world.version(resource);
            if length_of(resource, version) > 700 << 10 {
                let floor = self.world.sides[side].floor(resource);
                return Asked { method: "GET", content: 0, range: None, tag: None, version, floor, ..asked };
            }
            asked.resource =
                Resource { kind: self.rng.below(KINDS.len() as u64) as usize, number: self.rng.below(URLS) };
        }
    }
}
