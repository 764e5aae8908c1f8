//! The integration tests: one binary, one file a topic. Names are sentences, nothing sleeps, every test owns its ports and
//! folders.

mod cli;
mod collapse;
mod exhaustion;
mod framing;
mod interim;
mod process;
mod smuggling;
mod support;
mod tidy;
mod tls;
