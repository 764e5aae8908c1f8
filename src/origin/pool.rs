//! Connections between two requests. awc would keep them, too, but could not tell which of them may be used.
//!
//! Before a connection is used again it must have been silent for a while: what an origin sends unasked often comes a little
//! late, and would be the answer to the next request. Among those that have rested the newest is used, since the oldest is
//! about to be closed by the origin. A request that finds only younger ones waits for the first of them, and opens a new one
//! beside it: it gets what is there sooner, and there are enough of them soon.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{Future, pending},
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use futures_core::future::LocalBoxFuture;
use tokio::{
    sync::oneshot,
    task::spawn_local,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    errors::OriginError, framing::Connection, head::Limits, kept::Kept, owner::Owner, places::Places,
    request::OriginRequest, transport::Transport, unasked::Unasked,
};
use crate::fields::authentication::authenticates_connection;

/// How long an authenticated connection waits for the next request of its client.
const BOUND_IDLE: Duration = Duration::from_secs(15);

type Dialled = Result<Box<Connection>, OriginError>;
type Dial = Box<dyn Fn() -> LocalBoxFuture<'static, Result<Transport, OriginError>>>;

/// The kept connections of one worker, and how new ones are made.
pub(super) struct Pool {
    dial: Dial,
    options: PoolOptions,
    places: Arc<Places>,
    unasked: Arc<Unasked>,
    /// Those that every request may use. The one that was used last is at the end.
    idle: RefCell<VecDeque<Kept>>,
    /// New ones under way that no request waits for any more.
    spare: Cell<usize>,
    /// Those who keep a connection of their own.
    owners: RefCell<Vec<Weak<Owner>>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct PoolOptions {
    pub(super) limits: Limits,
    pub(super) connect_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) settle: Duration,
    pub(super) max_age: Duration,
}

/// What there is for a request.
enum Choice {
    Rested(Box<Connection>),
    /// Only connections that may be used from then on, or later.
    Resting(Instant),
    Nothing,
}

impl Pool {
    pub(super) fn new(
        options: PoolOptions,
        places: Arc<Places>,
        unasked: Arc<Unasked>,
        dial: impl Fn() -> LocalBoxFuture<'static, Result<Transport, OriginError>> + 'static,
    ) -> Rc<Pool> {
        Rc::new(Pool {
            dial: Box::new(dial),
            options,
            places,
            unasked,
            idle: RefCell::default(),
            spare: Cell::default(),
            owners: RefCell::default(),
        })
    }

    /// Returns the connection that the owner keeps, or one that everybody may use, or a new one. `new`: a kept one will not
    /// do.
    pub(super) async fn connection(self: &Rc<Pool>, new: bool, owner: Option<&Rc<Owner>>) -> Dialled {
        if new {
            return self.new_one().await;
        }
        if let Some(kept) = owner.and_then(|owner| owner.take())
            && let Some(connection) = self.rested(kept).await
        {
            return Ok(connection);
        }
        match self.choose(Instant::now()) {
            Choice::Rested(connection) => Ok(connection),
            Choice::Resting(until) => Box::pin(self.rested_or_new(until)).await,
            Choice::Nothing => self.new_one().await,
        }
    }

    async fn rested(&self, kept: Kept) -> Option<Box<Connection>> {
        let mut connection = kept.connection;
        let until = kept.since + self.options.settle;
        if until > Instant::now() {
            sleep_until(until).await;
        }
        self.is_usable(&mut connection, Instant::now()).then_some(connection)
    }

    /// The newest of those that have rested.
    fn choose(&self, now: Instant) -> Choice {
        let settle = self.options.settle;
        let mut idle = self.idle.borrow_mut();
        if !idle.is_empty() && !self.unasked.may_keep() {
            idle.clear();
        }
        loop {
            let rested = idle.partition_point(|kept| kept.since + settle <= now);
            let Some(newest) = rested.checked_sub(1) else { break };
            if let Some(Kept { mut connection, .. }) = idle.remove(newest)
                && self.is_usable(&mut connection, now)
            {
                return Choice::Rested(connection);
            }
        }
        match idle.front() {
            Some(kept) => Choice::Resting(kept.since + settle),
            None => Choice::Nothing,
        }
    }

