//! A rule as it was written: which requests and answers it is about, and what it sets. Plain data.

use std::sync::Arc;

use super::settings::Settings;
use crate::message::{FieldName, FieldValue};

/// One rule. Every rule whose conditions hold applies; if two set the same thing, the later one wins.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSpec {
    /// What people call the rule: `rule 3 of larder.toml`, `--rule 2`.
    pub name: Arc<str>,
    pub when: Conditions,
    pub set: Settings,
}

/// What must hold for a rule to apply: all of these, and of each list one. An empty list asks for nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// Patterns of the path. One without wildcards is that path and everything below it.
    pub path: Vec<String>,
    /// Regular expressions that the path contains.
    pub path_regex: Vec<String>,
    /// Methods, in the spelling of requests: `GET`. GET stands for HEAD, too.
    pub methods: Vec<String>,
    /// Fields of the request, each with the patterns of its value.
    pub header: Vec<(FieldName, Vec<String>)>,
    /// Parameters of the query, each with the patterns of its value.
    pub query: Vec<(String, Vec<String>)>,
    /// Statuses of the answer.
    pub status: Vec<u16>,
    /// Patterns of the answer's media type, without parameters.
    pub content_type: Vec<String>,
}

impl Conditions {
    /// Returns true if the rule is about the answer: the status or the content type.
    pub fn are_about_answer(&self) -> bool {
        !self.status.is_empty() || !self.content_type.is_empty()
    }
}

/// An obstacle to storing that a rule takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignore {
    NoStore,
    Private,
    NoCache,
    SetCookie,
    Authorization,
    Vary,
}

impl Ignore {
    pub const ALL: [Ignore; 6] =
        [Ignore::NoStore, Ignore::Private, Ignore::NoCache, Ignore::SetCookie, Ignore::Authorization, Ignore::Vary];

    /// Returns the word of the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Ignore::NoStore => "no-store",
            Ignore::Private => "private",
            Ignore::NoCache => "no-cache",
            Ignore::SetCookie => "set-cookie",
            Ignore::Authorization => "authorization",
            Ignore::Vary => "vary",
        }
    }
}

/// Changes of the fields of every answer. They are made after storing: first what is removed, then what is set, then what
/// is added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edits {
    pub remove: Vec<FieldName>,
    pub set: Vec<(FieldName, FieldValue)>,
    pub add: Vec<(FieldName, FieldValue)>,
}

/// A change of the path before the key is made. `from` is a regular expression; `to` may name its groups: `/$1`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewrite {
    pub from: String,
    pub to: String,
}
