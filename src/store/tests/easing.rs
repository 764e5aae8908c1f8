//! Databases that let go of the pages which they hold in memory.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use futures_util::future::join_all;

use super::support::*;
use crate::{
    clock,
    store::{Options, Store},
};

/// Responses that are stored, and lookups of them at the same time.
const STORED: u64 = 40_000;
const READERS: u64 = 16;

/// A store without a memory tier that holds more on disk than its databases may hold in memory.
async fn filled(options: Options) -> Store {
    let store = open(options.clone()).await;
    for n in 0..STORED {
        put(&store, &n.to_string(), 300);
        if n % 1_000 == 0 {
            store.flush().await;
        }
    }
    store.close().await;
    open(options).await
}

/// The times of random lookups for so long, the shortest first.
async fn lookups(store: &Store, random: &mut Random, slice: Duration) -> Vec<Duration> {
    let ends = clock::instant() + slice;
    let reader = |mut at: u64| async move {
        let mut times = Vec::new();
        loop {
            let began: Instant = clock::instant();
            if began > ends {
                return times;
            }
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            assert!(found(store, &((at >> 33) % STORED).to_string()).await.is_some());
            times.push(began.elapsed());
        }
    };
    let readers: Vec<_> = (0..READERS).map(|_| reader(random.below(u64::MAX))).collect();
    let mut times = join_all(readers).await.concat();
    times.sort_unstable();
    times
}

#[test]
#[ignore = "a figure: nice cargo test --release --lib a_lookup_takes -- --ignored --nocapture"]
fn a_lookup_takes_about_as_long_where_databases_let_go_of_their_pages() {
    let mut random = Random::seeded();
    run(async {
        let folder = folder();
        let store = filled(disk_only(folder.path())).await;
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for n in 0..12 {
            // where this is set nobody asks for it
            store.0.shared.easing.store(n % 2 == 0, Relaxed);
            let times = lookups(&store, &mut random, Duration::from_secs(2)).await;
            let eased = store.0.shared.counters.eased.swap(0, Relaxed);
            let at = |percent: usize| times[times.len() * percent / 1000];
            println!(
                "{} {} lookups, p50 {:?}, p99 {:?}, p99.9 {:?}, longest {:?}; pages {} KiB, eased {eased}",
                if n % 2 == 0 { "without" } else { "with   " },
                times.len(),
                at(500),
                at(990),
                at(999),
                times[times.len() - 1],
                store.0.shared.catalog.pages() >> 10,
            );
            if n % 2 == 0 { without.push(at(990)) } else { with.push(at(990)) }
        }
        let median = |times: &mut Vec<Duration>| {
            times.sort_unstable();
            times[times.len() / 2]
        };
        let (with, without) = (median(&mut with), median(&mut without));
        println!("p99 with {with:?}, without {without:?}");
        assert!(with <= without * 3 / 2, "p99 with {with:?}, without {without:?}");
    });
}
