//! One line in the log for each request.

use super::outcome::{End, Outcome};
use crate::{
    logging::{escape, redact},
    message::StatusCode,
};

const TARGET: &str = "larder::access";

/// Returns true if the log takes lines about requests.
pub fn is_read() -> bool {
    log::log_enabled!(target: TARGET, log::Level::Info)
}

/// Writes the line of a request.
pub fn log(outcome: &Outcome) {
    // a stranger's bytes make no line, unless somebody wants to know more
    let level = match outcome.end {
        End::Refused(_) => log::Level::Debug,
        _ => log::Level::Info,
    };
    if !log::log_enabled!(target: TARGET, level) {
        return;
    }
    let (word, reason) = match (&outcome.verdict, outcome.end) {
        (Some(verdict), _) => (verdict.word(), verdict.reason.as_str()),
        (None, End::Refused(why)) => ("----", why),
        (None, _) => ("----", "the client left before it got an answer"),
    };
    let more = match log::log_enabled!(target: TARGET, log::Level::Debug) {
        true => more(outcome),
        false => String::new(),
    };
    log::log!(
        target: TARGET,
        level,
        "{word} {} {} {} {:.1} ms {} B {reason}{}{more}",
        outcome.status.as_ref().map_or("left", StatusCode::as_str),
        outcome.method.as_ref().map_or("-".into(), |method| escape(method.as_str())),
        escape(&redact(&outcome.target)),
        outcome.took.as_secs_f64() * 1e3,
        outcome.sent,
        match (outcome.end, outcome.status) {
            (End::Left, Some(_)) => " (left)",
            (End::BrokenOff, Some(_)) => " (broken off)",
            _ => "",
        },
    );
}

/// What `-v` adds to a line.
fn more(outcome: &Outcome) -> String {
    let peer = outcome.peer.map_or("-".to_owned(), |peer| peer.to_string());
    let mut more = format!(" [client {peer}, HTTP/{}", outcome.version.number());
    if let Some(verdict) = &outcome.verdict {
        more.push_str(", from ");
        more.push_str(verdict.tier.as_str());
        if let Some(time) = verdict.origin_time {
            more.push_str(&format!(", origin {} ms", time.as_millis()));
        }
    }
    more.push(']');
    more
}
