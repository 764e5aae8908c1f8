//! Lets many requests share one fetch. This file knows nothing of HTTP. It has a key, one request that leads, the
//! requests that follow it, and the result that the leader lands.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Release},
        },
    },
};

use tokio::sync::watch;

/// The flights that have not ended, shared by all workers.
pub struct Flights<K, T>(Arc<UnderWay<K, T>>);

struct UnderWay<K, T> {
    flights: Mutex<HashMap<K, watch::Sender<Option<T>>>>,
    /// Counts the flights that have ended.
    ended: AtomicU64,
}

/// A point in the order in which flights end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(u64);

impl<K, T> Clone for Flights<K, T> {
    fn clone(&self) -> Self {
        Flights(self.0.clone())
    }
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Flights(Arc::new(UnderWay { flights: Mutex::default(), ended: AtomicU64::new(0) }))
    }
}

/// The result of joining a flight.
pub enum Join<K: Eq + Hash + Clone, T> {
    Lead(Lead<K, T>),
    Follow(Follow<T>),
}

/// The right to fetch, with the duty to land a result. While this value lives, other requests with the key follow. If
/// it is dropped without landing, the next request to join leads.
pub struct Lead<K: Eq + Hash + Clone, T> {
    flights: Flights<K, T>,
    key: K,
    landing: watch::Sender<Option<T>>,
    began: Moment,
}

/// The requests that follow a lead. While this value lives, the followers are not told that the lead was given up.
pub struct Followers<T>(watch::Sender<Option<T>>);

/// The place of a request that follows a leader.
pub struct Follow<T>(watch::Receiver<Option<T>>);

impl<K: Eq + Hash + Clone, T: Clone> Flights<K, T> {
    pub fn join(&self, key: &K) -> Join<K, T> {
        let mut flights = self.lock();
        let vacant = match flights.entry(key.clone()) {
            Entry::Occupied(flight) => return Join::Follow(Follow(flight.get().subscribe())),
            Entry::Vacant(vacant) => vacant,
        };
        let landing = vacant.insert(watch::Sender::new(None)).clone();
        Join::Lead(Lead { flights: self.clone(), key: key.clone(), landing, began: self.now() })
    }
}

impl<K: Eq + Hash, T> Flights<K, T> {
    /// Returns true if a request with this key would follow another one.
    pub fn has(&self, key: &K) -> bool {
        self.lock().contains_key(key)
    }

    /// Returns what the flight with this key has landed, if it has not ended.
    pub fn landed(&self, key: &K) -> Option<T>
    where
        T: Clone,
    {
        self.lock().get(key).and_then(|landing| landing.borrow().clone())
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The number of requests that wait for what another one lands.
    pub fn following(&self) -> usize {
        self.lock().values().map(watch::Sender::receiver_count).sum()
    }

    /// Removes the flights whose key `gone` accepts. Requests that join later do not follow them; present followers
    /// still do.
    pub fn forget(&self, gone: impl Fn(&K) -> bool) {
        self.lock().retain(|key, _| !gone(key));
    }
}

impl<K, T> Flights<K, T> {
    /// Returns the current moment. Take it before a lookup, for [`Lead::is_late`].
    pub fn now(&self) -> Moment {
        Moment(self.0.ended.load(Acquire))
    }

    // a panic while the lock was held cannot have left the map half changed: every change is one call
    fn lock(&self) -> MutexGuard<'_, HashMap<K, watch::Sender<Option<T>>>> {
        self.0.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone, T> Lead<K, T> {
    /// Tells the result to all followers, and to the requests that join later while the lead lives.
    pub fn land(&self, landed: T) {
        self.landing.send_replace(Some(landed));
    }

    pub fn key(&self) -> &K {
        &self.key
    }

    pub fn followers(&self) -> Followers<T> {
        Followers(self.landing.clone())
    }

    /// Returns true if any flight ended after `looked` and before this one began. The earlier lookup may have missed
    /// what it stored, so look again before asking the origin.
    pub fn is_late(&self, looked: Moment) -> bool {
        self.began != looked
    }
}

impl<K: Eq + Hash + Clone, T> Drop for Lead<K, T> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        // the key may belong to another flight by now: flights can be forgotten
        if let Entry::Occupied(flight) = flights.entry(self.key.clone())
            && flight.get().same_channel(&self.landing)
        {
            flight.remove();
            // within the lock, so that the next leader of this key sees the new count
            self.flights.0.ended.fetch_add(1, Release);
        }
    }
}

