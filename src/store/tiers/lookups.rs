//! The lookups that read the disk. A bounded number reads at the same time; the others wait for their turn, unless the
//! disk hangs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lookups that read the disk at the same time. A further one waits for its turn.
const READING: usize = 64;
/// Lookups that wait for their turn. A further one is refused at once.
const WAITING: usize = 2_000;
/// If all turns are taken and no read ends for so long, the disk hangs: the lookups that wait are refused, and so is every
/// further one, until a read ends.
const HANGS: Duration = Duration::from_millis(250);
/// A lookup waits for its turn so many times [`HANGS`], which is one second, on a disk that is slow but does not hang. Then it
/// is refused.
const WAITS: u32 = 4;

/// Counts the lookups that read the disk and those that wait for it.
pub struct Lookups {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// The number of reads that have ended since the start.
    ended: AtomicU64,
    hangs: AtomicBool,
}

/// A lookup's turn to read the disk. It ends when this is dropped.
pub struct Turn {
    lookups: Arc<Lookups>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.lookups.ended.fetch_add(1, Relaxed);
        self.lookups.hangs.store(false, Relaxed);
    }
}

/// A lookup that waits for its turn, or has given up.
struct Waiter<'a>(&'a Lookups);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

impl Lookups {
    pub fn new() -> Lookups {
        let turns = Arc::new(Semaphore::new(READING));
        Lookups { turns, waiting: AtomicUsize::new(0), ended: AtomicU64::new(0), hangs: AtomicBool::new(false) }
    }

    /// Returns a turn to read the disk if one is free.
    pub fn free(self: &Arc<Lookups>) -> Option<Turn> {
        let permit = self.turns.clone().try_acquire_owned().ok()?;
        Some(Turn { lookups: self.clone(), _permit: permit })
    }

    /// Waits for a turn to read the disk. Returns `None` if the lookup is refused.
    pub async fn turn(self: &Arc<Lookups>) -> Option<Turn> {
        if let Some(turn) = self.free() {
            return Some(turn);
        }
        let others = self.waiting.fetch_add(1, Relaxed);
        let _waiter = Waiter(self);
        if others >= WAITING || self.hangs.load(Relaxed) {
            return None;
        }
        let mut acquired = std::pin::pin!(self.turns.clone().acquire_owned());
        for _ in 0..WAITS {
            let ended = self.ended.load(Relaxed);
            if let Ok(permit) = tokio::time::timeout(HANGS, &mut acquired).await {
                return permit.ok().map(|permit| Turn { lookups: self.clone(), _permit: permit });
            }
            if self.ended.load(Relaxed) == ended {
                self.hangs.store(true, Relaxed);
                return None;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::join_all};

    use super::*;

    /// Runs a test on a clock that jumps to the next deadline when nothing else is to be done.
    fn run<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(test)
    }

    fn all_taken(lookups: &Arc<Lookups>) -> Vec<Turn> {
        (0..READING).map(|_| lookups.turn().now_or_never().flatten().expect("a free turn")).collect()
    }

    #[test]
    fn a_lookup_waits_until_another_one_has_read() {
        run(async {
            let lookups = Arc::new(Lookups::new());
            let mut reading = all_taken(&lookups);
            let mut next = std::pin::pin!(lookups.turn());
            assert!((&mut next).now_or_never().is_none());
            reading.pop();
            assert!(next.await.is_some());
        });
    }

    #[test]
    fn all_that_may_wait_get_their_turn_and_one_more_is_refused_at_once() {
        run(async {
            let lookups = Arc::new(Lookups::new());
            let reading = all_taken(&lookups);
            let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(lookups.turn())).collect();
            assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
            assert!(matches!(lookups.turn().now_or_never(), Some(None)));
            drop(reading);
            let turns = join_all(waiting.into_iter().map(|turn| async { turn.await.is_some() })).await;
            assert_eq!(turns.iter().filter(|turn| **turn).count(), WAITING);
            assert_eq!(lookups.waiting.load(Relaxed), 0);
        });
    }

    #[test]
    fn lookups_that_leave_make_room_for_others_that_wait() {
        run(async {
            let lookups = Arc::new(Lookups::new());
            let _reading = all_taken(&lookups);
            let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(lookups.turn())).collect();
            assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
            waiting.pop();
            assert!(lookups.turn().now_or_never().is_none(), "it waits");
        });
    }

    #[test]
    fn a_disk_that_hangs_is_waited_for_once_and_tried_again_when_a_read_has_ended() {
        run(async {
            let lookups = Arc::new(Lookups::new());
            let mut reading = all_taken(&lookups);
            let began = tokio::time::Instant::now();
            assert!(lookups.turn().await.is_none());
            assert!((HANGS..HANGS * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
            assert!(matches!(lookups.turn().now_or_never(), Some(None)), "it is known to hang");
            reading.pop();
            assert!(lookups.turn().now_or_never().flatten().is_some());
        });
    }

    #[test]
    fn a_disk_that_is_slow_but_does_not_hang_is_waited_for_longer_and_not_for_ever() {
        run(async {
            let lookups = Arc::new(Lookups::new());
            let mut reading = all_taken(&lookups);
            // each turn that becomes free goes to one of these
            let mut before: Vec<_> = (0..READING).map(|_| Box::pin(lookups.turn())).collect();
            assert!(before.iter_mut().all(|turn| turn.now_or_never().is_none()));
            let mut last = std::pin::pin!(lookups.turn());
            let began = tokio::time::Instant::now();
            let mut beat = tokio::time::interval_at(began + HANGS / 2, HANGS / 2);
            let turn = loop {
                tokio::select! {
                    turn = &mut last => break turn,
                    _ = beat.tick() => drop(reading.pop()),
                }
            };
            assert!(turn.is_none());
            assert!((HANGS * WAITS..HANGS * (WAITS + 1)).contains(&began.elapsed()), "{:?}", began.elapsed());
            assert!(!reading.is_empty());
        });
    }
}
