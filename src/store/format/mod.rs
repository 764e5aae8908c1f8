//! The bytes on disk: how records, lines of the journal, locations and sums are written and read. Pure functions over bytes:
//! nothing here opens a file, and nothing panics, whatever bytes it is given.
//!
//! | file | what it knows |
//! |---|---|
//! | [`prefix`] | what stands at the beginning of each record |
//! | [`numbers`] | whole numbers of variable length |
//! | [`sections`] | how the head behind the prefix is divided |
//! | [`names`] | the names of fields that are one byte |
//! | [`head`] | what stands in each section of a response's head |
//! | [`record`] | a record: prefix, head and body |
//! | [`lines`] | the lines of the journal |
//! | [`rules`] | purge rules as lines of the journal |
//! | [`location`], [`sums`], [`print`] | places of bodies, sums against damage, what the index keeps of a key |

pub mod head;
pub mod lines;
pub mod location;
pub mod names;
pub mod numbers;
pub mod prefix;
pub mod print;
pub mod record;
pub mod rules;
pub mod sections;
pub mod sums;
#[cfg(test)]
mod tests;
