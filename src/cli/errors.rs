//! What is wrong with the words of the command line, in one line each.

use std::{ffi::OsString, io};

use clap::{
    CommandFactory,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::{Arguments, help, hints, variable, warnings::nearest};

/// The reason why there are no arguments.
#[derive(Debug)]
pub enum CliError {
    /// Help or the version was asked for.
    Asked(Answer),
    /// Nothing was asked for: the short help, for stderr. The exit code is 2.
    Nothing(String),
    /// One line that says what is wrong and what would be right. The exit code is 2.
    Wrong(String),
}

/// What is printed because it was asked for. The program ends then.
#[derive(Debug)]
pub enum Answer {
    /// The program's own short help: `-h`.
    Short,
    Long(Box<clap::Error>),
}

impl Answer {
    /// Writes the answer to stdout.
    pub fn print(&self) -> io::Result<()> {
        match self {
            Answer::Short => help::print(),
            Answer::Long(error) => error.print(),
        }
    }
}

impl CliError {
    pub(super) fn of(error: clap::Error, words: &[OsString]) -> CliError {
        // the help of a command is short anyway
        let is_command = |word: &OsString| Arguments::command().get_subcommands().any(|c| *word == *c.get_name());
        let is_long = |word: &OsString| word == "--help" || word == "help" || is_command(word);
        match error.kind() {
            ErrorKind::DisplayHelp if !words.iter().skip(1).any(is_long) => CliError::Asked(Answer::Short),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => CliError::Asked(Answer::Long(Box::new(error))),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => CliError::Nothing(help::short()),
            _ => CliError::Wrong(in_one_line(&error, words)),
        }
    }
}

pub(super) fn several_origins() -> String {
    "--origin is given more than once: one Larder has one origin; start one for each, with a --port of its own"
        .to_owned()
}

/// Says that there is no such command, and which one may be meant.
pub(super) fn unknown_command(name: &str) -> String {
    let definition = Arguments::command();
    let known: Vec<&str> = definition.get_subcommands().map(|command| command.get_name()).chain(["help"]).collect();
    match hints::of_command(name).or_else(|| nearest(name, known)) {
        Some(meant) => format!("unknown command {name:?}: did you mean {meant}? (larder --help lists all)"),
        None => {
            format!("unknown command {name:?}: larder --help lists all; an origin is a URL, like http://example.com")
        }
    }
}

/// Puts clap's error into the form of all other errors: the setting, what is wrong with it, what would be right.
fn in_one_line(error: &clap::Error, words: &[OsString]) -> String {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.escape_debug().to_string(),
        Some(ContextValue::Strings(texts)) => {
            texts.first().map(|text| text.escape_debug().to_string()).unwrap_or_default()
        }
        Some(ContextValue::StyledStrs(texts)) => texts.first().map(ToString::to_string).unwrap_or_default(),
        _ => String::new(),
    };
    // looks like `--port <PORT>`
    let usage = said(ContextKind::InvalidArg);
    let flag = usage.split([' ', '.', '[']).next().unwrap_or_default();
    let value = said(ContextKind::InvalidValue);
    let command = words.iter().skip(1).filter_map(|word| word.to_str()).find(|word| hints::of_command(word).is_some());
    match error.kind() {
        ErrorKind::UnknownArgument if flag.starts_with('-') => {
            let meant =
                [ContextKind::Suggested, ContextKind::SuggestedArg].map(said).into_iter().find(|m| !m.is_empty());
            let meant = meant.map(|meant| format!("did you mean {meant}? ")).unwrap_or_default();
            format!("unknown flag {flag}: {meant}(larder --help lists all)")
        }
        // the second word that is no flag: `purge /a`, or another URL
        ErrorKind::UnknownArgument if command.is_some() => unknown_command(command.unwrap_or_default()),
        ErrorKind::UnknownArgument if usage.contains("://") => several_origins(),
        ErrorKind::UnknownArgument => unknown_command(&usage),
        ErrorKind::InvalidSubcommand => unknown_command(&said(ContextKind::InvalidSubcommand)),
        ErrorKind::InvalidValue if value.is_empty() => format!("missing value of {flag}: write {usage}"),
        ErrorKind::TooManyValues => {
            format!("invalid {flag} \"{value}\": expected no value; write {flag} alone, or leave it out")
        }
        // clap checks the values of variables only
        ErrorKind::ValueValidation => {
            let problem = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            format!("invalid {} \"{value}\": {problem}", variable(flag.trim_start_matches('-')))
        }
        ErrorKind::InvalidUtf8 => {
            let ours = |(name, value): &(OsString, OsString)| {
                name.to_str().is_some_and(|name| name.starts_with("LARDER_")) && value.to_str().is_none()
            };
            let word = words.iter().find(|word| word.to_str().is_none()).map(|word| format!("{word:?}"));
            let name = word.or_else(|| std::env::vars_os().find(ours)?.0.into_string().ok()).unwrap_or_default();
            format!("invalid {}: expected text in UTF-8", name.trim_matches('"'))
        }
        _ => {
            let rendered = error.to_string();
            let said: Vec<&str> = rendered.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            format!("{}; see larder --help", said.join(" ").trim_start_matches("error: "))
        }
    }
}
