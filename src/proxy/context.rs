//! The values that all requests of one worker share, and those that were chosen for one request.

use std::{net::SocketAddr, rc::Rc, sync::Arc};

use super::{authority::Names, counts::WorkerCounts, shared::Shared, site::Site};
use crate::{
    client::{TrustedProxies, WorkerHandle},
    clock::Clock,
    key::{CacheKey, UrlParts},
    message::{FieldValue, Method, Request, Target},
    policy,
    store::Store,
};

/// The values that all requests of one worker share.
pub struct Context {
    pub site: Rc<Site>,
    /// The hosts that are served. If empty, every host is.
    pub hosts: Vec<String>,
    /// The port that Larder listens on.
    pub port: u16,
    /// The peers that are believed about the client whose request they forward.
    pub trusted: TrustedProxies,
    /// Larder's name in Via, one for each process. A request with this name in its Via has come through this Larder
    /// before.
    pub pseudonym: Arc<str>,
    /// The Via line of every answer.
    pub via: FieldValue,
    pub store: Store,
    pub clock: Clock,
    pub shared: Arc<Shared>,
    pub counts: Arc<WorkerCounts>,
}

impl Context {
    /// Returns the names under which a client may reach Larder. `local` is the address that the client has connected
    /// to.
    pub fn names(&self, local: Option<SocketAddr>) -> Names<'_> {
        Names { allowed: &self.hosts, port: self.port, local }
    }
}

/// An admitted request, with the site and the key that were chosen for it. Cheap to clone.
#[derive(Clone)]
pub struct Asked {
    pub cx: Rc<Context>,
    pub site: Rc<Site>,
    pub request: Rc<Request>,
    /// The address of this machine that the client has connected to.
    pub local: Option<SocketAddr>,
    /// The worker that handles the request.
    pub worker: WorkerHandle,
    /// The key of the URL. GET and HEAD share a key; QUERY has a key of its own.
    pub primary: CacheKey,
}

impl Asked {
    /// Returns the key of a method and a URL of this request's site.
    pub fn key(&self, method: &Method, target: &Target) -> CacheKey {
        key(&self.site, method, target)
    }

    /// Returns the names under which this request's client may reach Larder.
    pub fn names(&self) -> Names<'_> {
        self.cx.names(self.local)
    }

    pub fn policy(&self) -> &policy::Options {
        &self.site.policy
    }
}

/// Returns the key of a method and a URL of a site.
pub fn key(site: &Site, method: &Method, target: &Target) -> CacheKey {
    CacheKey::of(UrlParts {
        site: &site.name,
        host_mode: site.host_mode.as_str(),
        method,
        path_and_query: &target.path_and_query,
        client: site.tells_client().then_some((target.scheme, &*target.authority)),
    })
}
