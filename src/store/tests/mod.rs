//! The store as its users see it: real sled, real files.

mod limits;
mod storing;
mod support;
