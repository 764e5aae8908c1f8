//! The answer to a client of the control socket: any number of items, then the result. Each is one line of JSON.

use std::{
    io::Write,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::list::Row;

/// Clients that may read items at the same time. A client reads as slowly as it likes, so one more gets an error: others
/// must find a thread that answers.
pub const STREAMS: usize = 8;

/// An item of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Item {
    /// So many stored responses were looked at until now.
    LookedAt(u64),
    /// A stored response.
    Row(Box<Row>),
}

/// The answer to one client.
pub struct Reply<'a> {
    out: &'a mut dyn Write,
    streams: &'a AtomicUsize,
    /// True once this client is one of those that read items.
    is_stream: bool,
}

impl<'a> Reply<'a> {
    /// `streams`: the number of clients that read items now.
    pub(super) fn new(out: &'a mut dyn Write, streams: &'a AtomicUsize) -> Reply<'a> {
        Reply { out, streams, is_stream: false }
    }

    /// Sends items: `{"item": ...}`. An error: the client has left, or too many read items already. Then the command should end.
    pub fn send<T: Serialize>(&mut self, items: impl IntoIterator<Item = T>) -> Result<(), String> {
        if !self.is_stream {
            let taken = self.streams.try_update(Relaxed, Relaxed, |count| (count < STREAMS).then_some(count + 1));
            taken
                .map_err(|_| format!("{STREAMS} others read lists of this Larder now; try again when one has ended"))?;
            self.is_stream = true;
        }
        let mut lines = Vec::new();
        for item in items {
            let line = json!({ "item": item });
            lines.extend(line.to_string().into_bytes());
            lines.push(b'\n');
        }
        self.out.write_all(&lines).map_err(|error| format!("the client does not read: {error}"))
    }

    /// Sends the result: `{"ok": ...}` or `{"error": "..."}`.
    pub(super) fn end(self, result: Result<Value, String>) -> std::io::Result<()> {
        let line = match result {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": error }),
        };
        self.out.write_all(format!("{line}\n").as_bytes())
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        if self.is_stream {
            self.streams.fetch_sub(1, Relaxed);
        }
    }
}
