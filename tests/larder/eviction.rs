//! What is found of a trace with the store's eviction, beside LRU with the same room. benches/eviction.rs does the same with
//! more room and other traces.

use super::support::traces::Trace;

/// Bytes of disk.
const ROOM: u64 = 16 << 20;

/// What is missed of a trace's requests that can be found, in a store of this size and with LRU.
fn missed(trace: Trace) -> [f64; 2] {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ours = runtime.block_on(trace.in_store(folder.path(), ROOM));
    let theirs = trace.in_lru(ours.bytes);
    println!("{trace:?}: {ours:?}, LRU {theirs:?}");
    [ours, theirs].map(|found| trace.most() - found.ratio)
}

#[test]
fn more_is_found_than_with_lru() {
    let [ours, theirs] =
        missed(Trace { keys: 40_000, requests: 60_000, skew: 0.8, scans: false, lengths: (1024, 1024) });
    assert!(ours <= theirs, "missed {ours:.4}, with LRU {theirs:.4}");
}

#[test]
fn clearly_more_is_found_than_with_lru_when_scans_run_through() {
    let [ours, theirs] =
        missed(Trace { keys: 40_000, requests: 60_000, skew: 0.8, scans: true, lengths: (1024, 1024) });
    assert!(ours < theirs * 0.93, "missed {ours:.4}, with LRU {theirs:.4}");
}
