//! The running Larder's side of the control socket.

use std::{
    fs, io,
    io::Read,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde_json::Value;

use super::{Address, Command, LONGEST_LINE, Reply};
use crate::clock;

/// How long a client of the socket may take to send its line.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end waits for commands that are under way.
const ENDING: Duration = Duration::from_secs(2);
/// How long a client may read nothing of its answer. It is long because somebody may look at a long list page by page.
const STREAM_PATIENCE: Duration = Duration::from_secs(600);
/// Clients that are answered at the same time; a further one waits until the one before it was answered.
const CLIENTS: usize = 16;
/// The pause after a failed try to accept a client.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers commands. What it sends before it returns are the items of the answer.
pub trait Handler: Fn(Command, &mut Reply<'_>) -> Result<Value, String> + Send + Sync + 'static {}

impl<H: Fn(Command, &mut Reply<'_>) -> Result<Value, String> + Send + Sync + 'static> Handler for H {}

/// The open control socket. Dropping it ends its thread and removes its file.
pub struct Listening {
    address: Address,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Closed when the thread ends.
    ended: Receiver<()>,
}

/// Opens the control socket in `folder`. Clients are answered with what `handler` returns, a few at a time: one that is slow,
/// or whose command takes long, does not hold up the next. A socket file that nobody listens on is replaced; if somebody
/// listens on it, the error is `AddrInUse`.
pub fn listen(
    folder: &Path,
    handler: impl Fn(Command, &mut Reply<'_>) -> Result<Value, String> + Send + Sync + 'static,
) -> io::Result<Listening> {
    let address = Address::of(folder)?;
    remove_stale(&address.path)?;
    let listener = UnixListener::bind(&address.path)?;
    fs::set_permissions(&address.path, fs::Permissions::from_mode(0o600))?;
    let stopping = Arc::new(AtomicBool::new(false));
    let stop = stopping.clone();
    let (running, ended) = mpsc::channel::<()>();
    let handler = Arc::new((handler, AtomicUsize::new(0)));
    let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        for stream in listener.incoming() {
            if stop.load(Ordering::Acquire) {
                return;
            }
            match stream {
                Ok(stream) => answer_beside(stream, &handler, &running),
                // most likely no descriptor is left; without a pause the retries would keep a core busy
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    })?;
    Ok(Listening { address, stopping, thread: Some(thread), ended })
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(file) if !file.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} is there and is no socket", path.display())))
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another Larder is running on this cache folder".to_owned(),
            )),
            Err(_) => fs::remove_file(path),
        },
    }
}

/// Answers a client on a thread of its own. If there are too many clients, or if the system gives no thread, it answers on the
/// calling thread. The number beside the handler counts the clients that read items.
fn answer_beside<H: Handler>(stream: UnixStream, handler: &Arc<(H, AtomicUsize)>, running: &mpsc::Sender<()>) {
    let stream = Arc::new(stream);
    // each of those threads holds the handler
    if Arc::strong_count(handler) <= CLIENTS {
        let (stream, handler, running) = (stream.clone(), handler.clone(), running.clone());
        let beside = move || {
            // a client that went away needs no answer
            let _ = answer(&stream, &handler);
            drop(running);
        };
        if std::thread::Builder::new().name("control".to_owned()).spawn(beside).is_ok() {
            return;
        }
    }
    let _ = answer(&stream, handler);
}

fn answer<H: Handler>(mut stream: &UnixStream, (handler, streams): &(H, AtomicUsize)) -> io::Result<()> {
    stream.set_write_timeout(Some(STREAM_PATIENCE))?;
    let line = read_line(stream)?;
    reply(&line, handler, Reply::new(&mut stream, streams))
}

/// Reads the line of a client, with its newline unless the client has ended the connection. Reads a little more than the
/// longest line at most.
fn read_line(mut stream: &UnixStream) -> io::Result<Vec<u8>> {
    let began = clock::instant();
    let (mut line, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let left = PATIENCE.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let read = stream.read(&mut piece)?;
        line.extend_from_slice(&piece[..read]);
        if let Some(end) = piece[..read].iter().position(|byte| *byte == b'\n') {
            line.truncate(line.len() - read + end + 1);
            return Ok(line);
        }
        if read == 0 || line.len() > LONGEST_LINE {
            return Ok(line);
        }
    }
}

/// Answers a line.
pub(super) fn reply(
    line: &[u8],
    handler: &impl Fn(Command, &mut Reply<'_>) -> Result<Value, String>,
    mut reply: Reply<'_>,
) -> io::Result<()> {
    let result = match Command::parse(line) {
        _ if line.len() > LONGEST_LINE => Err(format!("a command has {LONGEST_LINE} bytes at most")),
        Ok(command) => handler(command, &mut reply),
        Err(error) => Err(error),
    };
    reply.end(result)
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // a connection wakes the thread; if none can be made, the thread has ended
        let woken = UnixStream::connect(&self.address.path).is_ok();
        let _ = fs::remove_file(&self.address.path);
        // a command may hang on the disk; it is not waited for
        let ends = woken && self.ended.recv_timeout(ENDING) == Err(RecvTimeoutError::Disconnected);
        if let (true, Some(thread)) = (ends, self.thread.take()) {
            let _ = thread.join();
        }
    }
}
