//! The disk limit, and how much of it each use has taken.

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
/// The shares of fresh generations. If they have more, the oldest of them is removed first.
pub const FRESH: u64 = 2;
/// Room is made for so many shares of bodies on their way before they take it. More of them may never come to their end, and
/// what is stored would be removed for nothing.
const COMING: u64 = 2;

/// Counts the bytes of the folder: what the generations occupy (the writer measures it), what bodies on their way into a file
/// took, and what is gone and not removed yet.
pub struct Space {
    /// The configured limit.
    configured: u64,
    /// The configured limit, or less if the disk itself has no more room.
    limit: AtomicU64,
    /// What is stored, and what was set aside.
    kept: AtomicU64,
    filling: AtomicU64,
    /// What was moved away and is not removed yet.
    gone: AtomicU64,
    /// True if the writer waits until something was removed.
    awaited: AtomicBool,
    /// What the bodies on their way announced that they will take.
    promised: AtomicU64,
    /// What is about to be copied out of the generation that leaves. [`u64::MAX`]: none leaves.
    surviving: AtomicU64,
    /// What was set aside.
    set_aside: AtomicU64,
    notices: Notices,
}

/// The room that is kept for a body, until this is dropped.
pub struct Promise {
    space: Arc<Space>,
    bytes: u64,
}

/// The room for a part of a body. It is given back if this is dropped before the part is written.
pub struct Taken {
    space: Arc<Space>,
    bytes: u64,
}

impl Taken {
    /// Notes that the part is written: the body gives the room back.
    pub fn fill(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.space.give_back(self.bytes);
    }
}

/// The room of what was moved away. It is given back when that is removed.
pub struct Gone {
    space: Arc<Space>,
    bytes: u64,
}

