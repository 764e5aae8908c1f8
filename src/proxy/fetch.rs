//! Answers requests from the origin, for one client or for many at once.

use std::{sync::Arc, time::Duration};

use http::header::RANGE;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    admission::Admitted,
    ask::{ask, spared, stand_in},
    collapse::Join,
    context::Asked,
    failure::status_of,
    fetched::Fetched,
    fill::{FillReader, Prospect},
    gaps,
    landing::{Audience, Filling, FlightKey, Flying, Landing, Looked},
    led::Led,
    question::{Again, Content, Found, Question, Way, head_key, way},
    respond,
    verdict::{Answer, Tier, Verdict},
};
use crate::{
    clock::{self, Timestamp},
    message::{Method, StoredHead},
    origin::OriginError,
    policy::{
        Reason, parts,
        reuse::{Forward, Mode, Reuse, reuse},
        selection::{self, Selection},
        sharing::is_anonymous,
        validation, vary,
    },
    purge::Liveness,
    store::StoredResponse,
};

/// How long a range request waits for its first byte from a body that another request fetches. If the byte is expected
/// later, the range is asked for alone.
const DUE: Duration = Duration::from_secs(1);

/// Answers a request from the origin.
pub fn fetch(admitted: Admitted, found: Found, forward: Forward) -> impl Future<Output = Answer> {
    lead_or_follow(admitted, found, forward, |_| None)
}

/// Answers a request whose client wishes to reload: from the origin, or from the stored response if the URL was
/// reloaded a moment ago.
pub fn reload(admitted: Admitted, found: Found, forward: Forward) -> impl Future<Output = Answer> {
    let tier = found.tier;
    let just_asked = move |question: &Question| {
        let Question { asked, stored, .. } = question;
        let (stored, now) = (stored.as_ref()?, asked.cx.clock.now());
        let may_reload = asked.cx.shared.may_reload(asked.primary, now);
        (!may_reload).then(|| respond::hit(asked, stored, Reason::JustAsked, tier, now))
    };
    lead_or_follow(admitted, found, forward, just_asked)
}

/// Answers a request from the origin, together with other requests for the same. `instead` may give another answer
/// before the origin is asked. It is not called for a request that follows another one.
// no `async fn`: see `ask`
fn lead_or_follow(
    admitted: Admitted,
    found: Found,
    forward: Forward,
    instead: impl FnOnce(&Question) -> Option<Answer>,
) -> impl Future<Output = Answer> {
    let Admitted { asked, content, connection } = admitted;
    let verdict = Verdict::forwarded(forward.fwd, forward.reason);
    let Way { mode, alone } = way(&asked, &found, forward.mode);
    let mut question = Question::new(asked.clone(), content, Some(connection), found, mode);
    async move {
        // a HEAD follows nobody, but finds what was received whole
        if asked.request.method == Method::HEAD
            && let Some(landing @ Landing::Filling(_)) = asked.cx.shared.flights.landed(&question.flight)
            && is_received(&landing)
            && let Some(answer) = followed(&question, landing, false, &verdict)
        {
            return answer;
        }
        let joined = match alone {
            true => Joined::Alone(None),
            false => join(&mut question, &verdict).await,
        };
        if let Joined::Answered(answer) = joined {
            return *answer;
        }
        if let Some(answer) = instead(&question) {
            return answer;
        }
        match joined {
            Joined::Answered(answer) => *answer,
            Joined::Leads(lead) => {
                let fetched = Led::begin(question, lead).await;
                answer(&asked, fetched, verdict)
            }
            Joined::Alone(place) => {
                let fetched = Box::pin(ask(question, None)).await;
                drop(place);
                answer(&asked, fetched, verdict)
            }
        }
    }
}

