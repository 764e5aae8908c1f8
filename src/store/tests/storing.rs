use std::sync::atomic::Ordering::SeqCst;

use super::support::*;
use crate::{
    clock::{self, Timestamp},
    message::{FieldName, FieldValue, StoredHead},
    store::{
        Cleared, Slot, State, Store, StoreError, StoredBody, StoredResponse, clear_folder, stats_of, writer::GATHER,
    },
};

/// Below and above every length at which something changes.
const LENGTHS: [usize; 9] = [0, 1, 700, 16_384, 16_385, 65_536, 65_537, 262_144, 300_000];

#[test]
fn what_was_put_is_found_byte_for_byte_at_once_on_disk_and_after_a_restart() {
    run(async {
        let folder = folder();
        let store = open(disk_only(folder.path())).await;
        let check = async |store: &Store| {
            for length in LENGTHS {
                let name = length.to_string();
                let response = found(store, &name).await.expect("a stored response");
                assert_eq!(response.head, head(&name));
                assert_eq!(response.key, key(&name));
                assert_eq!(whole(&response.body).await.expect("a body"), content(&name, length));
            }
        };
        LENGTHS.iter().for_each(|length| put(&store, &length.to_string(), *length));
        check(&store).await;
        store.flush().await;
        check(&store).await;
        assert_eq!(store.stats().waiting, 0);
        assert_eq!(store.stats().responses, LENGTHS.len() as u64);
        store.close().await;
        assert_eq!(stats_of(&disk_only(folder.path()).folder).expect("stats").responses, LENGTHS.len() as u64);
        let store = open(disk_only(folder.path())).await;
        assert_eq!(store.stats().responses, LENGTHS.len() as u64);
        check(&store).await;
    });
}

#[test]
fn the_writer_is_woken_once_for_what_is_put_while_it_gathers() {
    run(async {
        let folder = folder();
        let store = open(options(folder.path())).await;
        store.flush().await;
        let (woken, began) = (&store.0.shared.woken, clock::instant());
        put(&store, "first", 100);
        while began.elapsed() < GATHER / 2 {
            // a put that finds the flag set does not wake the writer
            let is_woken = woken.load(SeqCst);
            assert!(is_woken || began.elapsed() >= GATHER, "after {:?}", began.elapsed());
        }
        put(&store, "second", 100);
        store.flush().await;
        assert!(!woken.load(SeqCst) && store.stats().waiting == 0);
    });
}

#[test]
fn where_enough_waits_it_is_written_without_gathering_more() {
    run(async {
        let folder = folder();
        let store = open(options(folder.path())).await;
        store.flush().await;
        let shared = &store.0.shared;
        // the writer does not hear that something waits, only that enough does
        shared.woken.store(true, SeqCst);
        let number = shared.budget.waiting() / 8 / 100_000 + 1;
        (0..number).for_each(|number| put(&store, &number.to_string(), 100_000));
        let mut beats = 0..5_000;
        while store.stats().waiting > 0 {
            assert!(beats.next().is_some(), "it is not written");
            beat(1).await;
        }
        assert_eq!(store.stats().responses, number);
    });
}

#[test]
fn the_memory_tier_answers_without_waiting_and_leaves_out_what_is_too_heavy() {
    run(async {
        let folder = folder();
        let store = open(options(folder.path())).await;
        put(&store, "small", 1000);
        put(&store, "heavy", 3 << 20);
        assert!(matches!(store.recall(&key("small")), Some(Slot::Response(_))));
        assert!(store.recall(&key("heavy")).is_none());
        assert_eq!(served(&store, "heavy").await, Some(content("heavy", 3 << 20)));
        for number in 0..5_000 {
            put(&store, &number.to_string(), 10_000);
        }
        assert!(store.stats().memory_used <= options(folder.path()).memory);
    });
}

