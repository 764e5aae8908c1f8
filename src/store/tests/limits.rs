use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::*},
    },
    thread::JoinHandle,
};

use super::support::*;
use crate::store::{
    Options, Slot, State, Store, StoreError, StoredBody, budget::Budget, format::print::Print, stats_of,
    tiers::variants::MOST,
};

/// Watches from a thread of its own how much the folder occupies at most.
struct Watch {
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Watch {
    fn over(options: &Options) -> Watch {
        let (most, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (most, stop, folder) = (most.clone(), stop.clone(), options.folder.clone());
            move || {
                while !stop.load(Acquire) {
                    most.fetch_max(du(&folder), Relaxed);
                    std::thread::yield_now();
                }
            }
        });
        Watch { most, stop, thread }
    }

    fn most(self) -> u64 {
        self.stop.store(true, Release);
        self.thread.join().expect("the watching thread");
        self.most.load(Relaxed)
    }
}

fn with_disk(folder: &std::path::Path, disk: u64) -> Options {
    Options { disk, max_object: disk / 4, ..disk_only(folder) }
}

/// Puts new responses of this size until so many bytes went through.
async fn load(store: &Store, length: usize, bytes: u64) -> u64 {
    let count = bytes / length as u64;
    for number in 0..count {
        put(store, &format!("{length}-{number}"), length);
        if store.stats().waiting > 2 * MIB {
            store.flush().await;
        }
    }
    store.flush().await;
    count
}

#[test]
fn the_folder_keeps_its_limit_while_ten_times_as_much_goes_through() {
    run(async {
        for (disk, lengths) in [(8 * MIB, &[1_800, 60_000][..]), (24 * MIB, &[9_000, 900_000])] {
            for length in lengths {
                let folder = folder();
                let options = with_disk(folder.path(), disk);
                let store = open(options.clone()).await;
                let watch = Watch::over(&options);
                let count = load(&store, *length, disk * 10).await;
                let most = watch.most();
                let stats = store.stats();
                println!("{disk} {length}: at most {most}, {stats:?}");
                assert!(most <= disk + disk / 20, "{length} bytes each: {most} of {disk}");
                assert!(stats.disk_used <= disk + disk / 20);
                assert!(stats.bytes > disk / 4, "{length} bytes each: {} bytes of {disk} are used well", stats.bytes);
                assert!(stats.evicted > 0);
                let last = format!("{length}-{}", count - 1);
                assert_eq!(served(&store, &last).await, Some(content(&last, *length)));
                assert!(store.lookup(&key(&format!("{length}-0"))).await.is_none());
                store.close().await;
                // making room goes on behind, until it is closed
                let closed = store.stats();
                let held = stats_of(&options.folder).expect("readable").responses;
                assert!(held > stats.responses / 2, "{held} of {}", stats.responses);
                assert_eq!((held + closed.evicted, closed.not_written), (count, 0), "each is held or was evicted");
                let store = open(options.clone()).await;
                // what was over the limit when it was closed makes room when it is opened
                let opened = store.stats();
                assert_eq!(opened.responses + opened.evicted, held, "each is there or was evicted");
                assert!(opened.responses > held / 2, "{} of {held}", opened.responses);
                assert_eq!(served(&store, &last).await, Some(content(&last, *length)));
            }
        }
    });
}

#[test]
fn streamed_bodies_keep_the_limit_too_and_wait_for_room() {
    run(async {
        let folder = folder();
        let options = with_disk(folder.path(), 24 * MIB);
        let store = open(options.clone()).await;
        let watch = Watch::over(&options);
        for number in 0..100 {
            let name = number.to_string();
            let mut stored = response(&name, 0);
            stored.body = StoredBody::Disk(fill(&store, &name, 2_400_000).await.expect("room was made"));
            store.put(key(&name), stored, store.epoch());
            if number % 10 == 0 {
                store.flush().await;
            }
        }
        store.flush().await;
        let most = watch.most();
        assert!(most <= options.disk + options.disk / 20, "{most}");
        assert_eq!(served(&store, "99").await, Some(content("99", 2_400_000)));
        assert!(matches!(fill(&store, "too large", 7 << 20).await, Err(StoreError::TooLarge)));
        assert_eq!(served(&store, "99").await, Some(content("99", 2_400_000)));
    });
}

#[test]
fn what_is_asked_for_again_and_again_survives_what_is_not() {
    run(async {
        let folder = folder();
        let options = with_disk(folder.path(), 16 * MIB);
        let store = open(options.clone()).await;
        let hot: Vec<String> = (0..100).map(|number| format!("hot {number}")).collect();
        hot.iter().for_each(|name| put(&store, name, 3_000 + name.len() * 2_500));
        put_large(&store, "hot large", 400_000).await;
        store.flush().await;
        for number in 0..6_000 {
            put(&store, &format!("cold {number}"), 10_000);
            store.lookup(&key(&format!("cold {number}"))).await;
            if number % 50 == 0 {
                store.flush().await;
                for name in &hot {
                    let length = 3_000 + name.len() * 2_500;
                    assert_eq!(served(&store, name).await, Some(content(name, length)), "{name} after {number}");
                }
                assert_eq!(served(&store, "hot large").await, Some(content("hot large", 400_000)));
            }
        }
        assert!(store.stats().evicted > 4_000);
    });
}

