//! The integration tests: one binary, one file a topic. Names are sentences, nothing sleeps, every test owns its ports and
//! folders.

mod cli;
mod collapse;
mod cuts;
mod errors;
mod exhaustion;
mod forwarding;
mod framing;
mod interim;
mod invalidation;
mod logs;
mod poisoning;
mod ranges;
mod regression;
mod responses;
mod restart;
mod reuse;
mod smuggling;
mod soak;
mod stale;
mod storing;
mod support;
mod targets;
mod tidy;
mod validation;
mod vary;
