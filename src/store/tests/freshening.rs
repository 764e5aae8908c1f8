//! A response that the origin confirmed gets a new head, and its body stays where it is.

use std::path::{Path, PathBuf};

use super::{damage::copied, support::*};
use crate::{
    clock::Timestamp,
    message::StoredHead,
    store::format::sums::{PIECE, WRITTEN},
    store::{Options, Slot, Store, StoredBody, StoredResponse},
};

/// Gives a stored response another head, as a 304 does.
async fn freshen(store: &Store, name: &str, at: i64) {
    let held = found(store, name).await.unwrap_or_else(|| panic!("{name} is not found"));
    let mut head = held.head.clone();
    head.response_time = Timestamp(at);
    store.freshen(key(name), &held, head, store.epoch());
}

/// Bytes of all files of bodies.
fn bytes_of_bodies(folder: &Path) -> u64 {
    let generations = std::fs::read_dir(folder.join("live")).expect("a folder").flatten();
    let files = generations.filter_map(|entry| std::fs::read_dir(entry.path()).ok()).flat_map(|files| files.flatten());
    let bodies = files.filter(|file| file.path().extension().is_some_and(|kind| kind == "seg" || kind == "body"));
    bodies.map(|file| file.metadata().map_or(0, |about| about.len())).sum()
}

async fn assert_freshened(store: &Store, name: &str, at: i64, length: usize) {
    assert_eq!(found(store, name).await.expect("found").head.response_time, Timestamp(at), "{name}");
    assert_eq!(served(store, name).await, Some(content(name, length)), "{name}");
}

#[test]
fn a_confirmed_response_gets_a_new_head_and_its_body_is_not_written_again() {
    for memory in [0, 16 * MIB] {
        run(async {
            let folder = folder();
            let options = Options { memory, ..options(folder.path()) };
            let store = open(options.clone()).await;
            let stored = [("inline", 200), ("small", 300), ("usual", 30_000), ("long", 250_000)];
            stored.iter().for_each(|(name, length)| put(&store, name, *length));
            put_large(&store, "large", 400_000).await;
            let stored = [&stored[..], &[("large", 400_000)]].concat();
            store.flush().await;
            let before = bytes_of_bodies(&options.folder);
            for at in 0..20 {
                for (name, _) in &stored {
                    freshen(&store, name, at).await;
                }
                store.flush().await;
            }
            assert_eq!(bytes_of_bodies(&options.folder), before);
            for (name, length) in &stored {
                assert_freshened(&store, name, 19, *length).await;
            }
            store.close().await;
            let store = open(options).await;
            for (name, length) in &stored {
                assert_freshened(&store, name, 19, *length).await;
            }
            assert_eq!(store.stats().damaged, 0);
        });
    }
}

/// The golden folder was written with records of version 2, whose sums are made in another way.
#[test]
fn a_folder_with_records_of_version_2_answers_and_its_responses_get_new_heads() {
    run(async {
        let folder = folder();
        let options = Options { memory: 0, ..options(folder.path()) };
        let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/folder-v2");
        copied(&golden, &options.folder);
        let store = open(options.clone()).await;
        let stored = [("inline", 200), ("small", 300), ("usual", 70_000), ("large", 66_000)];
        for (name, length) in stored {
            assert_eq!(served(&store, name).await, Some(content(name, length)), "{name}");
            freshen(&store, name, 1).await;
        }
        put(&store, "new", 70_000);
        store.close().await;
        let store = open(options).await;
        for (name, length) in stored {
            assert_freshened(&store, name, 1, length).await;
        }
        assert_eq!(served(&store, "new").await, Some(content("new", 70_000)));
        assert_eq!((store.stats().damaged, store.stats().responses), (0, 5));
        store.close().await;
    });
}

/// Two bodies with the same sum: XXH3 multiplies eight bytes at a time, and where the lower half of them is the same as that of
/// its secret, the product is 0 whatever the upper half is. The sum of the upper halves is the same in both.
fn with_the_same_sum() -> [Vec<u8>; 2] {
    let mut body = vec![b'x'; 20_000];
    for (at, lower) in [(0, [0xb8, 0xfe, 0x6c, 0x39]), (64, [0x7c, 0x01, 0x81, 0x2c])] {
        body[at..at + 4].copy_from_slice(&lower);
    }
    let mut other = body.clone();
    (other[4], other[68]) = (b'y', b'w');
    [body, other]
}

