//! Stores a response while all clients that wait for it read it.

use std::{
    rc::Rc,
    sync::Arc,
    task::{self, Waker},
};

use tokio::sync::Semaphore;

use super::{
    context::{Asked, Context},
    exchange::{self, Answered},
    fetched::Fetched,
    fill::{self, Fill, FillError, FillReader, Filled},
    forward::Conditions,
    landing::{Audience, Filling, Flying, Landing},
    putting::Putting,
    question::{ClientSide, Content, ranged_key},
    site::Site,
    warning::Warning,
};
use crate::{
    client::Hold,
    clock::Timestamp,
    fields::{method::is_safe_request, range},
    key::CacheKey,
    logging::redact,
    message::{Method, RequestLine, StatusCode, StoredHead},
    origin::{OriginBody, OriginError, OriginResponse},
    policy::{Reason, parts, resuming, vary},
    store::{Epoch, StoredBody, StoredResponse},
};

/// A response that will be stored.
pub struct Kept {
    pub head: StoredHead,
    /// The stored response with a gap that this one closes.
    pub completes: Option<Arc<StoredResponse>>,
    /// The keys of stored responses that must be forgotten: a lookup would choose them before this one, or they are
    /// parts of another version, or of what is stored whole now.
    outdated: Vec<CacheKey>,
}

impl Kept {
    /// `old` is the stored response that fits the request, if there is one.
    pub fn new(head: StoredHead, old: Option<&Arc<StoredResponse>>, completes: Option<Arc<StoredResponse>>) -> Kept {
        let outdated = match old.map(|old| (old, &old.parts)) {
            Some((_, Some(old))) if parts::belong_together(&old.newest.head, &head) => Vec::new(),
            Some((_, Some(old))) => old.keys.clone(),
            Some((old, None)) if vary::varies(&old.head.nominated) && !vary::varies(&head.nominated) => vec![old.key],
            _ => Vec::new(),
        };
        Kept { head, completes, outdated }
    }
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
    kept: Kept,
    audience: Audience,
    lead: Option<Flying>,
    epoch: Epoch,
) -> Fetched {
    begin(asked, answered, kept, audience, lead, Some(epoch))
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
    let kept = Kept::new(head, None, None);
    match begin(asked, answered, kept, audience, Some(lead), None) {
        Fetched::Filling { head, filling, reader, completes, .. } => {
            Fetched::Filling { head, filling, reader, completes, not_stored: Some(reason) }
        }
        fetched => fetched,
    }
}

fn begin(
    asked: &Asked,
    answered: Answered,
    Kept { head: stored, completes, outdated }: Kept,
    audience: Audience,
    lead: Option<Flying>,
    epoch: Option<Epoch>,
) -> Fetched {
    let (cx, request) = (&asked.cx, &asked.request);
    let Answered { response, times } = answered;
    let length = announced_length(&response);
    let OriginResponse { head, body, .. } = response;
    let fill = Fill::new(cx.store.incoming());
    let Some(reader) = FillReader::of(&fill) else { return Fetched::Failed(OriginError::Closed) };
    let stored = with_target_of_key(asked, stored);
    let status = head.status.as_u16();
    let filling = Filling { head: Arc::new(stored), fill, length, status, times, audience, stored: epoch.is_some() };
    // a request for the whole must not follow one for a part
    let lead = lead.filter(|lead| {
        filling.head.part.is_none()
            || request.method != Method::GET
            || completes.is_some()
            || lead.key().variant == ranged_key(asked)
    });
    if let Some(lead) = lead.as_ref().filter(|_| audience != Audience::Anonymous) {
        lead.land(Landing::Filling(filling.clone()));
    }
    // the answer to an unsafe request invalidates the URL at its own time, and may be stored all the same
    let since = if is_safe_request(request) { times.request } else { times.response.plus_millisecond() };
    let (cx, site) = (cx.clone(), asked.site.clone());
    let primary = asked.primary;
    let held = asked.worker.hold();
    let goes_on = (request.method == Method::GET).then(|| asked.clone());
    let longest = asked.steered.answer(&head).max_object();
    let storing =
        Storing { cx, longest, site, goes_on, filling: filling.clone(), primary, outdated, since, epoch, held };
    // boxed: tokio copies a task each time that it begins or ends
    let mut running = Box::pin(storing.run(body, lead));
    // a short body that came with its head needs no task
    if running.as_mut().poll(&mut task::Context::from_waker(Waker::noop())).is_pending() {
        tokio::task::spawn_local(running);
    }
    Fetched::Filling { head, filling, reader, completes, not_stored: None }
}

/// Gives a head the target of its key where the origin got more than that. A purge of any URL with this key finds it so.
fn with_target_of_key(asked: &Asked, mut head: StoredHead) -> StoredHead {
    let keyed = asked.steered.request().key.target(head.line.path_and_query());
    if keyed != head.line.path_and_query() {
        let RequestLine { method, scheme, .. } = &head.line;
        head.line = RequestLine::new(head.line.site(), method.clone(), *scheme, head.line.authority(), &keyed);
    }
    head
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
    /// The longest body that a rule lets be stored.
    longest: Option<u64>,
    /// See [`Kept::outdated`].
    outdated: Vec<CacheKey>,
    /// An invalidation at or after this time forbids storing.
    since: Timestamp,
    /// The epoch of the store when the origin was asked. `None` means that the response is shared and not stored.
    epoch: Option<Epoch>,
    /// Keeps the worker from ending before the body does.
    held: Hold,
}

impl Storing {
    // no `async fn`: that would hold the arguments twice, and each response that is stored writes all of the future
    fn run(self, mut body: OriginBody, mut lead: Option<Flying>) -> impl Future<Output = ()> {
        let Storing { cx, longest, site, mut goes_on, filling, primary, outdated, since, epoch, held } = self;
        async move {
            let whole = filling.clone();
            let Filling { head, fill, length, .. } = filling;
            let named = head.clone();
            let putting = Putting { store: cx.store.clone(), shared: cx.shared.clone(), primary, since };
            let put = {
                let putting = putting.clone();
                move |body: StoredBody| {
                    if let Some(epoch) = epoch {
                        putting.put(Arc::unwrap_or_clone(head), body, &outdated, epoch);
                    }
                }
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
            let filled = fill::run(&fill, next, length, longest, &cx.store, on_relay, alone).await;
            let is_part = filled.is_ok() && named.part.is_some();
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
                Ok(Filled::Disk(body)) => match Box::pin(body.finish(move |body| put(StoredBody::Disk(body)))).await {
                    Ok(()) => fill.is_written(),
                    Err(why) => {
                        fill.is_refused(&why);
                        log::debug!("{}: not stored: {why}", redact(&named.line.to_string()));
                    }
                },
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
            drop(lead);
            if let Some(epoch) = epoch.filter(|_| is_part)
                && let Err(why) = Box::pin(putting.join_parts(&named, epoch)).await
            {
                log::debug!("{}: parts are not joined: {why}", redact(&named.line.to_string()));
            }
            drop(held);
        }
    }
}
