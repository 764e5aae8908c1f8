//! Short reads of the disk that are handed to another thread together. To change threads, and to wake the worker again, costs
//! more than such a read: the reads that a worker is asked for in one turn of its loop share a thread and a wake-up, up to eight of them.
//! On a slow disk each read has a thread of its own.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use tokio::{sync::oneshot, task::yield_now, time::timeout};

use crate::{
    blocking::caught,
    clock,
    store::{
        StoreError,
        hop::{PATIENCE, hop, patient_hop},
    },
};

/// The most reads that share a thread.
const TOGETHER: usize = 8;
/// A read that waits longer is done by a thread of its own: the one that was to do it is held up by a slow disk.
const HELD_UP: Duration = Duration::from_millis(2);
/// For so long after a read was held up, each read gets a thread of its own.
const SLOW: Duration = Duration::from_millis(250);

/// Reads, and returns what gives the result to the one that waits for it.
type Work = Box<dyn FnOnce() -> Delivery + Send>;
type Delivery = Box<dyn FnOnce() + Send>;

/// Reads that share a thread.
#[derive(Default)]
struct Batch {
    to_do: Mutex<VecDeque<Work>>,
    done: Mutex<Vec<Delivery>>,
    /// The turn is over: nothing joins any more.
    is_handed_over: AtomicBool,
    /// The disk holds a read up: what is done must not wait for the next one.
    is_held_up: AtomicBool,
}

thread_local! {
    /// The last reads that this worker was asked for.
    static NEXT: RefCell<Option<Arc<Batch>>> = const { RefCell::new(None) };
    /// When a read of this worker was held up last.
    static HELD_UP_AT: Cell<Option<Instant>> = const { Cell::new(None) };
}

