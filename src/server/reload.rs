//! Takes over new settings while Larder runs: all of them or none.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;

use super::{service, sites::plan};
use crate::{
    client,
    config::{self, Config, Site},
    descriptors, logging,
    policy::DigestKey,
    proxy::{Plan, SitePlan},
    rules::RuleSpec,
    store,
};

/// Replaces the sites and the hosts that are served.
pub struct Reloader {
    plan: Arc<ArcSwap<Plan>>,
    secret: DigestKey,
    /// The settings that are in force, before the open files were shared out. One reload at a time changes them.
    running: Mutex<Config>,
    /// Reads the settings once more.
    source: Box<Source>,
}

/// Reads the settings once more. The error lists what is wrong with them.
pub type Source = dyn Fn() -> Result<Config, String> + Send + Sync;

impl Reloader {
    pub(super) fn new(config: Config, plan: Arc<ArcSwap<Plan>>, secret: DigestKey, source: Box<Source>) -> Reloader {
        Reloader { plan, secret, running: Mutex::new(config), source }
    }

    /// Returns the sites that are served now.
    pub(super) fn plan(&self) -> Arc<Plan> {
        self.plan.load_full()
    }

    /// Reads the settings once more, and takes them over. Says what has changed, or why nothing has.
    pub fn read_and_reload(&self) -> Result<Changes, String> {
        service::notify_reloading();
        let reloaded = (self.source)().and_then(|config| self.reload(config));
        service::notify_ready();
        match &reloaded {
            Ok(changes) => log::info!("reloaded: {changes}"),
            Err(problem) => problem.lines().for_each(|line| log::error!("not reloaded: {line}")),
        }
        reloaded
    }

    /// Takes over the settings, and returns what is different. A request that has begun keeps the settings that it began
    /// with. The error says why nothing has changed.
    pub fn reload(&self, config: Config) -> Result<Changes, String> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let fixed = restart_needed(&running, &config);
        if !fixed.is_empty() {
            let keys = fixed.join(", ");
            return Err(format!("{keys}: a change needs a restart of Larder; nothing has changed"));
        }
        let mut shared_out = config.clone();
        descriptors::share_out(&mut shared_out);
        let before = self.plan.load();
        let plan = plan(&shared_out, &self.secret, Some(&before))?;
        let changes = Changes { sites_renamed: renamed(&before, &plan), ..Changes::between(&running, &config) };
        self.plan.store(Arc::new(plan));
        logging::set_level(config.log.verbose, config.log.quiet);
        *running = config;
        Ok(changes)
    }
}

/// Returns the settings that differ and cannot change while Larder runs, by the names of the file. Every field is named
/// here, so that a new one is not forgotten.
fn restart_needed(old: &Config, new: &Config) -> Vec<&'static str> {
    let Config { listen, allow_hosts: _, log, store, client, sites, rules: _, warnings: _ } = old;
    let config::Listen { host, port } = listen;
    let config::Log { verbose, quiet } = log;
    let store::Options { folder, memory, disk, max_object } = store;
    let mut keys = Vec::new();
    let mut compare = |key: &'static str, differs: bool| keys.extend(differs.then_some(key));
    compare("host", *host != new.listen.host);
    compare("port", *port != new.listen.port);
    compare("verbose", *verbose != new.log.verbose && !logging::level_changes());
    compare("quiet", *quiet != new.log.quiet && !logging::level_changes());
    let folder_key = match sites[0].origin == new.sites[0].origin {
        true => "cache-dir",
        false => "cache-dir (the default one depends on origin)",
    };
    compare(folder_key, *folder != new.store.folder);
    compare("memory", *memory != new.store.memory);
    compare("disk", *disk != new.store.disk);
    compare("max-object", *max_object != new.store.max_object);
    let client::Options {
        workers,
        signals: _,
        shutdown_timeout,
        head_timeout,
        keep_alive,
        body_timeout,
        min_rate,
        min_rate_grace: _,
        ahead_pause: _,
        write_timeout,
        max_age,
        max_requests,
        max_head,
        max_fields,
        max_target,
        max_method,
        max_chunk_extension,
        max_chunk_extensions,
        max_trailer,
        drain_limit,
        drain_timeout,
        max_connections,
        max_connections_per_address,
        trusted_proxies,
        // of the command line alone
        direct: _,
        on_refusal: _,
        counters: _,
    } = client;
    let new = &new.client;
    compare("workers", *workers != new.workers);
    compare("shutdown-timeout", *shutdown_timeout != new.shutdown_timeout);
    compare("head-timeout", *head_timeout != new.head_timeout);
    compare("keep-alive", *keep_alive != new.keep_alive);
    compare("body-timeout", *body_timeout != new.body_timeout);
    compare("min-rate", *min_rate != new.min_rate);
    compare("write-timeout", *write_timeout != new.write_timeout);
    compare("max-connection-age", *max_age != new.max_age);
    compare("max-connection-requests", *max_requests != new.max_requests);
    compare("max-head", *max_head != new.max_head);
    compare("max-fields", *max_fields != new.max_fields);
    compare("max-target", *max_target != new.max_target);
    compare("max-method", *max_method != new.max_method);
    compare("max-chunk-extension", *max_chunk_extension != new.max_chunk_extension);
    compare("max-chunk-extensions", *max_chunk_extensions != new.max_chunk_extensions);
    compare("max-trailer", *max_trailer != new.max_trailer);
    compare("drain-limit", *drain_limit != new.drain_limit);
    compare("drain-timeout", *drain_timeout != new.drain_timeout);
    compare("max-connections", *max_connections != new.max_connections);
    compare("max-connections-per-address", *max_connections_per_address != new.max_connections_per_address);
    compare("trusted-proxy", *trusted_proxies != new.trusted_proxies);
    keys
}

