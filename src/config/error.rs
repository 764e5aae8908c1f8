//! The errors of settings.

use std::fmt;

use crate::rules::cut;

/// An invalid or missing setting. Its text is one line: the setting, its value, what is wrong or was expected, an
/// example. The exit code is 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file and the line, if the setting is written there: `larder.toml:5`.
    pub place: Option<String>,
    /// The name by which the user set it: `--disk` or `LARDER_DISK`, or `disk` in a file. It may be empty in a file.
    pub setting: String,
    pub fault: Fault,
    pub problem: String,
}

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Missing,
    /// The value is shown, unless it may hold a password. A long one is cut.
    Invalid(Option<String>),
    /// It cannot be combined with another setting.
    Conflict,
}

impl ConfigError {
    /// Returns the line in the file, or 0.
    pub(super) fn line(&self) -> usize {
        let line = self.place.as_deref().and_then(|place| place.rsplit(':').next()?.parse().ok());
        line.unwrap_or_default()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConfigError { place, setting, fault, problem } = self;
        let setting = cut(setting);
        if let Some(place) = place {
            write!(f, "{place}: ")?;
        }
        match (fault, place) {
            (Fault::Missing, _) => write!(f, "missing {setting}: {problem}"),
            (Fault::Invalid(None), None) => write!(f, "invalid {setting}: {problem}"),
            (Fault::Invalid(Some(value)), None) => write!(f, "invalid {setting} {:?}: {problem}", cut(value)),
            (Fault::Invalid(Some(value)), Some(_)) => write!(f, "{setting} {:?}: {problem}", cut(value)),
            _ if setting.is_empty() => f.write_str(problem),
            _ => write!(f, "{setting}: {problem}"),
        }
    }
}

impl std::error::Error for ConfigError {}
