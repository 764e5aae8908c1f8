//! Warnings that a failing origin, or a client, would cause with each request. Each kind makes at most one line in a while.

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
    /// A warning of which one line a second is written.
    pub const fn new() -> Warning {
        Warning { said: Mutex::new(Said { last: None, left_out: 0 }), pause: Duration::from_secs(1) }
    }

    /// A warning of which one line a minute is written.
    pub const fn each_minute() -> Warning {
        Warning { said: Mutex::new(Said { last: None, left_out: 0 }), pause: Duration::from_secs(60) }
    }

    pub fn say(&self, words: impl fmt::Display) {
        // two numbers that are replaced: nothing can be half done
        let due = self.said.lock().unwrap_or_else(PoisonError::into_inner).due(instant(), self.pause);
        match due {
            Some(0) => log::warn!("{words}"),
            Some(left_out) => log::warn!("{words} (lines like this one left out before it: {left_out})"),
            None => {}
        }
    }
}

impl Said {
    /// Returns how many lines were left out before this one; `None`: this one is left out too.
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
