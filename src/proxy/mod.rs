//! Handles one request from its head to its answer. All other modules are called from here; the method, the size and
//! the protocol are parameters of the calls.

mod access;
mod ask;
mod authority;
mod collapse;
mod content;
mod context;
mod cookies;
mod count;
mod counts;
mod effects;
mod exchange;
mod failure;
mod fetch;
mod fetched;
mod fill;
mod forward;
#[doc(hidden)]
pub mod fuzzing;
mod gaps;
mod health;
mod histogram;
mod host_mode;
mod inward;
mod keep;
mod keying;
mod landing;
mod locating;
mod observed;
mod outcome;
mod outward;
mod pieces;
mod putting;
mod question;
mod refusal;
mod request;
mod respond;
mod said;
mod secure;
mod shared;
mod site;
mod sites;
mod steered;
#[cfg(test)]
mod tests;
mod verdict;
mod warning;
mod words;

use std::{pin::pin, rc::Rc};

use bytes::BytesMut;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

pub use self::{
    context::Context,
    counts::{Counts, Total, WorkerCounts},
    forward::OriginUrl,
    health::Health,
    histogram::Times,
    host_mode::HostMode,
    locating::{Directory, LocateError, Located},
    observed::refused as refused_by_client_side,
    outcome::Kind,
    secure::Secure,
    shared::Shared,
    site::Site,
    sites::{Plan, SitePlan, Sites},
};
use self::{
    context::{Asked, key},
    observed::Observed,
    question::{Content, Found, find},
    refusal::{Refusal, refused},
    said::{Said, believe},
    sites::Served,
    steered::Steered,
    verdict::{Answer, Verdict},
    warning::Warning,
};
use crate::{
    client::{Connection, Presented, Reply, RequestBody},
    fields::{
        METHOD_OVERRIDES,
        authentication::authenticates_connection,
        graphql, hyphened,
        method::{is_cached_request, is_query, is_safe_request},
    },
    key,
    logging::escape,
    message::{Fields, Method, Request},
    origin::{OriginError, Owner, Upload},
    policy::reuse::{Forward, Reuse, alone, reuse, with_content},
};

/// Tells the operator how to have another host served.
const ALLOW: &str = "it serves one site; --allow-host lets it do so under this name";

/// The longest content of a QUERY, in bytes, that is read for the key. Longer content is relayed.
const QUERY_CONTENT: u64 = 64 * 1024;

/// Answers a request. Its outcome is logged and counted when the answer has been sent.
pub async fn serve(cx: Rc<Context>, mut presented: Presented) -> Reply {
    let said = believe(&mut presented, &cx.trusted);
    let mut observed = Observed::begin(&cx, &presented);
    let mut answer = match admit(cx, presented, &said).await {
        Ok(admitted) => {
            observed.chose(&admitted.asked.site);
            handle(admitted).await
        }
        Err(refusal) => {
            if let Refusal::Foreign(host) = &refusal {
                static FOREIGN: Warning = Warning::each_minute();
                let host = escape(host);
                FOREIGN
                    .say(format_args!("somebody uses Larder as a proxy for {host}, which is refused (421): {ALLOW}"));
            }
            refused(&refusal)
        }
    };
    if let Some(steered) = answer.verdict.steered.clone() {
        steered.change(&mut answer.reply.fields);
    }
    observed.end(answer)
}

/// Answers a request that was admitted.
async fn handle(admitted: Admitted) -> Answer {
    let Admitted { asked, content, connection } = admitted;
    let found = find(&asked, &content).await;
    answer(asked, content, connection, found).await
}

/// A request that was understood, with its content and its connection.
struct Admitted {
    asked: Asked,
    content: Content,
    connection: Connection,
}

