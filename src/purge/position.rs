//! Positions in the purge log: the only clock that says whether a response was stored before or after a purge.
//!
//! A response has the position that was handed out before the origin was asked. A purge has the position at which it
//! came in force. The purge reaches every response whose position is lower. Wall clocks are never compared.
//!
//! A clock that is far ahead for a while raises the positions, and they never fall again. That does no harm: from then
//! on the sequence counts, there is room for 2^64 of them, and the wall clock takes over when it gets there. What could
//! do harm is a position that the log never handed out: a damaged or foreign record with the highest position of all
//! would be above every later purge, and would leave no room to count on. So nothing that is read out of a record ever
//! raises the counter, and a record above the counter counts as the oldest of all.

/// A place in the purge log. Later positions are greater. The form is that of a Redis stream's ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The wall clock in milliseconds since 1970, or the highest that it has ever shown.
    pub milliseconds: u64,
    /// Counts the positions within one millisecond.
    pub sequence: u64,
}

/// The latest wall clock that is believed: the year 10889. A clock that shows more counts as this one, so that no clock,
/// however wrong, uses up the positions.
const LATEST: u64 = (1 << 48) - 1;

impl Position {
    /// Lower than every position that is handed out.
    pub const ZERO: Position = Position { milliseconds: 0, sequence: 0 };
    /// The bytes that `to_bytes` returns.
    pub const BYTES: usize = 16;

    /// Returns the position after `last` at this wall clock. It is always greater than `last`; a clock that went back
    /// only counts the sequence up. Returns `None` after the greatest position of all. No log reaches that one by counting:
    /// it was read from a damaged or foreign record, and a new log must begin.
    pub fn next(last: Position, now_ms: u64) -> Option<Position> {
        let now = Position { milliseconds: now_ms.min(LATEST), sequence: 0 };
        if now > last {
            return Some(now);
        }
        match last.sequence.checked_add(1) {
            Some(sequence) => Some(Position { sequence, ..last }),
            None => Some(Position { milliseconds: last.milliseconds.checked_add(1)?, sequence: 0 }),
        }
    }

    /// Returns true if counting can have led here. A log that starts below this never comes to the end of the positions.
    pub(super) fn is_believable(self) -> bool {
        self.milliseconds <= LATEST + 1
    }

    /// Returns 16 bytes, the more significant first. Their order is the order of the positions.
    pub fn to_bytes(self) -> [u8; Position::BYTES] {
        let mut bytes = [0; Position::BYTES];
        bytes[..8].copy_from_slice(&self.milliseconds.to_be_bytes());
        bytes[8..].copy_from_slice(&self.sequence.to_be_bytes());
        bytes
    }

    /// Returns the position that `to_bytes` wrote. All 16 bytes are a position.
    pub fn from_bytes(bytes: [u8; Position::BYTES]) -> Position {
        let both = u128::from_be_bytes(bytes);
        Position { milliseconds: (both >> 64) as u64, sequence: both as u64 }
    }
}

/// As people and Redis write it: `1795981743334-0`.
impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: u64, sequence: u64) -> Position {
        Position { milliseconds, sequence }
    }

    #[test]
    fn the_next_position_is_the_clock_or_where_that_stands_the_next_of_the_sequence() {
        let cases = [
            (Position::ZERO, 5, at(5, 0)),
            (Position::ZERO, 0, at(0, 1)),
            (at(5, 3), 6, at(6, 0)),
            (at(5, 3), 5, at(5, 4)),
            // the clock went back
            (at(5, 3), 1, at(5, 4)),
            // the sequence is used up
            (at(5, u64::MAX), 1, at(6, 0)),
            (at(5, u64::MAX), 9, at(9, 0)),
            // the clock is wrong beyond belief
            (at(5, 0), u64::MAX, at(LATEST, 0)),
            (at(LATEST, 0), u64::MAX, at(LATEST, 1)),
            // the log was far ahead already
            (at(u64::MAX, 7), 5, at(u64::MAX, 8)),
        ];
        for (last, now, next) in cases {
            assert_eq!(Position::next(last, now), Some(next), "{last} at {now}");
        }
        assert_eq!(Position::next(at(u64::MAX, u64::MAX), 5), None);
    }

    #[test]
    fn a_clock_that_was_far_ahead_costs_nothing_but_the_sequence() {
        let mut last = Position::next(at(1_000, 0), u64::MAX).unwrap();
        for now in 1_001..1_100 {
            let next = Position::next(last, now).unwrap();
            assert_eq!(next, at(LATEST, last.sequence + 1));
            last = next;
        }
    }

    proptest! {
        #[test]
        fn positions_rise_whatever_the_clock_does(clocks in proptest::collection::vec(any::<u64>(), 1..100)) {
            let mut last = Position::ZERO;
            for now in clocks {
                let next = Position::next(last, now).unwrap();
                prop_assert!(next > last);
                last = next;
            }
        }

        #[test]
        fn bytes_keep_the_position_and_the_order(a: (u64, u64), b: (u64, u64)) {
            let (a, b) = (at(a.0, a.1), at(b.0, b.1));
            prop_assert_eq!(Position::from_bytes(a.to_bytes()), a);
            prop_assert_eq!(a.to_bytes().cmp(&b.to_bytes()), a.cmp(&b));
        }
    }
}
