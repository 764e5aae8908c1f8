//! Stores a response while all clients that wait for it read it.

use std::{rc::Rc, sync::Arc};

use tokio::sync::Semaphore;

use super::{
    context::{Asked, Context},
    exchange::{self, Answered},
    fetched::Fetched,
    fill::{self, Fill, FillError, FillReader, Filled, Side},
    forward::Conditions,
    landing::{Audience, Filling, Flying, Landing},
    question::{ClientSide, Content, ranged_key},
    site::Site,
    warning::Warning,
};
use crate::{
    client::Hold,
    clock::Timestamp,
    fields::{method::is_safe, range},
    key::CacheKey,
    logging::redact,
    message::{Method, Request, StatusCode, StoredHead},
    origin::{OriginBody, OriginError, OriginResponse},
    policy::{Reason, resuming, selection, validation, vary},
    purge::Checked,
    store::{Epoch, StoredBody, StoredResponse},
};

/// The longest stored part, in bytes, that is completed. If the part is longer, the response is fetched anew.
pub const COMPLETED: u64 = 8 * 1024 * 1024;

/// A response that will be stored, with the bytes of a stored part on both sides of its own bytes.
pub struct Joined {
    pub head: StoredHead,
    sides: [Side; 2],
    /// True if the response continues the stored part.
    pub combined: bool,
    /// The stored variant that fits the request, if the new response does not vary any more. It must be invalidated,
    /// because a lookup would choose it before the new response.
    outdated: Option<CacheKey>,
}

/// Joins a new part with the stored part that it continues (RFC 9111 §3.4). The new part stays alone if it continues
/// none, or if even both together do not answer the request: an origin may send less than it was asked for (RFC 9110
/// §15.3.7).
pub async fn join_parts(request: &Request, old: Option<&Arc<StoredResponse>>, new: StoredHead) -> Joined {
    let outdated = old.filter(|old| vary::varies(&old.head.nominated) && !vary::varies(&new.nominated));
    let outdated = outdated.map(|old| old.key);
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
            return Joined { head, sides, combined: true, outdated };
        }
    }
    Joined { head: new, sides: [Side::default(), Side::default()], combined: false, outdated }
}

/// Returns the length of a response's body, if the response names it. That of a part is the one in Content-Range.
pub fn announced_length(response: &OriginResponse) -> Option<u64> {
    let OriginResponse { head, length, .. } = response;
    let part = range::content_range(&head.fields).filter(|_| head.status == StatusCode::PARTIAL_CONTENT);
    length.or(part.map(|part| part.length()))
}

/// The longest body, in bytes, of a server error that is shared.
pub const SHARED_ERROR: u64 = 64 * 1024;

/// Begins to store an answer, and gives it to all requests that wait for it.
pub fn keep(
    asked: &Asked,
    answered: Answered,
    joined: Joined,
    audience: Audience,
    lead: Option<Flying>,
    epoch: Epoch,
) -> Fetched {
    begin(asked, answered, joined, audience, lead, Some(epoch))
}

/// Gives an answer to all requests that wait for it, and stores nothing. They get a server error when all of it has
/// come.
pub fn share(
    asked: &Asked,
    answered: Answered,
    head: StoredHead,
    audience: Audience,
    lead: Flying,
    reason: Reason,
) -> Fetched {
    let joined = Joined { head, sides: [Side::default(), Side::default()], combined: false, outdated: None };
    match begin(asked, answered, joined, audience, Some(lead), None) {
        Fetched::Filling { head, filling, reader, combined, .. } => {
            Fetched::Filling { head, filling, reader, combined, not_stored: Some(reason) }
        }
        fetched => fetched,
    }
}

fn begin(
    asked: &Asked,
    answered: Answered,
    joined: Joined,
    audience: Audience,
    lead: Option<Flying>,
    epoch: Option<Epoch>,
) -> Fetched {
    let (cx, request) = (&asked.cx, &asked.request);
    let Answered { response, times } = answered;
    let length = announced_length(&response);
    let OriginResponse { head, body, .. } = response;
    let length = length.map(|n| n + joined.sides.iter().map(Side::length).sum::<u64>());
    let fill = Fill::new(cx.store.incoming());
    let Some(reader) = FillReader::of(&fill) else { return Fetched::Failed(OriginError::Closed) };
    let status = head.status.as_u16();
    let filling = Filling { head: Arc::new(joined.head), fill, length, status, times, audience };
    // a request for the whole must not follow one for a part
    let lead = lead.filter(|lead| {
        filling.head.part.is_none() || request.method != Method::GET || lead.key().variant == ranged_key(asked)
    });
    if let Some(lead) = lead.as_ref().filter(|_| audience != Audience::Anonymous) {
        lead.land(Landing::Filling(filling.clone()));
    }
    // the answer to an unsafe request invalidates the URL at its own time, and may be stored all the same
    let since = if is_safe(&request.method) { times.request } else { times.response.plus_millisecond() };
    let (cx, site) = (cx.clone(), asked.site.clone());
    let (primary, outdated) = (asked.primary, joined.outdated);
    let held = asked.worker.hold();
    let goes_on = (request.method == Method::GET && !joined.combined).then(|| asked.clone());
    let storing = Storing { cx, site, goes_on, filling: filling.clone(), primary, outdated, since, epoch, held };
    // boxed: tokio copies a task each time that it begins or ends
    tokio::task::spawn_local(Box::pin(storing.run(body, joined.sides, lead)));
    Fetched::Filling { head, filling, reader, combined: joined.combined, not_stored: None }
}

