//! Changes the path of a target before the key is made.

use std::borrow::Cow;

use regex::Regex;

use super::{
    pattern::{cut, expression},
    values::Rewrite,
};

/// A change of the path, ready to be used.
#[derive(Debug, Clone)]
pub struct Rewriting {
    from: Regex,
    to: String,
}

impl Rewriting {
    /// The error says what is wrong with the regular expression or with the replacement.
    pub fn new(rewrite: &Rewrite) -> Result<Rewriting, String> {
        let Rewrite { from, to } = rewrite;
        let from = expression(from).map_err(|problem| format!("from = {:?}: {problem}", cut(from)))?;
        if !to.starts_with('/') && !to.starts_with('$') {
            return Err(format!("to = {:?}: expected a path, for example \"/$1\"", cut(to)));
        }
        Ok(Rewriting { from, to: to.clone() })
    }

    /// Returns the target with its path changed. It stays as it is where the expression is not found, or where the result
    /// would be no path.
    pub fn target<'a>(&self, path_and_query: &'a str) -> Cow<'a, str> {
        let at = path_and_query.find('?').unwrap_or(path_and_query.len());
        let (path, query) = path_and_query.split_at(at);
        match self.from.replace(path, &self.to) {
            Cow::Owned(changed) if is_path(&changed) => format!("{changed}{query}").into(),
            _ => path_and_query.into(),
        }
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_changes_where_the_expression_is_found_and_the_query_stays() {
        let rewriting = |from: &str, to: &str| Rewriting::new(&Rewrite { from: from.to_owned(), to: to.to_owned() });
        let one = rewriting("^/v1/(.*)", "/$1").unwrap();
        for (target, changed) in
            [("/v1/a?v=/v1/", "/a?v=/v1/"), ("/v2/a", "/v2/a"), ("/v1/", "/"), ("/v1//x", "//x"), ("/?/v1/", "/?/v1/")]
        {
            assert_eq!(one.target(target), changed, "{target}");
        }
        assert_eq!(rewriting("^.*$", "$0 x").unwrap().target("/a"), "/a");
        assert_eq!(rewriting("(", "/").unwrap_err(), "from = \"(\": unclosed group");
        assert_eq!(rewriting("x", "y").unwrap_err(), "to = \"y\": expected a path, for example \"/$1\"");
    }
}
