//! Checks the settings: every bound and every cross-check. Makes the options for each part of the program.

mod error;
mod folder;
#[doc(hidden)]
pub mod fuzzing;
mod hosts;
mod origin;
mod reader;

use std::{path::PathBuf, sync::Arc};

pub use error::{ConfigError, Fault};
pub use folder::Surroundings;
pub use origin::Origin;
use reader::Reader;

use crate::{
    cli::{Arguments, Command},
    client, policy,
    proxy::HostMode,
    rules::Rules,
    store,
};

/// The task that the program was started for.
#[derive(Debug, Clone)]
pub enum Task {
    Serve(Box<Config>),
    Clear(Folders),
    Stats { folders: Folders, json: bool, all: bool },
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

impl Task {
    /// Checks the arguments and returns the task that they ask for.
    pub fn new(arguments: &Arguments, surroundings: &Surroundings) -> Result<Task, ConfigError> {
        let reader = Reader { arguments, surroundings };
        if let Some(Command::Stats { json, all }) = arguments.command {
            if arguments.clear_cache {
                return Err(reader.error("clear_cache", "cannot be combined with stats; run one, then the other"));
            }
            return Ok(Task::Stats { folders: reader.folders()?, json, all });
        }
        if arguments.clear_cache {
            return Ok(Task::Clear(reader.folders()?));
        }
        reader.config().map(|config| Task::Serve(Box::new(config)))
    }
}

#[cfg(test)]
mod tests;
