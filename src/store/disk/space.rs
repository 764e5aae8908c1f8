//! The disk limit, and who has taken how much of it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
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

/// Bytes of the folder: what the generations occupy (the writer measures it), what bodies that are being filled took, and
/// what was moved away and is not removed yet.
pub struct Space {
    /// What was configured.
    configured: u64,
    /// That, or less where the disk itself has no more room.
    limit: AtomicU64,
    kept: AtomicU64,
    filling: AtomicU64,
    /// What is about to be removed.
    gone: AtomicU64,
    /// The writer waits until something was removed.
    awaited: AtomicBool,
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

/// The room of what is about to be removed; given back where it is removed.
pub struct Gone {
    space: Arc<Space>,
    bytes: u64,
}

impl Gone {
    /// So many bytes of it are removed.
    pub fn give_back(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.space.gone.fetch_sub(bytes, Relaxed);
        self.space.was_removed();
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.give_back(self.bytes);
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
        let (kept, filling, gone, promised, beside) = (zero(), zero(), zero(), zero(), zero());
        let (limit, awaited, configured) = (AtomicU64::new(limit), AtomicBool::new(false), limit);
        Space { configured, limit, kept, filling, gone, awaited, promised, beside, notices }
    }

    /// Counts what is about to be removed.
    pub fn gone(self: &Arc<Self>, bytes: u64) -> Gone {
        self.gone.fetch_add(bytes, Relaxed);
        Gone { space: self.clone(), bytes }
    }

    /// The same for what was counted as stored up to now. It never counts twice for longer than an instant.
    pub fn leaves(self: &Arc<Self>, bytes: u64) -> Gone {
        let gone = self.gone(bytes);
        let _ = self.kept.fetch_update(Relaxed, Relaxed, |kept| Some(kept.saturating_sub(bytes)));
        gone
    }

    /// Asks for a notice when something was removed, and returns true if there is anything to be removed.
    pub fn await_removal(&self) -> bool {
        self.awaited.store(true, SeqCst);
        self.gone.load(SeqCst) > 0
    }

    fn was_removed(&self) {
        if self.awaited.swap(false, SeqCst) {
            self.notices.send(Notice::Removed);
        }
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
        if !self.has_room(0) {
            let (reply, done) = oneshot::channel();
            self.notices.send(Notice::Room(reply));
            // the reply is dropped where the writer has ended
            let made = matches!(tokio::time::timeout(PATIENCE, done).await, Ok(Ok(())));
            if !made || !self.has_room(0) {
                return Err(if made { StoreError::TooLarge } else { StoreError::Busy });
            }
        } else if self.is_tight() && self.needed().saturating_sub(bytes) < self.tight() {
            self.notices.send(Notice::Wake);
        }
        Ok(taken)
    }

    pub fn give_back(&self, bytes: u64) {
        self.filling.fetch_sub(bytes, Relaxed);
        self.was_removed();
    }

    /// Sets the bytes that the writer has measured. If the disk has less left than the limit, that is the limit.
    pub fn set_measured(&self, bytes: u64, folder: &Path) {
        self.kept.store(bytes, Relaxed);
        let left = rustix::fs::statvfs(folder).map_or(u64::MAX, |about| about.f_bavail.saturating_mul(about.f_frsize));
        // not to the last byte: others live there too
        let usable = self.used().saturating_add(left - left / 16);
        self.limit.store(self.configured.min(usable), Relaxed);
    }

    /// Bytes of what is stored, as far as was measured.
    pub fn stored(&self) -> u64 {
        self.kept.load(Relaxed).saturating_sub(self.beside())
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
        self.needed().saturating_add(self.gone.load(Relaxed))
    }

    /// Bytes taken, without what is about to be removed.
    fn needed(&self) -> u64 {
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
        self.needed() > self.tight()
    }

    /// Returns true if there is no room left, and none will be when all is removed that is about to be.
    pub fn is_over(&self) -> bool {
        !self.will_have_room(0)
    }

    /// Returns true if so many bytes can be written now.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.used().saturating_add(bytes) <= self.most()
    }

    /// Returns true if so many bytes can be written when all is removed that is about to be.
    pub fn will_have_room(&self, bytes: u64) -> bool {
        self.needed().saturating_add(bytes) <= self.most()
    }

    fn most(&self) -> u64 {
        self.limit.load(Relaxed) - self.share() / 8
    }

    /// Bytes that may be copied before a generation is dropped.
    pub fn room_for_survivors(&self) -> u64 {
        let room = self.most().saturating_sub(self.used());
        // the rest is for what is written meanwhile
        (room / 5 * 4).min(self.share())
    }

    fn tight(&self) -> u64 {
        self.limit.load(Relaxed) - self.share()
    }
}
