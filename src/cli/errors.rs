//! Says in one line what is wrong with the command line.

use std::{ffi::OsString, fmt, io};

use clap::{
    CommandFactory,
    error::{ContextKind, ContextValue, ErrorKind},
};
use clap_complete::Shell;

use super::{
    arguments::{self, Arguments, takes_all_flags, variable},
    documents, help, hints, negative,
    warnings::nearest,
};

/// The reason why there are no arguments.
#[derive(Debug)]
pub enum CliError {
    /// Help or the version was asked for.
    Asked(Answer),
    /// The command line is empty. The text is the short help, for stderr; the exit code is 2.
    Nothing(String),
    /// The command line is wrong. The text is one line that says what is wrong and what was expected; the exit code is
    /// 2.
    Wrong(String),
}

/// The text that the user asked for. The program prints it and ends.
#[derive(Debug)]
pub enum Answer {
    /// The short help: `-h`.
    Short,
    /// The whole help: `--help`.
    Long,
    /// The completions for a shell.
    Completions(Shell),
    /// The manual page.
    Manual,
    /// The version, or the help of a command.
    Other(Box<clap::Error>),
}

impl Answer {
    /// Writes the answer to stdout.
    pub fn print(&self) -> io::Result<()> {
        match self {
            Answer::Short => help::short().print_help(),
            Answer::Long => help::long().print_help(),
            Answer::Completions(shell) => documents::completions(*shell, &mut io::stdout()),
            Answer::Manual => documents::manual(&mut io::stdout()),
            Answer::Other(error) => error.print(),
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CliError::Asked(_) => f.write_str("help was asked for"),
            CliError::Nothing(text) | CliError::Wrong(text) => f.write_str(text),
        }
    }
}

impl CliError {
    pub(super) fn of(error: clap::Error, words: &[OsString]) -> CliError {
        let is_long = |word: &OsString| word == "--help" || word == "help";
        match error.kind() {
            ErrorKind::DisplayHelp if command(words).is_some() => CliError::Asked(Answer::Other(Box::new(error))),
            ErrorKind::DisplayHelp if words.iter().skip(1).any(is_long) => CliError::Asked(Answer::Long),
            ErrorKind::DisplayHelp => CliError::Asked(Answer::Short),
            ErrorKind::DisplayVersion => CliError::Asked(Answer::Other(Box::new(error))),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if command(words).as_deref() == Some("config") => {
                CliError::Wrong("missing command after config: write larder config show".to_owned())
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                CliError::Nothing(help::short().render_help().to_string())
            }
            _ => CliError::Wrong(in_one_line(&error, words)),
        }
    }
}

/// Returns the command that these words name, if any.
fn command(words: &[OsString]) -> Option<String> {
    let definition = Arguments::command();
    let mut names = definition.get_subcommands().map(|command| command.get_name());
    names.find(|name| words.iter().skip(1).any(|word| word == name)).map(str::to_owned)
}

pub(super) fn several_origins() -> String {
    "several values of --origin: one Larder has one origin; start one Larder for each, with its own --port".to_owned()
}

/// Says that the word behind `run` is not a URL.
pub(super) fn invalid_url(word: &str) -> String {
    format!("invalid URL {word:?}: expected the site to cache, for example larder run http://example.com")
}

/// Says that a command takes the origin only by its flag.
pub(super) fn needs_flag(word: &str, command: &str) -> String {
    format!(
        "unexpected {word:?} after {command}: write larder {command} alone, or name the site that Larder caches: larder \
         {command} --origin URL"
    )
}

/// Returns true for a word that is meant as an origin. A URL without its scheme has one of these characters.
pub(super) fn looks_like_origin(word: &str) -> bool {
    word.contains([':', '/', '.']) || word == "localhost"
}

/// Says what is wrong with a word that is neither a flag nor the value of one: a second origin, or a command's name.
fn unexpected(word: &str, words: &[OsString]) -> String {
    let others = without_flags(words);
    if let Some((flag, value)) = others.iter().find_map(|word| Some((switch_before(word, words)?, word))) {
        return needs_no_value(&flag, value);
    }
    let name = command(words).map(|name| if name == "config" { "config show".to_owned() } else { name });
    let is_of_name = |word: &&String| name.iter().flat_map(|name| name.split(' ')).any(|part| part == *word);
    let unknown = |word: &&String| !looks_like_origin(word) && !is_of_name(word);
    match (others.iter().find(unknown), name) {
        (Some(unknown), Some(name)) if name == "run" => invalid_url(unknown),
        (Some(unknown), _) => unknown_command(unknown, words),
        (None, Some(name)) if name == "run" => several_origins(),
        (None, Some(name)) if word == name => format!("{name} is written twice: write larder {name}"),
        (None, Some(name)) => needs_flag(word, &name),
        (None, None) => several_origins(),
    }
}