/// What is different after a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    sites_added: usize,
    sites_removed: usize,
    /// Sites of the same hosts and path with another origin or other settings.
    sites_changed: usize,
    /// See [`renamed`].
    sites_renamed: usize,
    rules_added: usize,
    rules_removed: usize,
    rules_changed: usize,
    /// The changed rules, the added and the removed ones whose key settings are no longer the same.
    keys_changed: usize,
    hosts_changed: bool,
    log_changed: bool,
}

impl Changes {
    fn between(old: &Config, new: &Config) -> Changes {
        let (hosts_changed, log_changed) = (old.allow_hosts != new.allow_hosts, old.log != new.log);
        let mut changes = Changes { hosts_changed, log_changed, ..Changes::default() };
        let place = |site: &Site| (site.hosts.clone(), site.path.clone());
        let mut before: HashMap<_, &Site> = old.sites.iter().map(|site| (place(site), site)).collect();
        for site in &new.sites {
            match before.remove(&place(site)) {
                None => changes.sites_added += 1,
                Some(known) => {
                    changes.sites_changed += usize::from(!is_same(known, site));
                    changes.compare_rules(known.rules.specs(), site.rules.specs());
                }
            }
        }
        changes.sites_removed = before.len();
        changes
    }

    fn compare_rules(&mut self, old: &[RuleSpec], new: &[RuleSpec]) {
        let mut before: HashMap<&str, &RuleSpec> = old.iter().map(|spec| (&*spec.name, spec)).collect();
        for spec in new {
            match before.remove(&*spec.name) {
                None => {
                    self.rules_added += 1;
                    self.keys_changed += usize::from(spec.set.change_key());
                }
                Some(known) if known != spec => {
                    self.rules_changed += 1;
                    let is_of_key = known.set.change_key() || spec.set.change_key();
                    let differs = !known.set.same_key(&spec.set) || known.when != spec.when;
                    self.keys_changed += usize::from(is_of_key && differs);
                }
                Some(_) => {}
            }
        }
        self.rules_removed += before.len();
        self.keys_changed += before.values().filter(|spec| spec.set.change_key()).count();
    }
}

/// Returns the number of sites that have other names in keys than before, although their origins have the same.
fn renamed(before: &Plan, after: &Plan) -> usize {
    let without = |sites: &[SitePlan], others: &[SitePlan]| {
        let is_gone = |site: &&SitePlan| {
            let mut same_origin = others.iter().filter(|other| other.url == site.url).peekable();
            same_origin.peek().is_some() && same_origin.all(|other| other.policy.site != site.policy.site)
        };
        sites.iter().filter(is_gone).count()
    };
    without(&before.sites, &after.sites).min(without(&after.sites, &before.sites))
}

/// Returns true if two sites differ at most in their rules.
fn is_same(one: &Site, other: &Site) -> bool {
    let Site { hosts: _, path: _, origin, host_mode, forward_client, origin_client, policy, rules: _ } = one;
    *origin == other.origin
        && *host_mode == other.host_mode
        && *forward_client == other.forward_client
        && *origin_client == other.origin_client
        && format!("{policy:?}") == format!("{:?}", other.policy)
}

/// As people read it: `1 rule added, 2 changed; key settings of 1 rule changed: what it had stored is not found any more`.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |thing: &str, counts: [(usize, &str); 3]| {
            let mut words = Vec::new();
            for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
                let plural = if count == 1 { "" } else { "s" };
                words.push(match words.is_empty() {
                    true => format!("{count} {thing}{plural} {what}"),
                    false => format!("{count} {what}"),
                });
            }
            words.join(", ")
        };
        let sites = [(self.sites_added, "added"), (self.sites_removed, "removed"), (self.sites_changed, "changed")];
        let rules = [(self.rules_added, "added"), (self.rules_removed, "removed"), (self.rules_changed, "changed")];
        let keys = match self.keys_changed {
            0 => String::new(),
            1 => "key settings of 1 rule changed: what it had stored is not found any more".to_owned(),
            several => format!("key settings of {several} rules changed: what they had stored is not found any more"),
        };
        let names = match self.sites_renamed {
            0 => String::new(),
            count => format!(
                "keys of {count} {} changed, since the sites of one origin are told apart by their hosts: what was stored \
                 is not found any more, and is evicted in time",
                if count == 1 { "site" } else { "sites" }
            ),
        };
        let hosts = if self.hosts_changed { "the hosts that are served changed".to_owned() } else { String::new() };
        let log = if self.log_changed { "the log level changed".to_owned() } else { String::new() };
        let parts = [counted("site", sites), counted("rule", rules), hosts, log, keys, names];
        let said: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        match said.is_empty() {
            true => f.write_str("nothing has changed"),
            false => f.write_str(&said.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reload_has_changed_is_told_in_words() {
        for (changes, words) in [
            (Changes::default(), "nothing has changed"),
            (
                Changes { rules_added: 1, rules_changed: 2, keys_changed: 1, ..Changes::default() },
                "1 rule added, 2 changed; key settings of 1 rule changed: what it had stored is not found any more",
            ),
            (
                Changes { sites_added: 2, sites_removed: 1, hosts_changed: true, ..Changes::default() },
                "2 sites added, 1 removed; the hosts that are served changed",
            ),
        ] {
            assert_eq!(changes.to_string(), words);
        }
    }
}
