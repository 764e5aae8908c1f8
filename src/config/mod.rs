//! Checks the settings: every bound and every cross-check. Makes the options for each part of the program.

mod error;
mod file;
mod folder;
#[doc(hidden)]
pub mod fuzzing;
mod hosts;
mod origin;
mod reader;
mod show;
mod sites;
mod values;

use std::{path::PathBuf, sync::Arc};

pub use error::{ConfigError, Fault};
use file::File;
pub use folder::Surroundings;
pub use origin::Origin;
use reader::Reader;

use crate::{
    cli::{Arguments, Command, ConfigCommand},
    client, policy,
    proxy::HostMode,
    rules::Rules,
    store,
};

/// The command line, the environment and the configuration file, before they are checked.
#[derive(Debug, Clone)]
pub struct Sources {
    /// With the values of the file where the command line and the environment have none.
    pub arguments: Arguments,
    file: Option<File>,
}

/// The task that the program was started for.
#[derive(Debug, Clone)]
pub enum Task {
    Serve(Box<Config>),
    /// To say that the settings are valid, and what may be a mistake.
    Check(Box<Config>),
    /// To print these lines.
    Show(Vec<String>),
    Clear(Folders),
    Stats {
        folders: Folders,
        json: bool,
        all: bool,
    },
}

/// The cache folders that a task is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folders {
    One(PathBuf),
    /// All folders of origins below this folder.
    Below(PathBuf),
}

/// The settings of a running Larder. All of them are valid.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: Listen,
    /// The hosts that are served, in lower case, with a port only if one was typed. If empty, every host is served.
    pub allow_hosts: Vec<String>,
    pub store: store::Options,
    pub client: client::Options,
    /// At least one. No two of them answer the same requests.
    pub sites: Vec<Site>,
    /// The number of rules that the operator wrote.
    pub rules: usize,
    /// Lines about settings that may be mistakes.
    pub warnings: Vec<String>,
}

/// One site: the requests that are for it, its origin, and what is done with its answers.
#[derive(Debug, Clone)]
pub struct Site {
    /// The hosts of its requests, in lower case: `example.com`, or `*.example.com` for all names below that one. If empty,
    /// every host.
    pub hosts: Vec<String>,
    /// The beginning of the paths of its requests. It is empty, or begins with `/` and does not end with `/`.
    pub path: String,
    pub origin: Origin,
    /// Which Host the origin gets.
    pub host_mode: HostMode,
    /// True if the origin is told who the client is even if it gets its own Host.
    pub forward_client: bool,
    pub origin_client: crate::origin::Options,
    pub policy: policy::Options,
    pub rules: Arc<Rules>,
}

/// The address to listen on. Port 0 lets the system choose a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// A name or an address. An IPv6 address is without brackets.
    pub host: String,
    pub port: u16,
}

impl Config {
    /// Says how much the settings hold: `ok: 1 site, 3 rules, 1 origin`.
    pub fn summary(&self) -> String {
        let count = |count: usize, name: &str| format!("{count} {name}{}", if count == 1 { "" } else { "s" });
        let mut origins: Vec<&str> = self.sites.iter().map(|site| &*site.origin.url).collect();
        origins.sort_unstable();
        origins.dedup();
        let [sites, rules, origins] =
            [count(self.sites.len(), "site"), count(self.rules, "rule"), count(origins.len(), "origin")];
        format!("ok: {sites}, {rules}, {origins}")
    }
}

impl Sources {
    /// Reads the configuration file, if there is one. The errors are all that is wrong with its form.
    pub fn read(arguments: Arguments) -> Result<Sources, Vec<ConfigError>> {
        let (path, name) = match (&arguments.command, &arguments.config) {
            (Some(Command::Check { file: Some(file) }), _) => (file, "FILE".to_owned()),
            (_, Some(file)) => (file, arguments.name_of("config")),
            (_, None) => return Ok(Sources { arguments, file: None }),
        };
        let file = File::read(path, &name)?;
        match arguments.with_file(&file.flags) {
            Ok(arguments) => Ok(Sources { arguments, file: Some(file) }),
            Err(error) => {
                let (place, setting, problem) = (Some(file.path), String::new(), error.to_string());
                Err(vec![ConfigError { place, setting, fault: Fault::Conflict, problem }])
            }
        }
    }
}

impl Task {
    /// Reads the configuration file, checks all settings, and returns the task that they ask for. The errors are all that
    /// is wrong.
    pub fn new(arguments: &Arguments, surroundings: &Surroundings) -> Result<Task, Vec<ConfigError>> {
        Task::of(&Sources::read(arguments.clone())?, surroundings)
    }

    /// Checks all settings, and returns the task that they ask for. The errors are all that is wrong.
    pub fn of(Sources { arguments, file }: &Sources, surroundings: &Surroundings) -> Result<Task, Vec<ConfigError>> {
        let reader = Reader::new(arguments, surroundings, file.as_ref());
        let one = |error| vec![error];
        match &arguments.command {
            Some(command) if arguments.clear_cache => {
                let problem = format!("cannot be combined with {}; run one, then the other", command.name());
                Err(one(reader.error("clear_cache", problem)))
            }
            Some(Command::Stats { json, all }) => {
                let folders = reader.folders().map_err(one)?;
                Ok(Task::Stats { folders, json: *json, all: *all })
            }
            Some(Command::Check { .. }) => reader.config().map(|config| Task::Check(Box::new(config))),
            Some(Command::Config(ConfigCommand::Show)) => {
                reader.config().map(|config| Task::Show(show::lines(arguments, file.as_ref(), &config)))
            }
            None if arguments.clear_cache => reader.folders().map(Task::Clear).map_err(one),
            None => reader.config().map(|config| Task::Serve(Box::new(config))),
        }
    }
}

#[cfg(test)]
mod tests;