/// Reads the request, and chooses its site.
async fn admit(cx: Rc<Context>, mut presented: Presented, said: &Said) -> Result<Admitted, Refusal> {
    let fields = std::mem::take(&mut presented.fields);
    let served = cx.sites.served();
    let rules = request::Rules { names: cx.names(&served, presented.local), pseudonym: &cx.pseudonym, said };
    let (site, mut request) = request::parse(&presented, fields, &rules)
        .and_then(|request| choose(&served, &request).map(|site| (site, request)))
        .inspect_err(|_| presented.connection.close_after())?;
    if said.client.is_some_and(|client| !presented.connection.count_for(client)) {
        return Err(Refusal::TooManyForClient);
    }
    if !presented.body.is_empty() {
        Box::pin(presented.body.read_ahead()).await.map_err(|_| Refusal::Content)?;
    }
    let steered = site.book.steered(&request);
    let may_be_query = steered.request().keys_content() && !overrides_method(&request.fields);
    let asks_with_content = is_query(&request.method) || may_be_query;
    let content = match presented.body {
        body if body.is_empty() => Content::None,
        body if asks_with_content => Box::pin(read_content(body)).await?,
        body => Content::Stream(Upload { length: body.length(), pieces: body.into_stream() }),
    };
    if asks_with_content {
        request.content = match &content {
            Content::None => Some(key::content_digest(&request.fields, b"")),
            Content::Read(bytes) => Some(key::content_digest(&request.fields, bytes)),
            Content::Stream(_) => None,
        };
    }
    request.as_query = may_be_query && !may_change(&request, &content);
    if !request.as_query && may_be_query {
        request.content = None;
    }
    // what is too long for the key is relayed, for this client alone
    let is_shared = !matches!(content, Content::Stream(_));
    shape(&site, &steered, is_shared, &mut request)?;
    let has_own_key = is_query(&request.method) || request.as_query;
    let method = if has_own_key { &request.method } else { &Method::GET };
    let primary = key(&site, &steered, method, &request.target, &request.fields);
    let (local, worker) = (presented.local, presented.worker);
    let asked = Asked { cx, served, site, request: Rc::new(request), local, worker, primary, steered };
    Ok(Admitted { asked, content, connection: presented.connection })
}

/// Returns true if a field may have the origin carry out another method.
fn overrides_method(fields: &Fields) -> bool {
    fields.iter().any(|(name, _)| METHOD_OVERRIDES.contains(&&*hyphened(name)))
}

/// Returns true if a POST may change something although a rule has it answered from the cache.
fn may_change(request: &Request, content: &Content) -> bool {
    if request.fields.contains(&CONTENT_ENCODING) {
        return true;
    }
    let content_type = request.fields.only(&CONTENT_TYPE).map(|value| value.as_bytes());
    if content_type.is_none() && request.fields.contains(&CONTENT_TYPE) {
        return true;
    }
    let query = request.target.path_and_query.split_once('?').map_or("", |(_, query)| query);
    match content {
        Content::None => graphql::may_change(content_type, query, b""),
        Content::Read(bytes) => graphql::may_change(content_type, query, bytes),
        // it is relayed, and nothing is stored
        Content::Stream(_) => false,
    }
}

/// Gives a request the path, the parameters and the cookies that the rules leave of it. Fails if it leads out of the site
/// then.
fn shape(site: &Site, steered: &Steered, may_share: bool, request: &mut Request) -> Result<(), Refusal> {
    let key = &steered.request().key;
    let is_shared = may_share && is_cached_request(request) && !steered.request().policy.steering.bypass;
    let rewritten = key.rewritten(&request.target.path_and_query);
    let shaped = if is_shared { key.forwarded(&rewritten) } else { rewritten.as_ref().into() };
    if shaped != request.target.path_and_query {
        let shaped = shaped.into_owned();
        let OriginUrl { base, prefix, .. } = &site.url;
        if outward::leaves(&shaped, prefix) && !(base.is_empty() && prefix.is_empty()) {
            return Err(Refusal::Target("a rule rewrites it so that it leads out of the site"));
        }
        request.target.path_and_query = shaped;
    }
    if is_shared {
        key.keep_cookies(&mut request.fields);
        key.drop_other_spellings(&mut request.fields);
    }
    Ok(())
}

