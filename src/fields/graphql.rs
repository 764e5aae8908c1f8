//! Tells requests that read from those that may change something by GraphQL (GraphQL over HTTP; GraphQL, October 2021 §2).
//! What may be read in two ways counts as one that may change something: a second order must be carried out.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::METHOD_OVERRIDES;

/// The words that every mutation and every subscription holds.
const CHANGING: [&[u8]; 2] = [b"mutation", b"subscription"];

/// The names, in lower case, that stand in JSON of GraphQL beside a document, or in its place.
const BESIDE: [&str; 9] = [
    "doc_id",
    "documentid",
    "extensions",
    "operationid",
    "operationname",
    "queryhash",
    "queryid",
    "sha256hash",
    "variables",
];

/// Returns true if a POST with this content may change something as far as GraphQL goes. `content_type` is the value of the
/// only Content-Type, `None` if there is none. `query` is the query of the target.
pub fn may_change(content_type: Option<&[u8]>, query: &str, content: &[u8]) -> bool {
    let Ok(content_type) = content_type.map_or(Ok(""), std::str::from_utf8) else { return true };
    let Ok(text) = std::str::from_utf8(content) else { return true };
    if names_a_document(query) || text.contains('\0') || holds_change(content) {
        return true;
    }
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let text = text.trim_start_matches(['\u{feff}', '\u{b}', '\u{c}', ' ', '\t', '\r', '\n']);
    match media_type.as_str() {
        // several types in one line
        several if several.contains(',') => true,
        "application/x-www-form-urlencoded" => names_a_document(text),
        "multipart/form-data" => true,
        "application/graphql" => document_may_change(text),
        json if json.contains("json") || text.starts_with(['{', '[', ')']) => {
            has_escaped_letters(text) || serde_json::from_str(text).map_or(true, |value| json_may_change(&value))
        }
        _ => false,
    }
}

/// Returns true if the content holds a word that every change holds.
fn holds_change(content: &[u8]) -> bool {
    CHANGING.iter().any(|word| content.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word)))
}

/// Returns true if a form or a query may hold a document, or another method.
fn names_a_document(form: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(form).collect();
    holds_change(&decoded)
        || decoded.split(|byte| b"&;?".contains(byte)).any(|parameter| {
            let name = parameter.split(|byte| *byte == b'=').next().unwrap_or_default().to_ascii_lowercase();
            let name = String::from_utf8_lossy(&name);
            let is_method = || METHOD_OVERRIDES.contains(&&*name) || name == "_method";
            name == "query" || BESIDE.contains(&&*name) || is_method()
        })
}

/// Returns true if JSON writes ASCII by code, which hides words: `\u006dutation`.
fn has_escaped_letters(text: &str) -> bool {
    let codes = text.match_indices("\\u00").map(|(at, _)| text.as_bytes().get(at + 4));
    codes.into_iter().flatten().any(|digit| (b'2'..=b'7').contains(digit))
}

fn json_may_change(value: &Value) -> bool {
    match value {
        Value::Array(batch) => batch.iter().any(json_may_change),
        Value::Object(object) => {
            let documents = object.iter().filter(|(name, _)| name.eq_ignore_ascii_case("query"));
            let (mut has_document, mut changes) = (false, false);
            for (_, value) in documents {
                if let Value::String(document) = value {
                    (has_document, changes) = (true, changes || document_may_change(document));
                }
            }
            // a document that the server knows by a hash or a number may be anything
            let is_beside = |name: &String| BESIDE.contains(&&*name.to_ascii_lowercase());
            changes || (!has_document && object.keys().any(is_beside)) || object.values().any(json_may_change)
        }
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
    fn content_may_change_something_unless_it_can_only_be_read_as_a_query() {
        let json = "application/json; charset=utf-8";
        for (content_type, content, changes) in [
            (json, r#"{"query": "{ a }"}"#, false),
            (json, r#"{"query": "{ a }", "variables": {"b": "\u00e9"}, "operationName": "Q"}"#, false),
            (json, r#"{"query": "mutation { a }"}"#, true),
            (json, r#"[{"query": "{ a }"}, {"query": "mutation { a }"}]"#, true),
            (json, r#"{"query": "mutation { a }", "query": "{ a }"}"#, true),
            (json, r#"{"Query": "mutation { a }"}"#, true),
            (json, r#"{"query": "\u006dutation { a }"}"#, true),
            (json, r#"{"operations": [{"query": "{ a"}]}"#, true),
            (json, r#"{"extensions": {"persistedQuery": {}}}"#, true),
            (json, r#"{"id": "123", "variables": {}}"#, true),
            (json, r#"{"operationId": "123"}"#, true),
            (json, r#"{"q": "shoes"}"#, false),
            (json, r#"{"query": {"match": {}}}"#, false),
            (json, r#"{"query": "{ a }""#, true),
            (json, "7", false),
            ("", r#" {"query": "mutation { a }"}"#, true),
            ("", "\u{feff}{\"query\": \"{ a\"}", true),
            ("", ")]}',{\"query\": \"{ a }\"}", true),
            ("text/plain", r#"{"query": "mutation { a }"}"#, true),
            ("application/graphql", "mutation { a }", true),
            ("application/graphql", "{ a }", false),
            ("application/graphql, text/plain", "{ a }", true),
            ("application/x-www-form-urlencoded", "query=%7Ba%7D", true),
            ("application/x-www-form-urlencoded", "%71uery=%7Ba%7D", true),
            ("application/x-www-form-urlencoded", "a=1&_method=DELETE", true),
            ("application/x-www-form-urlencoded", "a=1&X-HTTP-Method-Override=DELETE", true),
            ("application/x-www-form-urlencoded", "q=shoes", false),
            ("multipart/form-data; boundary=x", "--x\r\n\r\na", true),
            ("text/plain", "a", false),
            ("", "", false),
        ] {
            assert_eq!(
                may_change(Some(content_type.as_bytes()), "", content.as_bytes()),
                changes,
                "{content_type} {content}"
            );
        }
        assert!(may_change(Some(b"text/plain;x=\xe9"), "", b"a") && may_change(None, "", b"\xff\xfe{"));
        for (query, changes) in
            [("query=mutation", true), ("%71uery=%7Ba%7D", true), ("_method=PUT", true), ("q=a", false)]
        {
            assert_eq!(may_change(None, query, b""), changes, "{query}");
        }
    }
}
