//! Conditions and texts as the file writes them.

use super::{settings::Written, spec::Conditions};

/// Returns a string of TOML.
pub fn quoted(text: &str) -> String {
    let mut out = String::new();
    text.to_owned().write(&mut out);
    out
}

impl Conditions {
    /// Returns each condition as the file writes it: `path = ["/admin"]`.
    pub fn written(&self) -> Vec<String> {
        let Conditions { path, path_regex, methods, header, query, status, content_type } = self;
        let list = |word: &str, values: &Vec<String>| {
            let mut text = format!("{word} = ");
            values.write(&mut text);
            (!values.is_empty()).then_some(text)
        };
        let table = |word: &str, names: Vec<(&str, &Vec<String>)>| {
            let one = |(name, values): &(&str, &Vec<String>)| {
                let mut text = format!("{} = ", quoted(name));
                values.write(&mut text);
                text
            };
            let parts: Vec<String> = names.iter().map(one).collect();
            (!parts.is_empty()).then(|| format!("{word} = {{ {} }}", parts.join(", ")))
        };
        let statuses: Vec<String> = status.iter().map(u16::to_string).collect();
        let all = [
            list("path", path),
            list("path-regex", path_regex),
            list("methods", methods),
            table("header", header.iter().map(|(name, values)| (name.as_str(), values)).collect()),
            table("query", query.iter().map(|(name, values)| (name.as_str(), values)).collect()),
            (!status.is_empty()).then(|| format!("status = [{}]", statuses.join(", "))),
            list("content-type", content_type),
        ];
        all.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::FieldName;

    #[test]
    fn a_condition_is_written_as_in_the_file() {
        let text = |text: &str| vec![text.to_owned()];
        let when = Conditions {
            path: vec!["/a".to_owned(), "/b".to_owned()],
            path_regex: text(r"\d"),
            methods: text("GET"),
            header: vec![(FieldName::from_static("accept"), text("*json*"))],
            query: vec![("a b".to_owned(), text("\""))],
            status: vec![404, 410],
            content_type: text("image/*"),
        };
        assert_eq!(
            when.written(),
            [
                r#"path = ["/a", "/b"]"#,
                r"path-regex = ['\d']",
                r#"methods = ["GET"]"#,
                r#"header = { "accept" = ["*json*"] }"#,
                r#"query = { "a b" = ['"'] }"#,
                "status = [404, 410]",
                r#"content-type = ["image/*"]"#,
            ]
        );
        assert_eq!(Conditions::default().written(), [""; 0]);
    }
}
