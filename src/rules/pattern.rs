//! Patterns: of paths, of names and of values.

use std::borrow::Cow;

use globset::{Glob, GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use regex::{Regex, RegexBuilder};

/// The most characters of a value that an error repeats.
const SHOWN: usize = 60;

/// Returns a value as an error shows it: a long one is cut.
pub fn cut(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &value[..end]).into(),
        None => value.into(),
    }
}

/// The most bytes that a compiled regular expression has. With a larger one each byte of a path may cost as much as all
/// states of the expression: one of 128 KiB takes 200 ms for a path of 8 KB, one of 32 KiB at most 0.2 ms.
const LARGEST_EXPRESSION: usize = 32 << 10;

/// Compiles a regular expression. The error says what is wrong with it, without the expression.
pub fn expression(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(LARGEST_EXPRESSION).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large; expected a simpler expression".to_owned(),
        error => last_line(&error),
    })
}

/// Says what is wrong with a glob, without the glob itself.
fn problem(error: &globset::Error) -> String {
    last_line(error.kind())
}

/// Returns the line of an error's text that says what is wrong. Those before it repeat the expression.
fn last_line(error: &impl ToString) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim().trim_start_matches("error: ").to_owned()
}

/// Returns the globs that a pattern of a path stands for, or what is wrong with it. Without wildcards it is that path and
/// everything below it; with them it is the whole path, where `*` does not match `/`.
pub fn path_globs(pattern: &str) -> Result<Vec<Glob>, String> {
    if !pattern.starts_with('/') {
        let hint = match pattern.trim_start_matches(['*', '/']) {
            "" => "\"/\" is every path".to_owned(),
            url if url.contains("://") => {
                let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
                format!("expected a path without a host, for example \"{}\"", cut(path.unwrap_or("/")))
            }
            rest if pattern.starts_with('*') => format!("expected \"/\" in front, for example \"/**/*{}\"", cut(rest)),
            rest => format!("expected \"/\" in front, for example \"/{}\"", cut(rest)),
        };
        return Err(hint);
    }
    if pattern.contains(['?', '#']) && pattern.contains('=') {
        return Err("a path has no query; use `query`, for example query = { format = \"json\" }".to_owned());
    }
    if has_wildcards(pattern) {
        return Ok(vec![path_glob(pattern)?]);
    }
    let path = globset::escape(pattern);
    Ok(vec![path_glob(&path)?, path_glob(&format!("{}/**", path.trim_end_matches('/')))?])
}

fn path_glob(text: &str) -> Result<Glob, String> {
    let built = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
    built.map_err(|error| problem(&error))
}

fn has_wildcards(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

/// A pattern of paths, as in the conditions of a rule.
#[derive(Debug, Clone)]
pub struct PathPattern(Vec<GlobMatcher>);

impl PathPattern {
    /// The error says what is wrong with the pattern, without the pattern itself.
    pub fn new(pattern: &str) -> Result<PathPattern, String> {
        Ok(PathPattern(path_globs(pattern)?.iter().map(Glob::compile_matcher).collect()))
    }

    /// Returns true if the pattern matches the path, whatever the query is.
    pub fn matches(&self, path_and_query: &str) -> bool {
        let path = path_and_query.split_once('?').map_or(path_and_query, |(path, _)| path);
        self.0.iter().any(|glob| glob.is_match(path))
    }
}

/// Patterns of a name or a value, in which `*` matches everything.
#[derive(Debug, Clone, Default)]
pub struct Words(Vec<GlobMatcher>);

impl Words {
    /// `any_case`: upper and lower case are the same. The error names the pattern and what is wrong with it.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a str>, any_case: bool) -> Result<Words, String> {
        let glob = |pattern: &str| {
            let built = GlobBuilder::new(pattern).literal_separator(false).case_insensitive(any_case).build();
            built.map(|glob| glob.compile_matcher()).map_err(|error| format!("{:?}: {}", cut(pattern), problem(&error)))
        };
        patterns.into_iter().map(glob).collect::<Result<_, _>>().map(Words)
    }

    pub fn matches(&self, word: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(word))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// All patterns of the paths of a site's rules, asked at once.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    set: GlobSet,
    /// The same patterns in lower case.
    lower: GlobSet,
    /// A pattern has letters in upper case.
    has_upper: bool,
    /// Which rule each glob of the sets belongs to.
    rules: Vec<usize>,
}

