use std::sync::{Arc, Mutex};

use super::support::*;
use crate::{
    message::StoredHead,
    store::{Options, Store},
};

/// A store to which whatever has "dead" in its name is dead.
async fn opened(options: Options) -> Store {
    let store = Store::open_with(options, |head| head.line.path_and_query().contains("dead"), None);
    store.opened().await;
    store
}

#[test]
fn what_is_long_dead_goes_by_itself_and_gives_its_space_back() {
    run(async {
        let folder = folder();
        let store = opened(disk_only(folder.path())).await;
        for number in 0..600 {
            put(&store, &format!("dead {number}"), 20_000);
            if number % 10 == 0 {
                put(&store, &format!("living {number}"), 200 + number * 50);
            }
            if number % 100 == 0 {
                store.flush().await;
            }
        }
        put_large(&store, "dead large", 3_000_000).await;
        put_large(&store, "living large", 3_000_000).await;
        store.flush().await;
        let before = du(folder.path());

        assert_eq!(store.sweep().await, 601);
        removed(&store).await;
        let after = du(folder.path());
        assert!(after < before / 2, "{before} bytes before, {after} after");
        assert_eq!((store.stats().responses, store.stats().swept, store.stats().evicted), (61, 601, 0));
        // what goes into the place of what went stays
        put(&store, "dead 7", 300);
        store.flush().await;
        for reopened in [false, true] {
            if reopened {
                store.close().await;
            }
            let store = if reopened { open(disk_only(folder.path())).await } else { store.clone() };
            assert_eq!(served(&store, "dead 1").await, None);
            assert_eq!(served(&store, "dead large").await, None);
            assert_eq!(served(&store, "dead 7").await, Some(content("dead 7", 300)));
            assert_eq!(served(&store, "living large").await, Some(content("living large", 3_000_000)));
            for number in (0..600).step_by(10) {
                let name = format!("living {number}");
                assert_eq!(served(&store, &name).await, Some(content(&name, 200 + number * 50)), "{name}");
            }
        }
    });
}

#[test]
fn a_list_of_variants_goes_when_none_of_them_is_left() {
    run(async {
        let folder = folder();
        let store = opened(disk_only(folder.path())).await;
        for (name, language) in [("dead", "de"), ("dead", "fr"), ("living", "de")] {
            let stored = variant(name, language, 1);
            store.put(key(name), stored, store.epoch());
        }
        store.flush().await;
        assert_eq!(store.sweep().await, 2);
        store.sweep().await;
        assert!(store.lookup(&key("dead")).await.is_none());
        assert!(store.lookup(&key("living")).await.is_some());
        assert_eq!(store.sweep().await, 0);
    });
}

#[test]
fn bodies_that_no_record_names_are_swept_away_and_no_others() {
    run(async {
        let folder = folder();
        let options = disk_only(folder.path());
        let store = opened(options.clone()).await;
        put_large(&store, "living large", 3_000_000).await;
        store.flush().await;
        let live = options.folder.join("live/fresh-1");
        let orphan = live.join("77.body");
        std::fs::write(&orphan, vec![0; 1_000_000]).expect("written");
        let bodies = || std::fs::read_dir(&live).expect("a folder").count();
        let before = bodies();
        store.sweep().await;
        removed(&store).await;
        assert!(!orphan.exists());
        assert_eq!(bodies(), before - 1);
        assert_eq!(served(&store, "living large").await, Some(content("living large", 3_000_000)));
    });
}

#[test]
fn a_generation_is_looked_through_in_the_order_of_its_database() {
    run(async {
        let folder = folder();
        let looked_at = Arc::new(Mutex::new(Vec::new()));
        let is_dead = {
            let looked_at = looked_at.clone();
            move |head: &StoredHead| {
                let name = head.line.path_and_query().strip_prefix('/').expect("a path");
                looked_at.lock().expect("unpoisoned").push(key(name).0);
                false
            }
        };
        let store = Store::open_with(disk_only(folder.path()), is_dead, None);
        store.opened().await;
        for number in 0..500 {
            put(&store, &number.to_string(), 100);
        }
        store.flush().await;
        store.sweep().await;
        let looked_at = looked_at.lock().expect("unpoisoned");
        assert_eq!(looked_at.len(), 500);
        assert!(looked_at.is_sorted(), "each page of the database is read once only in this order");
    });
}
