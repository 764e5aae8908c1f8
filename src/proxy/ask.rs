//! One question to the origin, and what its answer does to the store.

use std::{rc::Rc, sync::Arc};

use http::header::SET_COOKIE;

use super::{
    Content, Context,
    exchange::{self, Answered},
    fetch::{Flying, Landing, Outcome, Question, Way},
    fill::{Fill, Filled, Side, Unfilled},
    forward::Conditions,
    is_unsafe, query,
    shared::FlightKey,
    warning::Warning,
};
use crate::{
    clock::Timestamp,
    fields::range,
    key::CacheKey,
    logging::redact,
    message::{FieldValue, Fields, Method, Request, StatusCode, StoredBody, StoredHead, StoredResponse},
    origin::{OriginBody, OriginError, OriginResponse},
    policy::{
        Reason, Times, invalidation,
        reuse::unkeyed_content,
        selection,
        storing::storing,
        validation::{self, HeadSays},
    },
    store::Epoch,
};

/// Bytes of a stored part up to which it is completed rather than fetched anew.
const COMPLETED: u64 = 8 * 1024 * 1024;

/// Asks the origin and does to the store what its answer says. The lead ends when what it landed is stored.
pub async fn ask(cx: &Rc<Context>, question: Question, lead: Option<Flying>, flight: Option<&FlightKey>) -> Outcome {
    let epoch = cx.store.epoch();
    let Question { request, mut content, interim, owner, primary, stored, mut way } = question;
    // no key knows of it: what it may have changed is for this client alone
    let unkeyed = matches!(content, Content::Stream(_)) && !is_unsafe(&request.method);
    let land = |landing: Landing| {
        if let Some(lead) = &lead {
            lead.land(landing);
        }
    };
    // a failing origin is not asked by every request that the origin itself gave something to answer with
    if !cx.shared.health.may_ask(cx.clock.now())
        && let Some(outcome @ Outcome::Stored { reason: Reason::StaleIfError, .. }) =
            stand_in(cx, &request, stored.as_ref(), None)
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
        let client = (interim.clone(), owner.clone());
        let sent = exchange::send(cx, &request, std::mem::replace(&mut content, again), conditions, &added, client);
        let Answered { response, times } = match sent.await {
            Ok(answered) => {
                match answered.response.head.status.as_u16() {
                    // it cannot answer now, and says so itself or a gateway does in its stead
                    502..=504 => cx.shared.health.failed(cx.clock.now()),
                    _ => cx.shared.health.answered(),
                }
                answered
            }
            Err(error) => {
                // what failed on this side says nothing of the origin
                if !matches!(error, OriginError::Upload | OriginError::Exhausted | OriginError::NoThread) {
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
                if !selection::is_covered(&request, &head) {
                    // the part that is stored belongs to what If-Range does not name any more
                    way = Way::Fetch;
                    continue;
                }
                let shared = !head.invalidated && validation::may_be_shared(&request, &head);
                if head.invalidated {
                    // the 304 says that what it validates is for this client alone
                    cx.store.invalidate(&primary);
                } else if shared {
                    freshen(cx, primary, stored, head.clone(), times, epoch);
                }
                let stored = Arc::new(StoredResponse { key: stored.key, head, body: stored.body.clone() });
                land(if shared { Landing::Stored(stored.clone(), status) } else { Landing::Alone });
                let cookies = own_cookies(&response.head.fields, &stored.head.head.fields);
                return Outcome::Stored { stored, reason: Reason::Validated, status: Some(status), cookies };
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
        // an answer to one user freshens nothing
        let freshened = stored.as_ref().filter(|_| response.bound.is_none());
        after_effects(cx, &request, primary, freshened, &response, times, epoch).await;
        let answer = Answer { request: &request, response, times, primary, epoch };
        let storable = match unkeyed {
            true => Err(unkeyed_content(&request.method)),
            false if let Some(scheme) = answer.response.bound => Err(scheme.into()),
            false => storing(&request, &answer.response.head, times, &cx.policy),
        };
        return match storable {
            Ok(head) => {
                let joined = join_parts(&request, stored.as_ref(), head).await;
                // it was to complete the stored part, and belongs to another representation, or is too little
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
async fn after_effects(
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
            for key in [&Method::GET, &query()].map(|method| cx.key(method, &target)) {
                cx.shared.note_invalidated(key, times.response);
                cx.store.invalidate_durably(&key).await;
            }
        }
    } else if request.method == Method::HEAD
        && let Some(stored) = stored
    {
        let length = stored.body.length();
        match validation::freshen_by_head(request, &stored.head, length, &response.head, times, &cx.policy) {
            HeadSays::Freshened(head) => freshen(cx, primary, stored, *head, times, epoch),
            HeadSays::Changed => cx.store.invalidate(&primary),
            HeadSays::Nothing => {}
        }
    }
}

/// Stores what the origin said of a stored response, unless that was invalidated since it was asked.
fn freshen(cx: &Context, primary: CacheKey, stored: &StoredResponse, head: StoredHead, times: Times, epoch: Epoch) {
    if !cx.shared.invalidated_since(&primary, times.request) {
        cx.store.freshen(primary, stored, head, epoch);
        cx.shared.forget_if_invalidated(&cx.store, &primary, times.request);
    }
}

/// A stale stored response in place of a failed exchange, where that is allowed (RFC 5861 §4).
pub fn stand_in(
    cx: &Context,
    request: &Request,
    stored: Option<&Arc<StoredResponse>>,
    status: Option<u16>,
) -> Option<Outcome> {
    let stored = stored?;
    let reason = validation::on_error(request, &stored.head, status, cx.clock.now(), &cx.policy).ok()?;
    Some(Outcome::Stored { stored: stored.clone(), reason, status, cookies: Vec::new() })
}

/// The cookies that the origin sent to this client, where they are not in what is stored.
fn own_cookies(sent: &Fields, stored: &Fields) -> Vec<FieldValue> {
    let sent = sent.values(&SET_COOKIE).filter(|_| !stored.contains(&SET_COOKIE));
    sent.cloned().collect()
}

/// What is to be stored, and what of the old part stands on both sides of the new.
struct Joined {
    head: StoredHead,
    sides: [Side; 2],
    combined: bool,
}

/// A new part and the stored one it continues, made one (RFC 9111 §3.4); the new one alone where it continues none, or
/// where even both do not answer the request: an origin may send less than what it was asked for (RFC 9110 §15.3.7).
async fn join_parts(request: &Request, old: Option<&Arc<StoredResponse>>, new: StoredHead) -> Joined {
    if let (Some(old), Some(part)) = (old, new.part)
        && let Some(had) = old.head.part.filter(|_| old.body.length() <= COMPLETED)
        && old.body.length() == had.length()
        && let Some(head) = validation::combine(&old.head, &new)
        && selection::is_covered(request, &head)
    {
        let before = 0..part.first.saturating_sub(had.first);
        let after = (part.last + 1).saturating_sub(had.first).min(had.length())..had.length();
        let sides = [before, after].map(|range| Side::of(&old.body, range));
        if sides[0].can_be_read().await && sides[1].can_be_read().await {
            return Joined { head, sides, combined: true };
        }
    }
    Joined { head: new, sides: [Side::default(), Side::default()], combined: false }
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
        let OriginResponse { head, length, body, .. } = response;
        let status = head.status.as_u16();
        // a part has as many bytes as its Content-Range says, or is no part
        let announced = range::content_range(&head.fields).filter(|_| head.status == StatusCode::PARTIAL_CONTENT);
        let length = length.or(announced.map(|part| part.length()));
        let length = length.map(|n| n + joined.sides.iter().map(Side::length).sum::<u64>());
        let stored = Arc::new(joined.head);
        // what an unsafe request's own answer invalidated is what it replaces
        let since = if is_unsafe(&request.method) { times.response.plus_millisecond() } else { times.request };
        let fill = Fill::new(cx.store.filling());
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
    sides: [Side; 2],
    head: Arc<StoredHead>,
    primary: CacheKey,
    epoch: Epoch,
    since: Timestamp,
    mut lead: Option<Flying>,
) {
    let (store, shared) = (cx.store.clone(), cx.shared.clone());
    let keep = move |head: Arc<StoredHead>, body: StoredBody| {
        if shared.invalidated_since(&primary, since) {
            return;
        }
        let head = Arc::unwrap_or_clone(head);
        let key = primary.variant(&head.nominated);
        store.put(primary, StoredResponse { key, head, body }, epoch);
        shared.forget_if_invalidated(&store, &primary, since);
    };
    match fill.run(async || body.next().await, length, sides, &cx.store, || drop(lead.take())).await {
        Ok(Filled::Memory(bytes)) => keep(head, StoredBody::Memory(bytes)),
        // by a thread of the disk's: this worker may end meanwhile
        Ok(Filled::Disk(body)) => {
            let of_thread = head.clone();
            if let Err(why) = body.finish(move |body| keep(of_thread, StoredBody::Disk(body))).await {
                log::debug!("{}: not stored: {why}", redact(&head.asked));
            }
        }
        Err(why @ Unfilled::Origin(_)) => {
            static NOT_STORED: Warning = Warning::new();
            NOT_STORED.say(format_args!("{}: not stored: {why}", redact(&head.asked)));
        }
        Err(why) => log::debug!("{}: not stored: {why}", redact(&head.asked)),
    }
}
