use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use super::support::*;
use crate::store::{OpenError, State, Store, StoredBody, clear_folder, format::location::FileName, is_cache};

#[test]
fn a_second_store_on_a_folder_is_refused_and_the_first_one_unharmed() {
    run(async {
        let folder = folder();
        let options = options(folder.path());
        let lock = Store::lock(&options.folder).expect("the lock");
        let first = Store::open_with(options.clone(), |_| false, Some(lock));
        first.opened().await;
        assert!(matches!(Store::lock(&options.folder), Err(OpenError::Locked(_))));
        let second = open(options.clone()).await;
        assert!(matches!(second.stats().state, State::Down(_)));
        put(&second, "a", 10);
        put(&first, "b", 10);
        first.flush().await;
        assert!(second.recall(&key("a")).is_some(), "memory works without the disk");
        assert!(first.lookup(&key("b")).await.is_some());
        first.close().await;
        drop(second);
    });
}

#[test]
fn a_file_has_one_name() {
    use FileName::{Body, Segment};
    for (name, file) in
        [("0.seg", Some(Segment(0))), ("17.body", Some(Body(17))), ("+5.seg", None), ("05.seg", None), ("5", None)]
    {
        assert_eq!(FileName::parse(name), file, "{name}");
    }
}

#[test]
fn folders_are_ours_alone_and_files_too() {
    fn check(path: &Path) {
        let about = fs::symlink_metadata(path).expect("a file");
        let expected = if about.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(about.mode() & 0o777, expected, "{}", path.display());
        if about.is_dir() {
            fs::read_dir(path).expect("a folder").for_each(|file| check(&file.expect("a file").path()));
        }
    }
    run(async {
        let folder = folder();
        let options = options(folder.path());
        let store = open(options.clone()).await;
        put(&store, "small", 100);
        put(&store, "middle", 10_000);
        let _unfinished = fill(&store, "large", 500_000).await.expect("filled");
        store.flush().await;
        check(&options.folder);
    });
}

#[test]
fn a_folder_that_others_may_write_to_is_refused_in_words() {
    let folder = folder();
    let options = options(folder.path());
    fs::create_dir(&options.folder).expect("a folder");
    for mode in [0o777, 0o770, 0o702] {
        fs::set_permissions(&options.folder, Permissions::from_mode(mode)).expect("permissions");
        let refused = Store::lock(&options.folder).expect_err("it was taken");
        assert!(matches!(refused, OpenError::OpenToOthers(..)));
        assert!(refused.to_string().contains("chmod 700"), "{refused}");
    }
    fs::set_permissions(&options.folder, Permissions::from_mode(0o755)).expect("permissions");
    assert!(Store::lock(&options.folder).is_ok());
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    assert!(matches!(Store::lock(&file), Err(OpenError::NotAFolder(_))));
}

#[test]
fn a_folder_with_files_of_others_is_neither_used_nor_cleared() {
    for names in [&["live/photo"][..], &["live/cert", "archive/cert"], &["lock", "notes"], &["filling/recipe"]] {
        let folder = folder();
        let theirs = folder.path().join("theirs");
        for name in names {
            let file = theirs.join(name);
            std::fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
            std::fs::write(file, "theirs").expect("a file");
        }
        assert!(!is_cache(&theirs));
        let refused = Store::lock(&theirs).expect_err("refused").to_string();
        assert!(refused.contains("is not a cache folder") && refused.contains("--cache-dir"), "{refused}");
        assert!(matches!(clear_folder(&theirs), Err(OpenError::NotACache(_))));
        assert!(names.iter().all(|name| theirs.join(name).exists()));
    }
}

#[test]
fn a_cache_folder_is_known_by_its_tag_or_else_by_its_files() {
    let folder = folder();
    let cache = folder.path().join("cache");
    drop(Store::lock(&cache).expect("an empty folder becomes one"));
    assert!(is_cache(&cache));
    std::fs::remove_file(cache.join("CACHEDIR.TAG")).expect("removed");
    std::fs::create_dir(cache.join("set-aside-1")).expect("made");
    assert!(is_cache(&cache));
    drop(Store::lock(&cache).expect("taken"));
    assert!(cache.join("CACHEDIR.TAG").exists());
}

