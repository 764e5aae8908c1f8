use std::{
    fs,
    path::{Path, PathBuf},
};

use super::support::*;
use crate::store::{
    Options, Slot, State, Store, StoredBody,
    disk::generation::{Class, Generation},
    stats_of,
};

/// Names and lengths of what the damaged store holds.
fn held() -> Vec<(String, usize)> {
    (0..60).map(|number| (format!("held {number}"), [300, 3_000, 70_000, 1_500][number % 4])).collect()
}

/// A closed store of several generations, with large bodies and with things replaced and forgotten.
pub async fn prepared(options: &Options) {
    let store = open(options.clone()).await;
    for (name, length) in held() {
        put(&store, &name, length);
        store.flush().await;
    }
    for number in 0..3 {
        let name = format!("large {number}");
        let mut stored = response(&name, 0);
        stored.body = StoredBody::Disk(fill(&store, &name, 300_000).await.expect("filled"));
        store.put(key(&name), stored, store.epoch());
        // an old version, in an older generation: it must not come back
        put(&store, "replaced", 2_000 + number);
        put(&store, "forgotten", 5_000);
        store.flush().await;
        for filler in 0..60 {
            put(&store, &format!("filler {number} {filler}"), 10_000);
        }
        store.flush().await;
    }
    put(&store, "replaced", 7_000);
    store.invalidate(&key("forgotten"));
    store.close().await;
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).expect("a folder") {
        let path = file.expect("a file").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

pub fn copied(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for file in files(from) {
        let copy = to.join(file.strip_prefix(from).expect("a prefix"));
        fs::create_dir_all(copy.parent().expect("a parent")).expect("a folder");
        fs::copy(file, copy).expect("a copy");
    }
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).expect("permissions");
}

/// Nothing wrong is served, and new things are stored. How many of the old ones are found.
pub async fn works(options: &Options, what: &str) -> usize {
    let store = open(options.clone()).await;
    assert_eq!(store.stats().state, State::Open, "{what}");
    let mut found = 0;
    let large = (0..3).map(|number| (format!("large {number}"), 300_000));
    for (name, length) in held().into_iter().chain(large) {
        found += usize::from(serves_nothing_wrong(&store, &name, length, what).await);
    }
    serves_nothing_wrong(&store, "replaced", 7_000, what).await;
    assert!(store.lookup(&key("forgotten")).await.is_none(), "{what}: what was forgotten is back");
    put(&store, "new", 30_000);
    store.flush().await;
    assert_eq!(served(&store, "new").await, Some(content("new", 30_000)), "{what}");
    store.close().await;
    let store = open(options.clone()).await;
    let stats = store.stats();
    assert_eq!(served(&store, "new").await, Some(content("new", 30_000)), "{what}, after a restart: {stats:?}");
    store.close().await;
    found
}

async fn serves_nothing_wrong(store: &Store, name: &str, length: usize, what: &str) -> bool {
    let Some(Slot::Response(response)) = store.lookup(&key(name)).await else { return false };
    assert!(response.head == head(name), "{what}: the head of {name}");
    // an error in mid-body breaks the answer off, visibly
    match whole(&response.body).await {
        Ok(bytes) => assert_eq!(bytes, content(name, length), "{what}: {name}"),
        Err(error) => {
            println!("{what}: {name}: {error}");
            store.flush().await;
            assert!(store.lookup(&key(name)).await.is_none(), "{what}: {name} is found again");
        }
    }
    true
}

#[test]
fn no_damage_to_any_file_serves_a_wrong_byte_or_stops_the_store() {
    let mut random = Random::seeded();
    run(async {
        let folder = folder();
        let sound = Options { disk: 8 * MIB, ..disk_only(&folder.path().join("sound")) };
        fs::create_dir_all(folder.path().join("sound")).expect("a folder");
        prepared(&sound).await;
        let broken = Options { disk: 8 * MIB, ..disk_only(folder.path()) };
        copied(&sound.folder, &broken.folder);
        assert_eq!(works(&broken, "undamaged").await, 63);
        for file in files(&sound.folder) {
            let name = file.strip_prefix(&sound.folder).expect("a prefix").to_owned();
            let kinds = ["flip", "flip", "flip", "flip", "cut", "empty", "delete", "folder", "append"];
            for kind in kinds {
                copied(&sound.folder, &broken.folder);
                let path = broken.folder.join(&name);
                let mut bytes = fs::read(&path).expect("a file");
                let at = random.below(bytes.len() as u64) as usize;
                let what = format!("{kind} at {at} of {} {}", bytes.len(), name.display());
                match kind {
                    "flip" if bytes.is_empty() => continue,
                    "flip" => bytes[at] ^= 1 << random.below(8),
                    "cut" => bytes.truncate(at),
                    "empty" => bytes.clear(),
                    "append" => bytes.extend([7; 100]),
                    _ => fs::remove_file(&path).expect("removed"),
                }
                match kind {
                    "delete" => {}
                    "folder" => fs::create_dir(&path).expect("a folder"),
                    _ => fs::write(&path, bytes).expect("written"),
                }
                let found = works(&broken, &what).await;
                println!("{what}: {found} of 63 found");
            }
        }
    });
}

