//! Stderr behind a thread of its own: nobody who logs waits for whoever reads the log.
//!
//! The thread writes the first line at once. Lines that follow within [`GATHERING`] are written together, so that a busy
//! Larder makes one write, and no call of the system, for hundreds of lines.

use std::{
    io::{self, Write},
    sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The most bytes that wait to be written. Lines on top of that are left out and counted.
const WAITING: usize = 1 << 20;
/// The number of waiting bytes from which on they are written at once.
const BATCH: usize = 64 << 10;
/// How long the thread gathers lines after it has written some.
const GATHERING: Duration = Duration::from_millis(10);
/// How long the end of the program waits for lines that are not written yet.
const PATIENCE: Duration = Duration::from_secs(1);

static STDERR: LazyLock<&'static Stderr> = LazyLock::new(|| {
    let stderr: &Stderr = Box::leak(Box::default());
    let thread = std::thread::Builder::new().name("log".to_owned()).spawn(|| stderr.write_to(io::stderr()));
    if thread.is_err() {
        stderr.lock().thread = Thread::Missing;
    }
    stderr
});

#[derive(Default)]
struct Stderr {
    queue: Mutex<Queue>,
    /// Wakes the thread.
    wanted: Condvar,
    /// Wakes those who wait until everything is written.
    written: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    /// The number of lines left out since the queue was full. Until they are accounted for, all further lines are left out
    /// too.
    missing: u64,
    thread: Thread,
    /// The number of callers of [`Stderr::flush`] that wait now.
    flushing: usize,
}

/// The state of the thread.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Thread {
    /// It writes, or it was woken to do so. It looks at the queue again by itself.
    #[default]
    Writing,
    /// It waits until a batch is there or until its time is over.
    Gathering,
    /// It has written everything and sleeps until it is woken.
    Idle,
    /// The system gave no thread. The caller of `push` writes.
    Missing,
}

