//! What can be enforced is enforced: who may use what, how long a file is, which words it speaks.

mod circles;
mod layers;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const LONGEST_FILE: usize = 450;

/// The crate's own modules, and which others of them each may use (design.md §3). Those not named may use all.
const FENCES: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("blocking", &[]),
    ("boxes", &[]),
    ("logging", &["clock", "fields", "terminal"]),
    ("default", &[]),
    ("units", &[]),
    ("regular", &["units"]),
    ("terminal", &["clock"]),
    ("cli", &["default"]),
    (
        "config",
        &[
            "cli", "client", "clock", "default", "message", "origin", "policy", "proxy", "regular", "rules", "store",
            "units",
        ],
    ),
    ("announce", &["config", "policy", "terminal", "units"]),
    ("admin", &["clock", "explanation", "policy", "store", "terminal", "units"]),
    ("explanation", &["terminal"]),
    ("key", &["message"]),
    ("message", &["clock", "purge"]),
    ("purge", &[]),
    ("fields", &["clock", "message"]),
    ("policy", &["clock", "fields", "message", "purge"]),
    ("rules", &["clock", "message", "units"]),
    ("store", &["blocking", "clock", "fields", "key", "message", "purge"]),
    ("origin", &["blocking", "boxes", "clock", "fields", "message", "regular"]),
    ("client", &["boxes", "clock", "fields", "message"]),
    // the client side gives it requests and takes its answers
    (
        "proxy",
        &[
            "client",
            "clock",
            "explanation",
            "fields",
            "key",
            "logging",
            "message",
            "origin",
            "policy",
            "purge",
            "rules",
            "store",
            "terminal",
            "units",
        ],
    ),
];

/// Crates, and the only places that may name them.
const CRATES: &[(&str, &[&str])] = &[
    ("clap", &["cli.rs", "cli/"]),
    ("sled", &["store/disk/records.rs"]),
    ("bincode", &["store/format/head.rs"]),
    ("awc", &["origin/"]),
    ("actix_", &["client/", "origin/", "server.rs", "server/", "main.rs"]),
    ("env_logger", &["logging.rs"]),
    ("jiff", &["terminal.rs"]),
    ("toml", &["config/file/document.rs"]),
    ("ipnet", &["client/trusted.rs"]),
    ("indicatif", &["commands/bar.rs"]),
];

/// Words that stand for nothing, or for something that has a better name (design.md §2).
const NEVER: &[&str] = &[
    "util",
    "utils",
    "helper",
    "helpers",
    "manager",
    "common",
    "upstream",
    "downstream",
    "backend",
    "stampede",
    "dogpile",
];

#[derive(Clone)]
struct Source {
    /// Below src/ or tests/, with `/`.
    name: String,
    /// Without comments and what stands in quotes.
    code: String,
    /// The code that is also there outside of tests.
    shipped: String,
    lines: usize,
    tests: bool,
}

impl Source {
    fn module(&self) -> &str {
        self.name.split('/').next().unwrap().trim_end_matches(".rs")
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (mut open, mut sources): (Vec<PathBuf>, Vec<Source>) = (vec![root.clone()], Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|child| child.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let tests = folder == "tests" || name.ends_with("tests.rs") || name.contains("tests/");
            let code = bare(&text);
            let shipped = if tests { String::new() } else { without_tests(&code) };
            sources.push(Source { lines: text.lines().count(), code, shipped, name, tests });
        }
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    sources
}

/// Takes comments and the contents of string literals out; lines stay lines.
fn bare(text: &str) -> String {
    let (mut code, mut rest) = (String::new(), text);
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            rest = &raw[raw.find("\"#").map_or(raw.len(), |end| end + 2)..];
        } else if c == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            code.push_str("\"\"");
            rest = &rest[end.map_or(rest.len(), |end| end + 2)..];
        } else if let Some(end) = character(rest) {
            rest = &rest[end..];
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    code
}

/// Where the character literal ends that `text` begins with.
fn character(text: &str) -> Option<usize> {
    let quoted = text.strip_prefix('b').unwrap_or(text).strip_prefix('\'')?;
    let length = match quoted.strip_prefix('\\') {
        Some(escaped) => 1 + escaped.get(1..)?.find('\'')? + 1,
        // what begins a lifetime has no second quote there
        None => quoted.chars().next()?.len_utf8(),
    };
    quoted[length..].starts_with('\'').then(|| text.len() - quoted.len() + length + 1)
}

/// Takes out each item that is there for tests only.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let (mut shipped, mut rest) = (String::new(), code);
    while let Some(at) = rest.find(MARK) {
        shipped.push_str(&rest[..at]);
        rest = &rest[at + MARK.len()..];
        let mut depth = 0;
        let end = rest.find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0 && matches!(c, ';' | '}')
        });
        rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
    }
    shipped + rest
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The first name of each path that begins with `crate::`, also of those in braces.
fn own_modules_used(code: &str) -> BTreeSet<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| is_word(*c)).collect::<String>();
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(name(rest));
            continue;
        };
        let mut depth = 0;
        names.insert(name(group));
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => drop(names.insert(name(&group[i + 1..]))),
                _ => {}
            }
        }
    }
    names.remove("");
    names
}

