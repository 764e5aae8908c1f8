//! A slow disk, and what Larder does behind its clients: opening databases anew, writing bodies, making durable, copying.

use std::{path::Path, thread::scope, time::Duration};

use larder::clock;

use super::slow::{MAX_AGE, all_written, large};
use crate::support::{Gate, Origin, SlowDisk, Spawned, Step, respond, stats, until};

/// An origin of records of 6 KB: with each so much is read that the databases soon hold more in memory than they may.
fn origin_of_long_heads() -> Origin {
    let field = format!("X-Long: {}", "x".repeat(6_000));
    Origin::answering(move |request| match request.method.as_str() {
        "POST" => respond(204, &[], ""),
        _ => respond(200, &["Cache-Control: max-age=600", &field], request.target.clone()),
    })
}

const LONG_HEADS: &[&str] = &["--memory", "64MiB", "--disk", "64MiB"];

/// Stores so many of them and starts Larder anew, on this disk. Each opening of a database takes a while then.
fn with_long_heads(origin: &Origin, cache: &Path, disk: &SlowDisk, count: usize, opening: Duration) -> Spawned {
    let larder = Spawned::start(&origin.url(), cache, LONG_HEADS);
    let mut client = larder.client();
    (0..count).for_each(|n| _ = client.get(&format!("/{n}")));
    drop(client);
    assert!(larder.stop().success());
    let larder = Spawned::on_disk(disk, &origin.url(), cache, LONG_HEADS);
    until("the store to be open", || stats(cache)["state"] == "open");
    disk.rules(&[&format!("open /db/conf {}", opening.as_millis())]);
    larder
}

#[test]
fn a_database_that_is_opened_anew_holds_up_no_invalidation() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, disk) = (folder.path().join("cache"), SlowDisk::new(folder.path()));
    let origin = origin_of_long_heads();
    let larder = with_long_heads(&origin, &cache, &disk, 1_500, Duration::from_millis(1_500));
    let mut slowest = Duration::ZERO;
    scope(|threads| {
        let reading = threads.spawn(|| {
            let mut client = larder.client();
            (0..1_000).map(|n| format!("/{n}")).for_each(|target| assert_eq!(client.get(&target).text(), target));
        });
        let mut n = 1_000;
        while n < 1_400 && !reading.is_finished() {
            let began = clock::instant();
            assert_eq!(larder.client().ask("POST", &format!("/{n}"), &["Content-Length: 0"]).status, 204);
            slowest = slowest.max(began.elapsed());
            n += 1;
            std::thread::park_timeout(Duration::from_millis(20));
        }
        disk.rules(&[]);
    });
    println!("the slowest POST beside databases that are opened anew took {slowest:?}");
    // a second is what an unsafe request waits at most, and then it is not known to be durable
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[test]
fn lookups_that_wait_for_a_database_that_is_opened_anew_keep_no_other_from_reading() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, disk) = (folder.path().join("cache"), SlowDisk::new(folder.path()));
    let origin = origin_of_long_heads();
    let larder = with_long_heads(&origin, &cache, &disk, 1_500, Duration::from_millis(700));
    let asked = origin.request_count();
    // more of them than may read the disk at the same time
    scope(|threads| {
        for first in 0..100 {
            let larder = &larder;
            threads.spawn(move || {
                let mut client = larder.client();
                for n in (first..1_500).step_by(100) {
                    let target = format!("/{n}");
                    assert_eq!(client.get(&target).text(), target);
                }
            });
        }
    });
    let said = stats(&cache);
    println!("{said}");
    assert_eq!(origin.request_count() - asked, 0, "all is stored: {said}");
}

const MIB: usize = 1 << 20;

/// Bytes that differ wherever one looks.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8 ^ (n >> 12) as u8).collect()
}

/// Bytes of bodies on their way.
fn filling(cache: &Path) -> usize {
    let files = std::fs::read_dir(cache.join("filling")).unwrap();
    files.map(|file| file.unwrap().metadata().map_or(0, |about| about.len() as usize)).sum()
}

