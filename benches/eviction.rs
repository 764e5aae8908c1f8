//! What is found with the store's eviction, beside an LRU cache that has room for as many bytes of responses as the store held
//! at most. Fails where more is missed on Zipf, or not clearly less where scans run through, of what can be found at all.
//!
//!     cargo bench --bench eviction

use std::process::ExitCode;

use tokio::runtime::Builder;

#[path = "../tests/larder/support/stored.rs"]
mod stored;
#[path = "../tests/larder/support/traces.rs"]
mod traces;

use traces::Trace;

/// Bytes of disk.
const ROOM: u64 = 64 << 20;
/// So many times what LRU misses is clearly less.
const CLEARLY: f64 = 0.9;
/// Bytes of bodies, how many different ones there are, and how many requests are made.
const LOADS: [((usize, usize), usize, usize); 2] =
    [((1 << 10, 1 << 10), 200_000, 300_000), ((1 << 10, 64 << 10), 40_000, 100_000)];

fn main() -> ExitCode {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut missed = false;
    println!("bodies, skew, scans: hits of LRU, of the store; misses of the store to LRU's; MiB of responses");
    for (lengths, keys, requests) in LOADS {
        for (skew, scans) in [(0.7, false), (0.9, false), (1.1, false), (0.7, true), (0.9, true), (1.1, true)] {
            let trace = Trace { keys, requests, skew, scans, lengths };
            let folder = tempfile::tempdir().expect("a folder");
            let ours = runtime.block_on(trace.in_store(folder.path(), ROOM));
            let theirs = trace.in_lru(ours.bytes);
            let ratio = (trace.most() - ours.ratio) / (trace.most() - theirs.ratio);
            missed |= ratio > if scans { CLEARLY } else { 1.0 };
            println!(
                "{} to {} B, {skew}, {scans}: {:.4}, {:.4}; {ratio:.2}; {}",
                lengths.0,
                lengths.1,
                theirs.ratio,
                ours.ratio,
                ours.bytes >> 20
            );
        }
    }
    if missed {
        println!("MISSED");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
