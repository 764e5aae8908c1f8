//! What is done behind an opening.

use std::fs;

use super::support::*;

#[test]
fn what_bodies_occupy_is_guessed_at_opening_and_counted_behind_it() {
    run(async {
        let folder = folder();
        let options = disk_only(folder.path());
        let store = open(options.clone()).await;
        // the longer ones are guessed well, the shorter ones not at all
        for (number, length) in [300_000, 40_000, 40_000, 40_000].into_iter().cycle().take(80).enumerate() {
            put_large(&store, &format!("large {number}"), length).await;
        }
        store.close().await;
        let store = open(options.clone()).await;
        let occupied = du(&options.folder);
        let close = |used: u64| used.abs_diff(occupied) < 100_000;
        let mut beats = 0..5_000;
        while !close(store.stats().disk_used) {
            assert!(beats.next().is_some(), "{occupied} bytes are occupied, not {}", store.stats().disk_used);
            beat(1).await;
        }
        // what came after the guess is not counted twice
        put_large(&store, "later", 200_000).await;
        store.flush().await;
        assert!(store.stats().disk_used.abs_diff(occupied + 200_000) < 100_000);
        assert_eq!(served(&store, "large 1").await, Some(content("large 1", 40_000)));
    });
}

#[test]
fn what_was_forgotten_before_a_crash_is_removed_behind_an_opening() {
    run(async {
        let folder = folder();
        let options = disk_only(folder.path());
        open(options.clone()).await.close().await;
        let gone = options.folder.join("gone-3");
        fs::create_dir(&gone).and_then(|()| fs::write(gone.join("1.body"), [0; 100])).expect("written");
        let store = open(options).await;
        removed(&store).await;
        assert!(!gone.exists());
    });
}
