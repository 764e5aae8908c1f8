//! Space that is given back, and what must not go with it.

use std::{collections::VecDeque, os::unix::fs::MetadataExt, sync::atomic::Ordering::Relaxed};

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::support::*;
use crate::{
    clock::Timestamp,
    store::{Options, Store, StoredBody, stats_of, writer::Command},
};

#[test]
fn the_variants_of_an_invalidated_url_give_their_space_back() {
    run(async {
        let folder = folder();
        let store = open(disk_only(folder.path())).await;
        for language in ["de", "fr", "en"] {
            let mut stored = variant("page", language, 1);
            stored.body = StoredBody::Disk(fill(&store, language, 1_000_000).await.expect("filled"));
            store.put(key("page"), stored, store.epoch());
        }
        store.flush().await;
        assert_eq!(store.stats().responses, 3);
        let before = du(folder.path());
        store.invalidate(&key("page"));
        store.flush().await;
        assert_eq!(store.stats().responses, 0);
        // by no sweep, which comes hours later
        removed(&store).await;
        assert!(du(folder.path()) < before - 2_900_000, "{before} bytes before, {} after", du(folder.path()));
    });
}

#[test]
fn an_invalidation_that_was_waited_for_is_on_the_disk() {
    run(async {
        let folder = folder();
        let options = disk_only(folder.path());
        let store = open(options.clone()).await;
        put(&store, "kept", 3_000);
        put(&store, "forgotten", 3_000);
        store.flush().await;
        store.invalidate_durably(&[key("forgotten")], None).await;
        // as it would be found after a crash now: nothing else is written
        assert_eq!(stats_of(&options.folder).expect("readable").responses, 1);
    });
}

#[test]
fn an_invalidation_that_was_written_a_moment_ago_is_on_the_disk_when_the_next_one_was_waited_for() {
    run(async {
        let folder = folder();
        let options = disk_only(folder.path());
        let store = open(options.clone()).await;
        put(&store, "kept", 3_000);
        put(&store, "forgotten", 3_000);
        store.flush().await;
        store.invalidate(&key("forgotten"));
        while store.stats().waiting > 0 {
            beat(1).await;
        }
        store.invalidate_durably(&[key("forgotten")], None).await;
        assert_eq!(stats_of(&options.folder).expect("readable").responses, 1);
    });
}

#[test]
fn a_large_body_that_moved_to_another_generation_outlives_its_validation() {
    run(async {
        let folder = folder();
        let options = Options { disk: 16 * MIB, max_object: 4 * MIB, memory: 16 * MIB, ..options(folder.path()) };
        let store = open(options.clone()).await;
        put_large(&store, "large", 400_000).await;
        store.flush().await;
        let held = found(&store, "large").await.expect("found");
        let home = || body_files(&options.folder);
        let before = home();
        // asked for again and again while others run through: it is copied out of what is dropped
        for number in 0..2_000 {
            put(&store, &format!("cold {number}"), 20_000);
            store.lookup(&key("large")).await;
            if number % 20 == 0 {
                store.flush().await;
            }
            if home() != before && number > 500 {
                break;
            }
        }
        assert_ne!(home(), before, "it was to be copied");
        let mut head = held.head.clone();
        head.response_time = Timestamp(5_000);
        store.freshen(key("large"), &held, head, store.epoch());
        store.close().await;
        let store = open(options.clone()).await;
        assert_eq!(served(&store, "large").await, Some(content("large", 400_000)));
        assert_eq!(found(&store, "large").await.expect("found").head.response_time, Timestamp(5_000));
    });
}