/// Chooses the site of a request. Fails if the request leads out of the site.
fn choose(served: &Served, request: &Request) -> Result<Rc<Site>, Refusal> {
    let target = &request.target;
    let refused = || if served.has_host(target) { Refusal::NoSite } else { Refusal::NotServed };
    let site = served.choose(target).ok_or_else(refused)?;
    let OriginUrl { base, prefix, .. } = &site.url;
    if !base.is_empty() || !prefix.is_empty() {
        if outward::leaves(&target.path_and_query, prefix) {
            return Err(Refusal::Target("it leads above the origin's base path"));
        }
        if outward::destination_leaves(&request.fields, prefix) {
            return Err(Refusal::Target("its Destination leads above the origin's base path"));
        }
    }
    Ok(site.clone())
}

/// Reads a QUERY's content for its key. If it is too long, the bytes that were read are put back before the rest.
async fn read_content(body: RequestBody) -> Result<Content, Refusal> {
    let length = body.length();
    let mut pieces = body.into_stream();
    if length.is_some_and(|length| length > QUERY_CONTENT) {
        return Ok(Content::Stream(Upload { length, pieces }));
    }
    let mut content = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        content.extend_from_slice(&piece.map_err(|_| Refusal::Content)?);
        if content.len() as u64 > QUERY_CONTENT {
            let read = stream::iter([Ok(content.freeze())]);
            return Ok(Content::Stream(Upload { length, pieces: Box::pin(read.chain(pieces)) }));
        }
    }
    Ok(Content::Read(content.freeze()))
}

/// Returns true if the client's connection to the origin is authenticated, or will be by this request.
fn is_bound(request: &Request, connection: &Connection) -> bool {
    let owner = connection.attachment::<Owner>().filter(|_| !request.forwarded);
    owner.is_some_and(|owner| owner.bound().is_some()) || authenticates_connection(&request.fields).is_some()
}

/// Answers from the stored response, from the origin, or with a refusal.
async fn answer(asked: Asked, content: Content, connection: Connection, found: Found) -> Answer {
    let (request, now) = (&*asked.request, asked.cx.clock.now());
    let decision = match &content {
        Content::Stream(_) if is_safe_request(request) => with_content(request),
        _ => {
            let stored = found.stored.as_deref();
            reuse(request, stored, found.variants, now, &asked.policy_for(stored.map(|stored| &stored.head)))
        }
    };
    let decision = match decision {
        Reuse::Serve(..) => decision,
        _ if is_bound(request, &connection) => alone(decision),
        _ => decision,
    };
    match decision {
        Reuse::Serve(stored, reason) => respond::hit(&asked, stored, reason, found.tier, now),
        Reuse::Refresh(stored, reason) => {
            let answer = respond::hit(&asked, stored, reason, found.tier, now);
            fetch::refresh(asked, content, found);
            answer
        }
        Reuse::Refuse(reason) => refused(&Refusal::OnlyIfCached(reason)),
        // boxed, so that a hit does not pay for the state of a fetch
        Reuse::Reload(_, forward) => {
            Box::pin(forwarded(fetch::reload, asked, content, connection, found, forward)).await
        }
        Reuse::Forward(forward) => Box::pin(forwarded(fetch::fetch, asked, content, connection, found, forward)).await,
    }
}

/// Answers from the origin, with `fetch`. A client that has ended its side of the connection may have left; only a few
/// such clients may wait.
async fn forwarded<F: Future<Output = Answer>>(
    fetch: impl FnOnce(Asked, Content, Connection, Found, Forward) -> F,
    asked: Asked,
    content: Content,
    connection: Connection,
    found: Found,
    forward: Forward,
) -> Answer {
    let crowded_out = async {
        connection.half_closed().await;
        if let Some(_place) = asked.site.origin.unattended() {
            std::future::pending().await
        }
    };
    let mut fetching = pin!(fetch(asked.clone(), content, connection.clone(), found, forward));
    tokio::select! {
        biased;
        answer = &mut fetching => answer,
        () = crowded_out => {
            respond::failed(&asked, &OriginError::Crowded, Verdict::forwarded(forward.fwd, forward.reason))
        }
    }
}
