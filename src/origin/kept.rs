//! A connection between two requests.

use tokio::time::Instant;

use super::{framing::Connection, places::IdlePlace};

pub(super) struct Kept {
    pub(super) connection: Box<Connection>,
    /// Since when the connection is idle. It stands here, too, so that the search does not touch every connection.
    pub(super) since: Instant,
    /// Counts it among the idle ones.
    _place: IdlePlace,
}

impl Kept {
    pub(super) fn new(connection: Box<Connection>, place: IdlePlace) -> Kept {
        Kept { since: connection.idle_since, connection, _place: place }
    }
}
