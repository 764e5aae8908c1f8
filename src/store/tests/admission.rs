use std::path::Path;

use super::support::*;
use crate::store::{AdmitError, Options, State, Store};

/// A store whose disk cannot be used: there is a file in place of its folder.
async fn without_disk(folder: &Path, memory: u64) -> Store {
    let options = Options { memory, ..options(folder) };
    std::fs::write(&options.folder, "no folder").expect("written");
    let store = open(options).await;
    assert!(matches!(store.stats().state, State::Down(_)));
    store
}

#[test]
fn a_body_that_is_longer_than_max_object_is_not_admitted_and_any_other_is() {
    run(async {
        let folder = folder();
        let store = open(options(folder.path())).await;
        for length in [None, Some(0), Some(100_000), Some(1_000_000), Some(64 * MIB)] {
            assert_eq!(store.admits(length), Ok(()), "{length:?}");
        }
        let refused = store.admits(Some(64 * MIB + 1)).expect_err("it is too long");
        assert_eq!(refused, AdmitError::LargerThanMaxObject(64 * MIB));
        assert_eq!(refused.to_string(), "larger than --max-object");
    });
}

#[test]
fn a_large_body_is_admitted_exactly_if_it_can_be_begun() {
    run(async {
        let folder = folder();
        let options = Options { disk: 24 * MIB, max_object: 6 * MIB, ..options(folder.path()) };
        let store = open(options).await;
        let mut begun = Vec::new();
        for number in 0..4 {
            let admitted = store.admits(Some(5 * MIB));
            let body = store.begin_body(Some(5 * MIB));
            assert_eq!(admitted.is_ok(), body.is_ok(), "{number}: {admitted:?}");
            assert_eq!(admitted, if number < 2 { Ok(()) } else { Err(AdmitError::NoRoom) });
            begun.extend(body);
        }
        assert_eq!(AdmitError::NoRoom.to_string(), "the cache has no room");
        assert_eq!(store.admits(Some(200_000)), Ok(()), "small bodies need no promise");
        assert_eq!(store.admits(None), Ok(()));
        begun.pop();
        assert_eq!(store.admits(Some(5 * MIB)), Ok(()));
    });
}

#[test]
fn without_a_disk_what_memory_holds_is_admitted_and_what_is_longer_is_not() {
    run(async {
        let folder = folder();
        let store = without_disk(folder.path(), 16 * MIB).await;
        for length in [None, Some(0), Some(200_000)] {
            assert_eq!(store.admits(length), Ok(()), "{length:?}");
        }
        put(&store, "a", 200_000);
        assert!(store.recall(&key("a")).is_some());
        assert_eq!(store.admits(Some(300_000)), Err(AdmitError::NotAvailable));
        assert!(store.begin_body(Some(300_000)).is_err());
        assert_eq!(AdmitError::NotAvailable.to_string(), "the cache is not available");
    });
}

#[test]
fn without_disk_and_memory_tier_a_body_is_admitted_until_no_more_may_wait_for_the_disk() {
    run(async {
        let folder = folder();
        let store = without_disk(folder.path(), 0).await;
        let mut number = 0;
        while store.admits(Some(100_000)).is_ok() {
            let name = number.to_string();
            put(&store, &name, 100_000);
            assert!(store.lookup(&key(&name)).await.is_some(), "{name} was admitted");
            number += 1;
        }
        assert_eq!(store.admits(Some(100_000)), Err(AdmitError::NotAvailable));
        assert!(number > 10);
        put(&store, "more", 100_000);
        assert!(store.lookup(&key("more")).await.is_none());
    });
}
