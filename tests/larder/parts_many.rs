//! Many parts of one file, and a body that was received whole before the disk has it (W31, W58).

use crate::{
    parts::{FRESH, File, MIB, ask, assert_part, assert_whole, multipart},
    support::{Origin, Proxy, SlowDisk, Spawned, Step, respond, until},
};

#[test]
fn w31_a_file_that_grows_by_many_short_parts_is_found_in_the_end() {
    let file = File::new(&[5 * MIB]);
    let origin = file.origin();
    let mut proxy = Proxy::start(&origin, &[]);
    const LENGTH: usize = MIB / 32;
    for n in 0..160 {
        assert_part(&ask(&proxy, n * LENGTH, (n + 1) * LENGTH - 1), &file, n * LENGTH, (n + 1) * LENGTH - 1);
    }
    for _ in 0..2 {
        until("all parts to be joined", || proxy.get("/f").x_cache() == "HIT");
        assert_whole(&proxy.get("/f"), &file);
        proxy.restart();
    }
    assert!(file.sent() <= 5 * MIB + 9 * LENGTH, "{}", file.sent());
}

#[test]
fn w31_of_more_than_64_parts_the_64_that_came_last_are_kept() {
    let file = File::new(&[7 * MIB]);
    let origin = file.origin();
    let mut proxy = Proxy::start(&origin, &[]);
    // none touches another one
    let part = |n: usize| (n * 100_000, n * 100_000 + 9_999);
    for (first, last) in (0..70).map(part) {
        assert_part(&ask(&proxy, first, last), &file, first, last);
    }
    for is_restarted in [false, true] {
        if is_restarted {
            proxy.restart();
        }
        for n in 6..70 {
            let (first, last) = part(n);
            let answer = ask(&proxy, first, last);
            assert_part(&answer, &file, first, last);
            assert_eq!(answer.x_cache(), "HIT", "{n} {}", answer.cache_status());
        }
        assert_eq!(file.sent(), 70 * 10_000);
        for n in 0..6 {
            let (first, last) = part(n);
            let line = format!("Range: bytes={first}-{last}");
            let answer = proxy.client().ask("GET", "/f", &[&line, "Cache-Control: only-if-cached"]);
            assert_eq!(answer.status, 504, "{n}");
        }
    }
    // more is missing than is fetched piece by piece: all of it is fetched anew
    assert_whole(&proxy.get("/f"), &file);
}

#[test]
fn w58_what_was_received_whole_is_a_hit_although_the_disk_does_not_have_it() {
    let file = File::new(&[8 * MIB]);
    let origin = file.origin();
    let folder = tempfile::tempdir().unwrap();
    let (cache, disk) = (folder.path().join("cache"), SlowDisk::new(folder.path()));
    let larder = Spawned::on_disk(&disk, &origin.url(), &cache, &[]);
    larder.get("/warm");
    // longer than what follows
    disk.rules(&["sync /filling/ 60000"]);
    assert_whole(&larder.get("/f"), &file);
    for method in ["GET", "HEAD", "GET"] {
        let next = larder.client().ask(method, "/f", &[]);
        assert_eq!((next.status, next.x_cache()), (200, "HIT"), "{method} {}", next.cache_status());
        assert_eq!(next.field("Content-Length"), Some(&*(8 * MIB).to_string()));
        assert!(method == "HEAD" || next.body == file.now().1, "other bytes");
    }
    let range = larder.client().ask("GET", "/f", &["Range: bytes=5000000-5000009"]);
    assert_part(&range, &file, 5_000_000, 5_000_009);
    assert_eq!((range.x_cache(), origin.request_count()), ("HIT", 2));
    let same = larder.client().ask("GET", "/f", &["If-None-Match: \"0\""]);
    assert_eq!((same.status, same.x_cache()), (304, "HIT"));
    larder.kill();
}

#[test]
fn w31_64_parts_of_a_file_of_10_gib_need_little_memory() {
    const LENGTH: u64 = 4 << 20;
    const COMPLETE: u64 = 10 << 30;
    let origin = Origin::answering(|request| {
        let Some((first, last)) =
            request.field("Range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
        else {
            return respond(200, &[FRESH], "warm");
        };
        let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
        let range = format!("Content-Range: bytes {first}-{last}/{COMPLETE}");
        let head =
            format!("HTTP/1.1 206 P\r\nContent-Length: {}\r\n{FRESH}\r\nETag: \"0\"\r\n{range}", last + 1 - first);
        let unit = vec![(first / LENGTH) as u8; 1 << 16];
        vec![Step::Send(format!("{head}\r\n\r\n").into_bytes()), Step::Repeat(unit, (LENGTH >> 16) as usize)]
    });
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--memory", "64MiB", "--disk", "2GiB", "--max-object", "16MiB"];
    let mut larder = Spawned::start(&origin.url(), folder.path(), &flags);
    larder.get("/warm");
    let empty = larder.resident();
    let firsts = (0..64).map(|n| n * (COMPLETE / 64 / LENGTH) * LENGTH);
    for word in ["MISS", "HIT", "HIT"] {
        for first in firsts.clone() {
            let line = format!("Range: bytes={first}-{}", first + LENGTH - 1);
            let answer = larder.client().ask("GET", "/f", &[&line]);
            assert_eq!((answer.status, answer.x_cache()), (206, word), "{first} {}", answer.cache_status());
            assert!(answer.body == vec![(first / LENGTH) as u8; LENGTH as usize], "other bytes");
        }
        let ends: Vec<String> = firsts.clone().map(|first| format!("{}-{}", first + 5, first + 14)).collect();
        // the end of an answer may come before its part is stored
        for end in &ends {
            let lines = [format!("Range: bytes={end}"), "Cache-Control: only-if-cached".to_owned()];
            let is_stored = || larder.client().ask("GET", "/f", &[&lines[0], &lines[1]]).status == 206;
            until("a part to be stored", is_stored);
        }
        let all = larder.client().ask("GET", "/f", &[&format!("Range: bytes={}", ends.join(","))]);
        assert_eq!((all.status, all.x_cache()), (206, "HIT"));
        assert_eq!(multipart(&all).len(), 64);
        let grown = larder.most_resident().saturating_sub(empty);
        assert!(grown < 64 << 20, "grown by {} MiB", grown >> 20);
        if word == "HIT" {
            assert!(larder.stop().success());
            larder = Spawned::start(&origin.url(), folder.path(), &flags);
        }
    }
    assert_eq!(origin.request_count(), 65);
}
