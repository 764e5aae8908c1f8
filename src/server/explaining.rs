//! Answers `larder explain`.

use std::{rc::Rc, sync::Arc};

use arc_swap::ArcSwap;
use tokio::task::LocalSet;

use super::sites::plan;
use crate::{
    client::TrustedProxies,
    clock::Clock,
    config::Config,
    explanation::{Explanation, Wanted},
    message::FieldValue,
    policy::DigestKey,
    proxy::{self, Context, Counts, Plan, Shared, Sites},
    store::Store,
};

/// What a request is explained with.
#[derive(Clone)]
pub(super) struct Explainer {
    pub plan: Arc<ArcSwap<Plan>>,
    pub port: u16,
    pub trusted: TrustedProxies,
    /// Larder's name in Via.
    pub pseudonym: Arc<str>,
    pub store: Store,
    pub clock: Clock,
    pub shared: Arc<Shared>,
}

impl Explainer {
    pub fn new(
        config: &Config,
        port: u16,
        plan: &Arc<ArcSwap<Plan>>,
        store: &Store,
        clock: &Clock,
        shared: &Arc<Shared>,
    ) -> Explainer {
        Explainer {
            plan: plan.clone(),
            port,
            trusted: config.client.trusted_proxies.clone(),
            pseudonym: pseudonym().into(),
            store: store.clone(),
            clock: clock.clone(),
            shared: shared.clone(),
        }
    }

    /// Returns what is needed to say what a Larder with these settings and an empty cache would do.
    pub fn of_empty_cache(config: &Config) -> Result<Explainer, String> {
        let plan = Arc::new(ArcSwap::from_pointee(plan(config, &DigestKey::default(), None)?));
        let store = Store::empty(config.store.clone());
        Ok(Explainer::new(config, config.listen.port, &plan, &store, &Clock::system(), &Arc::default()))
    }

    /// Explains what would happen to a request. Blocks.
    pub fn explain(&self, wanted: &Wanted) -> Result<Explanation, String> {
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let rt = rt.map_err(|error| format!("no request can be explained now: {error}"))?;
        LocalSet::new().block_on(&rt, async { proxy::explain(self.context()?, wanted).await })
    }

    /// Returns what a worker without clients has, whose counts nobody reads.
    pub fn context(&self) -> Result<Rc<Context>, String> {
        Ok(Rc::new(Context {
            sites: Sites::new(self.plan.clone()),
            port: self.port,
            trusted: self.trusted.clone(),
            pseudonym: self.pseudonym.clone(),
            via: FieldValue::try_from(format!("1.1 {}", self.pseudonym)).map_err(|error| error.to_string())?,
            store: self.store.clone(),
            keys: Default::default(),
            clock: self.clock.clone(),
            shared: self.shared.clone(),
            counts: Counts::default().of_worker(),
        }))
    }
}

/// Returns a name for this process, so that a loop can be told from another Larder in the chain.
fn pseudonym() -> String {
    let seed = format!("{:?} {}", Clock::system().now(), std::process::id());
    format!("larder-{}", &blake3::hash(seed.as_bytes()).to_hex()[..8])
}
