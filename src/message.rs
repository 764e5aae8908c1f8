//! Requests and responses as the policy and the proxy see them: plain data, with the names and values of `http` 0.2.

use bytes::Bytes;
use std::net::IpAddr;

pub use http::{
    StatusCode,
    header::{HeaderName as FieldName, HeaderValue as FieldValue},
};
pub use http1::Method;

use crate::{
    clock::{Seconds, Timestamp},
    purge::{Judged, Position, Standing},
};

/// Field lines in the order in which they came (RFC 9110 §5.3). A name may have several lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(FieldName, FieldValue)>);

/// Field lines as bytes, written once for many answers. They are made of `Fields` alone, so that no value holds a line end.
#[derive(Debug, Clone)]
pub struct WrittenFields {
    pub lines: Bytes,
    /// One of them is Date.
    pub dated: bool,
}

/// The field lines of one answer from a stored response, as bytes.
#[derive(Debug)]
pub struct WrittenLines {
    /// The lines of the stored response, but for those that Larder adds.
    pub stored: WrittenFields,
    /// The lines that Larder adds, behind the others. None of them is Date.
    pub own: Vec<u8>,
}

impl Fields {
    pub fn new() -> Fields {
        Fields::default()
    }

    pub fn with_capacity(lines: usize) -> Fields {
        Fields(Vec::with_capacity(lines))
    }

    /// Appends a line behind all others.
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

    /// Returns the value of the first line of this name.
    pub fn first(&self, name: &FieldName) -> Option<&FieldValue> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// Returns the value of the line of this name, if there is exactly one.
    pub fn only(&self, name: &FieldName) -> Option<&FieldValue> {
        let mut lines = self.0.iter().filter(|(n, _)| n == name);
        let (_, value) = lines.next()?;
        lines.next().is_none().then_some(value)
    }

    /// Returns the values of all lines of this name, in order.
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

    /// Returns the bytes of all names and values. The fields need about as much memory or disk.
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

/// The scheme of a URL (RFC 9110 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port that a URL of this scheme means where it names none.
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    /// An authority without the scheme's own port.
    pub fn without_default_port(self, authority: &str) -> &str {
        let port = match self {
            Scheme::Http => ":80",
            Scheme::Https => ":443",
        };
        authority.strip_suffix(port).unwrap_or(authority)
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
    /// The scheme by which the client came, to Larder or to a trusted proxy.
    pub scheme: Scheme,
    /// The host (and port, where it is not the scheme's own) that the client named: lower case, no trailing dot. For an
    /// HTTP/1.0 request without Host it is localhost.
    pub authority: String,
    /// What the client sent, with `%XX` for each byte beyond ASCII. It begins with `/`, because `OPTIONS *` does not get this
    /// far.
    pub path_and_query: String,
}

/// The protocol of a message. Later versions are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0 has neither interim responses nor chunked bodies.
    Http10,
    Http11,
}

impl Version {
    /// The number as Via and Cache-Status write it (RFC 9110 §7.6.3).
    pub fn number(self) -> &'static str {
        match self {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
        }
    }

    /// Returns true if the client understands interim responses (RFC 9110 §15.2).
    pub fn has_interim(self) -> bool {
        self > Version::Http10
    }
}

/// A request without its body. Hop-by-hop fields are gone (RFC 9110 §7.6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub target: Target,
    pub fields: Fields,
    /// The digest of the content of a QUERY, which selects a response as nominated fields do. `None` for other methods,
    /// and if the content is too long to be read.
    pub content: Option<[u8; 32]>,
    /// The client's address.
    pub peer: Option<IpAddr>,
    /// The protocol that the client speaks.
    pub version: Version,
    /// A rule has the request, a POST, answered as QUERY is: it changes nothing, and its content is part of the key.
    pub as_query: bool,
    /// It says that somebody forwarded it: the client's connection may carry the requests of many users.
    pub forwarded: bool,
    /// A peer that is not trusted says that its client speaks https. That is not believed.
    pub claims_https: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    pub status: StatusCode,
    /// The hop-by-hop fields are removed. Content-Length is there if the origin sent it.
    pub fields: Fields,
}

