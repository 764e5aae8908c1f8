//! What is not a regular file in the place of a file of the store: a FIFO, on which an opening waits for ever, a folder, a
//! socket, a symbolic link.

use std::{fs, path::Path, sync::mpsc, time::Duration};

use super::{
    damage::{prepared, works},
    support::*,
};
use crate::store::{Options, Store, hop::PATIENCE, stats_of};

/// What `put_in_place` puts there.
const KINDS: [&str; 3] = ["fifo", "folder", "socket"];

/// Puts something of this kind in the place of a file or a folder.
fn put_in_place(kind: &str, path: &Path) {
    match path.is_dir() {
        true => fs::remove_dir_all(path).expect("removed"),
        false => _ = fs::remove_file(path),
    }
    match kind {
        "fifo" => rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).expect("a FIFO"),
        "folder" => fs::create_dir(path).expect("a folder"),
        "socket" => drop(std::os::unix::net::UnixListener::bind(path).expect("a socket")),
        _ => unreachable!("{kind}"),
    }
}

/// Does work on a thread of its own, and fails if that takes long: a FIFO could hold it up for ever.
fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    is_done.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|error| panic!("{what}: {error}"))
}

#[test]
fn a_fifo_in_place_of_a_file_blocks_no_start_and_is_set_aside() {
    let folder = folder();
    let options = Options { disk: 8 * MIB, ..disk_only(folder.path()) };
    for name in ["lock", "secret", "secret.new", "live/journal", "live/journal.new"] {
        run(prepared(&options));
        put_in_place("fifo", &options.folder.join(name));
        let kept = options.clone();
        in_time(name, move || {
            let lock = Store::lock(&kept.folder).expect("the lock");
            Store::secret(Some(&lock)).expect("a secret");
            drop(lock);
            run(works(&kept, name))
        });
        assert_eq!(stats_of(&options.folder).expect("stats").set_aside, 1, "{name}");
    }
}

#[test]
fn what_is_not_a_regular_file_in_place_of_bodies_is_damage_once_and_costs_no_time() {
    for (length, is_large) in [(3_000, false), (400_000, true)] {
        for kind in KINDS {
            let what = format!("{kind}, {length}");
            in_time(&what.clone(), move || run(bodies_in_odd_places(kind, length, is_large, what)));
        }
    }
}

async fn bodies_in_odd_places(kind: &str, length: usize, is_large: bool, what: String) {
    let folder = folder();
    let options = disk_only(folder.path());
    let store = open(options.clone()).await;
    for name in ["a", "b"] {
        if is_large { put_large(&store, name, length).await } else { put(&store, name, length) }
    }
    store.close().await;
    let bodies: &[&str] = if is_large { &["1.body", "2.body"] } else { &["1.seg"] };
    let places = bodies.iter().map(|name| options.folder.join("live/fresh-1").join(name));
    places.clone().for_each(|place| put_in_place(kind, &place));
    let store = open(options.clone()).await;
    for name in ["a", "b"] {
        let looked = tokio::time::timeout(PATIENCE / 2, found(&store, name)).await;
        assert!(looked.expect("it waits for somebody to write").is_none(), "{what}");
        put(&store, name, length);
    }
    let stats = store.stats();
    assert_eq!((stats.damaged, stats.errors), (2, 0), "{what}");
    assert_eq!(places.filter(|place| place.exists()).count(), 0, "{what}");
    store.close().await;
    let store = open(options).await;
    for name in ["a", "b"] {
        assert_eq!(served(&store, name).await, Some(content(name, length)), "{what}");
    }
    assert_eq!(store.stats().damaged, 0, "{what}");
    store.close().await;
}
