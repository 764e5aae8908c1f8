//! As much at once, or in a row, as the catalogue asks for.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

use futures_util::future::join_all;
use larder::clock;
use rustix::process::Signal;
use socket2::SockRef;
use tokio::{io::AsyncReadExt, time::timeout};

use crate::support::{
    Client, Origin, PATIENCE, Spawned, Step,
    client::hold_little,
    open_files,
    proxy::{larder, output},
    request, respond, until,
};

const MIB: u64 = 1 << 20;
const FRESH: &str = "Cache-Control: max-age=600";

/// A large body is its target so many times, 2 MB, and sent so many of these at a time: the catalogue's 10 MB take five times
/// as long and no more memory.
const TIMES: usize = 240_000;
const TOGETHER: usize = 8_000;

/// What becomes of a request for a large body. What comes of the body is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Refused,
    Cut,
}

/// Reads the answer for a large target to its end.
async fn answer(stream: TcpStream, target: &str) -> End {
    stream.set_nonblocking(true).unwrap();
    let mut stream = tokio::net::TcpStream::from_std(stream).unwrap();
    let mut buffer = Vec::with_capacity(READ);
    let more = async |stream: &mut tokio::net::TcpStream, into: &mut Vec<u8>| {
        timeout(PATIENCE, stream.read_buf(into)).await.expect("more bytes").unwrap_or(0)
    };
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|end| end == b"\r\n\r\n") {
            break buffer.drain(..end + 4).collect::<Vec<u8>>();
        }
        if more(&mut stream, &mut buffer).await == 0 {
            return End::Cut;
        }
    };
    if !head.starts_with(b"HTTP/1.1 200 ") {
        assert!(head.starts_with(b"HTTP/1.1 503 "), "{target}: {}", String::from_utf8_lossy(&head));
        return End::Refused;
    }
    let (unit, mut had) = (target.repeat(READ / target.len() + 2), 0);
    loop {
        let expected = &unit.as_bytes()[had % target.len()..][..buffer.len()];
        assert!(buffer == expected, "{target}: at {had}");
        had += buffer.len();
        buffer.clear();
        if had == target.len() * TIMES {
            return End::Whole;
        }
        if more(&mut stream, &mut buffer).await == 0 {
            return End::Cut;
        }
    }
}

/// Bytes of an answer that are read at a time.
const READ: usize = 16 << 10;

/// A busy machine may take long over so many answers.
const HOWEVER_LONG: &[&str] =
    &["--write-timeout", "10m", "--first-byte-timeout", "10m", "--between-bytes-timeout", "10m"];

/// What became of requests for so many bodies at once: whole, refused, cut off. One thread reads all of them.
fn ask_at_once(larder: &Spawned, targets: &[String], meanwhile: impl FnOnce()) -> [usize; 3] {
    let mut clients: Vec<Client> = targets.iter().map(|_| Client::connect_as_one_of_many(larder.address)).collect();
    for (client, target) in clients.iter_mut().zip(targets) {
        client.send(request("GET", target, &[]));
    }
    let read = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answers = clients.into_iter().zip(targets).map(|(client, target)| answer(client.into_stream(), target));
        runtime.block_on(join_all(answers))
    };
    let ends = thread::scope(|scope| {
        let reading = scope.spawn(read);
        meanwhile();
        reading.join().unwrap()
    });
    [End::Whole, End::Refused, End::Cut].map(|kind| ends.iter().filter(|end| **end == kind).count())
}

/// Bodies of so many bytes, and small ones.
fn large_and_small() -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    hold_little(SockRef::from(&listener));
    Origin::on(listener, |request| match request.target.strip_prefix("/large") {
        None => respond(200, &[FRESH], &request.target),
        Some(_) => {
            let length = request.target.len() * TIMES;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{FRESH}\r\n\r\n");
            let together = request.target.repeat(TOGETHER).into_bytes();
            vec![Step::Send(head.into_bytes()), Step::Repeat(together, TIMES / TOGETHER)]
        }
    })
}

#[test]
fn x14_a_thousand_large_answers_at_once_take_bounded_memory() {
    // 512 connections to the origin at first; of a fill memory holds a window of 256 KiB, and as much is on its way
    const FILLS: u64 = 512;
    const BOUND: u64 = 64 * MIB + FILLS * MIB / 2;
    assert!(open_files() > 4000);
    let origin = large_and_small();
    let folder = tempfile::tempdir().unwrap();
    let targets: Vec<String> = (0..1000).map(|n| format!("/large{n}")).collect();
    let larder = Spawned::start(&origin.url(), folder.path(), &[&["--memory", "64MiB"], HOWEVER_LONG].concat());
    until("a hit", || larder.get("/small").x_cache() == "HIT");
    let empty = larder.resident();
    let [whole, refused, cut] = ask_at_once(&larder, &targets, || ());
    let grown = larder.most_resident() - empty;
    println!("{whole} whole, {refused} refused, grown by {} MiB", grown / MIB);
    // what finds no connection to the origin free is told so at once
    assert!(cut == 0 && whole >= FILLS as usize / 2, "{whole} whole, {refused} refused, {cut} cut");
    assert!(grown < BOUND, "grown by {} MiB", grown / MIB);
    assert_eq!(larder.get("/small").x_cache(), "HIT");
}