#[test]
fn modules_use_only_what_the_design_lets_them() {
    let mut broken = Vec::new();
    for source in sources("src") {
        let Some((module, allowed)) = FENCES.iter().find(|(module, _)| *module == source.module()) else { continue };
        for used in own_modules_used(&source.shipped) {
            if used != *module && !allowed.contains(&used.as_str()) {
                broken.push(format!("src/{} uses crate::{used}", source.name));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn crates_are_named_only_where_they_are_fenced() {
    let mut broken = Vec::new();
    for source in sources("src") {
        for (name, places) in CRATES {
            let own = |at: usize| !source.code[..at].ends_with(is_word);
            let path = |at: usize| source.code[at..].trim_start_matches(is_word).starts_with("::");
            let named = source.code.match_indices(name).any(|(at, _)| {
                own(at) && path(at) && {
                    let whole: String = source.code[at..].chars().take_while(|c| is_word(*c)).collect();
                    whole == *name || name.ends_with('_')
                }
            });
            if named && !places.iter().any(|place| source.name.starts_with(place)) {
                broken.push(format!("src/{} names {name}", source.name));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let long = |folder: &'static str| {
        let long = sources(folder).into_iter().filter(|source| source.lines > LONGEST_FILE);
        long.map(move |source| format!("{folder}/{}: {} lines", source.name, source.lines)).collect::<Vec<_>>()
    };
    assert_eq!([long("src"), long("tests")].concat(), [""; 0]);
}

#[test]
fn names_are_the_fields_own_words() {
    let mut broken = Vec::new();
    for source in sources("src") {
        let mut before = "";
        for word in source.code.split(|c| !is_word(c)).filter(|word| !word.is_empty()) {
            let defined = matches!(before, "fn" | "struct" | "enum" | "trait" | "mod" | "type" | "const" | "static");
            let of_crate = word == "futures_util";
            let empty = defined && (word.starts_with("get_") || word.starts_with("do_"));
            if empty || !of_crate && parts(word).iter().any(|part| NEVER.contains(&part.as_str())) {
                broken.push(format!("src/{}: {word}", source.name));
            }
            before = word;
        }
    }
    broken.dedup();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// `HttpProxy_helper` as `http`, `proxy`, `helper`.
fn parts(word: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in word.chars() {
        if c == '_' || c.is_uppercase() {
            parts.push(String::new());
        }
        if c != '_' {
            parts.last_mut().unwrap().extend(c.to_lowercase());
        }
    }
    parts
}

#[test]
fn no_test_makes_time_pass_by_sleeping() {
    for source in sources("src").iter().chain(&sources("tests")) {
        let calls = |code: &str| code.matches(concat!("sle", "ep(")).count();
        assert_eq!(calls(&source.code), calls(&source.shipped), "{} sleeps", source.name);
    }
}

#[test]
fn every_test_that_security_md_names_is_there() {
    let promises = include_str!("../../SECURITY.md").split("## Where it stands guard").next().unwrap();
    let all = [sources("src"), sources("tests")].concat();
    let mut named = 0;
    for name in promises.split('`').skip(1).step_by(2) {
        let path: Vec<&str> = name.split("::").collect();
        let (last, modules) = path.split_last().unwrap();
        let is_module = |source: &Source| source.name.trim_end_matches(".rs").ends_with(&path.join("/"));
        let is_test = |source: &Source| {
            let file = modules.iter().all(|module| source.name.contains(module));
            file && source.code.contains(&format!("fn {last}("))
        };
        if path.len() > 1 || last.matches('_').count() > 3 {
            named += 1;
            assert!(all.iter().any(|source| is_module(source) || is_test(source)), "SECURITY.md names {name}");
        }
    }
    assert!(named > 30, "{named}");
}

#[test]
fn the_scanner_sees_code_and_nothing_else() {
    assert_eq!(bare("a // b\nc \"d\\\" // e\" f '\"' g r#\"h\"# i"), "a \nc \"\" f  g  i");
    assert_eq!(bare(r"'{' b'\'' '\u{7b}' <'a> '\\' é"), "   <'a>  é");
    assert_eq!(without_tests("a #[cfg(test)] mod b; c #[cfg(test)] mod d { fn e() {} } f"), "a  c  f");
    let used = own_modules_used("use crate::{ a::{b, c}, d, e::f };\ncrate::g::h(); use crate::i;");
    assert_eq!(used.into_iter().collect::<Vec<_>>(), ["a", "d", "e", "g", "i"]);
    assert_eq!(parts("HttpProxy_helper").concat(), "httpproxyhelper");
    assert!(sources("src").len() > 10);
}
