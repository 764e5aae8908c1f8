//! One request and its response. The connection that carries the exchange takes the request from it and leaves the response's
//! head, or the error, in it.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::{
    errors::OriginError,
    head::{self, Head},
    request::{Interim, OriginRequest},
    upload::Replay,
};
use crate::{
    fields::{authentication::authenticates_connection, method::is_idempotent},
    message::{ConnectionScheme, Fields, Method},
};

/// What the connection waits for; a new value begins a new time-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The client, or a connection, which has its own time-out.
    Other,
    /// The origin is to take more of the request; it took this many bytes.
    Writing(u64),
    /// The final head, whatever interim responses come before it.
    Head,
    Body,
}

/// How long the connection may wait for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    pub(super) first_byte: Duration,
    pub(super) between_bytes: Duration,
}

pub(super) struct Exchange {
    pub(super) method: Method,
    /// The request's head, as it goes on the wire.
    pub(super) head: Bytes,
    pub(super) upload: RefCell<Option<Replay>>,
    interim: RefCell<Box<dyn FnMut(Interim)>>,
    pub(super) wait: Cell<Wait>,
    response: RefCell<Option<Head>>,
    /// Those of a response that has ended.
    pub(super) trailers: RefCell<Fields>,
    failure: RefCell<Option<OriginError>>,
    /// This is the second try: it must not take a pooled connection.
    pub(super) again: Cell<bool>,
    /// The connection is not to be used again.
    pub(super) last: bool,
    /// The request authenticates the connection.
    pub(super) authenticates: Option<ConnectionScheme>,
    /// The connection is authenticated, as far as is known by now.
    pub(super) bound: Cell<Option<ConnectionScheme>>,
    /// The connection had carried another request before.
    reused: Cell<bool>,
    /// Bytes of the request were handed to the connection.
    pub(super) started: Cell<bool>,
    /// Bytes of a response came.
    pub(super) responded: Cell<bool>,
}

impl Exchange {
    pub(super) fn new(
        request: OriginRequest,
        interim: impl FnMut(Interim) + 'static,
    ) -> Result<Rc<Exchange>, OriginError> {
        Ok(Rc::new(Exchange {
            head: head::write(&request).map_err(OriginError::Protocol)?,
            last: request.fields.contains(&http::header::CONNECTION),
            authenticates: authenticates_connection(&request.fields),
            bound: Cell::default(),
            method: request.method,
            upload: RefCell::new(request.body.map(Replay::new)),
            interim: RefCell::new(Box::new(interim)),
            wait: Cell::new(Wait::Other),
            response: RefCell::default(),
            trailers: RefCell::default(),
            failure: RefCell::default(),
            again: Cell::default(),
            reused: Cell::default(),
            started: Cell::default(),
            responded: Cell::default(),
        }))
    }

    /// The request goes out on a connection now.
    pub(super) fn begin(&self, reused: bool) {
        self.reused.set(reused);
        self.started.set(false);
        self.responded.set(false);
        if let Some(upload) = self.upload.borrow_mut().as_mut() {
            upload.rewind();
        }
    }

    pub(super) fn inform(&self, interim: Interim) {
        (self.interim.borrow_mut())(interim);
    }

    pub(super) fn answer(&self, head: Head) {
        *self.response.borrow_mut() = Some(head);
    }

    pub(super) fn take_answer(&self) -> Option<Head> {
        self.response.borrow_mut().take()
    }

    pub(super) fn fail(&self, error: OriginError) {
        *self.failure.borrow_mut() = Some(error);
    }

    pub(super) fn take_failure(&self) -> Option<OriginError> {
        self.failure.borrow_mut().take()
    }

    /// Whether the request may be sent once more after this (RFC 9110 §9.2.2): a pooled connection died before the first
    /// byte of the response, and either doing it twice is as doing it once, or nothing of it was sent. Never true of a
    /// second try, whose connection is a new one.
    pub(super) fn may_go_again(&self, error: &OriginError) -> bool {
        *error == OriginError::Closed
            && self.reused.get()
            && !self.responded.get()
            && (is_idempotent(&self.method) || !self.started.get())
            && self.upload.borrow().as_ref().is_none_or(Replay::replayable)
    }

    /// Runs `future` for as long as the connection waits for nothing longer than it may.
    pub(super) async fn in_time<F: Future>(&self, timeouts: &Timeouts, future: F) -> Result<F::Output, OriginError> {
        let mut future = pin!(future);
        let mut timer = pin!(sleep(Duration::ZERO));
        let mut armed = Wait::Other;
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            let wait = self.wait.get();
            let (limit, error) = match wait {
                Wait::Other => {
                    armed = wait;
                    return Poll::Pending;
                }
                Wait::Writing(_) => (timeouts.between_bytes, OriginError::UploadTimeout),
                Wait::Head => (timeouts.first_byte, OriginError::FirstByteTimeout),
                Wait::Body => (timeouts.between_bytes, OriginError::BodyTimeout),
            };
            if wait != armed {
                armed = wait;
                timer.as_mut().reset(Instant::now() + limit);
            }
            timer.as_mut().poll(cx).map(|()| Err(error))
        })
        .await
    }
}