#[test]
fn x14_without_memory_answers_are_whole_or_cut_off_and_after_its_end_nothing_wrong_is_served() {
    const FLAGS: &[&str] = &["--memory", "64MiB", "--disk", "2GiB"];
    let origin = large_and_small();
    let folder = tempfile::tempdir().unwrap();
    let targets: Vec<String> = (0..200).map(|n| format!("/large{n}")).collect();
    let (before, at_once) = targets.split_at(10);
    let larder = Spawned::start(&origin.url(), folder.path(), FLAGS);
    let stored = |larder: &Spawned, target: &String| {
        let answer = larder.client().ask("GET", target, &["Cache-Control: only-if-cached"]);
        let is_hit = answer.status == 200;
        assert!(!is_hit || answer.body == target.repeat(TIMES).as_bytes(), "{target}");
        is_hit
    };
    assert_eq!(ask_at_once(&larder, before, || ()), [before.len(), 0, 0]);
    before.iter().for_each(|target| until("it to be stored", || stored(&larder, target)));
    assert!(larder.stop().success());

    // little more than an empty one has in its address space; memory that it is not given ends a program
    let larder = Spawned::limited("-v 600000", &origin.url(), folder.path(), FLAGS);
    let [whole, refused, cut] = ask_at_once(&larder, at_once, || {
        let answered = || larder.log().iter().filter(|line| line.contains("MISS 200 GET /large")).count();
        // all of them come equally far, so that the first one ends late
        until("some to be answered, or its end", || answered() > 0 || larder.status("State").starts_with('Z'));
        larder.signal(Signal::KILL);
    });
    println!("{whole} whole, {refused} refused, {cut} cut: {:?}", larder.log().last());
    assert!(cut > 0, "it ended when all had been answered");
    larder.kill();

    let starting = |folder: &Path| {
        let began = clock::instant();
        let larder = Spawned::start(&origin.url(), folder, FLAGS);
        assert_eq!(larder.get("/small").status, 200);
        (began.elapsed(), larder)
    };
    // a busy machine takes longer, in an empty folder too
    let (usual, _) = starting(tempfile::tempdir().unwrap().path());
    let (took, larder) = starting(folder.path());
    assert!(took < Duration::from_secs(2).max(usual * 10), "{took:?}, and {usual:?} in an empty folder");
    until("a hit", || larder.get("/small").x_cache() == "HIT");
    // a busy machine takes longer to open the store
    before.iter().for_each(|target| until("what was stored before to be found", || stored(&larder, target)));
    let hits = targets.iter().filter(|target| stored(&larder, target)).count();
    println!("{hits} of them stored");
}

#[test]
fn x06_ten_thousand_idle_connections_leave_room_for_new_clients_and_for_what_needs_files() {
    // 10,000 clients, the connections to the origin, long responses among them, and what is kept in reserve
    const FILES: usize = 10_000 + 512 + 4096 + RESERVE;
    const RESERVE: usize = 512;
    if open_files() < 16_000 {
        return eprintln!("skipped: this process may not open 16,000 files (ulimit -Hn)");
    }
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: no-store"], &request.target));
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--head-timeout", "5m", "--keep-alive", "5m"];
    let larder = Spawned::limited(&format!("-n {FILES}"), &origin.url(), folder.path(), &flags);
    // it says that it listens when the store is open
    let files = || std::fs::read_dir(format!("/proc/{}/fd", larder.pid())).unwrap().count();
    let own = files();
    let from = |last: u8| -> Vec<Client> {
        (0..1100).map(|_| Client::connect_from([127, 0, 1, last], larder.address)).collect()
    };
    let mut idle: Vec<Vec<Client>> = (1..=9).map(from).collect();
    until("each address to have its 1,024", || files() == own + 9 * 1024);
    let newcomer = |last: u8| {
        let mut client = Client::connect_from([127, 0, 2, last], larder.address);
        let _ = client.try_send(request("GET", "/new", &["Connection: close"]));
        client.try_head().map(|head| head.status)
    };
    assert_eq!(newcomer(1), Some(200), "while nine addresses are at their limit");
    // two workers need not accept them in the order in which they came
    let refused = idle[0].iter().rposition(Client::is_answered).expect("a refused client");
    assert_eq!(idle[0].remove(refused).response("GET").status, 429);

    // one connection to the origin may still be open
    idle.push(from(10));
    until("the total to be reached", || files() >= own + 10_000);
    assert_eq!(newcomer(2), Some(503));
    assert!(files() <= own + 10_001 && files() <= FILES - RESERVE, "{} files, {own} of its own", files());
    for clients in &mut idle {
        assert_eq!(clients[0].get("/there").text(), "/there", "those who were there are served on");
    }
    assert_eq!(newcomer(3), Some(503));
    idle.pop();
    until("places to be free", || newcomer(4) == Some(200));
    let log = larder.log();
    assert!(!log.iter().any(|line| line.contains(" ERROR ") || line.contains(" WARN ")), "{log:#?}");
}

