//! The commands of an operator that are more than one question to a running Larder.

mod explain;
mod place;

pub use explain::explain;