#[test]
fn what_made_room_gives_its_room_back_though_memory_knew_of_it() {
    run(async {
        let folder = folder();
        let options = Options { disk: 24 * MIB, max_object: 6 * MIB, memory: 64 * MIB, ..options(folder.path()) };
        let store = open(options.clone()).await;
        for number in 0..40 {
            let name = format!("large {number}");
            put_large(&store, &name, 2_000_000).await;
            store.flush().await;
        }
        assert!(store.stats().evicted > 20);
        let gone = std::fs::read_dir("/proc/self/fd").expect("descriptors").flatten().filter_map(|entry| {
            let name = std::fs::read_link(entry.path()).ok()?;
            let ours = name.starts_with(&options.folder) && name.to_string_lossy().ends_with("(deleted)");
            ours.then(|| std::fs::metadata(entry.path()).map_or(0, |about| about.blocks() * 512))
        });
        let held: u64 = gone.sum();
        assert!(held < 4 * MIB, "{held} bytes of files that are gone are held open");
    });
}

#[test]
fn the_store_is_found_again_with_another_limit() {
    run(async {
        let folder = folder();
        let small = Options { disk: 40 * MIB, ..disk_only(folder.path()) };
        let store = open(Options { disk: 200 * MIB, ..small.clone() }).await;
        put(&store, "kept", 3_000);
        store.close().await;
        for options in [small, Options { disk: 400 * MIB, ..disk_only(folder.path()) }] {
            let store = open(options).await;
            assert_eq!(served(&store, "kept").await, Some(content("kept", 3_000)));
            assert_eq!(store.stats().set_aside, 0);
            store.close().await;
        }
    });
}

#[test]
fn a_body_whose_file_was_cleared_before_it_had_its_place_is_not_held_in_memory() {
    run(async {
        let folder = folder();
        let options = options(folder.path());
        let store = open(options.clone()).await;
        let mut large = response("large", 0);
        large.body = StoredBody::Disk(fill(&store, "large", 400_000).await.expect("filled"));
        for file in std::fs::read_dir(options.folder.join("filling")).expect("a folder").flatten() {
            std::fs::remove_file(file.path()).expect("removed");
        }
        store.put(key("large"), large, store.epoch());
        store.flush().await;
        assert!(found(&store, "large").await.is_none(), "an open file keeps its room on the disk");
    });
}

#[test]
fn a_smaller_limit_holds_from_the_opening_on_though_nothing_is_stored() {
    run(async {
        let folder = folder();
        let options = Options { disk: 80 * MIB, ..disk_only(folder.path()) };
        let store = open(options.clone()).await;
        for number in 0..300 {
            put(&store, &format!("small {number}"), 100_000);
            if number % 10 == 0 {
                put_large(&store, &format!("large {number}"), 500_000).await;
                store.flush().await;
            }
        }
        store.close().await;
        let before = du(&options.folder);
        assert!(before > 40 * MIB, "{before}");
        let store = open(Options { disk: 16 * MIB, ..options.clone() }).await;
        let mut beats = 0..5_000;
        while du(&options.folder).max(store.stats().disk_used) > 16 * MIB {
            assert!(beats.next().is_some(), "{} bytes: {:?}", du(&options.folder), store.stats());
            beat(1).await;
        }
        let stats = store.stats();
        assert!(stats.evicted > 0 && stats.responses > 0, "{stats:?}");
    });
}

#[test]
fn a_record_that_is_replaced_is_read_only_where_its_body_has_a_file_or_may_be_the_same() {
    run(async {
        let folder = folder();
        let store = open(disk_only(folder.path())).await;
        let reads = || {
            let generations = store.0.shared.catalog.generations();
            generations.iter().map(|generation| generation.database.reads.load(Relaxed)).sum::<u64>()
        };
        for (before, after, count) in [
            (100, 120, 0),
            (100, 100_000, 0),
            (150_000, 100, 0),
            (150_000, 3_000, 0),
            (3_000, 100, 0),
            // it may be the same body once more
            (3_000, 3_000, 1),
            // the file of its body goes with it
            (400_000, 100, 1),
        ] {
            if before > 256 * 1024 {
                put_large(&store, "a", before).await;
            } else {
                put(&store, "a", before);
            }
            store.flush().await;
            let read = reads();
            put(&store, "a", after);
            store.flush().await;
            assert_eq!(reads() - read, count, "{after} bytes in place of {before}");
            store.invalidate(&key("a"));
            store.flush().await;
            assert_eq!(reads() - read, count, "{after} bytes forgotten");
        }
        removed(&store).await;
        assert_eq!(body_files(&store.0.shared.options.folder).len(), 0);
    });
}

