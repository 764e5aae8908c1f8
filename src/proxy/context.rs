//! The values that all requests of one worker share, and those that were chosen for one request.

use std::{net::SocketAddr, rc::Rc, sync::Arc};

use super::{
    authority::Names,
    counts::WorkerCounts,
    forward::OriginUrl,
    shared::Shared,
    site::Site,
    sites::{Served, Sites},
    steered::Steered,
};
use crate::{
    client::{TrustedProxies, WorkerHandle},
    clock::Clock,
    key::{CacheKey, RecentKeys, UrlParts},
    message::{FieldValue, Fields, Method, Request, ResponseHead, StoredHead, Target},
    policy, rules,
    store::Store,
};

/// The values that all requests of one worker share.
pub struct Context {
    pub sites: Sites,
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
    pub keys: RecentKeys,
    pub clock: Clock,
    pub shared: Arc<Shared>,
    pub counts: Arc<WorkerCounts>,
}

impl Context {
    /// Returns the names under which a client may reach Larder. `local` is the address that the client has connected
    /// to.
    pub fn names<'a>(&self, served: &'a Served, local: Option<SocketAddr>) -> Names<'a> {
        Names { allowed: served.hosts(), of_sites: served.hosts_of_sites(), port: self.port, local }
    }
}

/// An admitted request, with the site and the key that were chosen for it. Cheap to clone.
#[derive(Clone)]
pub struct Asked {
    pub cx: Rc<Context>,
    /// The sites that the request found.
    pub served: Rc<Served>,
    pub site: Rc<Site>,
    pub request: Rc<Request>,
    /// The address of this machine that the client has connected to.
    pub local: Option<SocketAddr>,
    /// The worker that handles the request.
    pub worker: WorkerHandle,
    /// The key of the URL. GET and HEAD share a key; QUERY has a key of its own.
    pub primary: CacheKey,
    /// The rules that apply.
    pub steered: Steered,
}

impl Asked {
    /// Returns the key of a method and another URL of this request's site, for a client that sends the same fields.
    pub fn key(&self, method: &Method, target: &Target) -> CacheKey {
        let fields = &self.request.fields;
        let asked = rules::Asked { method, path_and_query: &target.path_and_query, fields };
        key(&self.cx.keys, &self.site, &self.site.book.asked(asked), method, target, fields)
    }

    /// Returns the names under which this request's client may reach Larder.
    pub fn names(&self) -> Names<'_> {
        self.cx.names(&self.served, self.local)
    }

    /// Returns the URL by which the origin is addressed. Where the client's host is not part of the key, the origin does not
    /// hear it.
    pub fn heard(&self) -> OriginUrl {
        match self.steered.request().key.ignores_host {
            true => self.site.url.clone(),
            false => self.site.heard_as(&self.request.target),
        }
    }

    /// Returns true if the origin gets the client's scheme and authority.
    pub fn tells_client(&self) -> bool {
        self.site.tells_client() && !self.steered.request().key.ignores_host
    }

    /// Returns the options of the policy before there is an answer.
    pub fn policy(&self) -> &policy::Options {
        &self.steered.request().policy
    }

    /// Returns the options of the policy for a stored response, or before there is one.
    pub fn policy_for(&self, stored: Option<&StoredHead>) -> Arc<policy::Options> {
        match stored {
            Some(stored) => self.policy_on(&stored.head),
            None => self.steered.request().policy.clone(),
        }
    }

    /// Returns the options of the policy for this answer, which may be a stored one.
    pub fn policy_on(&self, answer: &ResponseHead) -> Arc<policy::Options> {
        self.steered.answer(answer).policy.clone()
    }
}

/// Returns the key of a method and a URL of a site. `fields` are those of the request.
pub fn key(
    keys: &RecentKeys,
    site: &Site,
    steered: &Steered,
    method: &Method,
    target: &Target,
    fields: &Fields,
) -> CacheKey {
    let keying = &steered.request().key;
    let besides = keying.besides(fields, &site.book.base().digest_key);
    keys.of(UrlParts {
        site: &site.keyed,
        host_mode: site.host_mode.as_str(),
        method,
        path_and_query: &keying.target(&target.path_and_query),
        client: (site.tells_client() && !keying.ignores_host).then_some((target.scheme, &*target.authority)),
        besides: besides.as_deref(),
    })
}
