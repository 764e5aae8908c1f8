//! How long a large store takes to open, after a clean stop and after SIGKILL, and what the process holds then.
//!
//!     cargo bench --bench opening [-- 1000000]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use bytes::Bytes;
use larder::{
    clock::{Seconds, Timestamp, instant},
    key::CacheKey,
    message::{
        FieldName, FieldValue, Fields, Method, ResponseHead, StatusCode, StoredBody, StoredHead, StoredResponse, Target,
    },
    store::{Options, Store},
};

const CHILD: &str = "LARDER_BENCH_FOLDER";

fn key(number: u64) -> CacheKey {
    let target = Target { authority: "example.org".to_owned(), path_and_query: format!("/{number}") };
    CacheKey::of("http://origin", &Method::GET, &target.authority, &target.path_and_query)
}

fn response(number: u64) -> StoredResponse {
    let names = ["date", "content-type", "cache-control", "etag", "last-modified", "server"];
    let fields = names.map(|name| (FieldName::from_static(name), FieldValue::from_static("a value of usual length")));
    let mut body = vec![0; 1024];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut body);
    let head = StoredHead {
        asked: format!("GET http://example.org/{number}"),
        head: ResponseHead { status: StatusCode::OK, fields: fields.into_iter().collect::<Fields>() },
        request_time: Timestamp(0),
        response_time: Timestamp(0),
        received: Timestamp(0),
        initial_age: Seconds(0),
        nominated: Vec::new(),
        part: None,
        invalidated: false,
        credentials: false,
    };
    StoredResponse { key: key(number), head, body: StoredBody::Memory(Bytes::from(body)) }
}

fn opened(folder: &Path) -> Store {
    let options = Options { folder: folder.to_owned(), memory: 256 << 20, disk: 10 << 30, max_object: 1 << 30 };
    Store::open(options)
}

fn rss() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default().to_owned()
}

async fn first_hit(folder: &Path, count: u64, what: &str) -> Store {
    let began = instant();
    let store = opened(folder);
    let mut at = 0;
    while store.lookup(&key(at % count)).await.is_none() {
        at += 1;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    println!("{what}: first hit after {:?}, {}, {:?}", began.elapsed(), rss(), store.stats());
    store
}

async fn fill(store: &Store, from: u64, to: u64) {
    for number in from..to {
        store.put(key(number), response(number), store.epoch());
        if number % 4_000 == 0 {
            store.flush().await;
        }
    }
    store.flush().await;
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if let Some(folder) = std::env::var_os(CHILD) {
        let count = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(0);
        return runtime.block_on(async {
            let store = opened(folder.as_ref());
            store.opened().await;
            fill(&store, 0, count).await;
            println!("filled");
            std::future::pending().await
        });
    }
    let count: u64 = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(100_000);
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("cache");
    let began = instant();
    let mut child = Command::new(std::env::current_exe().expect("a program"))
        .arg(count.to_string())
        .env(CHILD, &folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    lines.next();
    println!("{count} responses stored in {:?}", began.elapsed());
    child.kill().expect("killed");
    child.wait().expect("gone");
    runtime.block_on(async {
        let store = first_hit(&folder, count, "after SIGKILL").await;
        let began = instant();
        store.close().await;
        println!("closed in {:?}", began.elapsed());
        let store = first_hit(&folder, count, "after a clean stop").await;
        let began = instant();
        println!("{:?} cleared in {:?}", store.clear().await, began.elapsed());
    });
}
