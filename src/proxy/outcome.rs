//! The outcome of a request. The log and the counts of answers are made from this record and from nothing else.

use std::{net::IpAddr, rc::Rc, time::Duration};

use super::{
    site::Site,
    verdict::{Tier, Verdict},
};
use crate::{
    message::{Method, StatusCode, Version},
    policy::Reason,
};

/// The outcome of one request.
pub struct Outcome {
    /// The site that was chosen for the request. `None` if the request was refused before that.
    pub site: Option<Rc<Site>>,
    /// The method. `None` if the request was refused before it was known.
    pub method: Option<Method>,
    /// The request-target as the client sent it.
    pub target: String,
    /// The version. `None` if the bytes were no request of HTTP/1.
    pub version: Option<Version>,
    pub peer: Option<IpAddr>,
    /// The status of the answer. `None` if no answer was begun.
    pub status: Option<StatusCode>,
    /// How the answer came about. `None` if there is no answer, or if the client side made it.
    pub verdict: Option<Verdict>,
    /// Bytes of the request's content that were read.
    pub received: u64,
    /// Bytes of the answer's body that were handed to the connection, or that the client side sent.
    pub sent: u64,
    /// The time from the request's head to the last byte of the answer.
    pub took: Duration,
    pub end: End,
}

/// The outcome of a request of which nothing is known, and that got no answer: its client has left.
impl Default for Outcome {
    fn default() -> Outcome {
        Outcome {
            site: None,
            method: None,
            target: String::new(),
            version: None,
            peer: None,
            status: None,
            verdict: None,
            received: 0,
            sent: 0,
            took: Duration::ZERO,
            end: End::Left,
        }
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Whole,
    /// The origin or the store broke the body off.
    BrokenOff,
    /// The client left before the end.
    Left,
    /// Larder itself ended the answer before its end.
    CutOff(Cut),
    /// The client side refused the request in place of the core. The text says why.
    Refused(&'static str),
}

/// Why Larder itself ended an answer before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The client took nothing of it for `--write-timeout`.
    WriteTimeout,
    /// The time that a stop waits for answers was over.
    Stop,
    /// The client side refused the rest of the request's content.
    Content,
}

impl Cut {
    pub fn as_str(self) -> &'static str {
        match self {
            Cut::WriteTimeout => "cut off: --write-timeout",
            Cut::Stop => "cut off by the stop",
            Cut::Content => "cut off: the request's content is malformed or late",
        }
    }
}

/// The kinds of outcomes, for the log's words and for counting. Each request has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A stored response answered while it was fresh.
    Fresh,
    /// A stored response answered after the origin had said that it is still current.
    Validated,
    /// A stored response answered though it was stale.
    Stale,
    /// The origin answered, and its answer was stored.
    Miss,
    /// The origin answered another request for the same, and this one waited for it.
    Collapsed,
    /// The origin answered, and its answer was not stored.
    NotCached,
    /// Larder refused the request.
    Refused,
    /// The origin could not answer.
    Error,
    /// The client left before an answer was begun, or before an answer could reach it.
    Left,
    /// A fault of Larder's own, or its stop, ended the request before an answer was begun.
    Lost,
}

impl Kind {
    pub const ALL: &'static [Kind] = &[
        Kind::Fresh,
        Kind::Validated,
        Kind::Stale,
        Kind::Miss,
        Kind::Collapsed,
        Kind::NotCached,
        Kind::Refused,
        Kind::Error,
        Kind::Left,
        Kind::Lost,
    ];

    /// Returns the name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Fresh => "fresh",
            Kind::Validated => "validated",
            Kind::Stale => "stale",
            Kind::Miss => "miss",
            Kind::Collapsed => "collapsed",
            Kind::NotCached => "not_cached",
            Kind::Refused => "refused",
            Kind::Error => "error",
            Kind::Left => "left",
            Kind::Lost => "lost",
        }
    }

    /// Returns the kind of an outcome.
    pub fn of(outcome: &Outcome) -> Kind {
        match (&outcome.verdict, outcome.end) {
            (Some(verdict), _) => Kind::of_answer(verdict),
            (None, End::Refused(_)) => Kind::Refused,
            (None, End::Left) => Kind::Left,
            (None, _) => Kind::Lost,
        }
    }

    /// Returns the kind of an outcome with this verdict.
    pub fn of_answer(verdict: &Verdict) -> Kind {
        use Reason::{MaxStale, RefreshedByRule, StaleByDefault, StaleIfError, StaleWhileRevalidate, Validated};
        match verdict.reason {
            _ if verdict.tier == Tier::Larder && verdict.failure.is_some() => Kind::Error,
            _ if verdict.tier == Tier::Larder => Kind::Refused,
            _ if !verdict.from_cache && verdict.collapsed => Kind::Collapsed,
            _ if !verdict.from_cache && verdict.stored => Kind::Miss,
            _ if !verdict.from_cache => Kind::NotCached,
            StaleWhileRevalidate | RefreshedByRule | MaxStale | StaleIfError | StaleByDefault => Kind::Stale,
            _ if verdict.reason == Validated || verdict.fwd_status == Some(304) => Kind::Validated,
            _ => Kind::Fresh,
        }
    }

    /// Returns the word that the log shows.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Fresh | Kind::Validated => "HIT",
            Kind::Stale => "STALE",
            Kind::Miss | Kind::Collapsed | Kind::NotCached => "MISS",
            Kind::Refused | Kind::Error | Kind::Left | Kind::Lost => "----",
        }
    }
}
