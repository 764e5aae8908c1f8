//! The steps of a decision, in words.

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, COOKIE, ETAG, RANGE};

use super::dry::{DryRun, Ending};
use crate::{
    explanation::Step,
    fields::{credentials::is_in_field, method::is_safe_request},
    logging::{escape, redact},
    message::{FieldName, FieldValue, Fields, ResponseHead, StatusCode},
    policy::{
        Reason, Times,
        freshness::{current_age, freshness_lifetime, usable_for},
        reuse::unkeyed_content,
        storing, vary,
    },
    proxy::question::Content,
    store::StoredResponse,
    units::{show_seconds, show_size},
};

/// The fields of an answer that decide about storing.
const TELLING: [&str; 12] = [
    "age",
    "cache-control",
    "cdn-cache-control",
    "edge-control",
    "expires",
    "last-modified",
    "etag",
    "pragma",
    "surrogate-control",
    "vary",
    "x-accel-expires",
    "set-cookie",
];

/// Returns the steps, in their order.
pub fn steps(run: &DryRun, objections: &[Reason]) -> Vec<Step> {
    let mut steps = vec![request(run, objections), rule(run), key(run), stored(run)];
    steps.extend(asked(run));
    steps.extend(response(run, objections));
    steps.extend(after(run, objections));
    steps
}

