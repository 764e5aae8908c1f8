//! The sites that are served. A reload replaces all of them at once; a request keeps those that it began with.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, Once, OnceLock},
};

use arc_swap::{ArcSwap, Cache};

use super::{
    forward::OriginUrl,
    health::Health,
    host_mode::HostMode,
    secure::Secure,
    site::{Site, choose},
    steered::Book,
};
use crate::{
    message::Target,
    origin::{Origin, Prepared},
    policy,
    rules::Rules,
};

/// What all workers share of the sites.
pub struct Plan {
    /// The hosts that are served. If empty, every host is.
    pub hosts: Vec<String>,
    /// At least one.
    pub sites: Vec<SitePlan>,
}

/// What all workers share of one site.
#[derive(Clone)]
pub struct SitePlan {
    /// See [`Site::hosts`].
    pub hosts: Vec<String>,
    pub url: OriginUrl,
    pub host_mode: HostMode,
    pub forward_client: bool,
    pub origin: Prepared,
    /// The same host by https, once it was needed.
    pub twin: Arc<OnceLock<Option<Prepared>>>,
    pub policy: Arc<policy::Options>,
    pub rules: Arc<Rules>,
    pub health: Arc<Health>,
    pub hinted: Arc<Once>,
}

impl SitePlan {
    /// See [`Site::tells_client`].
    pub fn tells_client(&self) -> bool {
        self.host_mode == HostMode::Client || self.forward_client
    }
}

/// The sites of one worker.
pub struct Sites(RefCell<Kept>);

struct Kept {
    plan: Cache<Arc<ArcSwap<Plan>>, Arc<Plan>>,
    served: Rc<Served>,
}

/// The sites that a request finds.
pub struct Served {
    plan: Arc<Plan>,
    sites: Vec<Rc<Site>>,
    hosts_of_sites: Vec<String>,
}

impl Sites {
    pub fn new(plan: Arc<ArcSwap<Plan>>) -> Sites {
        let served = Rc::new(Served::new(plan.load_full(), None));
        Sites(RefCell::new(Kept { plan: Cache::new(plan), served }))
    }

    /// Returns the sites that are served now.
    pub fn served(&self) -> Rc<Served> {
        let mut kept = self.0.borrow_mut();
        let Kept { plan, served } = &mut *kept;
        let plan = plan.load();
        if !Arc::ptr_eq(plan, &served.plan) {
            *served = Rc::new(Served::new(plan.clone(), Some(served)));
        }
        served.clone()
    }
}

impl Served {
    /// `before`: the connections to an origin that is the same stay open.
    fn new(plan: Arc<Plan>, before: Option<&Served>) -> Served {
        let site = |of: &SitePlan| {
            let same = before.iter().flat_map(|before| before.plan.sites.iter().zip(&before.sites));
            let kept =
                same.filter(|(plan, _)| Arc::ptr_eq(&plan.health, &of.health)).map(|(_, site)| site.origin.clone());
            Rc::new(Site {
                hosts: of.hosts.clone(),
                name: of.url.url(),
                keyed: of.policy.site.to_string(),
                url: of.url.clone(),
                host_mode: of.host_mode.clone(),
                forward_client: of.forward_client,
                origin: kept.into_iter().next().unwrap_or_else(|| Origin::new(of.origin.clone())),
                secure: Secure::of(&of.origin, &of.twin),
                book: Book::new(of.rules.clone(), of.policy.clone()),
                health: of.health.clone(),
                hinted: of.hinted.clone(),
            })
        };
        let hosts_of_sites = plan.sites.iter().flat_map(|site| site.hosts.iter().cloned()).collect();
        Served { sites: plan.sites.iter().map(site).collect(), hosts_of_sites, plan }
    }

    /// The hosts that are served. If empty, every host is.
    pub fn hosts(&self) -> &[String] {
        &self.plan.hosts
    }

    /// The hosts of the sites, as far as they name any.
    pub fn hosts_of_sites(&self) -> &[String] {
        &self.hosts_of_sites
    }

    /// Returns the site that answers requests for this target.
    pub fn choose(&self, target: &Target) -> Option<&Rc<Site>> {
        let sites = self.sites.iter().map(|site| (&site.hosts[..], &*site.url.prefix));
        choose(sites, target).map(|nth| &self.sites[nth])
    }

    /// Returns true if a site has the host of this target, whatever its path.
    pub fn has_host(&self, target: &Target) -> bool {
        self.sites.iter().any(|site| site.serves(target))
    }
}
