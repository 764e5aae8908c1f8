//! Parts of a representation: each is a stored response of its own, and all of a URL go together.

use super::support::*;
use crate::{
    clock::Timestamp,
    key::CacheKey,
    message::{FieldName, FieldValue, Part},
    purge::{Strength, Target},
    store::{Slot, Store, StoredBody, StoredResponse},
};

const COMPLETE: u64 = 3_000_000;

/// The bytes `first..=last` of the file with this name, as they came at this time.
fn part(name: &str, first: u64, last: u64, at: i64) -> StoredResponse {
    let mut head = head(name);
    let part = Part { first, last, complete: Some(COMPLETE) };
    head.part = Some(part);
    head.response_time = Timestamp(at);
    head.head.fields.set(FieldName::from_static("content-length"), FieldValue::from(part.length()));
    let bytes = content(name, COMPLETE as usize).0.slice(first as usize..=last as usize);
    StoredResponse { key: part_key(name, first, last), head, body: StoredBody::Memory(bytes), ..response(name, 0) }
}

fn part_key(name: &str, first: u64, last: u64) -> CacheKey {
    key(name).part(first, last, name.as_bytes())
}

fn put_parts(store: &Store, parts: &[(u64, u64)]) {
    for ((first, last), at) in parts.iter().zip(1..) {
        store.put(key("f"), part("f", *first, *last, at), store.epoch());
    }
}

/// The parts that are found, the newest first.
async fn parts_of(store: &Store, name: &str) -> Vec<(u64, u64)> {
    let Some(Slot::Variants(list)) = store.lookup(&key(name)).await else { return Vec::new() };
    let mut parts = Vec::new();
    for known in list.iter() {
        let Some(Slot::Response(stored)) = store.lookup(&known.key).await else { continue };
        assert_eq!(stored.head.part, known.part);
        let Part { first, last, .. } = known.part.expect("a part");
        let expected = content(name, COMPLETE as usize).0.slice(first as usize..=last as usize);
        assert!(whole(&stored.body).await.expect("a body").0 == expected, "other bytes");
        parts.push((first, last));
    }
    parts
}

#[test]
fn parts_stand_beside_each_other_and_are_found_after_a_restart() {
    run(async {
        let folder = folder();
        for options in [options(folder.path()), disk_only(folder.path())] {
            let _ = std::fs::remove_dir_all(&options.folder);
            let store = open(options.clone()).await;
            put_parts(&store, &[(0, 99), (500, 999_999), (2_000_000, 2_100_000)]);
            let expected = [(2_000_000, 2_100_000), (500, 999_999), (0, 99)];
            assert_eq!(parts_of(&store, "f").await, expected);
            store.flush().await;
            assert_eq!(parts_of(&store, "f").await, expected);
            store.close().await;
            let store = open(options).await;
            assert_eq!(parts_of(&store, "f").await, expected);
            // some go, the others stay
            store.forget_variants(&key("f"), &[part_key("f", 500, 999_999)]);
            assert_eq!(parts_of(&store, "f").await, [(2_000_000, 2_100_000), (0, 99)]);
            store.flush().await;
            assert_eq!((parts_of(&store, "f").await.len(), store.stats().responses), (2, 2));
            store.forget_variants(&key("f"), &[part_key("f", 0, 99), part_key("f", 2_000_000, 2_100_000)]);
            // the whole takes their place, under the key of the URL
            put_large(&store, "f", COMPLETE as usize).await;
            assert_eq!(served(&store, "f").await, Some(content("f", COMPLETE as usize)));
            store.close().await;
        }
    });
}

#[test]
fn an_invalidation_a_purge_and_a_clearing_reach_every_part() {
    run(async {
        let folder = folder();
        for options in [options(folder.path()), disk_only(folder.path())] {
            let _ = std::fs::remove_dir_all(&options.folder);
            let store = open(options).await;
            for (way, flushed) in (0..3).flat_map(|way| [(way, false), (way, true)]) {
                put_parts(&store, &[(0, 99), (500, 999_999)]);
                if flushed {
                    store.flush().await;
                }
                let keys = [part_key("f", 0, 99), part_key("f", 500, 999_999)];
                match way {
                    0 => store.invalidate(&key("f")),
                    1 => {
                        let target = Target::url("http://origin.test", None, "/f");
                        store.purge(target, Strength::Hard, Timestamp(1_795_000_000_000)).await.expect("on the disk");
                    }
                    _ => _ = store.clear().await.expect("cleared"),
                }
                assert_eq!(parts_of(&store, "f").await, [], "{way} {flushed}");
                for key in keys {
                    assert!(store.lookup(&key).await.is_none(), "{way} {flushed}");
                }
                // a purge reaches what was asked for before it
                if way == 1 {
                    store.clear().await.expect("cleared");
                }
            }
            store.close().await;
        }
    });
}
