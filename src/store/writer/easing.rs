//! The thread that opens databases anew, because sled keeps in memory what it read or wrote. It takes some milliseconds for
//! each database. Only lookups in that one wait, and they hold nothing up; the writer does other work. Between two databases
//! there is a pause, so that few lookups wait.

use std::{
    io,
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    clock,
    store::{disk::generation::Generation, notice::Notice, tiers::shared::Shared},
};

/// The pause is so many times as long as it took to open the last database.
const PAUSE: u32 = 32;

/// The thread.
pub struct Easing {
    wake: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Easing {
    /// Starts the thread.
    pub fn start(shared: &Arc<Shared>) -> Easing {
        let (wake, woken) = mpsc::channel();
        let shared = shared.clone();
        let ease_each_time = move || {
            while woken.recv().is_ok() {
                if let Err(error) = ease(&shared, &woken) {
                    shared.notices.send(Notice::Failed(error));
                }
                shared.easing.store(false, Relaxed);
            }
        };
        match thread::Builder::new().name("larder-easing".to_owned()).spawn(ease_each_time) {
            Ok(thread) => Easing { wake: Some(wake), thread: Some(thread) },
            Err(error) => {
                log::debug!("the databases keep what they hold in memory, no thread could be started: {error}");
                Easing { wake: None, thread: None }
            }
        }
    }

    pub fn wake(&self) {
        // none: there is no thread
        self.wake.iter().for_each(|wake| _ = wake.send(()));
    }

    /// Ends the thread and waits for that: it holds no generation afterwards.
    pub fn end(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Opens those databases anew that hold most pages, if those that are read only hold more than they may, and gives the memory
/// tier what is left of `--memory`.
fn ease(shared: &Shared, woken: &Receiver<()>) -> io::Result<()> {
    shared.share_memory();
    let mut stays = None;
    while shared.catalog.pages() > shared.budget.read_pages() && !shared.keeps_pages.load(Relaxed) {
        let began = clock::instant();
        let Some(fullest) = fullest(shared, stays) else { break };
        let eased = fullest.database.let_go_of_pages();
        shared.reopened.notify_waiters();
        shared.counters.eased.fetch_add(1, Relaxed);
        let number = fullest.number;
        // nothing holds a generation in a pause: it may be about to be removed
        drop(fullest);
        match eased {
            Ok(done) => stays = Some(number).filter(|_| !done),
            Err(failure) if shared.catalog.generation(number).is_some() => return Err(failure.into()),
            Err(_) => {}
        }
        shared.share_memory();
        if !pause(shared, woken, began.elapsed()) {
            break;
        }
    }
    Ok(())
}

/// Returns the generation of those that are read only whose database holds most pages. `stays`: the number of one whose
/// database cannot be opened anew now.
fn fullest(shared: &Shared, stays: Option<u32>) -> Option<Arc<Generation>> {
    let generations = shared.catalog.generations();
    // one that leaves is read once more, by the writer
    let sealed = generations.iter().filter(|generation| generation.may_leave() && Some(generation.number) != stays);
    sealed.max_by_key(|generation| generation.database.pages()).cloned()
}

/// Waits until the next database may be opened anew, unless the databases soon hold too much. `took`: the time that the last
/// one took. Returns false if the thread is to end.
fn pause(shared: &Shared, woken: &Receiver<()>, took: Duration) -> bool {
    for _ in 0..PAUSE {
        if shared.catalog.pages() > shared.budget.pages_in_a_pause() {
            break;
        }
        if woken.recv_timeout(took) == Err(RecvTimeoutError::Disconnected) {
            return false;
        }
    }
    true
}
