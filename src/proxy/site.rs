//! A site: an origin, and the rules for it.

use std::{
    rc::Rc,
    sync::{Arc, Once},
};

use super::{
    authority::{covers, host_and_port},
    forward::OriginUrl,
    health::Health,
    host_mode::HostMode,
    outward::is_below,
    secure::Secure,
    steered::Book,
};
use crate::{
    message::{Scheme, Target},
    origin::Origin,
};

/// One site: its origin, and the rules for it. The site is chosen for each request.
pub struct Site {
    /// The hosts of its requests, in lower case: `example.com`, or `*.example.com` for all names below that one. If empty,
    /// every host.
    pub hosts: Vec<String>,
    pub url: OriginUrl,
    /// The text of `url`.
    pub name: String,
    /// The name of the site in keys.
    pub keyed: String,
    pub host_mode: HostMode,
    /// True if the origin is told who the client is even if it gets its own Host.
    pub forward_client: bool,
    pub origin: Origin,
    /// The same host by https, if the origin is an http origin that may redirect there.
    pub secure: Option<Secure>,
    /// The rules, and the options where none applies.
    pub book: Rc<Book>,
    pub health: Arc<Health>,
    /// Completed once the hint to name the origin differently was logged.
    pub hinted: Arc<Once>,
}

impl Site {
    /// Returns true if the hosts of the site name the host of this target.
    pub fn serves(&self, target: &Target) -> bool {
        closeness(&self.hosts, &target.authority, target.scheme).is_some()
    }

    /// Returns true if the origin gets the client's scheme and authority. They must be in the key then, or one client
    /// could choose what others get.
    pub fn tells_client(&self) -> bool {
        self.host_mode == HostMode::Client || self.forward_client
    }

    /// Returns the URL by which the origin is addressed for a client that asks for `target`. The scheme is https if the
    /// client or the origin speaks TLS: an https origin that is told http redirects to itself for ever.
    pub fn heard_as(&self, target: &Target) -> OriginUrl {
        match &self.host_mode {
            HostMode::Client => {
                let https = self.url.https || target.scheme == Scheme::Https;
                OriginUrl { https, ..self.url.with_authority(target.authority.clone()) }
            }
            HostMode::Origin => self.url.clone(),
            HostMode::Named(name) => self.url.with_authority(name.clone()),
        }
    }

    /// Returns the URLs by which the origin's response to `target` may name the origin. References to them must lead to
    /// Larder.
    pub fn named_as(&self, target: &Target) -> Vec<OriginUrl> {
        let mut urls = vec![self.url.clone()];
        let heard = self.heard_as(target);
        match &self.host_mode {
            HostMode::Origin => {}
            HostMode::Named(_) => urls.push(heard),
            HostMode::Client => {
                // many servers append their own port to the host that they get
                let (host, _) = host_and_port(&target.authority);
                let authority = match host_and_port(&self.url.authority) {
                    (_, Some(port)) => format!("{host}:{port}"),
                    (_, None) => host.to_owned(),
                };
                let own_port = self.url.with_authority(authority);
                // a reference that the client can follow as it is stays as it is
                if heard.scheme() != target.scheme || !heard.base.is_empty() || !heard.prefix.is_empty() {
                    urls.push(heard);
                }
                if own_port.authority != target.authority {
                    urls.push(own_port);
                }
            }
        }
        urls
    }
}

/// How closely the hosts of a site name a host. `None`: they do not.
fn closeness(hosts: &[String], authority: &str, scheme: Scheme) -> Option<usize> {
    if hosts.is_empty() {
        return Some(0);
    }
    // a longer name is a closer one, and an exact one the closest
    let close = |host: &String| match host.starts_with("*.") {
        true => host.len(),
        false => usize::MAX,
    };
    hosts.iter().filter(|host| covers(host, authority, scheme)).map(close).max()
}

/// Returns the place of the site that answers requests for this target: the one whose hosts are closest, and among them
/// the one with the longest prefix. `sites` are the hosts of each site, and its prefix.
pub fn choose<'a>(sites: impl Iterator<Item = (&'a [String], &'a str)>, target: &Target) -> Option<usize> {
    let fitting = sites.enumerate().filter_map(|(nth, (hosts, prefix))| {
        let closeness = closeness(hosts, &target.authority, target.scheme)?;
        is_below(&target.path_and_query, prefix).then_some((closeness, prefix.len(), nth))
    });
    fitting.max_by_key(|(closeness, prefix, _)| (*closeness, *prefix)).map(|(.., nth)| nth)
}