/// Validates a stored response after it was used for an answer (RFC 5861 §3). After a HEAD this is done by HEAD: a GET
/// could begin a large transfer that nobody wants.
pub fn refresh(asked: Asked, content: Content, found: Found) {
    let variant = match asked.request.method == Method::HEAD {
        true => head_key(&asked),
        false => found.key,
    };
    let flight = FlightKey { primary: asked.primary, variant };
    if let Join::Lead(lead) = asked.cx.shared.flights.join(&flight) {
        let question = Question::new(asked, content, None, found, Mode::Validate);
        tokio::task::spawn_local(async move {
            if lead.is_late(question.looked)
                && let Again { usable: Some((stored, _)), fresh: true, .. } = question.look_again().await
            {
                return lead.land(Landing::Found(stored));
            }
            // followers may be on other workers
            let _held = question.asked.worker.hold();
            ask(question, Some(lead)).await;
        });
    }
}

/// The result of joining the flight of a question.
enum Joined {
    Leads(Flying),
    Answered(Box<Answer>),
    /// The request asks for itself. The permit is its place, if only a few may ask at once.
    Alone(Option<OwnedSemaphorePermit>),
}

/// Joins other requests for the same. When an answer shows by which fields the URL varies, the flight's key is changed
/// to that variant, but only once: if an origin varies by other fields each time, each request asks for itself.
async fn join(question: &mut Question, verdict: &Verdict) -> Joined {
    let (mut rejoined, began) = (false, clock::instant());
    question.choose_flight();
    while question.collapses() {
        let (cx, request) = (&question.asked.cx, &question.asked.request);
        match cx.shared.flights.join(&question.flight) {
            Join::Lead(lead) => {
                if !lead.is_late(question.looked) {
                    return Joined::Leads(lead);
                }
                let again = Box::pin(question.look_again()).await;
                if let Some((stored, reason)) = again.usable {
                    lead.land(Landing::Found(stored.clone()));
                    let answer = respond::hit(&question.asked, &stored, reason, Tier::Memory, cx.clock.now());
                    return Joined::Answered(Box::new(answer));
                }
                question.looked = again.looked;
                if again.key == question.flight.variant || question.gap.is_some() || rejoined {
                    return Joined::Leads(lead);
                }
                question.flight.variant = again.key;
            }
            Join::Follow(follow) => {
                let waited = !follow.has_landed();
                let Some(landing) = follow.landed().await else {
                    log::debug!("a flight was given up; joining again");
                    continue;
                };
                // the leader has waited for its whole timeout, but this request has not
                if matches!(landing, Landing::Failed(OriginError::FirstByteTimeout | OriginError::ConnectTimeout))
                    && began.elapsed() < question.asked.site.origin.patience().mul_f64(0.9)
                {
                    // the leader may be about to end
                    tokio::task::yield_now().await;
                    continue;
                }
                let varies = landing.varies_for(request, question.asked.policy());
                let begun = validatable(question, &landing);
                let failing = if let Landing::Failing(few) = &landing { Some(few.clone()) } else { None };
                if let Some(answer) = followed(question, landing, waited, verdict) {
                    return Joined::Answered(Box::new(answer));
                }
                if begun.is_some() {
                    (question.begun, question.mode) = (begun, Mode::Validate);
                    return Joined::Alone(None);
                }
                if let Some(few) = failing {
                    let place = few.acquire_owned().await.ok();
                    let again = Box::pin(question.look_again()).await;
                    return match again.usable {
                        Some((stored, reason)) => {
                            let now = question.asked.cx.clock.now();
                            let answer = respond::hit(&question.asked, &stored, reason, Tier::Memory, now);
                            Joined::Answered(Box::new(answer))
                        }
                        None => Joined::Alone(place),
                    };
                }
                let variant = varies.filter(|_| !rejoined).map(|values| question.flight.primary.variant(&values));
                match variant {
                    // other requests may ask for the same variant
                    Some(variant) if variant != question.flight.variant => question.flight.variant = variant,
                    _ => return Joined::Alone(None),
                }
            }
        }
        rejoined = true;
    }
    Joined::Alone(None)
}

