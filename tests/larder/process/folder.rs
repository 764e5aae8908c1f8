//! A Larder without a cache folder relays.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    End, Origin, Spawned,
    proxy::{larder, output},
    request, respond, until,
};

#[test]
fn without_a_folder_it_starts_says_so_and_relays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    // below a file, and where not even root can create anything
    for cache in [file.join("cache"), "/proc/larder/cache".into()] {
        let spawned = Spawned::start(&origin.url(), &cache, &[]);
        spawned.await_line("the cache works in memory alone: ");
        for _ in 0..3 {
            assert_eq!(spawned.get("/a").text(), "hello", "{cache:?}");
        }
        let log = spawned.stop_and_read();
        let about: Vec<_> = log.iter().filter(|line| line.contains(cache.to_str().unwrap())).collect();
        assert!(about.len() == 1 && about[0].contains(" WARN "), "one line for one fact: {about:#?}");
        assert!(log.iter().any(|line| line.ends_with(" cache=memory")), "{log:#?}");
        assert!(log.iter().any(|line| line.contains("larder stats and --clear-cache cannot reach this ")), "{log:#?}");
        assert!(!log.iter().any(|line| line.contains("GiB")), "{log:#?}");
    }
    // a slip of the pen is told at once
    let words = ["--origin", &origin.url(), "--port", "0", "--cache-dir", file.to_str().unwrap()];
    let output = output(&mut larder(&words));
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
    until("a hit", || spawned.get("/a").x_cache() == "HIT");
}

/// The files of this name in a folder and the folders below it.
fn files(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let found = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => files(&entry.path(), name),
        false => Vec::from_iter((entry.file_name() == name).then(|| entry.path())),
    });
    found.flatten().collect()
}

#[test]
fn w55_what_is_wrong_with_the_folder_is_said_in_larders_words_and_not_in_a_librarys() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    let spawned = Spawned::start(&origin.url(), folder.path(), &[]);
    crate::support::until("a hit", || spawned.get("/a").x_cache() == "HIT");
    assert_eq!(spawned.stop().code(), Some(0));
    // as a disk without room leaves it
    let emptied = files(folder.path(), "conf");
    assert!(!emptied.is_empty());
    emptied.iter().for_each(|file| fs::write(file, "").unwrap());
    let spawned = Spawned::start(&origin.url(), folder.path(), &[]);
    crate::support::until("a hit", || spawned.get("/a").x_cache() == "HIT");
    let log = spawned.stop_and_read();
    assert!(!log.iter().any(|line| line.contains("corrupt")), "{log:#?}");
}

#[test]
fn a_body_that_was_damaged_is_fetched_again_and_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "x".repeat(300_000)));
    let targets = ["/a", "/b", "/c"];
    let spawned = Spawned::start(&origin.url(), &cache, &["--memory", "0B"]);
    for target in targets {
        spawned.get(target);
        crate::support::until("a hit", || spawned.get(target).x_cache() == "HIT");
    }
    assert_eq!(spawned.stop().code(), Some(0));
    let bodies: Vec<PathBuf> = files(&cache, "1.seg").into_iter().chain(files(&cache, "1.body")).collect();
    assert!(!bodies.is_empty(), "{:?}", fs::read_dir(cache.join("live")).unwrap().collect::<Vec<_>>());
    for body in bodies {
        fs::write(body, "").unwrap();
    }
    let spawned = Spawned::start(&origin.url(), &cache, &["--memory", "0B"]);
    let (before, mut asked) = (origin.request_count(), 0);
    for target in targets {
        let answer = spawned.get(target);
        assert_eq!(answer.body.len(), 300_000);
        asked += usize::from(answer.x_cache() == "MISS");
    }
    assert!(asked > 0 && origin.request_count() >= before + asked);
    let log = spawned.stop_and_read();
    let said: Vec<_> = log.iter().filter(|line| line.contains("was damaged on the disk")).collect();
    assert!(said.len() == 1 && said[0].contains(" WARN "), "{said:#?}");
}

