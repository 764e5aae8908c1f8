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
//! [`Index`] holds the rules in bounded memory. If a table is full, its oldest rules make room for new ones, and a floor takes
//! their place: every response that they may have reached must be validated. So a response that was purged is never used
//! without the origin. A response that was not purged never becomes dead or stale by chance, because its 64 bits of blake3
//! would have to be those of a rule. It may share a place of a table with a rule. That costs one validation.
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
