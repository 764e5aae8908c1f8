//! How a connection ends: in order, or so that its client sees that something is missing.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::io::AsyncWrite;

use super::{Phase, State};

impl State {
    /// Ends the connection after what has been written already.
    pub fn close(&mut self) {
        self.closed = true;
        self.linger = true;
        self.wake();
    }

    /// Ends the connection in the middle of a response, so that the client sees it.
    pub fn break_off(&mut self) {
        self.worker.options.counters.broken.add();
        self.closed = true;
        self.wake();
    }

    /// The response has no end but the connection's: until that is reached every other end is a reset, the kernel's after a
    /// kill included.
    pub fn end_by_closing(&mut self) {
        self.close_delimited = true;
        let _ = self.io.set_zero_linger();
    }

    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.must_reset() {
            // the reset goes out when the socket is dropped
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_output(cx))?;
        if self.phase != Phase::Lingering {
            if self.close_delimited {
                SockRef::from(&self.io).set_linger(None)?;
            }
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            self.enter(Phase::Lingering);
        }
        while self.linger && !self.eof {
            self.input.clear();
            match ready!(self.poll_receive(cx)) {
                Ok(true) => {}
                Ok(false) | Err(_) => self.eof = true,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The client has not taken a byte for too long: nothing can be said to it any more.
    pub fn give_up(&mut self) {
        self.reset = true;
        self.output.clear();
        self.muted = true;
        self.close();
    }

    fn must_reset(&self) -> bool {
        self.reset || (self.close_delimited && matches!(self.phase, Phase::Answering { .. }))
    }

    /// The dispatcher lets go of the connection, for whatever reason.
    pub fn dropped(&mut self) {
        // the runtime catches a panic around the connection's task, and drops the task while it unwinds
        if std::thread::panicking() {
            self.worker.options.counters.panics.add();
        }
        // a core that still reads the body must not wait for ever
        self.body.fail(io::ErrorKind::ConnectionAborted);
        if self.reset {
            let _ = self.io.set_zero_linger();
        }
    }

    pub fn stop_lingering(&mut self) {
        self.linger = false;
        self.wake();
    }
}
