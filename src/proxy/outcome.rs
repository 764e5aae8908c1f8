//! What became of a request. The log is fed by this record and by nothing else; so is every other count of answers.

use std::{net::IpAddr, time::Duration};

use super::verdict::Verdict;
use crate::message::{Method, StatusCode, Version};

/// What became of one request.
#[derive(Debug)]
pub struct Outcome {
    /// `None`: the request was refused before its method was known.
    pub method: Option<Method>,
    /// The request-target as the client sent it.
    pub target: String,
    pub version: Version,
    pub peer: Option<IpAddr>,
    /// `None`: no answer was begun.
    pub status: Option<StatusCode>,
    /// How the answer came about; `None`: there is none, or the client side made it.
    pub verdict: Option<Verdict>,
    /// Bytes of the answer's body that were handed to the connection.
    pub sent: u64,
    /// From the request's head to the last byte of the answer.
    pub took: Duration,
    pub end: End,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Whole,
    /// The origin or the store broke the body off.
    BrokenOff,
    /// The client left before the end.
    Left,
    /// The client side refused the request in place of the core. The text says why.
    Refused(&'static str),
}
