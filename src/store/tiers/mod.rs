//! What answers a lookup: memory, then what waits for the disk, then the disk.
//!
//! | file | what it knows |
//! |---|---|
//! | [`shared`] | all of the state below, which the workers and the writer share |
//! | [`reading`], [`lookups`] | a lookup, and how many of them read the disk at the same time |
//! | [`together`] | hands the reads of one turn of a worker to another thread together |
//! | [`memory`] | the memory tier |
//! | [`pending`] | changes that are not on the disk yet |
//! | [`catalog`], [`index`], [`variants`] | what the disk holds: generations, keys, and the variants of each URL |
//! | [`epochs`], [`purges`] | clearings, and purge rules: what is not to be found, wherever it is |
//! | [`paths`] | of which paths something may be stored |
//! | [`unreadable`] | which keys could not be read from the disk |
//! | [`sketch`] | how often each key was asked for lately, and so what survives |
//! | [`admission`], [`figures`] | whether a body would be stored; what `larder stats` shows |

pub mod admission;
pub mod catalog;
pub mod epochs;
mod figures;
pub mod index;
pub mod lookups;
pub mod memory;
pub mod paths;
pub mod pending;
pub mod purges;
mod reading;
pub mod shared;
pub mod sketch;
mod together;
pub mod unreadable;
pub mod variants;