#[test]
fn folders_in_odd_places_and_files_in_place_of_folders_are_set_aside() {
    run(async {
        let folder = folder();
        let options = Options { disk: 8 * MIB, ..disk_only(folder.path()) };
        for place in ["live", "filling"] {
            prepared(&options).await;
            fs::remove_dir_all(options.folder.join(place)).expect("removed");
            fs::write(options.folder.join(place), "no folder").expect("written");
            works(&options, place).await;
            assert!(stats_of(&options.folder).expect("stats").set_aside > 0);
        }
        fs::create_dir(options.folder.join("lock-was")).expect("a folder");
        fs::remove_file(options.folder.join("lock")).expect("removed");
        fs::create_dir(options.folder.join("lock")).expect("a folder");
        works(&options, "lock").await;
    });
}

#[test]
fn a_damaged_body_is_not_stored_as_the_same_once_more() {
    run(async {
        for length in [3_000, 200_000] {
            let folder = folder();
            let options = disk_only(folder.path());
            let store = open(options.clone()).await;
            put(&store, "a", length);
            store.close().await;
            fs::write(options.folder.join("live/fresh-1/1.seg"), "").expect("emptied");
            let store = open(options.clone()).await;
            assert!(found(&store, "a").await.is_none());
            assert_eq!(store.stats().damaged, 1);
            // the origin sends the same bytes, before it is written that the key was forgotten
            put(&store, "a", length);
            store.close().await;
            let store = open(options).await;
            assert_eq!(served(&store, "a").await, Some(content("a", length)));
            assert_eq!(store.stats().damaged, 0);
            store.close().await;
        }
    });
}

#[test]
fn a_database_that_was_closed_or_opened_when_the_power_went_loses_nothing() {
    run(async {
        let folder = folder();
        let options = Options { disk: 8 * MIB, ..disk_only(folder.path()) };
        prepared(&options).await;
        for database in files(&options.folder).iter().filter(|file| file.ends_with("db/db")) {
            let begun = database.with_file_name("snap.00000000FFFFFFFF.generating");
            fs::write(begun, [214, 68, 0, 0, 0, 0, 0, 0, 1, 1]).expect("written");
        }
        assert_eq!(works(&options, "a snapshot that was begun").await, 63);
    });
}

#[test]
fn damaged_generations_are_no_reason_not_to_open_be_they_named_or_not() {
    run(async {
        let folder = folder();
        let options = Options { disk: 8 * MIB, ..disk_only(folder.path()) };
        prepared(&options).await;
        let named = files(&options.folder).into_iter().filter(|file| file.ends_with("db/conf"));
        let unnamed = (97..99).map(|number| options.folder.join(format!("live/fresh-{number}/db/conf")));
        for conf in named.chain(unnamed) {
            fs::create_dir_all(conf.parent().expect("a folder")).expect("a folder");
            fs::write(conf, "no configuration of sled").expect("written");
        }
        works(&options, "damaged generations").await;
        assert_eq!(stats_of(&options.folder).expect("stats").set_aside, 1, "only the newest one is kept");
    });
}

/// The numbers of the generations that are on the disk.
fn numbers(options: &Options) -> Vec<u32> {
    let generations = Generation::list(&options.folder.join("live")).expect("a folder");
    generations.into_iter().map(|(number, _)| number).collect()
}

#[test]
fn the_number_of_a_generation_that_was_lost_is_not_given_to_another_while_the_journal_names_it() {
    run(async {
        let folder = folder();
        let options = Options { disk: 8 * MIB, ..disk_only(folder.path()) };
        prepared(&options).await;
        let lost = *numbers(&options).last().expect("a generation");
        for class in [Class::Fresh, Class::Proven] {
            let conf = options.folder.join("live").join(Generation::folder_name(class, lost)).join("db/conf");
            if conf.exists() {
                fs::write(conf, "no configuration of sled").expect("written");
            }
        }
        // with more room, the generation before is written to again, and no other one is begun
        open(Options { disk: 256 * MIB, ..options.clone() }).await.close().await;
        assert!(numbers(&options).iter().all(|number| *number < lost), "{:?}", numbers(&options));
        let store = open(options.clone()).await;
        let responses = store.stats().responses;
        assert_eq!(numbers(&options).last(), Some(&(lost + 1)));
        store.close().await;
        let store = open(options).await;
        assert_eq!(store.stats().responses, responses, "what was lost is counted again");
        store.close().await;
    });
}

#[test]
fn a_folder_that_is_removed_under_a_running_store_is_begun_anew() {
    run(async {
        let folder = folder();
        let options = options(folder.path());
        let store = open(options.clone()).await;
        put(&store, "a", 1_000);
        store.flush().await;
        fs::remove_dir_all(&options.folder).expect("removed");
        for number in 0.. {
            put(&store, "b", 100_000 + number);
            store.flush().await;
            if options.folder.join("live/journal").exists() && store.stats().waiting == 0 {
                break;
            }
            beat(50).await;
            assert!(number < 200, "it did not come back: {:?}", store.stats());
        }
        store.close().await;
        let store = open(options).await;
        assert!(store.lookup(&key("b")).await.is_some());
    });
}