/// Puts a FIFO in the place of a file or folder.
fn put_fifo(place: &Path) {
    let removed = if place.is_dir() { fs::remove_dir_all(place) } else { fs::remove_file(place) };
    removed.unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, place, rustix::fs::Mode::RWXU).unwrap();
}

#[test]
fn a_fifo_in_place_of_a_file_or_a_folder_is_named_in_one_line_and_holds_up_neither_start_nor_stop() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    let places = [("live/fresh-1/db/db", "a regular file"), ("live/journal", "a regular file"), ("live", "a folder")];
    for (name, expected) in places {
        let _ = fs::remove_dir_all(&cache);
        let spawned = Spawned::start(&origin.url(), &cache, &[]);
        crate::support::until("a hit", || spawned.get("/a").x_cache() == "HIT");
        assert_eq!(spawned.stop().code(), Some(0));
        let place = cache.join(name);
        put_fifo(&place);
        let spawned = Spawned::start(&origin.url(), &cache, &[]);
        let stored = || crate::support::proxy::stats(&cache);
        crate::support::until("a stored response", || {
            spawned.get("/a");
            stored()["responses"] == 1 && stored()["disk_used"].as_u64() > Some(0)
        });
        assert_eq!(stored()["set_aside"], 1, "{name}");
        let log = spawned.stop_and_read();
        let said: Vec<_> = log.iter().filter(|line| line.contains("set-aside-1")).collect();
        assert!(said.len() == 1 && said[0].contains(" WARN "), "{log:#?}");
        assert!(said[0].contains(&format!("{} is not {expected}; ", place.display())), "{said:?}");
        assert!(!log.iter().any(|line| line.contains("the disk does not answer")), "{log:#?}");
    }
}

#[test]
fn a_fifo_in_place_of_the_counters_is_told_and_replaced_and_holds_up_neither_start_nor_stop() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    assert_eq!(Spawned::start(&origin.url(), &cache, &[]).stop().code(), Some(0));
    put_fifo(&cache.join("counters"));
    fs::write(cache.join("counters.new"), "").unwrap();
    put_fifo(&cache.join("counters.new"));
    let spawned = Spawned::start(&origin.url(), &cache, &[]);
    let place = cache.join("counters").display().to_string();
    spawned.await_line(&format!("{place} cannot be used: it is a pipe; the counts of answers begin anew"));
    assert_eq!((spawned.get("/a").status, spawned.stop().code()), (200, Some(0)));
    assert!(cache.join("counters").is_file());
}

#[test]
fn stats_name_what_is_not_a_regular_file_and_clear_cache_removes_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    for (name, expected) in [("live/journal", "a regular file"), ("live", "a folder")] {
        let spawned = Spawned::start(&origin.url(), &cache, &[]);
        crate::support::until("a hit", || spawned.get("/a").x_cache() == "HIT");
        assert_eq!(spawned.stop().code(), Some(0));
        let place = cache.join(name);
        put_fifo(&place);
        let about = format!("{} is not {expected}; ", place.display());
        let said = output(&mut larder(&["stats", "--cache-dir", cache.to_str().unwrap()]));
        let stderr = String::from_utf8(said.stderr).unwrap();
        assert_eq!((said.status.code(), stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stderr.contains(&about) && stderr.contains("larder --clear-cache"), "{stderr}");
        let said = output(&mut larder(&["--clear-cache", "--cache-dir", cache.to_str().unwrap()]));
        let stderr = String::from_utf8(said.stderr).unwrap();
        assert_eq!((said.status.code(), stderr.lines().count()), (Some(0), 1), "{stderr}");
        assert!(stderr.contains(&about), "{stderr}");
        assert!(place.symlink_metadata().is_err());
    }
}

#[test]
fn a_cache_of_an_older_larder_is_said_once_and_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/folder-v1");
    assert!(Command::new("cp").arg("-r").args([&golden, &cache]).status().unwrap().success());
    fs::set_permissions(&cache, Permissions::from_mode(0o700)).unwrap();
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], "hello"));
    for times in [1, 0] {
        let spawned = Spawned::start(&origin.url(), &cache, &[]);
        crate::support::until("a hit", || spawned.get("/a").x_cache() == "HIT");
        let log = spawned.stop_and_read();
        let said = log.iter().filter(|line| line.contains(" WARN "));
        let said: Vec<_> = said.filter(|line| line.contains("written by an older Larder (format 1;")).collect();
        assert_eq!(said.len(), times, "{log:#?}");
    }
}

