//! The configuration file: what is in it, and what is wrong with its form.
//!
//! | module | what it knows |
//! |---|---|
//! | `document` | TOML: values and their lines |
//! | `setting` | the value of each setting of a rule |
//! | `rule` | one rule |
//! | `words` | a rule in one line, for `--rule` |
//! | `presets` | ready lists of rules |
//! | `unknown` | words that may not be there, and what may be meant |

mod document;
mod presets;
mod rule;
mod setting;
mod unknown;
mod words;

use std::{path::Path, sync::Arc};

use self::{
    document::{Entry, Value, Written, Wrong},
    unknown::unknown,
};
pub use self::{rule::Draft, words::rule as rule_of_words};
use super::{
    error::{ConfigError, Fault},
    values,
};
use crate::{
    cli::{Arguments, FileValue, Takes},
    regular,
};

/// The largest file.
const LARGEST: u64 = 1 << 20;

/// The words of a site, besides the settings.
const SITE: [&str; 5] = ["hosts", "path", "origin", "preset", "rule"];

/// A configuration file whose form is valid.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// As the user named it.
    pub path: String,
    /// For flags.
    pub flags: Vec<FileValue>,
    /// The preset's rules, then the settings at the top, then the rules.
    pub rules: Rules,
    pub sites: Vec<Site>,
}

/// The rules of the whole file or of a site, in the order in which they apply.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    pub preset: Vec<Draft>,
    /// What is set for everything.
    pub settings: Draft,
    pub rules: Vec<Draft>,
}

/// A site of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    pub line: usize,
    pub hosts: Vec<String>,
    pub path: String,
    /// The URL and its line.
    pub origin: Option<(String, usize)>,
    pub rules: Rules,
}

impl File {
    /// Reads a file. The errors are all that is wrong with its form.
    pub fn read(path: &Path, name: &str) -> Result<File, Vec<ConfigError>> {
        let text = text(path).map_err(|problem| {
            let fault = Fault::Invalid(Some(path.display().to_string()));
            vec![ConfigError { place: None, setting: name.to_owned(), fault, problem }]
        })?;
        File::parse(&path.display().to_string(), &text)
    }

    /// Parses the text of a file.
    pub fn parse(path: &str, text: &str) -> Result<File, Vec<ConfigError>> {
        let name = Path::new(path).file_name().map_or(path.into(), |name| name.to_string_lossy());
        let mut reader = Reader { path, name: &name, wrong: Vec::new() };
        let file = match document::parse(text) {
            Ok(entries) => Some(reader.file(&entries)),
            Err(wrong) => {
                reader.wrong = wrong;
                None
            }
        };
        reader.wrong.sort_by_key(|wrong| wrong.line);
        match file {
            Some(file) if reader.wrong.is_empty() => Ok(file),
            _ => Err(reader.wrong.into_iter().map(|wrong| error(path, wrong)).collect()),
        }
    }

    /// Returns the place of a line: `larder.toml:5`.
    pub fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

fn error(path: &str, Wrong { line, key, value, problem }: Wrong) -> ConfigError {
    let fault = value.map_or(Fault::Conflict, |value| Fault::Invalid(Some(value)));
    ConfigError { place: Some(format!("{path}:{line}")), setting: key, fault, problem }
}

/// Returns the content of a file. The error says what is wrong with it.
fn text(path: &Path) -> Result<String, String> {
    let bytes = regular::read(path, LARGEST).map_err(|problem| match problem.contains("expected") {
        true => problem,
        false => format!("{problem}; expected a file of TOML, for example larder.toml"),
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8; save the file as UTF-8")
    })
}

/// Reads the entries of a file, and notes what is wrong with them.
struct Reader<'a> {
    path: &'a str,
    name: &'a str,
    wrong: Vec<Wrong>,
}

