//! A slow disk: what it may hold up, and what not.

use std::{
    collections::HashSet,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread::{JoinHandle, scope, spawn},
    time::{Duration, Instant},
};

use larder::clock;

use crate::support::{
    End, Gate, Origin, SlowDisk, Spawned, Step,
    proxy::{larder, output},
    request, respond, stats, until,
};

pub const MAX_AGE: &[&str] = &["Cache-Control: max-age=600"];

/// A body that goes to a file of its own, and that only this target has.
pub fn large(target: &str) -> String {
    target.repeat(300_000 / target.len() + 1)
}

/// Runs `larder --clear-cache` and returns when it ended.
fn clear(cache: &Path) -> JoinHandle<Instant> {
    let cache = cache.to_owned();
    spawn(move || {
        let done = output(&mut larder(&["--clear-cache", "--cache-dir", cache.to_str().unwrap()]));
        assert!(done.status.success(), "{done:?}");
        clock::instant()
    })
}

/// The folders that are about to be removed.
fn gone(cache: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(cache).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("gone-")).collect()
}

/// Bytes in a folder. A file that has two names, or is moved meanwhile, counts once.
fn occupied(path: &Path) -> u64 {
    fn add(path: &Path, known: &mut HashSet<u64>) -> u64 {
        let Ok(about) = std::fs::symlink_metadata(path) else { return 0 };
        let own = if known.insert(about.ino()) { about.blocks() * 512 } else { 0 };
        let files = std::fs::read_dir(path).into_iter().flatten().flatten();
        own + files.map(|file| add(&file.path(), known)).sum::<u64>()
    }
    add(path, &mut HashSet::new())
}

pub fn all_written(cache: &Path) {
    until("everything to be written", || stats(cache)["waiting"] == 0);
}

#[test]
fn clearing_many_files_answers_at_once_and_everything_is_served_and_stored_meanwhile() {
    const FILES: usize = 400;
    const UNLINK: Duration = Duration::from_millis(20);
    let folder = tempfile::tempdir().unwrap();
    let (cache, disk) = (folder.path().join("cache"), SlowDisk::new(folder.path()));
    let origin = Origin::answering(|request| match request.method.as_str() {
        "POST" => respond(204, &[], ""),
        _ => respond(200, MAX_AGE, large(&request.target)),
    });
    let larder = Spawned::on_disk(&disk, &origin.url(), &cache, &["--disk", "1GiB"]);
    let mut client = larder.client();
    for n in 0..FILES {
        client.get(&format!("/before{n}"));
    }
    all_written(&cache);
    assert_eq!(stats(&cache)["responses"], FILES);

    disk.rules(&[&format!("unlink /cache/ {}", UNLINK.as_millis())]);
    let began = clock::instant();
    let answered = clear(&cache).join().unwrap() - began;
    let mut client = larder.client();
    assert!(answered < UNLINK * FILES as u32 / 2, "it answered after {answered:?}");
    let (mut slowest_post, mut slowest_stats) = (Duration::ZERO, Duration::ZERO);
    for n in 0..60 {
        let target = format!("/meanwhile{n}");
        assert_eq!(client.get(&target).text(), large(&target));
        if n % 6 == 0 {
            let began = clock::instant();
            assert_eq!(client.ask("POST", &target, &["Content-Length: 0"]).status, 204);
            slowest_post = slowest_post.max(began.elapsed());
            let began = clock::instant();
            stats(&cache);
            slowest_stats = slowest_stats.max(began.elapsed());
        }
    }
    let counted = stats(&cache)["disk_used"].as_u64().unwrap();
    assert!(!gone(&cache).is_empty(), "removing ended before");
    println!(
        "--clear-cache of {FILES} files answered after {answered:?}; meanwhile the slowest POST took {slowest_post:?}, \
         the slowest `larder stats` {slowest_stats:?}"
    );
    assert!(counted > 60 * 250_000, "what is not removed yet counts: {counted}");
    // a second is what an unsafe request waits at most, and then it is not known to be durable
    assert!(slowest_post < Duration::from_secs(1), "{slowest_post:?}");
    for n in (0..60).filter(|n| n % 6 != 0) {
        let target = format!("/meanwhile{n}");
        until("it to be stored", || client.get(&target).x_cache() == "HIT");
    }
    assert_eq!(client.get("/before0").x_cache(), "MISS");
    // of those that were asked for until they were hits each was asked for once
    assert_eq!(origin.request_count(), FILES + 60 + 10 + 1);
    disk.rules(&[]);
    until("the rest to be removed", || gone(&cache).is_empty());
    assert!(larder.stop().success());
    let larder = Spawned::start(&origin.url(), &cache, &["--disk", "1GiB"]);
    until("a hit", || larder.get("/meanwhile1").x_cache() == "HIT");
    assert_eq!(larder.get("/before1").x_cache(), "MISS");
}

