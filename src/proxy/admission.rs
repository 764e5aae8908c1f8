//! Makes of what came in a request that can be answered: its site, its content, its key.

use std::{net::SocketAddr, rc::Rc};

use bytes::BytesMut;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::{
    context::{Asked, Context, key},
    forward::OriginUrl,
    outward,
    question::Content,
    refusal::Refusal,
    request::{self, Head},
    said::Said,
    site::Site,
    sites::Served,
    steered::Steered,
};
use crate::{
    client::{Connection, Presented, RequestBody, WorkerHandle},
    fields::{
        METHOD_OVERRIDES, graphql, hyphened,
        method::{is_cached_request, is_query},
    },
    key,
    message::{Fields, Method, Request},
    origin::Upload,
};

/// The longest content of a QUERY, in bytes, that is read for the key. Longer content is relayed.
pub const QUERY_CONTENT: u64 = 64 * 1024;

/// A request that was understood, with its content and its connection.
pub struct Admitted {
    pub asked: Asked,
    pub content: Content,
    pub connection: Connection,
}

/// A request whose content is not read yet, with its site and the rules that apply.
pub struct Understood {
    pub served: Rc<Served>,
    pub site: Rc<Site>,
    // made at its last place, because it is large
    pub request: Rc<Request>,
    pub steered: Steered,
    /// A POST may be answered from the cache, as a QUERY is.
    may_be_query: bool,
}

/// Reads a request without content, and chooses its site.
// a hit would pay for moving the request
#[inline(always)]
pub fn admit(cx: Rc<Context>, mut presented: Presented, said: &Said) -> Result<Admitted, Refusal> {
    let understood = read_head(&cx, &mut presented, said)?;
    let asked = understood.asked(cx, &Content::None, presented.local, presented.worker)?;
    Ok(Admitted { asked, content: Content::None, connection: presented.connection })
}

/// Reads a request that has content, and chooses its site.
pub async fn admit_with_content(cx: Rc<Context>, mut presented: Presented, said: &Said) -> Result<Admitted, Refusal> {
    let understood = read_head(&cx, &mut presented, said)?;
    presented.body.read_ahead().await.map_err(|_| Refusal::Content)?;
    let content = match presented.body {
        body if body.is_empty() => Content::None,
        body if understood.asks_with_content() => read_content(body).await?,
        body => Content::Stream(Upload { length: body.length(), pieces: body.into_stream() }),
    };
    let asked = understood.asked(cx, &content, presented.local, presented.worker)?;
    Ok(Admitted { asked, content, connection: presented.connection })
}

/// Reads the head of a request. It loses its fields and its target. Fails if its client has too many connections.
// see `admit`
#[inline(always)]
fn read_head(cx: &Context, presented: &mut Presented, said: &Said) -> Result<Understood, Refusal> {
    let (fields, target) = (std::mem::take(&mut presented.fields), std::mem::take(&mut presented.target));
    let Presented { method, scheme, version, peer, local, .. } = &*presented;
    let head = Head { method, target, scheme: *scheme, version: *version, peer: *peer };
    let understood = understand(cx, head, fields, *local, said).inspect_err(|_| presented.connection.close_after())?;
    if said.client.is_some_and(|client| !presented.connection.count_for(client)) {
        return Err(Refusal::TooManyForClient);
    }
    Ok(understood)
}

/// Checks the head of a request, and chooses its site and the rules for it. `local` is the address that the client has
/// connected to.
// a hit would pay for moving the request
#[inline(always)]
pub fn understand(
    cx: &Context,
    head: Head<'_>,
    fields: Fields,
    local: Option<SocketAddr>,
    said: &Said,
) -> Result<Understood, Refusal> {
    let served = cx.sites.served();
    let rules = request::Rules { names: cx.names(&served, local), pseudonym: &cx.pseudonym, said };
    let request = Rc::new(request::parse(head, fields, &rules)?);
    let site = choose(&served, &request)?;
    let steered = site.book.steered(&request);
    let is_post = request.method == Method::POST;
    let may_be_query = is_post && steered.request().keys_content() && !overrides_method(&request.fields);
    Ok(Understood { served, site, request, steered, may_be_query })
}

impl Understood {
    /// Returns true if the content is part of the key.
    pub fn asks_with_content(&self) -> bool {
        is_query(&self.request.method) || self.may_be_query
    }

    /// Returns the request with its content in the key, and with what the rules leave of it.
    // see `understand`
    #[inline(always)]
    pub fn asked(
        self,
        cx: Rc<Context>,
        content: &Content,
        local: Option<SocketAddr>,
        worker: WorkerHandle,
    ) -> Result<Asked, Refusal> {
        let asks_with_content = self.asks_with_content();
        let Understood { served, site, request: mut shared, steered, may_be_query } = self;
        let request = Rc::make_mut(&mut shared);
        if asks_with_content {
            request.content = match content {
                Content::None => Some(key::content_digest(&request.fields, b"")),
                Content::Read(bytes) => Some(key::content_digest(&request.fields, bytes)),
                Content::Stream(_) => None,
            };
        }
        request.as_query = may_be_query && !may_change(request, content);
        if !request.as_query && may_be_query {
            request.content = None;
        }
        // what is too long for the key is relayed, for this client alone
        let is_shared = !matches!(content, Content::Stream(_));
        shape(&site, &steered, is_shared, request)?;
        let has_own_key = is_query(&request.method) || request.as_query;
        let method = if has_own_key { &request.method } else { &Method::GET };
        let primary = key(&cx.keys, &site, &steered, method, &request.target, &request.fields);
        Ok(Asked { cx, served, site, request: shared, local, worker, primary, steered })
    }
}

/// Returns true if a POST that a rule has answered from the cache is taken for a query: nothing says that it changes something.
pub fn is_taken_for_query(request: &Request, content: &Content) -> bool {
    !overrides_method(&request.fields) && !may_change(request, content)
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
