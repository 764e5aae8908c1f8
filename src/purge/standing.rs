//! The standing of a stored response: what the rules compare, and their result.

use super::{Position, Strength};

/// Says whether a stored response may be used. A worse liveness is greater.
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

/// What the rules say about a stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub liveness: Liveness,
    /// The same for a response whose lifetime was invented. Never better than `liveness`.
    pub if_invented: Liveness,
    /// The time of the earliest soft purge that is known to reach it, in milliseconds since 1970. `None`: none does.
    pub soft_since: Option<u64>,
}

impl Standing {
    pub const ALIVE: Standing = Standing::of(Liveness::Alive);

    pub const fn of(liveness: Liveness) -> Standing {
        Standing { liveness, if_invented: liveness, soft_since: None }
    }
}

/// A stored response whose standing is known.
pub trait Judged {
    fn standing(&self) -> Standing;
}

impl<T: Judged + ?Sized> Judged for &T {
    fn standing(&self) -> Standing {
        T::standing(self)
    }
}

impl<T: Judged + ?Sized> Judged for std::sync::Arc<T> {
    fn standing(&self) -> Standing {
        T::standing(self)
    }
}

/// The result of some of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    pub liveness: Liveness,
    pub soft: Option<Position>,
}

impl Reach {
    pub const NONE: Reach = Reach { liveness: Liveness::Alive, soft: None };
    pub const MUST_VALIDATE: Reach = Reach { liveness: Liveness::MustValidate, soft: None };

    /// Returns the result of a rule for a response of this position.
    pub fn of(strength: Strength, rule: Position, stored: Position) -> Reach {
        match strength {
            _ if stored >= rule => Reach::NONE,
            Strength::Hard => Reach { liveness: Liveness::Dead, soft: None },
            Strength::Soft => Reach { liveness: Liveness::Stale, soft: Some(rule) },
        }
    }

    /// Returns the worse of two results.
    pub fn and(self, other: Reach) -> Reach {
        let soft = [self.soft, other.soft].into_iter().flatten().min();
        Reach { liveness: self.liveness.max(other.liveness), soft }
    }
}

/// A stored response, as the rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    pub position: Position,
    pub site: &'a str,
    pub authority: &'a str,
    pub path_and_query: &'a str,
    /// The hashes of its tags.
    pub tags: &'a [u64],
}
