//! What the operator's commands cost while a large cache is asked: the first rows of `larder ls`, `larder purge --prefix`
//! through the control socket, and hits meanwhile. Fails where a mark is missed; the marks are meant for a million responses.
//!
//!     cargo bench --bench operator -- 1000000

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use larder::{
    admin::{
        Command, ask, ask_each,
        list::ListRequest,
        purge::{PurgeRequest, What},
    },
    cli::Arguments,
    clock::{Clock, instant, wall},
    config::{Config, Surroundings, Task},
    key::{CacheKey, UrlParts},
    message::{FieldName, FieldValue, Method, RequestLine, Scheme},
    server,
    store::{Options, Store, StoredResponse},
};

#[path = "../tests/larder/support/stored.rs"]
mod stored;

/// The first row of a list must come within this time.
const FIRST_ROW: Duration = Duration::from_millis(500);
/// A purge of a prefix must be answered within this time.
const PURGED: Duration = Duration::from_millis(10);
/// So many times what 99 of 100 hits take at most, a purge may make them take.
const SLOWER: f64 = 1.5;

const SITE: &str = "http://127.0.0.1:9";
/// The paths begin with one of so many prefixes. Those of the first half are purged, the others asked for.
const PREFIXES: u64 = 100;
const CLIENTS: u64 = 2;
const SPAN: Duration = Duration::from_secs(8);
/// A purge comes so often.
const PURGE: Duration = Duration::from_millis(200);

fn path(number: u64) -> String {
    format!("/part-{}/{number}", number % PREFIXES)
}

fn response(store: &Store, number: u64) -> StoredResponse {
    let path = path(number);
    let key = CacheKey::of(UrlParts {
        site: SITE,
        host_mode: "origin",
        method: &Method::GET,
        path_and_query: &path,
        client: None,
        besides: None,
    });
    let mut response = stored::response(number, &["content-type", "etag"], vec![b'x'; 256].into());
    (response.key, response.primary) = (key, key);
    let (head, now) = (&mut response.head, wall());
    let fresh = (FieldName::from_static("cache-control"), FieldValue::from_static("max-age=86400"));
    head.head.fields.append(fresh.0, fresh.1);
    head.line = RequestLine::new(SITE, Method::GET, Scheme::Http, "127.0.0.1:3000", &path);
    (head.position, head.request_time, head.response_time, head.received) = (store.position(now), now, now, now);
    response
}

async fn fill(config: &Config, count: u64) {
    let options = Options { ..config.store.clone() };
    let store = Store::open(options);
    store.opened().await;
    for number in 0..count {
        let response = response(&store, number);
        store.put(response.key, response, store.epoch());
        if number % 4_000 == 0 {
            store.flush().await;
        }
    }
    store.flush().await;
    store.close().await;
}

/// Requests of one connection: Larder ends one after 10,000.
const REQUESTS: usize = 5_000;

fn connect(address: SocketAddr) -> (TcpStream, BufReader<TcpStream>) {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    let answers = BufReader::new(stream.try_clone().expect("a socket"));
    (stream, answers)
}