impl<T> Followers<T> {
    /// Waits until there are no followers. Other requests may join afterwards.
    pub async fn gone(&self) {
        self.0.closed().await;
    }
}

impl<T: Clone> Follow<T> {
    /// Returns true if the leader has landed something already.
    pub fn has_landed(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits for the result that the leader lands. Returns `None` if the leader gave up: join again.
    pub async fn landed(mut self) -> Option<T> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lead(flights: &Flights<u8, u8>) -> Lead<u8, u8> {
        match flights.join(&1) {
            Join::Lead(lead) => lead,
            Join::Follow(_) => panic!("somebody leads already"),
        }
    }

    fn follow(flights: &Flights<u8, u8>) -> Follow<u8> {
        match flights.join(&1) {
            Join::Follow(follow) => follow,
            Join::Lead(_) => panic!("nobody leads"),
        }
    }

    #[tokio::test]
    async fn followers_get_what_the_leader_lands_also_those_that_come_later() {
        let flights = Flights::default();
        let leader = lead(&flights);
        let early = follow(&flights);
        leader.land(7);
        let late = follow(&flights);
        assert_eq!(flights.following(), 2);
        assert_eq!((early.landed().await, late.landed().await), (Some(7), Some(7)));
    }

    #[tokio::test]
    async fn when_the_leader_gives_up_followers_are_told_and_the_next_to_join_leads() {
        let flights = Flights::default();
        let leader = lead(&flights);
        let waiting = follow(&flights);
        drop(leader);
        assert_eq!(waiting.landed().await, None);
        drop(lead(&flights));
    }

    #[tokio::test]
    async fn a_forgotten_flight_still_lands_but_nobody_joins_it() {
        let flights = Flights::default();
        let old = lead(&flights);
        let waiting = follow(&flights);
        flights.forget(|key| *key == 1);
        let new = lead(&flights);
        old.land(1);
        drop(old);
        new.land(2);
        assert_eq!((waiting.landed().await, follow(&flights).landed().await), (Some(1), Some(2)));
    }

    #[tokio::test]
    async fn a_leader_learns_when_nobody_follows_and_who_comes_too_late_leads() {
        let flights = Flights::default();
        let leader = lead(&flights);
        let followers = leader.followers();
        followers.gone().await;
        let waiting = follow(&flights);
        assert!(futures_util::FutureExt::now_or_never(followers.gone()).is_none());
        drop(waiting);
        followers.gone().await;
        let late = follow(&flights);
        drop((leader, followers));
        assert_eq!(late.landed().await, None);
        drop(lead(&flights));
    }

    #[test]
    fn who_leads_knows_whether_a_flight_has_ended_since_it_looked() {
        let flights = Flights::default();
        let looked = flights.now();
        let first = lead(&flights);
        assert!(!first.is_late(looked));
        let before_the_end = flights.now();
        drop(first);
        let second = lead(&flights);
        assert!(second.is_late(looked) && second.is_late(before_the_end) && !second.is_late(flights.now()));
        // it ends under the next one's key, which has not looked for it
        flights.forget(|_| true);
        let looked = flights.now();
        drop(second);
        assert!(!lead(&flights).is_late(looked));
    }

    #[tokio::test]
    async fn a_leader_that_landed_and_left_still_reaches_those_who_wait() {
        let flights = Flights::default();
        let leader = lead(&flights);
        let waiting = follow(&flights);
        leader.land(3);
        drop(leader);
        assert_eq!(waiting.landed().await, Some(3));
    }
}
