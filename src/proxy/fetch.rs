//! Asking the origin on behalf of one client, or of many at once, and storing what comes.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    Asked, Content, Context, Found, access,
    collapse::{Join, Lead},
    exchange::{self, Answered},
    fill::{Fill, FillReader, Filled, Unfilled},
    forward::Conditions,
    is_unsafe,
    respond::{self, Verdict},
    shared::FlightKey,
};
use crate::{
    client::{Connection, Reply},
    clock::Timestamp,
    key::CacheKey,
    message::{Method, Request, ResponseHead, StoredBody, StoredHead, StoredResponse},
    origin::{OriginBody, OriginError, OriginResponse},
    policy::{
        Fwd, Reason, Times, invalidation,
        reuse::{Reuse, reuse},
        storing::storing,
        validation::{self, HeadSays},
        vary,
    },
    store::{self, Epoch},
};

/// Bytes of a stored part up to which it is completed rather than fetched anew.
const COMPLETED: u64 = 8 * 1024 * 1024;

/// How the origin is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Whether the stored response is current.
    Validate,
    /// For what the stored part lacks.
    Complete,
    /// For a response that others may share.
    Fetch,
    /// As the client asks, for this client alone.
    Pass,
}

/// What the leader of a flight tells those who follow.
#[derive(Clone)]
pub enum Landing {
    /// Validated.
    Stored(Arc<StoredResponse>, u16),
    /// On its way.
    Filling(Arc<StoredHead>, Arc<Fill>, Option<u64>, u16),
    /// The answer was for the leader alone.
    Alone,
    Failed(OriginError),
    /// The origin answered with an error that a stale response may stand in for.
    Erred(u16),
}

/// What came of asking.
enum Outcome {
    /// A stored response answers: the origin said that it is current, or failed.
    Stored {
        stored: Arc<StoredResponse>,
        reason: Reason,
        status: Option<u16>,
    },
    /// Storable, and on its way into the store.
    Filling {
        head: ResponseHead,
        stored: Arc<StoredHead>,
        reader: FillReader,
        length: Option<u64>,
        status: u16,
        combined: bool,
    },
    Relay {
        response: OriginResponse,
        reason: Reason,
    },
    Failed(OriginError),
}

/// A question to the origin that outlives the client that asked it.
struct Question {
    request: Rc<Request>,
    content: Content,
    interim: Option<Connection>,
    primary: CacheKey,
    /// What the answer may validate, complete or be displaced by.
    stored: Option<Arc<StoredResponse>>,
    way: Way,
}

type Flying = Lead<FlightKey, Landing>;

/// Answers a request from the origin.
pub async fn fetch(
    cx: &Rc<Context>,
    asked: Asked,
    found: Found,
    way: Way,
    fwd: Fwd,
    reason: Reason,
    log: &mut access::Entry,
) -> Reply {
    let mut verdict = Verdict::forwarded(fwd, reason);
    let flight = FlightKey { primary: asked.primary, variant: found.key };
    let collapses = collapses(&asked, way) && !cx.shared.goes_alone(&flight.variant, cx.clock.now());
    let question = Question::new(asked, found, way);
    let request = question.request.clone();
    let mut joining = collapses;
    while joining {
        match cx.shared.flights.join(&flight) {
            Join::Lead(lead) => {
                let (told, tell) = oneshot::channel();
                tokio::task::spawn_local(lead_flight(cx.clone(), question, lead, flight, Some(told)));
                let outcome = tell.await.unwrap_or(Outcome::Failed(OriginError::Closed));
                return reply(cx, &request, outcome, verdict, log);
            }
            Join::Follow(follow) => match follow.landed().await {
                Some(landing) => {
                    if let Some(reply) = follow_reply(cx, &question, landing, &mut verdict, log) {
                        return reply;
                    }
                    joining = false;
                }
                None => log::debug!("a flight was given up; joining again"),
            },
        }
    }
    let outcome = ask(cx, question, None, Some(&flight)).await;
    reply(cx, &request, outcome, verdict, log)
}

/// Validates a stored response behind the answer that was given from it (RFC 5861 §3).
pub fn refresh(cx: &Rc<Context>, asked: Asked, found: Found, _reason: Reason) {
    let flight = FlightKey { primary: asked.primary, variant: found.key };
    if let Join::Lead(lead) = cx.shared.flights.join(&flight) {
        let mut question = Question::new(asked, found, Way::Validate);
        question.interim = None;
        if question.request.method == Method::HEAD {
            Rc::make_mut(&mut question.request).method = Method::GET;
        }
        tokio::task::spawn_local(lead_flight(cx.clone(), question, lead, flight, None));
    }
}

