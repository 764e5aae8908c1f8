use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering::*},
        mpsc,
    },
};

use futures_util::FutureExt;

use super::support::*;
use crate::{
    message::StoredHead,
    store::{
        Options, Slot, Store, StoredBody, StoredResponse,
        disk::generation::FoundBody,
        format::{
            print::Print,
            record::{Record, RecordBody},
        },
    },
};

const NAMES: usize = 24;

fn version(name: &str, version: i64) -> StoredResponse {
    let mut stored = response(name, 0);
    stored.head.response_time.0 = version;
    let length = [300, 5_000, 20_000][version as usize % 3];
    stored.body = StoredBody::Memory(content(&format!("{name} {version}"), length).0);
    stored
}

/// Looks a name up, checks that head and body belong together, and gives its version.
async fn seen(store: &Store, name: &str) -> Option<i64> {
    let Slot::Response(found) = store.lookup(&key(name)).await? else { panic!("variants of {name}") };
    let at = found.head.response_time.0;
    let length = [300, 5_000, 20_000][at as usize % 3];
    assert_eq!(whole(&found.body).await.expect("a body"), content(&format!("{name} {at}"), length), "{name} {at}");
    Some(at)
}

#[test]
fn nobody_sees_an_older_response_after_a_newer_one_nor_any_after_it_was_invalidated() {
    let folder = folder();
    let options = Options { memory: 300_000, disk: 8 * MIB, ..options(folder.path()) };
    let store = run(open(options));
    let (done, forgotten) = (AtomicBool::new(false), AtomicI64::new(0));
    std::thread::scope(|threads| {
        for reader in 0..2 {
            let (store, done) = (store.clone(), &done);
            threads.spawn(move || {
                run(async {
                    let (mut newest, mut looked) = (HashMap::new(), 0);
                    while !done.load(Acquire) {
                        let name = (looked * 7 + reader) % NAMES;
                        looked += 1;
                        if let Some(at) = seen(&store, &name.to_string()).await {
                            let before = newest.insert(name, at).unwrap_or(0);
                            assert!(before <= at, "{name}: {before}, and then {at}");
                        }
                    }
                    assert!(looked > 100);
                });
            });
        }
        // one writer for each half of the names
        let writers = [0, 1].map(|half| {
            let (store, forgotten) = (store.clone(), &forgotten);
            threads.spawn(move || {
                run(async {
                    for at in 1..400 {
                        let number = (at as usize * 5 % (NAMES / 2)) * 2 + half;
                        let name = number.to_string();
                        store.put(key(&name), version(&name, at), store.epoch());
                        if at % 11 == 0 {
                            store.invalidate(&key(&name));
                            assert_eq!(seen(&store, &name).await, None, "{name} after it was invalidated");
                            forgotten.fetch_add(1, Relaxed);
                        } else if let Some(found) = seen(&store, &name).await {
                            assert_eq!(found, at, "{name}: its own");
                        }
                        if at % 37 == 0 {
                            store.flush().await;
                        }
                        if at % 190 == 0 && half == 0 {
                            store.clear().await.expect("cleared");
                        }
                    }
                });
            })
        });
        let written = writers.map(|writer| writer.join());
        // readers end also where a writer failed
        done.store(true, Release);
        written.into_iter().for_each(|written| written.expect("a writer"));
    });
    assert!(forgotten.into_inner() > 50);
    run(store.close());
}

#[test]
fn nobody_sees_what_is_being_cleared_where_a_newer_response_is_not_taken_in_any_more() {
    for memory in [0, 16 * MIB] {
        let folder = folder();
        let (busy, is_busy) = mpsc::channel::<()>();
        let (go, may_go) = mpsc::channel::<()>();
        let may_go = Mutex::new(may_go);
        // a sweep that keeps the writer from everything else
        let is_dead = move |_: &StoredHead| busy.send(()).is_ok() && may_go.lock().unwrap().recv().is_ok();
        let store = Store::open_with(Options { memory, ..options(folder.path()) }, is_dead, None);
        run(async {
            store.opened().await;
            store.put(key("a"), version("a", 1), store.epoch());
            store.flush().await;
            store.put(key("b"), version("b", 1), store.epoch());
            let mut sweep = std::pin::pin!(store.sweep());
            assert!((&mut sweep).now_or_never().is_none());
            is_busy.recv().unwrap();
            let epoch = store.epoch();
            let mut clear = std::pin::pin!(store.clear());
            assert!((&mut clear).now_or_never().is_none());
            for name in ["a", "b"] {
                store.put(key(name), version(name, 2), epoch);
                assert!(store.recall(&key(name)).is_none());
                assert_eq!(seen(&store, name).await, None, "{name} while it is being cleared");
            }
            drop(go);
            sweep.await;
            assert_eq!(clear.await.expect("cleared").responses, 2);
            store.put(key("a"), version("a", 3), store.epoch());
            assert_eq!((seen(&store, "a").await, seen(&store, "b").await), (Some(3), None));
            store.close().await;
        });
    }
}

#[test]
fn a_response_whose_generation_is_dropped_while_it_is_read_is_found_where_it_went() {
    run(async {
        let folder = folder();
        let options = Options { disk: 16 * MIB, max_object: 4 * MIB, ..disk_only(folder.path()) };
        let store = open(options.clone()).await;
        put_large(&store, "large", 400_000).await;
        store.flush().await;
        for _ in 0..20 {
            assert!(found(&store, "large").await.is_some());
        }
        let (reads, is_read) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let reading = std::thread::spawn({
            let shared = store.0.shared.clone();
            move || {
                shared.newest(Print::of(&key("large")), |generation| {
                    let Some(Record { body: RecordBody::Beside(home), .. }) =
                        generation.database.find(&key("large"))?
                    else {
                        return Ok(None);
                    };
                    // waits until the generation is gone, and not again after that
                    let _ = reads.send(generation.number).map(|()| may_go.recv());
                    generation.find_body(home.location).map(Some)
                })
            }
        });
        assert_eq!(is_read.recv(), Ok(1));
        assert!(store.0.shared.catalog.generation(1).is_some());
        for number in 0..4_000 {
            put(&store, &format!("cold {number}"), 20_000);
            if number % 20 == 0 {
                store.flush().await;
                if store.0.shared.catalog.generation(1).is_none() {
                    break;
                }
            }
        }
        assert!(store.0.shared.catalog.generation(1).is_none(), "it was to be dropped");
        drop(go);
        let read = reading.join().expect("the reader").expect("readable");
        let Some(FoundBody::Disk(read)) = read else { panic!("it was to be found") };
        assert_ne!(is_read.recv(), Ok(1));
        assert_eq!(whole(&StoredBody::Disk(read)).await.expect("readable"), content("large", 400_000));
        assert_eq!(store.stats().damaged, 0);
    });
}
