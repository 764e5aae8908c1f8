//! The time. This is the only file that reads a clock.
//!
//! Inside one run every age is measured on a timeline. The timeline starts at the wall clock's reading and then follows the
//! time since boot, so a wall clock that is set back cannot make a stale response fresh. The time since boot goes on while
//! the machine is suspended, so a response goes stale during that time, too. Across restarts the timeline begins at the
//! wall clock again.

#![expect(clippy::disallowed_methods, reason = "this is the file that reads the time")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};

/// The clock that ages follow: one that goes on while the machine is suspended.
#[cfg(any(target_os = "linux", target_os = "android"))]
const AGING: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const AGING: ClockId = ClockId::Monotonic;

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

    pub fn minus(self, seconds: Seconds) -> Timestamp {
        let ms = i64::try_from(seconds.0).unwrap_or(i64::MAX).saturating_mul(1000);
        Timestamp(self.0.saturating_sub(ms))
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
        /// The time since boot when the timeline began, and what the wall clock showed then.
        started: Duration,
        wall: Timestamp,
    },
    /// A clock for tests. It stands still until a test moves it.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    pub fn system() -> Clock {
        Clock::System { started: since_boot(), wall: wall() }
    }

    pub fn manual(at: Timestamp) -> Clock {
        Clock::Manual(Arc::new(AtomicI64::new(at.0)))
    }

    /// Returns the time on the timeline on which ages are measured.
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System { started, wall } => {
                Timestamp(wall.0.saturating_add(milliseconds(since_boot().saturating_sub(*started))))
            }
            Clock::Manual(at) => Timestamp(at.load(Ordering::Relaxed)),
        }
    }

    /// Returns the wall clock's time, which is comparable with the dates that other machines write.
    pub fn wall(&self) -> Timestamp {
        match self {
            Clock::System { .. } => wall(),
            Clock::Manual(_) => self.now(),
        }
    }

    /// Moves a manual clock forward. It does nothing to the system's clock.
    pub fn advance(&self, by: Duration) {
        if let Clock::Manual(at) = self {
            at.fetch_add(milliseconds(by), Ordering::Relaxed);
        }
    }
}

/// Reads the monotonic clock, for timeouts and for measuring how long something took.
pub fn instant() -> Instant {
    Instant::now()
}

/// Reads the time since boot, suspensions included.
fn since_boot() -> Duration {
    let time = clock_gettime(AGING);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Reads the wall clock.
pub fn wall() -> Timestamp {
    Timestamp(match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => milliseconds(after),
        Err(before) => -milliseconds(before.duration()),
    })
}

fn milliseconds(span: Duration) -> i64 {
    let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    seconds.saturating_mul(1000).saturating_add(i64::from(span.subsec_millis()))
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

    #[cfg(target_os = "linux")]
    #[test]
    fn ages_follow_the_time_since_boot() {
        // its first number, with two decimals, is what the kernel's CLOCK_BOOTTIME shows
        let uptime = || -> f64 {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            text.split(' ').next().unwrap().parse().unwrap()
        };
        let (before, read, after) = (uptime(), since_boot().as_secs_f64(), uptime());
        assert!((before - 0.02..after + 0.02).contains(&read), "{before} {read} {after}");
        let began = Duration::from_secs_f64(before).saturating_sub(Duration::from_secs(50));
        let age = Clock::System { started: began, wall: Timestamp(0) }.now().since(Timestamp(0));
        assert!((50..=60).contains(&age.0), "{age:?}");
    }

    /// The test above cannot tell the time since boot from the monotonic clock on a machine that was never suspended. In a
    /// time namespace they differ as they do after a suspension.
    #[cfg(target_os = "linux")]
    #[test]
    fn ages_go_on_while_the_machine_is_suspended() {
        let unshare = |more: &[&str], words: &[&std::ffi::OsStr]| {
            let mut command = std::process::Command::new("unshare");
            command.args(more).args(["--time", "--boottime", "100000", "--fork"]).args(words).output()
        };
        let ways: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
        let possible = |way: &&&[&str]| unshare(way, &["true".as_ref()]).is_ok_and(|output| output.status.success());
        let Some(way) = ways.iter().find(possible) else {
            eprintln!("skipped: unshare --time is missing or not allowed (Linux 5.6 and util-linux 2.36 have it)");
            return;
        };
        let this = std::env::current_exe().unwrap();
        let test = ["--exact", "clock::tests::ages_follow_the_time_since_boot"].map(std::ffi::OsStr::new);
        let output = unshare(way, &[this.as_os_str(), test[0], test[1]]).unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }
}
