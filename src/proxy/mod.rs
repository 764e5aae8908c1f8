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
mod landing;
mod observed;
mod outcome;
mod outward;
mod putting;
mod question;
mod refusal;
mod request;
mod respond;
mod said;
mod secure;
mod shared;
mod site;
#[cfg(test)]
mod tests;
mod verdict;
mod warning;
mod words;

use std::{pin::pin, rc::Rc};

use bytes::BytesMut;
use futures_util::{StreamExt, stream};

pub use self::{
    context::Context,
    counts::{Counts, Total, WorkerCounts},
    forward::OriginUrl,
    health::Health,
    histogram::Times,
    host_mode::HostMode,
    observed::refused as refused_by_client_side,
    outcome::Kind,
    secure::Secure,
    shared::Shared,
    site::Site,
};
use self::{
    context::{Asked, key},
    observed::Observed,
    question::{Content, Found, find},
    refusal::{Refusal, refused},
    said::{Said, believe},
    verdict::{Answer, Verdict},
    warning::Warning,
};
use crate::{
    client::{Connection, Presented, Reply, RequestBody},
    fields::{
        authentication::authenticates_connection,
        method::{is_query, is_safe},
    },
    key,
    logging::escape,
    message::{Method, Request},
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
    let answer = match admit(cx, presented, &said).await {
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
    let rules = request::Rules { names: cx.names(presented.local), pseudonym: &cx.pseudonym, said };
    let (site, mut request) = request::parse(&presented, fields, &rules)
        .and_then(|request| choose(&cx, &request).map(|site| (site, request)))
        .inspect_err(|_| presented.connection.close_after())?;
    if said.client.is_some_and(|client| !presented.connection.count_for(client)) {
        return Err(Refusal::TooManyForClient);
    }
    if !presented.body.is_empty() {
        Box::pin(presented.body.read_ahead()).await.map_err(|_| Refusal::Content)?;
    }
    let asks_with_content = is_query(&request.method);
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
    let method = if asks_with_content { &request.method } else { &Method::GET };
    let primary = key(&site, method, &request.target);
    let (local, worker) = (presented.local, presented.worker);
    let asked = Asked { cx, site, request: Rc::new(request), local, worker, primary };
    Ok(Admitted { asked, content, connection: presented.connection })
}

/// Chooses the site of a request. Fails if the request leads out of the site.
fn choose(cx: &Context, request: &Request) -> Result<Rc<Site>, Refusal> {
    let site = &cx.site;
    if !site.url.base.is_empty() {
        if outward::climbs(&request.target.path_and_query) {
            return Err(Refusal::Target("it leads above the origin's base path"));
        }
        if outward::destination_climbs(&request.fields) {
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
        Content::Stream(_) if is_safe(&request.method) => with_content(request),
        _ => reuse(request, found.stored.as_deref(), found.variants, now, asked.policy()),
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
