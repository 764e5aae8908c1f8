//! Answers commands from the folder of a cache on which no Larder runs. Nothing is evicted or counted.

use std::{path::Path, sync::Arc};

use arc_swap::ArcSwap;
use serde_json::Value;

use super::{explaining::Explainer, inventory::Inventory, sites};
use crate::{
    admin,
    clock::Clock,
    config::Config,
    explanation::{Explanation, Wanted},
    policy::{self, DigestKey},
    proxy::{Directory, Plan, Shared},
    store::{self, OpenError, State, Store},
};

/// Answers a command about what is stored in a folder. Without settings its sites are not known, and `policy` says what is
/// fresh. `items` gets the items of the answer. Blocks.
pub fn offline(
    folder: &Path,
    config: Option<&Config>,
    policy: &policy::Options,
    command: &admin::Command,
    items: &mut dyn FnMut(Vec<admin::Item>) -> Result<(), String>,
) -> Result<Value, String> {
    let port = config.map_or(0, |config| config.listen.port);
    open(folder, config, |store, plan| {
        let (clock, policy) = (Clock::system(), Arc::new(policy.clone()));
        let directory = Directory::new(&plan, port);
        Inventory { store, directory, policy, clock: &clock }.answer(command, items)
    })
}

/// Explains what a Larder with these settings would do, from the folder of its cache. Nothing is stored. Blocks.
pub fn explain_offline(config: &Config, wanted: &Wanted) -> Result<Explanation, String> {
    let folder = &config.store.folder;
    if !store::is_cache(folder) {
        return Err(format!("there is no cache at {}, and no Larder runs on it", folder.display()));
    }
    open(folder, Some(config), |store, plan| {
        let (plan, clock, shared) =
            (Arc::new(ArcSwap::from_pointee(plan)), Clock::system(), Arc::new(Shared::default()));
        Explainer::new(config, config.listen.port, &plan, store, &clock, &shared).explain(wanted)
    })
}

/// Opens the store of a folder for `work`, and closes it. `config`: the settings, if they are known.
fn open<T>(
    folder: &Path,
    config: Option<&Config>,
    work: impl FnOnce(&Store, Plan) -> Result<T, String>,
) -> Result<T, String> {
    let words = |error: OpenError| error.to_string();
    let lock = Store::lock(folder).map_err(words)?;
    let secret = DigestKey::new(Store::secret(Some(&lock)).map_err(|error| error.to_string())?);
    let plan = match config {
        Some(config) => sites::plan(config, &secret, None)?,
        None => Plan { hosts: Vec::new(), sites: Vec::new() },
    };
    // nothing is evicted, whatever the settings of the next start are
    let disk = store::stats_of(folder).map_err(words)?.disk_used * 2 + (1 << 30);
    let (disk, max_object) = match config {
        Some(config) => (disk.max(config.store.disk), config.store.max_object),
        None => (disk, disk / 4),
    };
    let options = store::Options { folder: folder.to_owned(), memory: store::LEAST_MEMORY, disk, max_object };
    let store = Store::open_with(options, |_| false, Some(lock));
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    rt.block_on(store.opened());
    let answer = match store.stats().state {
        State::Open => work(&store, plan),
        State::Down(why) => Err(why),
        _ => Err("the cache cannot be opened".to_owned()),
    };
    rt.block_on(store.close());
    answer
}
