//! `larder ls`: what is asked for, a row of the list, and how it is shown.

use serde::{Deserialize, Serialize};

use crate::{
    terminal::{Colour, Style},
    units::{show_count, show_responses, show_seconds, show_size},
};

/// The most rows of a sorted list. All rows must be known before the first one is.
pub const SORTED: usize = 1000;

/// Lists what is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListRequest {
    /// A pattern of paths, as in rules.
    pub glob: Option<String>,
    pub sort: Option<Sort>,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// The largest first.
    Size,
    /// The oldest first.
    Age,
    /// What has answered most often first.
    Hits,
    /// What is stale soonest first.
    Expires,
}

/// A stored response.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// The path and query, or the whole URL where there are several sites or hosts. `larder purge` takes it.
    pub url: String,
    pub method: String,
    pub status: u16,
    /// How often it has answered since it came into memory. `None`: it is not in memory.
    pub hits: Option<u64>,
    /// The bytes of the body.
    pub size: u64,
    /// Seconds since the origin made it (RFC 9111 §4.2.3).
    pub age: u64,
    /// Seconds until it is stale; zero or less: it is stale.
    pub left: i64,
    /// `fresh`, `stale`, or `validate`: it is validated before each use.
    pub state: String,
    /// The fields of the request on which it depends.
    pub vary: Vec<String>,
    /// The first and the last byte that it holds, if it is a part.
    pub part: Option<(u64, u64)>,
    /// The URL of the origin.
    pub origin: String,
}

/// What a list has found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Listed {
    /// The number of responses that match.
    pub responses: u64,
    /// The bytes of their bodies.
    pub bytes: u64,
    /// The number of rows: fewer than `responses` if a sorted list was cut.
    pub shown: u64,
    /// The number of all stored responses.
    pub stored: u64,
}

/// Returns the line above the rows, on a terminal.
pub fn header(long: bool, style: Style) -> Option<String> {
    let names = match long {
        true => format!("{:>7} {:>9} {:>6} {:>8}  STATUS  {:<6} URL", "HITS", "SIZE", "AGE", "LEFT", "METHOD"),
        false => format!("{:>7} {:>9} {:>6} {:>8}  STATUS  URL", "HITS", "SIZE", "AGE", "LEFT"),
    };
    style.columns.then(|| style.paint(Colour::Bold, names).to_string())
}

impl Row {
    /// Returns the line of the response: in columns on a terminal, with tabs and plain numbers in a pipe.
    pub fn show(&self, long: bool, style: Style) -> String {
        let Row { url, method, status, hits, size, age, left, state, .. } = self;
        let hits = |show: fn(u64) -> String| hits.map_or("-".to_owned(), show);
        if !style.columns {
            let rest = if long { format!("\t{method}\t{}", self.more()) } else { String::new() };
            return format!(
                "{}\t{size}\t{age}\t{left}\t{state}\t{status}\t{url}{rest}",
                hits(|count| count.to_string())
            );
        }
        let (word, colour) = match state.as_str() {
            "fresh" => (show_seconds(left.unsigned_abs()).to_string(), None),
            state => (state.to_uppercase(), Some(Colour::Yellow)),
        };
        let word = style.paint(colour, format!("{word:>8}"));
        let (hits, size, age) = (hits(show_count), show_size(*size), show_seconds(*age).to_string());
        let first = format!("{hits:>7} {size:>9} {age:>6} {word}  {status:<6}");
        match long {
            true => {
                let more = self.more();
                let gap = if more.is_empty() { "" } else { "  " };
                format!("{first}  {method:<6} {url}{gap}{more}")
            }
            false => format!("{first}  {url}"),
        }
    }

    /// Returns what `-l` adds: `vary: accept-encoding`, `bytes 0-99`.
    fn more(&self) -> String {
        let vary = (!self.vary.is_empty()).then(|| format!("vary: {}", self.vary.join(", ")));
        let part = self.part.map(|(first, last)| format!("bytes {first}-{last}"));
        vary.into_iter().chain(part).collect::<Vec<_>>().join("; ")
    }
}

impl Listed {
    /// Returns the line below the rows, on a terminal.
    pub fn show(&self, style: Style) -> Option<String> {
        let all = match self.responses == self.stored {
            true => show_responses(self.stored),
            false => format!("{} of {}", show_count(self.responses), show_responses(self.stored)),
        };
        let cut = match self.shown < self.responses {
            true => format!(", the first {} shown", show_count(self.shown)),
            false => String::new(),
        };
        style.columns.then(|| format!("{all}, {}{cut}.", show_size(self.bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Style = Style { columns: true, colours: false };

    fn row(url: &str, left: i64, state: &str) -> Row {
        Row {
            url: url.to_owned(),
            method: "GET".to_owned(),
            status: 200,
            hits: Some(1402),
            size: 1536,
            age: 12,
            left,
            state: state.to_owned(),
            ..Row::default()
        }
    }

    #[test]
    fn a_terminal_gets_columns_of_at_most_80_characters_and_a_pipe_tabs() {
        let varies = Row { vary: vec!["accept-encoding".to_owned()], ..row("/list", -5, "stale") };
        let rows = [row("/products/1", 48, "fresh"), varies, Row { hits: None, ..row("/me", 100, "validate") }];
        let listed = Listed { responses: 3, bytes: 4608, shown: 3, stored: 204 };
        let screen = |long| {
            let mut lines = vec![header(long, TERMINAL).unwrap()];
            lines.extend(rows.iter().map(|row| row.show(long, TERMINAL)));
            lines.extend(listed.show(TERMINAL));
            assert!(lines.iter().all(|line| line.len() <= 80), "{lines:#?}");
            lines.join("\n")
        };
        assert_eq!(
            screen(false),
            "   HITS      SIZE    AGE     LEFT  STATUS  URL
  1,402   1.5 KiB    12s      48s  200     /products/1
  1,402   1.5 KiB    12s    STALE  200     /list
      -   1.5 KiB    12s VALIDATE  200     /me
3 of 204 stored responses, 4.5 KiB."
        );
        assert_eq!(
            screen(true),
            "   HITS      SIZE    AGE     LEFT  STATUS  METHOD URL
  1,402   1.5 KiB    12s      48s  200     GET    /products/1
  1,402   1.5 KiB    12s    STALE  200     GET    /list  vary: accept-encoding
      -   1.5 KiB    12s VALIDATE  200     GET    /me
3 of 204 stored responses, 4.5 KiB."
        );
        assert_eq!(header(false, Style::PLAIN), None);
        assert_eq!(rows[1].show(false, Style::PLAIN), "1402\t1536\t12\t-5\tstale\t200\t/list");
        assert_eq!(rows[0].show(true, Style::PLAIN), "1402\t1536\t12\t48\tfresh\t200\t/products/1\tGET\t");
        assert!(rows[2].show(false, Style::PLAIN).starts_with("-\t1536\t"), "a count that is not known");
        let cut = Listed { responses: 5000, shown: 1000, stored: 5000, bytes: 1 };
        assert_eq!(cut.show(TERMINAL).unwrap(), "5,000 stored responses, 1 B, the first 1,000 shown.");
    }
}
