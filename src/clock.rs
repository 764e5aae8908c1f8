//! The time. This is the only file that reads a clock.
//!
//! Within one run of the process, every age is measured on a timeline. It starts at the wall clock and then follows the
//! monotonic clock, so that a stale response does not become fresh if the wall clock is set back. After a restart, the
//! timeline starts at the wall clock again.

#![expect(clippy::disallowed_methods, reason = "this is the file that reads the time")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A point in time: milliseconds since the Unix epoch, negative before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// A span of time in whole seconds, as `delta-seconds` of RFC 9111 §1.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seconds(pub u64);

impl Seconds {
    /// The greatest span. A larger value counts as this one (RFC 9111 §1.2.2).
    pub const MAX: Seconds = Seconds(1 << 31);

    pub fn saturating_add(self, other: Seconds) -> Seconds {
        Seconds(self.0.saturating_add(other.0))
    }
    pub fn saturating_sub(self, other: Seconds) -> Seconds {
        Seconds(self.0.saturating_sub(other.0))
    }
}

impl Timestamp {
    pub fn from_seconds(seconds: i64) -> Timestamp {
        Timestamp(seconds.saturating_mul(1000))
    }

    /// Returns the whole seconds from `earlier` to `self`, rounded down. Returns zero if `earlier` is later than
    /// `self`.
    pub fn since(self, earlier: Timestamp) -> Seconds {
        Seconds(self.0.saturating_sub(earlier.0).max(0) as u64 / 1000)
    }

    pub fn plus(self, seconds: Seconds) -> Timestamp {
        let ms = i64::try_from(seconds.0).unwrap_or(i64::MAX).saturating_mul(1000);
        Timestamp(self.0.saturating_add(ms))
    }

    /// Returns the earliest point in time that differs from this one.
    pub fn plus_millisecond(self) -> Timestamp {
        Timestamp(self.0.saturating_add(1))
    }
}

/// The source of the time.
#[derive(Debug, Clone)]
pub enum Clock {
    System {
        started: Instant,
        wall: Timestamp,
    },
    /// A clock for tests. It stands still until a test moves it.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    pub fn system() -> Clock {
        Clock::System { started: Instant::now(), wall: wall_clock() }
    }

    pub fn manual(at: Timestamp) -> Clock {
        Clock::Manual(Arc::new(AtomicI64::new(at.0)))
    }

    /// Returns the time on the timeline on which ages are measured.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System { started, wall } => {
                let run = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
                Timestamp(wall.0.saturating_add(run))
            }
            Clock::Manual(at) => Timestamp(at.load(Ordering::Relaxed)),
        }
    }

    /// Returns the wall clock's time, which is comparable with the dates that other machines write.
    pub fn wall(&self) -> Timestamp {
        match self {
            Clock::System { .. } => wall_clock(),
            Clock::Manual(_) => self.now(),
        }
    }

    /// Moves a manual clock forward. It does nothing to the system's clock.
    pub fn advance(&self, by: Duration) {
        if let Clock::Manual(at) = self {
            at.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }
}

/// Reads the monotonic clock, for timeouts and for measuring how long something took.
pub fn instant() -> Instant {
    Instant::now()
}

fn wall_clock() -> Timestamp {
    let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    Timestamp(match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => ms(after),
        Err(before) => -ms(before.duration()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_never_negative_and_never_overflows() {
        assert_eq!(Timestamp(5_000).since(Timestamp(1_001)), Seconds(3));
        assert_eq!(Timestamp(1_000).since(Timestamp(5_000)), Seconds(0));
        assert_eq!(Timestamp(i64::MAX).since(Timestamp(i64::MIN)), Seconds(i64::MAX as u64 / 1000));
        assert_eq!(Timestamp(0).plus(Seconds(u64::MAX)), Timestamp(i64::MAX));
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = Clock::manual(Timestamp(1_000));
        assert_eq!(clock.now(), Timestamp(1_000));
        clock.advance(Duration::from_secs(2));
        assert_eq!((clock.now(), clock.wall()), (Timestamp(3_000), Timestamp(3_000)));
    }
}
