//! Larder: a caching HTTP proxy.
pub mod admin;
pub mod announce;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod fields;
#[doc(hidden)]
pub mod fuzzing;
pub mod key;
pub mod logging;
pub mod message;
pub mod origin;
pub mod policy;
pub mod proxy;
pub mod server;
pub mod store;