/// Returns every reason why the answer of the origin is not stored. Before there is one, those that no answer could
/// change.
pub fn objections(run: &DryRun) -> Vec<Reason> {
    let (request, asked) = (&run.asked.request, &run.asked);
    match (&run.ending, &run.answered) {
        (Ending::Answered(verdict), _) if verdict.stored => Vec::new(),
        (Ending::Answered(verdict), Some(answered)) => {
            let head = &answered.response.head;
            let all = storing::objections(request, head, answered.times, &asked.policy_on(head));
            let others = all.into_iter().filter(|reason| *reason != verdict.reason);
            [verdict.reason].into_iter().chain(others).collect()
        }
        (Ending::Asks | Ending::Waits, _) => {
            unkeyed(run).into_iter().chain(objections_to_best(run, StatusCode::OK)).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns why the content of the request, which may change the answer, is not part of the key, if it is not.
fn unkeyed(run: &DryRun) -> Option<Reason> {
    let request = &run.asked.request;
    let is_unkeyed = matches!(run.body.content(), Content::Stream(_)) && is_safe_request(request);
    is_unkeyed.then(|| unkeyed_content(request))
}

/// Returns what would be in the way of storing the answer with this status that an origin could do most to have stored.
fn objections_to_best(run: &DryRun, status: StatusCode) -> Vec<Reason> {
    let mut best = ResponseHead { status, ..bare() };
    best.fields.append(CACHE_CONTROL, FieldValue::from_static("public, max-age=3600, s-maxage=3600"));
    best.fields.append(ETAG, FieldValue::from_static("\"1\""));
    storing::objections(&run.asked.request, &best, times_now(run), &run.asked.policy_on(&best))
}

/// Returns true if no answer would be stored. `objections`: what is in the way of the origin's answer, or, before there is
/// one, of a success. A rule may keep a success out and let an error be stored, for which it sets no lifetime.
pub fn is_never_stored(run: &DryRun, objections: &[Reason]) -> bool {
    let lets_errors = || {
        run.answered.is_none() && unkeyed(run).is_none() && objections_to_best(run, StatusCode::NOT_FOUND).is_empty()
    };
    !objections.is_empty() && !lets_errors()
}

/// Returns an answer that says nothing about how long it may be used.
pub fn bare() -> ResponseHead {
    ResponseHead { status: StatusCode::OK, fields: Fields::new() }
}

/// Returns the times of an exchange that takes no time.
pub fn times_now(run: &DryRun) -> Times {
    let cx = &run.asked.cx;
    Times { request: run.now, response: run.now, received: cx.clock.wall(), position: Default::default() }
}

fn request(run: &DryRun, objections: &[Reason]) -> Step {
    let request = &run.asked.request;
    let has = |name: &FieldName, words: &str| match request.fields.contains(name) {
        true => words.to_owned(),
        false => format!("no {words}"),
    };
    let mut parts = vec![request.method.to_string()];
    parts.extend((run.body.length() > 0).then(|| format!("{} of content", show_size(run.body.length()))));
    parts.extend([has(&COOKIE, "Cookie"), has(&AUTHORIZATION, "Authorization")]);
    let others =
        request.fields.iter().map(|(name, _)| name).filter(|name| is_in_field(name) && **name != AUTHORIZATION);
    parts.extend(others.map(ToString::to_string));
    for name in [&CACHE_CONTROL, &RANGE] {
        parts.extend(request.fields.values(name).map(|value| format!("{name}: {}", shown(value))));
    }
    let of_request = |reason: &&Reason| is_about_request(**reason);
    let no = run.noes.iter().find(of_request).or(objections.iter().find(of_request));
    Step::new("request", parts.join(", "), no.map_or("may be cached".to_owned(), |no| run.words(*no)))
}

/// Returns true if the request alone gives the reason.
fn is_about_request(reason: Reason) -> bool {
    use Reason::*;
    matches!(
        reason,
        UnsafeMethod
            | MethodNotCached
            | HeadRequest
            | Precondition
            | RangeUnit
            | RequestNoStore
            | RequestNoCache
            | RequestMaxAge
            | RequestMinFresh
            | OnlyIfCached
            | RequestContent
    )
}

fn rule(run: &DryRun) -> Step {
    let applied = match &run.answered {
        Some(answered) => run.asked.steered.answer(&answered.response.head).applied(),
        None => run.asked.steered.request().applied(),
    };
    let count = run.asked.site.book.rules().specs().len();
    match (applied.is_empty(), count) {
        (true, 0) => Step::new("rule", "there is none", ""),
        (true, 1) => Step::new("rule", "the one rule does not match", ""),
        (true, count) => Step::new("rule", format!("none of {count} matches"), ""),
        (false, _) => Step::new("rule", applied.join("; "), ""),
    }
}

fn key(run: &DryRun) -> Step {
    let (asked, target) = (&run.asked, &run.target);
    let keying = &asked.steered.request().key;
    let rewritten = keying.rewritten(target);
    let keyed = keying.target(&rewritten);
    let mut notes = Vec::new();
    if rewritten != *target {
        notes.push(format!("rewritten from {}", shown_target(target)));
    }
    let kept: Vec<&str> = parameters(&keyed);
    let left_out: Vec<&str> = parameters(&rewritten).into_iter().filter(|one| !kept.contains(one)).collect();
    if !left_out.is_empty() {
        let names: Vec<&str> = left_out.iter().map(|one| one.split('=').next().unwrap_or_default()).collect();
        notes.push(format!("{} left out", escape(&names.join(", "))));
    }
    notes.extend(keying.values());
    notes.extend(matches!(run.body.content(), Content::Read(_)).then(|| "and the content".to_owned()));
    Step::new("key", shown_target(&keyed), notes.join("; "))
}

fn parameters(target: &str) -> Vec<&str> {
    target.split_once('?').map(|(_, query)| query.split('&').collect()).unwrap_or_default()
}

fn stored(run: &DryRun) -> Step {
    let fields: Vec<FieldName> = run.variants.first().map(|stored| varying(stored)).unwrap_or_default();
    let note = match (&run.ending, run.noes.first()) {
        (_, Some(no)) if !is_about_request(*no) => run.words(*no),
        _ => String::new(),
    };
    if run.variants.len() > 1 || (run.found.stored.is_none() && !run.variants.is_empty()) {
        let each: Vec<String> = run.variants.iter().map(|stored| variant(run, stored)).collect();
        let names: Vec<&str> = fields.iter().map(FieldName::as_str).collect();
        let by = if names.is_empty() { String::new() } else { format!(" by {}", names.join(", ")) };
        let count = run.variants.len();
        let noun = if count == 1 { "variant" } else { "variants" };
        return Step::new("stored", format!("{count} {noun}{by}: {}", each.join(", ")), note);
    }
    let Some(stored) = &run.found.stored else { return Step::new("stored", "nothing", note) };
    let (head, body) = (&stored.head, show_size(stored.length()));
    let age = show_seconds(current_age(head, run.now).0);
    Step::new("stored", format!("{}, {body}, {age} old; {}", head.head.status.as_u16(), left(run, stored)), note)
}

/// Returns how long a stored response is fresh, and what says so.
fn left(run: &DryRun, stored: &StoredResponse) -> String {
    let (lifetime, by) = freshness_lifetime(&stored.head, &run.asked.policy_on(&stored.head.head));
    let (age, source) = (current_age(&stored.head, run.now), set_by(run, &stored.head.head, by));
    match lifetime.0.checked_sub(age.0) {
        _ if lifetime.0 == 0 => format!("validated before each use ({source})"),
        Some(left) if left > 0 => format!("{} left of {} ({source})", show_seconds(left), show_seconds(lifetime.0)),
        _ => format!("stale for {}, after {} ({source})", show_seconds(age.0 - lifetime.0), show_seconds(lifetime.0)),
    }
}

fn variant(run: &DryRun, stored: &StoredResponse) -> String {
    let age = show_seconds(current_age(&stored.head, run.now).0);
    let named = [&CONTENT_LANGUAGE, &CONTENT_ENCODING].into_iter().find_map(|name| stored.head.head.fields.only(name));
    let is_found = run.found.stored.as_ref().is_some_and(|found| found.key == stored.key);
    let found = if is_found { ", this one" } else { "" };
    match named {
        Some(name) => format!("{} ({age} old{found})", shown(name)),
        None => format!("{age} old{found}"),
    }
}

/// Returns the fields of the request that a stored response depends on.
fn varying(stored: &StoredResponse) -> Vec<FieldName> {
    vary::names_of(&stored.head.nominated).cloned().collect()
}

/// What the request has in the fields that the stored responses depend on.
fn asked(run: &DryRun) -> Option<Step> {
    let fields = varying(run.variants.first()?);
    let request = &run.asked.request.fields;
    let value = |name: &FieldName| match request.first(name) {
        // credentials are not shown
        Some(_) if is_in_field(name) || *name == COOKIE => format!("{name}: (not shown)"),
        Some(value) => format!("{name}: {}", shown(value)),
        None => format!("no {name}"),
    };
    let values: Vec<String> = fields.iter().map(value).collect();
    let note = if run.found.stored.is_some() { "its variant is stored" } else { "<- no variant" };
    (!values.is_empty()).then(|| Step::new("asked", values.join(", "), note))
}

/// What the origin has answered.
fn response(run: &DryRun, objections: &[Reason]) -> Option<Step> {
    let head = &run.answered.as_ref()?.response.head;
    let mut parts = vec![head.status.as_u16().to_string()];
    for (name, value) in head.fields.iter().filter(|(name, _)| TELLING.contains(&name.as_str())) {
        parts.push(match name.as_str() {
            "set-cookie" => "set-cookie: (not shown)".to_owned(),
            name => format!("{name}: {}", shown(value)),
        });
    }
    if !head.fields.contains(&CACHE_CONTROL) {
        parts.push("no cache-control".to_owned());
    }
    let note = objections.iter().find(|reason| !is_about_request(**reason));
    Some(Step::new("response", parts.join(", "), note.map_or(String::new(), |no| format!("<- {}", run.words(*no)))))
}

/// How long the answer would be used.
fn after(run: &DryRun, objections: &[Reason]) -> Option<Step> {
    match &run.ending {
        Ending::Answered(verdict) => {
            let (lifetime, by) = verdict.stored_for?;
            let head = &run.answered.as_ref()?.response.head;
            Some(match lifetime.0 {
                0 => Step::new("after", "would be validated before each use", run.words(by)),
                left => Step::new(
                    "after",
                    format!("would be fresh for {} ({})", show_seconds(left), set_by(run, head, by)),
                    "",
                ),
            })
        }
        Ending::Asks | Ending::Waits if objections.is_empty() => {
            let (head, times) = (bare(), times_now(run));
            let options = run.asked.policy_on(&head);
            let otherwise = match storing::storing(&run.asked.request, &head, times, &options) {
                Ok(stored) => {
                    let (left, by) = usable_for(&stored, &options);
                    format!("{} ({})", show_seconds(left.0), set_by(run, &head, by))
                }
                Err(reason) => format!("not stored: {}", run.words(reason)),
            };
            let by_rule = options.steering.ttl.is_some();
            Some(match by_rule {
                true => Step::new("after", format!("would be fresh for {otherwise}"), ""),
                false => Step::new(
                    "after",
                    "fresh for as long as the origin says",
                    format!("without a lifetime: {otherwise}"),
                ),
            })
        }
        _ => None,
    }
}

/// Returns the words for what gives a lifetime: a field of the response, a flag, a rule.
fn set_by(run: &DryRun, head: &ResponseHead, by: Reason) -> String {
    if let Some(words) = run.asked.steered.answer(head).words(by) {
        return words;
    }
    match by {
        Reason::DefaultTtl => "--default-ttl".to_owned(),
        Reason::NegativeTtl => "--negative-ttl".to_owned(),
        by => by.as_str().to_owned(),
    }
}

fn shown(value: &FieldValue) -> String {
    escape(&String::from_utf8_lossy(value.as_bytes())).into_owned()
}

fn shown_target(target: &str) -> String {
    escape(&redact(target)).into_owned()
}
