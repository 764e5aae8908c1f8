//! Syntax of field values: total parsers. They never fail and never decide.

pub mod cache_control;
pub mod cache_status;
pub mod date;
pub mod etag;
pub mod hop_by_hop;
pub mod range;