impl Paths {
    /// `globs` are pairs of a rule and a glob.
    pub fn new(globs: Vec<(usize, Glob)>) -> Result<Paths, String> {
        let (mut set, mut lower) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        let mut rules = Vec::with_capacity(globs.len());
        let has_upper = globs.iter().any(|(_, glob)| is_upper(glob.glob()));
        for (rule, glob) in globs {
            // a range such as [Z-a] has no lower case
            lower.add(path_glob(&glob.glob().to_ascii_lowercase()).unwrap_or_else(|_| glob.clone()));
            set.add(glob);
            rules.push(rule);
        }
        let build = |set: GlobSetBuilder| {
            let too_large = "the patterns of all rules together are too large; expected fewer or shorter ones";
            set.build().map_err(|_| too_large.to_owned())
        };
        Ok(Paths { set: build(set)?, lower: build(lower)?, has_upper, rules })
    }

    /// Calls `found` with each rule that has a pattern of this path, some of them several times.
    pub fn each(&self, path: &str, found: impl FnMut(usize)) {
        self.each_of(&self.set, path, found);
    }

    /// The same where upper and lower case are the same. Finds nothing if there is no letter in upper case.
    pub fn each_in_any_case(&self, path: &str, found: impl FnMut(usize)) {
        if self.has_upper || is_upper(path) {
            self.each_of(&self.lower, &path.to_ascii_lowercase(), found);
        }
    }

    fn each_of(&self, set: &GlobSet, path: &str, mut found: impl FnMut(usize)) {
        if !self.rules.is_empty() {
            set.matches(path).into_iter().for_each(|glob| found(self.rules[glob]));
        }
    }
}

fn is_upper(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        path_globs(pattern).unwrap().iter().any(|glob| glob.compile_matcher().is_match(path))
    }

    #[test]
    fn a_path_without_wildcards_is_that_path_and_everything_below_it() {
        for (pattern, path, expected) in [
            ("/admin", "/admin", true),
            ("/admin", "/admin/", true),
            ("/admin", "/admin/x/y", true),
            ("/admin", "/administrator", false),
            ("/admin", "/x/admin", false),
            ("/admin/", "/admin/x", true),
            ("/admin/", "/admin/", true),
            ("/admin/", "/admin", false),
            ("/", "/", true),
            ("/", "/x/y", true),
            ("/a.b", "/aXb", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_path_with_wildcards_is_the_whole_path() {
        for (pattern, path, expected) in [
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/**", "/a/b/c", true),
            ("/**/*.css", "/a.css", true),
            ("/**/*.css", "/x/y/a.css", true),
            ("/**/*.css", "/a.css/x", false),
            ("/a?c", "/abc", true),
            ("/a?c", "/a/c", false),
            ("/**/*.{tgz,tar.gz}", "/x/a.tar.gz", true),
            ("/**/*.{tgz,tar.gz}", "/x/a.zip", false),
            ("/[ab]", "/a", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_that_can_be_no_path_is_refused_with_one_that_can() {
        for (pattern, problem) in [
            ("*.css", "expected \"/\" in front, for example \"/**/*.css\""),
            ("admin", "expected \"/\" in front, for example \"/admin\""),
            ("http://a.example/b", "expected a path without a host, for example \"/b\""),
            ("", "\"/\" is every path"),
            ("**", "\"/\" is every path"),
            ("/a{b", "unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)"),
            ("/a?b=c", "a path has no query; use `query`, for example query = { format = \"json\" }"),
        ] {
            assert_eq!(path_globs(pattern).unwrap_err(), problem, "{pattern}");
        }
    }

    #[test]
    fn a_word_may_have_any_separator_and_where_asked_any_case() {
        let words = Words::new(["*json*", "text/*"], true).unwrap();
        assert!(words.matches("application/vnd.api+JSON") && words.matches("text/html"));
        assert!(!words.matches("image/png"));
        assert!(!Words::new(["utm_*"], false).unwrap().matches("UTM_x"));
    }
}
