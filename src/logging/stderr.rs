//! Stderr behind a thread of its own: nobody who logs waits for whoever reads.

use std::{
    io::{self, Write},
    sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Bytes that wait to be written; what comes on top is left out, and counted.
const WAITING: usize = 1 << 20;
/// How long the end of the program waits for what is not written yet.
const PATIENCE: Duration = Duration::from_secs(1);

static STDERR: LazyLock<&'static Stderr> = LazyLock::new(|| {
    let stderr: &Stderr = Box::leak(Box::default());
    let thread = std::thread::Builder::new().name("log".to_owned()).spawn(|| stderr.write_all());
    stderr.lock().direct = thread.is_err();
    stderr
});

#[derive(Default)]
struct Stderr {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    /// Lines left out since the queue was full; until they are accounted for, all further ones are left out too.
    missing: u64,
    /// The thread has written all that it took.
    idle: bool,
    /// There is no thread.
    direct: bool,
}

impl Stderr {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut queue = self.lock();
        if queue.direct {
            // a stderr that fails is nobody's concern but its reader's
            let _ = io::stderr().write_all(line);
        } else if queue.missing > 0 || queue.waiting.len() + line.len() > WAITING {
            queue.missing += 1;
        } else {
            queue.waiting.extend_from_slice(line);
            self.changed.notify_all();
        }
    }

    /// The thread's work, for as long as the process lives.
    fn write_all(&self) {
        let mut taken = Vec::new();
        loop {
            taken.clear();
            let mut queue = self.lock();
            while queue.waiting.is_empty() && queue.missing == 0 {
                queue.idle = true;
                self.changed.notify_all();
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            queue.idle = false;
            std::mem::swap(&mut queue.waiting, &mut taken);
            let missing = if taken.is_empty() { std::mem::take(&mut queue.missing) } else { 0 };
            drop(queue);
            if missing > 0 {
                // comes around again as a line like any other, in the place of those that it stands for
                log::warn!("{missing} lines are missing here: nobody read the log");
            }
            let _ = io::stderr().write_all(&taken);
        }
    }

    fn flush(&self) {
        let queue = self.lock();
        let written = |queue: &Queue| queue.direct || (queue.idle && queue.waiting.is_empty() && queue.missing == 0);
        drop(self.changed.wait_timeout_while(queue, PATIENCE, |queue| !written(queue)));
    }
}

/// Writes a line as it is, behind those that were logged before it.
pub fn say(line: &str) {
    STDERR.push(format!("{line}\n").as_bytes());
}

/// Waits until all that was logged is written, but not for ever. To be called before the process ends.
pub fn flush() {
    STDERR.flush();
}

/// What the log is written to.
pub(super) struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        STDERR.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