/// Returns how long it takes to get this body.
fn received(larder: &Spawned, target: &str, body: &[u8]) -> Duration {
    let began = clock::instant();
    let response = larder.get(target);
    let took = began.elapsed();
    assert!(response.body == body, "{} bytes", response.body.len());
    took
}

#[test]
fn a_miss_comes_as_fast_as_the_origin_sends_it_although_the_disk_is_slow_and_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, disk) = (folder.path().join("cache"), SlowDisk::new(folder.path()));
    let body = pattern(20 * MIB);
    let sent = body.clone();
    let origin = Origin::answering(move |_| respond(200, MAX_AGE, sent.clone()));
    let larder = Spawned::on_disk(&disk, &origin.url(), &cache, &[]);
    let usual = received(&larder, "/usual", &body);
    disk.rules(&["write /filling/ 60"]);
    let slow = received(&larder, "/slow", &body);
    println!("a miss of 20 MiB takes {usual:?}, and {slow:?} with 60 ms for each write");
    assert!(slow < usual + Duration::from_secs(1), "{slow:?} instead of {usual:?}");
    until("it to be stored", || stats(&cache)["responses"] == 2);
    assert_eq!(larder.get("/slow").x_cache(), "HIT");
    assert!(larder.get("/slow").body == body);
    assert_eq!(origin.request_count(), 2);
}

#[test]
fn a_body_whose_origin_sends_it_in_bursts_is_stored_by_a_disk_that_catches_up_between_them() {
    const BURST: usize = 8 * MIB;
    const BURSTS: usize = 12;
    let folder = tempfile::tempdir().unwrap();
    let (cache, disk) = (folder.path().join("cache"), SlowDisk::new(folder.path()));
    let body = pattern(BURST * BURSTS);
    let gates: Vec<Gate> = (0..BURSTS).map(|_| Gate::closed()).collect();
    let (sent, held) = (body.clone(), gates.clone());
    let origin = Origin::answering(move |request| {
        if request.target == "/warm" {
            return respond(200, MAX_AGE, "warm");
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{}\r\n\r\n", sent.len(), MAX_AGE[0]);
        let bursts = held.iter().zip(sent.chunks(BURST));
        let steps = bursts.flat_map(|(gate, burst)| [Step::Wait(gate.clone()), Step::Send(burst.to_vec())]);
        [Step::Send(head.into_bytes())].into_iter().chain(steps).collect()
    });
    let larder = Spawned::on_disk(&disk, &origin.url(), &cache, &[]);
    larder.get("/warm");
    disk.rules(&["write /filling/ 50"]);
    // a last few bytes of a burst wait for the next one
    let on_disk = |bytes: usize| filling(&cache) + 256 * 1024 >= bytes;
    scope(|threads| {
        threads.spawn(|| {
            for (gate, sent) in gates.iter().zip((0..).map(|n| n * BURST)) {
                until("the disk to catch up", || on_disk(sent));
                std::thread::park_timeout(Duration::from_millis(300));
                gate.open();
            }
        });
        received(&larder, "/bursts", &body);
    });
    disk.rules(&[]);
    until("it to be stored", || stats(&cache)["responses"] == 2);
    assert_eq!(larder.get("/bursts").x_cache(), "HIT");
}

#[test]
fn what_the_disk_is_too_slow_for_comes_all_the_same_in_bounded_memory_and_is_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, disk) = (folder.path().join("cache"), SlowDisk::new(folder.path()));
    let body = pattern(60 * MIB);
    let sent = body.clone();
    let origin = Origin::answering(move |_| respond(200, MAX_AGE, sent.clone()));
    let larder = Spawned::on_disk(&disk, &origin.url(), &cache, &[]);
    let usual = received(&larder, "/usual", &body);
    let before = larder.most_resident();
    disk.rules(&["write /filling/ 4000"]);
    let slow = received(&larder, "/slow", &body);
    let more = larder.most_resident().saturating_sub(before);
    println!("60 MiB take {usual:?}, and {slow:?} with 4 s for each write, and {more} bytes of memory more");
    assert!(slow < usual + Duration::from_secs(3), "{slow:?} instead of {usual:?}");
    assert!(more < 24 << 20, "{more}");
    disk.rules(&[]);
    assert_eq!(larder.get("/slow").x_cache(), "MISS");
    let log = larder.stop_and_read().join("\n");
    assert!(log.contains("not stored: the cache's disk is too slow"), "{log}");
}

