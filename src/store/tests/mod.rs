//! The store as its users see it: real sled, real files.

mod admission;
mod counting;
mod crash;
mod damage;
mod folders;
mod freshening;
mod hot;
mod limits;
mod odd_files;
mod parts;
mod power;
mod purge;
mod purge_laws;
mod races;
mod space;
mod spans;
mod stats;
mod storing;
pub mod support;
mod sweep;
mod trace;
mod variants;
mod versions;