#[test]
fn while_a_clearing_waits_for_the_disk_nothing_old_is_joined_what_is_fetched_is_stored_and_stats_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, disk) = (folder.path().join("cache"), SlowDisk::new(folder.path()));
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match (request.target.as_str(), request.index) {
        ("/flight", 0) => [vec![Step::Wait(held.clone())], respond(200, MAX_AGE, "old")].concat(),
        ("/flight", _) => respond(200, MAX_AGE, "new"),
        (target, _) => respond(200, MAX_AGE, large(target)),
    });
    let larder = Spawned::on_disk(&disk, &origin.url(), &cache, &[]);
    let mut first = larder.client();
    first.send(request("GET", "/flight", &[]));
    origin.await_requests(1);
    disk.rules(&["sync /cache 4000"]);
    let clearing = clear(&cache);
    // it follows the flight that began before the clearing, until that has begun
    let mut answers = Vec::new();
    while origin.request_count() < 2 && !clearing.is_finished() {
        let mut client = larder.client();
        client.send(request("GET", "/flight", &[]));
        answers.push(client);
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let began = clock::instant();
    let said = stats(&cache);
    println!("`larder stats` during a clearing: {:?}", began.elapsed());
    assert!(said["requests"].as_u64().unwrap() > 1, "{said}");
    let targets: Vec<String> = (0..5).map(|n| format!("/during{n}")).collect();
    for target in &targets {
        assert_eq!(larder.get(target).text(), large(target));
    }
    assert!(!clearing.is_finished(), "it was to wait for the disk");
    assert_eq!(answers.pop().unwrap().response("GET").text(), "new");
    clearing.join().unwrap();
    disk.rules(&[]);
    gate.open();
    assert_eq!(first.response("GET").text(), "old");
    until("a hit", || larder.get("/flight").x_cache() == "HIT");
    assert_eq!(larder.get("/flight").text(), "new");
    for target in &targets {
        until("it to be stored", || larder.get(target).x_cache() == "HIT");
    }
    assert_eq!(origin.requests().iter().filter(|asked| asked.target.starts_with("/during")).count(), 5);
}

#[test]
fn a_body_that_breaks_off_is_removed_without_holding_up_the_worker() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, disk) = (folder.path().join("cache"), SlowDisk::new(folder.path()));
    let origin = Origin::answering(|request| match request.target.as_str() {
        "/cut" => {
            let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 900000\r\n\r\n";
            vec![Step::Send([head.as_bytes(), &[b'x'; 600_000]].concat()), Step::Close]
        }
        _ => respond(200, MAX_AGE, "hello"),
    });
    let larder = Spawned::on_disk(&disk, &origin.url(), &cache, &["--workers", "1"]);
    let delay = Duration::from_secs(20);
    disk.rules(&[&format!("unlink /filling/ {}", delay.as_millis())]);
    assert_eq!(larder.get("/hit").x_cache(), "MISS");
    let began = clock::instant();
    let mut client = larder.client();
    assert_eq!(client.get("/cut").end, End::Cut);
    for _ in 0..100 {
        assert_eq!(larder.get("/hit").text(), "hello");
    }
    assert!(began.elapsed() < delay / 2, "{:?}", began.elapsed());
}

#[test]
fn the_limit_holds_and_the_newest_is_kept_while_removing_is_slow() {
    const LIMIT: u64 = 32 << 20;
    let folder = tempfile::tempdir().unwrap();
    let (cache, disk) = (folder.path().join("cache"), SlowDisk::new(folder.path()));
    let origin = Origin::answering(|request| respond(200, MAX_AGE, large(&request.target)));
    let larder = Spawned::on_disk(&disk, &origin.url(), &cache, &["--disk", "32MiB", "--memory", "0B"]);
    disk.rules(&["unlink /cache/ 20"]);
    let (ended, mut most) = (AtomicBool::new(false), 0);
    scope(|threads| {
        let watching = threads.spawn(|| {
            let mut most = 0;
            while !ended.load(Ordering::Acquire) {
                most = most.max(occupied(&cache));
                std::thread::park_timeout(Duration::from_millis(2));
            }
            most
        });
        let mut client = larder.client();
        for n in 0..300 {
            let target = format!("/{n}");
            assert_eq!(client.get(&target).text(), large(&target));
        }
        // the last bodies are still being written
        until("more than half to be kept", || stats(&cache)["bytes"].as_u64().unwrap() > LIMIT / 2);
        ended.store(true, Ordering::Release);
        most = watching.join().unwrap();
    });
    assert!(most <= LIMIT + LIMIT / 20, "{most}");
}

#[test]
fn what_cannot_be_removed_counts_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, disk) = (folder.path().join("cache"), SlowDisk::new(folder.path()));
    let origin = Origin::answering(|request| respond(200, MAX_AGE, large(&request.target)));
    let larder = Spawned::on_disk(&disk, &origin.url(), &cache, &[]);
    for n in 0..20 {
        larder.get(&format!("/{n}"));
    }
    all_written(&cache);
    disk.rules(&["unlink /cache/gone EPERM"]);
    clear(&cache).join().unwrap();
    let remains = |cache: &Path| stats(cache)["disk_used"].as_u64().unwrap() > 20 * 250_000;
    assert!(remains(&cache));
    larder.get("/after");
    all_written(&cache);
    assert!(remains(&cache) && gone(&cache).len() == 1);
    disk.rules(&[]);
    clear(&cache).join().unwrap();
    until("all of it to be removed", || gone(&cache).is_empty() && !remains(&cache));
    drop(larder);
}
