//! Answers the control socket, and collects the numbers of `larder stats`.

use std::{net::SocketAddr, sync::Arc};

use serde_json::Value;

use super::{counters::Counters, explaining::Explainer, inventory::Inventory, reload::Reloader, tailing::tail};
use crate::{
    admin::{self, figures::Figures},
    client,
    clock::Seconds,
    config::Config,
    proxy::Directory,
    store::Store,
};

/// Opens the control socket. Without it Larder runs all the same.
pub(super) fn open(
    config: &Config,
    listening: SocketAddr,
    reloader: &Arc<Reloader>,
    explainer: Explainer,
    counted: &Arc<Counters>,
) -> Option<admin::Listening> {
    let (reloader, port, counted) = (reloader.clone(), listening.port(), counted.clone());
    let (store, shared, clock) = (explainer.store.clone(), explainer.shared.clone(), explainer.clock.clone());
    let counters = config.client.counters.clone();
    let (listening, origin) = (format!("http://{listening}"), config.sites[0].origin.url.clone());
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let handler = move |command: admin::Command, reply: &mut admin::Reply<'_>| match command {
        admin::Command::Clear => {
            let clearing = store.clear();
            // what they bring is not stored any more, so nobody may join them
            shared.forget_flights();
            let cleared = rt.block_on(clearing).map_err(|error| error.to_string())?;
            Ok(admin::clear::to_json(cleared))
        }
        admin::Command::Stats | admin::Command::StatsSince(_) => {
            let since = match command {
                admin::Command::StatsSince(seconds) => Some(Seconds(seconds)),
                _ => None,
            };
            let under_way = shared.counts.under_way();
            let (listening, origin) = (listening.clone(), origin.clone());
            let known = Figures { listening, origin, under_way, ..Figures::default() };
            stats(&store, &counters, counted.figures(known, since)).map_err(|error| error.to_string())
        }
        admin::Command::Reload => reloader.read_and_reload().map(|changes| Value::from(changes.to_string())),
        admin::Command::Ping => Ok(admin::identity()),
        command @ (admin::Command::Purge(_) | admin::Command::List(_)) => {
            let plan = reloader.plan();
            let (directory, policy) = (Directory::new(&plan, port), plan.sites[0].policy.clone());
            let inventory = Inventory { store: &store, directory, policy, clock: &clock };
            inventory.answer(&command, &mut |items| reply.send(items))
        }
        admin::Command::Tail(filter) => tail(&shared, filter.as_deref(), reply),
        admin::Command::Explain(wanted) => {
            let explained = explainer.explain(&wanted)?;
            serde_json::to_value(explained).map_err(|error| error.to_string())
        }
    };
    match admin::listen(&config.store.folder, handler) {
        Ok(listening) => Some(listening),
        Err(error) => {
            log::warn!(
                "cannot open the control socket in {}: {error}; larder stats and --clear-cache cannot reach this Larder",
                config.store.folder.display()
            );
            None
        }
    }
}

/// Puts the numbers of all parts into one object.
fn stats(store: &Store, counters: &client::Counters, figures: Figures) -> serde_json::Result<Value> {
    let mut stats = serde_json::to_value(store.stats())?;
    let Value::Object(numbers) = &mut stats else { return Ok(stats) };
    // these count lookups, and a request may look up more than once
    let mut lookups = serde_json::Map::new();
    for (old, new) in [("memory_hits", "memory"), ("disk_hits", "disk"), ("misses", "none")] {
        lookups.extend(numbers.remove(old).map(|count| (new.to_owned(), count)));
    }
    numbers.insert("lookups".to_owned(), lookups.into());
    for (name, count) in [
        ("connections", counters.connections.count()),
        ("turned_away", counters.over_connections.count() + counters.over_address.count()),
        ("requests", counters.requests.count()),
        ("refused", counters.refused.count()),
        ("panics", counters.panics.count()),
    ] {
        numbers.insert(name.to_owned(), count.into());
    }
    if let Value::Object(figures) = serde_json::to_value(figures)? {
        numbers.extend(figures);
    }
    Ok(stats)
}