impl Question {
    fn new(asked: Asked, found: Found, way: Way) -> Question {
        let interim = (!asked.request.http_10).then_some(asked.connection);
        Question {
            request: asked.request,
            content: asked.content,
            interim,
            primary: asked.primary,
            stored: found.stored,
            way,
        }
    }
}

/// Whether requests like this one wait for each other: what they get can be shared, as far as can be told before.
fn collapses(asked: &Asked, way: Way) -> bool {
    let shareable = |name: http::HeaderName| !asked.request.fields.contains(&name);
    match way {
        Way::Pass => false,
        Way::Validate => true,
        Way::Fetch | Way::Complete => shareable(http::header::RANGE) && shareable(http::header::AUTHORIZATION),
    }
}

/// Asks for all who follow, and for the one who is told.
async fn lead_flight(
    cx: Rc<Context>,
    question: Question,
    lead: Flying,
    flight: FlightKey,
    told: Option<oneshot::Sender<Outcome>>,
) {
    let outcome = ask(&cx, question, Some(lead), Some(&flight)).await;
    if let Some(told) = told {
        let _ = told.send(outcome);
    }
}

/// Asks the origin and does to the store what its answer says. The lead ends when what it landed is stored.
async fn ask(cx: &Rc<Context>, question: Question, lead: Option<Flying>, flight: Option<&FlightKey>) -> Outcome {
    let epoch = cx.store.epoch();
    let Question { request, mut content, interim, primary, stored, mut way } = question;
    let land = |landing: Landing| {
        if let Some(lead) = &lead {
            lead.land(landing);
        }
    };
    // a failing origin is not asked by every request that has something to answer with
    if !cx.shared.health.may_ask(cx.clock.now())
        && let Some(outcome) = stand_in(cx, &request, stored.as_ref(), None)
    {
        land(Landing::Erred(503));
        return outcome;
    }
    loop {
        let (conditions, added) = match (way, &stored) {
            (Way::Validate, Some(stored)) => (Conditions::None, validation::conditions(&stored.head)),
            (Way::Complete, Some(stored)) if stored.body.length() <= COMPLETED => {
                (Conditions::None, validation::completion(&request, &stored.head, &cx.policy).unwrap_or_default())
            }
            (Way::Pass, _) => (Conditions::AsAsked, Vec::new()),
            _ => (Conditions::RangeOnly, Vec::new()),
        };
        if added.is_empty() && way != Way::Pass {
            way = Way::Fetch;
        }
        let again = match &content {
            Content::Read(bytes) => Content::Read(bytes.clone()),
            _ => Content::None,
        };
        let sent =
            exchange::send(cx, &request, std::mem::replace(&mut content, again), conditions, &added, interim.clone());
        let Answered { response, times } = match sent.await {
            Ok(answered) => {
                cx.shared.health.answered();
                answered
            }
            Err(error) => {
                if !matches!(error, OriginError::Upload) {
                    cx.shared.health.failed(cx.clock.now());
                }
                land(Landing::Failed(error.clone()));
                return stand_in(cx, &request, stored.as_ref(), None).unwrap_or(Outcome::Failed(error));
            }
        };
        let status = response.head.status.as_u16();
        match (way, &stored) {
            (Way::Validate, Some(stored)) if status == 304 => {
                let Some(head) = validation::freshen(&request, &stored.head, &response.head, times, &cx.policy) else {
                    way = Way::Fetch;
                    continue;
                };
                cx.store.freshen(primary, stored, head.clone(), epoch);
                let stored = Arc::new(StoredResponse { key: stored.key, head, body: stored.body.clone() });
                land(Landing::Stored(stored.clone(), status));
                return Outcome::Stored { stored, reason: Reason::Validated, status: Some(status) };
            }
            (Way::Complete, _) if status != 200 && status != 206 && status < 500 => {
                way = Way::Fetch;
                continue;
            }
            (Way::Validate | Way::Complete | Way::Fetch, Some(old)) if status >= 500 => {
                if let Some(outcome) = stand_in(cx, &request, Some(old), Some(status)) {
                    land(Landing::Erred(status));
                    return outcome;
                }
                // an error does not displace a good response
                land(Landing::Alone);
                return Outcome::Relay { response, reason: Reason::OriginError };
            }
            _ => {}
        }
        after_effects(cx, &request, primary, stored.as_ref(), &response, times, epoch);
        let answer = Answer { request: &request, response, times, primary, epoch };
        return match storing(&request, &answer.response.head, times, &cx.policy) {
            Ok(head) => {
                let joined = join_parts(stored.as_ref(), head).await;
                // it was to complete the stored part, and belongs to another representation
                if way == Way::Complete && joined.head.part.is_some() && !joined.combined {
                    way = Way::Fetch;
                    continue;
                }
                if let Some(flight) = flight {
                    cx.shared.note_shareable(&flight.variant);
                }
                answer.fill(cx, joined, lead)
            }
            Err(reason) => {
                land(Landing::Alone);
                if let (Some(flight), true) = (flight, lead.is_some()) {
                    cx.shared.note_alone(flight.variant, times.response);
                }
                if way == Way::Complete && status == 206 {
                    way = Way::Fetch;
                    continue;
                }
                answer.relay(reason)
            }
        };
    }
}

