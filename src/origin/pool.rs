//! Connections between two requests. awc would keep them, too, but could not tell which of them may be used.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use futures_core::future::LocalBoxFuture;
use tokio::time::{Instant, sleep, timeout};

use super::{
    errors::OriginError,
    framing::Connection,
    head::Limits,
    owner::{Kept, Owner},
    places::Places,
    transport::Transport,
};

/// How long an authenticated connection waits for the next request of its client.
const BOUND_IDLE: Duration = Duration::from_secs(15);

type Dial = Box<dyn Fn() -> LocalBoxFuture<'static, Result<Transport, OriginError>>>;

/// The kept connections of one worker, and how new ones are made.
pub(super) struct Pool {
    dial: Dial,
    options: PoolOptions,
    places: Arc<Places>,
    /// Those that every request may use. The one that was used last is at the end.
    idle: RefCell<VecDeque<Box<Connection>>>,
    /// Those who keep a connection of their own.
    owners: RefCell<Vec<Weak<Owner>>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct PoolOptions {
    pub(super) limits: Limits,
    pub(super) connect_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) max_age: Duration,
}

impl Pool {
    pub(super) fn new(
        options: PoolOptions,
        places: Arc<Places>,
        dial: impl Fn() -> LocalBoxFuture<'static, Result<Transport, OriginError>> + 'static,
    ) -> Rc<Pool> {
        let (idle, owners) = (RefCell::default(), RefCell::default());
        Rc::new(Pool { dial: Box::new(dial), options, places, idle, owners })
    }

    /// Returns the connection that the owner keeps, or the kept one that was used last, or a new one. `new`: a kept one will
    /// not do.
    pub(super) async fn connection(
        &self,
        new: bool,
        owner: Option<&Rc<Owner>>,
    ) -> Result<Box<Connection>, OriginError> {
        if !new && let Some(kept) = self.owned(owner).or_else(|| self.kept()) {
            return Ok(kept);
        }
        match timeout(self.options.connect_timeout, (self.dial)()).await {
            Ok(dialled) => Ok(Box::new(Connection::new(dialled?, self.options.limits))),
            Err(_) => Err(OriginError::ConnectTimeout),
        }
    }

    fn owned(&self, owner: Option<&Rc<Owner>>) -> Option<Box<Connection>> {
        let mut connection = owner?.take()?.connection;
        self.is_usable(&mut connection, Instant::now()).then_some(connection)
    }

    fn kept(&self) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut connection) = idle.pop_back() {
            if self.is_usable(&mut connection, Instant::now()) {
                return Some(connection);
            }
        }
        None
    }

    /// Takes back a connection whose exchange has ended. One that was authenticated is kept by its owner, or closed where it
    /// has none.
    pub(super) fn keep(&self, connection: Box<Connection>, owner: Option<Rc<Owner>>) {
        if self.options.idle_timeout.is_zero() {
            return;
        }
        match (connection.bound, owner) {
            (None, _) => self.idle.borrow_mut().push_back(connection),
            (Some(_), Some(owner)) => self.keep_bound(connection, &owner),
            (Some(_), None) => {}
        }
    }

    fn keep_bound(&self, connection: Box<Connection>, owner: &Rc<Owner>) {
        let mut owners = self.owners.borrow_mut();
        let place = self.places.bound().or_else(|| {
            // the one that was idle for longest makes room, if it is this worker's
            let idle = owners.iter().filter_map(Weak::upgrade).filter(|owner| owner.bound().is_some());
            drop(idle.min_by_key(|owner| owner.idle_since()).and_then(|owner| owner.take()));
            self.places.bound()
        });
        let Some(place) = place else { return };
        if !owner.listed.replace(true) {
            owners.push(Rc::downgrade(owner));
        }
        owner.keep(Kept { connection, _place: place });
    }

    /// A connection that is too old, or on which the origin has said something, is not used again.
    fn is_usable(&self, connection: &mut Connection, now: Instant) -> bool {
        let idle_timeout = match connection.bound {
            Some(_) => self.options.idle_timeout.min(BOUND_IDLE),
            None => self.options.idle_timeout,
        };
        now.duration_since(connection.idle_since) <= idle_timeout
            && now.duration_since(connection.opened) <= self.options.max_age
            && connection.is_silent()
    }

    /// Closes kept connections that may not be used any more, for as long as there is a pool.
    pub(super) fn sweeping(self: &Rc<Pool>) -> impl Future<Output = ()> + use<> {
        let PoolOptions { idle_timeout, max_age, .. } = self.options;
        let pause = (idle_timeout.min(max_age) / 2).clamp(Duration::from_millis(10), Duration::from_secs(5));
        let pool: Weak<Pool> = Rc::downgrade(self);
        async move {
            while let Some(pool) = pool.upgrade() {
                pool.sweep(Instant::now());
                let pause = if pool.owners.borrow().is_empty() { pause } else { pause.min(Duration::from_secs(1)) };
                drop(pool);
                sleep(pause).await;
            }
        }
    }

    fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain_mut(|connection| self.is_usable(connection, now));
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