#[test]
fn a_body_that_streams_in_can_be_read_while_it_grows_and_after_a_restart() {
    run(async {
        let folder = folder();
        let store = open(options(folder.path())).await;
        let bytes = content("large", 1_000_000).0;
        let mut writer = store.begin_body(Some(1_000_000)).expect("a writer");
        let reader = writer.reader();
        assert_eq!(reader.length(), 0);
        writer.append(vec![bytes.slice(..300_000)]).await.expect("appended");
        assert_eq!(reader.length(), 300_000);
        assert_eq!(reader.read(100_000, 1_000).await.expect("read"), bytes.slice(100_000..101_000));
        assert!(reader.read(300_000, 1).await.expect("read").is_empty());
        writer.append(vec![bytes.slice(300_000..)]).await.expect("appended");
        let body = writer.whole().finish(|body| body).await.expect("finished");
        let mut stored = response("large", 0);
        stored.body = StoredBody::Disk(body);
        store.put(key("large"), stored, store.epoch());
        assert_eq!(served(&store, "large").await, Some(Content(bytes.clone())));
        store.flush().await;
        assert_eq!(served(&store, "large").await, Some(Content(bytes.clone())));
        store.close().await;
        let store = open(options(folder.path())).await;
        let StoredBody::Disk(body) = &found(&store, "large").await.expect("stored").body else {
            panic!("a large body does not come into memory")
        };
        assert_eq!(body.read(65_530, 20).await.expect("read"), bytes.slice(65_530..65_550));
        assert_eq!(body.read(999_999, 20).await.expect("read"), bytes.slice(999_999..));
        assert_eq!(served(&store, "large").await, Some(Content(bytes)));
    });
}

#[test]
fn a_body_that_nobody_finishes_or_puts_gives_its_space_back() {
    run(async {
        let folder = folder();
        let store = open(options(folder.path())).await;
        let filling = options(folder.path()).folder.join("filling");
        let files = || std::fs::read_dir(&filling).expect("a folder").count();
        let before = store.stats().disk_used;
        let mut writer = store.begin_body(None).expect("a writer");
        writer.append(vec![content("a", 100_000).0]).await.expect("appended");
        assert_eq!((files(), store.stats().disk_used), (1, before + 100_000));
        drop(writer);
        removed(&store).await;
        assert_eq!((files(), store.stats().disk_used), (0, before));
        drop(fill(&store, "b", 100_000).await.expect("filled"));
        removed(&store).await;
        assert_eq!((files(), store.stats().disk_used), (0, before));
        let longest = options(folder.path()).max_object;
        assert!(matches!(store.begin_body(Some(longest + 1)), Err(StoreError::TooLarge)));
    });
}

#[test]
fn the_variants_of_a_url_stand_beside_each_other_the_newest_first_and_at_most_64() {
    run(async {
        let folder = folder();
        for options in [options(folder.path()), disk_only(folder.path())] {
            let _ = std::fs::remove_dir_all(&options.folder);
            let mut store = open(options.clone()).await;
            for number in 0..72 {
                store.put(key("v"), variant("v", &number.to_string(), number), store.epoch());
                if number % 7 == 0 {
                    store.flush().await;
                }
                if number == 20 {
                    store.close().await;
                    store = open(options.clone()).await;
                }
            }
            // again: it moves to the front
            store.put(key("v"), variant("v", "20", 90), store.epoch());
            for _ in 0..2 {
                let Some(Slot::Variants(list)) = store.lookup(&key("v")).await else { panic!("no variants") };
                let times: Vec<i64> = list.iter().map(|variant| variant.response_time.0).collect();
                let expected: Vec<i64> = [90].into_iter().chain((8..72).rev().filter(|at| *at != 20)).collect();
                assert_eq!(times, expected);
                for variant in list.iter() {
                    let Some(Slot::Response(response)) = store.lookup(&variant.key).await else {
                        panic!("no response")
                    };
                    assert_eq!(response.head.nominated, variant.nominated);
                }
                store.flush().await;
            }
            store.close().await;
        }
    });
}

