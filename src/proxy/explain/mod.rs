//! Explains what would happen to a request now. Nothing changes: no count, no place in memory, no flight.

mod changes;
mod dry;
mod steps;

use std::rc::Rc;

use self::{
    changes::changes,
    dry::{DryRun, Ending, dry_run},
    steps::{is_never_stored, objections, steps},
};
use super::{context::Context, refusal::Refusal, verdict::Verdict, words::Expected};
use crate::{
    explanation::{Explanation, Outcome, Stored, Wanted, Why},
    message::Method,
    policy::{Reason, freshness},
    units::show_seconds,
};

/// The table of what one can do about a reason.
const REASONS: &str = include_str!("../../../docs/reasons.md");

/// Explains what would happen to a request. The error says why it is not one that can be explained.
pub async fn explain(cx: Rc<Context>, wanted: &Wanted) -> Result<Explanation, String> {
    let method = Method::from_bytes(wanted.method.as_bytes())
        .map_err(|_| format!("invalid method {:?}: expected letters, for example GET", wanted.method))?;
    if !wanted.target.starts_with('/') {
        return Err(format!("invalid path {:?}: expected \"/\" in front", wanted.target));
    }
    let host = wanted.host.clone().unwrap_or_else(|| format!("127.0.0.1:{}", cx.port));
    let url = format!("http://{host}{}", wanted.target);
    let explanation = match dry_run(cx, &method, &host, wanted).await? {
        Ok(run) => of_run(&run),
        Err(refusal) => of_refusal(&refusal),
    };
    Ok(Explanation { method: method.to_string(), url, ..explanation })
}

/// Asks the origin for a target, and says in one line what its answer would be in the cache:
/// `200  would be stored for 1h (--default-ttl)`. `host`: the Host of the request. The error says why there is no answer.
pub async fn first_answer(cx: Rc<Context>, host: &str, target: &str) -> Result<String, String> {
    let wanted = Wanted { target: target.to_owned(), ask: true, ..Wanted::default() };
    let run = dry_run(cx, &Method::GET, host, &wanted).await?.map_err(|refusal| refusal.detail())?;
    match (&run.ending, run.verdict()) {
        (Ending::Failed(error), _) => Err(error.to_string()),
        (_, Some(verdict)) => {
            let status = verdict.fwd_status.map_or_else(|| "-".to_owned(), |status| status.to_string());
            Ok(format!("{status}  {}", Expected(&verdict)))
        }
        (_, None) => Err(Reason::Refused.as_str().to_owned()),
    }
}

fn of_refusal(refusal: &Refusal) -> Explanation {
    let verdict = Verdict::refused(refusal.reason());
    Explanation {
        outcome: Outcome::Refused,
        sentence: format!("{} is the answer.", refusal.status()),
        method: String::new(),
        url: String::new(),
        asks_origin: false,
        cache_status: Some(verdict.cache_status().member()),
        stores: None,
        reasons: vec![why(refusal.reason(), refusal.detail())],
        changes: Vec::new(),
        stored: None,
        steps: Vec::new(),
    }
}

fn of_run(run: &DryRun) -> Explanation {
    let (objections, asks_origin) = (objections(run), run.asks_origin());
    let outcome = match &run.ending {
        Ending::FromCache { stale: false, .. } => Outcome::Hit,
        Ending::FromCache { stale: true, .. } => Outcome::Stale,
        Ending::Refused(_) => Outcome::Refused,
        Ending::Failed(_) => Outcome::Error,
        Ending::Answered(_) | Ending::Asks | Ending::Waits if is_never_stored(run, &objections) => Outcome::Never,
        Ending::Answered(_) | Ending::Asks | Ending::Waits => Outcome::Miss,
    };
    let mut reasons: Vec<(Reason, String)> = Vec::new();
    if asks_origin || outcome == Outcome::Refused {
        // that nothing is stored yet is no reason where nothing will be
        let counts = |reason: &&Reason| **reason != Reason::NotStored || objections.is_empty();
        reasons.extend(run.noes.iter().filter(counts).map(|reason| (*reason, run.words(*reason))));
    }
    for reason in &objections {
        if reasons.iter().all(|(known, _)| known != reason) {
            reasons.push((*reason, run.words(*reason)));
        }
    }
    Explanation {
        outcome,
        sentence: sentence(run, outcome),
        method: String::new(),
        url: String::new(),
        asks_origin,
        cache_status: run.verdict().map(|verdict| verdict.cache_status().member()),
        stores: run.stores(),
        reasons: reasons.into_iter().map(|(reason, words)| why(reason, words)).collect(),
        changes: changes(run, &objections),
        stored: stored(run),
        steps: steps(run, &objections),
    }
}

