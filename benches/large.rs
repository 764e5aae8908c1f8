//! What a store of many responses costs: to open it, to hold it, and to purge a part of it while it is asked. Ends with 1 if a
//! mark is missed, and names each missed mark in its last lines. The marks are meant for five million responses of 1 KiB, which
//! take 10 GB of disk for some minutes.
//!
//!     cargo bench --bench large -- 5000000
//!
//! How soon a purge is in force is judged by the median of all purges. The maximum is only shown: of some 40 purges on a busy
//! machine, the slowest one says how long the system let this thread wait.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, ExitCode, Stdio},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use larder::{
    clock::{instant, wall},
    key::{CacheKey, UrlParts},
    message::{Method, RequestLine, Scheme},
    purge::{Strength, Target},
    store::{Options, Store, StoredResponse},
};

mod process;
#[path = "../tests/larder/support/stored.rs"]
mod stored;

use process::resident;

/// What tells a child what to do, and where.
const PHASE: &str = "LARDER_BENCH_PHASE";
const FOLDER: &str = "LARDER_BENCH_FOLDER";

/// What a child says when it has filled the store, and before each mark that was missed.
const FILLED: &str = "filled";
const MISSED: &str = "missed: ";

const FILL: &str = "fill";
const KILLED: &str = "after SIGKILL";
const STOPPED: &str = "after a clean stop";

/// Bytes of a body.
const LENGTH: usize = 1024;
/// Bytes of memory and disk that are configured: five million records need more than 1 GiB.
const MEMORY: u64 = 1200 << 20;
const DISK: u64 = 40 << 30;
/// Bytes that may be resident for each response.
const RESIDENT: u64 = 200;
/// How soon a purge must be in force, by the median.
const IN_FORCE: Duration = Duration::from_millis(1);
/// So many times what nine and ninety of a hundred hits take at most, a purge may make them take.
const SLOWER: f64 = 1.5;

const SITE: &str = "http://origin";
const HOST: &str = "example.org";
/// The paths begin with one of so many prefixes.
const PREFIXES: u64 = 100;
/// Lookups that are made at the same time, and for how long.
const CLIENTS: u64 = 8;
const SPAN: Duration = Duration::from_secs(10);
/// A purge comes so often meanwhile.
const PURGE: Duration = Duration::from_millis(200);

fn path(number: u64) -> String {
    format!("/part-{}/{number}", number % PREFIXES)
}

fn key(number: u64) -> CacheKey {
    CacheKey::of(UrlParts {
        site: SITE,
        host_mode: "client",
        besides: None,
        method: &Method::GET,
        path_and_query: &path(number),
        client: Some((Scheme::Http, HOST)),
    })
}

/// A response that is like no other.
fn response(store: &Store, number: u64) -> StoredResponse {
    let names = ["date", "content-type", "cache-control", "etag", "last-modified", "server"];
    let mut body = vec![0; LENGTH];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut body);
    let mut response = stored::response(number, &names, body.into());
    (response.key, response.primary) = (key(number), key(number));
    let (head, now) = (&mut response.head, wall());
    head.line = RequestLine::new(SITE, Method::GET, Scheme::Http, HOST, &path(number));
    (head.position, head.request_time, head.response_time, head.received) = (store.position(now), now, now, now);
    response
}

fn opened(folder: &Path) -> Store {
    Store::open(Options { folder: folder.to_owned(), memory: MEMORY, disk: DISK, max_object: 1 << 30 })
}

async fn fill(store: &Store, count: u64) {
    store.opened().await;
    for number in 0..count {
        let response = response(store, number);
        store.put(response.key, response, store.epoch());
        if number % 4_000 == 0 {
            store.flush().await;
        }
    }
    store.flush().await;
}

/// Numbers that look random, without end.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    (1..).map(move |n: u64| (seed << 40 | n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20)
}

/// How long each of the hits took that clients had who asked at random until the end, the quickest first. Nothing of the first
/// `purged` prefixes is asked for.
async fn hits(store: &Store, count: u64, seed: u64, purged: u64, end: Instant) -> Vec<Duration> {
    let client = |client| async move {
        let mut took = Vec::new();
        let asked = numbers(seed * CLIENTS + client).map(|number| number % count);
        for number in asked.filter(|number| number % PREFIXES >= purged) {
            let began = instant();
            if began >= end {
                break;
            }
            assert!(store.lookup(&key(number)).await.is_some(), "{number} is lost: {:?}", store.stats());
            took.push(began.elapsed());
            if took.len() % 64 == 0 {
                // hits of the memory tier never wait, and the purges must get their turn
                tokio::task::yield_now().await;
            }
        }
        took
    };
    let mut took = join_all((0..CLIENTS).map(client)).await.concat();
    took.sort_unstable();
    took
}

/// The marks that were missed, each with what was measured.
#[derive(Default)]
struct Missed(Vec<String>);

impl Missed {
    /// Prints a mark and what was measured.
    fn judge(&mut self, is_met: bool, mark: &str, measured: &str) {
        println!("  mark: {mark}, measured: {measured}");
        if !is_met {
            self.0.push(format!("{mark}, measured: {measured}"));
        }
    }
}

/// How long purges took, the quickest first.
#[derive(Default)]
struct Purges {
    until_in_force: Vec<Duration>,
    until_on_disk: Vec<Duration>,
}