#[test]
fn a_new_body_takes_the_place_of_one_with_the_same_sum() {
    run(async {
        let folder = folder();
        let options = Options { memory: 0, ..options(folder.path()) };
        let [old, new] = with_the_same_sum();
        assert_eq!(WRITTEN.of_pieces(&old, PIECE), WRITTEN.of_pieces(&new, PIECE));
        let store = open(options.clone()).await;
        for body in [&old, &new] {
            let body = StoredBody::Memory(body.clone().into());
            store.put(key("a"), StoredResponse { body, ..response("a", 0) }, store.epoch());
            store.flush().await;
        }
        store.close().await;
        let store = open(options).await;
        assert_eq!(served(&store, "a").await, Some(Content(new.into())));
        store.close().await;
    });
}

/// Puts what nobody asks for again until this holds, at most so often.
async fn put_others(store: &Store, most: usize, until: impl Fn(&Store) -> bool) {
    for number in 0..most {
        put(store, &format!("other {number}"), 20_000);
        if number % 20 == 0 {
            store.flush().await;
            for name in ["asked for", "large"] {
                store.lookup(&key(name)).await;
            }
            if until(store) {
                return;
            }
        }
    }
    panic!("{:?}", store.stats());
}

#[test]
fn a_body_stays_while_a_record_in_a_later_generation_names_it_and_leaves_with_its_own_generation() {
    run(async {
        let folder = folder();
        let options = Options { disk: 16 * MIB, max_object: 4 * MIB, ..disk_only(folder.path()) };
        let store = open(options.clone()).await;
        // the last one is never asked for again
        let stored = [("asked for", 100_000), ("large", 400_000), ("forsaken", 100_000)];
        put(&store, "asked for", 100_000);
        put(&store, "forsaken", 100_000);
        put_large(&store, "large", 400_000).await;
        store.flush().await;
        let entry = |store: &Store, name| store.0.shared.catalog.entry(&key(name)).expect("an entry");
        put_others(&store, 1_000, |store| store.0.shared.catalog.generation(2).is_some()).await;
        for (name, _) in &stored {
            freshen(&store, name, 7).await;
        }
        store.flush().await;
        for reopened in [false, true] {
            if reopened {
                store.close().await;
            }
            let store = if reopened { open(options.clone()).await } else { store.clone() };
            for (name, length) in &stored[..2] {
                assert!(entry(&store, name).generation > 1 && entry(&store, name).body == 1, "{name}");
                assert_freshened(&store, name, 7, *length).await;
            }
            store.sweep().await;
            for (name, length) in &stored[..2] {
                assert_freshened(&store, name, 7, *length).await;
            }
            if reopened {
                put_others(&store, 4_000, |store| store.0.shared.catalog.generation(1).is_none()).await;
                for (name, length) in &stored[..2] {
                    assert_freshened(&store, name, 7, *length).await;
                    assert!(entry(&store, name).body > 1, "{name}");
                }
                assert!(found(&store, "forsaken").await.is_none());
                store.close().await;
                let store = open(options.clone()).await;
                assert_freshened(&store, "large", 7, 400_000).await;
                assert_eq!(store.stats().damaged, 0);
            }
        }
    });
}

#[test]
fn a_dead_response_gives_the_body_back_that_is_in_an_older_generation() {
    run(async {
        let folder = folder();
        let is_dead = |head: &StoredHead| head.response_time == Timestamp(9);
        let store = Store::open_with(Options { disk: 16 * MIB, ..disk_only(folder.path()) }, is_dead, None);
        store.opened().await;
        put_large(&store, "large", 400_000).await;
        store.flush().await;
        put_others(&store, 1_000, |store| store.0.shared.catalog.generation(2).is_some()).await;
        freshen(&store, "large", 9).await;
        store.flush().await;
        assert_eq!(body_files(&folder.path().join("cache")).len(), 1);
        assert_eq!(store.sweep().await, 1);
        assert!(found(&store, "large").await.is_none());
        removed(&store).await;
        assert_eq!(body_files(&folder.path().join("cache")), [""; 0].map(std::path::PathBuf::from));
    });
}

/// What is known of a key.
#[derive(Debug, Clone, Copy)]
struct Known {
    length: usize,
    /// Tells its bodies apart.
    version: u64,
    at: i64,
}

