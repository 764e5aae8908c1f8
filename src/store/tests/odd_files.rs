//! What is not a regular file in the place of a file of the store: a FIFO, on which an opening waits for ever, a folder, a
//! socket, a symbolic link.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use super::{
    damage::{copied, prepared, works},
    support::*,
};
use crate::store::{Options, Store, clear_folder, hop::PATIENCE, stats_of};

/// What `put_in_place` puts there.
const KINDS: [&str; 4] = ["fifo", "folder", "socket", "link"];
/// What a symbolic link leads to: a file of somebody else.
const THEIRS: &str = "a file of somebody else, longer than a line of the journal";

/// Puts something of this kind in the place of a file or a folder.
fn put_in_place(kind: &str, path: &Path) {
    let path = &*path.components().collect::<PathBuf>();
    match path.is_dir() {
        true => fs::remove_dir_all(path).expect("removed"),
        false => _ = fs::remove_file(path),
    }
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    match kind {
        "fifo" => rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).expect("a FIFO"),
        "folder" => fs::create_dir(path).expect("a folder"),
        "socket" => drop(std::os::unix::net::UnixListener::bind(path).expect("a socket")),
        _ => {
            let theirs = theirs(path);
            fs::write(&theirs, THEIRS).expect("written");
            fs::set_permissions(&theirs, Permissions::from_mode(0o644)).expect("permissions");
            std::os::unix::fs::symlink(theirs, path).expect("a link");
        }
    }
}

/// The place of the file that a link leads to: outside of the cache folder.
fn theirs(path: &Path) -> PathBuf {
    let cache = path.ancestors().find(|folder| folder.ends_with("cache")).expect("a cache folder");
    cache.with_file_name("theirs")
}

/// The file that a link leads to is what it was.
fn leaves_theirs_alone(options: &Options, what: &str) {
    let theirs = theirs(&options.folder);
    if theirs.exists() {
        assert!(fs::read(&theirs).expect("a file") == THEIRS.as_bytes(), "{what}: it was written to");
        assert_eq!(fs::metadata(&theirs).expect("a file").mode() & 0o777, 0o644, "{what}");
    }
}

/// A cache in `folder` as `prepared` leaves it, and a copy of it in the folder of the options.
async fn prepared_once(folder: &Path) -> (Options, Options) {
    let broken = Options { disk: 8 * MIB, ..disk_only(folder) };
    let sound = Options { folder: folder.join("sound"), ..broken.clone() };
    prepared(&sound).await;
    copied(&sound.folder, &broken.folder);
    (sound, broken)
}

/// The oldest generation in a cache folder.
fn oldest(options: &Options) -> PathBuf {
    let live = options.folder.join("live");
    let number = (1..).find(|number| live.join(format!("fresh-{number}")).exists());
    live.join(format!("fresh-{}", number.expect("a generation")))
}

/// Does work on a thread of its own, and fails if that takes long: a FIFO could hold it up for ever.
fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    is_done.recv_timeout(Duration::from_secs(120)).unwrap_or_else(|error| panic!("{what}: {error}"))
}

#[test]
fn what_is_not_a_regular_file_in_place_of_one_blocks_no_start_is_not_followed_and_is_set_aside() {
    let folder = folder();
    let (sound, options) = run(prepared_once(folder.path()));
    for name in ["lock", "secret", "secret.new", "live/journal", "live/journal.new"] {
        for kind in KINDS {
            let what = format!("{kind} {name}");
            copied(&sound.folder, &options.folder);
            put_in_place(kind, &options.folder.join(name));
            let kept = options.clone();
            in_time(&what.clone(), move || {
                let lock = Store::lock(&kept.folder).expect("the lock");
                Store::secret(Some(&lock)).expect("a secret");
                drop(lock);
                run(works(&kept, &what))
            });
            assert_eq!(stats_of(&options.folder).expect("stats").set_aside, 1, "{kind} {name}");
            leaves_theirs_alone(&options, name);
        }
    }
}

