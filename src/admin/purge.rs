//! `larder purge`: what is asked for, what came of it, and the words for both.

use serde::{Deserialize, Serialize};

use crate::units::{show_count, show_responses, show_size};

/// The most URLs of one request. The command line sends more in several.
pub const URLS: usize = 1000;

/// The most URLs that one purge by a glob, or of what is stale, removes. Each is a rule, and too many rules blur each other.
pub const MATCHED: usize = 100_000;

/// The most URLs that an answer names.
pub const NAMED: usize = 10;

/// Removes responses from the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeRequest {
    pub what: What,
    /// The responses become stale; stale-while-revalidate and stale-if-error may still serve them.
    pub soft: bool,
    /// Nothing is removed. The answer says what would be.
    pub dry_run: bool,
    /// The answer says how many responses it was, where that needs a scan.
    pub count: bool,
    /// Also if a glob matches everything.
    pub yes: bool,
}

/// What is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Paths and queries, or whole URLs: all methods and variants.
    Urls(Vec<String>),
    /// A path and everything below it; where it ends in `/`, only what is below it.
    Prefix(String),
    Tag(String),
    /// A pattern of paths, as in rules.
    Glob(String),
    /// What is stale.
    Stale,
    All,
}

/// What a purge has removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Purged {
    pub dry_run: bool,
    /// The number of responses. `None`: they were not counted.
    pub responses: Option<u64>,
    /// The bytes of their bodies.
    pub bytes: Option<u64>,
    /// Some of the URLs, with the number of responses of each: at most [`NAMED`].
    pub urls: Vec<(String, u64)>,
    /// The first of the URLs that were asked for under which nothing is stored: at most [`NAMED`].
    pub missing: Vec<String>,
    /// The number of all of them.
    pub missing_count: u64,
    /// The stored URL that is most similar to the first one that is missing.
    pub nearest: Option<String>,
    /// The URLs that are not of this Larder's sites, each with the reason in words.
    pub foreign: Vec<(String, String)>,
    /// A glob matches everything that is stored, and nothing was removed: that needs a confirmation.
    pub is_everything: bool,
    /// More than [`MATCHED`] URLs match; the others are left.
    pub more: bool,
}

impl Purged {
    /// Adds what another request has removed.
    pub fn add(&mut self, other: Purged) {
        let sum = |one: Option<u64>, other: Option<u64>| Some(one? + other?);
        self.responses = sum(self.responses, other.responses);
        self.bytes = sum(self.bytes, other.bytes);
        self.urls.extend(other.urls);
        self.urls.truncate(NAMED);
        self.missing.extend(other.missing);
        self.missing.truncate(NAMED);
        self.missing_count += other.missing_count;
        self.nearest = self.nearest.take().or(other.nearest);
        self.foreign.extend(other.foreign);
        self.more |= other.more;
        self.is_everything |= other.is_everything;
        self.dry_run |= other.dry_run;
    }

    /// A purge of nothing, to which others are added.
    pub fn none() -> Purged {
        Purged { responses: Some(0), bytes: Some(0), ..Purged::default() }
    }

    /// Returns the lines for stdout, of what `what` names. `soft`: it was made stale.
    pub fn show(&self, what: &What, soft: bool) -> Vec<String> {
        let done = |of: String| match (self.dry_run, soft) {
            (false, false) => format!("removed {of}"),
            (true, false) => format!("would remove {of}"),
            (false, true) => format!("made {of} stale"),
            (true, true) => format!("would make {of} stale"),
        };
        let (Some(responses), Some(bytes)) = (self.responses, self.bytes) else {
            let all = match what {
                What::Urls(urls) if urls.len() == 1 => format!("all that is stored for {}", urls[0]),
                What::Urls(urls) => format!("all that is stored for {} URLs", show_count(urls.len() as u64)),
                What::Prefix(prefix) if prefix.ends_with('/') => format!("everything below {prefix}"),
                What::Prefix(prefix) => format!("{prefix} and everything below it"),
                What::Tag(tag) => format!("everything with the tag {tag}"),
                What::Glob(_) | What::Stale | What::All => "everything".to_owned(),
            };
            return vec![done(all)];
        };
        if responses == 0 {
            return Vec::new();
        }
        let colon = if self.dry_run && !self.urls.is_empty() { ":" } else { "" };
        let mut lines = vec![format!("{}, {}{colon}", done(show_responses(responses)), show_size(bytes))];
        if self.dry_run {
            let mut left = responses;
            for (url, count) in &self.urls {
                left = left.saturating_sub(*count);
                let variants = if *count > 1 { format!("  ({} variants)", show_count(*count)) } else { String::new() };
                lines.push(format!("  {url}{variants}"));
            }
            if left > 0 && !self.urls.is_empty() {
                lines.push(format!("  and {} more", show_count(left)));
            }
        }
        if self.more {
            lines.push(format!("more than {} URLs match: run it again for the others", show_count(MATCHED as u64)));
        }
        lines
    }

