//! What no client can time from outside: a request that was looked up, and goes on when others have come and gone.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Barrier, Semaphore},
    task::{JoinHandle, LocalSet, spawn_local, yield_now},
};

use super::{said::Said, *};
use crate::{
    cli::Arguments,
    client,
    clock::{Clock, Timestamp, instant},
    config::{Config, Surroundings, Task},
    message::FieldValue,
    origin::Origin,
    store::Store,
};

/// What stands between looking up and going on, for requests with the field `X-Held`.
struct Hold {
    looked_up: AtomicUsize,
    go: Semaphore,
    /// Behind it all go on in one turn of the worker, before anything else happens to any of them.
    together: Mutex<Arc<Barrier>>,
}

struct Rig {
    address: SocketAddr,
    hold: Arc<Hold>,
    asked: Arc<AtomicUsize>,
    store: Store,
    clock: Clock,
    _folder: tempfile::TempDir,
}

/// An origin that answers each request with these fields, and what it was asked for in Accept-Encoding as the body;
/// without fields it closes the connection.
fn origin(fields: &'static str, asked: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let (mut connection, mut head) = (connection.unwrap(), Vec::new());
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if connection.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                head.push(byte[0]);
            }
            asked.fetch_add(1, Relaxed);
            if fields.is_empty() {
                continue;
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let coding = head.lines().find_map(|line| line.strip_prefix("accept-encoding: ")).unwrap_or("none");
            let length = coding.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n{coding}");
            connection.write_all(answer.as_bytes()).unwrap();
        }
    });
    address
}