/// Says that there is no such command, and which one may be meant.
pub(super) fn unknown_command(name: &str, words: &[OsString]) -> String {
    if let Some(flag) = switch_before(name, words) {
        return needs_no_value(&flag, name);
    }
    let definition = Arguments::command();
    let known: Vec<&str> = definition.get_subcommands().map(|command| command.get_name()).chain(["help"]).collect();
    let meant = hints::of_command(name).map(str::to_owned).or_else(|| flag_without_dashes(name));
    match meant.or_else(|| nearest(name, known).map(str::to_owned)) {
        Some(meant) => format!("unknown command {name:?}: did you mean {meant}? (larder --help lists all)"),
        None => {
            format!("unknown command {name:?}: larder --help lists all; an origin is a URL, like http://example.com")
        }
    }
}

/// Returns the flag, with the name of its value, if this word is its name without the dashes: `--port N` for `port`.
fn flag_without_dashes(name: &str) -> Option<String> {
    let definition = help::with_help(Arguments::command());
    let arg = definition.get_arguments().find(|arg| arg.get_long() == Some(name))?;
    let value = arg.get_value_names().filter(|_| arg.get_action().takes_values());
    Some(value.and_then(<[_]>::first).map_or_else(|| format!("--{name}"), |value| format!("--{name} {value}")))
}

/// Returns the words that are neither flags nor values of flags, without the program's name.
fn without_flags(words: &[OsString]) -> Vec<String> {
    let (mut others, mut is_value) = (Vec::new(), false);
    for word in &words[1..] {
        match word.to_str() {
            _ if std::mem::take(&mut is_value) => {}
            Some(flag) if flag.starts_with('-') => is_value = negative::needs_value(word),
            Some(other) => others.push(other.to_owned()),
            None => {}
        }
    }
    others
}

/// Returns the flag without a value that stands before this word, if the word looks like its value: `--strict yes`.
fn switch_before(name: &str, words: &[OsString]) -> Option<String> {
    arguments::switch(name).ok().filter(|_| !name.is_empty())?;
    let before = words.iter().zip(&words[1..]).find(|(_, word)| *word == name)?.0.to_str()?;
    let is_switch = |arg: &clap::Arg| arg.get_long() == before.strip_prefix("--") && !arg.get_action().takes_values();
    let definition = Arguments::command();
    let mut of_all = definition.get_subcommands().chain([&definition]).flat_map(clap::Command::get_arguments);
    of_all.any(is_switch).then(|| before.to_owned())
}

/// Returns the name in `<URL>...`. A flag stays as it is.
fn value_name(usage: &str) -> &str {
    usage.trim_start_matches(['<', '[']).trim_end_matches(['>', ']', '.'])
}

fn needs_no_value(flag: &str, value: &str) -> String {
    format!("invalid {flag} \"{value}\": expected no value; write {flag} alone, or leave it out")
}

/// Puts clap's error into the form of all other errors: the setting, what is wrong with it, what was expected.
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
    match error.kind() {
        ErrorKind::UnknownArgument if flag.starts_with('-') => {
            // clap also suggests to pass it as a value
            let is_name = |meant: &String| !meant.is_empty() && !meant.starts_with("to pass ");
            let meant = [ContextKind::SuggestedArg, ContextKind::Suggested].map(said).into_iter().find(is_name);
            let named = command(words).filter(|name| !takes_all_flags(name));
            let program = named.map_or("larder".to_owned(), |name| format!("larder {name}"));
            match meant {
                Some(meant) => format!("unknown flag {flag}: did you mean {meant}? ({program} --help lists all)"),
                None => format!("unknown flag {flag}: {program} --help lists all"),
            }
        }
        // a second word that is not a flag: `purge /a`, or another URL
        ErrorKind::UnknownArgument => unexpected(&usage, words),
        ErrorKind::InvalidSubcommand => unknown_command(&said(ContextKind::InvalidSubcommand), words),
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("missing value of {flag}: write {}", usage.replace(['<', '>'], ""))
        }
        ErrorKind::InvalidValue => {
            let known = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(known)) => known.clone(),
                _ => Vec::new(),
            };
            let known = known.split_last().map_or(String::new(), |(last, others)| match others {
                [] => last.clone(),
                others => format!("{} or {last}", others.join(", ")),
            });
            format!("invalid {} \"{value}\": expected {known}", value_name(flag))
        }
        // its text looks like `<URL>...`
        ErrorKind::MissingRequiredArgument => {
            let missing = value_name(&usage);
            let name = command(words).unwrap_or_default();
            let expected = match missing {
                "SHELL" => ": bash, elvish, fish, powershell or zsh".to_owned(),
                _ => format!(" (larder {name} --help says more)"),
            };
            format!("missing {missing}: write larder {name} {missing}{expected}")
        }
        ErrorKind::TooManyValues => needs_no_value(flag, &value),
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