/// How long each hit took that a client had until the end, over one connection at a time.
fn hits(address: SocketAddr, count: u64, seed: u64, end: Instant) -> Vec<Duration> {
    let (mut stream, mut answers) = connect(address);
    let mut took = Vec::new();
    let numbers = (1..).map(|n: u64| (seed << 40 | n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20);
    for number in numbers.map(|number| number % count).filter(|number| number % PREFIXES >= PREFIXES / 2) {
        if took.len() % REQUESTS == REQUESTS - 1 {
            (stream, answers) = connect(address);
        }
        let began = instant();
        if began >= end {
            break;
        }
        write!(stream, "GET {} HTTP/1.1\r\nHost: 127.0.0.1:3000\r\n\r\n", path(number)).expect("sent");
        let (mut length, mut is_hit, mut line) = (0, false, String::new());
        loop {
            line.clear();
            assert_ne!(answers.read_line(&mut line).expect("a line"), 0, "the connection has ended");
            let lower = line.to_ascii_lowercase();
            length =
                lower.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().expect("a length"));
            is_hit |= lower.starts_with("x-cache: hit");
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        answers.read_exact(&mut body).expect("a body");
        assert!(is_hit, "{number} is lost");
        took.push(began.elapsed());
    }
    took
}

/// Asks for hits with all clients, and does `work` meanwhile. Returns what 99 of 100 hits took at most.
fn p99(what: &str, address: SocketAddr, count: u64, seed: u64, work: impl FnOnce(&AtomicBool) + Send) -> Duration {
    let (end, over) = (instant() + SPAN, AtomicBool::new(false));
    let mut took = std::thread::scope(|scope| {
        let clients =
            (0..CLIENTS).map(|client| scope.spawn(move || hits(address, count, seed * CLIENTS + client, end)));
        let clients: Vec<_> = clients.collect();
        let working = scope.spawn(|| work(&over));
        let took: Vec<Duration> = clients.into_iter().flat_map(|client| client.join().expect("a client")).collect();
        over.store(true, Relaxed);
        working.join().expect("worked");
        took
    });
    took.sort_unstable();
    let of = |share: usize| took[(took.len() * share / 1000).min(took.len() - 1)];
    println!("  {what}: {} hits, p50 {:?}, p99 {:?}, p99.9 {:?}", took.len(), of(500), of(990), of(999));
    of(990)
}

fn purge(folder: &Path, prefix: String) -> Duration {
    let what = What::Prefix(prefix);
    let request = PurgeRequest { what, soft: false, dry_run: false, count: false, yes: false };
    let began = instant();
    ask(folder, &Command::Purge(request)).expect("purged");
    began.elapsed()
}

fn main() -> ExitCode {
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(20_000);
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let cache_dir = cache.to_str().expect("text");
    let words = ["larder", "--origin", SITE, "--host-header", "origin", "--port", "0", "--cache-dir", cache_dir, "-qq"];
    let arguments = Arguments::read(words.into_iter().chain(["--memory", "512MiB", "--disk", "20GiB"])).expect("words");
    let Ok(Task::Serve(config)) = Task::new(&arguments, &Surroundings::read()) else { panic!("it does not serve") };
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let began = instant();
    rt.block_on(fill(&config, count));
    println!("{count} responses stored in {:?}", began.elapsed());
    let running = server::start(*config, Clock::system()).expect("a server");
    rt.block_on(running.store.opened());
    let address = running.addr;

    let (mut first, mut rows) = (None, 0_u64);
    let began = instant();
    ask_each(&cache, &Command::List(ListRequest::default()), |_| {
        first.get_or_insert_with(|| began.elapsed());
        rows += 1;
    })
    .expect("a list");
    let first = first.expect("a row");
    println!("  ls: {rows} rows in {:?}", began.elapsed());
    println!("  mark: the first row within {FIRST_ROW:?}, measured: {first:?}");

    p99("asked for the first time", address, count, 1, |_| {});
    let before = p99("before the purges", address, count, 2, |_| {});
    let mut took = Vec::new();
    let during = p99("during the purges", address, count, 3, |over| {
        for prefix in (0..PREFIXES / 2).take_while(|_| !over.load(Relaxed)) {
            took.push(purge(&cache, format!("/part-{prefix}")));
            std::thread::sleep(PURGE);
        }
    });
    let after = p99("after the purges", address, count, 4, |_| {});
    took.sort_unstable();
    let (median, slowest) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "  mark: a purge of a prefix within {PURGED:?}, measured: {median:?} in the median, {slowest:?} at most of {}",
        took.len()
    );
    let most = before.max(after).mul_f64(SLOWER);
    println!("  mark: p99 during the purges at most {most:?}, measured: {during:?}");
    p99("during a list", address, count, 5, |_| {
        ask_each(&cache, &Command::List(ListRequest::default()), |_| {}).map(drop).expect("a list");
    });
    running.stop(true);
    match first <= FIRST_ROW && median <= PURGED && during <= most {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
