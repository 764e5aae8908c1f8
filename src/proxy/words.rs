//! Writes the reason of an outcome in words for people. It is the last part of a log line.

use std::{borrow::Cow, fmt};

use super::{
    fill::Prospect,
    outcome::{Cut, End, Kind, Outcome},
    steered::Effective,
    verdict::Verdict,
};
use crate::{logging::escape, policy::Reason, units::show_seconds};

/// Shows the reason of an outcome: `stored for 5s`, `5s left`, `not stored: Cache-Control: private`.
pub struct Words<'a>(pub &'a Outcome);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (Kind::of(self.0), &self.0.verdict) {
            (Kind::Left, _) => f.write_str("the client left before it got an answer"),
            (Kind::Lost, _) => f.write_str(match self.0.end {
                End::CutOff(cut) => cut.as_str(),
                _ => "lost to a fault of Larder's own",
            }),
            (_, None) => f.write_str(match self.0.end {
                End::Refused(why) => why,
                _ => Reason::Refused.as_str(),
            }),
            (Kind::Stale, Some(verdict)) => stale(f, verdict),
            (Kind::Miss, Some(verdict)) => stored(f, verdict, self.0.end),
            (Kind::NotCached, Some(verdict)) => not_stored(f, verdict, self.0),
            (Kind::Fresh | Kind::Validated | Kind::Collapsed, Some(verdict)) => left(f, verdict),
            (Kind::Refused | Kind::Error, Some(verdict)) => match &verdict.failure {
                Some(failure) => f.write_str(&escape(&failure.to_string())),
                None => f.write_str(&verdict.words(verdict.reason)),
            },
        }
    }
}

/// Shows what would become of an answer of the origin: `would be stored for 5s`, `would not be stored: Cache-Control: private`.
pub struct Expected<'a>(pub &'a Verdict);

impl fmt::Display for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.stored {
            true => f.write_str("would be ").and_then(|()| stored(f, self.0, End::Whole)),
            false => write!(f, "would not be stored: {}", self.0.words(self.0.reason)),
        }
    }
}

/// Writes the reason of an answer that is a stored response, or is shared with the request that stores it.
fn left(f: &mut fmt::Formatter<'_>, verdict: &Verdict) -> fmt::Result {
    let source = source(verdict, verdict.reason);
    let why = match verdict.reason {
        _ if verdict.collapsed => Some("collapsed".into()),
        Reason::Fresh => None,
        reason => Some(verdict.words(reason)).filter(|_| source.is_none()),
    };
    let left = verdict.ttl.filter(|ttl| *ttl > 0).map(|ttl| show_seconds(ttl.unsigned_abs()));
    match (why, left) {
        (Some(why), Some(left)) => write!(f, "{why}; {left} left")?,
        (None, Some(left)) => write!(f, "{left} left")?,
        (why, None) => f.write_str(&why.unwrap_or(verdict.reason.as_str().into()))?,
    }
    source.map_or(Ok(()), |source| write!(f, " ({source})"))
}

/// Writes the reason of an answer from a stale stored response.
fn stale(f: &mut fmt::Formatter<'_>, verdict: &Verdict) -> fmt::Result {
    let over = show_seconds(verdict.ttl.unwrap_or(0).min(0).unsigned_abs());
    write!(f, "{over} over; ")?;
    match (&verdict.failure, verdict.fwd_status) {
        (Some(failure), _) => f.write_str(&escape(&failure.to_string())),
        (None, Some(status)) => write!(f, "the origin answered {status}"),
        // the line says already that it is stale
        (None, None) if verdict.reason == Reason::StaleByDefault => {
            let by_rule = verdict.steered.as_deref().and_then(|steered| steered.words(verdict.reason));
            write!(f, "the origin fails ({})", by_rule.as_deref().unwrap_or("see --stale-if-error"))
        }
        (None, None) => f.write_str(&verdict.words(verdict.reason)),
    }
}

/// Writes the reason of an answer that is being stored, was stored, or could not be stored in the end.
fn stored(f: &mut fmt::Formatter<'_>, verdict: &Verdict, end: End) -> fmt::Result {
    if verdict.reason != Reason::NotStored {
        write!(f, "{}; ", verdict.reason.as_str())?;
    }
    match (verdict.fill.as_ref().map(|fill| fill.prospect()), end) {
        (Some(Prospect::Refused(why)), _) => return write!(f, "not stored: {}", why.as_str()),
        (Some(Prospect::Broken), _) => return f.write_str("not stored"),
        // the fill ends with the process
        (Some(Prospect::Open | Prospect::Deserted), End::CutOff(Cut::Stop)) => return f.write_str("not stored"),
        (Some(Prospect::Deserted), End::Left | End::CutOff(_)) => return f.write_str("not stored yet"),
        (None | Some(Prospect::Open | Prospect::Deserted | Prospect::Whole), _) => {}
    }
    match verdict.stored_for {
        Some((lifetime, by)) if lifetime.0 > 0 => {
            write!(f, "stored for {}", show_seconds(lifetime.0))?;
            source(verdict, by).map_or(Ok(()), |source| write!(f, " ({source})"))?;
        }
        Some((_, Reason::LifetimeUsedUp)) => write!(f, "stored, but {}", Reason::LifetimeUsedUp.as_str())?,
        _ => f.write_str("stored, to be validated before each use")?,
    }
    let ignores = verdict.steered.as_deref().and_then(Effective::ignores);
    ignores.map_or(Ok(()), |ignores| write!(f, "; {}", escape(&ignores)))
}

/// Writes the reason of an answer that is not stored.
fn not_stored(f: &mut fmt::Formatter<'_>, verdict: &Verdict, outcome: &Outcome) -> fmt::Result {
    match (verdict.reason, &outcome.method) {
        (Reason::UnsafeMethod | Reason::MethodNotCached, Some(method)) => {
            write!(f, "{} is not cached", escape(method.as_str()))
        }
        (reason, _) => write!(f, "not stored: {}", verdict.words(reason)),
    }
}

/// Returns the words for a lifetime that the origin did not give.
fn source(verdict: &Verdict, reason: Reason) -> Option<Cow<'static, str>> {
    if let Some(words) = verdict.steered.as_deref().and_then(|steered| steered.words(reason)) {
        return Some(words.into());
    }
    let source = match reason {
        Reason::DefaultTtl => Some("--default-ttl"),
        Reason::NegativeTtl => Some("--negative-ttl"),
        Reason::LastModified => Some("a tenth since Last-Modified"),
        Reason::FreshDirectivesIgnored => Some("reload ignored, see --client-reload"),
        _ => None,
    };
    source.map(Cow::from)
}
