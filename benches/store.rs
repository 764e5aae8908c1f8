//! What the store costs, by size of the body: putting (until it is on the disk), finding on disk, finding in memory.
//!
//!     cargo bench --bench store
//!
//! From which size on a body leaves sled (`INLINE`), measured with benches/opening.rs on the 2-core machine of the design,
//! 100,000 responses (30,000 of 4 KiB), a record of about 320 bytes each, body in sled against body in a segment:
//!
//! | body | CPU of a put, us | bytes on disk | bytes written | first hit after SIGKILL, ms |
//! |---|---|---|---|---|
//! | 512 B | 36 / 32 | 1,656 / 1,324 | 4,846 / 2,629 | 106 / 79 |
//! | 1 KiB | 44 / 35 | 2,531 / 1,851 | 7,184 / - | 119 / 80 |
//! | 2 KiB | 53 / 41 | 4,419 / 2,875 | 11,779 / 4,124 | 154 / 92 |
//! | 4 KiB | 54 / 36 | 8,613 / 4,943 | 20,761 / 5,970 | 94 / 54 |

use std::{cell::Cell, hint::black_box, path::Path};

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use larder::{
    key::CacheKey,
    store::{Options, Store, StoredResponse},
};
use tokio::runtime::{Builder, Runtime};

#[path = "../tests/larder/support/stored.rs"]
mod stored;

use stored::key;

const SIZES: [usize; 7] = [256, 1 << 10, 2 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20];

fn response(number: u64, body: &Bytes) -> StoredResponse {
    let names =
        ["date", "content-type", "cache-control", "etag", "last-modified", "server", "vary", "link", "age", "via"];
    stored::response(number, &names, body.clone())
}

fn opened(runtime: &Runtime, folder: &Path, memory: u64) -> Store {
    let options = Options { folder: folder.join("cache"), memory, disk: 4 << 30, max_object: 1 << 30 };
    let store = Store::open(options);
    runtime.block_on(store.opened());
    store
}

fn benches(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    for size in SIZES {
        let body = Bytes::from(vec![7; size]);
        let folder = tempfile::tempdir().expect("a folder");
        let store = opened(&runtime, folder.path(), 0);
        let number = Cell::new(0);
        // no more than may wait to be written
        let count = (2 << 20) / size as u64;
        let count = count.clamp(2, 100);

        let mut group = criterion.benchmark_group("store");
        group.sample_size(10).throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("put, to the disk", size), |bencher| {
            bencher.iter_batched(
                || (0..count).map(|at| response(number.get() + at, &body)).collect::<Vec<_>>(),
                |responses| {
                    number.set(number.get() + count);
                    for response in responses {
                        store.put(response.key, response, store.epoch());
                    }
                    runtime.block_on(store.flush());
                },
                BatchSize::PerIteration,
            );
        });
        group.sample_size(50).throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("find on disk", size), |bencher| {
            let mut at = 0;
            bencher.iter(|| {
                at = (at + 7_919) % number.get();
                black_box(runtime.block_on(store.lookup(&key(at))).is_some())
            });
        });
        group.finish();
        runtime.block_on(store.close());
    }
    let folder = tempfile::tempdir().expect("a folder");
    let store = opened(&runtime, folder.path(), 64 << 20);
    (0..1_000).for_each(|number| store.put(key(number), response(number, &Bytes::from(vec![7; 1024])), store.epoch()));
    let keys: Vec<CacheKey> = (0..1_000).map(key).collect();
    criterion.bench_function("find in memory", |bencher| {
        let mut keys = keys.iter().cycle();
        bencher.iter(|| black_box(store.recall(keys.next().expect("a key")).is_some()));
    });
}

criterion_group!(store, benches);
criterion_main!(store);
