//! What stands on disk, byte for byte: records and the lines of the journal. Nothing here opens a file, and nothing
//! panics, whatever bytes it is given.
//!
//! | file | what it knows |
//! |---|---|
//! | [`prefix`] | the fixed places at the beginning of each record |
//! | [`sections`] | how the head behind the prefix is divided |
//! | [`head`] | what stands in each section of a response's head |
//! | [`whole`] | a record: prefix, head and body |
//! | [`lines`] | the lines of the journal |
#![allow(dead_code)]

pub mod head;
pub mod lines;
pub mod prefix;
pub mod sections;
#[cfg(test)]
mod tests;
pub mod whole;