impl Reader<'_> {
    fn file(&mut self, entries: &[Entry]) -> File {
        let known = Arguments::flags();
        let (mut flags, mut sites, mut rules) = (Vec::new(), Vec::new(), self.no_rules(self.name.into(), 1));
        for entry in entries {
            let field = match entry.key.as_str() {
                "hosts" => "allow_host".to_owned(),
                key => key.replace('-', "_"),
            };
            let flag = known.iter().find(|flag| flag.field == field && flag.is_in_file && entry.key != "allow-host");
            let read = match (flag, entry.key.as_str()) {
                (Some(flag), _) => self.flag(entry, &flag.field, flag.takes).map(|value| flags.push(value)),
                (None, "site") => self.each("site", entry, |reader, nth, table, line| {
                    let site = reader.site(nth, table, line);
                    sites.push(site);
                }),
                (None, "rule" | "preset") => {
                    let (name, of) = (self.name.to_owned(), &mut rules);
                    self.rules(entry, &name, of)
                }
                (None, word) => match rule::setting_of(word) {
                    Some(setting) => rules.settings.set(setting, entry),
                    None => {
                        let flags = known.iter().filter(|flag| flag.is_in_file && flag.field != "allow_host");
                        let flags: Vec<String> = flags.map(|flag| flag.field.replace('_', "-")).collect();
                        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
                        let more = ["hosts", "preset", "rule", "site"];
                        Err(unknown(entry, "at the top of the file", &[&flags, &rule::words(), &more]).into())
                    }
                },
            };
            self.note(read);
        }
        File { path: self.path.to_owned(), flags, rules, sites }
    }

    fn no_rules(&self, name: Arc<str>, line: usize) -> Rules {
        Rules { preset: Vec::new(), settings: Draft::new(name, line), rules: Vec::new() }
    }

    fn note(&mut self, read: Result<(), Vec<Wrong>>) {
        self.wrong.extend(read.err().into_iter().flatten());
    }

    /// Reads the value of a flag, as it would be typed. Its bounds are checked with those of flags.
    fn flag(&self, entry: &Entry, field: &str, takes: Takes) -> Result<FileValue, Vec<Wrong>> {
        let Entry { key, value, line } = entry;
        let typed = |value: &Written| value.text_or_number("a text or a number").map(str::to_owned);
        let of_key = |wrong: Wrong| wrong.of(key);
        let values = match (takes, &value.value) {
            (Takes::Count, Value::Number(digits)) if digits.parse::<u8>().is_ok() => vec![digits.clone()],
            (Takes::Count, Value::Number(_)) => {
                return Err(of_key(value.wrong("expected a number from 0 to 255")).into());
            }
            (Takes::Count, _) => vec![u8::from(value.switch().map_err(of_key)?).to_string()],
            (Takes::Switch, _) => vec![value.switch().map_err(of_key)?.to_string()],
            (Takes::One, Value::Table(_)) if field == "origin" => {
                let problem = "this version of Larder has one origin for each site; write origin = \"http://host\"";
                return Err(entry.wrong(problem).into());
            }
            (Takes::One, _) => vec![typed(value).map_err(of_key)?],
            (Takes::Several, _) => {
                let named = |all: Vec<Wrong>| all.into_iter().map(|wrong| wrong.of(key)).collect::<Vec<_>>();
                value.list(typed).map_err(named)?
            }
        };
        let place = format!("{}:{line}", self.path);
        Ok(FileValue { field: field.to_owned(), values, place, key: key.clone() })
    }

    /// Calls `read` with each table of `[[word]]`.
    fn each(
        &mut self,
        word: &str,
        entry: &Entry,
        mut read: impl FnMut(&mut Self, usize, &[Entry], usize),
    ) -> Result<(), Vec<Wrong>> {
        let expected = format!("expected two brackets: [[{word}]]");
        let Value::List(tables) = &entry.value.value else { return Err(entry.wrong(expected).into()) };
        for (nth, table) in tables.iter().enumerate() {
            match &table.value {
                Value::Table(entries) => read(self, nth + 1, entries, table.line),
                _ => self.wrong.push(entry.wrong(expected.clone())),
            }
        }
        Ok(())
    }

    /// Reads the rules or the preset of the file or of a site. `of`: how people call it.
    fn rules(&mut self, entry: &Entry, of: &str, rules: &mut Rules) -> Result<(), Vec<Wrong>> {
        if entry.key == "rule" {
            return self.each("rule", entry, |reader, nth, table, line| {
                let name = format!("rule {nth} of {of}").into();
                rules.rules.push(rule::rule(table, name, line, &mut |wrong| reader.wrong.push(wrong)));
            });
        }
        let expected = format!("expected one of {}", presets::names().join(", "));
        let name = entry.value.text(&expected[9..]).map_err(|wrong| wrong.of("preset"))?;
        let preset = presets::rules(name, entry.line);
        rules.preset = preset.ok_or_else(|| entry.value.wrong(expected).of("preset"))?;
        Ok(())
    }

    fn site(&mut self, nth: usize, entries: &[Entry], line: usize) -> Site {
        let name = format!("site {nth} of {}", self.name);
        let rules = self.no_rules(name.as_str().into(), line);
        let mut site = Site { line, hosts: Vec::new(), path: String::new(), origin: None, rules };
        for entry in entries {
            let Entry { key, value, .. } = entry;
            let read = match key.as_str() {
                "hosts" => value.list(host).map(|hosts| site.hosts = hosts),
                "path" => prefix(value).map(|path| site.path = path).map_err(Vec::from),
                "origin" => self.flag(entry, "origin", Takes::One).map(|value| {
                    site.origin = value.values.into_iter().next().map(|url| (url, entry.line));
                }),
                "rule" | "preset" => self.rules(entry, &name, &mut site.rules),
                word => match rule::setting_of(word) {
                    Some(setting) => site.rules.settings.set(setting, entry),
                    None => Err(unknown(entry, "in a site", &[&SITE, &rule::words()]).into()),
                },
            };
            let is_named = ["hosts", "path"].contains(&key.as_str());
            let named = |wrong: Wrong| if is_named { wrong.of(key) } else { wrong };
            self.note(read.map_err(|wrong| wrong.into_iter().map(named).collect()));
        }
        if site.origin.is_none() && !entries.iter().any(|entry| entry.key == "origin") {
            let problem = "missing origin: each site needs one, for example origin = \"http://127.0.0.1:8000\"";
            self.wrong.push(Wrong { line, key: String::new(), value: None, problem: problem.to_owned() });
        }
        site
    }
}

fn host(value: &Written) -> Result<String, Wrong> {
    let expected = "a host name, for example \"example.com\" or \"*.example.com\"";
    values::hosts(value.text(expected)?).ok_or_else(|| value.wrong(format!("expected {expected}")))
}

fn prefix(value: &Written) -> Result<String, Wrong> {
    let expected = "the beginning of a path, for example \"/npm\"";
    values::prefix(value.text(expected)?).ok_or_else(|| value.wrong(format!("expected {expected}")))
}

#[cfg(test)]
mod tests;
