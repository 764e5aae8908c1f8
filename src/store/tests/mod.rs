//! The store as its users see it: real sled, real files.

mod storing;
mod support;
