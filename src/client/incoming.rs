//! The body of the running request: how much of it is to come, who reads it, and how long the client keeps it waiting.

use std::{io, task::Waker};

use bytes::BytesMut;

use super::{
    Options,
    framing::{Framing, Step},
    head::Head,
    refusal::Refusal,
};

pub(super) struct Incoming {
    framing: Framing,
    /// The core still holds the body.
    pub held: bool,
    /// The task that waits for the next piece.
    pub reader: Option<Waker>,
    /// The error that its reader gets, if it failed.
    pub failure: Option<io::ErrorKind>,
    /// The client waits for `100 Continue`, which was not sent yet.
    pub expects_continue: bool,
    discarded: u64,
    /// Bytes that came since the rate was last checked.
    received: u64,
    /// Milliseconds for which the reader waited since then.
    waited: u64,
    /// When the reader began to wait.
    quiet_since: u64,
}

/// The result of discarding a body.
pub(super) enum Drained {
    End,
    More,
    /// The body is too long or malformed.
    Never,
}

impl Incoming {
    pub fn none() -> Incoming {
        Incoming {
            framing: Framing::Done,
            held: false,
            reader: None,
            failure: None,
            expects_continue: false,
            discarded: 0,
            received: 0,
            waited: 0,
            quiet_since: 0,
        }
    }

    pub fn of(head: &Head) -> Incoming {
        let framing = match head.length {
            Some(length) if length > 0 => Framing::Length(length),
            _ if head.chunked => Framing::Chunked(Default::default()),
            _ => Framing::Done,
        };
        Incoming { framing, held: true, expects_continue: head.expects_continue, ..Incoming::none() }
    }

    /// Returns true if the end was read.
    pub fn is_over(&self) -> bool {
        self.framing == Framing::Done
    }

    pub fn next(&mut self, input: &mut BytesMut, options: &Options) -> Result<Step, Refusal> {
        self.framing.next(input, options)
    }

    /// Notes that the reader waits from now on.
    pub fn wait(&mut self, reader: &Waker, now: u64) {
        if self.reader.is_none() {
            self.quiet_since = now;
        }
        self.reader = Some(reader.clone());
    }

    /// Notes that bytes came, and wakes the reader.
    pub fn arrived(&mut self, bytes: usize) {
        self.received += bytes as u64;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    pub fn fail(&mut self, kind: io::ErrorKind) {
        self.failure = Some(kind);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Discards what has come of the rest.
    pub fn drain(&mut self, input: &mut BytesMut, options: &Options) -> Drained {
        loop {
            match self.framing.next(input, options) {
                Ok(Step::Done) => return Drained::End,
                Ok(Step::More) => return Drained::More,
                Ok(Step::Piece(piece)) => self.discarded += piece.len() as u64,
                Err(_) => return Drained::Never,
            }
            if self.discarded > options.drain_limit {
                return Drained::Never;
            }
        }
    }

    /// Returns true if another request can follow this one: the rest of the body will be read or discarded.
    pub fn can_end(&self, options: &Options) -> bool {
        match self.framing.rest() {
            Some(0) => true,
            _ if self.expects_continue || self.failure.is_some() => false,
            Some(rest) => self.held || rest <= options.drain_limit,
            None => true,
        }
    }

    /// Returns true if the client has kept the reader waiting for too long. `elapsed`: milliseconds since the last look.
    pub fn is_late(&mut self, now: u64, elapsed: u64, options: &Options) -> bool {
        if self.reader.is_none() {
            return false;
        }
        self.waited += elapsed;
        let waited = u128::from(self.waited);
        if waited >= options.min_rate_grace.as_millis() {
            if u128::from(self.received) * 1000 < u128::from(options.min_rate) * waited {
                return true;
            }
            // a fast beginning does not excuse a slow end
            (self.received, self.waited) = (0, 0);
        }
        u128::from(now.saturating_sub(self.quiet_since)) >= options.body_timeout.as_millis()
    }
}
