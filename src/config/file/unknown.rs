//! Words that a file may not have, and what may be meant.

use super::document::{Entry, Wrong};
use crate::{cli::Arguments, rules::cut};

/// Words that may be meant have at most so many letters that differ.
const DISTANCE: usize = 2;

/// Words of later versions, and what to write instead, if there is something.
const LATER: [(&str, &str); 14] = [
    ("access-log", ""),
    ("admin", ""),
    ("balance", ""),
    ("certificate", ""),
    ("health", ""),
    ("listen", "write host and port, for example host = \"0.0.0.0\" and port = 8080"),
    ("listen-tls", ""),
    ("redirect-https", ""),
    ("remove-request", ""),
    ("set-request", ""),
    ("shared", ""),
    ("shared-name", ""),
    ("tls-cert", ""),
    ("tls-key", ""),
];

/// Flags that have another word in the file.
const OTHERWISE: [(&str, &str); 8] = [
    ("allow-host", "write hosts"),
    ("clear-cache", "this is a command, not a setting; run larder --clear-cache"),
    ("config", "a file cannot name another one"),
    ("key-cookie", "write key-cookies"),
    ("key-header", "write key-headers"),
    ("rules", "write [[rule]] above each rule"),
    ("sites", "write [[site]] above each site"),
    ("tracking", "write ignore-query = [\"@tracking\"]"),
];

/// Says that a word is unknown, and what may be meant. `place` says where it is: `in a rule`. `known`: the words that may be
/// there.
pub fn unknown(entry: &Entry, place: &str, known: &[&[&str]]) -> Wrong {
    let key = entry.key.as_str();
    let of = |words: &[(&str, &'static str)]| words.iter().find(|(word, _)| *word == key).map(|(_, text)| *text);
    let problem = if let Some(instead) = of(&LATER) {
        let instead = if instead.is_empty() { String::new() } else { format!("; {instead}") };
        format!("this version of Larder does not have {key} yet{instead}")
    } else if let Some(instead) = of(&OTHERWISE) {
        format!("unknown setting {key} {place}: {instead}")
    } else if is_of_all(key) {
        format!("{key} cannot be set {place}: write it at the top of the file, above the first [ or [[")
    } else if ["hosts", "origin", "path", "preset", "rule", "site"].contains(&key) {
        format!("{key} cannot be set {place}")
    } else {
        let words = || known.iter().flat_map(|words| words.iter().copied());
        let nearest = words().map(|word| (strsim::damerau_levenshtein(key, word), word)).min();
        match nearest.filter(|(distance, _)| *distance <= DISTANCE) {
            Some((_, meant)) => format!("unknown setting {:?} {place}: did you mean {meant}?", cut(key)),
            None => {
                let words: Vec<_> = words().collect();
                format!("unknown setting {:?} {place}: expected one of {}", cut(key), words.join(", "))
            }
        }
    };
    Wrong { line: entry.line, key: String::new(), value: None, problem }
}

/// Returns true for a setting of the whole program.
fn is_of_all(key: &str) -> bool {
    Arguments::flags().iter().any(|flag| flag.is_in_file && flag.field.replace('_', "-") == key && key != "origin")
}
