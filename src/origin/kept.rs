//! A connection between two requests.

use std::time::Duration;

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
