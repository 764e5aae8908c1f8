use super::support::*;
use crate::store::Options;

#[test]
fn stats_say_how_much_of_its_limit_each_tier_uses_and_what_was_evicted() {
    run(async {
        let folder = folder();
        let options = Options { disk: 16 * MIB, max_object: 4 * MIB, ..options(folder.path()) };
        let store = open(options.clone()).await;
        let empty = store.stats();
        assert_eq!((empty.responses, empty.bytes, empty.memory_used, empty.evicted), (0, 0, 0, 0));
        for number in 0..100 {
            put(&store, &number.to_string(), 30_000);
        }
        store.flush().await;
        let stats = store.stats();
        assert_eq!((stats.responses, stats.evicted), (100, 0));
        assert_eq!((stats.memory_limit, stats.disk_limit), (options.memory, options.disk));
        assert!((3_000_000..options.memory).contains(&stats.memory_used), "{stats:?}");
        assert!(stats.disk_used.abs_diff(du(&options.folder)) < 100_000, "{} bytes: {stats:?}", du(&options.folder));
        assert_eq!(stats.effective_disk_limit, options.disk, "the disk has more room than that");
        for number in 100..800 {
            put(&store, &number.to_string(), 30_000);
            if number % 50 == 0 {
                store.flush().await;
            }
        }
        store.close().await;
        let stats = store.stats();
        assert!(stats.evicted > 100 && stats.disk_used <= options.disk, "{stats:?}");
    });
}

/// `larder stats` prints them under these names, and scripts read them.
#[test]
fn stats_keep_their_names() {
    run(async {
        let folder = folder();
        let store = open(options(folder.path())).await;
        let stats = serde_json::to_value(store.stats()).expect("json");
        let names: Vec<&str> = stats.as_object().expect("an object").keys().map(String::as_str).collect();
        let expected = "bytes damaged disk_hits disk_limit disk_used effective_disk_limit errors evicted memory_hits \
                        memory_limit memory_used misses not_read not_written responses set_aside state swept waiting";
        assert_eq!(names, expected.split(' ').collect::<Vec<_>>());
        assert_eq!(stats["state"], "open");
    });
}