fn is_slow() -> bool {
    HELD_UP_AT.get().is_some_and(|at| clock::instant().duration_since(at) < SLOW)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Batch {
    /// Returns the batch of this turn. A task hands it over when the turn ends, unless it is full before.
    fn of_this_turn() -> Arc<Batch> {
        NEXT.with_borrow_mut(|next| {
            next.take_if(|batch| batch.is_handed_over.load(Relaxed));
            next.get_or_insert_with(Batch::begin).clone()
        })
    }

    fn begin() -> Arc<Batch> {
        let batch = Arc::new(Batch::default());
        let handed_over = batch.clone();
        tokio::spawn(async move {
            // the others that are ready now join
            yield_now().await;
            if !handed_over.is_handed_over.swap(true, Relaxed) {
                handed_over.finish().await;
            }
        });
        batch
    }

    /// Does what is not done yet on another thread, and gives the results to those that wait. They run on this thread, so
    /// that to wake them costs no system call. A task of its own, because whoever waits may leave.
    async fn finish(self: Arc<Batch>) {
        let batch = self.clone();
        let done = hop(move || {
            loop {
                let Some(work) = lock(&batch.to_do).pop_front() else { return Ok(()) };
                // whoever waits for a read that panics is told by its end
                let delivery = caught(work);
                lock(&batch.done).extend(delivery);
                if batch.is_held_up.load(Relaxed) {
                    batch.deliver();
                }
            }
        });
        if done.await.is_err() {
            // the system gives no thread. What is dropped tells those that wait
            lock(&self.to_do).clear();
        }
        self.deliver();
    }

    /// Hands what is not done yet to another thread at once.
    fn hand_over(self: &Arc<Batch>) {
        self.is_handed_over.store(true, Relaxed);
        let mut finishing = Box::pin(self.clone().finish());
        if (&mut finishing).now_or_never().is_none() {
            tokio::spawn(finishing);
        }
    }

    fn deliver(&self) {
        let done = std::mem::take(&mut *lock(&self.done));
        done.into_iter().for_each(|delivery| delivery());
    }
}

/// Reads on another thread, together with what else this thread is asked for now. [`StoreError::Busy`]: the disk hangs.
pub async fn read<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    if is_slow() {
        // not what it waits for a thread counts, but the read alone
        let timed = || {
            let began = clock::instant();
            let done = read();
            Ok((done, began.elapsed()))
        };
        let (done, took) = patient_hop(timed).await.unwrap_or_else(|error| (Err(error), SLOW));
        if took > HELD_UP {
            HELD_UP_AT.set(Some(clock::instant()));
        }
        return done;
    }
    let (reply, mut answer) = oneshot::channel();
    let batch = Batch::of_this_turn();
    lock(&batch.to_do).push_back(Box::new(move || -> Delivery {
        if reply.is_closed() {
            // the client has left: the other reads must not wait for this one
            return Box::new(|| ());
        }
        let read = read();
        Box::new(move || {
            // an error: nobody waits any more
            let _ = reply.send(read);
        })
    }));
    if lock(&batch.to_do).len() >= TOGETHER && !batch.is_handed_over.load(Relaxed) {
        batch.hand_over();
    }
    if let Ok(answer) = timeout(HELD_UP, &mut answer).await {
        return answer.unwrap_or(Err(StoreError::Closed));
    }
    HELD_UP_AT.set(Some(clock::instant()));
    batch.is_held_up.store(true, Relaxed);
    batch.deliver();
    if !lock(&batch.to_do).is_empty() {
        batch.hand_over();
    }
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer.unwrap_or(Err(StoreError::Closed)),
        Err(_) => Err(StoreError::Busy),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::mpsc, thread};

    use futures_util::future::join_all;

    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
    }

    #[test]
    fn what_is_asked_for_in_one_turn_shares_a_thread() {
        let threads = run(join_all((0..TOGETHER).map(|_| read(|| Ok(thread::current().id())))));
        let threads: HashSet<_> = threads.into_iter().map(|thread| thread.expect("read")).collect();
        assert!(threads.len() == 1 && !threads.contains(&thread::current().id()), "{threads:?}");
    }

    #[test]
    fn a_read_that_the_disk_holds_up_holds_up_no_other() {
        let (go, may_go) = mpsc::channel();
        run(async {
            let slow = async { read(move || Ok(may_go.recv().is_ok())).await };
            let others = async {
                let all = join_all((0..10).map(|number| read(move || Ok(number)))).await;
                go.send(()).expect("it waits");
                all.into_iter().map(|number| number.expect("read")).sum::<u32>()
            };
            let (slow, others) = tokio::join!(slow, others);
            assert_eq!((slow.expect("read"), others), (true, 45));
        });
    }

    #[test]
    fn a_read_does_not_wait_for_those_whose_askers_have_left() {
        let (go, may_go) = mpsc::channel::<()>();
        let may_go = Arc::new(Mutex::new(may_go));
        let (held_up, is_held_up) = mpsc::channel();
        run(async {
            let mut first = Box::pin(read(move || Ok(is_held_up.recv().is_ok())));
            assert!(first.as_mut().now_or_never().is_none(), "it waits for others to join");
            for _ in 0..2 {
                let may_go = may_go.clone();
                let mut left = Box::pin(read(move || Ok(lock(&may_go).recv().is_ok())));
                assert!(left.as_mut().now_or_never().is_none(), "it has joined");
            }
            let noticed = async {
                while HELD_UP_AT.get().is_none() {
                    yield_now().await;
                }
                held_up.send(()).expect("it waits");
            };
            let (first, ()) = tokio::join!(timeout(Duration::from_secs(4), first), noticed);
            // before the assertion: the runtime waits for its threads
            drop(go);
            assert!(first.expect("in time").expect("read"));
        });
    }

    #[test]
    fn those_who_joined_a_read_that_nobody_waits_for_any_more_are_answered() {
        run(async {
            let mut left = Box::pin(read(|| Ok(1)));
            assert!(left.as_mut().now_or_never().is_none(), "it waits for others to join");
            let joined = read(|| Ok(2));
            drop(left);
            assert_eq!(joined.await.expect("read"), 2);
        });
    }

    #[test]
    fn a_read_that_panics_fails_and_the_others_are_answered() {
        run(async {
            let panics = read(|| -> Result<u32, StoreError> { panic!("on purpose") });
            let (panicked, other) = tokio::join!(panics, read(|| Ok(2)));
            assert_eq!((panicked.is_err(), other.expect("read")), (true, 2));
        });
    }
}
