//! Limits the warnings that a failing origin, or a client, would cause with each request: one line of each kind in a
//! second or a minute.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::clock::instant;

/// One kind of warning, shared by all workers.
pub struct Warning {
    said: Mutex<Said>,
    pause: Duration,
}

struct Said {
    last: Option<Instant>,
    left_out: u64,
}

impl Warning {
    /// Makes a warning of which at most one line a second is written.
    pub const fn new() -> Warning {
        Warning { said: Mutex::new(Said { last: None, left_out: 0 }), pause: Duration::from_secs(1) }
    }

    /// Makes a warning of which at most one line a minute is written.
    pub const fn each_minute() -> Warning {
        Warning { said: Mutex::new(Said { last: None, left_out: 0 }), pause: Duration::from_secs(60) }
    }

    /// Writes the warning, or counts it if the last line is too recent.
    pub fn say(&self, words: impl fmt::Display) {
        // a panic while the lock was held cannot have left the two values half changed
        let due = self.said.lock().unwrap_or_else(PoisonError::into_inner).due(instant(), self.pause);
        match due {
            Some(0) => log::warn!("{words}"),
            Some(left_out) => log::warn!("{words} (lines like this one left out before it: {left_out})"),
            None => {}
        }
    }
}

impl Said {
    /// Returns how many lines were left out before this one. Returns `None` if this one is left out, too.
    fn due(&mut self, now: Instant, pause: Duration) -> Option<u64> {
        if self.last.is_some_and(|last| now.duration_since(last) < pause) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_due_in_each_second_and_tells_how_many_were_left_out() {
        let (mut said, began) = (Said { last: None, left_out: 0 }, instant());
        let pause = Duration::from_secs(1);
        let due = [0, 1, 999, 1000, 1001, 5000].map(|at| said.due(began + Duration::from_millis(at), pause));
        assert_eq!(due, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
