//! What a client of the control socket asks for, as the line that it sends.

use serde::{Deserialize, Serialize};

use super::{list::ListRequest, purge::PurgeRequest};
use crate::explanation::Wanted;

/// The longest line that a client may send, in bytes. A longer one is refused.
pub const LONGEST_LINE: usize = 1 << 20;

/// What a client of the socket can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Forgets everything. The answer is `{"responses": n, "bytes": n}`.
    Clear,
    /// Tells what is stored. The answer is an object of numbers.
    Stats,
    /// The same, with the counters of so many last seconds alone.
    StatsSince(u64),
    /// Reads the settings once more, and takes them over. The answer is a text that says what has changed.
    Reload,
    /// Tells which process runs. The answer is [`identity`](super::identity).
    Ping,
    /// Removes responses. The items are [`Item::LookedAt`](super::Item::LookedAt), the result is a
    /// [`Purged`](super::purge::Purged).
    Purge(PurgeRequest),
    /// Lists what is stored. The items are [`Item`](super::Item)s, the result is a [`Listed`](super::list::Listed).
    List(ListRequest),
    /// Explains what would happen to a request. The answer is an [`Explanation`](crate::explanation::Explanation).
    Explain(Wanted),
    /// Tells each request that ends from now on, if its line holds the text. The answer ends when Larder stops.
    Tail(Option<String>),
}

impl Command {
    /// Returns the line that asks for this: `stats`, or `{"purge":{"urls":["/a"]}}`. A command without arguments is its
    /// word alone, as in the first version of the socket.
    pub fn line(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        json.trim_matches('"').to_owned()
    }

    /// Parses a line. The error says what is wrong with it, and begins with [`UNKNOWN`].
    pub fn parse(line: &[u8]) -> Result<Command, String> {
        let line = line.trim_ascii_end();
        let parsed = match line.first() {
            Some(b'{') => serde_json::from_slice(line).map_err(|error| error.to_string()),
            _ => {
                let word = String::from_utf8_lossy(line);
                serde_json::from_value(word.as_ref().into()).map_err(|error| error.to_string())
            }
        };
        parsed.map_err(|error| {
            let error: String = error.chars().take(LONGEST_ERROR).collect();
            let version = env!("CARGO_PKG_VERSION");
            format!("{UNKNOWN}: {error} (Larder {version} runs here)")
        })
    }
}

/// How the error of a command begins that this version does not know, and the errors of earlier ones.
pub const UNKNOWN: &str = "no such command";

/// The most characters of an error about a line that are told.
const LONGEST_ERROR: usize = 200;
