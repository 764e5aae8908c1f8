//! A file of TOML as values that know their lines.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

/// A value, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub line: usize,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    /// A whole number, in digits.
    Number(String),
    Switch(bool),
    List(Vec<Written>),
    Table(Vec<Entry>),
    /// A value of a kind that no setting takes: `a date`.
    Other(&'static str),
}

/// One line of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    /// The line of the key.
    pub line: usize,
    pub value: Written,
}

/// What is wrong with a value, or with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub line: usize,
    /// The key, once it is known.
    pub key: String,
    pub value: Option<String>,
    pub problem: String,
}

impl Wrong {
    /// Returns the same about this key.
    pub fn of(self, key: &str) -> Wrong {
        Wrong { key: key.to_owned(), ..self }
    }
}

impl From<Wrong> for Vec<Wrong> {
    fn from(wrong: Wrong) -> Vec<Wrong> {
        vec![wrong]
    }
}

/// Returns all values, or everything that is wrong.
pub fn all<T>(read: impl Iterator<Item = Result<T, Wrong>>) -> Result<Vec<T>, Vec<Wrong>> {
    let (mut values, mut wrong) = (Vec::new(), Vec::new());
    read.for_each(|read| match read {
        Ok(value) => values.push(value),
        Err(error) => wrong.push(error),
    });
    if wrong.is_empty() { Ok(values) } else { Err(wrong) }
}

impl Entry {
    pub fn wrong(&self, problem: impl Into<String>) -> Wrong {
        Wrong { line: self.line, key: self.key.clone(), value: None, problem: problem.into() }
    }
}

impl Written {
    /// Says what is wrong with this value. It is shown if it is short.
    pub fn wrong(&self, problem: impl Into<String>) -> Wrong {
        let value = match &self.value {
            Value::Text(text) | Value::Number(text) => Some(text.clone()),
            Value::Switch(on) => Some(on.to_string()),
            Value::List(_) | Value::Table(_) | Value::Other(_) => None,
        };
        Wrong { line: self.line, key: String::new(), value, problem: problem.into() }
    }

    fn other(&self, expected: &str) -> Wrong {
        let kind = match self.value {
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Other(kind) => kind,
            Value::Text(_) | Value::Number(_) | Value::Switch(_) => return self.wrong(format!("expected {expected}")),
        };
        self.wrong(format!("expected {expected}, not {kind}"))
    }

    /// Returns a text. `expected` says what would be right: `a path, for example "/admin"`.
    pub fn text(&self, expected: &str) -> Result<&str, Wrong> {
        match &self.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.other(expected)),
        }
    }

    /// Returns a text, or the digits of a number.
    pub fn text_or_number(&self, expected: &str) -> Result<&str, Wrong> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Ok(text),
            _ => Err(self.other(expected)),
        }
    }

    pub fn switch(&self) -> Result<bool, Wrong> {
        match self.value {
            Value::Switch(on) => Ok(on),
            _ => Err(self.other("true or false")),
        }
    }

    /// Reads each value of a list. Any other value is read as a list that holds it alone. The error has everything that is
    /// wrong.
    pub fn list<T>(&self, read: impl FnMut(&Written) -> Result<T, Wrong>) -> Result<Vec<T>, Vec<Wrong>> {
        match &self.value {
            Value::List(values) => all(values.iter().map(read)),
            _ => all([self].into_iter().map(read)),
        }
    }

    pub fn table(&self, expected: &str) -> Result<&[Entry], Wrong> {
        match &self.value {
            Value::Table(entries) => Ok(entries),
            _ => Err(self.other(expected)),
        }
    }
}

/// Parses a text of TOML. The error has everything that is wrong with its form.
pub fn parse(text: &str) -> Result<Vec<Entry>, Vec<Wrong>> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let wrong = |error: &toml::de::Error| {
        let problem = error.message().replace('\n', ", ");
        let line = lines.of_span(&error.span().unwrap_or_default());
        Wrong { line, key: String::new(), value: None, problem: format!("invalid TOML: {problem}") }
    };
    let mut wrong: Vec<Wrong> = errors.iter().map(wrong).collect();
    // one slip makes several errors of its line
    wrong.dedup_by_key(|wrong| wrong.line);
    if wrong.is_empty() { Ok(lines.entries(table.get_ref())) } else { Err(wrong) }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        Lines(text.match_indices('\n').map(|(at, _)| at + 1).collect())
    }

    fn of_span(&self, span: &Range<usize>) -> usize {
        self.0.partition_point(|beginning| *beginning <= span.start) + 1
    }

    fn entries(&self, table: &DeTable<'_>) -> Vec<Entry> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| Entry {
            key: key.get_ref().clone().into_owned(),
            line: self.of_span(&key.span()),
            value: self.written(value),
        };
        entries.into_iter().map(entry).collect()
    }

    fn written(&self, value: &Spanned<DeValue<'_>>) -> Written {
        let line = self.of_span(&value.span());
        let value = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.clone().into_owned()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Number(number.to_string()),
                Err(_) => Value::Other("so large a number"),
            },
            DeValue::Float(_) => Value::Other("a number with a point"),
            DeValue::Boolean(on) => Value::Switch(*on),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(values) => Value::List(values.iter().map(|value| self.written(value)).collect()),
            DeValue::Table(table) => Value::Table(self.entries(table)),
        };
        Written { line, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_and_every_table_knows_its_line_and_keys_keep_their_order() {
        let text =
            "b = 1_000\na = [\n  \"x\",\n  0x10\n]\n\n[[t]]\nc = true\n\n[[t]]\nd = 1.5\n[u.v]\ne = 1979-05-27\n";
        let entries = parse(text).unwrap();
        let keys: Vec<_> = entries.iter().map(|entry| (&*entry.key, entry.line)).collect();
        assert_eq!(keys[..2], [("b", 1), ("a", 2)]);
        assert_eq!(entries[0].value, Written { line: 1, value: Value::Number("1000".to_owned()) });
        let Value::List(list) = &entries[1].value.value else { panic!() };
        assert_eq!(list[0], Written { line: 3, value: Value::Text("x".to_owned()) });
        assert_eq!(list[1], Written { line: 4, value: Value::Number("16".to_owned()) });
        let of = |key: &str| &entries.iter().find(|entry| entry.key == key).unwrap().value;
        let Value::List(tables) = &of("t").value else { panic!() };
        assert_eq!([tables[0].line, tables[1].line], [7, 10]);
        assert_eq!(tables[1].table("").unwrap()[0].value.value, Value::Other("a number with a point"));
        let inner = &of("u").table("").unwrap()[0];
        assert_eq!((&*inner.key, inner.line), ("v", 12));
    }

    #[test]
    fn every_slip_is_told_with_its_line() {
        let wrong = parse("a = \nb = 1\nb = 2\nc == 3\n").unwrap_err();
        let lines: Vec<_> = wrong.iter().map(|wrong| wrong.line).collect();
        assert!([1, 3, 4].iter().all(|line| lines.contains(line)), "{wrong:?}");
        assert!(wrong.iter().all(|wrong| wrong.problem.starts_with("invalid TOML: ")), "{wrong:?}");
    }
}
