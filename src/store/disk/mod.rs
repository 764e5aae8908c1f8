//! The files of the cache folder, and the room that they take.

pub mod body;
pub mod filling;
pub mod folder;
pub mod generation;
pub mod journal;
pub mod records;
pub mod segment;
pub mod space;
