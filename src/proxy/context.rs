//! The parts that one worker answers with, and those that were chosen for one request.

use std::{
    rc::Rc,
    sync::{Arc, Once},
};

use super::{counts::WorkerCounts, forward::OriginUrl, health::Health, request, secure::Secure, shared::Shared};
use crate::{
    client::WorkerHandle,
    clock::Clock,
    key::CacheKey,
    message::{FieldValue, Method, Request, Target},
    origin::Origin,
    policy,
    store::Store,
};

/// The parts of one worker that all its requests share.
pub struct Context {
    pub site: Rc<Site>,
    /// The hosts that are served; empty: any.
    pub hosts: Vec<String>,
    /// The port that Larder listens on.
    pub port: u16,
    /// Larder's name in Via, one for each process. A request that bears it has come through Larder before.
    pub pseudonym: Arc<str>,
    /// The Via line of every answer.
    pub via: FieldValue,
    pub store: Store,
    pub clock: Clock,
    pub shared: Arc<Shared>,
    pub counts: Arc<WorkerCounts>,
}

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

/// A request that was admitted, with what was chosen for it. Cheap to clone.
#[derive(Clone)]
pub struct Asked {
    pub cx: Rc<Context>,
    pub site: Rc<Site>,
    pub request: Rc<Request>,
    /// The worker that handles the request.
    pub worker: WorkerHandle,
    /// The key of the URL. QUERY has keys of its own.
    pub primary: CacheKey,
}

impl Asked {
    /// The key of a method and a URL of this request's site. The names that this machine has for Larder share one key, so
    /// that a cache outlives a change of port.
    pub fn key(&self, method: &Method, target: &Target) -> CacheKey {
        key(&self.cx, &self.site, method, target)
    }

    pub fn policy(&self) -> &policy::Options {
        &self.site.policy
    }
}

/// See [`Asked::key`].
pub fn key(cx: &Context, site: &Site, method: &Method, target: &Target) -> CacheKey {
    let authority = match request::is_own_name(target, cx.port) {
        true => "",
        false => &target.authority,
    };
    CacheKey::of(&site.name, method, authority, &target.path_and_query)
}
