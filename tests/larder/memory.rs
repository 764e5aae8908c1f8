//! What the program holds in memory, beside what it holds when nothing has gone through it.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
};

use crate::{
    exhaustion::load::disk_used,
    support::{Client, Origin, Spawned, Step, request, respond, until},
};

const MIB: u64 = 1 << 20;
const FRESH: &str = "Cache-Control: max-age=600";

/// It has answered something: what each worker and the store need once is there.
fn warm(larder: &Spawned) -> u64 {
    for _ in 0..8 {
        larder.get("/warm");
    }
    larder.resident()
}

#[test]
fn what_is_held_for_the_cache_keeps_the_memory_limit_while_half_as_much_again_goes_through() {
    const LIMIT: u64 = 128 * MIB;
    let origin = Origin::answering(|request| {
        let length = request.target[1..].parse::<usize>().map_or(0, |n| (64 << 10) + n * 7919 % (136 << 10));
        respond(200, &[FRESH], vec![b'x'; length])
    });
    let folder = tempfile::tempdir().unwrap();
    let larder = Spawned::start(&origin.url(), folder.path(), &["--memory", "128MiB", "--disk", "256MiB"]);
    let empty = warm(&larder);
    let (mut client, mut sent, mut most) = (larder.client(), 0, 0);
    for n in 0.. {
        sent += client.get(&format!("/{n}")).body.len() as u64;
        if n % 16 == 0 {
            most = most.max(larder.resident());
        }
        if sent > LIMIT * 3 / 2 {
            break;
        }
    }
    let grown = most - empty;
    assert!(grown <= LIMIT * 5 / 4, "grown by {} MiB", grown / MIB);
    // it does hold what it may
    assert!(grown >= LIMIT / 2, "grown by {} MiB", grown / MIB);
}

/// What a large body repeats: no part of the store is as long as this.
fn unit() -> Vec<u8> {
    (0..1_000_003_u32).map(|n| (n % 251) as u8 ^ (n >> 12) as u8).collect()
}
const TIMES: usize = 150;

/// Reads a large body to its end and compares it. The most that the program occupied meanwhile.
fn compare(larder: &Spawned, client: &mut Client, unit: &[u8]) -> u64 {
    let (mut bytes, mut most) = (vec![0; unit.len()], 0);
    for time in 0..TIMES {
        client.read_exact(&mut bytes).unwrap();
        assert!(bytes == unit, "part {time}");
        most = most.max(larder.resident());
    }
    most
}

