//! The counter of one machine's purge log.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Position;

/// Hands out positions, each above all before. Only its own positions and the journal's high-water mark raise it.
#[derive(Debug, Default)]
pub struct Counter(Mutex<Position>);

impl Counter {
    /// Hands out the next position at this wall clock.
    pub fn next(&self, now_ms: u64) -> Position {
        let mut newest = self.newest_mut();
        // `raise` lets no mark in from which counting could end
        *newest = Position::next(*newest, now_ms).unwrap_or(*newest);
        *newest
    }

    /// Returns the newest position that was handed out.
    pub fn newest(&self) -> Position {
        *self.newest_mut()
    }

    /// Goes on from the mark that a journal kept. Returns false, and stays where it is, if no clock that was ever believed
    /// can have led there: the log is not this program's, and a new one must begin.
    #[must_use]
    pub fn raise(&self, mark: Position) -> bool {
        let believed = mark.is_believable();
        if believed {
            let mut newest = self.newest_mut();
            *newest = mark.max(*newest);
        }
        believed
    }

    /// Returns the position of a response as this log sees it. The log has not handed out what is above its counter: a
    /// damaged or foreign record claims it. Such a response counts as the oldest of all, so that every rule reaches it.
    pub fn place(&self, claimed: Position) -> Position {
        if claimed > self.newest() { Position::ZERO } else { claimed }
    }

    fn newest_mut(&self) -> MutexGuard<'_, Position> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64, sequence: u64) -> Position {
        Position { milliseconds, sequence }
    }

    #[test]
    fn a_clock_that_goes_back_over_a_restart_makes_no_old_position_newer() {
        let before = Counter::default();
        before.next(9_000);
        let mark = before.next(9_000);
        let after = Counter::default();
        assert!(after.raise(mark));
        assert_eq!(after.next(1_000), at(9_000, 2));
        assert!(after.raise(at(5, 0)));
        assert_eq!(after.newest(), at(9_000, 2));
    }

    #[test]
    fn a_mark_that_no_clock_can_have_led_to_is_refused() {
        let counter = Counter::default();
        assert!(!counter.raise(at(u64::MAX, u64::MAX)));
        assert_eq!(counter.next(5), at(5, 0));
        // the farthest that a wrong clock can lead leaves room
        let farthest = Counter::default().next(u64::MAX);
        assert!(counter.raise(farthest));
        assert!(counter.next(6) > farthest);
    }

    #[test]
    fn what_claims_a_position_from_the_future_is_the_oldest_of_all() {
        let counter = Counter::default();
        let known = counter.next(1_000);
        assert_eq!(counter.place(known), known);
        assert_eq!(counter.place(at(1_000, 1)), Position::ZERO);
        assert_eq!(counter.place(at(u64::MAX, u64::MAX)), Position::ZERO);
        assert_eq!(counter.next(1_000), at(1_000, 1), "a claim does not raise the counter");
    }
}
