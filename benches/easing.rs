//! What a lookup on the disk takes while databases let go of their pages, beside the same without that, by turns in one run.
//! Fails where the slowest of a hundred take more than half as long again, in the median of the slices.
//!
//!     cargo bench --bench easing

use std::{
    hash::{BuildHasher, RandomState},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use larder::{
    clock::instant,
    store::{Options, Slot, Store},
};
use tokio::runtime::Builder;

#[path = "../tests/larder/support/stored.rs"]
mod stored;

/// Responses that are stored: with the least memory, more than the databases may hold.
const STORED: u64 = 40_000;
/// Lookups at the same time.
const READERS: usize = 16;
/// Slices of time, by turns without and with.
const SLICES: usize = 20;
const SLICE: Duration = Duration::from_millis(1_500);
/// Lookups that are not counted, before each slice: until databases hold what they hold while this goes on.
const SETTLES: Duration = Duration::from_millis(500);
/// So many times what 99 of 100 lookups take at most, letting go may make them take.
const SLOWER: f64 = 1.5;

/// Returns a store without a memory tier, as it is after a restart.
async fn filled(folder: &Path) -> Store {
    let options = || Options { folder: folder.to_owned(), memory: 0, disk: 256 << 20, max_object: 1 << 20 };
    let store = opened(options()).await;
    let body = Bytes::from(vec![7; 300]);
    for n in 0..STORED {
        let response = stored::response(n, &["date", "content-type", "cache-control", "etag"], body.clone());
        store.put(stored::key(n), response, store.epoch());
        if n % 1_000 == 0 {
            store.flush().await;
        }
    }
    store.close().await;
    opened(options()).await
}

async fn opened(options: Options) -> Store {
    let store = Store::open(options);
    store.opened().await;
    store
}

/// Returns the times of random lookups for so long, the shortest first.
async fn lookups(store: &Store, goes_on: Duration) -> Vec<Duration> {
    let ends = instant() + goes_on;
    let reader = |mut at: u64| async move {
        let mut times = Vec::new();
        loop {
            let began = instant();
            if began > ends {
                return times;
            }
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let found = store.lookup(&stored::key((at >> 33) % STORED)).await;
            assert!(matches!(found, Some(Slot::Response(_))), "it is stored");
            times.push(began.elapsed());
        }
    };
    let mut times = join_all((0..READERS).map(|n| reader(RandomState::new().hash_one(n)))).await.concat();
    times.sort_unstable();
    times
}

async fn compare() -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let store = filled(&folder.path().join("cache")).await;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for n in 0..SLICES {
        let keeps = n % 2 == 0;
        store.keep_pages(keeps);
        lookups(&store, SETTLES).await;
        store.keep_pages(keeps);
        let times = lookups(&store, SLICE).await;
        let opened = store.keep_pages(keeps);
        let at = |per_mille: usize| times[(times.len() - 1) * per_mille / 1_000];
        println!(
            "{} {} lookups, p50 {:?}, p99 {:?}, longest {:?}; {opened} times a database was opened anew",
            if keeps { "without" } else { "with   " },
            times.len(),
            at(500),
            at(990),
            at(1_000),
        );
        assert!(keeps || opened > 0, "nothing was opened anew: this compares nothing");
        if keeps { &mut without } else { &mut with }.push(at(990));
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    };
    let ratio = median(&mut with) / median(&mut without);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("p99 with, to p99 without: {ratio:.2} (at most {SLOWER}); load {}", load.trim_end());
    store.close().await;
    ratio > SLOWER
}

fn main() -> ExitCode {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    if runtime.block_on(compare()) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