#[test]
fn a_response_that_does_not_vary_stands_beside_the_variants_wherever_they_are() {
    run(async {
        let folder = folder();
        for (options, written, reopened) in [
            (options(folder.path()), false, false),
            (options(folder.path()), true, true),
            (disk_only(folder.path()), false, false),
            (disk_only(folder.path()), true, false),
            (disk_only(folder.path()), true, true),
        ] {
            let _ = std::fs::remove_dir_all(&options.folder);
            let mut store = open(options.clone()).await;
            store.put(key("v"), variant("v", "a", 1), store.epoch());
            store.put(key("v"), variant("v", "b", 2), store.epoch());
            if written {
                store.flush().await;
            }
            if reopened {
                store.close().await;
                store = open(options.clone()).await;
            }
            for _ in 0..2 {
                put(&store, "v", 700);
                let Some(Slot::Variants(list)) = store.lookup(&key("v")).await else { panic!("no variants") };
                let names: Vec<usize> = list.iter().map(|variant| variant.nominated.len()).collect();
                assert_eq!(names, [0, 1, 1]);
                let Some(Slot::Response(plain)) = store.lookup(&list[0].key).await else { panic!("no response") };
                assert_eq!(whole(&plain.body).await.expect("a body"), content("v", 700));
                store.freshen(key("v"), &plain, StoredHead { request_time: Timestamp(7), ..head("v") }, store.epoch());
                let Some(Slot::Response(plain)) = store.lookup(&list[0].key).await else { panic!("no response") };
                assert_eq!(plain.head.request_time, Timestamp(7));
                assert!(store.lookup(&list[2].key).await.is_some());
            }
            store.invalidate(&key("v"));
            assert!(store.lookup(&key("v")).await.is_none());
            put(&store, "v", 700);
            assert!(matches!(store.lookup(&key("v")).await, Some(Slot::Response(_))));
            store.close().await;
        }
    });
}

#[test]
fn a_variant_stored_while_the_list_is_on_disk_only_joins_it() {
    run(async {
        let folder = folder();
        let store = open(disk_only(folder.path())).await;
        store.put(key("v"), variant("v", "de", 1), store.epoch());
        store.flush().await;
        store.put(key("v"), variant("v", "fr", 2), store.epoch());
        for _ in 0..2 {
            let Some(Slot::Variants(list)) = store.lookup(&key("v")).await else { panic!("no variants") };
            assert_eq!(list.iter().map(|variant| variant.response_time.0).collect::<Vec<_>>(), [2, 1]);
            store.flush().await;
        }
    });
}

#[test]
fn what_was_invalidated_is_not_found_again_not_even_after_a_restart() {
    run(async {
        let folder = folder();
        let store = open(options(folder.path())).await;
        put(&store, "a", 1_000);
        put(&store, "kept", 1_000);
        store.put(key("v"), variant("v", "de", 1), store.epoch());
        store.flush().await;
        store.invalidate(&key("a"));
        store.invalidate(&key("v"));
        store.invalidate(&key("never stored"));
        for _ in 0..2 {
            assert!(store.recall(&key("a")).is_none());
            assert!(store.lookup(&key("a")).await.is_none());
            assert!(store.lookup(&key("v")).await.is_none());
            store.flush().await;
        }
        store.close().await;
        let store = open(options(folder.path())).await;
        assert!(store.lookup(&key("a")).await.is_none());
        assert!(store.lookup(&key("v")).await.is_none());
        assert!(store.lookup(&key("kept")).await.is_some());
    });
}

#[test]
fn freshening_replaces_the_head_and_keeps_the_body_but_only_of_what_is_still_stored() {
    run(async {
        let folder = folder();
        let store = open(disk_only(folder.path())).await;
        put_large(&store, "large", 400_000).await;
        put(&store, "small", 1_000);
        for name in ["large", "small"] {
            let before = served(&store, name).await;
            let stored = found(&store, name).await.expect("stored");
            let mut new = stored.head.clone();
            new.head.fields.set(FieldName::from_static("etag"), FieldValue::from_static("new"));
            new.response_time.0 += 5;
            store.freshen(key(name), &stored, new.clone(), store.epoch());
            for _ in 0..2 {
                assert_eq!(found(&store, name).await.expect("stored").head, new);
                assert_eq!(served(&store, name).await, before);
                store.flush().await;
            }
            // the one that was looked up first is not stored any more
            let (late, mut later) = (stored, new.clone());
            let mut other = response(name, 10);
            other.head.response_time.0 += 7;
            store.put(key(name), other, store.epoch());
            later.response_time.0 += 9;
            store.freshen(key(name), &late, later.clone(), store.epoch());
            assert_eq!(served(&store, name).await, Some(content(name, 10)));
            store.invalidate(&key(name));
            store.flush().await;
            store.freshen(key(name), &late, later, store.epoch());
            assert!(store.lookup(&key(name)).await.is_none());
        }
    });
}

#[test]
fn clearing_counts_what_was_stored_a_moment_ago() {
    run(async {
        let folder = folder();
        let store = open(options(folder.path())).await;
        put(&store, "written", 2_000);
        store.flush().await;
        put(&store, "written", 3_000);
        put(&store, "waiting", 2_000);
        let cleared = store.clear().await.expect("cleared");
        assert!(cleared.responses == 2 && cleared.bytes > 4_000, "{cleared:?}");
    });
}

