//! Answers the control socket, and collects the numbers of `larder stats`.

use std::{net::SocketAddr, sync::Arc};

use serde_json::Value;

use super::{explaining::Explainer, reload::Reloader, tailing::tail};
use crate::{
    admin::{
        self,
        figures::{Answers, Figures, Times},
    },
    client::Counters,
    config::Config,
    policy::Reason,
    proxy::{Kind, Total},
    store::Store,
};

/// Opens the control socket. Without it Larder runs all the same.
pub(super) fn open(
    config: &Config,
    listening: SocketAddr,
    reloader: &Arc<Reloader>,
    explainer: Explainer,
) -> Option<admin::Listening> {
    let reloader = reloader.clone();
    let (store, shared) = (explainer.store.clone(), explainer.shared.clone());
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
        admin::Command::Stats => {
            let under_way = shared.counts.under_way();
            let (listening, origin) = (listening.clone(), origin.clone());
            let known = Figures { listening, origin, under_way, ..Figures::default() };
            stats(&store, &counters, figures(known, &shared.counts.total())).map_err(|error| error.to_string())
        }
        admin::Command::Reload => reloader.read_and_reload().map(|changes| Value::from(changes.to_string())),
        admin::Command::Ping => Ok(admin::identity()),
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
fn stats(store: &Store, counters: &Counters, figures: Figures) -> serde_json::Result<Value> {
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

/// Translates the counts of answers.
fn figures(known: Figures, total: &Total) -> Figures {
    let times = |times: &crate::proxy::Times| Times::new(times.count(), times.quantile(0.5), times.quantile(0.95));
    let answers = |kind: &Kind| {
        let reasons = &total.outcomes[*kind as usize];
        // an outcome without an answer has no reason
        let has_reason = !matches!(kind, Kind::Left | Kind::Lost);
        let occurred = Reason::ALL.iter().zip(reasons).filter(|(_, count)| has_reason && **count > 0);
        Answers {
            requests: reasons.iter().sum(),
            bytes: total.bytes[*kind as usize],
            reasons: occurred.map(|(reason, count)| (reason.name(), *count)).collect(),
        }
    };
    Figures {
        running_seconds: total.running.as_secs(),
        hit_time: times(&total.hits),
        origin_time: times(&total.origin),
        answers: Kind::ALL.iter().map(|kind| (kind.name().to_owned(), answers(kind))).collect(),
        ..known
    }
    .derive(total.unasked)
}