#[test]
fn a_store_that_was_closed_is_opened_again_at_once_while_this_process_starts_others() {
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !done.load(Relaxed) {
                    Command::new("true").status().expect("a process");
                }
            });
        }
        let all_opened = run(async {
            let folder = folder();
            let options = disk_only(folder.path());
            for number in 0..60 {
                let store = open(options.clone()).await;
                let stats = store.stats();
                if stats.state != State::Open || stats.set_aside > 0 {
                    return Err(format!("the {number}th time: {stats:?}"));
                }
                put(&store, "a", 1_000);
                store.close().await;
            }
            Ok(())
        });
        done.store(true, Relaxed);
        assert_eq!(all_opened, Ok(()));
    });
}

#[test]
fn a_clearing_while_a_retry_is_due_leaves_the_disk_open() {
    run(async {
        let folder = folder();
        let options = disk_only(folder.path());
        open(options.clone()).await.close().await;
        // a damaged generation on a disk that looks full
        let (live, filling) = (options.folder.join("live"), options.folder.join("filling"));
        fs::remove_dir_all(live.join("fresh-1/db")).expect("removed");
        fs::create_dir(live.join("fresh-1/db")).and_then(|()| fs::create_dir(live.join("probe"))).expect("made");
        fs::write(live.join("fresh-1/db/conf"), "no configuration of sled").expect("written");
        let store = open(options).await;
        assert!(matches!(store.stats().state, State::Down(_)), "{:?}", store.stats());

        store.clear().await.expect("cleared");
        assert_eq!(store.stats().state, State::Open);
        // an opening removes it, as it does with what a crash left
        let unfinished = fill(&store, "large", 400_000).await.expect("filled");
        // the first retry was due a second after the failure
        beat(1_500).await;
        assert_eq!(fs::read_dir(filling).expect("a folder").count(), 1, "it was opened over the open store");
        assert_eq!(store.stats().state, State::Open);
        drop(unfinished);
        store.close().await;
    });
}

#[test]
fn a_body_on_its_way_outlives_a_failure_of_the_disk() {
    run(async {
        let folder = folder();
        let options = disk_only(folder.path());
        let store = open(options.clone()).await;
        let mut writer = store.begin_body(None).expect("a writer");
        let bytes = content("large", 500_000).0;
        writer.append(vec![bytes.slice(..300_000)]).await.expect("appended");
        fs::remove_dir_all(options.folder.join("live")).expect("removed");
        put(&store, "small", 100);
        for is_open in [false, true] {
            let mut beats = 0..20_000;
            while (store.stats().state == State::Open) != is_open {
                assert!(beats.next().is_some(), "{:?}", store.stats().state);
                beat(1).await;
            }
        }
        writer.append(vec![bytes.slice(300_000..)]).await.expect("appended");
        let mut large = response("large", 0);
        large.body = StoredBody::Disk(writer.whole().finish(|body| body).await.expect("finished"));
        store.put(key("large"), large, store.epoch());
        store.close().await;
        assert_eq!(served(&open(options).await, "large").await, Some(content("large", 500_000)));
    });
}

#[test]
fn a_body_whose_file_cannot_be_moved_in_is_not_stored_and_everything_else_is() {
    run(async {
        let folder = folder();
        let options = disk_only(folder.path());
        let store = open(options.clone()).await;
        put(&store, "before", 3_000);
        store.flush().await;
        // where the next bodies go
        for number in 2..4 {
            fs::create_dir(options.folder.join(format!("live/fresh-1/{number}.body"))).expect("made");
        }
        put_large(&store, "large", 400_000).await;
        put(&store, "after", 3_000);
        store.flush().await;
        assert_eq!((store.stats().state, store.stats().errors), (State::Open, 0));
        assert_eq!(served(&store, "large").await, None);
        assert_eq!(served(&store, "before").await, Some(content("before", 3_000)));
        assert_eq!(served(&store, "after").await, Some(content("after", 3_000)));
        put_large(&store, "another", 400_000).await;
        put_large(&store, "large", 400_000).await;
        store.close().await;
        let store = open(options).await;
        assert_eq!(served(&store, "large").await, Some(content("large", 400_000)));
        assert_eq!(served(&store, "after").await, Some(content("after", 3_000)));
    });
}
