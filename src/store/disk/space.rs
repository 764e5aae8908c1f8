//! The disk limit, and who has taken how much of it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::sync::oneshot;

use crate::store::{
    StoreError,
    hop::PATIENCE,
    notice::{Notice, Notices},
};

/// The disk limit is divided by this: a generation's share.
pub const SHARES: u64 = 10;
/// So many shares are for what was put and is not proven yet; what is beyond them leaves first.
pub const FRESH: u64 = 2;

/// Bytes of the folder: what the generations occupy (the writer measures it) and what bodies that are being filled took.
pub struct Space {
    /// What was configured.
    configured: u64,
    /// That, or less where the disk itself has no more room.
    limit: AtomicU64,
    kept: AtomicU64,
    filling: AtomicU64,
    /// What the bodies that are being filled will take, as far as they said.
    promised: AtomicU64,
    /// What was set aside, and folders.
    beside: AtomicU64,
    notices: Notices,
}

/// Room that is kept for a body.
pub struct Promise {
    space: Arc<Space>,
    bytes: u64,
}

/// Room for a part of a body; given back where that is not written.
pub struct Taken {
    space: Arc<Space>,
    bytes: u64,
}

impl Taken {
    /// The part is written: the body gives it back.
    pub fn fill(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.space.give_back(self.bytes);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.space.promised.fetch_sub(self.bytes, Relaxed);
    }
}

impl Space {
    pub fn new(limit: u64, notices: Notices) -> Space {
        let zero = || AtomicU64::new(0);
        let (kept, filling, promised, beside) = (zero(), zero(), zero(), zero());
        Space { configured: limit, limit: AtomicU64::new(limit), kept, filling, promised, beside, notices }
    }

    /// Room for a body of this length, until that is dropped. `None`: those that are being filled have half of the limit, and
    /// more of them would only take it from each other.
    pub fn promise(self: &Arc<Self>, bytes: u64) -> Option<Promise> {
        let promise = Promise { space: self.clone(), bytes };
        let before = self.promised.fetch_add(bytes, Relaxed);
        self.fits_beside(before, bytes).then_some(promise)
    }

    /// Returns true if `promise` would give room for a body of this length now.
    pub fn may_promise(&self, bytes: u64) -> bool {
        self.fits_beside(self.promised.load(Relaxed), bytes)
    }

    fn fits_beside(&self, promised: u64, bytes: u64) -> bool {
        promised == 0 || promised.saturating_add(bytes) <= self.limit.load(Relaxed) / 2
    }

    /// Takes room for a part of a body. Where there is none, waits until the writer has made some.
    pub async fn take(self: &Arc<Self>, bytes: u64) -> Result<Taken, StoreError> {
        self.filling.fetch_add(bytes, Relaxed);
        let taken = Taken { space: self.clone(), bytes };
        if self.is_over() {
            let (reply, done) = oneshot::channel();
            self.notices.send(Notice::Room(reply));
            // the reply is dropped where the writer has ended
            let made = matches!(tokio::time::timeout(PATIENCE, done).await, Ok(Ok(())));
            if !made || self.is_over() {
                return Err(if made { StoreError::TooLarge } else { StoreError::Busy });
            }
        } else if self.is_tight() && self.used() - bytes < self.tight() {
            self.notices.send(Notice::Wake);
        }
        Ok(taken)
    }

    pub fn give_back(&self, bytes: u64) {
        self.filling.fetch_sub(bytes, Relaxed);
    }

    /// Sets the bytes that the writer has measured. If the disk has less left than the limit, that is the limit.
    pub fn set_measured(&self, bytes: u64, folder: &Path) {
        self.kept.store(bytes, Relaxed);
        let left = rustix::fs::statvfs(folder).map_or(u64::MAX, |about| about.f_bavail.saturating_mul(about.f_frsize));
        // not to the last byte: others live there too
        let usable = self.used().saturating_add(left - left / 16);
        self.limit.store(self.configured.min(usable), Relaxed);
    }

    pub fn set_beside(&self, bytes: u64) {
        self.beside.store(bytes, Relaxed);
    }

    pub fn beside(&self) -> u64 {
        self.beside.load(Relaxed)
    }

    /// Bytes that may be taken now.
    pub fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// Bytes taken.
    pub fn used(&self) -> u64 {
        self.kept.load(Relaxed).saturating_add(self.filling.load(Relaxed))
    }

    /// Bytes of the longest body, where this is the longest with the configured limit: nobody empties a smaller disk for one.
    pub fn longest(&self, configured: u64) -> u64 {
        let share = u128::from(configured) * u128::from(self.limit.load(Relaxed)) / u128::from(self.configured.max(1));
        u64::try_from(share).unwrap_or(u64::MAX).min(configured)
    }

    /// Bytes that one generation is meant to have.
    pub fn share(&self) -> u64 {
        self.limit.load(Relaxed) / SHARES
    }

    /// Returns true if it is time to make room.
    pub fn is_tight(&self) -> bool {
        self.used() > self.tight()
    }

    /// Returns true if there is no room left.
    pub fn is_over(&self) -> bool {
        !self.has_room(0)
    }

    pub fn has_room(&self, bytes: u64) -> bool {
        self.used().saturating_add(bytes) <= self.limit.load(Relaxed) - self.share() / 8
    }

    /// Bytes that may be copied before a generation is dropped.
    pub fn room_for_survivors(&self) -> u64 {
        let room = (self.limit.load(Relaxed) - self.share() / 8).saturating_sub(self.used());
        // the rest is for what is written meanwhile
        (room / 5 * 4).min(self.share())
    }

    fn tight(&self) -> u64 {
        self.limit.load(Relaxed) - self.share()
    }
}