#[test]
fn what_many_clients_invalidate_at_once_is_made_durable_together() {
    const CLIENTS: usize = 48;
    const ROUNDS: usize = 6;
    let folder = tempfile::tempdir().unwrap();
    let (cache, disk) = (folder.path().join("cache"), SlowDisk::new(folder.path()));
    let origin = Origin::answering(|request| match request.method.as_str() {
        "POST" => respond(204, &[], ""),
        _ => respond(200, MAX_AGE, request.target.clone()),
    });
    let larder = Spawned::on_disk(&disk, &origin.url(), &cache, &[]);
    until("the store to be open", || stats(&cache)["state"] == "open");
    disk.rules(&["sync /cache/ 20"]);
    let mut times: Vec<Duration> = scope(|threads| {
        let client = |number: usize| {
            let larder = &larder;
            move || {
                let mut client = larder.client();
                let round = |round| {
                    let target = format!("/{number}/{round}");
                    assert_eq!(client.get(&target).text(), target);
                    let began = clock::instant();
                    assert_eq!(client.ask("POST", &target, &["Content-Length: 0"]).status, 204);
                    began.elapsed()
                };
                (0..ROUNDS).map(round).collect::<Vec<_>>()
            }
        };
        let clients: Vec<_> = (0..CLIENTS).map(|number| threads.spawn(client(number))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    larder.kill();
    times.sort_unstable();
    let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("POST of {CLIENTS} clients with 20 ms for each fsync: median {median:?}, p99 {p99:?}");
    // a second is what an unsafe request waits at most, and then it is not known to be durable
    assert!(p99 < Duration::from_millis(900), "{p99:?}");
    disk.rules(&[]);
    let larder = Spawned::start(&origin.url(), &cache, &[]);
    until("the store to be open", || stats(&cache)["state"] == "open");
    let mut client = larder.client();
    for number in 0..CLIENTS {
        for round in 0..ROUNDS {
            assert_eq!(client.get(&format!("/{number}/{round}")).x_cache(), "MISS");
        }
    }
}

#[test]
fn without_hard_links_what_is_asked_for_often_is_copied_and_the_store_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, disk) = (folder.path().join("cache"), SlowDisk::new(folder.path()));
    let origin = Origin::answering(|request| respond(200, MAX_AGE, large(&request.target)));
    disk.rules(&["link / EPERM"]);
    let flags = ["--disk", "32MiB", "--memory", "0B"];
    let larder = Spawned::on_disk(&disk, &origin.url(), &cache, &flags);
    let mut client = larder.client();
    let mut missed = 0;
    for n in 0..200 {
        let target = format!("/{n}");
        assert_eq!(client.get(&target).text(), large(&target));
        for hot in 0..4 {
            let hot = format!("/hot{hot}");
            let response = client.get(&hot);
            assert_eq!(response.text(), large(&hot));
            missed += usize::from(response.x_cache() == "MISS");
        }
        if n % 20 == 19 {
            all_written(&cache);
            assert_eq!(stats(&cache)["state"], "open");
        }
    }
    let said = stats(&cache);
    assert!(said["evicted"].as_u64().unwrap() > 50, "{said}");
    assert!(missed < 12, "{missed} of 800");
    assert!(!larder.stop_and_read().join("\n").contains("writing failed"));
}
