//! The request on its way to the origin: how far it is, and what it waits for.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use super::{
    errors::OriginError,
    exchange::{Exchange, Wait},
    transport::Transport,
};

#[derive(Default, PartialEq, Eq)]
enum Body {
    /// There is more to come of it.
    Open,
    #[default]
    Done,
    /// Its rest is not wanted, or cannot be sent: the connection ends with the response.
    Abandoned,
}

#[derive(Default)]
pub(super) struct Sending {
    body: Body,
    /// For the origin, before anything else.
    unsent: Bytes,
    unflushed: bool,
    /// Bytes so far.
    written: u64,
}

impl Sending {
    pub(super) fn of(exchange: &Exchange) -> Sending {
        let body = if exchange.upload.borrow().is_some() { Body::Open } else { Body::Done };
        Sending { body, unsent: exchange.head.clone(), ..Sending::default() }
    }

    pub(super) fn unfinished(&self) -> bool {
        self.body == Body::Open || !self.unsent.is_empty() || self.unflushed
    }

    pub(super) fn completed(&self) -> bool {
        self.body == Body::Done && !self.unfinished()
    }

    pub(super) fn abandon(&mut self) {
        *self = Sending { body: Body::Abandoned, ..Sending::default() };
    }

    /// `None`: not for the request.
    pub(super) fn waits_for(&self) -> Option<Wait> {
        if !self.unsent.is_empty() || self.unflushed {
            Some(Wait::Writing(self.written))
        } else if self.body == Body::Open {
            Some(Wait::Other)
        } else {
            None
        }
    }

    /// Sends what can be sent now. A failed write is no error yet: the origin may have answered before it closed.
    pub(super) fn advance(
        &mut self,
        io: &mut Transport,
        exchange: &Exchange,
        cx: &mut Context<'_>,
    ) -> Result<(), OriginError> {
        loop {
            while !self.unsent.is_empty() {
                match Pin::new(&mut *io).poll_write(cx, &self.unsent) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(n)) if n > 0 => {
                        exchange.started.set(true);
                        self.unsent.advance(n);
                        self.written += n as u64;
                        self.unflushed = true;
                    }
                    Poll::Ready(_) => {
                        self.abandon();
                        return Ok(());
                    }
                }
            }
            if self.body == Body::Open
                && let Some(upload) = exchange.upload.borrow_mut().as_mut()
                && let Poll::Ready(next) = upload.poll_framed(cx)
            {
                match next.map_err(|()| OriginError::Upload)? {
                    Some(bytes) => self.unsent = bytes,
                    None => self.body = Body::Done,
                }
                continue;
            }
            if self.unflushed
                && let Poll::Ready(flushed) = Pin::new(&mut *io).poll_flush(cx)
            {
                self.unflushed = false;
                if flushed.is_err() {
                    self.abandon();
                }
            }
            return Ok(());
        }
    }
}
