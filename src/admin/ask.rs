//! The command line's side of the control socket.

use std::{
    fmt, io,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::{Address, Command, SOCKET};

/// How long the command line waits for an answer. It is long because a large cache is not removed at once.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub enum AskError {
    /// Nobody listens on this folder's socket.
    NotRunning,
    /// The running Larder could not do what it was asked for. It says why.
    Refused(String),
    /// The socket cannot be reached. Nobody knows whether a Larder runs behind it.
    Unreachable(PathBuf, io::Error),
    /// The running Larder did not answer, or what came is not an answer.
    Io(io::Error),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::NotRunning => f.write_str("no Larder is running on this cache folder"),
            AskError::Refused(why) => write!(f, "the running Larder answered: {why}"),
            AskError::Unreachable(socket, error) => {
                write!(f, "cannot reach the control socket {}: {error}", socket.display())
            }
            AskError::Io(error) => write!(f, "the running Larder does not answer: {error}"),
        }
    }
}

impl std::error::Error for AskError {}

/// Asks the Larder that runs on this cache folder, and waits for its answer.
pub fn ask(folder: &Path, command: Command) -> Result<Value, AskError> {
    let stream = Address::of(folder).and_then(|address| UnixStream::connect(&address.path));
    let mut stream = stream.map_err(|error| nobody(folder, error))?;
    let line = exchange(&mut stream, command).map_err(AskError::Io)?;
    read_answer(&line)
}

pub(super) fn read_answer(line: &str) -> Result<Value, AskError> {
    let mut answer: Value = serde_json::from_str(line).unwrap_or_default();
    match (answer.get_mut("ok").map(Value::take), answer.get("error").and_then(Value::as_str)) {
        (Some(value), _) => Ok(value),
        (None, Some(error)) => Err(AskError::Refused(error.to_owned())),
        (None, None) => Err(AskError::Io(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended in mid-answer"))),
    }
}

fn nobody(folder: &Path, error: io::Error) -> AskError {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
    match error.kind() {
        NotFound | ConnectionRefused | NotADirectory => AskError::NotRunning,
        _ => AskError::Unreachable(folder.join(SOCKET), error),
    }
}

fn exchange(stream: &mut UnixStream, command: Command) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{}\n", command.as_str()).as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}
