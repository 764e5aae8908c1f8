//! A store in a folder of its own, and responses to put there.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tempfile::TempDir;

use crate::{
    clock::{Seconds, Timestamp},
    key::{CacheKey, UrlParts},
    message::{
        FieldName, FieldValue, Fields, Method, RequestLine, ResponseHead, Scheme, StatusCode, StoredHead, Target,
    },
    store::{DiskBody, Options, Slot, Store, StoreError, StoredBody, StoredResponse, read},
};

pub const MIB: u64 = 1 << 20;

/// Runs one test's future on a runtime like a worker's.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test)
}

pub fn folder() -> TempDir {
    tempfile::Builder::new().prefix("larder-store-").tempdir().expect("a folder")
}

pub fn options(folder: &Path) -> Options {
    Options { folder: folder.join("cache"), memory: 16 * MIB, disk: 256 * MIB, max_object: 64 * MIB }
}

/// Without a memory tier: everything that is found was on the disk or waited for it.
pub fn disk_only(folder: &Path) -> Options {
    Options { memory: 0, ..options(folder) }
}

pub async fn open(options: Options) -> Store {
    let store = Store::open(options);
    store.opened().await;
    store
}

pub fn key(name: &str) -> CacheKey {
    let target =
        Target { scheme: Scheme::Http, authority: "example.org".to_owned(), path_and_query: format!("/{name}") };
    CacheKey::of(UrlParts {
        site: "http://origin",
        host_mode: "client",
        besides: None,
        method: &Method::GET,
        path_and_query: &target.path_and_query,
        client: Some((target.scheme, &target.authority)),
    })
}

/// Bytes that are compared, and not printed when they differ.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(pub Bytes);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes {}", self.0.len(), &blake3::hash(&self.0).to_hex()[..8])
    }
}

/// Bytes that only this name has.
pub fn content(name: &str, length: usize) -> Content {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(name.as_bytes()).finalize_xof().fill(&mut bytes);
    Content(bytes.into())
}

pub fn head(name: &str) -> StoredHead {
    let fields = [("content-type", "text/plain"), ("etag", name), ("link", "a"), ("link", "b")];
    let fields = fields.map(|(name, value)| {
        (FieldName::from_static(name), FieldValue::from_bytes(value.as_bytes()).expect("a field value"))
    });
    StoredHead {
        line: RequestLine::new("http://origin.test", Method::GET, Scheme::Http, "example.org", &format!("/{name}")),
        head: ResponseHead { status: StatusCode::OK, fields: fields.into_iter().collect::<Fields>() },
        request_time: Timestamp(1_000),
        response_time: Timestamp(1_200),
        received: Timestamp(1_201),
        initial_age: Seconds(3),
        nominated: Vec::new(),
        part: None,
        gaps: Box::default(),
        invalidated: false,
        credentials: false,
        position: Default::default(),
        tags: Box::default(),
        unknown: Box::default(),
    }
}

pub fn response(name: &str, length: usize) -> StoredResponse {
    StoredResponse {
        key: key(name),
        primary: key(name),
        head: head(name),
        body: StoredBody::Memory(content(name, length).0),
        version: 0,
        checked: Default::default(),
        derived: Default::default(),
        hits: Default::default(),
        parts: None,
    }
}

/// One of the responses of a URL that varies by language.
pub fn variant(name: &str, language: &str, at: i64) -> StoredResponse {
    let mut head = head(name);
    head.nominated = vec![(FieldName::from_static("accept-language"), Some(language.as_bytes().to_vec()))];
    head.response_time = Timestamp(at);
    let body = StoredBody::Memory(content(&format!("{name} in {language}"), 200).0);
    StoredResponse {
        key: key(name).variant(&head.nominated),
        primary: key(name),
        head,
        body,
        version: 0,
        checked: Default::default(),
        derived: Default::default(),
        hits: Default::default(),
        parts: None,
    }
}

