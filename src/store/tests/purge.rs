//! Purging: nothing that was purged is ever found, and nothing else is lost.

use futures_util::{FutureExt, future::join_all};

use super::{damage::copied, support::*};
use crate::{
    clock::Timestamp,
    key::CacheKey,
    purge::{Liveness, Position, Strength, Target, tag_hash},
    store::{Slot, Store, StoredBody, StoredResponse, tiers::purges::Purges},
};

const SITE: &str = "http://origin.test";
const NOW: Timestamp = Timestamp(1_795_000_000_000);

fn at(milliseconds: i64) -> Timestamp {
    Timestamp(NOW.0 + milliseconds)
}

/// A response of this name that was asked for at this position.
fn placed(name: &str, length: usize, position: Position) -> StoredResponse {
    let mut response = response(name, length);
    response.head.position = position;
    response
}

fn put_now(store: &Store, name: &str, length: usize, now: Timestamp) {
    store.put(key(name), placed(name, length, store.position(now)), store.epoch());
}

fn url(name: &str) -> Target {
    Target::url(SITE, None, &format!("/{name}"))
}

fn prefix(prefix: &str) -> Target {
    Target::prefix(SITE, None, prefix).unwrap()
}

async fn purge(store: &Store, target: Target, strength: Strength, now: Timestamp) {
    store.purge(target, strength, now).await.expect("on the disk");
}

async fn is_there(store: &Store, name: &str) -> bool {
    found(store, name).await.is_some()
}

async fn liveness(store: &Store, name: &str) -> Option<Liveness> {
    found(store, name).await.map(|stored| store.standing(&stored).liveness)
}

#[test]
fn a_hard_purge_is_in_force_at_once_in_memory_pending_and_on_the_disk_and_after_a_restart() {
    let folder = folder();
    for options in [options(folder.path()), disk_only(folder.path())] {
        for flushed in [false, true] {
            run(async {
                let store = open(options.clone()).await;
                let names = ["a", "b/1", "b/2", "c", "d"];
                for name in names {
                    put_now(&store, name, 3_000, NOW);
                }
                if flushed {
                    store.flush().await;
                }
                purge(&store, url("a"), Strength::Hard, NOW).await;
                purge(&store, prefix("/b"), Strength::Hard, NOW).await;
                let mut store = store;
                for restarted in [false, true] {
                    if restarted {
                        store = reopened(store, &options).await;
                    }
                    for name in names {
                        assert_eq!(is_there(&store, name).await, name >= "c", "{name} {flushed} {restarted}");
                    }
                }
                purge(&store, Target::All, Strength::Hard, NOW).await;
                assert!(!is_there(&store, "c").await);
                put_now(&store, "c", 3_000, NOW);
                assert!(is_there(&store, "c").await, "what comes after a purge is kept");
                let store = reopened(store, &options).await;
                assert!(is_there(&store, "c").await);
                // the next one opens the same folder
                store.close().await;
            });
        }
    }
}

#[test]
fn a_rule_is_not_forgotten_while_what_it_reaches_waits_to_be_written() {
    let folder = folder();
    for options in [options(folder.path()), disk_only(folder.path())] {
        run(async {
            let store = open(options.clone()).await;
            for round in 0..20 {
                let now = Timestamp(NOW.0 + round * 7_200_000);
                put_now(&store, "a", 3_000, now);
                purge(&store, url("a"), Strength::Hard, now).await;
                store.position(Timestamp(now.0 + 3_600_000));
                store.sweep().await;
                assert!(!is_there(&store, "a").await, "{round}");
            }
            store.close().await;
        });
    }
}

/// The store closes and another one opens the folder.
async fn reopened(store: Store, options: &crate::store::Options) -> Store {
    store.close().await;
    open(options.clone()).await
}

#[test]
fn purges_at_the_same_time_do_not_take_each_other_for_a_disk_that_is_down() {
    let folder = folder();
    run(async {
        let store = open(options(folder.path())).await;
        for round in 0..20 {
            let purges = (0..500).map(|number| store.purge(url(&format!("{round}-{number}")), Strength::Hard, NOW));
            for purged in join_all(purges).await {
                purged.expect("on the disk");
            }
        }
    });
}

