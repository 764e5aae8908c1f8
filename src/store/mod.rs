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

/// The store. Cheap to clone; shared by all workers.
#[derive(Clone)]
pub struct Store(Arc<()>);

impl Store {
    /// Never fails: where the folder cannot be used the store holds nothing, says so in the log, and tries again.
    pub fn open(_options: Options, _clock: Clock) -> Store {
        todo!()
    }

    pub fn epoch(&self) -> Epoch {
        todo!()
    }

    /// The memory tier alone: no waiting, no I/O.
    pub fn recall(&self, _key: &CacheKey) -> Option<Slot> {
        todo!()
    }

    /// Memory, then disk. An error is `None`, counted and logged here.
    pub async fn lookup(&self, _key: &CacheKey) -> Option<Slot> {
        todo!()
    }

    /// Stores a response under the key of its URL (`primary`); one with nominated fields becomes a variant there. At once
    /// visible to `recall`; written behind. Nothing happens where the epoch has moved.
    pub fn put(&self, _primary: CacheKey, _response: StoredResponse, _epoch: Epoch) {
        todo!()
    }

    /// Replaces the head of a stored response, the body stays; if it is still the one that is stored.
    pub fn freshen(&self, _primary: CacheKey, _stored: &StoredResponse, _head: StoredHead, _epoch: Epoch) {
        todo!()
    }

    /// Forgets what is stored for a URL, all variants of it (RFC 9111 §4.4). Gone from `recall` and `lookup` on return.
    pub fn invalidate(&self, _primary: &CacheKey) {
        todo!()
    }

    /// Begins a body on disk, for one that does not stay in memory.
    pub fn begin_body(&self, _length: Option<u64>) -> Result<BodyWriter, StoreError> {
        todo!()
    }

    /// Forgets everything and gives the disk back. On return the next lookup finds nothing.
    pub async fn clear(&self) -> Result<Cleared, StoreError> {
        todo!()
    }

    /// Writes what is queued and makes it durable.
    pub async fn close(&self) {
        todo!()
    }
}

/// Bytes of a stored body, `from..from + length`, in pieces fit for a socket.
pub async fn read(_body: &crate::message::StoredBody, _from: u64, _length: usize) -> Result<Bytes, StoreError> {
    todo!()
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
        todo!()
    }
}
impl std::fmt::Display for StoreError {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}
#[derive(serde::Serialize)]
pub struct Stats;
impl Store {
    pub fn lock(_f: &std::path::Path) -> Result<FolderLock, OpenError> {
        todo!()
    }
    pub fn stats(&self) -> Stats {
        todo!()
    }
}
