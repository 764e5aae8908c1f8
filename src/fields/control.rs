//! What the fields of a response say about caching, read together.

use std::borrow::Cow;

use super::{
    cache_control::ResponseDirectives,
    surrogate::{AccelExpires, accel_expires, edge_no_store},
};
use crate::message::{Fields, StoredHead};

/// The fields that control caches, as they came. The policy weighs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The directives of CDN-Cache-Control if that is valid (RFC 9213 §2.2), or else those of Cache-Control.
    pub directives: ResponseDirectives,
    /// True if the directives come from CDN-Cache-Control.
    pub targeted: bool,
    pub accel: Option<AccelExpires>,
    pub surrogate: Option<Box<ResponseDirectives>>,
    /// True if Edge-Control says no-store.
    pub edge_no_store: bool,
}

impl Control {
    pub fn of(response: &Fields) -> Control {
        let targeted = ResponseDirectives::parse_targeted(response);
        Control {
            targeted: targeted.is_some(),
            directives: targeted.unwrap_or_else(|| ResponseDirectives::parse(response)),
            accel: accel_expires(response),
            surrogate: ResponseDirectives::parse_surrogate(response).map(Box::new),
            edge_no_store: edge_no_store(response),
        }
    }
}

/// A stored response as the decisions see it: its head, and what its fields say about caching.
pub trait Controlled: AsRef<StoredHead> {
    fn control(&self) -> Cow<'_, Control> {
        Cow::Owned(Control::of(&self.as_ref().head.fields))
    }
}

impl<S: Controlled + ?Sized> Controlled for &S {
    fn control(&self) -> Cow<'_, Control> {
        S::control(self)
    }
}

impl Controlled for StoredHead {}
