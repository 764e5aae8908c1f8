//! Meaning: RFC 9111 as pure functions of (request, stored response, time, options).
//!
//! Nothing here reads a clock, logs, or fails. Every "no" is a [`Reason`]. Each function follows the clause order of its
//! section of the RFC, so that it can be proof-read with two windows open.

mod directives;
pub mod freshness;
#[doc(hidden)]
pub mod fuzzing;
pub mod invalidation;
mod negotiation;
mod reason;
pub mod reuse;
pub mod selection;
pub mod storing;
pub mod validation;
mod validators;
pub mod vary;

#[cfg(test)]
mod tests;

pub use reason::{Fwd, Reason};

use crate::clock::{Seconds, Timestamp};

/// What an operator may choose about the policy.
#[derive(Debug, Clone)]
pub struct Options {
    /// RFC 9111 to the letter: no default lifetime, Set-Cookie stored like any field, Cookie no obstacle, request
    /// directives followed.
    pub strict: bool,
    /// The lifetime of a response that has neither explicit freshness nor Last-Modified; zero turns it off.
    pub default_ttl: Seconds,
    /// Follow request directives that send traffic to the origin (no-cache, max-age, min-fresh, Pragma).
    pub client_reload: bool,
    /// A Cookie in the request is no reason to keep a response without explicit freshness out of the store.
    pub ignore_cookies: bool,
}

/// When an exchange with the origin took place (RFC 9111 §4.2.3).
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// On the clock's timeline, as the request was sent.
    pub request: Timestamp,
    /// On the clock's timeline, as the response's head came in.
    pub response: Timestamp,
    /// The wall clock as the response's head came in: for comparing with Date, Expires and Last-Modified.
    pub received: Timestamp,
}
