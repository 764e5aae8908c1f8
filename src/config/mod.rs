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
mod task;
mod types;
mod values;

pub use error::{ConfigError, Fault};
pub use folder::Surroundings;
pub use origin::Origin;
pub use task::{Place, Sources, Task};
pub use types::{Config, Folders, Listen, Log, Site};

#[cfg(test)]
mod tests;