#[test]
fn a_large_body_needs_little_memory_while_it_is_stored_and_served_and_where_its_readers_stall() {
    let unit = unit();
    let length = unit.len() * TIMES;
    let origin = Origin::answering({
        let unit = unit.clone();
        move |request| match (request.target.as_str(), request.field("Range")) {
            ("/large", None) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{FRESH}\r\n\r\n");
                vec![Step::Send(head.into_bytes()), Step::Repeat(unit.clone(), TIMES)]
            }
            _ => respond(503, &[], "warm"),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let start = || Spawned::start(&origin.url(), folder.path(), &["--disk", "2GiB"]);
    let ask = |larder: &Spawned| {
        let mut client = larder.client();
        let head = client.send(request("GET", "/large", &[])).head();
        (client, head.x_cache().to_owned())
    };

    let larder = start();
    let empty = warm(&larder);
    let (mut client, word) = ask(&larder);
    assert_eq!(word, "MISS");
    let grown = compare(&larder, &mut client, &unit).saturating_sub(empty);
    assert!(grown < 48 * MIB, "grown by {} MiB while it was stored", grown / MIB);
    assert!(larder.stop().success());

    let larder = start();
    let empty = warm(&larder);
    let at = unit.len() * (TIMES - 1);
    let range = format!("Range: bytes={at}-{}", at + 99);
    // until the store is open the origin is asked, which has no parts
    until("the part", || {
        let part = larder.client().ask("GET", "/large", &[&range]);
        (part.status, part.x_cache(), &part.body[..]) == (206, "HIT", &unit[..100])
    });

    let mut stalled: Vec<_> = (0..50).map(|_| ask(&larder).0).collect();
    stalled.iter_mut().for_each(|client| assert!(client.bytes(1000) == unit[..1000]));
    let stalling = larder.resident().saturating_sub(empty);
    assert!(stalling < 16 * MIB, "50 readers that stall cost {} MiB", stalling / MIB);
    let (mut client, word) = ask(&larder);
    assert_eq!(word, "HIT");
    let grown = compare(&larder, &mut client, &unit).saturating_sub(empty);
    assert!(grown < 48 * MIB, "grown by {} MiB while it was served", grown / MIB);
}

#[test]
fn r22_what_is_compressed_is_never_decompressed() {
    // 10 MB in each member, 10 GB in all
    let mut gzip = Command::new("gzip").arg("-9").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = gzip.stdin.take().unwrap();
    let zeros = std::thread::spawn(move || stdin.write_all(&vec![0; 10_000_000]));
    let member = gzip.wait_with_output().unwrap().stdout;
    zeros.join().unwrap().unwrap();
    let bomb = member.repeat(1000);
    assert!((5_000_000..20_000_000).contains(&bomb.len()), "{} bytes", bomb.len());
    let origin = Origin::answering({
        let bomb = bomb.clone();
        move |request| match request.target.strip_prefix("/bomb/") {
            Some(coding) => respond(200, &[FRESH, &format!("Content-Encoding: {}", coding.replace('-', ", "))], &bomb),
            None => respond(200, &[FRESH], "warm"),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let larder = Spawned::start(&origin.url(), folder.path(), &["--memory", "64MiB", "--disk", "256MiB"]);
    let empty = warm(&larder);
    for coding in ["gzip", "gzip-gzip", "br", "zstd"] {
        let target = format!("/bomb/{coding}");
        until("a hit", || {
            let answer = larder.client().ask("GET", &target, &["Accept-Encoding: identity"]);
            assert!(answer.body == bomb, "{coding}: {} bytes", answer.body.len());
            assert_eq!(answer.field("Content-Encoding"), Some(coding.replace('-', ", ").as_str()));
            answer.x_cache() == "HIT"
        });
    }
    let grown = larder.most_resident() - empty;
    assert!(grown < 64 * MIB, "grown by {} MiB", grown / MIB);
}

#[test]
fn r23_an_endless_body_is_passed_on_with_little_memory_and_given_up_by_the_cache() {
    const DISK: u64 = 32 * MIB;
    let chunk: Vec<u8> = unit()[..1_000_000].to_vec();
    let origin = Origin::answering({
        let framed = [b"f4240\r\n", &chunk[..], b"\r\n"].concat();
        move |request| match request.target.as_str() {
            "/endless" => {
                let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{FRESH}\r\n\r\n");
                vec![Step::Send(head.into_bytes()), Step::Repeat(framed.clone(), usize::MAX)]
            }
            _ => respond(200, &[FRESH], "warm"),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let larder = Spawned::start(&origin.url(), folder.path(), &["--disk", "32MiB", "--max-object", "8MiB"]);
    let empty = warm(&larder);
    let mut client = larder.client();
    // without chunks of Larder's own
    client.send("GET /endless HTTP/1.0\r\nHost: larder.test\r\n\r\n").head();
    let mut bytes = vec![0; chunk.len()];
    for part in 0..500 {
        client.read_exact(&mut bytes).unwrap();
        assert!(bytes == chunk, "part {part}");
        let disk = disk_used(folder.path());
        assert!(disk <= DISK, "{disk} bytes on disk at part {part}");
    }
    let grown = larder.most_resident() - empty;
    assert!(grown < 16 * MIB, "grown by {} MiB", grown / MIB);
    drop(client);
    origin.await_no_connections();
    until("the disk to be given back", || disk_used(folder.path()) < 8 * MIB);
    let only = ["Cache-Control: only-if-cached"];
    assert_eq!(larder.client().ask("GET", "/endless", &only).status, 504, "nothing of it is stored");
    assert_eq!(larder.get("/warm").x_cache(), "HIT");
}
