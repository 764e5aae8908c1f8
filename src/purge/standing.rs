//! What the rules see of a stored response, and what they say.

use super::{Position, Strength};

/// Whether a stored response may be used. The worse is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Liveness {
    /// No rule reaches it.
    Alive,
    /// It is stale from now on; stale-while-revalidate and stale-if-error may still serve it.
    Stale,
    /// It must be validated before it is used again, and is never served stale.
    MustValidate,
    /// It must not be used again.
    Dead,
}

impl From<Strength> for Liveness {
    fn from(strength: Strength) -> Liveness {
        match strength {
            Strength::Soft => Liveness::Stale,
            Strength::Hard => Liveness::Dead,
        }
    }
}

/// What the rules say about a stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub liveness: Liveness,
    /// The same for a response whose lifetime was invented. Never better than `liveness`.
    pub if_invented: Liveness,
}

impl Standing {
    pub const ALIVE: Standing = Standing { liveness: Liveness::Alive, if_invented: Liveness::Alive };
}

/// A stored response, as the rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    pub position: Position,
    /// The key of its URL.
    pub primary: &'a [u8; 32],
    pub site: &'a str,
    pub authority: &'a str,
    pub path_and_query: &'a str,
    /// The hashes of its tags.
    pub tags: &'a [u64],
}