/// Purges one prefix after the other until the end.
async fn purges(store: &Store, end: Instant) -> Purges {
    let mut took = Purges::default();
    for purged in (0..PREFIXES / 2).take_while(|_| instant() < end) {
        let target = Target::prefix(SITE, None, &format!("/part-{purged}")).expect("a prefix");
        let began = instant();
        let mut purge = Box::pin(store.purge(target, Strength::Hard, wall()));
        // in force when it is polled for the first time, and seldom on the disk at once
        let polled = purge.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        took.until_in_force.push(began.elapsed());
        let on_disk = match polled {
            Poll::Ready(on_disk) => on_disk,
            Poll::Pending => purge.await,
        };
        on_disk.expect("purged");
        took.until_on_disk.push(began.elapsed());
        assert!(store.lookup(&key(purged)).await.is_none(), "{purged} was purged and is found");
        tokio::time::sleep(PURGE).await;
    }
    took.until_in_force.sort_unstable();
    took.until_on_disk.sort_unstable();
    took
}

fn said(what: &str, took: &[Duration]) -> Duration {
    let of = |share: usize| took[(took.len() * share / 1000).min(took.len() - 1)];
    println!(
        "  {what}: {} hits, p50 {:?}, p99 {:?}, p99.9 {:?}, {:?} at most",
        took.len(),
        of(500),
        of(990),
        of(999),
        of(1000)
    );
    of(990)
}

/// What a process of its own does. Returns the marks that were missed.
async fn child(phase: &str, folder: &Path, count: u64) -> Missed {
    let began = instant();
    let store = opened(folder);
    if phase == FILL {
        fill(&store, count).await;
        println!("{FILLED}");
        return std::future::pending().await;
    }
    store.opened().await;
    let opened = began.elapsed();
    assert!(store.lookup(&key(0)).await.is_some(), "a hit");
    let (hit, [now, most]) = (began.elapsed(), resident());
    let stored = store.stats().responses;
    println!("{phase}: {stored} responses, opened in {opened:?}, first hit after {hit:?}");
    let mut missed = Missed::default();
    missed.judge(stored == count, &format!("{count} responses"), &stored.to_string());
    let resident = format!("{}, {} at most", now / count, most / count);
    missed.judge(now / count <= RESIDENT, &format!("at most {RESIDENT} bytes resident for each"), &resident);
    if phase == STOPPED {
        purging(&store, count, &mut missed).await;
    }
    store.close().await;
    println!("  closed");
    missed
}

async fn purging(store: &Store, count: u64, missed: &mut Missed) {
    let half = PREFIXES / 2;
    said("asked for the first time", &hits(store, count, 1, half, instant() + SPAN).await);
    let before = said("before the purges", &hits(store, count, 2, half, instant() + SPAN).await);
    let end = instant() + SPAN;
    let (took, Purges { until_in_force, until_on_disk }) =
        tokio::join!(hits(store, count, 3, half, end), purges(store, end));
    let during = said("during the purges", &took);
    let after = said("after the purges", &hits(store, count, 4, half, instant() + SPAN).await);
    let (purged, of) = (until_in_force.len() as u64, count / PREFIXES);
    missed.judge(purged > 0, "at least one purge", &purged.to_string());
    let median = until_in_force.get(until_in_force.len() / 2).copied().unwrap_or_default();
    let [slowest, on_disk] = [&until_in_force, &until_on_disk].map(|took| took.last().copied().unwrap_or_default());
    println!("  {purged} prefixes purged, of {of} responses each; on the disk within {on_disk:?}");
    let mark = format!("a purge in force within {IN_FORCE:?} (median)");
    missed.judge(median <= IN_FORCE, &mark, &format!("{median:?}, {slowest:?} at most"));
    let most = before.max(after).mul_f64(SLOWER);
    missed.judge(during <= most, &format!("p99 during the purges at most {most:?}"), &format!("{during:?}"));
    let (swept, took) = tokio::join!(
        async {
            let began = instant();
            (store.sweep().await, began.elapsed())
        },
        hits(store, count, 5, half, instant() + SPAN)
    );
    said("during a sweep", &took);
    println!("  swept in {:?}, then {} bytes of disk used", swept.1, store.stats().disk_used);
    // the lookup that followed each purge has forgotten one response itself
    let dead = purged * count / PREFIXES - purged;
    missed.judge(swept.0 == dead, &format!("{dead} swept"), &swept.0.to_string());
    println!("  {} bytes resident for each that is left", resident()[0] / store.stats().responses);
}

/// Runs this program again, for one phase, and prints what it says. Returns the marks that were missed. A program that fails
/// has missed all of them.
fn run(phase: &str, folder: &Path, count: u64) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().expect("a program"));
    command.arg(count.to_string()).env(PHASE, phase).env(FOLDER, folder);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("a child");
    let said = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let (mut missed, mut is_filled) = (Vec::new(), false);
    for line in said {
        if let Some(mark) = line.strip_prefix(MISSED) {
            missed.push(format!("{phase}: {mark}"));
        } else if line == FILLED {
            is_filled = true;
            child.kill().expect("killed");
        } else {
            println!("{line}");
        }
    }
    let ended = child.wait().expect("its end");
    if !is_filled && !ended.success() {
        missed.push(format!("{phase}: it failed ({ended})"));
    }
    missed
}

fn main() -> ExitCode {
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(50_000);
    if let (Ok(phase), Some(folder)) = (std::env::var(PHASE), std::env::var_os(FOLDER)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let Missed(marks) = runtime.block_on(child(&phase, folder.as_ref(), count));
        marks.iter().for_each(|mark| println!("{MISSED}{mark}"));
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("cache");
    let began = instant();
    let mut missed = run(FILL, &folder, count);
    if missed.is_empty() {
        println!("{count} responses stored in {:?}", began.elapsed());
        missed.extend([KILLED, STOPPED].into_iter().flat_map(|phase| run(phase, &folder, count)));
    }
    missed.iter().for_each(|mark| println!("missed: {mark}"));
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
