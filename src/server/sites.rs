//! Makes the sites that are served out of their settings.

use std::sync::Arc;

use crate::{
    clock::Timestamp,
    config::{self, Config},
    message::StoredHead,
    origin::Origin,
    policy::{self, DigestKey, freshness},
    proxy::{HostMode, OriginUrl, Plan, SitePlan},
};

/// Returns the plan of all sites. What is the same in the plan before stays: connections, and what is known of the health
/// of an origin. Fails with the reason if an origin cannot be used.
pub(super) fn plan(config: &Config, secret: &DigestKey, before: Option<&Plan>) -> Result<Plan, String> {
    let mut sites: Vec<SitePlan> = Vec::with_capacity(config.sites.len());
    for site in &config.sites {
        let url = OriginUrl {
            https: site.origin.https,
            authority: site.origin.authority(),
            base: site.origin.base.clone(),
            prefix: site.path.clone(),
        };
        let is_same = |known: &&SitePlan| {
            known.origin.options() == &site.origin_client && known.url == url && known.hosts == site.hosts
        };
        let known = before.and_then(|before| before.sites.iter().find(is_same));
        let origin = match known {
            Some(known) => known.origin.clone(),
            None => Origin::prepare(site.origin_client.clone())?,
        };
        let policy = Arc::new(options(site, &url, secret));
        let made = SitePlan {
            hosts: site.hosts.clone(),
            url,
            host_mode: site.host_mode.clone(),
            forward_client: site.forward_client,
            origin,
            twin: known.map_or_else(Arc::default, |known| known.twin.clone()),
            policy,
            rules: site.rules.clone(),
            health: known.map_or_else(Arc::default, |known| known.health.clone()),
            hinted: known.map_or_else(|| Arc::new(std::sync::Once::new()), |known| known.hinted.clone()),
        };
        sites.push(made);
    }
    Ok(Plan { hosts: config.allow_hosts.clone(), sites })
}

fn options(site: &config::Site, url: &OriginUrl, secret: &DigestKey) -> policy::Options {
    let keys_host = site.host_mode == HostMode::Client || site.forward_client;
    policy::Options { site: url.keyed().into(), digest_key: secret.clone(), keys_host, ..site.policy.clone() }
}

/// Returns true if a stored response has been stale for so long that it is not worth its space. What no site serves any
/// more is judged by the first one.
pub(super) fn is_dead(plan: &Plan, head: &StoredHead, now: Timestamp) -> bool {
    let own = plan.sites.iter().find(|site| *site.policy.site == *head.line.site());
    let site = own.unwrap_or(&plan.sites[0]);
    // a rule may let it live for longer than it says itself
    freshness::is_dead(head, now.minus(site.rules.longest()), &site.policy)
}
