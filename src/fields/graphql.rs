//! Tells GraphQL requests that read from those that may change something (GraphQL over HTTP; GraphQL, October 2021 §2).

use serde_json::Value;

/// Returns true if a POST with this content may change something as far as GraphQL goes: it holds a mutation or a
/// subscription, or looks like GraphQL and cannot be understood. JSON of other kinds and other content change nothing.
pub fn may_change(content_type: Option<&str>, content: &[u8]) -> bool {
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_form = media_type == "application/x-www-form-urlencoded" || media_type == "multipart/form-data";
    match media_type.as_str() {
        "application/graphql" => std::str::from_utf8(content).map_or(true, document_may_change),
        _ if is_form => contains(content, b"query"),
        // many clients name no type, or another one
        _ if media_type.contains("json") || matches!(content.trim_ascii_start().first(), Some(b'{' | b'[')) => {
            serde_json::from_slice(content).map_or(true, |value| json_may_change(&value))
        }
        _ => false,
    }
}

fn contains(content: &[u8], word: &[u8]) -> bool {
    content.windows(word.len()).any(|window| window == word)
}

fn json_may_change(value: &Value) -> bool {
    match value {
        Value::Array(batch) => batch.iter().any(json_may_change),
        Value::Object(object) => match object.get("query") {
            Some(Value::String(document)) => document_may_change(document),
            // a document that the server knows by a hash or a number may be anything
            _ => ["extensions", "operationName", "documentId", "doc_id"].iter().any(|name| object.contains_key(*name)),
        },
        _ => false,
    }
}

/// Returns true unless every operation of a document is a query.
fn document_may_change(document: &str) -> bool {
    let (mut depth, mut at_definition, mut operations) = (0_usize, true, 0);
    let mut rest = document.trim_start_matches('\u{feff}');
    while let Some(c) = rest.chars().next() {
        match c {
            '#' => rest = rest.split_once(['\n', '\r']).map_or("", |(_, behind)| behind),
            '"' => match behind_string(rest) {
                Some(behind) => rest = behind,
                None => return true,
            },
            'a'..='z' | 'A'..='Z' | '_' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let (name, behind) = rest.split_at(end);
                if at_definition {
                    match name {
                        "query" => operations += 1,
                        "fragment" => {}
                        _ => return true,
                    }
                    at_definition = false;
                }
                rest = behind;
            }
            '{' | '(' | '[' => {
                if at_definition && c != '{' {
                    return true;
                }
                operations += usize::from(at_definition);
                (at_definition, depth) = (false, depth + 1);
                rest = &rest[1..];
            }
            '}' | ')' | ']' => {
                let Some(above) = depth.checked_sub(1) else { return true };
                depth = above;
                at_definition = depth == 0 && c == '}';
                rest = &rest[1..];
            }
            c => rest = &rest[c.len_utf8()..],
        }
    }
    !at_definition || depth > 0 || operations == 0
}

/// Returns the text behind the string at the beginning. `None`: the string has no end.
fn behind_string(text: &str) -> Option<&str> {
    if let Some(block) = text.strip_prefix("\"\"\"") {
        let mut from = 0;
        loop {
            let end = from + block[from..].find("\"\"\"")?;
            if !block[..end].ends_with('\\') {
                return Some(&block[end + 3..]);
            }
            from = end + 3;
        }
    }
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(&text[at + 1..]),
            '\n' | '\r' => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_only_if_all_of_its_operations_are_queries() {
        for (document, changes) in [
            ("{ a }", false),
            ("query { a }", false),
            ("query Q($a: I = {b: 1}) @d(x: \"}\") { a(b: \"mutation {\") }", false),
            ("# mutation\nquery Q { a } fragment F on T { mutation }", false),
            ("\u{feff}{ a(b: \"\"\"x \\\"\"\" } mutation\"\"\") }", false),
            ("mutation { a }", true),
            ("subscription { a }", true),
            ("query Q { a } mutation M { b }", true),
            ("{ a } mutation { b }", true),
            ("{ a }\u{3000}mutation { b }", true),
            ("fragment F on T { a }", true),
            ("query Q", true),
            ("query { a", true),
            ("{ a } }", true),
            ("{ a(b: \"x) }", true),
            ("(a)", true),
            ("type A { a: B }", true),
            ("", true),
        ] {
            assert_eq!(document_may_change(document), changes, "{document}");
        }
    }

    #[test]
    fn content_is_graphql_by_its_type_or_by_its_look() {
        let json = Some("application/json; charset=utf-8");
        for (content_type, content, changes) in [
            (json, r#"{"query": "{ a }"}"#, false),
            (json, r#"{"query": "mutation { a }"}"#, true),
            (json, r#"[{"query": "{ a }"}, {"query": "mutation { a }"}]"#, true),
            (json, r#"{"query": "{ a }", "query": "mutation { a }"}"#, true),
            (json, r#"{"extensions": {"persistedQuery": {}}}"#, true),
            (json, r#"{"q": "shoes"}"#, false),
            (json, r#"{"query": {"match": {}}}"#, false),
            (json, r#"{"query": "mutation { a }""#, true),
            (json, "7", false),
            (None, r#" {"query": "mutation { a }"}"#, true),
            (Some("text/plain"), r#"{"query": "mutation { a }"}"#, true),
            (Some("application/graphql"), "mutation { a }", true),
            (Some("application/graphql"), "{ a }", false),
            (Some("application/x-www-form-urlencoded"), "query=mutation+%7Ba%7D", true),
            (Some("application/x-www-form-urlencoded"), "q=shoes", false),
            (Some("text/plain"), "mutation { a }", false),
            (None, "", false),
        ] {
            assert_eq!(may_change(content_type, content.as_bytes()), changes, "{content_type:?} {content}");
        }
    }
}
