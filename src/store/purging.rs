//! The calls of the store for purges. The rules are in [`crate::purge`].

use tokio::sync::oneshot;

use super::{Store, StoreError, StoredResponse, notice::Notice, writer::Command};
use crate::{
    clock::Timestamp,
    message::StoredHead,
    purge::{Position, Rule, Standing, Strength, Target},
};

impl Store {
    /// Returns the position of a response that the origin is about to be asked for. `now`: the wall clock.
    pub fn position(&self, now: Timestamp) -> Position {
        self.0.shared.purges.position(now.0.max(0) as u64)
    }

    /// Purges by a rule. It is in force when this is polled first, and no crash takes it back after the return. A response whose
    /// fetch began before is purged wherever and whenever it is stored. An error: the rule is in force, but is not on the disk
    /// (yet), so that a crash may take it back. `now`: the wall clock.
    pub async fn purge(&self, target: Target, strength: Strength, now: Timestamp) -> Result<Rule, StoreError> {
        let rule = self.0.shared.purges.add(target, strength, now.0.max(0) as u64);
        let (reply, done) = oneshot::channel();
        self.0.commands.send(Command::Purge(reply)).map_err(|_| StoreError::Closed)?;
        done.await.map_err(|_| StoreError::Closed)?.map(|()| rule)
    }

    /// Purges by a rule as [`Store::purge`] does, but does not wait for the disk: a crash in the next half second may take it
    /// back. [`Store::invalidate_durably`] waits for it.
    pub fn purge_behind(&self, target: Target, strength: Strength, now: Timestamp) {
        self.0.shared.purges.add(target, strength, now.0.max(0) as u64);
        self.0.shared.notices.send(Notice::Purged);
    }

    /// Adds a rule that is in force after a crash only. The caller soon purges by the same target once more. Does not wait
    /// for the disk; [`Store::invalidate_durably`] does.
    pub fn purge_after_a_crash(&self, target: Target, strength: Strength, now: Timestamp) {
        self.0.shared.purges.defer(target, strength, now.0.max(0) as u64);
        self.0.shared.notices.send(Notice::Purged);
    }

    /// Returns what the purge rules say now about a stored response. It costs one comparison where none came since.
    pub fn standing(&self, response: &StoredResponse) -> Standing {
        self.0.shared.purges.standing(response)
    }

    /// Returns what the purge rules say now about the head of a response that may be on its way here.
    pub fn standing_of(&self, head: &StoredHead) -> Standing {
        self.0.shared.purges.standing_of(head)
    }

    /// Returns the random name of the log that all positions are of.
    pub fn log_identity(&self) -> [u8; 16] {
        self.0.shared.purges.identity()
    }
}
