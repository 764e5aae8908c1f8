//! Checks the rules as they were written, and makes of each what can be asked.

use regex::Regex;

use super::{
    pattern::{Words, cut, expression, path_globs},
    rewriting::Rewriting,
    settings::{Setting, Settings, Stage},
    spec::{Conditions, RuleSpec},
    values::Edits,
};
use crate::message::{FieldName, Method};

/// The most rules of a site.
pub const MOST_RULES: usize = 1000;
/// The most patterns of a rule, in all its lists.
pub const MOST_PATTERNS: usize = 64;
/// The most regular expressions in the rules of a site. Each is looked for in the path of a target that was not asked for
/// lately, which may have 8 KB.
pub const MOST_EXPRESSIONS: usize = 100;

/// What no rule may change: the fields that frame an answer, and those that Larder writes.
const RESERVED: [&str; 11] = [
    "age",
    "cache-status",
    "connection",
    "content-length",
    "content-range",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "via",
    "x-cache",
];

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The rule's place in the list.
    pub rule: usize,
    /// The word of the file that the fault is about. Empty: the rule itself.
    pub word: &'static str,
    pub problem: String,
}

/// The conditions of one rule, ready to be asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Compiled {
    /// Its patterns are among those of all rules.
    pub has_path: bool,
    pub path_regex: Vec<Regex>,
    pub methods: Vec<Method>,
    pub header: Vec<(FieldName, Words)>,
    pub query: Vec<(String, Words)>,
    pub status: Vec<u16>,
    pub content_type: Words,
}

/// Checks one rule, and notes every fault. `path` gets the globs of its paths.
pub(super) fn compile(
    spec: &RuleSpec,
    path: &mut dyn FnMut(globset::Glob),
    fault: &mut dyn FnMut(&'static str, String),
) -> Compiled {
    let Conditions { path: paths, path_regex, methods, header, query, status, content_type } = &spec.when;
    let mut compiled = Compiled { has_path: !paths.is_empty(), ..Compiled::default() };
    for pattern in paths {
        match path_globs(pattern) {
            Ok(globs) => globs.into_iter().for_each(&mut *path),
            Err(problem) => fault("path", format!("{:?}: {problem}", cut(pattern))),
        }
    }
    for pattern in path_regex {
        match expression(pattern) {
            Ok(regex) => compiled.path_regex.push(regex),
            Err(problem) => fault("path-regex", format!("{:?}: {problem}", cut(pattern))),
        }
    }
    for name in methods {
        match Method::from_bytes(name.as_bytes()) {
            Ok(method) if !name.bytes().any(|byte| byte.is_ascii_lowercase()) => compiled.methods.push(method),
            _ => fault("methods", format!("{:?}: expected a method in capitals, for example \"GET\"", cut(name))),
        }
    }
    for (name, patterns) in header {
        match Words::new(patterns.iter().map(String::as_str), true) {
            Ok(words) => compiled.header.push((name.clone(), words)),
            Err(problem) => fault("header", problem),
        }
    }
    for (name, patterns) in query {
        match Words::new(patterns.iter().map(String::as_str), false) {
            Ok(words) => compiled.query.push((name.clone(), words)),
            Err(problem) => fault("query", problem),
        }
    }
    for status in status {
        match status {
            200..=599 => compiled.status.push(*status),
            _ => fault("status", format!("{status}: expected a status from 200 to 599, for example 404")),
        }
    }
    match Words::new(content_type.iter().map(String::as_str), true) {
        Ok(words) => compiled.content_type = words,
        Err(problem) => fault("content-type", problem),
    }
    let values = |lists: usize, values: usize| if lists == 0 { 0 } else { values };
    let patterns = paths.len()
        + path_regex.len()
        + content_type.len()
        + values(header.len(), header.iter().map(|(_, patterns)| patterns.len()).sum())
        + values(query.len(), query.iter().map(|(_, patterns)| patterns.len()).sum());
    if patterns > MOST_PATTERNS {
        fault("", format!("it has {patterns} patterns; expected at most {MOST_PATTERNS}, split it into two rules"));
    }
    check(spec, fault);
    compiled
}

/// Notes what does not go together in a rule.
fn check(spec: &RuleSpec, fault: &mut dyn FnMut(&'static str, String)) {
    let RuleSpec { when, set, .. } = spec;
    if set.set().next().is_none() {
        fault("", "it sets nothing; expected a setting, for example ttl = \"10m\" or bypass = true".to_owned());
    }
    if when.are_about_answer() {
        let about = if when.status.is_empty() { "content-type" } else { "status" };
        for setting in set.set().filter(|setting| setting.stage() == Stage::Request) {
            let problem = format!(
                "a rule with `{about}` is about the answer: `{setting}` is decided before the origin is asked; put it into \
                 a rule without `{about}`"
            );
            fault(setting.as_str(), problem);
        }
    }
    if let (Some(least), Some(most)) = (set.min_ttl, set.max_ttl)
        && least > most
    {
        fault("min-ttl", "it is longer than max-ttl; expected at most that".to_owned());
    }
    if set.ignore_query.is_some() && set.only_query.is_some() {
        fault("only-query", "it says all that ignore-query says; expected one of the two".to_owned());
    }
    for name in set.key_headers.iter().flatten() {
        let instead = match name.as_str() {
            "cookie" => "name the cookies in key-cookies",
            "host" => "the host is part of the key where the origin gets it (see host-header)",
            name if is_not_the_clients(name) => {
                "Larder removes or writes this field, so it tells nothing; expected another one"
            }
            _ => continue,
        };
        fault("key-headers", format!("{}: {instead}", cut(name.as_str())));
    }
    for name in set.key_cookies.iter().flatten() {
        if name.is_empty() || name.contains(|c: char| "=;, \"\\*".contains(c) || !c.is_ascii_graphic()) {
            fault("key-cookies", format!("{:?}: expected the name of a cookie, for example \"lang\"", cut(name)));
        }
    }
    check_query(set, fault);
    if let Some(rewrite) = &set.rewrite
        && let Err(problem) = Rewriting::new(rewrite)
    {
        fault("rewrite", problem);
    }
    if let Some(Edits { remove, set, add }) = &set.response {
        let named = remove.iter().chain(set.iter().map(|(name, _)| name)).chain(add.iter().map(|(name, _)| name));
        for name in named.filter(|name| RESERVED.contains(&name.as_str())) {
            fault("response", format!("{name}: Larder writes this field itself; expected another one"));
        }
    }
}

/// Returns true for fields whose value at the origin is not the one that the client sent, or that ask for a part.
fn is_not_the_clients(name: &str) -> bool {
    const OTHERS: [&str; 13] = [
        "connection",
        "content-length",
        "expect",
        "forwarded",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
        "te",
        "via",
        "x-real-ip",
    ];
    OTHERS.contains(&name) || name.starts_with("x-forwarded") || name.contains("-method")
}

fn check_query(set: &Settings, fault: &mut dyn FnMut(&'static str, String)) {
    for (setting, names) in [(Setting::IgnoreQuery, &set.ignore_query), (Setting::OnlyQuery, &set.only_query)] {
        let patterns = names.iter().flatten().map(String::as_str);
        if let Err(problem) = Words::new(patterns, false) {
            fault(setting.as_str(), problem);
        }
        if names.as_ref().is_some_and(|names| names.len() > MOST_PATTERNS) {
            fault(setting.as_str(), format!("it has more than {MOST_PATTERNS} patterns"));
        }
    }
}
