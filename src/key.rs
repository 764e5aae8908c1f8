//! The cache key: blake3 over parts, each behind its length, so that moving a byte from one part to the next gives
//! another key.

use std::{
    cell::{Cell, RefCell},
    hash::{Hash, Hasher},
};

use http::header::{CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE};

use crate::message::{Fields, Method, Nominated, Scheme};

/// The key of a stored response, or of the list of its variants: 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheKey(pub [u8; 32]);

/// The first eight bytes of a digest tell keys apart in a map as well as all of them do.
impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// The version of keys. It changes whenever the parts of a key change, so that the records of an old store are never
/// found.
const VERSION: u8 = 3;

/// The parts of a key, each behind its length. They are short, so that hashing them at once costs less than feeding them to
/// a hasher.
struct Parts(Vec<u8>);

impl Parts {
    fn new(kind: u8) -> Parts {
        Parts::within(Vec::with_capacity(256), kind)
    }

    /// The same in a buffer that is there already.
    fn within(mut buffer: Vec<u8>, kind: u8) -> Parts {
        buffer.clear();
        buffer.extend_from_slice(&[VERSION, kind]);
        Parts(buffer)
    }

    fn add(mut self, part: &[u8]) -> Parts {
        self.0.extend_from_slice(&(part.len() as u64).to_le_bytes());
        self.0.extend_from_slice(part);
        self
    }

    fn key(&self) -> CacheKey {
        CacheKey(*blake3::hash(&self.0).as_bytes())
    }
}

/// The parts of a URL's key (RFC 9111 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UrlParts<'a> {
    /// The origin's URL with its base path, so that one cache folder can serve several origins in turn.
    pub site: &'a str,
    /// Which Host the origin hears: the word of `--host-header`.
    pub host_mode: &'a str,
    /// HEAD has the key of GET.
    pub method: &'a Method,
    pub path_and_query: &'a str,
    /// The client's scheme and authority, where the origin hears them.
    pub client: Option<(Scheme, &'a str)>,
    /// What a rule takes into the key besides.
    pub besides: Option<&'a [u8]>,
}

impl UrlParts<'_> {
    fn within(self, buffer: Vec<u8>) -> Parts {
        let UrlParts { site, host_mode, method, path_and_query, client, besides } = self;
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        // a kind of its own, so that what is besides is never taken for the client's scheme
        let kind = if besides.is_some() { b'r' } else { b'u' };
        let parts = Parts::within(buffer, kind)
            .add(site.as_bytes())
            .add(host_mode.as_bytes())
            .add(method.as_str().as_bytes())
            .add(path_and_query.as_bytes());
        let parts = match besides {
            Some(besides) => parts.add(besides),
            None => parts,
        };
        match client {
            Some((scheme, authority)) => parts.add(scheme.as_str().as_bytes()).add(authority.as_bytes()),
            None => parts,
        }
    }
}

impl CacheKey {
    /// Returns the key of a URL.
    pub fn of(parts: UrlParts<'_>) -> CacheKey {
        parts.within(Vec::new()).key()
    }

    /// Returns the key of the response without nominated fields that stands beside the variants of this key's URL.
    pub fn beside_variants(&self) -> CacheKey {
        Parts::new(b'v').add(&self.0).key()
    }

    /// Returns the key of one variant of this key's URL. The nominated fields and their values are parts of it. Without
    /// nominated fields it is this key itself.
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

    /// Returns the key of one part of the response with this key. `version` is the strong validator: parts of different
    /// versions stand beside each other.
    pub fn part(&self, first: u64, last: u64, version: &[u8]) -> CacheKey {
        let parts = Parts::new(b'p').add(&self.0).add(version);
        parts.add(&first.to_le_bytes()).add(&last.to_le_bytes()).key()
    }
}

/// The keys of the URLs that were asked for last. Most requests are for few URLs, and to compare the parts of a key costs a
/// fifth of hashing them. Each worker has its own.
pub struct RecentKeys {
    /// Each at the place that a checksum of its parts gives it. The last one has the place.
    keys: RefCell<Vec<Option<Recent>>>,
    /// The buffer for the parts of the next URL.
    buffer: Cell<Vec<u8>>,
}

/// The parts of a URL, and its key.
type Recent = (Box<[u8]>, CacheKey);

/// The number of places for keys of URLs that were asked for last.
const RECENT: usize = 256;

/// The most bytes of a URL's parts that are remembered.
const LONGEST: usize = 256;

impl Default for RecentKeys {
    fn default() -> RecentKeys {
        RecentKeys { keys: RefCell::new(vec![None; RECENT]), buffer: Cell::default() }
    }
}

impl RecentKeys {
    /// Returns the key of a URL: the same as [`CacheKey::of`].
    pub fn of(&self, parts: UrlParts<'_>) -> CacheKey {
        let parts = parts.within(self.buffer.take());
        let key = if parts.0.len() > LONGEST { parts.key() } else { self.remembered(&parts) };
        self.buffer.set(parts.0);
        key
    }

    fn remembered(&self, parts: &Parts) -> CacheKey {
        let place = &mut self.keys.borrow_mut()[crc32fast::hash(&parts.0) as usize % RECENT];
        match place {
            Some((known, key)) if **known == *parts.0 => *key,
            _ => {
                let key = parts.key();
                *place = Some((parts.0.as_slice().into(), key));
                key
            }
        }
    }
}

