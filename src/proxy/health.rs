//! Knows whether the origin answers, and for which URLs it fails. While it fails, stale responses are served in place
//! of its answers, and one request at a time tries whether it answers again, each time after a longer pause.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    clock::{Seconds, Timestamp},
    key::CacheKey,
};

/// The first pause, and the longest one.
const PAUSES: (Seconds, Seconds) = (Seconds(1), Seconds(30));

/// The most URLs that are remembered as failing. Further ones are not remembered.
const URLS: usize = 16 * 1024;

/// The health of the origin, shared by all workers.
#[derive(Default)]
pub struct Health(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Set if the origin cannot be reached, or does not answer in time.
    origin: Option<Failing>,
    /// The URLs for which the origin answers with an error.
    urls: HashMap<CacheKey, Failing>,
}

#[derive(Clone, Copy)]
struct Failing {
    pause: Seconds,
    /// The time from which the next request may ask.
    probe_at: Timestamp,
    /// True while one request asks.
    probing: bool,
}

impl Health {
    /// Returns true if a request for this URL may ask the origin although a stale response could answer it. While the
    /// origin fails, one request may ask after each pause.
    pub fn may_ask(&self, url: &CacheKey, now: Timestamp) -> bool {
        let mut known = self.lock();
        let Known { origin, urls } = &mut *known;
        origin.as_mut().is_none_or(|failing| failing.may_probe(now))
            && urls.get_mut(url).is_none_or(|failing| failing.may_probe(now))
    }

    /// Returns what [`Health::may_ask`] would return, and leaves the turn to a request.
    pub fn would_ask(&self, url: &CacheKey, now: Timestamp) -> bool {
        let known = self.lock();
        let is_due = |failing: &Failing| failing.is_due(now);
        known.origin.as_ref().is_none_or(is_due) && known.urls.get(url).is_none_or(is_due)
    }

    /// Notes that the origin has answered this URL.
    pub fn answered(&self, url: &CacheKey) {
        let mut known = self.lock();
        known.origin = None;
        known.urls.remove(url);
    }

    /// Notes that the origin has answered this URL with an error.
    pub fn erred(&self, url: &CacheKey, now: Timestamp) {
        let mut known = self.lock();
        known.origin = None;
        if known.urls.len() >= URLS {
            known.urls.retain(|_, failing| now < failing.probe_at);
        }
        if known.urls.len() < URLS || known.urls.contains_key(url) {
            let failing = Failing::again(known.urls.get(url).copied(), now);
            known.urls.insert(*url, failing);
        }
    }

    /// Notes that the origin could not be reached, or did not answer in time.
    pub fn failed(&self, now: Timestamp) {
        let mut known = self.lock();
        known.origin = Some(Failing::again(known.origin, now));
    }

    // a panic while the lock was held cannot have left the maps half changed: every change is one call
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failing {
    fn is_due(&self, now: Timestamp) -> bool {
        now >= self.probe_at
    }

    fn may_probe(&mut self, now: Timestamp) -> bool {
        if !self.is_due(now) {
            return false;
        }
        (self.probe_at, self.probing) = (now.plus(PAUSES.1), true);
        true
    }

    /// Returns the state after a further failure.
    fn again(known: Option<Failing>, now: Timestamp) -> Failing {
        let pause = match known {
            None => PAUSES.0,
            Some(failing) if failing.probing => Seconds(failing.pause.0 * 2).min(PAUSES.1),
            // requests that fail together count as one failure
            Some(failing) => return failing,
        };
        Failing { pause, probe_at: now.plus(pause), probing: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{key::UrlParts, message::Method};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn url(n: u8) -> CacheKey {
        let (method, path) = (&Method::GET, n.to_string());
        CacheKey::of(UrlParts { site: "", host_mode: "", method, path_and_query: &path, client: None, besides: None })
    }

    #[test]
    fn an_origin_that_answers_may_always_be_asked() {
        let health = Health::default();
        assert!(health.may_ask(&url(0), at(0)) && health.may_ask(&url(0), at(0)));
    }

    #[test]
    fn a_failing_origin_is_asked_once_in_each_pause_and_the_pauses_grow() {
        type Fail = fn(&Health, Timestamp);
        let fails: [Fail; 2] = [|health, now| health.failed(now), |health, now| health.erred(&url(0), now)];
        for fail in fails {
            let health = Health::default();
            let mut now = 0;
            let mut asked = Vec::new();
            fail(&health, at(now));
            while now < 70 {
                now += 1;
                if health.may_ask(&url(0), at(now)) {
                    assert!(!health.may_ask(&url(0), at(now)));
                    asked.push(now);
                    fail(&health, at(now));
                }
            }
            assert_eq!(asked, [1, 3, 7, 15, 31, 61]);
            health.answered(&url(0));
            assert!(health.may_ask(&url(0), at(now)) && health.may_ask(&url(0), at(now)));
        }
    }

    #[test]
    fn whether_it_may_be_asked_can_be_known_without_taking_the_turn() {
        let health = Health::default();
        health.failed(at(0));
        assert!(!health.would_ask(&url(0), at(0)));
        assert!(health.would_ask(&url(0), at(1)) && health.would_ask(&url(0), at(1)));
        assert!(health.may_ask(&url(0), at(1)) && !health.would_ask(&url(0), at(1)));
    }

    #[test]
    fn w46_an_error_spares_its_url_alone_and_an_origin_that_is_down_all() {
        let health = Health::default();
        health.erred(&url(1), at(0));
        assert!(!health.may_ask(&url(1), at(0)) && health.may_ask(&url(2), at(0)));
        health.failed(at(0));
        assert!(!health.may_ask(&url(2), at(0)));
        // it answers again, with an error
        health.erred(&url(3), at(0));
        assert!(health.may_ask(&url(2), at(0)) && !health.may_ask(&url(1), at(0)));
    }
}
