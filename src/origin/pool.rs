//! Connections between two requests. awc would keep them, too, but could not tell which of them may be used.
//!
//! A connection rests before it is used again: what an origin sends unasked often comes a little late, and would be the
//! answer to the next request. Among the rested ones the newest is used, since the origin is about to close the oldest. A
//! request that finds only younger ones waits for the first of them; meanwhile a new one is opened, one at a time. So the
//! request waits for no longer than opening takes, and soon there are enough of them.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use futures_core::future::LocalBoxFuture;
use tokio::{
    sync::Notify,
    task::spawn_local,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    errors::OriginError,
    framing::Connection,
    head::Limits,
    kept::{Idle, Kept},
    owner::Owner,
    places::Places,
    request::OriginRequest,
    transport::Transport,
    unasked::Unasked,
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
    /// Those that every request may use.
    idle: RefCell<Idle>,
    /// A new one is under way, for `idle`.
    opening: Cell<bool>,
    /// Wakes a request that waits: a new one has come.
    opened: Notify,
    /// Those who keep a connection of their own.
    owners: RefCell<Vec<Weak<Owner>>>,
    /// This worker has asked the others for room.
    asks: Cell<bool>,
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
            opening: Cell::default(),
            opened: Notify::new(),
            owners: RefCell::default(),
            asks: Cell::default(),
        })
    }

    /// Returns the connection that the owner keeps, or one that everybody may use, or a new one. `new`: a kept one will not
    /// do.
    pub(super) async fn connection(self: &Rc<Pool>, new: bool, owner: Option<&Rc<Owner>>) -> Dialled {
        if new {
            return self.open().await;
        }
        if let Some(kept) = owner.and_then(|owner| owner.take())
            && let Some(connection) = self.rested(kept).await
        {
            return Ok(connection);
        }
        let chosen = match self.choose(Instant::now()) {
            Choice::Rested(connection) => Some(connection),
            Choice::Resting(until) => {
                let waited = timeout(self.options.connect_timeout, Box::pin(self.first_rested(until))).await;
                waited.ok().flatten()
            }
            Choice::Nothing => None,
        };
        match chosen {
            Some(connection) => Ok(connection),
            None => self.open().await,
        }
    }

    async fn open(&self) -> Dialled {
        let dialled = timeout(self.options.connect_timeout, (self.dial)()).await;
        let transport = dialled.unwrap_or(Err(OriginError::ConnectTimeout))?;
        Ok(Box::new(Connection::new(transport, self.options.limits)))
    }

    async fn rested(&self, mut kept: Kept) -> Option<Box<Connection>> {
        if kept.rested > Instant::now() {
            sleep_until(kept.rested).await;
        }
        self.is_usable(&mut kept.connection, Instant::now()).then_some(kept.connection)
    }

    /// Takes the newest of those that have rested.
    fn choose(&self, now: Instant) -> Choice {
        let mut idle = self.idle.borrow_mut();
        if !idle.is_empty() && !self.unasked.may_keep() {
            *idle = Idle::default();
        }
        while let Some(Kept { mut connection, .. }) = idle.take(now) {
            if self.is_usable(&mut connection, now) {
                return Choice::Rested(connection);
            }
        }
        idle.next().map_or(Choice::Nothing, Choice::Resting)
    }

    /// Waits until a connection has rested, or a new one has come. `None`: there is none to wait for any more.
    async fn first_rested(self: &Rc<Pool>, mut until: Instant) -> Option<Box<Connection>> {
        self.open_beside();
        loop {
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.opened.notified() => {}
            }
            match self.choose(Instant::now()) {
                Choice::Rested(connection) => return Some(connection),
                Choice::Resting(later) => until = later,
                Choice::Nothing => return None,
            }
        }
    }

    /// Opens a connection for the request that takes it first, if none is under way and there may be one more.
    fn open_beside(self: &Rc<Pool>) {
        if self.opening.get() {
            return;
        }
        let Some(place) = self.places.beside() else { return };
        self.opening.set(true);
        let pool = self.clone();
        spawn_local(async move {
            let opened = pool.open().await;
            pool.opening.set(false);
            if let Ok(connection) = opened {
                // it has nothing to rest from
                let kept = Kept::new(connection, Duration::ZERO, place);
                pool.idle.borrow_mut().add(kept);
                pool.opened.notify_one();
            }
        });
    }

    /// Takes back a connection whose exchange has ended. One that was authenticated is kept by its owner, or closed where it
    /// has none.
    pub(super) fn keep(&self, connection: Box<Connection>, owner: Option<Rc<Owner>>) {
        let PoolOptions { idle_timeout, settle, .. } = self.options;
        if idle_timeout.is_zero() {
            return;
        }
        match (connection.bound, owner) {
            (None, _) if self.unasked.may_keep() => {
                let kept = Kept::new(connection, settle, self.places.idle());
                self.idle.borrow_mut().rest(kept);
            }
            (Some(_), Some(owner)) => self.keep_bound(connection, &owner),
            _ => {}
        }
    }

    /// Gives an authenticated connection to its owner. Where there are too many of them, the one that was idle for longest is
    /// closed: of this worker, or else of another one.
    fn keep_bound(&self, connection: Box<Connection>, owner: &Rc<Owner>) {
        self.make_room(1);
        owner.keep(Kept::new(connection, self.options.settle, self.places.idle_bound()));
        if !owner.listed.replace(true) {
            self.owners.borrow_mut().push(Rc::downgrade(owner));
        }
        if self.places.is_crowded(0) {
            self.asks.set(true);
            self.places.ask_for_room();
        }
    }

    /// Closes authenticated connections of this worker, those that were idle for longest first, until there is room for
    /// `more` of them in the process.
    fn make_room(&self, more: usize) {
        let owners = self.owners.borrow();
        while self.places.is_crowded(more) {
            let idle = owners.iter().filter_map(Weak::upgrade).filter(|owner| owner.bound().is_some());
            let Some(oldest) = idle.min_by_key(|owner| owner.rested()) else { return };
            drop(oldest.take());
        }
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

    /// Closes kept connections that may not be used any more, for as long as there is a pool.
    pub(super) fn sweeping(self: &Rc<Pool>) -> impl Future<Output = ()> + use<> {
        let PoolOptions { idle_timeout, max_age, .. } = self.options;
        let pause = (idle_timeout.min(max_age) / 2).clamp(Duration::from_millis(10), Duration::from_secs(5));
        let (pool, places): (Weak<Pool>, _) = (Rc::downgrade(self), self.places.clone());
        async move {
            while let Some(pool) = pool.upgrade() {
                pool.sweep(Instant::now());
                let pause = if pool.owners.borrow().is_empty() { pause } else { pause.min(Duration::from_secs(1)) };
                drop(pool);
                tokio::select! {
                    () = sleep(pause) => {}
                    () = places.asked_for_room() => {}
                }
            }
        }
    }

    fn sweep(&self, now: Instant) {
        if !self.asks.take() {
            self.make_room(0);
        }
        self.idle.borrow_mut().retain(|connection| self.is_usable(connection, now));
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