/// Returns the response that another request is storing, if this request may use it once the origin has validated it.
fn validatable(question: &Question, landing: &Landing) -> Option<(Filling, FillReader)> {
    let Landing::Filling(filling) = landing else { return None };
    let Question { asked, stored, .. } = question;
    // a range whose first byte is not due must not wait for the whole
    let fits = stored.is_none()
        && !asked.request.fields.contains(&RANGE)
        && filling.audience != Audience::Anonymous
        && vary::matches(&filling.head.nominated, &asked.request, asked.policy())
        && !validation::conditions(&filling.head).is_empty()
        && filling.may_be_joined(asked.cx.clock.now());
    let reader = if fits { FillReader::of(&filling.fill)? } else { return None };
    Some((filling.clone(), reader))
}

/// Makes the answer for the client whose request went to the origin.
fn answer(asked: &Asked, fetched: Fetched, verdict: Verdict) -> Answer {
    match fetched {
        Fetched::Stored { stored, reason, validated, cookies } => {
            let mut verdict = verdict.using_stored(reason);
            if let Some((status, times)) = validated {
                verdict = verdict.answered(status, times);
            }
            respond::stored(asked, &stored, cookies, verdict, asked.cx.clock.now())
        }
        Fetched::Spared { stored, reason } => respond::hit(asked, &stored, reason, Tier::Memory, asked.cx.clock.now()),
        Fetched::StoodIn { stored, reason, status, failure } => {
            let verdict = Verdict { fwd_status: status, failure, ..verdict.using_stored(reason) };
            respond::stored(asked, &stored, Vec::new(), verdict, asked.cx.clock.now())
        }
        Fetched::Filling { head, filling, reader, completes, not_stored } => {
            let fill = Some(filling.fill.clone());
            let verdict = Verdict { fill, ..verdict.answered(filling.status, filling.times).kept(not_stored) };
            match completes {
                Some(stored) => respond::completed(asked, &stored, &filling, reader, verdict),
                None => respond::fresh_from_origin(asked, &head, &filling, reader, verdict),
            }
        }
        Fetched::Confirmed { filling, reader, status, times, cookies } => {
            let verdict = verdict.using_stored(Reason::Validated).answered(status, times);
            respond::filling(asked, &filling, reader, cookies, verdict)
        }
        Fetched::Relay { answered, reason } => {
            let status = answered.response.head.status.as_u16();
            let verdict = verdict.answered(status, answered.times).kept(Some(reason));
            respond::relayed(asked, answered.response, verdict)
        }
        Fetched::Failed(error) => respond::failed(asked, &error, verdict),
    }
}

/// Returns true if the bytes that a request asks for are there, or are expected within [`DUE`] at the pace of those
/// that came.
fn is_due(asked: &Asked, filling: &Filling) -> bool {
    let Filling { head, fill, length, times, .. } = filling;
    if !asked.request.fields.contains(&RANGE) {
        return true;
    }
    let whole = head.part.map_or(*length, |part| part.complete);
    let first = match selection::select(&asked.request, head, whole) {
        Selection::Part(first, _) => first,
        Selection::Parts(ranges) => ranges.iter().map(|(first, _)| *first).min().unwrap_or(0),
        // as long as the length is unknown, no range can be selected
        Selection::Whole => return whole.is_some(),
        Selection::NotModified | Selection::NotSatisfiable => 0,
    };
    let (first, came) = (first - head.part.map_or(0, |part| part.first), fill.came());
    let took = asked.cx.clock.now().0.saturating_sub(times.response.0).max(1) as u128;
    u128::from(first.saturating_sub(came)) * took <= u128::from(came) * DUE.as_millis()
}

/// Decides whether a response that another request fetched may be used. A purge may have come since that request asked.
fn decide<'a>(asked: &Asked, head: &'a StoredHead, now: Timestamp) -> Reuse<Looked<'a>> {
    let options = asked.policy_on(&head.head);
    let head = Looked { head, standing: asked.cx.store.standing_of(head) };
    reuse(&asked.request, Some(head), false, now, &options)
}

/// Returns true if the response was received whole and is being stored.
fn is_received(landing: &Landing) -> bool {
    let Landing::Filling(filling) = landing else { return false };
    filling.stored && filling.fill.prospect() == Prospect::Whole
}

