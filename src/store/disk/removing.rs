//! Removes files and folders that nothing needs any more, on a thread of its own. That can take long: each file costs a slow
//! disk some milliseconds, and a generation may hold very many. What is not removed yet counts in the disk limit.

use std::{
    collections::{HashSet, VecDeque},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use super::{
    folder,
    space::{Gone, Space},
};

/// The time after which a folder that could not be removed is tried again. It is also tried when another one is removed.
const AGAIN: Duration = Duration::from_secs(60);

/// Sends what is to be removed to the thread. Cheap to clone. The default has no thread.
#[derive(Clone, Default)]
pub struct Remover {
    /// `None`: there is no thread, and what is to be removed is removed at once.
    queue: Option<mpsc::Sender<Removal>>,
    ended: Arc<AtomicBool>,
}

enum Removal {
    Folder(Folder),
    Work(Box<dyn FnOnce() + Send>),
}

/// A folder, or a file in its place, that was moved away.
struct Folder {
    path: PathBuf,
    /// The room that the folder still occupies. `None`: that is to be measured.
    occupies: Option<Gone>,
}

impl Remover {
    /// Starts the thread. It ends when the last clone is dropped, or at [`Remover::end`].
    pub fn start(space: Arc<Space>) -> Remover {
        let (queue, received) = mpsc::channel();
        let ended = Arc::new(AtomicBool::new(false));
        let remove = {
            let ended = ended.clone();
            move || {
                Removing { space, ended, received, waiting: VecDeque::new(), failed: Vec::new(), known: HashSet::new() }
                    .run()
            }
        };
        match thread::Builder::new().name("larder-removing".to_owned()).spawn(remove) {
            Ok(_) => Remover { queue: Some(queue), ended },
            Err(error) => {
                log::debug!(
                    "files are removed where they are found to be of no use, no thread could be started: {error}"
                );
                Remover::default()
            }
        }
    }

    /// Removes a folder that was moved away. Does not wait for that. `occupies`: the bytes that it occupies, if that is known.
    pub fn remove(&self, path: PathBuf, occupies: Option<Gone>) {
        self.send(Removal::Folder(Folder { path, occupies }));
    }

    /// Does other work on the thread, which removes a file or closes the last handle of one that was removed. Does not wait.
    pub fn work(&self, work: impl FnOnce() + Send + 'static) {
        self.send(Removal::Work(Box::new(work)));
    }

    /// Ends the thread after the file that it is removing now. The next opening removes the rest.
    pub fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    fn send(&self, removal: Removal) {
        let left = match &self.queue {
            Some(queue) if !self.ended.load(Relaxed) => queue.send(removal).err().map(|error| error.0),
            _ => Some(removal),
        };
        match left {
            Some(Removal::Work(work)) => work(),
            // the next opening removes it
            Some(Removal::Folder(_)) | None => {}
        }
    }
}

/// The thread's own state.
struct Removing {
    space: Arc<Space>,
    ended: Arc<AtomicBool>,
    received: mpsc::Receiver<Removal>,
    waiting: VecDeque<Folder>,
    /// The folders that could not be removed.
    failed: Vec<Folder>,
    /// The paths of all folders that wait, failed or are being removed.
    known: HashSet<PathBuf>,
}

impl Removing {
    fn run(mut self) {
        loop {
            let next = match self.failed.is_empty() {
                true => self.received.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => self.received.recv_timeout(AGAIN),
            };
            match next {
                Ok(removal) => self.take(removal),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // all of them count before the first one is removed
            self.take_all();
            self.waiting.extend(self.failed.drain(..));
            // more may come meanwhile
            while let Some(folder) = self.waiting.pop_front() {
                self.try_to_remove(folder);
            }
        }
    }

    fn take_all(&mut self) {
        while let Ok(removal) = self.received.try_recv() {
            self.take(removal);
        }
    }

    fn take(&mut self, removal: Removal) {
        match removal {
            Removal::Work(work) => work(),
            Removal::Folder(mut folder) if self.known.insert(folder.path.clone()) => {
                folder.occupies.get_or_insert_with(|| self.space.gone(folder::occupied(&folder.path)));
                self.waiting.push_back(folder);
            }
            Removal::Folder(_) => {}
        }
    }

    fn try_to_remove(&mut self, mut folder: Folder) {
        match self.remove(&folder.path, &mut folder.occupies) {
            Ok(()) => _ = self.known.remove(&folder.path),
            // the next opening removes it
            Err(_) if self.ended.load(Relaxed) => {}
            Err(error) => {
                log::debug!("{} could not be removed: {error}", folder.path.display());
                self.failed.push(folder);
            }
        }
    }

    /// Removes a file, or a folder with all that it holds. An error: something is left.
    fn remove(&mut self, path: &Path, occupies: &mut Option<Gone>) -> io::Result<()> {
        // a single file need not wait for all of a folder
        self.take_all();
        if self.ended.load(Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let about = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            about => about?,
        };
        if !about.is_dir() {
            fs::remove_file(path)?;
            // a file with another name keeps its room
            if let Some(occupies) = occupies.as_mut().filter(|_| about.nlink() == 1) {
                occupies.give_back(about.blocks() * 512);
            }
            return Ok(());
        }
        let mut failed = None;
        for file in fs::read_dir(path)? {
            if let Err(error) = file.and_then(|file| self.remove(&file.path(), occupies)) {
                failed = Some(error);
            }
        }
        match failed {
            Some(error) => Err(error),
            None => fs::remove_dir(path),
        }
    }
}