impl Rig {
    /// One worker in front of an origin that answers with these fields.
    async fn start(fields: &'static str, tune: impl FnOnce(&mut Config)) -> Rig {
        let asked = Arc::new(AtomicUsize::new(0));
        let folder = tempfile::tempdir().unwrap();
        let url = format!("http://{}", origin(fields, asked.clone()));
        let words = ["larder", "--origin", &url, "--port", "0", "--disk", "64MiB", "--workers", "1", "--cache-dir"];
        let cache = folder.path().join("cache");
        let words = words.into_iter().chain([cache.to_str().unwrap()]).collect::<Vec<_>>();
        let task = Task::new(&Arguments::read(words).unwrap(), &Surroundings::default()).unwrap();
        let Task::Serve(mut config) = task else { panic!("{task:?}") };
        tune(&mut config);
        let (store, clock) = (Store::open(config.store.clone()), Clock::manual(Timestamp::from_seconds(1_767_225_600)));
        store.opened().await;
        let hold = Arc::new(Hold {
            looked_up: AtomicUsize::new(0),
            go: Semaphore::new(0),
            together: Mutex::new(Arc::new(Barrier::new(1))),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let worker = {
            let (prepared, shared) =
                (Origin::prepare(config.sites[0].origin_client.clone()).unwrap(), Arc::new(Shared::default()));
            let (store, clock, hold, config) = (store.clone(), clock.clone(), hold.clone(), config.clone());
            move || {
                let url = OriginUrl {
                    https: false,
                    authority: config.sites[0].origin.authority(),
                    base: String::new(),
                    prefix: String::new(),
                };
                let site = SitePlan {
                    hosts: Vec::new(),
                    url,
                    host_mode: HostMode::Client,
                    forward_client: false,
                    origin: prepared.clone(),
                    twin: Arc::default(),
                    policy: Arc::new(config.sites[0].policy.clone()),
                    rules: Arc::default(),
                    health: Arc::default(),
                    hinted: Arc::new(std::sync::Once::new()),
                };
                let plan = Plan { hosts: Vec::new(), sites: vec![site] };
                let cx = Rc::new(Context {
                    sites: Sites::new(Arc::new(ArcSwap::from_pointee(plan))),
                    port: address.port(),
                    trusted: Default::default(),
                    pseudonym: "larder".into(),
                    via: FieldValue::from_static("1.1 larder"),
                    store: store.clone(),
                    keys: Default::default(),
                    clock: clock.clone(),
                    counts: shared.counts.of_worker(),
                    shared: shared.clone(),
                });
                let hold = hold.clone();
                move |presented| held(cx.clone(), presented, hold.clone())
            }
        };
        spawn_local(client::run(vec![listener], config.client.clone(), worker).unwrap());
        Rig { address, hold, asked, store, clock, _folder: folder }
    }

    fn get(&self, fields: &str) -> JoinHandle<String> {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
        let address = self.address;
        spawn_local(async move {
            let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
            client.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        })
    }

    /// Begins so many requests and returns when each of them has been looked up.
    async fn looked_up(&self, count: usize, fields: &str) -> Vec<JoinHandle<String>> {
        let before = self.hold.looked_up.load(Relaxed);
        let held = (0..count).map(|_| self.get(&format!("X-Held: 1\r\n{fields}"))).collect();
        until(|| self.hold.looked_up.load(Relaxed) == before + count).await;
        held
    }

    /// Asks, and returns when the answer is stored: the worker that stores it ends the flight before it does anything
    /// else.
    async fn store(&self, fields: &str, responses: u64) {
        assert!(self.get(fields).await.unwrap().contains("\r\nX-Cache: MISS\r\n"));
        until(|| self.store.stats().responses == responses).await;
    }

    async fn let_go(&self, held: Vec<JoinHandle<String>>) -> Vec<String> {
        *self.hold.together.lock().unwrap() = Arc::new(Barrier::new(held.len()));
        self.hold.go.add_permits(held.len());
        let mut answers = Vec::new();
        for answer in held {
            answers.push(answer.await.unwrap());
        }
        answers
    }
}

async fn held(cx: Rc<Context>, presented: Presented, hold: Arc<Hold>) -> Reply {
    let holds = presented.fields.contains(&http::HeaderName::from_static("x-held"));
    let Ok(admitted) = admit(cx, presented, &Said::default()) else { panic!("a request that is refused") };
    let found = find(&admitted.asked, &admitted.content).await;
    if holds {
        hold.looked_up.fetch_add(1, Relaxed);
        hold.go.acquire().await.unwrap().forget();
        let together = hold.together.lock().unwrap().clone();
        together.wait().await;
    }
    answer(admitted, found).await.reply
}

async fn until(mut happened: impl FnMut() -> bool) {
    let began = instant();
    while !happened() {
        assert!(began.elapsed() < Duration::from_secs(10), "it never happened");
        yield_now().await;
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

const FRESH: &str = "Cache-Control: max-age=600\r\n";

#[test]
fn who_looked_before_a_flight_landed_and_joins_after_its_end_gets_what_it_brought() {
    run(async {
        let rig = Rig::start(FRESH, |_| {}).await;
        let held = rig.looked_up(3, "").await;
        rig.store("", 1).await;
        for answer in rig.let_go(held).await {
            assert!(answer.contains("\r\nX-Cache: HIT\r\n") && answer.ends_with("none"), "{answer}");
        }
        assert_eq!(rig.asked.load(Relaxed), 1);
    });
}

#[test]
fn who_looked_too_early_gets_what_only_the_disk_holds() {
    run(async {
        let rig = Rig::start(FRESH, |config| config.store.memory = 0).await;
        let held = rig.looked_up(5, "").await;
        rig.store("", 1).await;
        rig.store.flush().await;
        for answer in rig.let_go(held).await {
            assert!(answer.contains("\r\nX-Cache: HIT\r\n") && answer.ends_with("none"), "{answer}");
        }
        assert_eq!(rig.asked.load(Relaxed), 1);
    });
}

#[test]
fn who_looked_too_early_gets_the_variant_that_is_its_own() {
    run(async {
        let rig = Rig::start("Cache-Control: max-age=600\r\nVary: Accept-Encoding\r\n", |_| {}).await;
        let held = rig.looked_up(2, "Accept-Encoding: br\r\n").await;
        rig.store("Accept-Encoding: gzip\r\n", 1).await;
        rig.store("Accept-Encoding: br\r\n", 2).await;
        for answer in rig.let_go(held).await {
            assert!(answer.contains("\r\nX-Cache: HIT\r\n") && answer.ends_with("br"), "{answer}");
        }
        let held = rig.looked_up(1, "Accept-Encoding: zstd\r\n").await;
        rig.store("Accept-Encoding: deflate\r\n", 3).await;
        for answer in rig.let_go(held).await {
            assert!(answer.contains("\r\nX-Cache: MISS\r\n") && answer.ends_with("zstd"), "{answer}");
        }
        assert_eq!(rig.asked.load(Relaxed), 4);
    });
}

#[test]
fn who_looked_before_it_was_known_that_the_url_varies_joins_those_who_looked_after() {
    run(async {
        let rig = Rig::start("Cache-Control: max-age=600\r\nVary: Accept-Encoding\r\n", |_| {}).await;
        let mut held = rig.looked_up(2, "Accept-Encoding: br\r\n").await;
        rig.store("Accept-Encoding: gzip\r\n", 1).await;
        held.extend(rig.looked_up(2, "Accept-Encoding: br\r\n").await);
        for answer in rig.let_go(held).await {
            assert!(answer.ends_with("br"), "{answer}");
        }
        assert_eq!(rig.asked.load(Relaxed), 2);
    });
}

#[test]
fn a_stale_response_that_was_validated_since_it_was_looked_up_is_not_validated_again() {
    run(async {
        for fields in ["Cache-Control: max-age=60, stale-while-revalidate=600\r\n", "Cache-Control: max-age=60\r\n"] {
            let rig = Rig::start(fields, |_| {}).await;
            rig.store("", 1).await;
            rig.clock.advance(Duration::from_secs(100));
            let held = rig.looked_up(3, "").await;
            // behind a hit, where stale-while-revalidate says so
            while !rig.get("").await.unwrap().contains("\r\nAge: 0\r\n") {}
            assert_eq!(rig.asked.load(Relaxed), 2, "{fields}");
            for answer in rig.let_go(held).await {
                assert!(answer.contains("\r\nX-Cache: HIT\r\n") && answer.ends_with("none"), "{answer}");
            }
            assert_eq!(rig.asked.load(Relaxed), 2, "{fields}");
        }
    });
}

#[test]
fn what_was_stored_and_invalidated_again_since_it_was_looked_up_is_asked_for() {
    run(async {
        let rig = Rig::start(FRESH, |_| {}).await;
        let held = rig.looked_up(1, "").await;
        rig.store("", 1).await;
        rig.store.clear().await.unwrap();
        for answer in rig.let_go(held).await {
            assert!(answer.contains("\r\nX-Cache: MISS\r\n"), "{answer}");
        }
        assert_eq!(rig.asked.load(Relaxed), 2);
    });
}

#[test]
fn a_failure_is_one_request_for_all_who_wait_for_it_and_is_not_kept_for_the_next() {
    run(async {
        let rig = Rig::start("", |_| {}).await;
        let held = rig.looked_up(10, "").await;
        for answer in rig.let_go(held).await {
            assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        }
        assert_eq!(rig.asked.load(Relaxed), 1);
        rig.get("").await.unwrap();
        assert_eq!(rig.asked.load(Relaxed), 2);
    });
}