#[test]
fn a_fill_that_began_before_a_purge_is_dead_on_arrival_and_displaces_nothing() {
    let folder = folder();
    run(async {
        let store = open(options(folder.path())).await;
        let (began, epoch) = (store.position(NOW), store.epoch());
        purge(&store, url("a"), Strength::Hard, NOW).await;
        store.put(key("a"), placed("a", 300, began), epoch);
        assert!(!is_there(&store, "a").await);
        put_now(&store, "a", 500, NOW);
        store.put(key("a"), placed("a", 300, began), epoch);
        assert_eq!(served(&store, "a").await, Some(content("a", 500)));
        let mut large = placed("b", 0, began);
        large.body = StoredBody::Disk(fill(&store, "b", 400_000).await.expect("filled"));
        purge(&store, prefix("/b"), Strength::Hard, NOW).await;
        store.put(key("b"), large, epoch);
        assert!(!is_there(&store, "b").await);
        store.flush().await;
        removed(&store).await;
        assert_eq!(body_files(&folder.path().join("cache")).len(), 0, "its file is gone");
    });
}

#[test]
fn soft_purges_tags_and_paths_are_told_with_the_response() {
    let folder = folder();
    for options in [options(folder.path()), disk_only(folder.path())] {
        run(async {
            let store = open(options.clone()).await;
            for name in ["soft", "tagged", "path", "alive"] {
                let mut response = placed(name, 300, store.position(NOW));
                response.head.tags = [tag_hash(name)].into();
                store.put(key(name), response, store.epoch());
            }
            store.flush().await;
            purge(&store, url("soft"), Strength::Soft, NOW).await;
            purge(&store, Target::tag("tagged"), Strength::Soft, NOW).await;
            purge(&store, Target::path(SITE, "/path?page=2"), Strength::Hard, NOW).await;
            assert_eq!(liveness(&store, "soft").await, Some(Liveness::Stale));
            assert_eq!(liveness(&store, "tagged").await, Some(Liveness::Stale));
            assert_eq!(liveness(&store, "alive").await, Some(Liveness::Alive));
            let path = store.standing(&found(&store, "path").await.unwrap());
            assert_eq!((path.liveness, path.if_invented), (Liveness::Alive, Liveness::MustValidate));
            let store = reopened(store, &options).await;
            assert_eq!(liveness(&store, "tagged").await, Some(Liveness::Stale));
            assert_eq!(liveness(&store, "alive").await, Some(Liveness::Alive));
            purge(&store, Target::All, Strength::Hard, NOW).await;
            store.close().await;
        });
    }
}

#[test]
fn a_clock_that_goes_back_over_a_restart_makes_no_old_response_newer_than_a_purge() {
    let folder = folder();
    run(async {
        let options = disk_only(folder.path());
        let store = open(options.clone()).await;
        put_now(&store, "a", 300, at(1_000_000));
        let before = store.log_identity();
        let store = reopened(store, &options).await;
        assert_eq!(store.log_identity(), before, "it is the same log");
        purge(&store, url("a"), Strength::Hard, at(-1_000_000)).await;
        assert!(!is_there(&store, "a").await);
        put_now(&store, "a", 300, at(-2_000_000));
        assert!(is_there(&store, "a").await);
        let store = reopened(store, &options).await;
        assert!(is_there(&store, "a").await);
        purge(&store, Target::All, Strength::Hard, Timestamp(-5)).await;
        assert!(!is_there(&store, "a").await);
    });
}

#[test]
fn a_position_from_the_future_is_the_oldest_of_all() {
    let folder = folder();
    run(async {
        let store = open(options(folder.path())).await;
        let future = Position { milliseconds: u64::MAX, sequence: u64::MAX };
        store.put(key("a"), placed("a", 300, future), store.epoch());
        assert!(is_there(&store, "a").await);
        purge(&store, url("a"), Strength::Hard, NOW).await;
        assert!(!is_there(&store, "a").await);
        put_now(&store, "a", 300, NOW);
        assert!(is_there(&store, "a").await, "the counter is not poisoned");
    });
}

