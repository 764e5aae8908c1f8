//! Whether the origin answers. While it does not, stale responses stand in for its answers, and one request at a time asks
//! whether it answers again, each time after a longer pause.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::{Seconds, Timestamp};

/// The first pause, and the longest.
const PAUSES: (Seconds, Seconds) = (Seconds(1), Seconds(30));

/// What all workers know about the origin.
#[derive(Default)]
pub struct Health(Mutex<Option<Failing>>);

#[derive(Clone, Copy)]
struct Failing {
    pause: Seconds,
    /// When the next request may ask.
    probe_at: Timestamp,
    /// One request is asking.
    probing: bool,
}

impl Health {
    /// Returns true if a request that has another answer may ask the origin now. While the origin fails, one may in each pause.
    pub fn may_ask(&self, now: Timestamp) -> bool {
        match &mut *self.lock() {
            None => true,
            Some(failing) if now < failing.probe_at => false,
            Some(failing) => {
                (failing.probe_at, failing.probing) = (now.plus(PAUSES.1), true);
                true
            }
        }
    }

    pub fn answered(&self) {
        *self.lock() = None;
    }

    pub fn failed(&self, now: Timestamp) {
        let mut health = self.lock();
        let pause = match *health {
            None => PAUSES.0,
            Some(failing) if failing.probing => Seconds(failing.pause.0 * 2).min(PAUSES.1),
            // requests that fail together are one failure
            Some(_) => return,
        };
        *health = Some(Failing { pause, probe_at: now.plus(pause), probing: false });
    }

    // one number is replaced by another: nothing can be half done
    fn lock(&self) -> MutexGuard<'_, Option<Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn an_origin_that_answers_may_always_be_asked() {
        let health = Health::default();
        assert!(health.may_ask(at(0)) && health.may_ask(at(0)));
    }

    #[test]
    fn a_failing_origin_is_asked_once_in_each_pause_and_the_pauses_grow() {
        let health = Health::default();
        let mut now = 0;
        let mut asked = Vec::new();
        health.failed(at(now));
        while now < 70 {
            now += 1;
            if health.may_ask(at(now)) {
                assert!(!health.may_ask(at(now)));
                asked.push(now);
                health.failed(at(now));
            }
        }
        assert_eq!(asked, [1, 3, 7, 15, 31, 61]);
        health.answered();
        assert!(health.may_ask(at(now)) && health.may_ask(at(now)));
    }
}
