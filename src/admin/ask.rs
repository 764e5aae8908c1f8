//! The command line's side of the control socket.

use std::{
    fmt, io,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::{Address, Command, SOCKET, command::UNKNOWN};

/// How long the command line waits for the next line of an answer. It is long because a large cache is not removed at once.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub enum AskError {
    /// Nobody listens on this folder's socket.
    NotRunning,
    /// The running Larder could not do what it was asked for. It says why.
    Refused(String),
    /// The running Larder is of another version, and does not know the command or one of its arguments. It says which.
    Unknown(String),
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
            AskError::Unknown(why) => write!(
                f,
                "the running Larder is of another version than this command ({}): {why}; restart it to have one version",
                env!("CARGO_PKG_VERSION")
            ),
            AskError::Unreachable(socket, error) => {
                write!(f, "cannot reach the control socket {}: {error}", socket.display())
            }
            AskError::Io(error) => write!(f, "the running Larder does not answer: {error}"),
        }
    }
}

impl std::error::Error for AskError {}

/// Asks the Larder that runs on this cache folder, and waits for its answer.
pub fn ask(folder: &Path, command: &Command) -> Result<Value, AskError> {
    ask_each(folder, command, |_| {})
}

/// Asks the Larder that runs on this cache folder. Calls `item` with each item of the answer as it comes, and returns the
/// result behind them.
pub fn ask_each(folder: &Path, command: &Command, mut item: impl FnMut(Value)) -> Result<Value, AskError> {
    let stream = Address::of(folder).and_then(|address| UnixStream::connect(&address.path));
    let mut stream = stream.map_err(|error| nobody(folder, error))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(AskError::Io)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(AskError::Io)?;
    // one that refuses the line ends the connection before all of it is read, and says why
    let sent = stream.write_all(format!("{}\n", command.line()).as_bytes());
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if let Err(error) = lines.read_line(&mut line) {
            return Err(AskError::Io(sent.err().unwrap_or(error)));
        }
        match read_answer(&line)? {
            Answer::Item(value) => item(value),
            Answer::End(value) => return Ok(value),
        }
    }
}

/// One line of an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Item(Value),
    End(Value),
}

pub(super) fn read_answer(line: &str) -> Result<Answer, AskError> {
    let mut answer: Value = serde_json::from_str(line).unwrap_or_default();
    if let Some(item) = answer.get_mut("item").map(Value::take) {
        return Ok(Answer::Item(item));
    }
    match (answer.get_mut("ok").map(Value::take), answer.get("error").and_then(Value::as_str)) {
        (Some(value), _) => Ok(Answer::End(value)),
        (None, Some(error)) if error.starts_with(UNKNOWN) => Err(AskError::Unknown(error.to_owned())),
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