/// A contiguous part of a representation: bytes `first..=last` of `complete` (RFC 9110 §14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub first: u64,
    pub last: u64,
    /// The length of the whole representation, if the origin told it.
    pub complete: Option<u64>,
}

impl Part {
    /// Returns the number of bytes in the part.
    pub fn length(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// The request that a stored response answers. It is for people and for purging, and never used for a lookup.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestLine {
    pub method: Method,
    pub scheme: Scheme,
    /// Site, authority, path and query, one behind the other: one allocation for each stored response.
    text: Box<str>,
    /// Where the authority begins and where the path begins.
    starts: [u32; 2],
}

impl RequestLine {
    /// `site` is what the origin is called in the key of the URL.
    pub fn new(site: &str, method: Method, scheme: Scheme, authority: &str, path_and_query: &str) -> RequestLine {
        // a request is never so long; if it were, the line would be empty
        let starts = [site.len(), site.len() + authority.len()].map(u32::try_from);
        let [Ok(authority_at), Ok(path_at)] = starts else { return RequestLine::new("", method, scheme, "", "") };
        let text = [site, authority, path_and_query].concat().into();
        RequestLine { method, scheme, text, starts: [authority_at, path_at] }
    }

    pub fn site(&self) -> &str {
        &self.text[..self.starts[0] as usize]
    }

    pub fn authority(&self) -> &str {
        &self.text[self.starts[0] as usize..self.starts[1] as usize]
    }

    pub fn path_and_query(&self) -> &str {
        &self.text[self.starts[1] as usize..]
    }

    /// Returns the bytes that the line needs in memory, about.
    pub fn size(&self) -> usize {
        self.text.len()
    }
}

/// As people read it: `GET http://example.org/a?b`.
impl std::fmt::Display for RequestLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}://{}{}", self.method, self.scheme.as_str(), self.authority(), self.path_and_query())
    }
}

impl std::fmt::Debug for RequestLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self} at {}", self.site())
    }
}

/// A request field that Vary names, and the normal form of its value (RFC 9111 §4.1). The value is `None` if the
/// request did not have the field.
pub type Nominated = (FieldName, Option<Vec<u8>>);

/// A stored response without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHead {
    /// The request that the response answers.
    pub line: RequestLine,
    /// The head of the response. The status of a 206 is stored as 200.
    pub head: ResponseHead,
    /// When the request was sent, on the clock's timeline (RFC 9111 §4.2.3).
    pub request_time: Timestamp,
    /// When the head of the response came in, on the clock's timeline.
    pub response_time: Timestamp,
    /// The wall clock at `response_time`. Dates in the fields are compared with it.
    pub received: Timestamp,
    /// `corrected_initial_age` (RFC 9111 §4.2.3).
    pub initial_age: Seconds,
    /// The fields of the request that Vary names. Empty if there is no Vary.
    pub nominated: Vec<Nominated>,
    /// The bytes that the stored body holds, if it is not the whole representation.
    pub part: Option<Part>,
    /// The first and the last byte of each gap in `part`, in ascending order. Only a response that is put together from
    /// several stored parts has gaps; no record has.
    pub gaps: Box<[(u64, u64)]>,
    /// The response must not be used again without successful validation (RFC 9111 §4.4).
    pub invalidated: bool,
    /// The request carried Authorization, Cookie or another field that tells who asks, so that no lifetime is invented
    /// for the response.
    pub credentials: bool,
    /// Taken from the purge log before the origin was asked. A later purge that matches the response reaches it.
    pub position: Position,
    /// The hashes of the response's tags, rising, none of them twice.
    pub tags: Box<[u64]>,
    /// The sections of its record that only a later version knows. They go with it when it is stored again.
    pub unknown: Box<[u8]>,
}

/// A head alone: no rule was asked.
impl Judged for StoredHead {
    fn standing(&self) -> Standing {
        Standing::ALIVE
    }
}

impl AsRef<StoredHead> for StoredHead {
    fn as_ref(&self) -> &StoredHead {
        self
    }
}
