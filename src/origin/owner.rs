//! Connections to the origin that were authenticated: each belongs to the client connection whose requests it carried, and
//! to nobody else.

use std::cell::{Cell, RefCell};

use tokio::time::Instant;

use super::kept::Kept;
use crate::message::ConnectionScheme;

/// What a client connection owns on the origin's side. It closes with the last handle of it.
#[derive(Default)]
pub struct Owner {
    kept: RefCell<Option<Kept>>,
    /// It is in its pool's list of owners.
    pub(super) listed: Cell<bool>,
}

impl Owner {
    /// Returns how the connection that is kept for the next request was authenticated; `None`: there is none.
    pub fn bound(&self) -> Option<ConnectionScheme> {
        self.kept.borrow().as_ref()?.connection.bound
    }

    pub(super) fn keep(&self, kept: Kept) {
        drop(self.kept.replace(Some(kept)));
    }

    pub(super) fn take(&self) -> Option<Kept> {
        self.kept.take()
    }

    /// Returns from when on the connection may be used.
    pub(super) fn rested(&self) -> Option<Instant> {
        Some(self.kept.borrow().as_ref()?.rested)
    }
}