#[test]
fn clearing_forgets_everything_gives_the_disk_back_and_outdates_what_was_being_filled() {
    run(async {
        let folder = folder();
        let options = options(folder.path());
        let store = open(options.clone()).await;
        let epoch = store.epoch();
        for number in 0..300 {
            put(&store, &number.to_string(), 20_000);
            if number % 100 == 99 {
                store.flush().await;
            }
        }
        let large = fill(&store, "large", 5 << 20).await.expect("filled");
        assert!(du(&options.folder) > 10 << 20);
        let cleared = store.clear().await.expect("cleared");
        assert_eq!(cleared.responses, 300);
        assert!(cleared.bytes >= 300 * 20_000);
        assert_ne!(store.epoch(), epoch);
        let mut late = response("large", 0);
        late.body = StoredBody::Disk(large);
        store.put(key("large"), late, epoch);
        assert!(store.lookup(&key("large")).await.is_none());
        for number in 0..300 {
            assert!(store.lookup(&key(&number.to_string())).await.is_none());
        }
        removed(&store).await;
        assert!(du(&options.folder) < 2 * MIB, "{} bytes are left", du(&options.folder));
        put(&store, "new", 20_000);
        store.close().await;
        let store = open(options.clone()).await;
        assert_eq!(store.stats().responses, 1);
        assert!(store.lookup(&key("new")).await.is_some());
    });
}

#[test]
fn a_folder_is_cleared_offline_too_and_one_that_is_missing_is_empty() {
    run(async {
        let folder = folder();
        let options = options(folder.path());
        assert_eq!(clear_folder(&options.folder).expect("cleared"), Cleared::default());
        let store = open(options.clone()).await;
        for number in 0..100 {
            put(&store, &number.to_string(), 30_000);
        }
        store.flush().await;
        assert!(clear_folder(&options.folder).is_err(), "a store that is in use was cleared");
        store.close().await;
        let cleared = clear_folder(&options.folder).expect("cleared");
        assert_eq!(cleared.responses, 100);
        assert!(cleared.bytes >= 3_000_000);
        assert!(du(&options.folder) < 100_000);
        assert_eq!(clear_folder(&options.folder).expect("cleared"), Cleared::default());
        let store = open(options).await;
        assert_eq!((store.stats().state, store.stats().responses), (State::Open, 0));
    });
}

#[test]
fn a_replaced_large_body_gives_its_file_back_and_its_readers_keep_their_bytes() {
    run(async {
        let folder = folder();
        let store = open(options(folder.path())).await;
        let store_large = async |name: &str, from: &str| {
            let mut stored = response(name, 0);
            stored.body = StoredBody::Disk(fill(&store, from, 2 << 20).await.expect("filled"));
            store.put(key(name), stored, store.epoch());
            store.flush().await;
        };
        store_large("a", "one").await;
        let before = du(folder.path());
        let StoredBody::Disk(old) = found(&store, "a").await.expect("stored").body.clone() else { panic!("in memory") };
        for version in 0..4 {
            store_large("a", &version.to_string()).await;
        }
        removed(&store).await;
        assert!(du(folder.path()) < before + MIB);
        assert_eq!(whole(&StoredBody::Disk(old)).await.expect("read"), content("one", 2 << 20));
        assert_eq!(served(&store, "a").await, Some(content("3", 2 << 20)));
        store.invalidate(&key("a"));
        store.flush().await;
        removed(&store).await;
        assert!(du(folder.path()) < before - MIB);
    });
}

#[test]
fn a_whole_body_is_stored_also_where_nobody_waits_for_it_and_closing_waits() {
    run(async {
        let folder = folder();
        let store = open(disk_only(folder.path())).await;
        let mut writer = store.begin_body(None).expect("begun");
        writer.append(vec![content("a", 300_000).0]).await.expect("appended");
        let stored = store.clone();
        let finishing = writer.whole().finish(move |body| {
            stored.put(key("a"), StoredResponse { body: StoredBody::Disk(body), ..response("a", 0) }, stored.epoch());
        });
        tokio::select! {
            biased;
            _ = finishing => {}
            () = std::future::ready(()) => {}
        }
        store.close().await;
        let store = open(disk_only(folder.path())).await;
        assert_eq!(served(&store, "a").await, Some(content("a", 300_000)));
    });
}
