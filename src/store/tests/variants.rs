//! The variants of a URL: the index knows them, and journal, memory and disk agree.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{damage::copied, support::*};
use crate::store::{
    Slot, Store, StoredResponse,
    disk::journal::Journal,
    format::{
        lines::{self, Line},
        print::{Entry, Print, Size},
    },
    tiers::index::Index,
};

/// The languages of the variants that are found, by `response_time`.
async fn found(store: &Store, name: &str) -> Vec<i64> {
    match store.lookup(&key(name)).await {
        None => Vec::new(),
        Some(Slot::Response(_)) => panic!("{name} does not vary"),
        Some(Slot::Variants(list)) => {
            for variant in list.iter() {
                let Some(Slot::Response(response)) = store.lookup(&variant.key).await else { panic!("a lost variant") };
                assert_eq!((response.key, response.primary), (variant.key, key(name)));
                assert_eq!(response.head.nominated, variant.nominated);
            }
            list.iter().map(|variant| variant.response_time.0).collect()
        }
    }
}

fn put_variants(store: &Store, languages: &[(&str, i64)]) {
    for (language, at) in languages {
        store.put(key("v"), variant("v", language, *at), store.epoch());
    }
}

async fn one(store: &Store, key: &crate::key::CacheKey) -> Arc<StoredResponse> {
    let Some(Slot::Response(response)) = store.lookup(key).await else { panic!("no response") };
    response
}

#[test]
fn what_is_forgotten_while_the_index_is_read_stays_forgotten_and_what_is_stored_then_is_found() {
    run(async {
        let folder = folder();
        for options in [options(folder.path()), disk_only(folder.path())] {
            for again in [&[][..], &[("it", 5), ("fr", 6)]] {
                let _ = std::fs::remove_dir_all(&options.folder);
                let store = open(options.clone()).await;
                put_variants(&store, &[("de", 1), ("fr", 2), ("en", 3)]);
                store.flush().await;
                store.close().await;
                // not opened yet, as far as can be
                let store = Store::open(options.clone());
                store.invalidate(&key("v"));
                put_variants(&store, again);
                let expected: Vec<i64> = again.iter().rev().map(|(_, at)| *at).collect();
                store.opened().await;
                assert_eq!(found(&store, "v").await, expected);
                store.flush().await;
                assert_eq!(found(&store, "v").await, expected);
                store.close().await;
                let store = open(options.clone()).await;
                assert_eq!(found(&store, "v").await, expected);
                assert_eq!(store.stats().responses, expected.len() as u64);
                store.close().await;
            }
        }
    });
}

#[test]
fn without_a_memory_tier_the_records_of_all_variants_are_read_once_and_then_one_for_each_lookup() {
    run(async {
        let folder = folder();
        let options = disk_only(folder.path());
        let store = open(options.clone()).await;
        put_variants(&store, &[("de", 1), ("fr", 2), ("en", 3)]);
        store.flush().await;
        store.close().await;
        let store = open(options).await;
        let read = || {
            let generations = store.0.shared.catalog.generations();
            generations.iter().map(|generation| generation.database.reads.load(Relaxed)).sum::<u64>()
        };
        assert_eq!(read(), 0);
        assert!(store.recall(&key("v")).is_none());
        assert_eq!(found(&store, "v").await, [3, 2, 1]);
        assert_eq!(read(), 6, "three for the list, and each response");
        for times in 1..5 {
            assert_eq!(found(&store, "v").await, [3, 2, 1]);
            assert_eq!(read(), 6 + times * 3, "each response alone");
        }
        assert_eq!(store.stats().memory_used, 0);
        put_variants(&store, &[("it", 4)]);
        assert_eq!(found(&store, "v").await, [4, 3, 2, 1]);
        store.invalidate(&key("v"));
        assert!(found(&store, "v").await.is_empty());
        store.close().await;
    });
}

#[test]
fn no_crash_brings_a_variant_back_that_was_invalidated_durably() {
    run(async {
        let folder = folder();
        let options = disk_only(&folder.path().join("live"));
        std::fs::create_dir_all(folder.path().join("live")).expect("a folder");
        let copy = disk_only(folder.path());
        let store = open(options.clone()).await;
        put_variants(&store, &[("de", 1), ("fr", 2)]);
        put(&store, "other", 2_000);
        store.flush().await;
        // the first one leaves nothing that the second one finds
        store.invalidate(&key("v"));
        store.invalidate_durably(&[key("v")], None).await;
        copied(&options.folder, &copy.folder);
        let after = open(copy).await;
        assert_eq!(found(&after, "v").await, [0; 0]);
        assert_eq!(served(&after, "other").await, Some(content("other", 2_000)));
        after.close().await;
        store.close().await;
    });
}

