//! Parses the command line and the environment. This folder is the only place that names clap; [`crate::config`] checks
//! the values.

mod arguments;
mod documents;
mod errors;
mod given;
mod help;
mod hints;
mod inventory;
mod moved;
mod negative;
mod operator;
#[cfg(test)]
mod tests;
mod warnings;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, builder::Resettable};

pub use self::{
    arguments::{Arguments, Command, ConfigCommand},
    errors::{Answer, CliError},
    given::{FileValue, Flag, Given, Source, Takes},
    inventory::{ListArguments, PurgeArguments, SortBy},
    operator::{ExplainArguments, TailArguments, WarmArguments},
    warnings::variables,
};

impl Arguments {
    /// Parses the words of the command line (the first is the program's name) and the environment.
    pub fn read(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Arguments, CliError> {
        Arguments::parse(moved::moved(negative::joined(words.into_iter().map(Into::into))), &[])
    }

    /// Parses the command line and the environment again. What both leave open is taken from the file.
    pub fn with_file(&self, file: &[FileValue]) -> Result<Arguments, CliError> {
        Arguments::parse(self.words.clone(), file)
    }

    fn parse(words: Vec<OsString>, file: &[FileValue]) -> Result<Arguments, CliError> {
        let wrong = |error| CliError::of(error, &words);
        let mut definition = Arguments::definition();
        let flags = given::flags(&definition);
        for FileValue { field, values, .. } in file {
            definition = definition.mut_arg(field, |arg| arg.default_values(values.clone()));
        }
        let matches = definition.try_get_matches_from(&words).map_err(wrong)?;
        let mut arguments = Arguments::from_arg_matches(&matches).map_err(wrong)?;
        match &arguments.command {
            Some(Command::Completions { shell }) => return Err(CliError::Asked(Answer::Completions(*shell))),
            Some(Command::Check { file: Some(file), .. }) if file.to_string_lossy().contains("://") => {
                return Err(CliError::Wrong(errors::needs_flag(&file.to_string_lossy(), "check")));
            }
            Some(Command::Man) => return Err(CliError::Asked(Answer::Manual)),
            _ => {}
        }
        // The variable of a global flag also appears in the matches of the subcommand; its source is the same there.
        arguments.given = given::given(flags, &matches, file);
        arguments.choose_origin(&words).map_err(CliError::Wrong)?;
        arguments.words = words;
        Ok(arguments)
    }

    /// Returns the flags, in the order of the help.
    pub fn flags() -> Vec<Flag> {
        given::flags(&Arguments::definition())
    }

    /// Returns the value of each flag and who set it, in the order of the help.
    pub fn given(&self) -> &[Given] {
        &self.given
    }

    /// Returns who set this field.
    pub fn source(&self, field: &str) -> &Source {
        self.given.iter().find(|given| given.flag.field == field).map_or(&Source::Default, |given| &given.source)
    }

    /// Returns the name by which the user set this field: `--max-head`, `LARDER_MAX_HEAD` if its value came from that
    /// variable, or `larder.toml:5: max-head` if it came from the file.
    pub fn name_of(&self, field: &str) -> String {
        match self.source(field) {
            Source::Variable => arguments::variable(field),
            Source::File { place, key } => format!("{place}: {key}"),
            Source::Flag | Source::Default => format!("--{}", field.replace('_', "-")),
        }
    }

    /// Returns the definition that is parsed: the fields of [`Arguments`], the flags for help and version, and the
    /// names that other programs have for flags.
    fn definition() -> clap::Command {
        let definition = help::with_help(Arguments::command()).args(hints::arguments());
        // Kubernetes sets this variable for a service that is named larder; the port of it is not ours
        let of_kubernetes = std::env::var_os("LARDER_PORT").is_some_and(|port| warnings::is_link(&port));
        if of_kubernetes { definition.mut_arg("port", |port| port.env(Resettable::Reset)) } else { definition }
    }

    /// Takes the origin from the flag, from the word alone, or from the word behind `run`. One of them wins over the variable;
    /// two are an error.
    fn choose_origin(&mut self, words: &[OsString]) -> Result<(), String> {
        let of_run = match &mut self.command {
            Some(Command::Run { url }) => url.take(),
            _ => None,
        };
        if let Some(url) = of_run.as_ref().filter(|url| !errors::looks_like_origin(url)) {
            return Err(errors::invalid_url(url));
        }
        if self.word.is_some() && of_run.is_some() {
            return Err(errors::several_origins());
        }
        let Some(word) = self.word.take().or(of_run) else {
            self.origin = self.origins.pop();
            return if self.origins.is_empty() { Ok(()) } else { Err(errors::several_origins()) };
        };
        if !errors::looks_like_origin(&word) {
            return Err(errors::unknown_command(&word, words));
        }
        if self.source("origin") == &Source::Flag {
            return Err(errors::several_origins());
        }
        if let Some(given) = self.given.iter_mut().find(|given| given.flag.field == "origin") {
            *given = Given { values: vec![word.clone()], source: Source::Flag, ..given.clone() };
        }
        self.origins.clear();
        self.origin = Some(word);
        Ok(())
    }
}
