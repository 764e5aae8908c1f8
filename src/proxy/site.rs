//! A site: an origin, and what holds for it.

use std::sync::{Arc, Once};

use super::{forward::OriginUrl, health::Health, secure::Secure};
use crate::{origin::Origin, policy};

/// One site: its origin, and the rules that hold for it. `admit` chooses it for each request.
pub struct Site {
    pub url: OriginUrl,
    /// `url` as text. It is part of every key.
    pub name: String,
    pub origin: Origin,
    /// The same host by https, for an http origin that redirects there.
    pub secure: Option<Secure>,
    pub policy: Arc<policy::Options>,
    pub health: Arc<Health>,
    /// The hint to name the origin differently was logged.
    pub hinted: Arc<Once>,
}
