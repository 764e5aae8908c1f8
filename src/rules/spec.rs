//! A rule as it was written: which requests and answers it is about, and what it sets. Plain data.

use std::sync::Arc;

use super::settings::Settings;
use crate::message::FieldName;

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