impl Gone {
    /// Notes that so many bytes of it are removed.
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
        let (kept, filling, gone, promised, set_aside) = (zero(), zero(), zero(), zero(), zero());
        let (limit, awaited, configured) = (AtomicU64::new(limit), AtomicBool::new(false), limit);
        let surviving = AtomicU64::new(u64::MAX);
        Space { configured, limit, kept, filling, gone, awaited, promised, surviving, set_aside, notices }
    }

    /// Counts what was moved away and is to be removed.
    pub fn gone(self: &Arc<Self>, bytes: u64) -> Gone {
        self.gone.fetch_add(bytes, Relaxed);
        Gone { space: self.clone(), bytes }
    }

    /// Counts what was stored up to now and was moved away. It counts twice for an instant only.
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

    /// Promises room to a body of this length. `None`: the bodies on their way have half of the limit, and more of them would
    /// only take it from each other.
    pub fn promise(self: &Arc<Self>, bytes: u64) -> Option<Promise> {
        let promise = Promise { space: self.clone(), bytes };
        let before = self.promised.fetch_add(bytes, Relaxed);
        let fits = self.fits_beside(before, bytes);
        if fits && self.is_tight() {
            // room is made before the body needs it, so that there is time to keep what is asked for
            self.notices.send(Notice::Wake);
        }
        fits.then_some(promise)
    }

    /// Returns true if `promise` would give room for a body of this length now.
    pub fn may_promise(&self, bytes: u64) -> bool {
        self.fits_beside(self.promised.load(Relaxed), bytes)
    }

    fn fits_beside(&self, promised: u64, bytes: u64) -> bool {
        promised == 0 || promised.saturating_add(bytes) <= self.limit.load(Relaxed) / 2
    }

    /// Takes room for a part of a body. If there is none, waits until the writer has made some. What waits takes no room.
    pub async fn take(self: &Arc<Self>, bytes: u64) -> Result<Taken, StoreError> {
        let made = async {
            loop {
                if let Some(taken) = self.try_take(bytes) {
                    return Ok(taken);
                }
                let (reply, made) = oneshot::channel();
                self.notices.send(Notice::Room(bytes, reply));
                match made.await {
                    // another may have taken it already
                    Ok(true) => {}
                    Ok(false) => return Err(StoreError::TooLarge),
                    // the writer has ended
                    Err(_) => return Err(StoreError::Busy),
                }
            }
        };
        tokio::time::timeout(PATIENCE, made).await.unwrap_or(Err(StoreError::Busy))
    }

    /// Takes room for a part of a body, if there is any.
    fn try_take(self: &Arc<Self>, bytes: u64) -> Option<Taken> {
        let before = self.filling.fetch_add(bytes, Relaxed);
        let taken = Taken { space: self.clone(), bytes };
        let needed = self.kept.load(Relaxed).saturating_add(before);
        if !self.has_room_for_body(0) {
            return None;
        }
        if needed < self.tight() && self.is_tight() {
            self.notices.send(Notice::Wake);
        }
        Some(taken)
    }

    pub fn give_back(&self, bytes: u64) {
        self.filling.fetch_sub(bytes, Relaxed);
        self.was_removed();
    }

    /// Sets the bytes that the writer has measured. If the disk has less left than the limit, that is the limit.
    pub fn set_measured(&self, bytes: u64, folder: &Path) {
        self.kept.store(bytes, Relaxed);
        let left = rustix::fs::statvfs(folder).map_or(u64::MAX, |about| about.f_bavail.saturating_mul(about.f_frsize));
        // not to the last byte: others use the disk, too
        let usable = self.used().saturating_add(left - left / 16);
        self.limit.store(self.configured.min(usable), Relaxed);
    }

    /// Returns the bytes of what is stored, as they were measured last.
    pub fn stored(&self) -> u64 {
        self.kept.load(Relaxed).saturating_sub(self.set_aside())
    }

    /// Notes the bytes of what was set aside.
    pub fn note_set_aside(&self, bytes: u64) {
        self.set_aside.store(bytes, Relaxed);
    }

    /// Returns the bytes of what was set aside.
    pub fn set_aside(&self) -> u64 {
        self.set_aside.load(Relaxed)
    }

    /// Returns the bytes that may be taken now.
    pub fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// Returns the bytes taken.
    pub fn used(&self) -> u64 {
        self.needed().saturating_add(self.gone.load(Relaxed))
    }

    /// Returns the bytes taken, without what is about to be removed.
    fn needed(&self) -> u64 {
        self.kept.load(Relaxed).saturating_add(self.filling.load(Relaxed))
    }

    /// Returns the length of the longest body that is stored, in bytes. It is `configured` with the configured limit, and less
    /// on a smaller disk, so that one body does not empty it.
    pub fn longest(&self, configured: u64) -> u64 {
        let share = u128::from(configured) * u128::from(self.limit.load(Relaxed)) / u128::from(self.configured.max(1));
        u64::try_from(share).unwrap_or(u64::MAX).min(configured)
    }

    /// Returns the bytes that one generation is meant to have.
    pub fn share(&self) -> u64 {
        self.limit.load(Relaxed) / SHARES
    }

    /// Returns true if it is time to make room: for the bodies on their way, too, as far as they need [`COMING`] shares.
    pub fn is_tight(&self) -> bool {
        let coming = self.promised.load(Relaxed).saturating_sub(self.filling.load(Relaxed));
        self.needed().saturating_add(coming.min(COMING * self.share())) > self.tight()
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

    /// Returns true if a body on its way may take so many bytes now. It leaves what survives a generation its room, and while
    /// nobody has looked yet what survives, a share.
    pub fn has_room_for_body(&self, bytes: u64) -> bool {
        self.used().saturating_add(bytes) <= self.most_for_body()
    }

    /// Returns true if a body on its way may take so many bytes when all is removed that is about to be.
    pub fn will_have_room_for_body(&self, bytes: u64) -> bool {
        self.needed().saturating_add(bytes) <= self.most_for_body()
    }

    fn most_for_body(&self) -> u64 {
        match self.surviving.load(Relaxed) {
            u64::MAX => self.tight(),
            surviving => self.most().saturating_sub(surviving),
        }
    }

    /// Keeps so many bytes for what is to be copied out of the generation that leaves. `None`: none leaves.
    pub fn keep_for_survivors(&self, bytes: Option<u64>) {
        self.surviving.store(bytes.unwrap_or(u64::MAX), Relaxed);
    }

    fn most(&self) -> u64 {
        self.limit.load(Relaxed) - self.share() / 8
    }

    /// Returns the bytes that may be copied before a generation is removed.
    pub fn room_for_survivors(&self) -> u64 {
        let room = self.most().saturating_sub(self.used());
        // the rest is for what is written meanwhile
        (room / 5 * 4).min(self.share())
    }

    fn tight(&self) -> u64 {
        self.limit.load(Relaxed) - self.share()
    }
}
