//! Connections between two requests. awc would keep them, too, but could not tell which of them may be used.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    rc::{Rc, Weak},
    time::Duration,
};

use futures_core::future::LocalBoxFuture;
use tokio::time::{Instant, sleep, timeout};

use super::{errors::OriginError, framing::Connection, head::Limits, transport::Transport};

type Dial = Box<dyn Fn() -> LocalBoxFuture<'static, Result<Transport, OriginError>>>;

/// The kept connections of one worker, and how new ones are made.
pub(super) struct Pool {
    dial: Dial,
    options: PoolOptions,
    /// The one that was used last is at the end.
    idle: RefCell<VecDeque<Box<Connection>>>,
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
        dial: impl Fn() -> LocalBoxFuture<'static, Result<Transport, OriginError>> + 'static,
    ) -> Rc<Pool> {
        Rc::new(Pool { dial: Box::new(dial), options, idle: RefCell::default() })
    }

    /// Returns the kept connection that was used last, or a new one. `new`: a kept one will not do.
    pub(super) async fn connection(&self, new: bool) -> Result<Box<Connection>, OriginError> {
        if let Some(kept) = self.kept().filter(|_| !new) {
            return Ok(kept);
        }
        match timeout(self.options.connect_timeout, (self.dial)()).await {
            Ok(dialled) => Ok(Box::new(Connection::new(dialled?, self.options.limits))),
            Err(_) => Err(OriginError::ConnectTimeout),
        }
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

    /// Takes back a connection whose exchange has ended.
    pub(super) fn keep(&self, connection: Box<Connection>) {
        if !self.options.idle_timeout.is_zero() {
            self.idle.borrow_mut().push_back(connection);
        }
    }

    /// A connection that is too old, or on which the origin has said something, is not used again.
    fn is_usable(&self, connection: &mut Connection, now: Instant) -> bool {
        now.duration_since(connection.idle_since) <= self.options.idle_timeout
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
                let now = Instant::now();
                pool.idle.borrow_mut().retain_mut(|connection| pool.is_usable(connection, now));
                drop(pool);
                sleep(pause).await;
            }
        }
    }
}
