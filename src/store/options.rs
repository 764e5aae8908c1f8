//! The options of a store.

use std::path::PathBuf;

/// The options of a store, from the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cache folder; created with mode 0700 if it is missing.
    pub folder: PathBuf,
    /// Bytes that are held in memory: the memory tier, and what the store itself needs. Below
    /// [`LEAST_MEMORY`](super::LEAST_MEMORY) only the memory tier gets smaller; 0: there is none.
    pub memory: u64,
    /// Bytes that the folder may occupy.
    pub disk: u64,
    /// Bytes of the largest body that is stored.
    pub max_object: u64,
}
