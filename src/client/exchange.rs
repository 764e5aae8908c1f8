//! The connection as one exchange uses it, whatever protocol the client speaks: the body of its request, its interim
//! responses, its end. A further protocol is a further arm.

use std::{
    any::Any,
    io,
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{
    Options,
    connection::{Handle, State},
    refusal::{EndedBy, OnFate},
};
use crate::message::{Fields, StatusCode};

/// One exchange on a client's connection. It is cheap to clone, bound to its thread, and without effect once the next
/// request is there.
#[derive(Clone)]
pub(super) enum Exchange {
    Http1(Http1),
}

/// One exchange on an HTTP/1 connection, by its number there.
#[derive(Clone)]
pub(super) struct Http1 {
    pub state: Handle,
    pub number: u64,
}

impl Http1 {
    /// Calls `act` if the exchange still runs.
    fn running<T>(&self, act: impl FnOnce(&mut State) -> T) -> Option<T> {
        let state = self.state.upgrade()?;
        let mut state = state.borrow_mut();
        (state.exchange == self.number).then(|| act(&mut state))
    }
}

impl Exchange {
    /// The options of the client side; `None` once the connection is gone.
    pub fn options(&self) -> Option<Arc<Options>> {
        match self {
            Exchange::Http1(Http1 { state, .. }) => Some(state.upgrade()?.borrow().worker.options.clone()),
        }
    }

    /// Sends an interim response. Returns false if it was not sent.
    pub fn send_interim(&self, status: StatusCode, fields: &Fields) -> bool {
        match self {
            Exchange::Http1(http1) => http1.running(|state| state.send_interim(status, fields)).unwrap_or(false),
        }
    }

    /// Makes this exchange the connection's last.
    pub fn close_after(&self) {
        match self {
            Exchange::Http1(http1) => http1.running(|state| state.persistent = false),
        };
    }

    /// Counts this exchange as a connection of the address. Returns false if that has too many.
    pub fn count_for(&self, client: IpAddr) -> bool {
        match self {
            Exchange::Http1(http1) => http1.running(|state| {
                // the exchange before this one has ended
                state.client_place = None;
                let Ok(place) = state.admission.place_of(client) else {
                    state.worker.options.counters.over_address.add();
                    return false;
                };
                state.client_place = place;
                true
            }),
        }
        .unwrap_or(true)
    }

    /// What the core keeps for as long as the connection lasts.
    pub fn attachment(&self) -> Option<Rc<dyn Any>> {
        match self {
            Exchange::Http1(http1) => http1.running(|state| state.attachment.clone()).flatten(),
        }
    }

    /// Keeps this for as long as the connection lasts.
    pub fn attach(&self, attachment: Rc<dyn Any>) {
        match self {
            Exchange::Http1(http1) => http1.running(|state| state.attachment = Some(attachment)),
        };
    }

    /// How the request's content failed, if it did, or the connection is gone.
    pub fn content_failure(&self) -> Option<io::ErrorKind> {
        match self {
            Exchange::Http1(Http1 { state, .. }) if state.strong_count() == 0 => Some(io::ErrorKind::ConnectionAborted),
            Exchange::Http1(http1) => http1.running(|state| state.body.failure).flatten(),
        }
    }

    /// Waits until the client has ended its side of the connection. It may still read.
    pub fn poll_half_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Exchange::Http1(http1) => http1.running(|state| state.poll_half_closed(cx)).unwrap_or(Poll::Pending),
        }
    }

    /// Returns true if the client has ended its side of the connection.
    pub fn has_ended_its_side(&self) -> bool {
        match self {
            Exchange::Http1(http1) => http1.running(|state| state.has_ended_its_side()).unwrap_or(false),
        }
    }

    /// Returns true if the client had ended its side before its answer was there, and may have got nothing of it.
    pub fn may_have_got_nothing(&self, sent: u64) -> bool {
        match self {
            Exchange::Http1(http1) => http1.running(|state| state.may_have_got_nothing(sent)).unwrap_or(false),
        }
    }

    /// Calls `on_fate` when it is known whether the answer reaches the client, or at once if the exchange is over.
    pub fn await_fate(&self, on_fate: OnFate) {
        let mut waiting = Some(on_fate);
        match self {
            Exchange::Http1(http1) => {
                http1.running(|state| waiting.take().into_iter().for_each(|on| state.await_fate(on)))
            }
        };
        waiting.into_iter().for_each(|on_fate| on_fate(false));
    }

    /// How the client side itself has ended the exchange, if it has. To be called when the exchange ends.
    pub fn ended_by(&self) -> Option<EndedBy> {
        match self {
            Exchange::Http1(http1) => http1.running(|state| state.ended_by()).flatten(),
        }
    }

    /// The next piece of the request's body.
    pub fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match self {
            Exchange::Http1(http1) => http1
                .running(|state| state.poll_body(cx))
                .unwrap_or(Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))),
        }
    }

    /// Nobody waits for the next piece of the body any more.
    pub fn stop_waiting(&self) {
        match self {
            Exchange::Http1(http1) => http1.running(|state| state.body.reader = None),
        };
    }

    /// Nobody reads the body any more.
    pub fn release_body(&self) {
        match self {
            Exchange::Http1(http1) => http1.running(|state| {
                state.body.held = false;
                state.body.reader = None;
            }),
        };
    }
}
