//! Parses the command line and the environment. This folder is the only place that names clap; [`crate::config`] checks
//! the values.

mod arguments;
mod errors;
mod help;
mod hints;
mod negative;
#[cfg(test)]
mod tests;
mod warnings;

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, builder::Resettable, parser::ValueSource};

pub use self::{
    arguments::{Arguments, Command},
    errors::CliError,
    warnings::variables,
};

impl Arguments {
    /// Parses the words of the command line (the first is the program's name) and the environment.
    pub fn read(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Arguments, CliError> {
        let words = negative::joined(words.into_iter().map(Into::into));
        let wrong = |error| CliError::of(error, &words);
        let matches = Arguments::definition().try_get_matches_from(&words).map_err(wrong)?;
        let mut arguments = Arguments::from_arg_matches(&matches).map_err(wrong)?;
        // The variable of a global flag also appears in the matches of the subcommand; its source is the same there.
        let from_environment = |id: &&str| matches.value_source(id) == Some(ValueSource::EnvVariable);
        arguments.from_environment =
            matches.ids().map(|id| id.as_str()).filter(from_environment).map(str::to_owned).collect();
        arguments.choose_origin(&words).map_err(CliError::Wrong)?;
        Ok(arguments)
    }

    /// Returns the definition that is parsed: the fields of [`Arguments`], the flags for help and version, and the
    /// names that other programs have for flags.
    fn definition() -> clap::Command {
        let definition = help::with_help(Arguments::command()).args(hints::arguments());
        // Kubernetes sets this variable for a service that is named larder; the port of it is not ours
        let of_kubernetes = std::env::var_os("LARDER_PORT").is_some_and(|port| warnings::is_link(&port));
        if of_kubernetes { definition.mut_arg("port", |port| port.env(Resettable::Reset)) } else { definition }
    }

    /// Takes the origin from the flag or from the word alone. One of them wins over the variable; two are an error.
    fn choose_origin(&mut self, words: &[OsString]) -> Result<(), String> {
        let Some(word) = self.word.take() else {
            self.origin = self.origins.pop();
            return if self.origins.is_empty() { Ok(()) } else { Err(errors::several_origins()) };
        };
        if !errors::looks_like_origin(&word) {
            return Err(errors::unknown_command(&word, words));
        }
        let from_environment = self.from_environment.iter().position(|id| id == "origin");
        match from_environment {
            Some(at) => drop(self.from_environment.swap_remove(at)),
            None if !self.origins.is_empty() => return Err(errors::several_origins()),
            None => {}
        }
        self.origins.clear();
        self.origin = Some(word);
        Ok(())
    }
}
