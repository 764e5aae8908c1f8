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
            rest if pattern.starts_with('*') => format!("expected \"/\" in front, for example \"/**/*{}\"", cut(rest)),
            rest => format!("expected \"/\" in front, for example \"/{}\"", cut(rest)),
        };
        return Err(hint);
    }
    if pattern.contains(['?', '#']) && pattern.contains('=') {
        return Err("a path has no query; use `query`, for example query = { format = \"json\" }".to_owned());
    }
    let glob = |text: &str| {
        let built = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
        built.map_err(|error| problem(&error))
    };
    if has_wildcards(pattern) {
        return Ok(vec![glob(pattern)?]);
    }
    let path = globset::escape(pattern);
    Ok(vec![glob(&path)?, glob(&format!("{}/**", path.trim_end_matches('/')))?])
}

fn has_wildcards(pattern: &str) -> bool {
    pattern.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

/// A pattern of paths, as in the conditions of a rule.
#[derive(Debug, Clone)]
pub struct PathPattern(Vec<GlobMatcher>);

impl PathPattern {
    /// Reads a pattern that an operator has typed. The error says what is wrong with it.
    pub fn new(pattern: &str) -> Result<PathPattern, String> {
        let globs = path_globs(pattern).map_err(|problem| format!("invalid glob {:?}: {problem}", cut(pattern)))?;
        Ok(PathPattern(globs.iter().map(Glob::compile_matcher).collect()))
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
    /// Which rule each glob of the set belongs to.
    rules: Vec<usize>,
}

impl Paths {
    /// `globs` are pairs of a rule and a glob.
    pub fn new(globs: Vec<(usize, Glob)>) -> Result<Paths, String> {
        let mut builder = GlobSetBuilder::new();
        let mut rules = Vec::with_capacity(globs.len());
        for (rule, glob) in globs {
            builder.add(glob);
            rules.push(rule);
        }
        Ok(Paths { set: builder.build().map_err(|error| problem(&error))?, rules })
    }

    /// Calls `found` with each rule that has a pattern of this path, some of them several times.
    pub fn each(&self, path: &str, mut found: impl FnMut(usize)) {
        if !self.rules.is_empty() {
            self.set.matches(path).into_iter().for_each(|glob| found(self.rules[glob]));
        }
    }
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