impl Stderr {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut queue = self.lock();
        if queue.thread == Thread::Missing {
            // a stderr that fails concerns nobody but its reader
            let _ = io::stderr().write_all(line);
            return;
        }
        let wakes = queue.push(line);
        // the woken thread must not find the lock taken
        drop(queue);
        if wakes {
            self.wanted.notify_one();
        }
    }

    /// The thread's work, for as long as the process lives.
    fn write_to(&self, mut output: impl Write) {
        let mut taken = Vec::new();
        loop {
            let missing = self.take(&mut taken);
            if missing > 0 {
                // queued as any other line, in the place of the lines that it stands for
                log::warn!("{missing} lines are missing here: nobody read the log");
            }
            let _ = output.write_all(&taken);
            self.gather();
        }
    }

    /// Waits for lines and moves them into `taken`. Returns how many lines were left out where `taken` ends before them.
    fn take(&self, taken: &mut Vec<u8>) -> u64 {
        taken.clear();
        let mut queue = self.lock();
        while queue.is_empty() {
            queue.thread = Thread::Idle;
            self.written.notify_all();
            queue = self.wanted.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.thread = Thread::Writing;
        std::mem::swap(&mut queue.waiting, taken);
        if taken.is_empty() { std::mem::take(&mut queue.missing) } else { 0 }
    }

    /// Lets a batch come together.
    fn gather(&self) {
        let mut queue = self.lock();
        queue.thread = Thread::Gathering;
        let goes_on = |queue: &mut Queue| !queue.is_due();
        drop(self.wanted.wait_timeout_while(queue, GATHERING, goes_on));
    }

    fn flush(&self) {
        let mut queue = self.lock();
        queue.flushing += 1;
        self.wanted.notify_one();
        let waits = |queue: &mut Queue| !queue.is_written();
        let waited = self.written.wait_timeout_while(queue, PATIENCE, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.flushing -= 1;
    }
}

impl Queue {
    /// Adds a line or counts it as left out. Returns true if the thread must be woken.
    fn push(&mut self, line: &[u8]) -> bool {
        if self.missing > 0 || self.waiting.len() + line.len() > WAITING {
            self.missing += 1;
        } else {
            self.waiting.extend_from_slice(line);
        }
        let wakes = match self.thread {
            Thread::Idle => true,
            Thread::Gathering => self.is_due(),
            Thread::Writing | Thread::Missing => false,
        };
        if wakes {
            // once is enough
            self.thread = Thread::Writing;
        }
        wakes
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.missing == 0
    }

    /// Returns true if the lines should be written before the time of gathering is over.
    fn is_due(&self) -> bool {
        self.waiting.len() >= BATCH || self.missing > 0 || self.flushing > 0
    }

    fn is_written(&self) -> bool {
        match self.thread {
            Thread::Missing => true,
            Thread::Idle => self.is_empty(),
            Thread::Writing | Thread::Gathering => false,
        }
    }
}

/// Writes a line as it is, behind the lines that were logged before it.
pub fn say(line: &str) {
    push(format!("{line}\n").as_bytes());
}

/// Queues a line that is ready, its end included.
pub(super) fn push(line: &[u8]) {
    STDERR.push(line);
}

/// Waits until all that was logged is written, but at most a second. The program calls it before it ends.
pub fn flush() {
    STDERR.flush();
}

/// The output that env_logger writes to.
pub(super) struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    };

    use super::*;

    /// An output that hands over what is written in one go, and waits until it may go on.
    struct Gate(Sender<Vec<u8>>, Receiver<()>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            let _ = self.1.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Run {
        stderr: Arc<Stderr>,
        written: Receiver<Vec<u8>>,
        goes_on: Sender<()>,
    }

    fn run() -> Run {
        let stderr = Arc::new(Stderr::default());
        let ((writes, written), (goes_on, may_go_on)) = (channel(), channel());
        let thread = stderr.clone();
        std::thread::spawn(move || thread.write_to(Gate(writes, may_go_on)));
        Run { stderr, written, goes_on }
    }

    #[test]
    fn a_line_is_written_at_once_and_those_that_come_meanwhile_are_one_write() {
        let run = run();
        run.stderr.push(b"first\n");
        assert_eq!(run.written.recv().unwrap(), b"first\n");
        let lines: Vec<u8> = (0..1000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
        lines.split_inclusive(|byte| *byte == b'\n').for_each(|line| run.stderr.push(line));
        run.goes_on.send(()).unwrap();
        assert_eq!(run.written.recv().unwrap(), lines);
        run.goes_on.send(()).unwrap();
    }

    #[test]
    fn a_flush_returns_when_everything_is_written_also_lines_of_threads_that_have_ended() {
        let run = run();
        for round in 0..20 {
            let pushes = (0..8).map(|n| {
                let stderr = run.stderr.clone();
                std::thread::spawn(move || (0..50).for_each(|_| stderr.push(format!("{n}\n").as_bytes())))
            });
            for push in pushes.collect::<Vec<_>>() {
                push.join().unwrap();
            }
            // as many as there can be writes
            (0..400).for_each(|_| run.goes_on.send(()).unwrap());
            run.stderr.flush();
            let written: Vec<u8> = run.written.try_iter().flatten().collect();
            assert_eq!(written.len(), 8 * 50 * 2, "round {round}");
        }
    }

    #[test]
    fn a_thread_that_sleeps_is_woken_once_and_one_that_gathers_when_its_batch_is_there() {
        let wakes = |thread| {
            let mut queue = Queue { thread, ..Queue::default() };
            let line = [b'x'; 1024];
            (0..200).filter(|_| queue.push(&line)).count()
        };
        assert_eq!(wakes(Thread::Idle), 1);
        assert_eq!(wakes(Thread::Gathering), 1);
        assert_eq!(wakes(Thread::Writing), 0);
        let mut queue = Queue { thread: Thread::Gathering, ..Queue::default() };
        assert!(!queue.push(&[b'x'; BATCH - 1]) && queue.push(b"x"));
    }

    #[test]
    fn lines_that_the_queue_has_no_room_for_are_counted_until_it_is_empty() {
        let stderr = Stderr::default();
        let line = vec![b'x'; WAITING / 4];
        (0..6).for_each(|_| stderr.push(&line));
        stderr.push(b"short\n");
        let mut taken = Vec::new();
        assert_eq!((stderr.take(&mut taken), taken.len()), (0, WAITING));
        stderr.push(b"later\n");
        assert_eq!((stderr.take(&mut taken), taken.len()), (4, 0));
        stderr.push(b"last\n");
        assert_eq!((stderr.take(&mut taken), taken.as_slice()), (0, &b"last\n"[..]));
    }
}
