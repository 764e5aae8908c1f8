//! A rule in one line, as a flag has it: `/graphql methods=POST ttl=60s`.

use std::sync::Arc;

use super::{
    document::{Entry, Value, Written, Wrong},
    rule::{self, Draft},
};

/// What a rule looks like.
const FORM: &str = "expected a path and what is done there, for example \"/admin bypass\" or \"/api ttl=10m\"";

/// Reads a rule, and notes what is wrong with it.
pub fn rule(text: &str, name: Arc<str>, note: &mut dyn FnMut(Wrong)) -> Draft {
    let mut entries = Vec::new();
    for (nth, word) in text.split_whitespace().enumerate() {
        let (key, value) = match word.split_once('=') {
            _ if nth == 0 && word.starts_with('/') => ("path", list(word)),
            Some((key, value)) => (key, list(value)),
            None => (word, Value::Switch(true)),
        };
        let keys: Vec<&str> = key.split('.').collect();
        if insert(&mut entries, &keys, value).is_err() {
            note(Wrong { line: 1, key: key.to_owned(), value: None, problem: "it is written twice".to_owned() });
        }
    }
    if entries.is_empty() {
        note(Wrong { line: 1, key: String::new(), value: None, problem: FORM.to_owned() });
    }
    rule::rule(&entries, name, 1, note)
}

/// Puts a value into a table, or into tables in it: `header.accept`. The error means that it is there already.
fn insert(entries: &mut Vec<Entry>, keys: &[&str], value: Value) -> Result<(), ()> {
    let [key, inner @ ..] = keys else { return Err(()) };
    let at = entries.iter().position(|entry| entry.key == *key);
    let value = match (at, inner) {
        (None, []) => value,
        (None, inner) => {
            let mut table = Vec::new();
            insert(&mut table, inner, value)?;
            Value::Table(table)
        }
        (Some(at), inner) => {
            return match &mut entries[at].value.value {
                Value::Table(table) if !inner.is_empty() => insert(table, inner, value),
                _ => Err(()),
            };
        }
    };
    entries.push(Entry { key: (*key).to_owned(), line: 1, value: Written { line: 1, value } });
    Ok(())
}

/// Splits a value at its commas, but for those in braces: `utm_*,gclid`, `/{a,b}`.
fn list(text: &str) -> Value {
    let mut depth = 0_usize;
    let parts: Vec<&str> = text
        .split(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        })
        .collect();
    let one = |text: &str| match text {
        "true" => Value::Switch(true),
        "false" => Value::Switch(false),
        text => Value::Text(text.to_owned()),
    };
    match parts[..] {
        [text] => one(text),
        _ => Value::List(parts.into_iter().map(|text| Written { line: 1, value: one(text) }).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Seconds,
        message::FieldName,
        rules::{Conditions, Ignore, Rewrite, Settings},
    };

    fn read(text: &str) -> (Conditions, Settings) {
        let draft = rule(text, "--rule".into(), &mut |wrong| panic!("{text}: {wrong:?}"));
        (draft.spec.when, draft.spec.set)
    }

    fn wrong(text: &str) -> String {
        let mut all = Vec::new();
        rule(text, "--rule".into(), &mut |Wrong { key, value, problem, .. }| {
            all.push(format!("{key} {}: {problem}", value.unwrap_or_default()));
        });
        all.join("; ")
    }

    #[test]
    fn a_rule_in_one_line_has_the_words_of_the_file() {
        let path = |path: &str| Conditions { path: vec![path.to_owned()], ..Conditions::default() };
        let bypass = Settings { bypass: Some(true), ..Settings::default() };
        let ttl = |seconds| Settings { ttl: Some(Seconds(seconds)), ..Settings::default() };
        assert_eq!(read("/admin bypass"), (path("/admin"), bypass.clone()));
        assert_eq!(read(" /admin  bypass=true "), (path("/admin"), bypass));
        let post = Conditions { methods: vec!["POST".to_owned()], ..path("/graphql") };
        assert_eq!(read("/graphql methods=POST ttl=60s"), (post, ttl(60)));
        let missing = Conditions { status: vec![404, 410], ..Conditions::default() };
        assert_eq!(read("status=404,410 ttl=10s"), (missing, ttl(10)));
        let names = Some(vec!["utm_*".to_owned(), "gclid".to_owned()]);
        assert_eq!(read("/ ignore-query=utm_*,gclid").1, Settings { ignore_query: names, ..Settings::default() });
        assert_eq!(read("/**/*.{css,js} ttl=1d").0, path("/**/*.{css,js}"));
        let header = FieldName::from_static("accept");
        let json = Conditions { header: vec![(header, vec!["*json*".to_owned()])], ..path("/a") };
        assert_eq!(read("/a header.accept=*json* ttl=1s"), (json, ttl(1)));
        let (_, set) = read("/ ignore=vary,set-cookie rewrite.from=^/a rewrite.to=/b");
        assert_eq!(set.ignore, Some(vec![Ignore::Vary, Ignore::SetCookie]));
        assert_eq!(set.rewrite, Some(Rewrite { from: "^/a".to_owned(), to: "/b".to_owned() }));
        let (_, set) = read("/ response.remove=A,b response.set.X-C=d");
        assert_eq!(
            set.written(crate::rules::Setting::Response),
            r#"response = { remove = ["a", "b"], set = { "x-c" = "d" } }"#
        );
    }

    #[test]
    fn what_is_wrong_in_it_is_told() {
        for (text, problem) in [
            ("", format!(" : {FORM}")),
            ("/a ttl=60", "ttl 60: missing unit (use ms, s, m, h, d or w)".to_owned()),
            ("/a ttl", "ttl true: expected a time with a unit, for example \"10m\"".to_owned()),
            ("/a ttl=1s ttl=2s", "ttl : it is written twice".to_owned()),
            ("/a tll=1s", " : unknown setting \"tll\" in a rule: did you mean ttl?".to_owned()),
            ("/a /b bypass", " : unknown setting \"/b\" in a rule: expected one of path, ".to_owned()),
            ("/a status=ok ttl=1s", "status ok: expected a status, for example 404".to_owned()),
        ] {
            assert!(wrong(text).starts_with(&problem), "{text}: {}", wrong(text));
        }
    }
}
