//! The values of settings that are more than a number or a text.

use crate::message::{FieldName, FieldValue};

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
