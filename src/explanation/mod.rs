//! What would happen to one request and why, as plain data: the answer of `larder explain`, and how it is shown.

mod show;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use show::show;

/// The request that is explained.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Wanted {
    pub method: String,
    /// The path and the query, as a client sends them.
    pub target: String,
    /// The Host field. `None`: the address that Larder listens on.
    #[serde(default)]
    pub host: Option<String>,
    /// The other fields of the request: names and values.
    #[serde(default)]
    pub fields: Vec<(String, String)>,
    /// The content of the request.
    #[serde(default)]
    pub data: Option<String>,
    /// The origin is asked, and nothing is stored.
    #[serde(default)]
    pub ask: bool,
}

/// What would happen to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Explanation {
    pub outcome: Outcome,
    /// The outcome in a sentence, without the word of the outcome.
    pub sentence: String,
    pub method: String,
    /// The URL that was asked for.
    pub url: String,
    /// True if the origin would be asked, or was asked for this explanation.
    pub asks_origin: bool,
    /// Larder's member of Cache-Status. `None`: it depends on the origin's answer.
    pub cache_status: Option<String>,
    /// True if the origin's answer would be stored. `None`: it depends on the answer, or there is none.
    pub stores: Option<bool>,
    /// What stands in the way of an answer from the cache, and of storing, the first first.
    pub reasons: Vec<Why>,
    /// What would change it.
    pub changes: Vec<Change>,
    /// The stored response that was looked at.
    pub stored: Option<Stored>,
    /// The steps of the decision, in their order.
    pub steps: Vec<Step>,
}

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A stored response answers, which is fresh or was validated.
    Hit,
    /// A stored response answers, although it is stale.
    Stale,
    /// The origin answers, and the answer may be stored.
    Miss,
    /// The origin answers, and the answer is not stored.
    Never,
    /// Larder refuses the request.
    Refused,
    /// The origin cannot answer.
    Error,
}

impl Outcome {
    /// Returns the word that begins the explanation.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Hit => "HIT",
            Outcome::Stale => "STALE",
            Outcome::Miss => "MISS",
            Outcome::Never => "NEVER CACHED",
            Outcome::Refused => "REFUSED",
            Outcome::Error => "ERROR",
        }
    }

    /// Returns true if a stored response answers.
    pub fn is_hit(self) -> bool {
        matches!(self, Outcome::Hit | Outcome::Stale)
    }
}

/// A reason, as docs/reasons.md lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Why {
    /// The name for programs: `not_stored`.
    pub reason: String,
    /// The words for people. A reason that comes from a rule names the rule.
    pub words: String,
    /// What one can do about it.
    pub advice: Option<String>,
}

/// A change after which the answer would be stored, or would come from the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Change {
    /// What it is good for: `To cache it for each Authorization`.
    pub purpose: String,
    /// What to write: `--rule '/me ttl=1m key-headers=authorization'`.
    pub write: String,
    /// What must be true for the change to be harmless.
    pub only_if: Option<String>,
}

/// The numbers of a stored response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Stored {
    pub status: u16,
    /// The bytes of its body.
    pub bytes: u64,
    /// When it came from the origin, or was validated last: milliseconds since the Unix epoch.
    pub received: i64,
    /// In seconds.
    pub age: u64,
    /// In seconds.
    pub lifetime: u64,
    /// The name of what set the lifetime.
    pub lifetime_by: String,
    /// The seconds that are left. A negative number says how long it has been stale.
    pub ttl: i64,
    /// The number of responses that are stored for the URL.
    pub variants: usize,
}

/// One step of the decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Step {
    /// `request`, `rule`, `key`, `stored`, `asked`, `response` or `after`.
    pub name: String,
    pub says: String,
    /// What follows from it. Empty: nothing.
    pub note: String,
}

impl Step {
    pub fn new(name: &str, says: impl Into<String>, note: impl Into<String>) -> Step {
        Step { name: name.to_owned(), says: says.into(), note: note.into() }
    }
}
