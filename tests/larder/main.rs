//! The integration tests: one binary, one file a topic. Names are sentences, nothing sleeps, every test owns its ports and
//! folders.

mod cli;
mod collapse;
mod framing;
mod fuzz;
mod interim;
mod regression;
mod support;
mod tidy;
