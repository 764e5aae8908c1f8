//! Purging: which stored responses may still be used.
//!
//! A purge is one [`Rule`]: what it reaches, how hard, and the [`Position`] at which it came in force. A new rule
//! searches nothing and deletes nothing. Each stored response has a position, too. Before a stored response is used, the
//! rules are asked whether a later one reaches it. So a purge costs the same at any size of the cache. A response whose
//! request went to the origin before the purge is purged wherever and whenever it is stored.
//!
//! | rule | reaches | then |
//! |---|---|---|
//! | all | everything | [`Liveness::Dead`], or if soft [`Liveness::Stale`] |
//! | URL | one path and query, all methods and variants; with an authority only that one, else all of the site | the same |
//! | prefix | a path and everything below it (`/a`), or only what is below it (`/a/`); with an authority only that one | the same |
//! | tag | what was stored with the tag, or with the group within one origin | the same |
//! | path | all queries of a path, after an unsafe method; only what has an invented lifetime | [`Liveness::MustValidate`] |
//! | floor | everything older | [`Liveness::MustValidate`] |
//!
//! Paths are compared byte for byte, as the client sent them: `/%61` is not `/a`.
//!
//! [`Index`] holds the rules in bounded memory. Where a table is full the oldest rules in it are not forgotten but blurred:
//! everything that they might have reached must be validated. So what was purged is never used unseen, and nothing dies
//! that was not purged: hard and soft need 64 bits of blake3 to agree, a neighbour in a table costs one validation.
//!
//! Everything here is pure: no I/O, no clock.
mod counter;
mod index;
mod position;
mod prefixes;
mod rule;
mod rules;
mod standing;
mod tables;
#[cfg(test)]
mod tests;

pub use counter::Counter;
pub use index::Index;
pub use position::Position;
pub use prefixes::PREFIXES;
pub use rule::{PrefixError, Print, Rule, Strength, Target, group_hash, tag_hash};
pub use rules::{Checked, Rules};
pub use standing::{Judged, Liveness, Standing, Stored};