#[test]
fn whatever_is_put_confirmed_forgotten_evicted_and_reopened_only_the_newest_is_found() {
    run(async {
        let mut random = Random::seeded();
        let folder = folder();
        let memory = [0, 16 * MIB][random.below(2) as usize];
        let options = Options { disk: 16 * MIB, max_object: 4 * MIB, memory, ..options(folder.path()) };
        let mut store = open(options.clone()).await;
        let mut all: Vec<Option<Known>> = vec![None; 40];
        let (mut confirmed, mut evicted) = (0, 0);
        for step in 0..800_u64 {
            let of = random.below(all.len() as u64) as usize;
            let (name, at) = (format!("key {of}"), step as i64);
            let body = |known: Known| content(&format!("{name} {}", known.version), known.length);
            match random.below(20) {
                0..4 => {
                    let length = [100, 300, 5_000, 70_000, 250_000, 400_000][random.below(6) as usize];
                    let known = Known { length, version: random.below(3), at };
                    let mut put = response(&name, 0);
                    put.head.response_time = Timestamp(at);
                    put.body = match length {
                        400_000 => StoredBody::Disk(
                            fill(&store, &format!("{name} {}", known.version), length).await.expect("room"),
                        ),
                        _ => StoredBody::Memory(body(known).0),
                    };
                    store.put(key(&name), put, store.epoch());
                    all[of] = Some(known);
                }
                4..10 if found(&store, &name).await.is_some() => {
                    freshen(&store, &name, at).await;
                    confirmed += 1;
                    all[of].as_mut().expect("known").at = at;
                }
                10 => {
                    store.invalidate(&key(&name));
                    all[of] = None;
                }
                11..14 => put(&store, &format!("other {step}"), 200_000),
                14 if random.below(20) == 0 => {
                    evicted += store.stats().evicted;
                    store.close().await;
                    store = open(options.clone()).await;
                }
                15 if random.below(10) == 0 => assert_eq!(store.sweep().await, 0),
                16..18 => store.flush().await,
                _ => {}
            }
            match (found(&store, &name).await, all[of]) {
                (None, _) => all[of] = None,
                (Some(found), Some(known)) => {
                    assert_eq!(found.head.response_time, Timestamp(known.at), "{name} at {step}");
                    assert_eq!(whole(&found.body).await.expect("readable"), body(known), "{name} at {step}");
                }
                (Some(_), None) => panic!("{name} was forgotten before {step}"),
            }
            assert_eq!(store.stats().damaged, 0, "at {step}");
        }
        evicted += store.stats().evicted;
        assert!(confirmed > 40 && evicted > 10, "{confirmed} {evicted}");
    });
}

#[test]
fn what_was_put_since_the_lookup_is_not_replaced_by_a_confirmation_of_what_was_there_before() {
    for memory in [0, 16 * MIB] {
        run(async {
            let folder = folder();
            let store = open(Options { memory, ..options(folder.path()) }).await;
            for (name, is_flushed) in [("waiting", false), ("written", true)] {
                put(&store, name, 3_000);
                store.flush().await;
                let old = found(&store, name).await.expect("found");
                let mut new = response(name, 0);
                // as long as the old one
                new.head.response_time = Timestamp(1_300);
                new.body = StoredBody::Memory(content("new", 3_000).0);
                store.put(key(name), new, store.epoch());
                if is_flushed {
                    store.flush().await;
                }
                store.freshen(
                    key(name),
                    &old,
                    StoredHead { response_time: Timestamp(9), ..old.head.clone() },
                    store.epoch(),
                );
                assert_eq!(served(&store, name).await, Some(content("new", 3_000)), "--memory {memory}, {name}");
                // what is stored now can be confirmed
                store.flush().await;
                let new = found(&store, name).await.expect("found");
                store.freshen(
                    key(name),
                    &new,
                    StoredHead { response_time: Timestamp(9), ..new.head.clone() },
                    store.epoch(),
                );
                assert_eq!(found(&store, name).await.expect("found").head.response_time, Timestamp(9), "{name}");
            }
        });
    }
}

#[test]
fn of_a_put_and_a_confirmation_at_the_same_time_the_put_stays() {
    const ROUNDS: usize = 3_000;
    let folder = folder();
    let store = run(open(options(folder.path())));
    let body = |round: usize| content(&round.to_string(), 300).0;
    let put_round = |round: usize| {
        let mut stored = StoredResponse { body: StoredBody::Memory(body(round)), ..response("a", 0) };
        stored.head.response_time = Timestamp(round as i64);
        store.put(key("a"), stored, store.epoch());
    };
    put_round(0);
    for round in 1..ROUNDS {
        let Some(Slot::Response(old)) = store.recall(&key("a")) else { panic!("it is not found") };
        let begin = std::sync::Barrier::new(2);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                begin.wait();
                put_round(round);
            });
            begin.wait();
            let head = StoredHead { response_time: Timestamp(-1), ..old.head.clone() };
            store.freshen(key("a"), &old, head, store.epoch());
        });
        let Some(Slot::Response(now)) = store.recall(&key("a")) else { panic!("it is not found") };
        let StoredBody::Memory(bytes) = &now.body else { panic!("it is short") };
        assert!(*bytes == body(round), "{round}");
    }
}
