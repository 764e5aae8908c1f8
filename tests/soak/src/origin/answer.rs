//! What a resource answers, before it is put on the wire.

use std::sync::atomic::Ordering::SeqCst;

use super::{Asked, Connection};
use crate::resource::{CANARY, Identity, Own, length_of};

pub struct Answer {
    pub status: u16,
    pub fields: Vec<String>,
    pub body: Vec<u8>,
    pub head_only: bool,
}

impl Answer {
    pub fn head(&self, more: &[&str]) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Status\r\n", self.status);
        for line in self.fields.iter().map(String::as_str).chain(more.iter().copied()) {
            head.push_str(line);
            head.push_str("\r\n");
        }
        format!("{head}\r\n").into_bytes()
    }
}

impl Connection {
    fn identity(&self, asked: &Asked, request: u64, version: u64) -> Identity {
        let own = asked.resource.kind().own;
        let user = match asked.resource.kind().letter {
            'k' => self.user.as_deref(),
            _ => asked.field("Cookie").or(asked.field("Authorization")),
        };
        let user = user.and_then(|user| user.rsplit('u').next()?.parse().ok()).filter(|_| own == Own::Request);
        let variant = asked.field("X-Kind").filter(|_| own == Own::Varies).unwrap_or_default().to_owned();
        let path = asked.resource.path();
        let length = length_of(asked.resource, version);
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
    pub fn own(&mut self, asked: &Asked, status: u16, version: u64) -> Answer {
        let mut identity = self.identity(asked, asked.number, version);
        identity.length = if status == 204 { 0 } else { self.rng.below(600) };
        let mut fields = self.fields(&identity);
        fields.push("Cache-Control: no-store".to_owned());
        fields.push(format!("Set-Cookie: id={CANARY}-{}; Path=/", asked.number));
        let head_only = asked.method == "HEAD" || status == 204;
        Answer { status, fields, body: identity.body(), head_only }
    }

    /// Whole, a part, or 304. What answers content, or OPTIONS, is this request's own, and looks as if it could be kept.
    pub fn answer(&mut self, asked: &Asked, faulty: bool) -> Answer {
        let kind = asked.resource.kind();
        let own = kind.own == Own::Request || asked.content > 0 || asked.method == "OPTIONS";
        let request = if own { asked.number } else { 0 };
        let version = self.world.version(asked.resource);
        let identity = self.identity(asked, request, version);
        let mut fields = self.fields(&identity);
        // of these, only what is for an authenticated user looks as if it could be kept
        let nobodys = kind.letter == 'k' && self.user.is_none();
        let kind_fields = if nobodys { &["Cache-Control: no-store"] } else { kind.fields };
        fields.extend(kind_fields.iter().map(|field| (*field).to_owned()));
        if matches!(kind.letter, 's' | 'q') {
            fields.push(format!("Set-Cookie: id={CANARY}-{}; Path=/", asked.number));
        }
        let head_only = asked.method == "HEAD";
        let tag = identity.tag();
        let known = asked.field("If-None-Match").is_some_and(|tags| tags.split(", ").any(|known| known == tag));
        let lie = faulty && asked.field("If-None-Match").is_some() && self.rng.chance(100);
        if known || lie {
            return Answer { status: 304, fields, body: Vec::new(), head_only: true };
        }
        let body = identity.body();
        let fits = asked.field("If-Range").is_none_or(|range| range == tag);
        let range = asked.field("Range").filter(|_| fits).and_then(|range| range.strip_prefix("bytes="));
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
}
