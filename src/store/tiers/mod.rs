//! What answers a lookup: memory, then what waits for the disk, then the disk.

pub mod admission;
pub mod catalog;
pub mod epochs;
mod figures;
pub mod index;
pub mod lookups;
pub mod memory;
pub mod pending;
pub mod purges;
mod reading;
pub mod shared;
pub mod sketch;
pub mod variants;