#[test]
fn validating_a_variant_does_not_bring_it_back_after_its_url_was_invalidated() {
    run(async {
        let folder = folder();
        for options in [options(folder.path()), disk_only(folder.path())] {
            let _ = std::fs::remove_dir_all(&options.folder);
            let store = open(options.clone()).await;
            for lists in [true, false] {
                put_variants(&store, &[("de", 1), ("fr", 2)]);
                store.flush().await;
                if lists {
                    assert_eq!(found(&store, "v").await, [2, 1]);
                }
                let stored = one(&store, &variant("v", "de", 1).key).await;
                store.freshen(key("v"), &stored, variant("v", "de", 9).head, store.epoch());
                assert_eq!(found(&store, "v").await, [9, 2]);
                let stored = one(&store, &stored.key).await;
                store.invalidate(&key("v"));
                store.freshen(key("v"), &stored, variant("v", "de", 10).head, store.epoch());
                assert_eq!(found(&store, "v").await, [0; 0]);
            }
            // memory has the response, and the variants are not known there
            put_variants(&store, &[("de", 1), ("fr", 2)]);
            store.flush().await;
            store.close().await;
            let store = open(options).await;
            let stored = one(&store, &variant("v", "de", 1).key).await;
            store.invalidate(&key("v"));
            store.freshen(key("v"), &stored, variant("v", "de", 10).head, store.epoch());
            assert_eq!(found(&store, "v").await, [0; 0]);
            store.close().await;
        }
    });
}

#[test]
fn a_response_that_does_not_vary_makes_room_for_variants_and_takes_their_place_when_they_are_forgotten() {
    run(async {
        let folder = folder();
        for options in [options(folder.path()), disk_only(folder.path())] {
            let _ = std::fs::remove_dir_all(&options.folder);
            let mut store = open(options.clone()).await;
            for (written, reopened) in [(false, false), (true, false), (true, true)] {
                let again = async |store: Store| {
                    if written {
                        store.flush().await;
                    }
                    if !reopened {
                        return store;
                    }
                    store.close().await;
                    open(options.clone()).await
                };
                put(&store, "v", 5_000);
                store = again(store).await;
                put_variants(&store, &[("de", 1)]);
                store = again(store).await;
                assert_eq!(found(&store, "v").await, [1]);
                store.invalidate(&key("v"));
                store = again(store).await;
                put(&store, "v", 5_000);
                store = again(store).await;
                assert_eq!(served(&store, "v").await, Some(content("v", 5_000)));
                assert_eq!(store.stats().responses, 1);
            }
            store.close().await;
        }
    });
}

#[test]
fn a_summary_of_the_journal_keeps_the_variants_and_their_order() {
    let folder = folder();
    let path = folder.path().join("journal");
    let index = Index::new();
    let entry = Entry { generation: 1, size: Size::of_response(100, false), body: 1 };
    let record = |print, primary| Line::Record { print: Print(print), entry, primary: Print(primary) };
    for line in [record(7, 7), record(1, 9), record(2, 9), record(3, 9), record(4, 8)] {
        index.apply(&line);
        let Line::Record { print, primary, .. } = line else { panic!("a record") };
        if print != primary {
            index.variants.put(primary, print);
        }
    }
    // known, and not on the disk
    index.variants.put(Print(9), Print(5));
    let journal = Journal::summarize(&path, 3, &[], &index.lines()).expect("a journal");
    assert_eq!(journal.synced().lines, 6);
    let again = Index::new();
    let read = again.read_journal(&std::fs::read(&path).expect("a journal"), |_| {});
    assert_eq!((read.damaged, read.mark), (false, lines::Mark { serial: 3, lines: 6 }));
    assert_eq!(again.variants.of(Print(9)), [3, 2, 1].map(Print));
    assert_eq!(again.variants.of(Print(8)), [Print(4)]);
    assert!(!again.variants.any(Print(7)));
    assert_eq!(again.len(), 5);
    again.remove(Print(2));
    again.remove_lost_variants();
    assert_eq!(again.variants.of(Print(9)), [3, 1].map(Print));
}

#[test]
fn variants_of_generations_that_made_room_are_forgotten() {
    run(async {
        let folder = folder();
        let options = crate::store::Options { disk: 4 * MIB, ..disk_only(folder.path()) };
        let store = open(options).await;
        let known = || {
            let store = &store;
            store.0.shared.catalog.index.variants.all().iter().map(|(_, variants)| variants.len()).sum::<usize>()
        };
        for number in 0..200 {
            let name = format!("v{number}");
            for language in ["de", "fr"] {
                let mut stored = variant(&name, language, 1);
                stored.body = crate::store::StoredBody::Memory(content(&name, 60_000).0);
                store.put(key(&name), stored, store.epoch());
            }
            store.flush().await;
        }
        let responses = store.stats().responses as usize;
        assert!(store.stats().evicted > 0 && responses < 400, "{:?}", store.stats());
        assert_eq!(known(), responses);
        store.close().await;
    });
}