/// What an answer does to other stored responses: invalidation (RFC 9111 §4.4), freshening by HEAD (§4.3.5).
fn after_effects(
    cx: &Context,
    request: &Request,
    primary: CacheKey,
    stored: Option<&Arc<StoredResponse>>,
    response: &OriginResponse,
    times: Times,
    epoch: Epoch,
) {
    if is_unsafe(&request.method) {
        for target in invalidation::invalidates(request, &response.head) {
            let key = CacheKey::of(&cx.site_url, &Method::GET, &target, None);
            cx.shared.note_invalidated(key, times.response);
            cx.store.invalidate(&key);
        }
    } else if request.method == Method::HEAD
        && let Some(stored) = stored
    {
        let length = stored.body.length();
        match validation::freshen_by_head(request, &stored.head, length, &response.head, times, &cx.policy) {
            HeadSays::Freshened(head) => cx.store.freshen(primary, stored, *head, epoch),
            HeadSays::Changed => cx.store.invalidate(&primary),
            HeadSays::Nothing => {}
        }
    }
}

/// A stale stored response in place of a failed exchange, where that is allowed (RFC 5861 §4).
fn stand_in(
    cx: &Context,
    request: &Request,
    stored: Option<&Arc<StoredResponse>>,
    status: Option<u16>,
) -> Option<Outcome> {
    let stored = stored?;
    let reason = validation::on_error(request, &stored.head, status, cx.clock.now(), &cx.policy).ok()?;
    Some(Outcome::Stored { stored: stored.clone(), reason, status })
}

/// What is to be stored, and the bytes of the old part on both sides of the new.
struct Joined {
    head: StoredHead,
    sides: [Vec<Bytes>; 2],
    combined: bool,
}

/// A new part and the stored one it continues, made one (RFC 9111 §3.4); the new one alone where it continues none.
async fn join_parts(old: Option<&Arc<StoredResponse>>, new: StoredHead) -> Joined {
    if let (Some(old), Some(part)) = (old, new.part)
        && let Some(had) = old.head.part.filter(|_| old.body.length() <= COMPLETED)
        && let Some(head) = validation::combine(&old.head, &new)
    {
        let before = bytes_of(&old.body, 0, part.first.saturating_sub(had.first)).await;
        let after = bytes_of(&old.body, (part.last + 1).saturating_sub(had.first), had.length()).await;
        if let (Some(before), Some(after)) = (before, after) {
            return Joined { head, sides: [before, after], combined: true };
        }
    }
    Joined { head: new, sides: [Vec::new(), Vec::new()], combined: false }
}

/// Bytes `from..to` of a stored body.
async fn bytes_of(body: &StoredBody, from: u64, to: u64) -> Option<Vec<Bytes>> {
    let to = to.min(body.length());
    let mut at = from;
    let mut pieces = Vec::new();
    while at < to {
        let piece = store::read(body, at, (to - at) as usize).await.ok().filter(|piece| !piece.is_empty())?;
        at += piece.len() as u64;
        pieces.push(piece);
    }
    Some(pieces)
}

/// The origin's answer to a question.
struct Answer<'a> {
    request: &'a Request,
    response: OriginResponse,
    times: Times,
    primary: CacheKey,
    epoch: Epoch,
}

impl Answer<'_> {
    fn relay(self, reason: Reason) -> Outcome {
        Outcome::Relay { response: self.response, reason }
    }

    /// Begins to store the answer, and to give it to everybody who waits for it.
    fn fill(self, cx: &Rc<Context>, joined: Joined, lead: Option<Flying>) -> Outcome {
        let Answer { request, response, times, primary, epoch } = self;
        let OriginResponse { head, length, body } = response;
        let status = head.status.as_u16();
        let length = length.map(|n| n + joined.sides.iter().flatten().map(|b| b.len() as u64).sum::<u64>());
        let stored = Arc::new(joined.head);
        // what an unsafe request's own answer invalidated is what it replaces
        let since = if is_unsafe(&request.method) { times.response.plus_millisecond() } else { times.request };
        let fill = Fill::new();
        let Some(reader) = fill.reader() else { return Outcome::Failed(OriginError::Closed) };
        let lead = lead.filter(|_| stored.part.is_none() || request.method != Method::GET);
        if let Some(lead) = &lead {
            lead.land(Landing::Filling(stored.clone(), fill.clone(), length, status));
        }
        let task =
            store_filled(cx.clone(), fill, body, length, joined.sides, stored.clone(), primary, epoch, since, lead);
        tokio::task::spawn_local(task);
        Outcome::Filling { head, stored, reader, length, status, combined: joined.combined }
    }
}

