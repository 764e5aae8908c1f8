//! One request, top to bottom. The only orchestrator: methods, sizes and protocols are parameters of what it calls.

mod access;
mod ask;
mod collapse;
mod content;
mod exchange;
mod fetch;
mod fill;
mod forward;
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod refusal;
mod request;
mod respond;
mod shared;
#[cfg(test)]
mod tests;
mod warning;

use std::{rc::Rc, sync::Arc};

use bytes::{Bytes, BytesMut};
use collapse::Moment;
pub use exchange::Secure;
use fetch::Way;
pub use forward::Site;
use futures_util::{StreamExt, stream};
pub use request::normal_authority;
pub use shared::Shared;

use crate::{
    client::{Connection, Presented, Reply, RequestBody},
    clock::Clock,
    fields::authentication::authenticates_connection,
    key::{self, CacheKey},
    message::{FieldValue, Method, Request, StoredResponse, Target},
    origin::{Origin, Owner, Upload},
    policy::{
        self, Fwd,
        reuse::{Reuse, alone, reuse, with_content},
        vary,
    },
    store::{Slot, Store},
};

/// Bytes of a QUERY's content up to which it is read for its key; a longer one is relayed.
const QUERY_CONTENT: u64 = 64 * 1024;

/// What one worker works with.
pub struct Context {
    pub origin: Origin,
    /// The same host by https, for an http origin that redirects there.
    pub secure: Option<Secure>,
    pub site: Site,
    /// `site.url()`: part of every key.
    pub site_url: String,
    /// The hosts that are served; empty: any.
    pub hosts: Vec<String>,
    /// Where Larder listens.
    pub port: u16,
    /// Larder's name in Via, one for each process: a loop is seen by it.
    pub pseudonym: Arc<str>,
    /// The Via line of every answer.
    pub via: FieldValue,
    pub store: Store,
    pub clock: Clock,
    pub policy: policy::Options,
    pub shared: Arc<Shared>,
}

impl Context {
    /// The key of a method and a URL. This machine's own names for Larder are one: a cache outlives a change of port.
    fn key(&self, method: &Method, target: &Target) -> CacheKey {
        let authority = match request::is_own_name(&target.authority, self.port) {
            true => "",
            false => &target.authority,
        };
        CacheKey::of(&self.site_url, method, authority, &target.path_and_query)
    }
}

/// A request that was understood, and what came with it.
struct Asked {
    request: Rc<Request>,
    content: Content,
    connection: Connection,
    /// The key of its URL, which QUERY has one of its own for: what answers it is stored under that, or as a variant of it.
    primary: CacheKey,
}

/// A request's body.
enum Content {
    None,
    /// Read for the key (QUERY).
    Read(Bytes),
    /// In no key.
    Stream(Upload),
}

/// What is stored for a request.
struct Found {
    stored: Option<Arc<StoredResponse>>,
    /// Responses are stored for this URL, none for this request's nominated fields.
    variants: bool,
    /// Where the response to this request would be stored, as far as can be told: those with the same key are one flight.
    key: CacheKey,
    /// What flights that end later bring is not in it.
    looked: Moment,
}

/// Answers a request.
pub async fn handle(cx: Rc<Context>, presented: Presented) -> Reply {
    let mut log = access::Entry::begin(&presented);
    let reply = match admit(&cx, presented).await {
        Ok(asked) => {
            let found = find(&cx, &asked.request, &asked.content, asked.primary).await;
            answer(&cx, asked, found, &mut log).await
        }
        Err(refusal) => refusal::refused(&refusal, &mut log),
    };
    log.end(reply)
}

/// Reads and believes the request.
async fn admit(cx: &Context, mut presented: Presented) -> Result<Asked, refusal::Refusal> {
    let fields = std::mem::take(&mut presented.fields);
    let rules = request::Rules { hosts: &cx.hosts, port: cx.port, pseudonym: &cx.pseudonym };
    let mut request = request::parse(&presented, fields, &rules).inspect_err(|_| presented.connection.close_after())?;
    if !presented.body.is_empty() {
        Box::pin(presented.body.read_ahead()).await.map_err(|_| refusal::Refusal::Content)?;
    }
    let content = match presented.body {
        body if body.is_empty() => Content::None,
        body if is_query(&request.method) => Box::pin(read_content(body)).await?,
        body => Content::Stream(Upload { length: body.length(), pieces: body.into_stream() }),
    };
    if is_query(&request.method) {
        request.content = match &content {
            Content::None => Some(key::content_digest(&request.fields, b"")),
            Content::Read(bytes) => Some(key::content_digest(&request.fields, bytes)),
            Content::Stream(_) => None,
        };
    }
    let method = if is_query(&request.method) { &request.method } else { &Method::GET };
    let primary = cx.key(method, &request.target);
    Ok(Asked { request: Rc::new(request), content, connection: presented.connection, primary })
}

