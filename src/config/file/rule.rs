//! One rule: when it applies, and what it sets.

use std::sync::Arc;

use super::{
    document::{Entry, Written, Wrong},
    setting,
    unknown::unknown,
};
use crate::rules::{Conditions, RuleSpec, Setting, Settings, cut};

/// The words of conditions.
pub const CONDITIONS: [&str; 7] = ["path", "path-regex", "methods", "header", "query", "status", "content-type"];

/// A rule, and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub spec: RuleSpec,
    /// The line of each of its words, and under the empty word its own.
    lines: Vec<(String, usize)>,
}

impl Draft {
    pub fn new(name: Arc<str>, line: usize) -> Draft {
        let spec = RuleSpec { name, when: Conditions::default(), set: Settings::default() };
        Draft { spec, lines: vec![(String::new(), line)] }
    }

    /// Returns the line of a word, or of the rule if the word is not in it.
    pub fn line(&self, word: &str) -> usize {
        let known = self.lines.iter().find(|(of, _)| of == word);
        known.map_or(self.lines[0].1, |(_, line)| *line)
    }

    /// Sets one setting. The error has everything that is wrong with its value.
    pub fn set(&mut self, setting: Setting, entry: &Entry) -> Result<(), Vec<Wrong>> {
        self.lines.push((entry.key.clone(), entry.line));
        setting::set(&mut self.spec.set, setting, &entry.value).map_err(|wrong| named(wrong, &entry.key))
    }
}

/// Returns the setting of this word.
pub fn setting_of(word: &str) -> Option<Setting> {
    Setting::ALL.iter().copied().find(|setting| setting.as_str() == word)
}

/// Reads a rule, and notes what is wrong with it.
pub fn rule(entries: &[Entry], name: Arc<str>, line: usize, note: &mut dyn FnMut(Wrong)) -> Draft {
    let mut draft = Draft::new(name, line);
    for entry in entries {
        let read = match setting_of(&entry.key) {
            Some(setting) => draft.set(setting, entry),
            None if CONDITIONS.contains(&&*entry.key) => {
                draft.lines.push((entry.key.clone(), entry.line));
                condition(&mut draft.spec.when, entry).map_err(|wrong| named(wrong, &entry.key))
            }
            None => Err(unknown(entry, "in a rule", &[&CONDITIONS, &words()]).into()),
        };
        read.err().into_iter().flatten().for_each(&mut *note);
    }
    draft
}

/// Returns the words of all settings.
pub fn words() -> Vec<&'static str> {
    Setting::ALL.iter().map(|setting| setting.as_str()).collect()
}

fn named(wrong: Vec<Wrong>, key: &str) -> Vec<Wrong> {
    let named = |wrong: Wrong| if wrong.key.is_empty() { wrong.of(key) } else { wrong };
    wrong.into_iter().map(named).collect()
}

fn condition(when: &mut Conditions, Entry { key, value, .. }: &Entry) -> Result<(), Vec<Wrong>> {
    match key.as_str() {
        "path" => when.path = setting::texts(value, "a path, for example \"/admin\"")?,
        "path-regex" => when.path_regex = setting::texts(value, "a regular expression, for example \"^/v[0-9]+/\"")?,
        "methods" => when.methods = setting::texts(value, "a method in capitals, for example \"GET\"")?,
        "header" => when.header = patterns(value, "header = { accept = \"*json*\" }", setting::name)?,
        "query" => when.query = patterns(value, "query = { format = \"json\" }", |name| Some(name.to_owned()))?,
        "status" => when.status = value.list(status)?,
        _ => when.content_type = setting::texts(value, "a media type, for example \"image/*\"")?,
    }
    Ok(())
}

fn status(value: &Written) -> Result<u16, Wrong> {
    let expected = "a status, for example 404";
    let digits = value.text_or_number(expected)?;
    digits.parse().map_err(|_| value.wrong(format!("expected {expected}")))
}

fn patterns<N>(
    value: &Written,
    example: &str,
    name: impl Fn(&str) -> Option<N>,
) -> Result<Vec<(N, Vec<String>)>, Vec<Wrong>> {
    let (mut patterns, mut all_wrong) = (Vec::new(), Vec::new());
    for entry in value.table(&format!("a table, for example {example}"))? {
        let Some(name) = name(&entry.key) else {
            all_wrong.push(entry.wrong(format!("{:?} cannot be a name", cut(&entry.key))));
            continue;
        };
        match setting::texts(&entry.value, "a text, for example \"*json*\"") {
            Ok(texts) => patterns.push((name, texts)),
            Err(wrong) => all_wrong.extend(wrong),
        }
    }
    if all_wrong.is_empty() { Ok(patterns) } else { Err(all_wrong) }
}