#[test]
fn all_variants_of_a_url_are_purged() {
    let folder = folder();
    run(async {
        let store = open(options(folder.path())).await;
        for language in ["de", "en"] {
            let mut variant = variant("v", language, 1);
            variant.head.position = store.position(NOW);
            store.put(key("v"), variant, store.epoch());
        }
        store.flush().await;
        let keys: Vec<CacheKey> = ["de", "en"].map(|language| variant("v", language, 1).key).into();
        purge(&store, url("v"), Strength::Hard, NOW).await;
        for key in keys {
            assert!(store.lookup(&key).await.is_none());
        }
        assert!(matches!(store.lookup(&key("v")).await, None | Some(Slot::Variants(_))));
    });
}

#[test]
fn what_was_purged_gives_its_room_back_by_the_next_sweep() {
    let folder = folder();
    run(async {
        let store = open(options(folder.path())).await;
        for number in 0..200 {
            put_now(&store, &format!("old/{number}"), 3_000, NOW);
        }
        put_large(&store, "old/large", 400_000).await;
        put_now(&store, "new", 3_000, NOW);
        store.flush().await;
        purge(&store, prefix("/old/"), Strength::Hard, NOW).await;
        assert_eq!(store.sweep().await, 201);
        assert_eq!(store.stats().responses, 1);
        removed(&store).await;
        assert_eq!(body_files(&folder.path().join("cache")).len(), 0);
        assert!(is_there(&store, "new").await);
    });
}

#[test]
fn a_scan_lists_everything_that_is_stored_once_and_nothing_that_was_purged() {
    let folder = folder();
    run(async {
        let store = open(disk_only(folder.path())).await;
        for number in 0..300 {
            put_now(&store, &format!("{}/{number}", number % 3), 100, NOW);
        }
        put_large(&store, "large", 400_000).await;
        purge(&store, prefix("/1/"), Strength::Hard, NOW).await;
        purge(&store, prefix("/2/"), Strength::Soft, NOW).await;
        let (mut scan, mut listed) = (store.scan().await, Vec::new());
        loop {
            let page = scan.next_page().await.expect("a page");
            if page.is_empty() {
                break;
            }
            listed.extend(page);
        }
        let mut paths: Vec<String> = listed.iter().map(|one| one.head.line.path_and_query().to_owned()).collect();
        paths.sort();
        let expected = (0..300).filter(|number| number % 3 != 1).map(|number| format!("/{}/{number}", number % 3));
        let mut expected: Vec<String> = expected.chain(["/large".to_owned()]).collect();
        expected.sort();
        assert_eq!(paths, expected);
        let soft = listed.iter().filter(|one| one.standing.liveness == Liveness::Stale).count();
        assert_eq!(soft, 100);
        let large = listed.iter().find(|one| one.length == 400_000).expect("the large one");
        assert_eq!((large.key, large.primary), (key("large"), key("large")));
    });
}

#[test]
fn a_peek_finds_what_a_lookup_finds_and_counts_nothing() {
    let folder = folder();
    for options in [options(folder.path()), disk_only(folder.path())] {
        run(async {
            let store = open(options).await;
            put_now(&store, "a", 300, NOW);
            for _ in 0..2 {
                let before = store.stats();
                assert!(matches!(store.peek(&key("a")).await, Some(Slot::Response(_))));
                assert!(store.peek(&key("b")).await.is_none());
                let after = store.stats();
                let counts = |stats: &crate::store::Stats| (stats.memory_hits, stats.disk_hits, stats.misses);
                assert_eq!(counts(&after), counts(&before));
                store.flush().await;
            }
            purge(&store, url("a"), Strength::Hard, NOW).await;
            assert!(store.peek(&key("a")).await.is_none());
            store.close().await;
        });
    }
}

