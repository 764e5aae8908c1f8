//! The task that the program was started for.

use super::{
    error::{ConfigError, Fault},
    file::File,
    folder::Surroundings,
    reader::Reader,
    show,
    types::{Config, Folders},
};
use crate::{
    cli::{
        Arguments, Command, ConfigCommand, ExplainArguments, ListArguments, PurgeArguments, TailArguments,
        WarmArguments,
    },
    clock::Seconds,
    policy,
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
    Check {
        config: Box<Config>,
        /// Connect to each origin, too.
        connect: bool,
    },
    /// To print these lines.
    Show(Vec<String>),
    Clear(Folders),
    Stats {
        folders: Folders,
        json: bool,
        all: bool,
        watch: bool,
        /// The time whose counters are shown. `None`: all of them are.
        since: Option<Seconds>,
    },
    Reload {
        folders: Folders,
        /// The setting of the file that decides the folder, if the file does: `larder.toml:3: cache-dir`.
        decided_by: Option<String>,
    },
    /// To explain a request. Without settings that name a site only a running Larder can.
    Explain {
        arguments: ExplainArguments,
        folders: Folders,
        config: Option<Box<Config>>,
    },
    Warm {
        arguments: WarmArguments,
        folders: Folders,
        quiet: bool,
    },
    Tail(TailArguments, Folders),
    Purge(Box<(PurgeArguments, Place)>),
    List(Box<(ListArguments, Place)>),
}

/// Where a command about what is stored looks.
#[derive(Debug, Clone)]
pub struct Place {
    pub folders: Folders,
    /// The settings, if they name a site. A folder on which no Larder runs does not know its sites itself.
    pub config: Option<Config>,
    /// What is fresh, for responses of other sites.
    pub policy: policy::Options,
}

impl Sources {
    /// Reads the configuration file, if there is one. The errors are all that is wrong with its form.
    pub fn read(arguments: Arguments) -> Result<Sources, Vec<ConfigError>> {
        let (path, name) = match (&arguments.command, &arguments.config) {
            (Some(Command::Check { file: Some(file), .. }), _) => (file, "FILE".to_owned()),
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
            Some(Command::Stats { json, all, watch, since }) => {
                let folders = reader.folders().map_err(one)?;
                let since = since.as_deref().map(|since| reader.window("since", since)).transpose().map_err(one)?;
                Ok(Task::Stats { folders, json: *json, all: *all, watch: *watch, since })
            }
            Some(Command::Purge(purge)) => {
                let place = place(&reader)?;
                Ok(Task::Purge(Box::new((PurgeArguments::clone(purge), place))))
            }
            Some(Command::Ls(list)) => Ok(Task::List(Box::new((list.clone(), place(&reader)?)))),
            Some(Command::Reload) => {
                let decided_by = reader.folder_decided_by();
                reader.folders().map(|folders| Task::Reload { folders, decided_by }).map_err(one)
            }
            Some(Command::Check { connect, .. }) => {
                reader.config().map(|config| Task::Check { config: Box::new(config), connect: *connect })
            }
            Some(Command::Explain(explain)) => {
                let (arguments, folders) = (explain.clone(), reader.folders().map_err(one)?);
                let config = settings(&reader)?.map(Box::new);
                Ok(Task::Explain { arguments, folders, config })
            }
            Some(Command::Warm(warm)) => {
                let (arguments, folders) = (warm.clone(), reader.folders().map_err(one)?);
                Ok(Task::Warm { arguments, folders, quiet: reader.arguments.quiet > 0 })
            }
            Some(Command::Tail(tail)) => Ok(Task::Tail(tail.clone(), reader.folders().map_err(one)?)),
            // these have been answered
            Some(Command::Completions { .. } | Command::Man) => Ok(Task::Show(Vec::new())),
            Some(Command::Config(ConfigCommand::Show)) => {
                reader.config().map(|config| Task::Show(show::lines(arguments, file.as_ref(), &config)))
            }
            None if arguments.clear_cache => reader.folders().map(Task::Clear).map_err(one),
            Some(Command::Run { .. }) | None => reader.config().map(|config| Task::Serve(Box::new(config))),
        }
    }
}

/// Returns where a command about what is stored looks.
fn place(reader: &Reader<'_>) -> Result<Place, Vec<ConfigError>> {
    let folders = reader.folders().map_err(|error| vec![error])?;
    let policy = reader.policy();
    Ok(Place { folders, config: settings(reader)?, policy })
}

/// Returns the settings, if they name a site.
fn settings(reader: &Reader<'_>) -> Result<Option<Config>, Vec<ConfigError>> {
    match reader.arguments.origin.is_some() || reader.file.is_some() {
        true => reader.config().map(Some),
        false => Ok(None),
    }
}
