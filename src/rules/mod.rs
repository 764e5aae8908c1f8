//! The rules of the operator: which requests and answers they are about, and what they set. Pure.

mod spec;

pub use spec::{Conditions, Edits, Ignore, Rewrite, RuleSpec, Settings};
