//! The addresses of the origin's name. The process runs one look-up of a name at a time, on a thread of its own, and
//! remembers what came of it: a name server that does not answer holds up neither the workers nor the threads of the disk.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, ToSocketAddrs},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::timeout};

use super::errors::{OriginError, has_no_descriptor};
use crate::{blocking, clock::instant};

/// How long addresses are used without another look-up.
const FRESH: Duration = Duration::from_secs(30);
/// How long a failed look-up is not repeated, and the shortest pause between two look-ups that failed connections ask for.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a look-up is waited for where older addresses are known.
const PATIENCE: Duration = Duration::from_millis(250);

type Resolve = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// What the process knows about names: cheap to clone, shared by all workers.
#[derive(Clone)]
pub(super) struct Names(Arc<Shared>);

struct Shared {
    resolve: Box<Resolve>,
    known: Mutex<HashMap<String, Known>>,
}

/// The addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) addresses: Vec<IpAddr>,
    looked_up: Instant,
    /// The look-up had ended before the caller asked: the name may have moved since.
    pub(super) remembered: bool,
}

/// What is known about one name.
#[derive(Default)]
struct Known {
    /// The addresses that the last successful look-up brought. A failure does not remove them.
    good: Option<Found>,
    /// Why the last look-up failed, and when; `None` after a success.
    failure: Option<(OriginError, Instant)>,
    /// Closed when the look-up under way ends.
    running: Option<watch::Receiver<()>>,
    /// When a failed connection last caused a look-up.
    doubted: Option<Instant>,
}

/// What an answer about a name is made from.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Addresses(Found),
    Failure(OriginError),
    /// Only a look-up can tell.
    LookUp,
}

impl Known {
    fn answer(&self, now: Instant) -> Answer {
        let failed = self.failure.as_ref().filter(|(_, at)| now.duration_since(*at) < PAUSE);
        match (&self.good, failed) {
            (Some(good), None) if now.duration_since(good.looked_up) < FRESH => Answer::Addresses(good.clone()),
            (Some(good), Some(_)) => Answer::Addresses(good.clone()),
            // a lack on this side says nothing about the name
            (None, Some((OriginError::Exhausted, _))) | (_, None) => Answer::LookUp,
            (None, Some((error, _))) => Answer::Failure(error.clone()),
        }
    }

    /// Returns true if a connection to these addresses that failed may cause a look-up now.
    fn may_doubt(&self, found: &Found, now: Instant) -> bool {
        let paused = self.doubted.is_none_or(|at| now.duration_since(at) >= PAUSE);
        paused && self.good.as_ref().is_some_and(|good| good.looked_up == found.looked_up)
    }

    fn learn(&mut self, outcome: Result<Vec<IpAddr>, OriginError>, now: Instant) {
        match outcome {
            Ok(addresses) => {
                self.good = Some(Found { addresses, looked_up: now, remembered: true });
                self.failure = None;
            }
            Err(error) => self.failure = Some((error, now)),
        }
    }
}

