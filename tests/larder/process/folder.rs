//! The cache folder belongs to one Larder, and a Larder without one relays.

use std::fs;

use crate::support::{Origin, Spawned, proxy::larder, respond};

#[test]
fn a_second_larder_on_one_folder_is_refused_in_words_and_the_first_is_unharmed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    let first = Spawned::start(&origin.url(), &cache, &[]);
    assert_eq!(first.get("/a").x_cache(), "MISS");
    let words = ["--origin", &origin.url(), "--port", "0", "--cache-dir", cache.to_str().unwrap()];
    let second = larder(&words).output().unwrap();
    let stderr = String::from_utf8(second.stderr).unwrap();
    let error = stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_else(|| panic!("{stderr}"));
    assert!(error.contains(cache.to_str().unwrap()) && error.contains("another Larder"), "{error}");
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(first.get("/a").x_cache(), "HIT");
    assert_eq!(first.stop().code(), Some(0));
    let third = Spawned::start(&origin.url(), &cache, &[]);
    assert_eq!(third.get("/b").text(), "hello", "the folder is free again");
}

#[test]
fn without_a_folder_it_starts_says_so_and_relays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    // below a file, and where not even root can create anything
    for cache in [file.join("cache"), "/proc/larder/cache".into()] {
        let spawned = Spawned::start(&origin.url(), &cache, &[]);
        spawned.await_line("running without a store on disk");
        for _ in 0..3 {
            assert_eq!(spawned.get("/a").text(), "hello", "{cache:?}");
        }
        assert_eq!(spawned.stop().code(), Some(0));
    }
    // a slip of the pen is told at once
    let words = ["--origin", &origin.url(), "--port", "0", "--cache-dir", file.to_str().unwrap()];
    let output = larder(&words).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with(&format!("error: {} is not a folder", file.display())), "{stderr}");
    assert_eq!((output.status.code(), fs::read(&file).unwrap().as_slice()), (Some(1), &b"not a folder"[..]));
}

#[test]
fn a_folder_whose_parents_are_missing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    let spawned = Spawned::start(&origin.url(), &folder.path().join("a/b/c"), &[]);
    assert_eq!(spawned.get("/a").text(), "hello");
    crate::support::until("a hit", || spawned.get("/a").x_cache() == "HIT");
}