#[expect(clippy::too_many_arguments, reason = "the captures of one task")]
async fn store_filled(
    cx: Rc<Context>,
    fill: Arc<Fill>,
    mut body: OriginBody,
    length: Option<u64>,
    sides: [Vec<Bytes>; 2],
    head: Arc<StoredHead>,
    primary: CacheKey,
    epoch: Epoch,
    since: Timestamp,
    mut lead: Option<Flying>,
) {
    let filled = fill.run(async || body.next().await, length, sides, &cx.store, || drop(lead.take())).await;
    let body = match filled {
        Ok(Filled::Memory(bytes)) => StoredBody::Memory(bytes),
        Ok(Filled::Disk(body)) => StoredBody::Disk(body),
        Err(Unfilled::Origin(error)) => return log::warn!("{}: not stored: {error}", head.asked),
        Err(why) => return log::debug!("{}: not stored: {why:?}", head.asked),
    };
    if cx.shared.invalidated_since(&primary, since) {
        return;
    }
    let head = Arc::unwrap_or_clone(head);
    let key = if head.nominated.is_empty() { primary } else { primary.variant(&head.nominated) };
    cx.store.put(primary, StoredResponse { key, head, body }, epoch);
}

/// The answer for the client whose request went to the origin.
fn reply(
    cx: &Rc<Context>,
    request: &Request,
    outcome: Outcome,
    mut verdict: Verdict,
    log: &mut access::Entry,
) -> Reply {
    match outcome {
        Outcome::Stored { stored, reason, status } => {
            verdict.reason = reason;
            verdict.from_cache = true;
            verdict.fwd_status = status;
            respond::stored(cx, request, &stored, verdict, cx.clock.now(), log)
        }
        Outcome::Filling { head, stored, reader, length, status, combined } => {
            verdict.stored = true;
            verdict.fwd_status = Some(status);
            if combined {
                return respond::filling(cx, request, &stored, reader, length, verdict, log);
            }
            respond::fresh_from_origin(cx, request, head, &stored, reader, length, verdict, log)
        }
        Outcome::Relay { response, reason } => {
            verdict.fwd_status = Some(response.head.status.as_u16());
            verdict.reason = reason;
            respond::relayed(cx, request, response, verdict, log)
        }
        Outcome::Failed(error) => respond::failed(cx, &error, verdict, log),
    }
}

/// The answer for a client that waited behind another's request; `None`: it has to go alone.
fn follow_reply(
    cx: &Rc<Context>,
    question: &Question,
    landing: Landing,
    verdict: &mut Verdict,
    log: &mut access::Entry,
) -> Option<Reply> {
    let now = cx.clock.now();
    let request = &question.request;
    let usable = |head: &StoredHead| {
        vary::matches(&head.nominated, &request.fields)
            && matches!(reuse(request, Some(head), false, now, &cx.policy), Reuse::Serve(_) | Reuse::Refresh(_))
    };
    let mut verdict = Verdict { collapsed: true, ..verdict.clone() };
    match landing {
        Landing::Stored(stored, status) if usable(&stored.head) => {
            verdict.fwd_status = Some(status);
            verdict.from_cache = true;
            Some(respond::stored(cx, request, &stored, verdict, now, log))
        }
        Landing::Filling(head, fill, length, status) if usable(&head) => {
            verdict.fwd_status = Some(status);
            Some(respond::filling(cx, request, &head, fill.reader()?, length, verdict, log))
        }
        Landing::Failed(error) => Some(match stand_in(cx, request, question.stored.as_ref(), None) {
            Some(outcome) => reply(cx, request, outcome, verdict, log),
            None => respond::failed(cx, &error, verdict, log),
        }),
        Landing::Erred(status) => {
            let outcome = stand_in(cx, request, question.stored.as_ref(), Some(status))?;
            Some(reply(cx, request, outcome, verdict, log))
        }
        Landing::Stored(..) | Landing::Filling(..) | Landing::Alone => None,
    }
}