/// Asks for the rest of a body that broke off after `came` bytes. Returns `None` if it cannot be had.
async fn rest(asked: &Asked, head: &StoredHead, came: u64, length: Option<u64>) -> Option<OriginBody> {
    let added = resuming::rest(head, came)?;
    let sent = exchange::send(asked, Content::None, Conditions::None, &added, ClientSide::default()).await;
    let response = sent.ok()?.response;
    (response.bound.is_none() && resuming::continues(head, came, length, &response.head)).then_some(response.body)
}

/// How many requests that waited for an error, and cannot share it, ask the origin at a time.
const FEW: usize = 4;

/// Returns the places of the requests that ask again.
pub fn few() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(FEW))
}

/// A response that is being stored.
struct Storing {
    cx: Rc<Context>,
    site: Rc<Site>,
    /// The request with which the rest is asked for, once, if the body breaks off.
    goes_on: Option<Asked>,
    filling: Filling,
    primary: CacheKey,
    /// See [`Joined::outdated`].
    outdated: Option<CacheKey>,
    /// An invalidation at or after this time forbids storing.
    since: Timestamp,
    /// The epoch of the store when the origin was asked. `None` means that the response is shared and not stored.
    epoch: Option<Epoch>,
    /// Keeps the worker from ending before the body does.
    held: Hold,
}

impl Storing {
    async fn run(self, mut body: OriginBody, sides: [Side; 2], mut lead: Option<Flying>) {
        let Storing { cx, site, mut goes_on, filling, primary, outdated, since, epoch, held } = self;
        let whole = filling.clone();
        let Filling { head, fill, length, .. } = filling;
        let named = head.clone();
        let (store, shared) = (cx.store.clone(), cx.shared.clone());
        let put = move |body: StoredBody| {
            let Some(epoch) = epoch.filter(|_| !shared.invalidated_since(&primary, since)) else { return };
            let head = Arc::unwrap_or_clone(head);
            let key = primary.variant(&head.nominated);
            store.put(
                primary,
                StoredResponse { key, primary, head, body, checked: Checked::default(), written: Default::default() },
                epoch,
            );
            if let Some(outdated) = outdated {
                store.invalidate(&outdated);
            }
            shared.forget_if_invalidated(&store, &primary, since);
        };
        let mut came = 0;
        let next = async || {
            let mut next = body.next().await;
            if let Some(Err(error)) = &next
                && let Some(asked) = goes_on.take()
                && let Some(rest) = Box::pin(rest(&asked, &whole.head, came, length)).await
            {
                log::debug!("{}: it broke off and goes on: {error}", redact(&whole.head.line.to_string()));
                body = rest;
                next = body.next().await;
            }
            match &next {
                Some(Ok(bytes)) => came += bytes.len() as u64,
                Some(Err(_)) => {}
                None => fill.keep_trailers(body.take_trailers()),
            }
            next
        };
        let on_relay = || drop(lead.take());
        let alone = || site.origin.unattended();
        let filled = fill::run(&fill, next, length, sides, &cx.store, on_relay, alone).await;
        if let (Some(lead), Ok(Filled::Memory(bytes))) = (&lead, &filled)
            && whole.audience == Audience::Anonymous
        {
            lead.land(match bytes.len() as u64 <= SHARED_ERROR {
                true => Landing::Filling(whole),
                false => Landing::Failing(few()),
            });
        }
        match filled {
            Ok(Filled::Memory(bytes)) => put(StoredBody::Memory(bytes)),
            // this runs on a disk thread, because the worker may end meanwhile
            Ok(Filled::Disk(body)) => {
                if let Err(why) = Box::pin(body.finish(move |body| put(StoredBody::Disk(body)))).await {
                    log::debug!("{}: not stored: {why}", redact(&named.line.to_string()));
                }
            }
            Err(why @ FillError::Origin(_)) => {
                static NOT_STORED: Warning = Warning::new();
                NOT_STORED.say(format_args!("{}: not stored: {why}", redact(&named.line.to_string())));
            }
            Err(why) => {
                if matches!(why, FillError::Abandoned) {
                    cx.shared.note_abandoned(primary, cx.clock.now());
                }
                log::debug!("{}: not stored: {why}", redact(&named.line.to_string()));
            }
        }
        drop(held);
    }
}