    /// Returns the lines for stderr: what is not stored.
    pub fn show_missing(&self, what: &What) -> Vec<String> {
        let nothing = |of: String| vec![format!("nothing is stored {of}")];
        match what {
            What::Urls(_) => {
                let mut lines: Vec<String> =
                    self.missing.iter().map(|url| format!("nothing is stored for {url}")).collect();
                if let (Some(first), Some(nearest)) = (lines.first_mut(), &self.nearest) {
                    first.push_str(&format!(" (nearest: {nearest})"));
                }
                let others = self.missing_count.saturating_sub(lines.len() as u64);
                if others > 0 {
                    lines.push(format!("and for {} more", show_count(others)));
                }
                lines
            }
            _ if self.responses != Some(0) => Vec::new(),
            What::Prefix(prefix) => nothing(format!("below {prefix}")),
            What::Tag(tag) => nothing(format!("with the tag {tag}")),
            What::Glob(glob) => nothing(format!("that {glob} matches")),
            What::Stale => vec!["nothing that is stored is stale".to_owned()],
            What::All => vec!["nothing is stored".to_owned()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_purge_removed_is_told_in_a_line() {
        let urls = What::Urls(vec!["/products/1".to_owned()]);
        let one = Purged { responses: Some(1), bytes: Some(1536), ..Purged::default() };
        assert_eq!(one.show(&urls, false), ["removed 1 stored response, 1.5 KiB"]);
        assert!(one.show_missing(&urls).is_empty());
        let prefix = What::Prefix("/products".to_owned());
        assert_eq!(Purged::default().show(&prefix, false), ["removed /products and everything below it"]);
        assert_eq!(Purged::default().show(&prefix, true), ["made /products and everything below it stale"]);
        assert_eq!(one.show(&urls, true), ["made 1 stored response stale, 1.5 KiB"]);
        let of_three = vec![("/products/1".to_owned(), 1), ("/products?limit=20".to_owned(), 2)];
        let dry = Purged { dry_run: true, responses: Some(4), bytes: Some(33 << 10), urls: of_three, ..one };
        assert_eq!(
            dry.show(&prefix, false),
            [
                "would remove 4 stored responses, 33 KiB:",
                "  /products/1",
                "  /products?limit=20  (2 variants)",
                "  and 1 more"
            ]
        );
    }

    #[test]
    fn what_is_not_stored_is_told_with_the_nearest_url() {
        let urls = What::Urls(vec!["/nope".to_owned()]);
        let nearest = Some("/note".to_owned());
        let none = Purged { missing: vec!["/nope".to_owned()], missing_count: 1, nearest, ..Purged::none() };
        assert!(none.show(&urls, false).is_empty());
        assert_eq!(none.show_missing(&urls), ["nothing is stored for /nope (nearest: /note)"]);
        let mut many = Purged::none();
        (0..10).for_each(|_| many.add(none.clone()));
        many.add(none);
        assert_eq!((many.missing.len(), many.missing_count), (NAMED, 11));
        assert_eq!(many.show_missing(&urls).last().unwrap(), "and for 1 more");
        assert_eq!(Purged::none().show_missing(&What::Tag("a".to_owned())), ["nothing is stored with the tag a"]);
    }
}
