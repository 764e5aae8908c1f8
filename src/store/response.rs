//! A stored response as the store takes and returns it.

use std::{
    borrow::Cow,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;

use super::{StoreError, disk::body::DiskBody, format::record::Variant};
use crate::{
    fields::control::{Control, Controlled},
    key::CacheKey,
    message::{StoredHead, WrittenFields},
    purge::{Checked, Judged, Standing},
};

/// A stored response: its keys, its head and its body.
#[derive(Debug, Clone)]
pub struct StoredResponse {
    /// The key that the response is stored under. A variant has a key of its own.
    pub key: CacheKey,
    /// The key of the URL.
    pub primary: CacheKey,
    pub head: StoredHead,
    pub body: StoredBody,
    /// The version of its shard in `pending` when it was put, or looked up. Tells if its key has changed since.
    pub version: u64,
    /// What the purge rules said about it when they were asked last.
    pub checked: Checked,
    pub derived: Derived,
    /// How often it has answered.
    pub hits: Hits,
    /// The stored parts that it is put together from. `None` in the store, and for a stored whole.
    pub parts: Option<Arc<Parts>>,
}

/// Stored parts of one representation, each with a key of its own.
#[derive(Debug)]
pub struct Parts {
    /// The part that came last. The response has its key and its body.
    pub newest: Arc<StoredResponse>,
    /// Other parts, as far as the request needs them.
    pub others: Vec<Arc<StoredResponse>>,
    /// The keys of all parts that are stored for such a request, also of those that were not looked up.
    pub keys: Vec<CacheKey>,
}

impl Parts {
    pub fn all(&self) -> impl Iterator<Item = &Arc<StoredResponse>> {
        [&self.newest].into_iter().chain(&self.others)
    }
}

impl StoredResponse {
    /// Returns the number of bytes from the first one that is held to the last one, gaps included.
    pub fn length(&self) -> u64 {
        let Some(parts) = self.parts.as_ref().filter(|parts| !parts.others.is_empty()) else {
            return self.body.length();
        };
        let held = || parts.all().filter_map(|part| part.head.part);
        let end = held().map(|part| part.last.saturating_add(1)).max().unwrap_or(0);
        end - held().map(|part| part.first).min().unwrap_or(end)
    }

    /// Counts that the response has answered, or each part that it is put together from.
    pub fn note_hit(&self) {
        match &self.parts {
            Some(parts) => parts.all().for_each(|part| part.hits.add()),
            None => self.hits.add(),
        }
    }
}

/// Counts how often a stored response has answered since it came into memory. Its clones, which may have another head, count
/// together.
#[derive(Debug, Clone, Default)]
pub struct Hits(Arc<AtomicU64>);

impl Hits {
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// What is made of a stored head once, for many answers.
#[derive(Debug, Clone, Default)]
pub struct Derived {
    /// Its lines, as the first answer has written them.
    pub written: Memo<WrittenFields>,
    /// What its fields say about caching, as the first decision has read them.
    pub control: Memo<Box<Control>>,
}

/// A value that is derived from a stored response when it is first needed. A clone has none, because its head may be
/// replaced.
#[derive(Debug)]
pub struct Memo<T>(OnceLock<T>);

impl<T> Memo<T> {
    pub fn or_derive(&self, derive: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(derive)
    }
}

impl<T> Default for Memo<T> {
    fn default() -> Memo<T> {
        Memo(OnceLock::new())
    }
}

impl<T> Clone for Memo<T> {
    fn clone(&self) -> Memo<T> {
        Memo::default()
    }
}

/// The place of a stored response's body.
#[derive(Debug, Clone)]
pub enum StoredBody {
    /// In memory, in one piece.
    Memory(Bytes),
    /// Beside the records on disk.
    Disk(DiskBody),
}

impl StoredBody {
    /// Returns the length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            StoredBody::Memory(bytes) => bytes.len() as u64,
            StoredBody::Disk(body) => body.length(),
        }
    }
}

/// Reads the bytes `from..from + length` of a stored body (fewer at its end, and at most 256 KiB from the disk at a time).
pub async fn read(body: &StoredBody, from: u64, length: usize) -> Result<Bytes, StoreError> {
    match body {
        StoredBody::Disk(body) => body.read(from, length).await,
        StoredBody::Memory(bytes) => {
            let start = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
            Ok(bytes.slice(start..start.saturating_add(length).min(bytes.len())))
        }
    }
}

/// The content of a key of a URL.
#[derive(Debug, Clone)]
pub enum Slot {
    Response(Arc<StoredResponse>),
    /// The response varies: look the fitting one up by its own key. The newest first.
    Variants(Arc<Vec<Variant>>),
}

impl Slot {
    /// Returns the response, if there is one under this key and not a list of variants.
    pub(in crate::store) fn response(&self) -> Option<&StoredResponse> {
        match self {
            Slot::Response(response) => Some(response),
            Slot::Variants(_) => None,
        }
    }

    /// Returns the generation that holds the body, if it is large.
    pub(in crate::store) fn home(&self) -> Option<u32> {
        let StoredBody::Disk(body) = &self.response()?.body else { return None };
        body.home().map(|home| home.generation)
    }
}

/// The standing is that of the last lookup.
impl Judged for StoredResponse {
    fn standing(&self) -> Standing {
        self.checked.last()
    }
}

impl Controlled for StoredResponse {
    fn control(&self) -> Cow<'_, Control> {
        Cow::Borrowed(self.derived.control.or_derive(|| Box::new(Control::of(&self.head.head.fields))))
    }
}

impl AsRef<StoredHead> for StoredResponse {
    fn as_ref(&self) -> &StoredHead {
        &self.head
    }
}