#[test]
fn bodies_that_are_filled_at_once_do_not_take_the_room_from_each_other() {
    run(async {
        let folder = folder();
        let store = open(with_disk(folder.path(), 24 * MIB)).await;
        let length = 5_000_000;
        let begun: Vec<_> = (0..8).map(|_| store.begin_body(Some(length))).collect();
        let (going, refused): (Vec<_>, Vec<_>) = begun.into_iter().partition(Result::is_ok);
        assert_eq!((going.len(), refused.len()), (2, 6));
        assert!(refused.iter().all(|begun| matches!(begun, Err(StoreError::Busy))));
        drop(going);
        assert!(store.begin_body(Some(length)).is_ok());
        assert!(store.begin_body(None).is_ok());
    });
}

#[test]
fn of_a_hundred_thousand_variants_of_a_url_the_newest_are_kept_and_nothing_is_left_of_the_others() {
    // without the memory tier the disk's own list is added to, and one that loses its place there while it is still on its way
    // to the disk stays until it is evicted
    let kept = MOST as u64;
    for (memory, count, most) in [(4 * MIB, 100_000, kept), (0, 20_000, 2 * kept)] {
        run(async {
            let folder = folder();
            let options = Options { memory, disk: 16 * MIB, ..options(folder.path()) };
            let store = open(options.clone()).await;
            for number in 0..count {
                let variant = variant("a", &number.to_string(), number);
                store.put(key("a"), variant, store.epoch());
                if number % 2_000 == 0 {
                    store.flush().await;
                    let stats = store.stats();
                    assert!(stats.responses <= most, "{number}: {stats:?}");
                    assert!(stats.memory_used <= memory && stats.disk_used <= options.disk, "{number}: {stats:?}");
                }
            }
            store.flush().await;
            let Some(Slot::Variants(list)) = store.lookup(&key("a")).await else { panic!("no variants") };
            let times: Vec<i64> = list.iter().map(|variant| variant.response_time.0).collect();
            assert_eq!(times, (count - MOST as i64..count).rev().collect::<Vec<_>>());
            for variant in list.iter() {
                assert!(matches!(store.lookup(&variant.key).await, Some(Slot::Response(_))));
            }
            assert!((kept..=most).contains(&store.stats().responses), "{:?}", store.stats());
        });
    }
}

#[test]
fn x10_a_hundred_thousand_that_nobody_asks_for_again_stay_within_the_limits_and_leave_what_is_asked_for() {
    run(async {
        let folder = folder();
        let options = Options { memory: 4 * MIB, disk: 16 * MIB, ..options(folder.path()) };
        let store = open(options.clone()).await;
        put(&store, "hot", 3_000);
        let mut missed = Vec::new();
        for number in 0..100_000 {
            put(&store, &number.to_string(), 600);
            if number % 200 == 0 && served(&store, "hot").await != Some(content("hot", 3_000)) {
                missed.push(number);
                put(&store, "hot", 3_000);
            }
            if store.stats().waiting > MIB {
                store.flush().await;
            }
            if number % 2_000 == 0 {
                let stats = store.stats();
                assert!(stats.memory_used <= options.memory && stats.disk_used <= options.disk, "{number}: {stats:?}");
                let du = du(&options.folder);
                assert!(du <= options.disk, "{number}: {du} bytes");
            }
        }
        store.flush().await;
        let stats = store.stats();
        assert!(missed.is_empty(), "{missed:?}");
        assert!(stats.evicted > 50_000, "{stats:?}");
    });
}

#[test]
fn more_records_than_memory_has_room_for_are_evicted_though_the_disk_has_room() {
    run(async {
        let folder = folder();
        let options = options(folder.path());
        let most = Budget::new(options.memory).records();
        let store = open(options.clone()).await;
        for number in 0..most + most / 4 {
            put(&store, &number.to_string(), 10);
            if store.stats().waiting > MIB {
                store.flush().await;
            }
        }
        until_evicted(&store, most).await;
        let stats = store.stats();
        assert!(stats.responses > most / 2 && stats.disk_used < options.disk, "{stats:?}");
        let last = (most + most / 4 - 1).to_string();
        assert_eq!(served(&store, &last).await, Some(content(&last, 10)));
    });
}

/// Flushes until no more than so many responses are stored.
async fn until_evicted(store: &Store, most: u64) {
    for _ in 0..1000 {
        store.flush().await;
        if store.stats().responses <= most {
            return;
        }
    }
    panic!("{:?}", store.stats());
}

#[test]
fn where_more_was_forgotten_than_can_be_remembered_nothing_old_is_found_and_the_store_starts_anew() {
    run(async {
        let folder = folder();
        let store = open(disk_only(folder.path())).await;
        put(&store, "old", 200);
        store.flush().await;
        assert!(served(&store, "old").await.is_some());
        let shared = &store.0.shared;
        // the writer does not hear of it meanwhile
        shared.woken.store(true, SeqCst);
        for number in 0..u64::MAX {
            let print = Print(number << 40 | 1);
            shared.pending.forget(&mut shared.pending.shard_of(print), print);
            if shared.pending.overflowed() {
                break;
            }
        }
        store.invalidate(&key("old"));
        assert!(served(&store, "old").await.is_none());
        shared.woken.store(false, SeqCst);
        put(&store, "new", 200);
        let mut beats = 0..5_000;
        while shared.pending.overflowed() || store.stats().state != State::Open {
            assert!(beats.next().is_some(), "it stays");
            beat(1).await;
        }
        put(&store, "newer", 200);
        store.flush().await;
        assert!(served(&store, "old").await.is_none());
        assert_eq!(served(&store, "newer").await, Some(content("newer", 200)));
    });
}
