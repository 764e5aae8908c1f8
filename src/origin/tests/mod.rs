//! The origin client against origins that say byte for byte what a test wants.

mod bound;
mod cuts;
mod framing;
mod places;
mod pool;
mod retry;
mod rig;
pub(in crate::origin) use rig::options;
mod settle;
mod timeouts;
mod tls;
mod upload;