    /// Waits for a connection to have rested, or for a new one.
    async fn rested_or_new(self: &Rc<Pool>, mut until: Instant) -> Dialled {
        let may_open = self.spare.get() == 0 && !self.places.are_crowded();
        let mut opening = may_open.then(|| self.open_beside());
        loop {
            let opened = async {
                match &mut opening {
                    Some(opening) => opening.opened().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                opened = opened => match opened {
                    Ok(connection) => return Ok(connection),
                    // there are others
                    Err(_) => opening = None,
                },
                () = sleep_until(until) => {}
            }
            match self.choose(Instant::now()) {
                Choice::Rested(connection) => return Ok(connection),
                Choice::Resting(later) => until = later,
                Choice::Nothing => break,
            }
        }
        match &mut opening {
            Some(opening) => opening.opened().await,
            None => self.new_one().await,
        }
    }

    async fn new_one(&self) -> Dialled {
        self.places.make_room();
        opened(self.options, (self.dial)()).await
    }

    /// Opens a connection that is kept where whoever waits for it has found another one by then.
    fn open_beside(self: &Rc<Pool>) -> Opening {
        let (tell, dialled) = oneshot::channel();
        let unwanted = Unwanted { pool: Rc::downgrade(self), counted: Rc::default() };
        let opening = Opening { dialled: Some(dialled), pool: self.clone(), counted: unwanted.counted.clone() };
        let opened = opened(self.options, (self.dial)());
        spawn_local(async move {
            if let Err(Ok(connection)) = tell.send(opened.await)
                && let Some(pool) = unwanted.pool.upgrade()
            {
                pool.keep_spare(connection);
            }
        });
        opening
    }

    fn keep_spare(&self, mut connection: Box<Connection>) {
        if !self.options.idle_timeout.is_zero() && self.unasked.may_keep() && !self.places.are_crowded() {
            connection.kept = true;
            let place = self.places.idle();
            let mut idle = self.idle.borrow_mut();
            let at = idle.partition_point(|kept| kept.since <= connection.idle_since);
            idle.insert(at, Kept::new(connection, place));
        }
    }

    /// Takes back a connection whose exchange has ended. One that was authenticated is kept by its owner, or closed where it
    /// has none.
    pub(super) fn keep(&self, connection: Box<Connection>, owner: Option<Rc<Owner>>) {
        // the exchange's own place is free in a moment
        if self.options.idle_timeout.is_zero() || self.places.are_crowded() {
            return;
        }
        match (connection.bound, owner) {
            (None, _) if self.unasked.may_keep() => {
                let place = self.places.idle();
                self.idle.borrow_mut().push_back(Kept::new(connection, place));
            }
            (Some(_), Some(owner)) => self.keep_bound(connection, &owner),
            _ => {}
        }
    }

    fn keep_bound(&self, connection: Box<Connection>, owner: &Rc<Owner>) {
        let place = self.places.idle_bound().or_else(|| {
            self.close_idlest_bound();
            self.places.idle_bound()
        });
        let Some(place) = place else { return };
        if !owner.listed.replace(true) {
            self.owners.borrow_mut().push(Rc::downgrade(owner));
        }
        owner.keep(Kept::new(connection, place));
    }

    /// Returns false if this worker has none.
    fn close_idlest_bound(&self) -> bool {
        let owners = self.owners.borrow();
        let idle = owners.iter().filter_map(Weak::upgrade).filter(|owner| owner.bound().is_some());
        idle.min_by_key(|owner| owner.idle_since()).is_some_and(|owner| owner.take().is_some())
    }

    /// Returns true if the connection of this request may be kept. One that was authenticated has one user only, and without
    /// it there is no authentication.
    pub(super) fn may_keep(&self, request: &OriginRequest, owner: Option<&Rc<Owner>>) -> bool {
        self.unasked.may_keep()
            || owner.is_some_and(|owner| owner.bound().is_some())
            || authenticates_connection(&request.fields).is_some()
    }

    /// Notes that the origin has sent what nobody asked for.
    pub(super) fn note_unasked(&self) {
        self.unasked.note(Instant::now());
    }

    /// A connection that is too old, or on which the origin has said something, is not used again.
    fn is_usable(&self, connection: &mut Connection, now: Instant) -> bool {
        let idle_timeout = match connection.bound {
            Some(_) => self.options.idle_timeout.min(BOUND_IDLE),
            None => self.options.idle_timeout,
        };
        let usable = now.duration_since(connection.idle_since) <= idle_timeout
            && now.duration_since(connection.opened) <= self.options.max_age
            && connection.is_silent();
        if connection.unasked {
            self.note_unasked();
        }
        usable
    }

    /// Closes kept connections that may not be used any more, and where others need the room, for as long as there is a pool.
    pub(super) fn sweeping(self: &Rc<Pool>) -> impl Future<Output = ()> + use<> {
        let PoolOptions { idle_timeout, max_age, .. } = self.options;
        let pause = (idle_timeout.min(max_age) / 2).clamp(Duration::from_millis(10), Duration::from_secs(5));
        let (pool, places) = (Rc::downgrade(self), self.places.clone());
        async move {
            while let Some(pool) = pool.upgrade() {
                pool.make_room();
                pool.sweep(Instant::now());
                let pause = if pool.owners.borrow().is_empty() { pause } else { pause.min(Duration::from_secs(1)) };
                drop(pool);
                tokio::select! {
                    () = sleep(pause) => {}
                    () = places.room_is_needed() => {}
                }
            }
        }
    }

    fn make_room(&self) {
        while self.places.are_crowded() {
            let oldest = self.idle.borrow_mut().pop_front();
            if oldest.is_none() && !self.close_idlest_bound() {
                break;
            }
        }
    }

    fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain_mut(|kept| self.is_usable(&mut kept.connection, now));
        self.owners.borrow_mut().retain(|owner| {
            let Some(owner) = owner.upgrade() else { return false };
            if let Some(mut kept) = owner.take()
                && self.is_usable(&mut kept.connection, now)
            {
                owner.keep(kept);
                return true;
            }
            owner.listed.set(false);
            false
        });
    }
}

