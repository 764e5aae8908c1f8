//! The thread that opens databases anew, because sled keeps in memory what it read or wrote. It takes some milliseconds for
//! each database. Only lookups in that one wait, and they hold nothing up; the writer does other work.

use std::{
    cmp::Reverse,
    io,
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    thread::{self, JoinHandle},
};

use crate::store::{disk::generation::Generation, notice::Notice, tiers::shared::Shared};

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
                shared.easing.store(false, Relaxed);
                if let Err(error) = ease(&shared) {
                    shared.notices.send(Notice::Failed(error));
                }
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
fn ease(shared: &Shared) -> io::Result<()> {
    let may = shared.budget.read_pages();
    if shared.catalog.pages() > may {
        // one that leaves is read once more, by the writer
        let is_sealed = |generation: &&Arc<Generation>| generation.may_leave();
        let mut sealed: Vec<_> = shared.catalog.generations().iter().filter(is_sealed).cloned().collect();
        sealed.sort_unstable_by_key(|generation| Reverse(generation.database.pages()));
        for generation in sealed {
            if shared.catalog.pages() <= may / 4 * 3 {
                break;
            }
            let eased = generation.database.let_go_of_pages();
            shared.reopened.notify_waiters();
            shared.counters.eased.fetch_add(1, Relaxed);
            if let Err(failure) = eased
                && shared.catalog.generation(generation.number).is_some()
            {
                return Err(failure.into());
            }
        }
    }
    shared.share_memory();
    Ok(())
}
