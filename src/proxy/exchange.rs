//! Sends one request to the origin, and translates between the messages of both sides: conditions, forwarded fields,
//! references to the origin.

use std::{pin::Pin, rc::Rc, task::Poll};

use bytes::Bytes;
use futures_core::Stream;
use http::header;

use super::{
    context::Asked,
    forward::{self, Conditions, OriginUrl},
    inward::turn_inward,
    outward::Outward,
    question::{ClientSide, Content},
    secure::Secure,
    site::Site,
    warning::Warning,
};
use crate::{
    client::Connection,
    fields::date,
    message::{FieldName, FieldValue, Fields, Method, Request, ResponseHead, Scheme},
    origin::{Origin, OriginError, OriginRequest, OriginResponse, Upload},
    policy::Times,
};

/// The origin's response, and the times of the exchange.
pub struct Answered {
    pub response: OriginResponse,
    pub times: Times,
}

/// Asks the origin. The fields in `added` replace the client's fields of the same names. Follows one redirect from http
/// to https if it leads to the same URL.
pub async fn send(
    asked: &Asked,
    content: Content,
    conditions: Conditions,
    added: &[(FieldName, FieldValue)],
    client: ClientSide,
) -> Result<Answered, OriginError> {
    let (request, site) = (&*asked.request, &asked.site);
    let heard = asked.heard();
    let mut fields = outgoing(asked, &heard, conditions, added);
    if !matches!(content, Content::None) && !forward::is_made_for_content(&request.method) {
        // an origin that ignores such a body takes it for the next request, so no further request may use the
        // connection
        fields.append(header::CONNECTION, FieldValue::from_static("close"));
    }
    let may_follow = matches!(content, Content::None) && matches!(request.method, Method::GET | Method::HEAD);
    let again = site.secure.as_ref().filter(|_| may_follow);
    let content = upload(content, &request.method);
    let origin = site.origin.owned_by(client.owner);
    let named = Named { site: site.clone(), request: asked.request.clone(), by_https: None };
    let first = ask(asked, &origin, &named, fields, content, client.interim.clone()).await?;
    let again = again.filter(|_| points_to_https(&site.url, request, &first.response.head));
    let Some(secure) = again.and_then(Secure::client) else { return Ok(first) };
    let url = OriginUrl { https: true, ..site.url.clone() };
    let heard = OriginUrl { https: true, ..heard };
    let fields = outgoing(asked, &heard, conditions, added);
    let named = Named { by_https: Some(Rc::new([url.clone(), heard])), ..named };
    // an owner keeps connections to the first origin only
    let followed = Box::pin(ask(asked, secure, &named, fields, None, client.interim)).await;
    Ok(followed.unwrap_or_else(|error| {
        static NOT_FOLLOWED: Warning = Warning::new();
        NOT_FOLLOWED.say(format_args!("the origin redirects to https, which fails: {error} ({})", url.url()));
        first
    }))
}

/// Returns the fields of the request as the origin gets them. `heard` is the URL by which the origin is addressed.
fn outgoing(asked: &Asked, heard: &OriginUrl, conditions: Conditions, added: &[(FieldName, FieldValue)]) -> Fields {
    let (request, site) = (&*asked.request, &asked.site);
    let mut fields = forward::fields(request, heard, &asked.cx.pseudonym, conditions);
    if asked.tells_client() {
        // an https origin that hears http redirects to itself for ever
        let scheme = if heard.https { Scheme::Https } else { request.target.scheme };
        forward::describe_client(&mut fields, request, scheme);
    }
    Outward { host_mode: &site.host_mode, names: asked.names(), target: &request.target, heard }.turn(&mut fields);
    for (name, value) in added {
        fields.set(name.clone(), value.clone());
    }
    fields
}

/// What tells the URLs by which the response may name the origin. Few responses name it.
#[derive(Clone)]
struct Named {
    site: Rc<Site>,
    request: Rc<Request>,
    /// The URLs after a redirect to https.
    by_https: Option<Rc<[OriginUrl; 2]>>,
}

impl Named {
    fn urls(&self) -> Vec<OriginUrl> {
        let mut urls = self.site.named_as(&self.request.target);
        urls.extend(self.by_https.iter().flat_map(|urls| urls.iter()).cloned());
        urls
    }
}