impl Names {
    /// Names as the system knows them.
    pub(super) fn system() -> Names {
        Names::resolved_by(|name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }

    pub(super) fn resolved_by(resolve: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Names {
        Names(Arc::new(Shared { resolve: Box::new(resolve), known: Mutex::default() }))
    }

    /// Returns the addresses of a name, or of what is an address itself. Where older addresses are known they are used if a
    /// look-up fails or takes longer than a moment.
    pub(super) async fn find(&self, host: &str) -> Result<Found, OriginError> {
        if let Ok(address) = host.parse() {
            return Ok(Found { addresses: vec![address], looked_up: instant(), remembered: false });
        }
        let (running, old) = {
            let mut known = self.0.lock();
            let known = known.entry(host.to_owned()).or_default();
            match known.answer(instant()) {
                Answer::Addresses(found) => return Ok(found),
                Answer::Failure(error) => return Err(error),
                Answer::LookUp => {}
            }
            match (self.running(host, known), known.good.clone()) {
                (Ok(running), old) => (running, old),
                (Err(_), Some(old)) => return Ok(old),
                (Err(error), None) => return Err(error),
            }
        };
        let patience = if old.is_some() { PATIENCE } else { Duration::MAX };
        let outcome = match timeout(patience, ended(running)).await {
            Ok(()) => self.outcome(host),
            Err(_) => Err(OriginError::ConnectTimeout),
        };
        match (outcome, old) {
            (Err(_), Some(old)) => Ok(old),
            (outcome, _) => outcome,
        }
    }

    /// Looks a name up anew because no connection could be made to these addresses, unless that has just been done. Returns
    /// what the last look-up brought.
    pub(super) async fn find_anew(&self, host: &str, than: &Found) -> Result<Found, OriginError> {
        if let Some(running) = self.doubt(host, than)? {
            ended(running).await;
        }
        self.outcome(host)
    }

    /// Begins to look a name up anew, unless that has just been done.
    pub(super) fn doubt(&self, host: &str, found: &Found) -> Result<Option<watch::Receiver<()>>, OriginError> {
        let mut known = self.0.lock();
        let Some(known) = known.get_mut(host) else { return Ok(None) };
        let now = instant();
        if !known.may_doubt(found, now) {
            return Ok(None);
        }
        let running = self.running(host, known)?;
        known.doubted = Some(now);
        Ok(Some(running))
    }

    /// Joins the look-up under way, or begins one.
    fn running(&self, host: &str, known: &mut Known) -> Result<watch::Receiver<()>, OriginError> {
        if let Some(running) = &known.running {
            return Ok(running.clone());
        }
        let (end, running) = watch::channel(());
        let (shared, host) = (self.0.clone(), host.to_owned());
        let look_up = move || {
            let outcome = shared.look_up(&host);
            let mut known = shared.lock();
            if let Some(known) = known.get_mut(&host) {
                known.running = None;
                known.learn(outcome, instant());
            }
            drop(end);
        };
        let thread = thread::Builder::new().name("look-up".to_owned()).spawn(look_up);
        thread.map_err(|_| OriginError::NoThread)?;
        known.running = Some(running.clone());
        Ok(running)
    }

    /// What the look-up brought that has just ended.
    fn outcome(&self, host: &str) -> Result<Found, OriginError> {
        let known = self.0.lock();
        let known = known.get(host);
        match known.map(|known| (&known.failure, &known.good)) {
            Some((Some((error, _)), _)) => Err(error.clone()),
            Some((None, Some(good))) => Ok(Found { remembered: false, ..good.clone() }),
            _ => Err(OriginError::Resolve(format!("{host}: the look-up did not end"))),
        }
    }
}

impl Shared {
    /// May block for as long as the system likes.
    fn look_up(&self, host: &str) -> Result<Vec<IpAddr>, OriginError> {
        match blocking::caught(|| (self.resolve)(host)) {
            Some(Ok(addresses)) if addresses.is_empty() => Err(OriginError::Resolve(format!("{host} has no address"))),
            Some(Ok(addresses)) => Ok(addresses),
            Some(Err(error)) if has_no_descriptor(&error) => Err(OriginError::Exhausted),
            Some(Err(error)) => Err(OriginError::Resolve(format!("{host}: {error}"))),
            None => Err(OriginError::Resolve(format!("{host}: the look-up did not end"))),
        }
    }

    // every change to the map is one assignment after another that cannot panic
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends when the look-up does.
async fn ended(mut running: watch::Receiver<()>) {
    while running.changed().await.is_ok() {}
}

#[cfg(test)]
mod tests {
    use std::sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    };

    use super::*;

    const HOST: &str = "origin.test";

    fn address(last: u8) -> Vec<IpAddr> {
        vec![[10, 0, 0, last].into()]
    }

    fn unknown() -> OriginError {
        OriginError::Resolve("unknown".to_owned())
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        actix_rt::System::new().block_on(test)
    }

    /// Names whose look-ups wait for the test to say what they bring, and count how many there were.
    fn scripted() -> (Names, mpsc::Sender<Option<u8>>, Arc<AtomicUsize>) {
        let (say, said) = mpsc::channel::<Option<u8>>();
        let count = Arc::new(AtomicUsize::new(0));
        let (counted, said) = (count.clone(), Mutex::new(said));
        let names = Names::resolved_by(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            match said.lock().unwrap().recv() {
                Ok(Some(last)) => Ok(address(last)),
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        });
        (names, say, count)
    }

    /// Makes what is known of the name older.
    fn age(names: &Names, by: Duration) {
        let mut known = names.0.lock();
        let known = known.get_mut(HOST).unwrap();
        known.good.iter_mut().for_each(|good| good.looked_up -= by);
        known.failure.iter_mut().for_each(|(_, at)| *at -= by);
        known.doubted.iter_mut().for_each(|at| *at -= by);
    }

    #[test]
    fn all_who_ask_for_a_name_at_once_share_one_look_up() {
        run(async {
            let (names, say, count) = scripted();
            let asking: Vec<_> = (0..50)
                .map(|_| {
                    let names = names.clone();
                    tokio::task::spawn_local(async move { names.find(HOST).await })
                })
                .collect();
            tokio::task::yield_now().await;
            say.send(Some(1)).unwrap();
            for asked in asking {
                assert_eq!(asked.await.unwrap().unwrap().addresses, address(1));
            }
            assert!(names.find(HOST).await.unwrap().remembered);
            assert_eq!(count.load(Ordering::SeqCst), 1);
        });
    }

    #[test]
    fn an_address_needs_no_look_up() {
        let (names, _say, count) = scripted();
        assert_eq!(run(names.find("::1")).unwrap().addresses, ["::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn older_addresses_are_used_while_a_look_up_takes_long_or_fails() {
        run(async {
            let (names, say, count) = scripted();
            say.send(Some(1)).unwrap();
            names.find(HOST).await.unwrap();
            age(&names, FRESH);
            // nothing is said: the look-up runs on
            assert_eq!(names.find(HOST).await.unwrap().addresses, address(1));
            assert_eq!(names.find(HOST).await.unwrap().addresses, address(1));
            assert_eq!(count.load(Ordering::SeqCst), 2);
            say.send(None).unwrap();
            while names.0.lock()[HOST].failure.is_none() {
                tokio::task::yield_now().await;
            }
            assert_eq!(names.find(HOST).await.unwrap().addresses, address(1));
            assert_eq!(count.load(Ordering::SeqCst), 2, "a failure is not repeated at once");
            age(&names, PAUSE);
            say.send(Some(2)).unwrap();
            assert_eq!(names.find(HOST).await.unwrap().addresses, address(2), "what comes soon is waited for");
        });
    }

    #[test]
    fn a_failed_look_up_is_an_error_for_a_second() {
        run(async {
            let (names, say, count) = scripted();
            say.send(None).unwrap();
            for _ in 0..2 {
                assert!(matches!(names.find(HOST).await, Err(OriginError::Resolve(_))));
            }
            assert_eq!(count.load(Ordering::SeqCst), 1);
            age(&names, PAUSE);
            say.send(Some(1)).unwrap();
            assert_eq!(names.find(HOST).await.unwrap().addresses, address(1));
        });
    }

    #[test]
    fn addresses_that_fail_are_looked_up_anew_at_once_but_not_more_than_once_a_second() {
        run(async {
            let (names, say, count) = scripted();
            say.send(Some(1)).unwrap();
            let first = names.find(HOST).await.unwrap();
            say.send(Some(2)).unwrap();
            let second = names.find_anew(HOST, &first).await.unwrap();
            assert_eq!(second.addresses, address(2));
            assert_eq!(names.find_anew(HOST, &second).await.unwrap().addresses, address(2));
            assert_eq!(count.load(Ordering::SeqCst), 2);
            // what another request has replaced meanwhile needs no look-up
            age(&names, PAUSE);
            assert_eq!(names.find_anew(HOST, &first).await.unwrap().addresses, address(2));
            assert_eq!(count.load(Ordering::SeqCst), 2);
            say.send(None).unwrap();
            let known = names.find(HOST).await.unwrap();
            for _ in 0..2 {
                assert!(matches!(names.find_anew(HOST, &known).await, Err(OriginError::Resolve(_))));
            }
            assert_eq!(count.load(Ordering::SeqCst), 3);
        });
    }

    #[test]
    fn a_lack_of_descriptors_is_not_remembered_of_a_name() {
        let now = instant();
        let failed = |error| Known { failure: Some((error, now)), ..Known::default() };
        assert_eq!(failed(unknown()).answer(now), Answer::Failure(unknown()));
        assert_eq!(failed(OriginError::Exhausted).answer(now), Answer::LookUp);
    }
}