#[test]
fn a_rule_is_removed_once_nothing_is_left_that_it_could_reach() {
    let folder = folder();
    run(async {
        let options = disk_only(folder.path());
        let store = open(options.clone()).await;
        put_now(&store, "old", 300, NOW);
        store.flush().await;
        for number in 0..100 {
            purge(&store, url(&number.to_string()), Strength::Hard, at(1)).await;
        }
        let rules = |store: &Store| store.0.shared.purges.state().len() - 2;
        store.position(at(10_000_000));
        store.sweep().await;
        assert_eq!(rules(&store), 100, "something older than they are is there");
        put_now(&store, "old", 300, at(10_000_000));
        store.flush().await;
        store.sweep().await;
        assert_eq!(rules(&store), 1, "a floor");
        // one that began before them
        store.put(key("1"), placed("1", 300, Position { milliseconds: NOW.0 as u64, sequence: 5 }), store.epoch());
        assert_eq!(liveness(&store, "1").await, Some(Liveness::MustValidate));
        assert_eq!(liveness(&store, "old").await, Some(Liveness::Alive));
    });
}

#[test]
fn no_crash_takes_the_purge_of_a_paths_other_queries_back_be_it_in_force_or_deferred() {
    run(async {
        let folder = folder();
        let options = disk_only(&folder.path().join("live"));
        std::fs::create_dir_all(folder.path().join("live")).expect("a folder");
        let copy = disk_only(folder.path());
        for (number, is_deferred) in [false, true, false, true].into_iter().enumerate() {
            let store = open(options.clone()).await;
            let (name, path) = (format!("items{number}?page=1"), Target::path(SITE, &format!("/items{number}")));
            put_now(&store, &name, 2_000, NOW);
            store.flush().await;
            match is_deferred {
                true => store.purge_after_a_crash(path, Strength::Hard, NOW),
                false => store.purge_behind(path, Strength::Hard, NOW),
            }
            // the key of the path itself holds nothing
            store.invalidate_durably(&[key(&format!("items{number}"))], Some(path)).await;
            copied(&options.folder, &copy.folder);
            let if_invented = async |store: &Store| {
                let stored = found(store, &name).await.expect("a response");
                store.standing(&stored).if_invented
            };
            let now = if is_deferred { Liveness::Alive } else { Liveness::MustValidate };
            assert_eq!(if_invented(&store).await, now);
            let after = open(copy.clone()).await;
            assert_eq!(if_invented(&after).await, Liveness::MustValidate, "{is_deferred}");
            after.close().await;
            store.close().await;
        }
    });
}

#[test]
fn nobody_waits_for_the_disk_to_purge_a_path_of_which_nothing_is_stored() {
    run(async {
        let folder = folder();
        let options = disk_only(folder.path());
        let path = |name: &str| Target::path(SITE, &format!("/{name}"));
        let waits = |store: &Store, name: &str| {
            store.purge_behind(path(name), Strength::Hard, NOW);
            store.invalidate_durably(&[key(name)], Some(path(name))).now_or_never().is_none()
        };
        let store = open(options.clone()).await;
        put_now(&store, "items?page=1", 300, NOW);
        store.flush().await;
        assert!(waits(&store, "items"));
        assert!(!waits(&store, "orders"));
        let store = reopened(store, &options).await;
        assert!(waits(&store, "orders"), "the records that were there before have not been read");
        store.sweep().await;
        store.flush().await;
        assert!(waits(&store, "items"));
        store.flush().await;
        assert!(!waits(&store, "orders"));
        store.close().await;
    });
}

#[test]
fn a_new_journal_has_the_rules_that_are_in_force_after_a_crash_only() {
    let (purges, target) = (Purges::default(), Target::path(SITE, "/items"));
    let rules = || purges.state().len() - 2;
    purges.defer(target, Strength::Hard, 1);
    purges.defer(target, Strength::Hard, 2);
    assert_eq!(rules(), 1);
    purges.defer(Target::path(SITE, "/other"), Strength::Hard, 2);
    assert_eq!(rules(), 2);
    purges.add(target, Strength::Hard, 3);
    assert_eq!(rules(), 2);
    assert_eq!(purges.waiting().expect("rules").0.len(), 2, "the newest of each path");
}
