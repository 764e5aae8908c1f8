//! The bytes on disk: how a record, a line of the journal, a location and a sum are written and read. Pure functions over
//! bytes; nothing here opens a file.

pub mod journal_lines;
pub mod location;
pub mod print;
pub mod record;
pub mod sums;