async fn opened(options: PoolOptions, dial: impl Future<Output = Result<Transport, OriginError>>) -> Dialled {
    let dialled = timeout(options.connect_timeout, dial).await;
    let transport = dialled.unwrap_or(Err(OriginError::ConnectTimeout))?;
    Ok(Box::new(Connection::new(transport, options.limits)))
}

/// A new connection under way, for whoever holds this.
struct Opening {
    /// `None` once it has come.
    dialled: Option<oneshot::Receiver<Dialled>>,
    pool: Rc<Pool>,
    /// It counts as spare.
    counted: Rc<Cell<bool>>,
}

impl Opening {
    async fn opened(&mut self) -> Dialled {
        let Some(dialled) = &mut self.dialled else { return Err(OriginError::Closed) };
        let opened = dialled.await;
        self.dialled = None;
        opened.unwrap_or(Err(OriginError::Closed))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let Some(mut dialled) = self.dialled.take() else { return };
        dialled.close();
        match dialled.try_recv() {
            Ok(Ok(connection)) => self.pool.keep_spare(connection),
            Ok(Err(_)) => {}
            Err(_) => {
                self.counted.set(true);
                self.pool.spare.set(self.pool.spare.get() + 1);
            }
        }
    }
}

/// Takes what nobody waits for any more off the count of the spare ones, when it has come or failed.
struct Unwanted {
    pool: Weak<Pool>,
    counted: Rc<Cell<bool>>,
}

impl Drop for Unwanted {
    fn drop(&mut self) {
        if self.counted.get()
            && let Some(pool) = self.pool.upgrade()
        {
            pool.spare.set(pool.spare.get() - 1);
        }
    }
}
