//! Who set the value of a flag: the command line, a variable, the configuration file, or nobody.

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};

/// Flags that a configuration file cannot hold: they are about the command line, or the file has other words for them.
const NOT_IN_FILE: [&str; 7] =
    ["clear_cache", "config", "ignore_query", "key_cookie", "key_header", "rule", "sort_query"];

/// The value of a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    pub flag: Flag,
    /// A switch has `true` or `false`.
    pub values: Vec<String>,
    pub source: Source,
}

/// A flag, by its name and by what it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The name of its field: `max_object`.
    pub field: String,
    pub takes: Takes,
    /// True if a configuration file may set it.
    pub is_in_file: bool,
}

/// The values that a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// None: it is on or off.
    Switch,
    /// None: it is counted.
    Count,
    One,
    Several,
}

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Flag,
    Variable,
    File {
        /// `larder.toml:5`
        place: String,
        /// The word of the file.
        key: String,
    },
    Default,
}

/// A value of the configuration file, for a flag that neither the command line nor a variable sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileValue {
    pub field: String,
    pub values: Vec<String>,
    /// `larder.toml:5`
    pub place: String,
    /// The word of the file.
    pub key: String,
}

impl Flag {
    fn of(arg: &Arg) -> Flag {
        let takes = match arg.get_action() {
            ArgAction::SetTrue => Takes::Switch,
            ArgAction::Count => Takes::Count,
            ArgAction::Append if arg.get_id() != "origin" => Takes::Several,
            _ => Takes::One,
        };
        let field = arg.get_id().to_string();
        Flag { is_in_file: !NOT_IN_FILE.contains(&&*field), field, takes }
    }
}

/// Returns the flags of a definition that are shown, but for those that ask for help or the version.
pub(super) fn flags(definition: &Command) -> Vec<Flag> {
    let is_setting = |arg: &&Arg| {
        let asks = matches!(arg.get_action(), ArgAction::Help | ArgAction::Version);
        arg.get_long().is_some() && !arg.is_hide_set() && !asks
    };
    definition.get_arguments().filter(is_setting).map(Flag::of).collect()
}

/// Returns the value of each of these flags.
pub(super) fn given(flags: Vec<Flag>, matches: &ArgMatches, file: &[FileValue]) -> Vec<Given> {
    let of = |flag: Flag| {
        let field = &*flag.field;
        let source = match matches.value_source(field) {
            Some(ValueSource::CommandLine) => Source::Flag,
            Some(ValueSource::EnvVariable) => Source::Variable,
            _ => match file.iter().find(|value| value.field == field) {
                Some(FileValue { place, key, .. }) => Source::File { place: place.clone(), key: key.clone() },
                None => Source::Default,
            },
        };
        let values = match flag.takes {
            Takes::Switch => vec![matches.get_flag(field).to_string()],
            Takes::Count => vec![matches.get_count(field).to_string()],
            Takes::One | Takes::Several => {
                let raw = matches.get_raw(field).into_iter().flatten();
                raw.map(|value| value.to_string_lossy().into_owned()).collect()
            }
        };
        Given { flag, values, source }
    };
    flags.into_iter().map(of).collect()
}