/// Makes a journal one of a newer format: counts the version in its first line up, and puts the sum of the line right.
fn make_newer(journal: &Path) {
    let mut bytes = fs::read(journal).unwrap();
    bytes[4] += 1;
    let (serial, first_line) = (&bytes[8..16], 0_u64.to_be_bytes());
    let sum = crc32fast::hash(&[serial, &first_line, &bytes[..28]].concat());
    bytes[28..32].copy_from_slice(&sum.to_be_bytes());
    fs::write(journal, bytes).unwrap();
}

#[test]
fn a_cache_of_a_newer_larder_is_said_once_and_its_room_is_given_back() {
    const LENGTH: usize = 4 << 20;
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let body = vec![7; LENGTH];
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], body.clone()));
    let used = || crate::support::proxy::stats(&cache)["disk_used"].as_u64().unwrap();
    let moved_away = || -> Vec<String> {
        let names = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("gone-") || name.starts_with("set-aside-")).collect()
    };
    let spawned = Spawned::start(&origin.url(), &cache, &[]);
    for target in ["/a", "/b", "/c"] {
        until("a hit", || spawned.get(target).x_cache() == "HIT");
    }
    until("the bodies on the disk", || used() > 3 * LENGTH as u64);
    assert_eq!(spawned.stop().code(), Some(0));
    make_newer(&cache.join("live/journal"));
    for times in [1, 0] {
        let spawned = Spawned::start(&origin.url(), &cache, &[]);
        until("the disk to be open", || spawned.client().ask("GET", "/other", &[]).x_cache() == "HIT");
        let asked = origin.request_count();
        let answer = spawned.get("/a");
        assert!(answer.body == body);
        assert_eq!(origin.request_count(), asked + times, "nothing of the newer format is used");
        until("its room to be given back", || moved_away().is_empty() && used() < 3 * LENGTH as u64);
        let log = spawned.stop_and_read();
        let said: Vec<_> = log.iter().filter(|line| line.contains(" WARN ")).collect();
        assert_eq!(said.len(), times, "{log:#?}");
        let words = "the cache was written by a newer Larder (format 3; this one uses format 2); the cache starts empty and the \
                     disk space is given back";
        assert!(said.iter().all(|line| line.ends_with(words)), "{said:#?}");
    }
}

#[test]
fn a_file_that_is_cut_while_it_is_sent_breaks_the_answer_off_and_is_fetched_again() {
    const LENGTH: usize = 64 << 20;
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let body: Vec<u8> = (0..LENGTH).map(|n| (n >> 12) as u8 ^ (n % 251) as u8).collect();
    let origin = Origin::always(respond(200, &["Cache-Control: max-age=600"], body.clone()));
    let spawned = Spawned::start(&origin.url(), &cache, &[]);
    assert!(spawned.get("/f").body == body);
    until("a file", || !files(&cache, "1.body").is_empty());
    let mut client = spawned.client();
    client.send(request("GET", "/f", &[]));
    let mut answer = client.head();
    assert_eq!((answer.status, answer.x_cache()), (200, "HIT"));
    // much more than the sockets hold
    fs::File::options().write(true).open(&files(&cache, "1.body")[0]).unwrap().set_len(LENGTH as u64 / 2).unwrap();
    client.body("GET", &mut answer);
    assert_eq!(answer.end, End::Cut);
    assert!(answer.body.len() <= LENGTH / 2 && answer.body == body[..answer.body.len()], "{}", answer.body.len());
    let only = ["Cache-Control: only-if-cached"];
    until("it to be forgotten", || spawned.client().ask("HEAD", "/f", &only).status == 504);
    let again = spawned.get("/f");
    assert!(again.x_cache() == "MISS" && again.body == body, "{}", again.cache_status());
    assert_eq!(origin.request_count(), 2);
}