#[test]
fn a_generation_that_is_full_stays_open() {
    run(async {
        let folder = folder();
        let store = open(Options { memory: 64 * MIB, disk: 32 * MIB, ..options(folder.path()) }).await;
        let generation = |number| store.0.shared.catalog.generation(number);
        let first = generation(1).expect("the first one");
        for number in 0.. {
            put(&store, &number.to_string(), 3_000);
            if number % 100 == 99 {
                store.flush().await;
            }
            if generation(2).is_some() {
                break;
            }
        }
        assert!(first.may_leave(), "it is full");
        // one that was closed, or opened anew, holds none
        assert!(first.database.pages() > 0);
        assert!(std::sync::Arc::ptr_eq(&first, &generation(1).expect("the first one")));
    });
}

/// Stores so many responses on the disk.
async fn put_many(store: &Store, count: usize, length: usize) {
    for number in 0..count {
        put(store, &number.to_string(), length);
        if number % 20 == 19 {
            store.flush().await;
        }
    }
}

#[test]
fn what_is_invalidated_at_the_same_time_is_made_durable_together_and_no_database_is_synced_for_it() {
    run(async {
        let folder = folder();
        let store = open(disk_only(folder.path())).await;
        put_many(&store, 200, 300).await;
        let shared = &store.0.shared;
        let databases = || -> u64 {
            shared.catalog.generations().iter().map(|generation| generation.database.syncs.load(Relaxed)).sum()
        };
        let (before, before_databases) = (shared.counters.syncs.load(Relaxed), databases());
        let keys: Vec<_> = (0..200).map(|number| [key(&number.to_string())]).collect();
        join_all(keys.iter().map(|key| store.invalidate_durably(key, None))).await;
        let syncs = shared.counters.syncs.load(Relaxed) - before;
        assert!((1..100).contains(&syncs), "{syncs} for 200");
        assert_eq!(databases(), before_databases, "only the journal is written to");
        assert_eq!(stats_of(&shared.options.folder).expect("readable").responses, 0);
    });
}

#[test]
fn what_is_due_is_done_though_commands_never_end() {
    run(async {
        let folder = folder();
        let store = open(disk_only(folder.path())).await;
        put_many(&store, 50, 300).await;
        put(&store, "new", 300);
        let mut sweeps = VecDeque::new();
        let mut commands = 0;
        while store.0.shared.catalog.entry(&key("new")).is_none() {
            let (reply, done) = oneshot::channel();
            assert!(store.0.commands.send(Command::Sweep(reply)).is_ok());
            sweeps.push_back(done);
            commands += 1;
            assert!(commands < 5_000, "it is not written");
            if sweeps.len() > 200 {
                let _ = sweeps.pop_front().expect("a sweep").await;
            }
        }
    });
}

#[test]
fn room_is_made_for_a_large_body_when_its_length_is_known_and_before_a_byte_has_come() {
    run(async {
        let folder = folder();
        let store = open(Options { disk: 64 * MIB, ..disk_only(folder.path()) }).await;
        // not tight yet
        put_many(&store, 500, 100_000).await;
        assert_eq!((store.stats().evicted, store.stats().responses), (0, 500));
        let _body = store.begin_body(Some(12 * MIB)).expect("room for it");
        for beats in 0.. {
            if store.stats().evicted > 0 {
                break;
            }
            assert!(beats < 500, "no room is made: {:?}", store.stats());
            beat(10).await;
        }
    });
}
