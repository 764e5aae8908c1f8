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
    let url = |site: &config::Site| OriginUrl {
        https: site.origin.https,
        authority: site.origin.authority(),
        base: site.origin.base.clone(),
        prefix: site.path.clone(),
    };
    let hosts: Vec<_> = config.sites.iter().map(|site| (url(site).keyed(), &site.hosts[..])).collect();
    for (site, name) in config.sites.iter().zip(names(&hosts)) {
        let url = url(site);
        let is_same = |known: &&SitePlan| {
            known.origin.options() == &site.origin_client && known.url == url && known.hosts == site.hosts
        };
        let known = before.and_then(|before| before.sites.iter().find(is_same));
        let origin = match known {
            Some(known) => known.origin.clone(),
            None => Origin::prepare(site.origin_client.clone())?,
        };
        let keys_host = site.host_mode == HostMode::Client || site.forward_client;
        let policy =
            policy::Options { site: name.into(), digest_key: secret.clone(), keys_host, ..site.policy.clone() };
        let made = SitePlan {
            hosts: site.hosts.clone(),
            url,
            host_mode: site.host_mode.clone(),
            forward_client: site.forward_client,
            origin,
            twin: known.map_or_else(Arc::default, |known| known.twin.clone()),
            policy: Arc::new(policy),
            rules: site.rules.clone(),
            health: known.map_or_else(Arc::default, |known| known.health.clone()),
            hinted: known.map_or_else(|| Arc::new(std::sync::Once::new()), |known| known.hinted.clone()),
        };
        sites.push(made);
    }
    Ok(Plan { hosts: config.allow_hosts.clone(), sites })
}

/// Returns the names of sites in keys, from the names of their origins and their hosts. Two sites may share an origin. Then a
/// site is named by its hosts, too: it must not find what the rules of the other one let be stored.
fn names(sites: &[(String, &[String])]) -> Vec<String> {
    let name = |(origin, hosts): &(String, &[String])| {
        let is_shared = sites.iter().filter(|(other, _)| other == origin).count() > 1;
        match is_shared && !hosts.is_empty() {
            true => {
                // another order of the hosts is no other site
                let mut hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
                hosts.sort_unstable();
                format!("{origin} for {}", hosts.join(" "))
            }
            false => origin.clone(),
        }
    };
    sites.iter().map(name).collect()
}

/// Returns true if a stored response has been stale for so long that it is not worth its space. What no site serves any
/// more is judged by the first one.
pub(super) fn is_dead(plan: &Plan, head: &StoredHead, now: Timestamp) -> bool {
    let own = plan.sites.iter().find(|site| *site.policy.site == *head.line.site());
    let site = own.unwrap_or(&plan.sites[0]);
    // a rule may let it live for longer than it says itself
    freshness::is_dead(head, now.minus(site.rules.longest()), &site.policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_of_one_origin_have_names_of_their_own() {
        let hosts = |hosts: &[&str]| hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>();
        let (none, one, two) = (hosts(&[]), hosts(&["a"]), hosts(&["b", "*.c"]));
        let names = |sites: &[(&str, &Vec<String>)]| {
            names(&sites.iter().map(|(origin, hosts)| ((*origin).to_owned(), &hosts[..])).collect::<Vec<_>>())
        };
        assert_eq!(names(&[("http://x", &one), ("http://y", &two)]), ["http://x", "http://y"]);
        assert_eq!(
            names(&[("http://x", &none), ("http://x", &one), ("http://x below /p", &two), ("http://x", &two)]),
            ["http://x", "http://x for a", "http://x below /p", "http://x for *.c b"]
        );
    }
}