fn why(reason: Reason, words: String) -> Why {
    Why { reason: reason.name(), words, advice: advice(reason) }
}

/// Returns what one can do about a reason: the text behind it in docs/reasons.md.
fn advice(reason: Reason) -> Option<String> {
    let rows = REASONS.split("## Why a response was not stored").nth(1)?;
    let mut last = "";
    for row in rows.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (words, text) = row.split_once("` |")?;
        let text = text.trim().trim_end_matches('|').trim();
        last = if text == "the same" { last } else { text };
        if words == reason.as_str() {
            return Some(last.replace('`', "")).filter(|text| !text.is_empty());
        }
    }
    None
}

/// Returns the outcome in a sentence.
fn sentence(run: &DryRun, outcome: Outcome) -> String {
    match (&run.ending, outcome) {
        (Ending::FromCache { verdict, .. }, _) => {
            let left = verdict.ttl.unwrap_or(0);
            let time = show_seconds(left.unsigned_abs());
            let behind = if run.refreshes { ", and the origin would be asked behind it" } else { "" };
            match (outcome, verdict.fwd_status) {
                (Outcome::Stale, _) => format!("a stored response would answer, stale for {time}{behind}."),
                (_, Some(status)) => format!("the origin answered {status}, and the stored response is still current."),
                _ if left > 0 => format!("a stored response would answer, with {time} left."),
                _ => "a stored response would answer.".to_owned(),
            }
        }
        (Ending::Waits, _) => "another request for it is under way, and this one would wait for its answer.".to_owned(),
        (Ending::Refused(_), _) => "504 is the answer, since only a stored response is asked for.".to_owned(),
        (Ending::Failed(error), _) => format!("{error}."),
        (Ending::Answered(_), Outcome::Never) => "the origin answers it, and the answer is not stored.".to_owned(),
        (Ending::Answered(_), _) => "it goes to the origin, and the answer would be stored.".to_owned(),
        (Ending::Asks, Outcome::Never) => "it would go to the origin, and no answer would be stored.".to_owned(),
        (Ending::Asks, _) => "it would go to the origin (--ask says whether the answer is stored).".to_owned(),
    }
}

/// Returns the numbers of the stored response.
fn stored(run: &DryRun) -> Option<Stored> {
    let stored = run.found.stored.as_deref()?;
    let options = run.asked.policy_on(&stored.head.head);
    let (lifetime, by) = freshness::freshness_lifetime(&stored.head, &options);
    let age = freshness::current_age(&stored.head, run.now);
    Some(Stored {
        status: stored.head.head.status.as_u16(),
        bytes: stored.length(),
        received: stored.head.received.0,
        age: age.0,
        lifetime: lifetime.0,
        lifetime_by: by.name(),
        ttl: i64::try_from(lifetime.0).unwrap_or(i64::MAX).saturating_sub(i64::try_from(age.0).unwrap_or(i64::MAX)),
        variants: run.variants.len().max(1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_keeps_a_response_out_has_the_advice_of_the_page() {
        assert_eq!(advice(Reason::NoStore).as_deref(), Some("the origin forbids it; change it there"));
        assert_eq!(advice(Reason::Private), advice(Reason::NoStore), "the row says that it is the same");
        assert_eq!(advice(Reason::TooLarge).as_deref(), Some("raise --max-object"));
        assert_eq!(advice(Reason::Fresh), None);
    }
}
