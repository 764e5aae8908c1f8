//! Purging: which stored responses may still be used.
//!
//! Everything here is pure: no I/O, no clock.
mod position;

pub use position::Position;