fn in_parallel(clients: usize, requests: usize, larder: &Spawned, each: impl Fn(&mut Client, usize) + Sync) {
    thread::scope(|scope| {
        for first in 0..clients {
            let each = &each;
            scope.spawn(move || {
                let mut client = larder.client();
                for (turn, n) in (first..requests).step_by(clients).enumerate() {
                    if turn % 5000 == 4999 {
                        client = larder.client();
                    }
                    each(&mut client, n);
                }
            });
        }
    });
}

/// The least that the limits may be, and a quarter more memory for what is no cache.
const SMALL: &[&str] = &["--disk", "16MiB", "--memory", "64MiB", "-q"];
const GROWN: u64 = 80 * MIB;

/// What `larder stats` counts.
fn counted(folder: &Path) -> serde_json::Value {
    let folder = folder.to_str().unwrap();
    let stats = output(&mut larder(&["stats", "--json", "--cache-dir", folder]));
    serde_json::from_slice::<serde_json::Value>(&stats.stdout).unwrap()[folder].take()
}

fn assert_within_limits(larder: &Spawned, folder: &Path, empty: u64) {
    let (grown, disk) = (larder.most_resident() - empty, super::load::disk_used(folder));
    assert!(grown < GROWN, "grown by {} MiB", grown / MIB);
    assert!(disk <= 16 * MIB, "{disk} bytes on disk");
    let stats = counted(folder);
    assert!(
        stats["memory_used"].as_u64() <= Some(64 * MIB) && stats["disk_used"].as_u64() <= Some(16 * MIB),
        "{stats}"
    );
}

/// A hundred thousand go through the store in `src/store/tests/limits.rs`.
#[test]
fn x10_unique_queries_leave_what_is_asked_for_where_it_is() {
    let origin = Origin::answering(|request| respond(200, &[FRESH], request.target.repeat(500)));
    let folder = tempfile::tempdir().unwrap();
    let larder = Spawned::start(&origin.url(), folder.path(), SMALL);
    until("a hit", || larder.get("/hot").x_cache() == "HIT");
    let empty = larder.resident();
    in_parallel(4, 6_000, &larder, |client, n| {
        let target = format!("/?r={n}");
        assert_eq!(client.get(&target).text(), target.repeat(500));
        if n % 100 == 0 {
            assert_eq!(client.get("/hot").x_cache(), "HIT", "{n}");
            assert_within_limits(&larder, folder.path(), empty);
        }
    });
    assert!(counted(folder.path())["evicted"].as_u64() > Some(1000), "{}", counted(folder.path()));
}

/// A hundred thousand go through the store in `src/store/tests/limits.rs`.
#[test]
fn a07_of_ever_new_variants_of_a_url_64_are_kept() {
    let origin = Origin::answering(|request| {
        respond(200, &[FRESH, "Vary: User-Agent, X-Rand"], request.field("X-Rand").unwrap_or("-").repeat(500))
    });
    let folder = tempfile::tempdir().unwrap();
    let larder = Spawned::start(&origin.url(), folder.path(), SMALL);
    until("a hit", || larder.get("/hot").x_cache() == "HIT");
    let empty = larder.resident();
    in_parallel(4, 6_000, &larder, |client, n| {
        let fields = [format!("X-Rand: {n}-"), "User-Agent: test".to_owned()];
        let answer = client.ask("GET", "/", &fields.each_ref().map(String::as_str));
        assert_eq!(answer.text(), format!("{n}-").repeat(500));
        if n % 100 == 0 {
            assert_eq!(client.get("/hot").x_cache(), "HIT", "{n}");
            assert_within_limits(&larder, folder.path(), empty);
        }
    });
    // and the one of another URL; four were on their way at once, of which some may have left the list again
    until("no more to be left", || counted(folder.path())["responses"].as_u64() <= Some(64 + 1 + 4));
    assert_eq!(counted(folder.path())["evicted"], 0);
}
