//! Bytes that survive a restart: the boundary between the proxy and whatever keeps stored responses.

mod body;

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;

pub use body::{BodyWriter, DiskBody};

use crate::{
    clock::{Clock, Timestamp},
    key::CacheKey,
    message::{Nominated, StoredHead, StoredResponse},
};

/// What the store is told by the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cache folder; created with mode 0700 if it is missing.
    pub folder: PathBuf,
    /// Bytes that the memory tier may hold.
    pub memory: u64,
    /// Bytes that the folder may occupy.
    pub disk: u64,
    /// Bytes of the largest body that is stored.
    pub max_object: u64,
}

/// What is stored under the key of a URL.
#[derive(Debug, Clone)]
pub enum Slot {
    Response(Arc<StoredResponse>),
    /// The response varies: look the fitting one up by its own key. The newest first.
    Variants(Arc<Vec<Variant>>),
}

/// One of the responses stored for a URL that varies (RFC 9111 §4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    pub key: CacheKey,
    pub nominated: Vec<Nominated>,
    pub response_time: Timestamp,
}

/// Moves when everything is cleared: a fill that began before must not be stored after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(pub u64);

/// Why something could not be stored or read. Never reaches a client.
#[derive(Debug)]
pub enum StoreError {
    /// The store is not open (yet, or any more).
    Closed,
    /// The body is longer than `max_object`, or the disk limit leaves no room for it.
    TooLarge,
    /// The writer's queue is full.
    Busy,
    Io(std::io::Error),
    /// A record or a body is not what was written.
    Damaged(&'static str),
}

/// What a clearing removed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cleared {
    pub responses: u64,
    pub bytes: u64,
}

/// Temporary: memory only, until the store branch is merged.
#[derive(Clone, Default)]
pub struct Store(Arc<std::sync::Mutex<std::collections::HashMap<CacheKey, Slot>>>);
impl Store {
    pub fn open(_options: Options, _clock: Clock) -> Store {
        Store::default()
    }
    pub fn epoch(&self) -> Epoch {
        Epoch(0)
    }
    pub fn recall(&self, key: &CacheKey) -> Option<Slot> {
        self.0.lock().unwrap().get(key).cloned()
    }
    pub async fn lookup(&self, key: &CacheKey) -> Option<Slot> {
        self.recall(key)
    }
    pub fn put(&self, primary: CacheKey, response: StoredResponse, _epoch: Epoch) {
        let mut map = self.0.lock().unwrap();
        let response = Arc::new(response);
        if response.key == primary {
            map.insert(primary, Slot::Response(response));
            return;
        }
        let mut variants = match map.get(&primary) {
            Some(Slot::Variants(v)) => v.to_vec(),
            _ => Vec::new(),
        };
        variants.retain(|v| v.key != response.key);
        variants.insert(
            0,
            Variant {
                key: response.key,
                nominated: response.head.nominated.clone(),
                response_time: response.head.response_time,
            },
        );
        map.insert(primary, Slot::Variants(Arc::new(variants)));
        map.insert(response.key, Slot::Response(response));
    }
    pub fn freshen(&self, primary: CacheKey, stored: &StoredResponse, head: StoredHead, epoch: Epoch) {
        self.put(primary, StoredResponse { key: stored.key, head, body: stored.body.clone() }, epoch);
    }
    pub fn invalidate(&self, primary: &CacheKey) {
        self.0.lock().unwrap().remove(primary);
    }
    pub fn begin_body(&self, _length: Option<u64>) -> Result<BodyWriter, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn clear(&self) -> Result<Cleared, StoreError> {
        self.0.lock().unwrap().clear();
        Ok(Cleared::default())
    }
    pub async fn close(&self) {}
    pub fn lock(_f: &std::path::Path) -> Result<FolderLock, OpenError> {
        Ok(FolderLock)
    }
    pub fn stats(&self) -> Stats {
        Stats
    }
}
pub async fn read(body: &crate::message::StoredBody, from: u64, length: usize) -> Result<Bytes, StoreError> {
    match body {
        crate::message::StoredBody::Memory(b) => Ok(b.slice(from as usize..(from as usize + length).min(b.len()))),
        _ => Err(StoreError::Closed),
    }
}
pub struct FolderLock;
#[derive(Debug)]
pub enum OpenError {
    Locked,
    Unsafe(String),
    Io(std::io::Error),
}
impl std::fmt::Display for OpenError {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
impl std::fmt::Display for StoreError {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
#[derive(serde::Serialize)]
pub struct Stats;
