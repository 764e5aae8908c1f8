//! How a connection ends: by its client, in order, or so that its client sees that something is missing.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::io::AsyncWrite;

use super::{
    super::{
        head,
        refusal::{EndedBy, OnFate, Refusal, Refused},
    },
    Phase, State,
};
use crate::{clock, message::StatusCode};

impl State {
    /// Answers in place of the core, unless its answer has begun, and ends the connection.
    pub fn refuse(&mut self, refusal: Refusal) {
        // the client has got an answer like this already, or takes none
        if self.muted {
            return;
        }
        self.worker.options.counters.refused.add();
        let mut sent = 0;
        if matches!(self.phase, Phase::Head | Phase::Handling) {
            self.muted = true;
            let response = refusal.response(&self.worker.date());
            if self.send(&response) {
                sent = refusal.body().len() as u64;
            }
        }
        self.ended_by = Some(EndedBy::Refusal { status: refusal.status, detail: refusal.detail, sent });
        self.tell(refusal, sent);
        let kind = if refusal.status == StatusCode::REQUEST_TIMEOUT {
            io::ErrorKind::TimedOut
        } else {
            io::ErrorKind::InvalidData
        };
        self.body.fail(kind);
        self.close();
    }

    /// Calls `on_refusal`, if there is one.
    fn tell(&self, refusal: Refusal, sent: u64) {
        let options = &self.worker.options;
        let Some(on_refusal) = &options.on_refusal else { return };
        let handed_over = self.phase != Phase::Head;
        let asked = if handed_over { head::Asked::default() } else { head::Asked::of(&self.input, options) };
        on_refusal.tell(&Refused {
            took: self.begun.map_or(Duration::ZERO, |begun| clock::instant().duration_since(begun)),
            handed_over,
            method: asked.method,
            target: asked.target,
            version: asked.version,
            ..refusal.told(self.peer, sent)
        });
    }

    /// Handles the end of the client's side. Before the answer it is a half-close: the client still reads. Within a body of
    /// unknown length it means that the client has left: that is all that a closed browser tab sends.
    pub(super) fn end_of_input(&mut self) -> Poll<&'static [u8]> {
        let has_left = match self.phase {
            // the rest of the content may be among what is not parsed yet
            Phase::Handling => !self.body.is_over() && self.input.is_empty(),
            Phase::Answering { endless } => endless && !self.half_closed,
            Phase::Draining | Phase::Lingering => true,
            Phase::Head | Phase::Flushing => false,
        };
        if !has_left {
            if self.phase == Phase::Handling {
                self.half_closed = true;
                self.half_close_watcher.take().into_iter().for_each(Waker::wake);
            }
            return Poll::Pending;
        }
        self.body.fail(io::ErrorKind::UnexpectedEof);
        self.closed = true;
        Poll::Ready(b"")
    }

    /// Waits until the client has half-closed its connection. Only the last task that asked is woken.
    pub fn poll_half_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.half_closed {
            return Poll::Ready(());
        }
        self.half_close_watcher = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Returns true if a client that had half-closed its connection has reset it since. Nothing else tells: there is nothing
    /// to read any more.
    pub fn was_reset(&self) -> bool {
        let under_way = matches!(self.phase, Phase::Handling | Phase::Answering { .. });
        self.half_closed && under_way && !matches!(SockRef::from(&self.io).take_error(), Ok(None))
    }

    /// Returns true if the client has ended its side of the connection.
    pub fn has_ended_its_side(&self) -> bool {
        self.eof
    }

    /// Returns true if the client may have got nothing of its answer: it ended its side before, and the kernel can hold all
    /// of the `sent` bytes.
    pub fn may_have_got_nothing(&self, sent: u64) -> bool {
        self.half_closed && SockRef::from(&self.io).send_buffer_size().is_ok_and(|buffer| sent <= buffer as u64)
    }

    /// Calls `on_fate` when it is known whether the answer that was just given reaches the client. Until then the
    /// connection is not dropped.
    pub fn await_fate(&mut self, on_fate: OnFate) {
        self.learn_fate();
        self.awaits_fate = Some(on_fate);
    }

    /// Calls `on_fate` with what is known now.
    pub(super) fn learn_fate(&mut self) {
        let Some(on_fate) = self.awaits_fate.take() else { return };
        on_fate(self.failed || !matches!(SockRef::from(&self.io).take_error(), Ok(None)));
    }

    /// Calls `on_fate` if the connection is closed. A client that still reads acknowledges all bytes and the end behind
    /// them. The system of a client that has left answers with a reset. Both close the connection.
    pub fn settle(&mut self) {
        let is_closed = || self.io.peer_addr().is_err();
        if self.phase == Phase::Lingering && self.awaits_fate.is_some() && is_closed() {
            self.learn_fate();
            self.stop_lingering();
        }
    }

    /// Ends the connection of a client that has left.
    pub fn abort(&mut self) {
        self.body.fail(io::ErrorKind::UnexpectedEof);
        self.fail();
        self.wake();
    }

    /// Notes that the socket is of no use any more.
    pub fn fail(&mut self) {
        (self.closed, self.failed) = (true, true);
    }

    /// Ends the connection behind the bytes that were written already.
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

    /// Notes that the response ends with the connection. Until it is whole the connection can end only with a reset, also
    /// when the process is killed.
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
            self.linger |= self.awaits_fate.is_some() && !self.worker.stopping();
            self.settle();
        }
        while self.linger && !self.eof {
            self.input.clear();
            match ready!(self.poll_receive(cx)) {
                Ok(true) => {}
                Ok(false) | Err(_) => self.eof = true,
            }
        }
        if self.linger && self.awaits_fate.is_some() {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the connection with a reset, because the client has not taken a byte for too long, or the stop waits no longer.
    pub fn give_up(&mut self, by: EndedBy) {
        self.ended_by = self.ended_by.or(Some(by));
        self.reset = true;
        self.output.clear();
        self.muted = true;
        self.close();
    }

    /// Returns how the client side has ended the running exchange; `None`: it goes on, or the client has ended it.
    /// To be called when the exchange ends.
    pub fn ended_by(&self) -> Option<EndedBy> {
        // whatever a client does closes the connection first
        self.ended_by.or((self.worker.stopping() && !self.closed).then_some(EndedBy::Stop))
    }

    fn must_reset(&self) -> bool {
        self.reset || (self.close_delimited && matches!(self.phase, Phase::Answering { .. }))
    }

    /// Notes that the dispatcher has dropped the connection, for whatever reason.
    pub fn dropped(&mut self) {
        // the runtime catches a panic around the connection's task, and drops the task while it unwinds
        if std::thread::panicking() {
            self.worker.options.counters.panics.add();
        }
        self.learn_fate();
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