/// A QUERY's content for its key; put back in front of the rest where it is too long for that.
async fn read_content(body: RequestBody) -> Result<Content, refusal::Refusal> {
    let length = body.length();
    let mut pieces = body.into_stream();
    if length.is_some_and(|length| length > QUERY_CONTENT) {
        return Ok(Content::Stream(Upload { length, pieces }));
    }
    let mut content = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        content.extend_from_slice(&piece.map_err(|_| refusal::Refusal::Content)?);
        if content.len() as u64 > QUERY_CONTENT {
            let read = stream::iter([Ok(content.freeze())]);
            return Ok(Content::Stream(Upload { length, pieces: Box::pin(read.chain(pieces)) }));
        }
    }
    Ok(Content::Read(content.freeze()))
}

/// Returns true if the client's connection to the origin is authenticated, or will be by this request.
fn is_bound(asked: &Asked) -> bool {
    let owner = asked.connection.attachment::<Owner>().filter(|_| !asked.request.forwarded);
    owner.is_some_and(|owner| owner.bound().is_some()) || authenticates_connection(&asked.request.fields).is_some()
}

async fn answer(cx: &Rc<Context>, asked: Asked, found: Found, log: &mut access::Entry) -> Reply {
    let now = cx.clock.now();
    let decision = match &asked.content {
        Content::Stream(_) if !is_unsafe(&asked.request.method) => with_content(&asked.request),
        _ => {
            let stored = found.stored.as_deref().map(|stored| &stored.head);
            reuse(&asked.request, stored, found.variants, now, &cx.policy)
        }
    };
    let decision = match decision {
        Reuse::Serve(_) => decision,
        _ if is_bound(&asked) => alone(decision),
        _ => decision,
    };
    match (decision, &found.stored) {
        (Reuse::Serve(reason), Some(stored)) => respond::hit(cx, &asked.request, stored, reason, now, log),
        (Reuse::Refresh(reason), Some(stored)) => {
            let reply = respond::hit(cx, &asked.request, stored, reason, now, log);
            fetch::refresh(cx, asked, found, reason);
            reply
        }
        (Reuse::Refuse(reason), _) => refusal::refused(&refusal::Refusal::OnlyIfCached(reason), log),
        (decision, _) => {
            let (way, fwd, reason) = match decision {
                Reuse::Validate(fwd, reason) => (Way::Validate, fwd, reason),
                Reuse::Complete(reason) => (Way::Complete, Fwd::Partial, reason),
                Reuse::Pass(fwd, reason) => (Way::Pass, fwd, reason),
                Reuse::Fetch(fwd, reason) => (Way::Fetch, fwd, reason),
                Reuse::Serve(reason) | Reuse::Refresh(reason) | Reuse::Refuse(reason) => {
                    (Way::Fetch, Fwd::Miss, reason)
                }
            };
            // boxed: a hit does not carry the state of what it does not do
            Box::pin(fetch::fetch(cx, asked, found, way, fwd, reason, log)).await
        }
    }
}

/// Looks up what is stored for a request (RFC 9111 §4.1).
async fn find(cx: &Context, request: &Request, content: &Content, primary: CacheKey) -> Found {
    let looked = cx.shared.flights.now();
    let key = primary.variant(&vary::renominate(&[], request, &cx.policy));
    let mut found = Found { stored: None, variants: false, key, looked };
    let looked_up = is_query(&request.method) || matches!(request.method, Method::GET | Method::HEAD);
    if !looked_up || matches!(content, Content::Stream(_)) {
        return found;
    }
    match look_up(cx, &primary).await {
        None => {}
        Some(Slot::Response(stored)) => found.stored = Some(stored),
        Some(Slot::Variants(variants)) => {
            let mut variants = variants.iter().filter(|v| vary::is_for_content(&v.nominated, request)).peekable();
            if let Some(newest) = variants.peek() {
                found.variants = true;
                found.key = primary.variant(&vary::renominate(&newest.nominated, request, &cx.policy));
            }
            for variant in variants.filter(|v| vary::matches(&v.nominated, request, &cx.policy)) {
                if let Some(Slot::Response(stored)) = look_up(cx, &variant.key).await {
                    found.key = variant.key;
                    found.stored = Some(stored);
                    break;
                }
            }
        }
    }
    found
}

async fn look_up(cx: &Context, key: &CacheKey) -> Option<Slot> {
    match cx.store.recall(key) {
        Some(slot) => Some(slot),
        None => Box::pin(cx.store.lookup(key)).await,
    }
}

// only what is no token is no method
fn query() -> Method {
    Method::from_bytes(b"QUERY").unwrap_or_default()
}

/// QUERY (RFC 10008): safe, and its content is part of what is asked.
fn is_query(method: &Method) -> bool {
    method.as_str() == "QUERY"
}

fn is_unsafe(method: &Method) -> bool {
    !(is_query(method) || matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE))
}
