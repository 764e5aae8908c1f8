//! The cache key: blake3 over length-prefixed parts, so that no two requests share one by moving a delimiter.

use http::header::{CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE};

use crate::message::{Fields, Method, Nominated};

/// 32 bytes that name a stored response, or the set of its variants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey(pub [u8; 32]);

/// Changes when what goes into a key changes: an old store's records are then never found.
const VERSION: u8 = 2;

/// Feeds parts to blake3, each behind its length.
struct Parts(blake3::Hasher);

impl Parts {
    fn new(kind: u8) -> Parts {
        let mut parts = Parts(blake3::Hasher::new());
        parts.0.update(&[VERSION, kind]);
        parts
    }

    fn add(mut self, part: &[u8]) -> Parts {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    fn key(self) -> CacheKey {
        CacheKey(*self.0.finalize().as_bytes())
    }
}

impl CacheKey {
    /// The key of a method and a URL (RFC 9111 §2) at this origin (its URL, base path included, so that one folder can
    /// serve several in turn). HEAD shares GET's.
    pub fn of(origin: &str, method: &Method, authority: &str, path_and_query: &str) -> CacheKey {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        Parts::new(b'u')
            .add(origin.as_bytes())
            .add(method.as_str().as_bytes())
            .add(authority.as_bytes())
            .add(path_and_query.as_bytes())
            .key()
    }

    /// The key of one variant of this key's URL: the nominated fields and their values are part of it. Without any it is
    /// this key itself.
    pub fn variant(&self, nominated: &[Nominated]) -> CacheKey {
        if nominated.is_empty() {
            return *self;
        }
        let mut parts = Parts::new(b'v').add(&self.0);
        for (name, value) in nominated {
            parts = parts.add(name.as_str().as_bytes());
            parts = match value {
                Some(value) => parts.add(b"=").add(value),
                None => parts.add(b""),
            };
        }
        parts.key()
    }
}

/// The digest of a QUERY's content (RFC 10008) and of the fields that say what it means.
pub fn content_digest(fields: &Fields, content: &[u8]) -> [u8; 32] {
    let mut parts = Parts::new(b'q').add(content);
    for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE] {
        for value in fields.values(&name) {
            parts = parts.add(name.as_str().as_bytes()).add(value.as_bytes());
        }
    }
    parts.key().0
}

impl std::fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for byte in &self.0[..6] {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
