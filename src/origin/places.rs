//! Places: how many connections to the origin are in use at once, in the whole process. A response that is read for long
//! gives its place back and takes one among the streams, so that event streams do not keep other requests waiting.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    rc::{Rc, Weak},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

/// How long a response is read before it counts as a stream.
const LONG: Duration = Duration::from_secs(2);
/// How soon a response that found no place among the streams tries again.
const AGAIN: Duration = Duration::from_secs(1);

/// The places of all workers.
pub(super) struct Places {
    connections: Arc<Semaphore>,
    /// Of these, the ones that requests with content may hold: a client sets the pace of its upload.
    uploads: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// Idle connections. They hold no place.
    idle: AtomicUsize,
    /// Idle connections that were authenticated, and how many of them there may be.
    bound: AtomicUsize,
    most_bound: usize,
    /// Wakes all workers: there are too many of those.
    crowded: Notify,
    unattended: Semaphore,
}

/// Held for as long as a connection is idle.
pub(super) struct IdlePlace {
    places: Arc<Places>,
    bound: bool,
}

/// Held for as long as a connection is in use.
pub(super) struct Place {
    _one: OwnedSemaphorePermit,
    _upload: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) fn new(connections: usize, streams: usize) -> Places {
        let semaphore = |places: usize| Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Places {
            connections: semaphore(connections),
            uploads: semaphore(connections.div_ceil(2)),
            streams: semaphore(streams),
            idle: AtomicUsize::new(0),
            bound: AtomicUsize::new(0),
            most_bound: connections.div_ceil(2),
            crowded: Notify::new(),
            // with few connections one of them, as long as another is left
            unattended: Semaphore::new((connections / 8).max(usize::from(connections > 1))),
        }
    }

    /// Waits for a place.
    pub(super) async fn take(&self, has_content: bool) -> Result<Place, AcquireError> {
        let upload = if has_content { Some(self.uploads.clone().acquire_owned().await?) } else { None };
        Ok(Place { _one: self.connections.clone().acquire_owned().await?, _upload: upload })
    }

    /// Counts an idle connection.
    pub(super) fn idle(self: &Arc<Places>) -> IdlePlace {
        self.idle.fetch_add(1, Ordering::Relaxed);
        IdlePlace { places: self.clone(), bound: false }
    }

    /// Counts an idle connection that was authenticated. There may be too many of them then.
    pub(super) fn idle_bound(self: &Arc<Places>) -> IdlePlace {
        self.bound.fetch_add(1, Ordering::Relaxed);
        self.idle.fetch_add(1, Ordering::Relaxed);
        IdlePlace { places: self.clone(), bound: true }
    }

    /// Returns true if more authenticated connections would be idle than may be, with so many more.
    pub(super) fn is_crowded(&self, more: usize) -> bool {
        self.bound.load(Ordering::Relaxed) + more > self.most_bound
    }

    /// Tells all workers that it is crowded.
    pub(super) fn ask_for_room(&self) {
        self.crowded.notify_waiters();
    }

    /// Waits until a worker says that it is crowded.
    pub(super) async fn asked_for_room(&self) {
        self.crowded.notified().await;
    }

    /// The same for one that is opened beside the idle ones, by a request that holds a place and has no connection yet.
    /// `None`: there would be more connections, idle and in use, than places.
    pub(super) fn beside(self: &Arc<Places>) -> Option<IdlePlace> {
        let room = self.idle.load(Ordering::Relaxed) <= self.connections.available_permits();
        room.then(|| self.idle())
    }

    pub(super) fn unattended(&self) -> Option<SemaphorePermit<'_>> {
        self.unattended.try_acquire().ok()
    }

    fn stream(&self) -> Option<Place> {
        Some(Place { _one: self.streams.clone().try_acquire_owned().ok()?, _upload: None })
    }
}

impl Drop for IdlePlace {
    fn drop(&mut self) {
        self.places.idle.fetch_sub(1, Ordering::Relaxed);
        if self.bound {
            self.places.bound.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The responses that one worker reads.
pub(super) struct Reading {
    places: Arc<Places>,
    /// Those that hold a connection's place, oldest first, and since when each is read.
    young: RefCell<BTreeMap<u64, (Instant, Place)>>,
    streams: RefCell<BTreeMap<u64, Place>>,
    next: Cell<u64>,
    /// Wakes the task that looks for long ones.
    changed: Rc<Notify>,
}

/// A response that is read; dropped, it frees its place.
pub(super) struct Read {
    reading: Rc<Reading>,
    number: u64,
}

impl Reading {
    pub(super) fn new(places: Arc<Places>) -> Rc<Reading> {
        Rc::new(Reading {
            places,
            young: RefCell::default(),
            streams: RefCell::default(),
            next: Cell::new(0),
            changed: Rc::default(),
        })
    }

    pub(super) fn begin(self: &Rc<Reading>, place: Place) -> Read {
        let number = self.next.replace(self.next.get() + 1);
        let mut young = self.young.borrow_mut();
        if young.is_empty() {
            self.changed.notify_one();
        }
        young.insert(number, (Instant::now(), place));
        Read { reading: self.clone(), number }
    }

    /// Moves responses that are read for long to the streams, for as long as the worker reads any.
    pub(super) fn moving(self: &Rc<Reading>) -> impl Future<Output = ()> + use<> {
        let (reading, changed): (Weak<Reading>, _) = (Rc::downgrade(self), self.changed.clone());
        async move {
            loop {
                let due = match reading.upgrade() {
                    Some(reading) => reading.move_long_ones(Instant::now()),
                    None => return,
                };
                match due {
                    Some(due) => sleep_until(due).await,
                    None => changed.notified().await,
                }
            }
        }
    }

    /// Returns when to look again.
    fn move_long_ones(&self, now: Instant) -> Option<Instant> {
        let (mut young, mut streams) = (self.young.borrow_mut(), self.streams.borrow_mut());
        while let Some(oldest) = young.first_entry() {
            let due = oldest.get().0 + LONG;
            if due > now {
                return Some(due);
            }
            let Some(stream) = self.places.stream() else { return Some(now + AGAIN) };
            let (number, _) = oldest.remove_entry();
            streams.insert(number, stream);
        }
        None
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

impl Drop for Read {
    fn drop(&mut self) {
        let young = self.reading.young.borrow_mut().remove(&self.number);
        if young.is_none() {
            self.reading.streams.borrow_mut().remove(&self.number);
        }
    }
}