/// Returns the stored response that is completed by what another request fetches, if both together may answer.
fn completed_by<'a>(
    question: &'a Question,
    filling: &Filling,
    now: Timestamp,
) -> Option<(&'a Arc<StoredResponse>, Reason)> {
    let Question { asked, stored, gap, .. } = question;
    let stored = stored.as_ref().filter(|stored| gap.is_some_and(|gap| gaps::is_closed_by(stored, gap, filling)))?;
    let head = parts::completed(&asked.request, &stored.head, &filling.head);
    match decide(asked, &head, now) {
        Reuse::Serve(_, reason) | Reuse::Refresh(_, reason) => Some((stored, reason)),
        _ => None,
    }
}

/// Makes the answer for a client that followed another request. Returns `None` if the client's request must ask for
/// itself. `waited` is true if it followed before the leader landed anything.
fn followed(question: &Question, landing: Landing, waited: bool, verdict: &Verdict) -> Option<Answer> {
    let (asked, now) = (&question.asked, question.asked.cx.clock.now());
    let is_purged = |head: &StoredHead| asked.cx.store.standing_of(head).liveness > Liveness::Stale;
    let used = |head: &StoredHead| match decide(asked, head, now) {
        Reuse::Serve(_, reason) | Reuse::Refresh(_, reason) => Some(reason),
        _ => None,
    };
    // a response that the origin sent while the request waited is new enough for a client that reloads
    let usable = |head: &StoredHead| {
        let reloaded = || matches!(decide(asked, head, now), Reuse::Reload(..));
        vary::matches(&head.nominated, &asked.request, asked.policy()) && (used(head).is_some() || reloaded())
    };
    let may_have = |filling: &Filling| {
        let matches = || vary::matches(&filling.head.nominated, &asked.request, asked.policy());
        match filling.audience {
            Audience::All => usable(&filling.head),
            Audience::Waiting => usable(&filling.head) || (waited && matches() && !is_purged(&filling.head)),
            Audience::Anonymous => waited && matches() && is_anonymous(&asked.request) && !is_purged(&filling.head),
        }
    };
    // what was received whole is as good as stored, also where the disk does not have it yet
    let is_received = !waited && is_received(&landing);
    let received = |filling: &Filling, reason: Option<Reason>, verdict: &Verdict| match reason.filter(|_| is_received) {
        Some(reason) => Verdict::hit(reason, Tier::Memory),
        None => verdict.clone().answered(filling.status, filling.times),
    };
    let verdict = Verdict { collapsed: true, ..verdict.clone() };
    let stand_in = |status| stand_in(asked, question.stored.as_ref(), status);
    match landing {
        Landing::Stored { stored, status, times } if usable(&stored.head) => {
            let verdict = Verdict { from_cache: true, tier: Tier::Memory, ..verdict.answered(status, times) };
            Some(respond::stored(asked, &stored, Vec::new(), verdict, now))
        }
        Landing::Found(stored) if usable(&stored.head) => {
            Some(respond::hit(asked, &stored, used(&stored.head)?, Tier::Memory, now))
        }
        Landing::Filling(filling) if let Some((stored, reason)) = completed_by(question, &filling, now) => {
            let reader = FillReader::of(&filling.fill)?;
            let verdict = received(&filling, Some(reason), &verdict);
            Some(respond::completed(asked, stored, &filling, reader, verdict))
        }
        Landing::Filling(filling) if filling.may_be_joined(now) && may_have(&filling) && is_due(asked, &filling) => {
            let reader = FillReader::of(&filling.fill)?;
            let verdict = received(&filling, used(&filling.head), &verdict);
            Some(respond::filling(asked, &filling, reader, Vec::new(), verdict))
        }
        Landing::Failed(error) => Some(match stand_in(status_of(&error)) {
            Some(fetched) => answer(asked, fetched.because_of(&error), verdict),
            None => respond::failed(asked, &error, verdict),
        }),
        Landing::Erred(status) => Some(answer(asked, stand_in(Some(status))?, verdict)),
        Landing::Spared => Some(answer(asked, spared(asked, question.stored.as_ref())?, verdict)),
        Landing::Stored { .. } | Landing::Found(_) | Landing::Filling(_) | Landing::Failing(_) | Landing::Alone => None,
    }
}
