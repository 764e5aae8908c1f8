//! Larder: a caching HTTP proxy.
pub mod client;
pub mod clock;
pub mod fields;
pub mod key;
pub mod message;
pub mod origin;
pub mod policy;
pub mod store;
