//! The notices that lower layers send to the writer, which is above them.

use std::{io, sync::Arc};

use tokio::sync::oneshot;

use crate::key::CacheKey;

/// An event in a lower layer that the writer must react to.
pub enum Notice {
    /// Something waits to be written.
    Wake,
    /// So much waits that no more is gathered.
    Enough,
    /// The stored body under this key cannot be read.
    Unreadable(CacheKey),
    /// A purge rule waits for the journal.
    Purged,
    /// The databases hold too many pages in memory, or the memory tier must make way for them.
    Ease,
    /// A database could not be opened anew.
    Failed(io::Error),
    /// Something was removed that the writer waits for.
    Removed,
    /// A body on its way found no room for so many bytes. The writer answers with true when it has made some, and with false
    /// if it cannot.
    Room(u64, oneshot::Sender<bool>),
}

/// Sends notices to the writer. A notice after the writer's end is dropped.
#[derive(Clone)]
pub struct Notices(Arc<dyn Fn(Notice) + Send + Sync>);

impl Notices {
    pub fn new(send: impl Fn(Notice) + Send + Sync + 'static) -> Notices {
        Notices(Arc::new(send))
    }

    pub fn send(&self, notice: Notice) {
        (self.0)(notice);
    }
}