#[test]
fn what_is_not_a_regular_file_in_a_database_costs_that_generation_alone() {
    let folder = folder();
    let (sound, options) = run(prepared_once(folder.path()));
    for name in ["db/db", "db/conf", "db/blobs/1", "db/blobs", "db", ""] {
        for kind in KINDS.into_iter().filter(|kind| *kind != "folder" || ["db/db", "db/conf"].contains(&name)) {
            let what = format!("{kind} {name}");
            copied(&sound.folder, &options.folder);
            put_in_place(kind, &oldest(&options).join(name));
            let kept = options.clone();
            let found = in_time(&what.clone(), move || run(works(&kept, &what)));
            assert!(found > 0, "{kind} {name}: nothing else is found");
            assert_eq!(stats_of(&options.folder).expect("stats").set_aside, 1, "{kind} {name}");
            leaves_theirs_alone(&options, name);
        }
    }
}

#[test]
fn a_link_in_place_of_the_file_that_tries_the_disk_is_not_followed() {
    let folder = folder();
    let (_, options) = run(prepared_once(folder.path()));
    fs::write(oldest(&options).join("db/conf"), "no configuration of sled").expect("written");
    for kind in ["link", "fifo"] {
        put_in_place(kind, &options.folder.join("live/probe"));
        let kept = options.clone();
        in_time(kind, move || run(works(&kept, kind)));
        leaves_theirs_alone(&options, kind);
    }
}

#[test]
fn what_is_not_a_folder_in_place_of_one_is_not_followed_and_is_set_aside() {
    let folder = folder();
    let (sound, options) = run(prepared_once(folder.path()));
    for name in ["live", "filling"] {
        for kind in ["fifo", "socket", "link", "link to a folder"] {
            let what = format!("{kind} {name}");
            copied(&sound.folder, &options.folder);
            let place = options.folder.join(name);
            put_in_place(kind, &place);
            if kind == "link to a folder" {
                fs::remove_file(theirs(&place)).and_then(|()| fs::create_dir(theirs(&place))).expect("a folder");
                fs::write(theirs(&place).join("1"), THEIRS).expect("written");
            }
            let kept = options.clone();
            in_time(&what.clone(), move || run(works(&kept, &what)));
            assert_eq!(stats_of(&options.folder).expect("stats").set_aside, 1, "{kind} {name}");
            match kind {
                "link to a folder" => {
                    assert_eq!(fs::read_to_string(theirs(&place).join("1")).expect("a file"), THEIRS);
                    assert_eq!(fs::read_dir(theirs(&place)).expect("a folder").count(), 1);
                    fs::remove_dir_all(theirs(&place)).expect("removed");
                }
                _ => leaves_theirs_alone(&options, name),
            }
        }
    }
}

#[test]
fn figures_of_a_folder_name_what_is_not_a_regular_file_and_a_clearing_removes_it() {
    let folder = folder();
    let (sound, options) = run(prepared_once(folder.path()));
    for name in ["live", "live/journal", "filling"] {
        for kind in ["fifo", "socket", "link"] {
            let what = format!("{kind} {name}");
            copied(&sound.folder, &options.folder);
            put_in_place(kind, &options.folder.join(name));
            let cache = options.folder.clone();
            let stats = in_time(&what, move || stats_of(&cache));
            if name != "filling" {
                let error = stats.expect_err("figures of nothing").to_string();
                let place = options.folder.join(name);
                assert!(error.contains(&format!("{} is not a", place.display())), "{error}");
            }
            let cache = options.folder.clone();
            in_time(&what, move || clear_folder(&cache)).expect("cleared");
            assert!(!options.folder.join("live").exists(), "{what}");
            assert!(options.folder.join("filling").symlink_metadata().is_err(), "{what}");
            leaves_theirs_alone(&options, &what);
        }
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
    assert_eq!(stats.set_aside, bodies.len() as u64, "{what}");
    assert_eq!(places.filter(|place| place.exists()).count(), 0, "{what}");
    store.close().await;
    let store = open(options).await;
    for name in ["a", "b"] {
        assert_eq!(served(&store, name).await, Some(content(name, length)), "{what}");
    }
    assert_eq!(store.stats().damaged, 0, "{what}");
    store.close().await;
}
