//! What the operator's rules say of a request and its answer, in place of what the response says.

use crate::{
    clock::Seconds,
    fields::tags,
    message::{FieldName, Fields},
    purge::{group_hash, tag_hash},
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
    /// The field of the response that lists more tags, besides those that are known to.
    pub tag_header: Option<FieldName>,
    /// Clients get the fields that list tags.
    pub forward_tags: bool,
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

/// The most tags of a response, and the most groups. The others are left out.
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

    /// Returns the hashes of a response's tags and groups, rising, none of them twice. A group is a tag, too, and besides
    /// belongs to its origin: the site, and `authority` if the key has it.
    pub(super) fn tag_hashes(&self, response: &Fields, site: &str, authority: Option<&str>) -> Box<[u64]> {
        let tags = self.tags.iter().map(String::as_str).chain(tags::tags(response, self.tag_header.as_ref()));
        let mut hashes: Vec<u64> = tags.take(MOST_TAGS).map(tag_hash).collect();
        for group in tags::groups(response, &tags::CACHE_GROUPS).iter().take(MOST_TAGS) {
            hashes.extend([tag_hash(group), group_hash(site, authority, group)]);
        }
        hashes.sort_unstable();
        hashes.dedup();
        hashes.into()
    }
}