/// Sends one request to the origin. Turns references to the URLs of `named` in the response into references to Larder.
async fn ask(
    asked: &Asked,
    origin: &Origin,
    named: &Named,
    fields: Fields,
    body: Option<Upload>,
    interim: Option<Connection>,
) -> Result<Answered, OriginError> {
    let (cx, request, site) = (&asked.cx, &asked.request, &asked.site);
    let outgoing = OriginRequest { method: request.method.clone(), target: site.url.target(request), fields, body };
    // taken before the origin is asked: a purge that comes later applies to the answer
    let (position, sent) = (cx.store.position(cx.clock.wall()), cx.clock.now());
    let interim = interim.map(|client| (client, named.clone()));
    let mut response = origin
        .send(outgoing, move |response| {
            if let Some((client, named)) = &interim {
                let mut fields = response.fields.clone();
                turn_inward(|| named.urls(), &mut fields);
                client.send_interim(response.status, &fields);
            }
        })
        .await?;
    let times = Times { request: sent, response: cx.clock.now(), received: cx.clock.wall(), position };
    // RFC 9110 §6.6.1
    if !response.head.fields.contains(&header::DATE) {
        response.head.fields.append(header::DATE, date::format(times.received));
    }
    turn_inward(|| named.urls(), &mut response.head.fields);
    hint(asked, &response.head);
    Ok(Answered { response, times })
}

/// Says which flag mends a redirect that leads clients in a circle or past Larder.
fn hint(asked: &Asked, response: &ResponseHead) {
    static NOT_TRUSTED: Warning = Warning::each_minute();
    let request = &*asked.request;
    if let Some(peer) = request.peer.filter(|_| request.claims_https && asked.site.tells_client())
        && redirects_to_https(&asked.site.url, request, response).is_some()
    {
        return NOT_TRUSTED.say(format_args!(
            "the origin redirects to https, although {peer} says that its client speaks https already; Larder does not \
             believe {peer}: if it is your TLS proxy, write --trusted-proxy {peer}"
        ));
    }
    let (site, target) = (&asked.site, &asked.request.target);
    let location = response.fields.only(&header::LOCATION).filter(|_| response.status.is_redirection());
    let Some(reference) = location.and_then(|value| value.to_str().ok()) else { return };
    let authority =
        reference.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    // an application that knows the Host of its clients leads them to Larder
    if authority == target.authority || asked.names().include(authority, target.scheme) {
        return;
    }
    if let Some(url) = site.url.other_name(reference) {
        site.hinted.call_once(|| {
            log::warn!("the origin redirects to {url}, past Larder; if that is the same site, write --origin {url}")
        });
    }
}

/// Returns true if an http origin redirects to the same URL by https.
fn points_to_https(url: &OriginUrl, request: &Request, response: &ResponseHead) -> bool {
    let host = url.authority.strip_suffix(":80").unwrap_or(&url.authority);
    let authority = redirects_to_https(url, request, response);
    authority.is_some_and(|to| to.strip_suffix(":443").unwrap_or(to).eq_ignore_ascii_case(host))
}

/// Returns the authority of a redirect to https that leads to the path and query that were asked for.
fn redirects_to_https<'a>(url: &OriginUrl, request: &Request, response: &'a ResponseHead) -> Option<&'a str> {
    let moved = matches!(response.status.as_u16(), 301 | 302 | 307 | 308);
    let location = response.fields.only(&header::LOCATION).filter(|_| moved)?.to_str().ok()?;
    let rest = location.strip_prefix("https://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    (path == url.target(request)).then_some(authority)
}

fn upload(content: Content, method: &Method) -> Option<Upload> {
    match content {
        Content::None if forward::expects_content(method) => {
            Some(Upload { length: Some(0), pieces: Box::pin(Pieces(None)) })
        }
        Content::None => None,
        Content::Read(bytes) => {
            Some(Upload { length: Some(bytes.len() as u64), pieces: Box::pin(Pieces(Some(bytes))) })
        }
        Content::Stream(upload) => Some(upload),
    }
}

/// A stream of at most one piece.
struct Pieces(Option<Bytes>);

impl Stream for Pieces {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}
