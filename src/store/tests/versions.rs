//! Folders of other Larders: older, newer, and with lines that this one does not know.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{damage::copied, support::*};
use crate::store::{
    Options, State, Store,
    disk::folder,
    format::lines::{self, LINE},
    is_cache, stats_of,
};

/// Leaves a folder in which `a` is stored.
async fn store_one(options: &Options) {
    let store = open(options.clone()).await;
    put(&store, "a", 1_000);
    store.flush().await;
    store.close().await;
}

/// Opens a folder of which nothing can be used, and waits until its room is given back.
async fn starts_empty(options: &Options, what: &str) {
    assert_eq!(stats_of(&options.folder).expect("stats").responses, 0, "{what}");
    let store = open(options.clone()).await;
    let stats = store.stats();
    assert_eq!((&stats.state, stats.responses, stats.set_aside), (&State::Open, 0, 0), "{what}");
    put(&store, "new", 30_000);
    store.flush().await;
    for tries in 0.. {
        if folder::numbered(&options.folder, "gone-").expect("a folder").is_empty() {
            break;
        }
        beat(20).await;
        assert!(tries < 500, "{what}: the room is not given back");
    }
    store.close().await;
    let store = open(options.clone()).await;
    assert_eq!(served(&store, "new").await, Some(content("new", 30_000)), "{what}");
    assert_eq!(store.stats().responses, 1, "{what}");
    store.close().await;
}

/// The golden folder was written by Larder 0.1.0 with records and a journal of version 1.
#[test]
fn a_folder_of_version_1_is_read_as_empty_and_its_room_is_given_back() {
    run(async {
        let folder = folder();
        let options = options(folder.path());
        let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/folder-v1");
        copied(&golden, &options.folder);
        assert!(is_cache(&options.folder));
        starts_empty(&options, "version 1").await;
    });
}

/// Changes the first line of a journal, and its sum.
fn with_header(journal: &Path, change: impl FnOnce(&mut [u8])) {
    let mut bytes = fs::read(journal).expect("a journal");
    change(&mut bytes[..LINE - 4]);
    seal(&mut bytes, 0);
    fs::write(journal, bytes).expect("written");
}

/// Puts the sum of a line right.
fn seal(journal: &mut [u8], line: usize) {
    let serial = journal[8..16].to_vec();
    let at = line * LINE;
    let said = &journal[at..at + LINE - 4];
    let sum = crc32fast::hash(&[&serial[..], &(line as u64).to_be_bytes(), said].concat());
    journal[at + LINE - 4..at + LINE].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn a_folder_of_a_newer_version_is_read_as_empty_and_its_room_is_given_back() {
    run(async {
        let folder = folder();
        let options = options(folder.path());
        store_one(&options).await;
        with_header(&options.folder.join("live/journal"), |header| header[4] = lines::VERSION + 1);
        starts_empty(&options, "a newer version").await;
    });
}

#[test]
fn lines_of_kinds_that_only_a_newer_larder_knows_cost_nothing() {
    run(async {
        let folder = folder();
        let options = options(folder.path());
        store_one(&options).await;
        let journal = options.folder.join("live/journal");
        let mut bytes = fs::read(&journal).expect("a journal");
        for kind in [200, 4] {
            let line = bytes.len() / LINE;
            bytes.resize(bytes.len() + LINE, 7);
            bytes[line * LINE] = kind;
            seal(&mut bytes, line);
        }
        fs::write(&journal, bytes).expect("written");
        let store = open(options.clone()).await;
        assert_eq!(served(&store, "a").await, Some(content("a", 1_000)));
        put(&store, "b", 1_000);
        store.flush().await;
        assert_eq!(store.stats().damaged, 0);
        store.close().await;
        let store = open(options).await;
        assert_eq!(served(&store, "b").await, Some(content("b", 1_000)));
        assert_eq!((store.stats().damaged, store.stats().responses), (0, 2));
        store.close().await;
    });
}

#[test]
fn the_secret_of_a_folder_is_made_once_for_its_owner_alone_and_survives_clearing() {
    run(async {
        let folder = folder();
        let options = options(folder.path());
        let lock = Store::lock(&options.folder).expect("the lock");
        let secret = Store::secret(Some(&lock)).expect("a secret");
        assert_ne!(secret, Store::secret(None).expect("a secret"));
        let path = options.folder.join("secret");
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        let store = Store::open_with(options.clone(), |_| false, Some(lock));
        store.opened().await;
        store.clear().await.expect("cleared");
        store.close().await;
        let lock = Store::lock(&options.folder).expect("the lock");
        assert_eq!(Store::secret(Some(&lock)).expect("a secret"), secret);
        fs::write(&path, &secret[..31]).expect("written");
        let new = Store::secret(Some(&lock)).expect("a secret");
        assert_ne!(new, secret, "a damaged secret is replaced");
        assert_eq!(Store::secret(Some(&lock)).expect("a secret"), new);
        fs::remove_file(options.folder.join("CACHEDIR.TAG")).expect("removed");
        assert!(is_cache(&options.folder), "it is known without its tag");
    });
}
