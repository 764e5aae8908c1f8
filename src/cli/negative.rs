//! Negative numbers on the command line.

use std::ffi::OsString;

use clap::CommandFactory;

use super::arguments::Arguments;

/// Joins each flag that needs a value with a negative number behind it: `--port -1` becomes `--port=-1`. Otherwise clap
/// would take the number for a flag, and the error would not say what the flag expects.
pub(super) fn joined(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for word in words {
        match joined.last_mut() {
            Some(flag) if is_negative(&word) && needs_value(flag) => {
                flag.push("=");
                flag.push(word);
            }
            _ => joined.push(word),
        }
    }
    joined
}

fn is_negative(word: &OsString) -> bool {
    matches!(word.as_encoded_bytes(), [b'-', digit, ..] if digit.is_ascii_digit())
}

/// Returns true for a flag whose value is the next word.
pub(super) fn needs_value(flag: &OsString) -> bool {
    let name = flag.to_str().and_then(|flag| flag.strip_prefix("--"));
    let needs = |arg: &clap::Arg| arg.get_long() == name && arg.get_action().takes_values();
    name.is_some() && Arguments::command().get_arguments().any(needs)
}
