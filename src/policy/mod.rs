//! The decisions of RFC 9111, as pure functions of (request, stored response, time, options).
//!
//! Nothing here reads a clock, logs, or fails. Every "no" is a [`Reason`]. Each function follows the order of the
//! clauses in its section of the RFC, so that a reader can check it with the RFC beside it.

mod content;
mod digest;
mod directives;
pub mod freshness;
#[doc(hidden)]
pub mod fuzzing;
pub mod invalidation;
mod negotiation;
pub mod parts;
mod reason;
mod remembered;
pub mod resuming;
pub mod reuse;
pub mod selection;
pub mod sharing;
mod steering;
pub mod storing;
pub mod validation;
mod validators;
pub mod vary;

#[cfg(test)]
mod tests;

pub use digest::DigestKey;
pub use reason::{Fwd, Reason};
pub use steering::{Ignored, Steering};

use std::sync::Arc;

use crate::{
    clock::{Seconds, Timestamp},
    purge::Position,
};

/// The choices of the operator about the policy.
#[derive(Debug, Clone)]
pub struct Options {
    /// Follows RFC 9111 to the letter. The only invented lifetime is a tenth of the time since Last-Modified.
    /// Set-Cookie is stored like any field, a Cookie prevents nothing, and the directives of requests are followed.
    /// Fields that RFC 9111 does not know (Surrogate-Control, X-Accel-Expires) give no lifetime, and still forbid
    /// storing.
    pub strict: bool,
    /// The longest lifetime that is ever invented for a response that has none of its own. Zero means that none is
    /// invented.
    pub default_ttl: Seconds,
    /// The lifetime that is invented for 301, 308, 404, 405 and 410. It begins when the response comes in.
    pub negative_ttl: Seconds,
    /// How long a stale response may stand in for a failing origin that says nothing about it. Zero: not at all.
    pub stale_if_error: Seconds,
    /// Follows the directives of requests that cause traffic to the origin (no-cache, max-age, min-fresh, Pragma).
    pub client_reload: bool,
    /// Stores a response without explicit freshness even if the request carried a Cookie.
    pub ignore_cookies: bool,
    /// The most bytes of a head. A 304 must not make a stored head larger than this.
    pub max_head: usize,
    /// The most field lines of a head. A 304 must not make a stored head longer than this.
    pub max_fields: usize,
    /// The origin's name in the keys of its URLs. The server sets it.
    pub site: Arc<str>,
    /// The key of the digests that stand for credentials. It is no choice of the operator: the server reads it from the
    /// cache folder.
    pub digest_key: DigestKey,
    /// The client's scheme and host are part of the key. The server sets it.
    pub keys_host: bool,
    /// What rules say of the request and its answer. It is no choice for a whole site.
    pub steering: Steering,
}

/// The times of an exchange with the origin (RFC 9111 §4.2.3).
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// When the request was sent, on the clock's timeline.
    pub request: Timestamp,
    /// When the head of the response came in, on the clock's timeline.
    pub response: Timestamp,
    /// The wall clock when the head of the response came in. Date, Expires and Last-Modified are compared with it.
    pub received: Timestamp,
    /// Taken from the purge log before the request was sent.
    pub position: Position,
}
