//! What the operator's rules say of a request and its answer, in place of what the response says.

use crate::{
    clock::Seconds,
    message::{FieldName, Fields},
    purge::tag_hash,
};

use super::Reason;

/// What rules set. The default steers nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steering {
    /// Neither looked up nor stored.
    pub bypass: bool,
    /// In place of the lifetime that the response gives. It begins when the response comes in.
    pub ttl: Option<Seconds>,
    /// The shortest lifetime of a response that has one.
    pub min_ttl: Option<Seconds>,
    /// The longest lifetime.
    pub max_ttl: Option<Seconds>,
    /// RFC 5861 §3, where the response says nothing of it.
    pub stale_while_revalidate: Option<Seconds>,
    /// The windows of the rules count, whatever the response says of them.
    pub force_stale: bool,
    /// Nothing is stored.
    pub no_store: bool,
    pub ignored: Ignored,
    /// The fields of the request that are part of the key.
    pub key_headers: Vec<FieldName>,
    /// The only cookies that the origin gets are part of the key.
    pub keys_cookies: bool,
    /// The tags of every response.
    pub tags: Vec<String>,
    /// The field of the response that lists more tags.
    pub tag_header: Option<FieldName>,
}

/// The obstacles to storing that rules take away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ignored {
    pub no_store: bool,
    pub private: bool,
    pub no_cache: bool,
    pub set_cookie: bool,
    pub authorization: bool,
    pub vary: bool,
}

/// The most tags of a response. The others are left out.
const MOST_TAGS: usize = 64;

impl Steering {
    /// Returns true if a field of the request is no obstacle, because it is part of the key.
    pub(super) fn keys(&self, name: &FieldName) -> bool {
        self.key_headers.contains(name)
    }

    /// Returns the lifetime within the bounds, and the reason for it. What has no lifetime gets none.
    pub(super) fn clamp(&self, lifetime: Seconds, by: Reason, initial_age: Seconds) -> (Seconds, Reason) {
        if matches!(by, Reason::NoFreshness | Reason::Playlist | Reason::PragmaNoCache) {
            return (lifetime, by);
        }
        let least = self.min_ttl.map(|least| least.saturating_add(initial_age));
        let most = self.max_ttl.map(|most| most.saturating_add(initial_age));
        match (least, most) {
            (Some(least), _) if lifetime < least => (least, Reason::MinTtlByRule),
            (_, Some(most)) if lifetime > most => (most, Reason::MaxTtlByRule),
            _ => (lifetime, by),
        }
    }

    pub(super) fn has_tags(&self) -> bool {
        !self.tags.is_empty() || self.tag_header.is_some()
    }

    /// Returns the hashes of a response's tags, rising, none of them twice.
    pub(super) fn tag_hashes(&self, response: &Fields) -> Box<[u64]> {
        let lines = self.tag_header.iter().flat_map(|name| response.values(name));
        let listed = lines.filter_map(|line| line.to_str().ok());
        // Surrogate-Key separates by spaces, Cache-Tag by commas
        let listed = listed.flat_map(|line| line.split([' ', ','])).filter(|tag| !tag.is_empty());
        let tags = self.tags.iter().map(String::as_str).chain(listed).take(MOST_TAGS);
        let mut hashes: Vec<u64> = tags.map(tag_hash).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes.into()
    }
}
