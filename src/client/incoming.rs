//! The body of the request that runs: how much of it is to come, who reads it, and for how long it was waited for.

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
    /// The core still holds it.
    pub held: bool,
    /// The reader that waits for the next piece.
    pub reader: Option<Waker>,
    /// It failed: what its reader gets.
    pub failure: Option<io::ErrorKind>,
    /// The client waits for 100 and has not got it.
    pub expects_continue: bool,
    discarded: u64,
    /// Bytes that came, and milliseconds for which its reader waited, since its rate was last looked at.
    received: u64,
    waited: u64,
    /// Since when its reader waits.
    quiet_since: u64,
}

/// How reading a body away went.
pub(super) enum Drained {
    End,
    More,
    /// It is too long or malformed.
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

    /// Its end was seen.
    pub fn is_over(&self) -> bool {
        self.framing == Framing::Done
    }

    pub fn next(&mut self, input: &mut BytesMut, options: &Options) -> Result<Step, Refusal> {
        self.framing.next(input, options)
    }

    /// Its reader waits from now on.
    pub fn wait(&mut self, reader: &Waker, now: u64) {
        if self.reader.is_none() {
            self.quiet_since = now;
        }
        self.reader = Some(reader.clone());
    }

    /// Something came in, or ended.
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

    /// Reads the rest away.
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

    /// Whether a response that is begun now can promise a further one after it.
    pub fn can_end(&self, options: &Options) -> bool {
        match self.framing.rest() {
            Some(0) => true,
            _ if self.expects_continue || self.failure.is_some() => false,
            Some(rest) => self.held || rest <= options.drain_limit,
            None => true,
        }
    }

    /// Whether the client has kept its reader waiting for too long; `elapsed`: milliseconds since the last look.
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
            // what was good so far earns nothing for later
            (self.received, self.waited) = (0, 0);
        }
        u128::from(now.saturating_sub(self.quiet_since)) >= options.body_timeout.as_millis()
    }
}
