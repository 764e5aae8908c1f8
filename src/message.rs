//! Requests and responses as the core sees them: plain data on `http` 0.2 names and values.

use std::net::IpAddr;

use bytes::Bytes;
pub use http::{
    Method, StatusCode,
    header::{HeaderName as FieldName, HeaderValue as FieldValue},
};

use crate::{
    clock::{Seconds, Timestamp},
    key::CacheKey,
};

/// Field lines in the order in which they came, repeats included (RFC 9110 §5.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(FieldName, FieldValue)>);

impl Fields {
    pub fn new() -> Fields {
        Fields::default()
    }

    pub fn with_capacity(lines: usize) -> Fields {
        Fields(Vec::with_capacity(lines))
    }

    /// Adds a line behind all others.
    pub fn append(&mut self, name: FieldName, value: FieldValue) {
        self.0.push((name, value));
    }

    /// Removes every line of this name, then adds one.
    pub fn set(&mut self, name: FieldName, value: FieldValue) {
        self.remove(&name);
        self.append(name, value);
    }

    pub fn remove(&mut self, name: &FieldName) {
        self.0.retain(|(n, _)| n != name);
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&FieldName, &FieldValue) -> bool) {
        self.0.retain(|(n, v)| keep(n, v));
    }

    pub fn contains(&self, name: &FieldName) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }

    /// The first line of this name.
    pub fn first(&self, name: &FieldName) -> Option<&FieldValue> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The line of this name, if there is exactly one.
    pub fn only(&self, name: &FieldName) -> Option<&FieldValue> {
        let mut lines = self.0.iter().filter(|(n, _)| n == name);
        let (_, value) = lines.next()?;
        lines.next().is_none().then_some(value)
    }

    /// All lines of this name, in order.
    pub fn values<'a>(&'a self, name: &'a FieldName) -> impl Iterator<Item = &'a FieldValue> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v)
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&FieldName, &FieldValue)> {
        self.0.iter().map(|(n, v)| (n, v))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all names and values: what they cost in memory and on disk, about.
    pub fn size(&self) -> usize {
        self.0.iter().map(|(n, v)| n.as_str().len() + v.len()).sum()
    }
}

impl IntoIterator for Fields {
    type Item = (FieldName, FieldValue);
    type IntoIter = std::vec::IntoIter<(FieldName, FieldValue)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(FieldName, FieldValue)> for Fields {
    fn from_iter<I: IntoIterator<Item = (FieldName, FieldValue)>>(lines: I) -> Fields {
        Fields(lines.into_iter().collect())
    }
}

/// A scheme that authenticates a connection, and every request on it from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionScheme {
    Ntlm,
    Negotiate,
    Kerberos,
}

/// What a request asks for, after RFC 9112 §3.2's forms were resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The host (and port, where it is not 80) that the client named: lower case, no trailing dot. Empty for an
    /// HTTP/1.0 request without Host.
    pub authority: String,
    /// Byte for byte as the client sent it; begins with `/`. (`OPTIONS *` never gets this far.)
    pub path_and_query: String,
}

/// A request without its body. Hop-by-hop fields are gone (RFC 9110 §7.6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub target: Target,
    pub fields: Fields,
    /// The digest of a QUERY's content: part of what is asked, as nominated fields are. `None` for other methods, and where
    /// it was too long to be read.
    pub content: Option<[u8; 32]>,
    /// The client's address.
    pub peer: Option<IpAddr>,
    /// HTTP/1.0: no interim responses, no chunked.
    pub http_10: bool,
    /// It says that somebody forwarded it: the client's connection may carry the requests of many users.
    pub forwarded: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    pub status: StatusCode,
    /// Hop-by-hop fields are gone; Content-Length is there where the origin sent it.
    pub fields: Fields,
}

/// A contiguous part of a representation (RFC 9110 §14.4): bytes `first..=last` of `complete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub first: u64,
    pub last: u64,
    /// The length of the whole, if the origin told it.
    pub complete: Option<u64>,
}

impl Part {
    /// How many bytes it holds.
    pub fn length(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// A request field that Vary names, with the value it had, normalised (RFC 9111 §4.1); `None`: it was absent.
pub type Nominated = (FieldName, Option<Vec<u8>>);

/// Everything of a stored response but its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHead {
    /// Method and URL that it answers: for people's eyes and for purging, never for looking up.
    pub asked: String,
    /// 206's status is 200 here where the part is the whole.
    pub head: ResponseHead,
    /// When the request was sent, on the clock's timeline (RFC 9111 §4.2.3).
    pub request_time: Timestamp,
    /// When the response's head came in, on the clock's timeline.
    pub response_time: Timestamp,
    /// The wall clock at `response_time`: what dates in the fields are compared with.
    pub received: Timestamp,
    /// `corrected_initial_age` (RFC 9111 §4.2.3).
    pub initial_age: Seconds,
    /// The normalised values of the fields that Vary names; empty without Vary.
    pub nominated: Vec<Nominated>,
    /// Which bytes the stored body holds, where they are not the whole.
    pub part: Option<Part>,
    /// Must not be used without successful validation any more (RFC 9111 §4.4).
    pub invalidated: bool,
    /// The request carried Authorization or Cookie: heuristics do not apply to what answers it.
    pub credentials: bool,
}

/// A stored response as the proxy holds it.
#[derive(Debug, Clone)]
pub struct StoredResponse {
    /// Where it is stored: the variant's own key.
    pub key: CacheKey,
    pub head: StoredHead,
    pub body: StoredBody,
}

/// Where a stored response's bytes are.
#[derive(Debug, Clone)]
pub enum StoredBody {
    /// In memory, in one piece.
    Memory(Bytes),
    /// Beside the records on disk.
    Disk(crate::store::DiskBody),
}

impl StoredBody {
    /// In bytes.
    pub fn length(&self) -> u64 {
        match self {
            StoredBody::Memory(bytes) => bytes.len() as u64,
            StoredBody::Disk(body) => body.length(),
        }
    }
}
