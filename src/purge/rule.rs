//! A rule, and the prints by which it finds what it reaches.

use super::Position;

/// The first 8 bytes of a blake3 digest. Two names share one by chance once in 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Print(pub u64);

/// A purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub target: Target,
    /// Counts for all, URL, prefix and tag. The other rules are the same with both.
    pub strength: Strength,
    /// The rule reaches responses with a lower position.
    pub position: Position,
}

/// The effect of a purge on a response that it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// The response is stale from now on. stale-while-revalidate and stale-if-error may still serve it.
    Soft,
    /// The response is dead.
    Hard,
}

/// The responses that a rule reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target {
    /// Everything.
    All,
    /// A path and query.
    Url(Print),
    /// A path and everything below it.
    Prefix(Print),
    /// Everything below a path, but not the path itself: the prefix ended in `/`.
    Below(Print),
    /// The `tag_hash` of a tag.
    Tag(u64),
    /// All queries of a path, after an unsafe method. Only responses whose lifetime was invented are reached.
    Path(Print),
    /// Everything. It must be validated, because a rule that is not known any more may have reached it.
    Floor,
    /// The same, for the URLs that share a bucket of the table.
    UrlFloor(u16),
    /// The same, for the tags that share a bucket of the table.
    TagFloor(u16),
}

/// A prefix that cannot be purged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrefixError {
    NoPath(String),
    Query(String),
    TooDeep { prefix: String, segments: usize },
}

/// A path is looked up once at its root and once for each segment: 16 times at most.
pub(super) const MAX_SEGMENTS: usize = 15;

/// Returns the hash of a tag, as records keep it.
pub fn tag_hash(tag: &str) -> u64 {
    print(b't', &[tag]).0
}

/// Returns the hash of a group (RFC 9875), as records keep it beside the hash of its name. Responses share a group only within
/// one origin: `authority` is that of the client where the key has it.
pub fn group_hash(site: &str, authority: Option<&str>, group: &str) -> u64 {
    match authority {
        Some(authority) => print(b'g', &[site, group, authority]).0,
        None => print(b'g', &[site, group]).0,
    }
}

impl Target {
    /// Returns the target for all variants and methods of a path and query. Without an authority: of all authorities of the
    /// site.
    pub fn url(site: &str, authority: Option<&str>, path_and_query: &str) -> Target {
        Target::Url(url_print(site, authority, path_and_query))
    }

    /// Returns the target for a path and everything below it. If the path ends in `/`: only for what is below it. Without an
    /// authority: of all authorities of the site.
    pub fn prefix(site: &str, authority: Option<&str>, prefix: &str) -> Result<Target, PrefixError> {
        let Some(path) = prefix.strip_prefix('/') else { return Err(PrefixError::NoPath(prefix.to_owned())) };
        if path.contains(['?', '#']) {
            return Err(PrefixError::Query(prefix.to_owned()));
        }
        let (path, below) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, path.is_empty()),
        };
        // "/" has no segment, but "//" has one, which is empty
        let segments = || path.split('/').take(if prefix == "/" { 0 } else { usize::MAX });
        if segments().count() > MAX_SEGMENTS {
            return Err(PrefixError::TooDeep { prefix: prefix.to_owned(), segments: segments().count() });
        }
        let end = segments().fold(Chain::new(site, authority), Chain::below);
        Ok(if below { Target::Below(end.print()) } else { Target::Prefix(end.print()) })
    }

    pub fn tag(tag: &str) -> Target {
        Target::Tag(tag_hash(tag))
    }

    /// A group of one origin. See [`group_hash`].
    pub fn group(site: &str, authority: Option<&str>, group: &str) -> Target {
        Target::Tag(group_hash(site, authority, group))
    }

    /// Returns the target for all queries of the path, of all authorities of the site: an origin that does not get the
    /// authority has one response for all of them.
    pub fn path(site: &str, path_and_query: &str) -> Target {
        Target::Path(path_print(site, path_and_query))
    }
}

pub(super) fn url_print(site: &str, authority: Option<&str>, path_and_query: &str) -> Print {
    match authority {
        Some(authority) => print(b'u', &[site, path_and_query, authority]),
        None => print(b'u', &[site, path_and_query]),
    }
}

pub(super) fn path_print(site: &str, path_and_query: &str) -> Print {
    print(b'q', &[site, path_of(path_and_query)])
}

/// Returns the path without the query.
pub(super) fn path_of(path_and_query: &str) -> &str {
    path_and_query.split_once('?').map_or(path_and_query, |(path, _)| path)
}

/// Makes the prints of a path's prefixes, each from the one above it.
pub(super) struct Chain([u8; 32]);

impl Chain {
    /// Begins at the root of a site, or of one authority of it.
    pub fn new(site: &str, authority: Option<&str>) -> Chain {
        Chain(match authority {
            Some(authority) => digest(b'p', &[site, authority]),
            None => digest(b'p', &[site]),
        })
    }

    pub fn below(self, segment: &str) -> Chain {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(segment.as_bytes());
        Chain(*hasher.finalize().as_bytes())
    }

    pub fn print(&self) -> Print {
        first(&self.0)
    }
}

fn print(kind: u8, parts: &[&str]) -> Print {
    first(&digest(kind, parts))
}

/// Returns a digest of the parts. Each part stands behind its length, so that a byte that moves from one part to the next gives
/// another digest.
fn digest(kind: u8, parts: &[&str]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind]);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

fn first(digest: &[u8; 32]) -> Print {
    Print(u64::from_be_bytes(std::array::from_fn(|at| digest[at])))
}

impl std::fmt::Display for PrefixError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PrefixError::NoPath(prefix) => {
                write!(f, "invalid prefix {prefix:?}: expected a path that begins with /, for example /products/")
            }
            PrefixError::Query(prefix) => {
                write!(f, "invalid prefix {prefix:?}: expected a path without ? and #, for example /products/")
            }
            PrefixError::TooDeep { prefix, segments } => write!(
                f,
                "invalid prefix {prefix:?}: {segments} segments, expected at most {MAX_SEGMENTS}, for example /products/"
            ),
        }
    }
}

impl std::error::Error for PrefixError {}