/// Returns the digest of the content of a QUERY (RFC 10008) and of the fields that say what the content means.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{FieldName, FieldValue};

    const PAIRS: u32 = 1_000_000;

    /// SplitMix64.
    struct Rng(u64);

    impl Rng {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) % bound as u64) as usize
        }
    }

    /// All parts of a key, cut out of one short text. Two cuts of a text differ by bytes that moved from a part to its
    /// neighbour, and many parts are empty.
    #[derive(Debug, PartialEq)]
    struct Asked<'a> {
        method: &'a Method,
        site: &'a str,
        host_mode: &'a str,
        client: Option<(Scheme, &'a str)>,
        path_and_query: &'a str,
        besides: Option<&'a [u8]>,
        /// Content-Type and content.
        content: Option<[&'a str; 2]>,
        nominated: Vec<Nominated>,
    }

    impl<'a> Asked<'a> {
        fn cut(mut text: &'a str, methods: &'a [Method], names: &[FieldName], rng: &mut Rng) -> Asked<'a> {
            let mut part = |rng: &mut Rng| {
                let (part, rest) = text.split_at(rng.below(text.len().min(3) + 1));
                text = rest;
                part
            };
            let [site, host_mode, authority, path_and_query, content_type, content, besides] =
                [(); 7].map(|()| part(rng));
            let scheme = [Scheme::Http, Scheme::Https][rng.below(2)];
            let nominated = (0..rng.below(3)).map(|_| {
                let value = (rng.below(3) > 0).then(|| part(rng).as_bytes().to_vec());
                (names[rng.below(names.len())].clone(), value)
            });
            let nominated = nominated.collect();
            Asked {
                method: &methods[rng.below(methods.len())],
                site,
                host_mode,
                client: (rng.below(2) > 0).then_some((scheme, authority)),
                path_and_query,
                besides: (rng.below(2) > 0).then_some(besides.as_bytes()),
                content: (rng.below(2) > 0).then_some([content_type, content]),
                nominated,
            }
        }

        fn key(&self) -> CacheKey {
            // policy::vary adds the content of a QUERY to the nominated fields in the same way
            let content = self.content.map(|[content_type, content]| {
                let content_type = FieldValue::try_from(format!("{content_type:?}")).unwrap();
                let fields = Fields::from_iter([(CONTENT_TYPE, content_type)]);
                (FieldName::from_static("larder-content"), Some(content_digest(&fields, content.as_bytes()).to_vec()))
            });
            let nominated: Vec<_> = content.into_iter().chain(self.nominated.clone()).collect();
            let Asked { method, site, host_mode, client, path_and_query, besides, .. } = *self;
            CacheKey::of(UrlParts { site, host_mode, method, path_and_query, client, besides }).variant(&nominated)
        }
    }

    #[test]
    fn a_million_pairs_share_a_key_exactly_where_they_are_the_same() {
        let methods = [Method::GET, Method::from_bytes(b"G").unwrap(), Method::from_bytes(b"QUERY").unwrap()];
        let names = ["a", "aa", "b"].map(FieldName::from_static);
        let (mut rng, mut equal, mut different) = (Rng(1), 0, 0);
        while equal + different < PAIRS {
            let text = ["", "a", "aa=", "/a/aa", "=aa=/", "\0\0\x01\0"][rng.below(6)];
            let cuts: Vec<_> = (0..16).map(|_| Asked::cut(text, &methods, &names, &mut rng)).collect();
            let keys: Vec<_> = cuts.iter().map(Asked::key).collect();
            for (one, other) in (0..16).flat_map(|one| (0..one).map(move |other| (one, other))) {
                let same = cuts[one] == cuts[other];
                assert_eq!(keys[one] == keys[other], same, "{:?} {:?}", cuts[one], cuts[other]);
                *(if same { &mut equal } else { &mut different }) += 1;
            }
        }
        assert!(equal > PAIRS / 1000 && different > PAIRS / 2, "{equal} {different}");
    }

    #[test]
    fn a_key_that_is_remembered_is_the_one_that_is_made() {
        let recent = RecentKeys::default();
        let mut rng = Rng(2);
        for _ in 0..20 * RECENT {
            // some URLs come again soon, some have given their place to another one, some are too long
            let bound = [8, 4 * RECENT][rng.below(2)];
            let number = rng.below(bound);
            let path = format!("/{number}{}", "x".repeat(number % 7 * LONGEST / 5));
            let parts = UrlParts {
                site: "http://o",
                host_mode: "origin",
                method: &Method::GET,
                path_and_query: &path,
                client: number.is_multiple_of(3).then_some((Scheme::Http, "a")),
                besides: None,
            };
            assert_eq!(recent.of(parts), CacheKey::of(parts), "{path}");
        }
    }

    #[test]
    fn head_shares_the_key_of_get() {
        let of = |method| {
            let parts = UrlParts {
                site: "http://o",
                host_mode: "origin",
                method: &method,
                path_and_query: "/",
                client: None,
                besides: None,
            };
            CacheKey::of(parts)
        };
        assert_eq!(of(Method::HEAD), of(Method::GET));
        assert_ne!(of(Method::POST), of(Method::GET));
    }
}