pub fn put(store: &Store, name: &str, length: usize) {
    store.put(key(name), response(name, length), store.epoch());
}

/// Streams a body of this length into the store.
pub async fn fill(store: &Store, name: &str, length: usize) -> Result<DiskBody, StoreError> {
    let bytes = content(name, length).0;
    let mut writer = store.begin_body(None)?;
    for from in (0..length).step_by(50_000) {
        writer.append(vec![bytes.slice(from..length.min(from + 50_000))]).await?;
    }
    writer.whole().finish(|body| body).await
}

/// Puts a response whose body, of this length, has a file of its own.
pub async fn put_large(store: &Store, name: &str, length: usize) {
    let mut large = response(name, 0);
    large.body = StoredBody::Disk(fill(store, name, length).await.expect("room for it"));
    store.put(key(name), large, store.epoch());
}

/// All of a body, as many reads as it takes.
pub async fn whole(body: &StoredBody) -> Result<Content, StoreError> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < body.length() {
        let more = read(body, bytes.len() as u64, usize::MAX).await?;
        assert!(!more.is_empty(), "a read inside of a body gave nothing");
        bytes.extend_from_slice(&more);
    }
    Ok(Content(bytes.into()))
}

pub async fn found(store: &Store, name: &str) -> Option<std::sync::Arc<StoredResponse>> {
    match store.lookup(&key(name)).await {
        Some(Slot::Response(response)) => Some(response),
        Some(Slot::Variants(_)) => panic!("{name} has variants"),
        None => None,
    }
}

/// The body that is found under a name.
pub async fn served(store: &Store, name: &str) -> Option<Content> {
    Some(whole(&found(store, name).await?.body).await.expect("a readable body"))
}

/// Bytes in the folder, as du counts them: no file twice, also where one is moved or linked meanwhile.
pub fn du(folder: &Path) -> u64 {
    fn walk(path: &Path, seen: &mut HashSet<u64>) -> u64 {
        let Ok(about) = std::fs::symlink_metadata(path) else { return 0 };
        let own = if seen.insert(about.ino()) { about.blocks() * 512 } else { 0 };
        let Ok(files) = std::fs::read_dir(path) else { return own };
        own + files.flatten().map(|file| walk(&file.path(), seen)).sum::<u64>()
    }
    walk(folder, &mut HashSet::new())
}

/// The files of large bodies.
pub fn body_files(folder: &Path) -> Vec<PathBuf> {
    let generations = std::fs::read_dir(folder.join("live")).expect("a folder").flatten();
    let files = generations.filter_map(|entry| std::fs::read_dir(entry.path()).ok()).flat_map(|files| files.flatten());
    let mut bodies: Vec<_> =
        files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "body")).collect();
    bodies.sort();
    bodies
}

/// Waits until everything is removed that nothing needs any more.
pub async fn removed(store: &Store) {
    let (done, is_done) = tokio::sync::oneshot::channel();
    store.0.shared.remover.work(move || _ = done.send(()));
    let _ = is_done.await;
    let mut beats = 0..5_000;
    while !crate::store::disk::folder::gone(&store.0.shared.options.folder).expect("a folder").is_empty() {
        assert!(beats.next().is_some(), "it stays");
        beat(1).await;
    }
}

/// Between two looks at what the disk tier does behind, in milliseconds.
pub async fn beat(milliseconds: u64) {
    let mut interval = tokio::time::interval(std::time::Duration::from_millis(milliseconds));
    interval.tick().await;
    interval.tick().await;
}

/// Numbers by a seed that is printed, and that LARDER_SEED names.
pub struct Random(blake3::OutputReader);

impl Random {
    pub fn seeded() -> Random {
        let seed = std::env::var("LARDER_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed: u64 = seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        println!("LARDER_SEED={seed}");
        Random(blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof())
    }

    /// Zero where that is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % bound.max(1)
    }
}
