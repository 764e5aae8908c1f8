//! The errors of settings.

use std::fmt;

/// An invalid or missing setting. Its text is one line: the setting, its value, what is wrong or was expected, an
/// example. The exit code is 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The name by which the user set it: `--disk` or `LARDER_DISK`.
    pub setting: String,
    pub fault: Fault,
    pub problem: String,
}

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Missing,
    /// The value is shown, unless it may hold a password.
    Invalid(Option<String>),
    /// It cannot be combined with another setting.
    Conflict,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConfigError { setting, fault, problem } = self;
        match fault {
            Fault::Missing => write!(f, "missing {setting}: {problem}"),
            Fault::Invalid(None) => write!(f, "invalid {setting}: {problem}"),
            Fault::Invalid(Some(value)) => write!(f, "invalid {setting} {value:?}: {problem}"),
            Fault::Conflict => write!(f, "{setting}: {problem}"),
        }
    }
}

impl std::error::Error for ConfigError {}
