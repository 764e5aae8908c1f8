//! The rules of the operator: which requests and answers they are about, and what they set. Pure.
//!
//! | module | what it knows |
//! |---|---|
//! | [`spec`] | a rule as it was written |
//! | [`settings`] | what a rule can set; later settings replace earlier ones |
//! | `values` | the values of settings that are more than a number or a text |
//! | `path`, `pattern`, `query` | the readings of a path, patterns, parameters |
//! | `compile` | which rules are valid |
//! | `matching`, `matched` | which rules a request and its answer match |
//! | `merged` | what they set together, and who set what |
//! | `rewriting` | a change of the path |
//! | `written` | conditions as the file writes them |
//!
//! Every rule that matches applies; if two set the same thing, the later one wins. A path can be read in several ways. What
//! forbids applies if one reading matches, what permits if all do: a careless origin may take `/static/../account` for
//! `/account`, which must not get what /static is permitted. What forbids applies in upper and in lower case.

mod compile;
mod matched;
mod matching;
mod merged;
mod path;
mod pattern;
mod query;
mod rewriting;
mod settings;
mod spec;
#[cfg(test)]
mod tests;
mod values;
mod written;

pub use compile::{Fault, MOST_EXPRESSIONS, MOST_PATTERNS, MOST_RULES};
pub use matched::{How, Matched};
pub use matching::{Asked, Rules, media_type};
pub use merged::Merged;
pub use pattern::{PathPattern, Words, cut};
pub use query::{Parameter, select};
pub use rewriting::Rewriting;
pub use settings::{Setting, Settings, Stage};
pub use spec::{Conditions, RuleSpec};
pub use values::{Edits, Ignore, Rewrite};
pub use written::quoted;
