//! Connections between two requests.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{framing::Connection, places::IdlePlace};

pub(super) struct Kept {
    pub(super) connection: Box<Connection>,
    /// From then on it may be used.
    pub(super) rested: Instant,
    _place: IdlePlace,
}

impl Kept {
    pub(super) fn new(mut connection: Box<Connection>, rest: Duration, place: IdlePlace) -> Kept {
        connection.kept = true;
        Kept { rested: connection.idle_since + rest, connection, _place: place }
    }
}

/// Idle connections that every request may use, once they have rested.
#[derive(Default)]
pub(super) struct Idle {
    /// The newest is the last.
    rested: Vec<Kept>,
    /// In the order in which they will have rested.
    resting: VecDeque<Kept>,
}

impl Idle {
    pub(super) fn is_empty(&self) -> bool {
        self.rested.is_empty() && self.resting.is_empty()
    }

    /// Takes a connection that rests for as long as all others do.
    pub(super) fn rest(&mut self, kept: Kept) {
        self.resting.push_back(kept);
    }

    /// Takes a connection that has rested, and is newer than all others that have.
    pub(super) fn add(&mut self, kept: Kept) {
        self.note_rested(kept.rested);
        self.rested.push(kept);
    }

    fn note_rested(&mut self, now: Instant) {
        while let Some(kept) = self.resting.pop_front_if(|kept| kept.rested <= now) {
            self.rested.push(kept);
        }
    }

    /// Returns the newest of those that have rested.
    pub(super) fn take(&mut self, now: Instant) -> Option<Kept> {
        self.note_rested(now);
        self.rested.pop()
    }

    /// Returns when the next connection will have rested.
    pub(super) fn next(&self) -> Option<Instant> {
        self.resting.front().map(|kept| kept.rested)
    }

    pub(super) fn retain(&mut self, mut is_usable: impl FnMut(&mut Connection) -> bool) {
        self.rested.retain_mut(|kept| is_usable(&mut kept.connection));
        self.resting.retain_mut(|kept| is_usable(&mut kept.connection));
    }
}
