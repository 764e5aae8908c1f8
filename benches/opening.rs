//! How long a large store takes to open, after SIGKILL and after a clean stop, and what a new process holds then. Fails where
//! a mark is missed; the marks are meant for a million. `files`: each body in a file of its own, as large ones are.
//!
//!     cargo bench --bench opening [-- 1000000] [files]

use std::{
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    time::Duration,
};

use larder::{
    clock::{instant, wall},
    store::{Options, Store, StoredBody, StoredResponse},
};

mod process;
#[path = "../tests/larder/support/stored.rs"]
mod stored;

use process::resident;
use stored::key;

/// What tells a child what to do, and where.
const PHASE: &str = "LARDER_BENCH_PHASE";
/// The argument that asks for bodies in files of their own.
const FILES: &str = "files";
const FOLDER: &str = "LARDER_BENCH_FOLDER";

const FILL: &str = "fill";
const REOPEN: &str = "after SIGKILL";
const CLEAR: &str = "after a clean stop";

/// Bytes of a body.
const LENGTH: usize = 1024;
/// Bytes that may be written for each byte of a body.
const WRITTEN: f64 = 3.0;
/// Bytes that a process may have resident which has opened a million responses.
const MEMORY: u64 = 200_000_000;

/// A response that is like no other.
fn response(number: u64) -> StoredResponse {
    let names = ["date", "content-type", "cache-control", "etag", "last-modified", "server"];
    let mut body = vec![0; LENGTH];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut body);
    stored::response(number, &names, body.into())
}

fn opened(folder: &Path) -> Store {
    let options = Options { folder: folder.to_owned(), memory: 256 << 20, disk: 10 << 30, max_object: 1 << 30 };
    Store::open(options)
}

/// How long this process has computed, on all of its threads.
fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Bytes that this process has sent to the disk, or is about to.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").expect("a /proc");
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).expect("a size");
    line.parse().expect("a number")
}

async fn fill(store: &Store, count: u64, files: bool) {
    for number in 0..count {
        let mut response = response(number);
        let now = wall();
        response.head.position = store.position(now);
        (response.head.request_time, response.head.response_time, response.head.received) = (now, now, now);
        if files && let StoredBody::Memory(bytes) = &response.body {
            let mut writer = store.begin_body(Some(bytes.len() as u64)).expect("a file");
            writer.append(vec![bytes.clone()]).await.expect("room");
            response.body = StoredBody::Disk(writer.whole().finish(|body| body).await.expect("a body"));
        }
        store.put(response.key, response, store.epoch());
        if number % 4_000 == 0 {
            store.flush().await;
        }
    }
    store.flush().await;
}

/// What a process of its own does, and says on a line when it is done.
async fn child(phase: &str, folder: &Path, count: u64) {
    let store = opened(folder);
    if phase == FILL {
        store.opened().await;
        fill(&store, count, std::env::args().any(|argument| argument == FILES)).await;
        println!("{} {}", written(), store.stats().disk_used);
        return std::future::pending().await;
    }
    let mut at = 0;
    while store.lookup(&key(at % count)).await.is_none() {
        at += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("hit");
    let [now, most] = resident();
    println!("{} {now} {most} {}", store.stats().responses, cpu().as_micros());
    if phase == CLEAR {
        let began = instant();
        eprintln!("{:?} cleared in {:?}", store.clear().await, began.elapsed());
    }
    store.close().await;
}

/// Runs this program again, for one phase.
fn started(phase: &str, folder: &Path, count: u64) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().expect("a program"))
        .arg(count.to_string())
        .args(std::env::args().find(|argument| argument == FILES))
        .env(PHASE, phase)
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    (child, lines)
}

/// Opens the store in a new process. Are the marks met?
fn opening(phase: &str, folder: &Path, count: u64, first_hit: Duration) -> bool {
    let began = instant();
    let (mut child, mut lines) = started(phase, folder, count);
    let mut line = || lines.next().expect("a line").expect("text");
    line();
    let hit = began.elapsed();
    let numbers: Vec<u64> = line().split(' ').map(|number| number.parse().expect("a number")).collect();
    let [responses, now, most, cpu] = numbers[..] else { panic!("{numbers:?}") };
    let closing = instant();
    assert!(child.wait().expect("its end").success(), "{phase}");
    println!("{phase}: {responses} responses, {now} bytes resident, ended after another {:?}", closing.elapsed());
    println!("  CPU until the first hit: {:?}", Duration::from_micros(cpu));
    println!("  mark: first hit within {first_hit:?} of the process's start, measured: {hit:?}");
    println!("  mark: at most {MEMORY} bytes resident at any time, measured: {most}");
    println!("  mark: {count} responses, measured: {responses}");
    hit <= first_hit && most <= MEMORY && responses == count
}

fn main() -> ExitCode {
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    if let (Ok(phase), Some(folder)) = (std::env::var(PHASE), std::env::var_os(FOLDER)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(child(&phase, folder.as_ref(), count));
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("cache");
    let began = instant();
    let (mut child, mut lines) = started(FILL, &folder, count);
    let line = lines.next().expect("a line").expect("text");
    let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
    let [written, used] = numbers[..] else { panic!("{numbers:?}") };
    println!("{count} responses stored in {:?}", began.elapsed());
    println!("  {} bytes of disk used for each", used / count);
    let for_each_byte = written as f64 / (count * LENGTH as u64) as f64;
    println!("  mark: at most {WRITTEN} bytes written for each byte of body, measured: {for_each_byte:.2}");
    child.kill().expect("killed");
    child.wait().expect("gone");
    let killed = opening(REOPEN, &folder, count, Duration::from_secs(3));
    let stopped = opening(CLEAR, &folder, count, Duration::from_secs(1));
    if killed && stopped && (for_each_byte <= WRITTEN || std::env::args().any(|argument| argument == FILES)) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
