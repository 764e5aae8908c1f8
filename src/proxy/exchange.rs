//! One exchange with the origin, in the words of both sides.

use std::{
    cell::OnceCell,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Once, OnceLock},
    task::Poll,
};

use bytes::Bytes;
use futures_core::Stream;
use http::header;

use super::{
    Content, Context,
    forward::{self, Conditions, Site},
    warning::Warning,
};
use crate::{
    client::Connection,
    fields::date,
    message::{FieldName, FieldValue, Fields, Method, Request, ResponseHead},
    origin::{self, Origin, OriginError, OriginRequest, OriginResponse, Owner, Prepared, Upload},
    policy::Times,
};

/// The origin's host by https, for an http origin that redirects there. Made when it is first needed.
pub struct Secure {
    plain: Prepared,
    prepared: Arc<OnceLock<Option<Prepared>>>,
    client: OnceCell<Option<Origin>>,
}

impl Secure {
    /// `prepared` is shared by the workers. `None`: the origin is not on the port that has a twin.
    pub fn of(plain: &Prepared, prepared: &Arc<OnceLock<Option<Prepared>>>) -> Option<Secure> {
        if plain.options().https || plain.options().port != 80 {
            return None;
        }
        Some(Secure { plain: plain.clone(), prepared: prepared.clone(), client: OnceCell::new() })
    }

    fn client(&self) -> Option<&Origin> {
        let prepared = self.prepared.get_or_init(|| {
            let options = origin::Options { https: true, port: 443, ..self.plain.options().clone() };
            let prepared = self.plain.beside(options);
            prepared
                .inspect_err(|error| log::warn!("the origin redirects to https, which cannot be used: {error}"))
                .ok()
        });
        self.client.get_or_init(|| prepared.clone().map(Origin::new)).as_ref()
    }
}

/// What came back, and when.
pub struct Answered {
    pub response: OriginResponse,
    pub times: Times,
}

/// Whom interim responses go to, and who owns what is authenticated.
type ClientSide = (Option<Connection>, Option<Rc<Owner>>);

/// Asks the origin. `added` stands in for the client's fields of the same names.
pub async fn send(
    cx: &Context,
    request: &Request,
    content: Content,
    conditions: Conditions,
    added: &[(FieldName, FieldValue)],
    client: ClientSide,
) -> Result<Answered, OriginError> {
    let mut fields = forward::fields(request, &cx.site, &cx.pseudonym, conditions);
    for (name, value) in added {
        fields.set(name.clone(), value.clone());
    }
    if !matches!(content, Content::None) && !forward::is_made_for_content(&request.method) {
        // an origin that ignores such a body takes it for the next request: there must be none on that connection
        fields.append(header::CONNECTION, FieldValue::from_static("close"));
    }
    let may_follow = matches!(content, Content::None) && matches!(request.method, Method::GET | Method::HEAD);
    let again = may_follow.then(|| fields.clone());
    let content = upload(content, &request.method);
    let first = ask(cx, &cx.origin, &[&cx.site], request, fields, content, client.clone()).await?;
    let secure = cx.secure.as_ref().filter(|_| points_to_https(cx, request, &first.response.head));
    let (Some(secure), Some(fields)) = (secure.and_then(Secure::client), again) else { return Ok(first) };
    let site = Site { https: true, ..cx.site.clone() };
    // what an owner keeps is a connection of the first origin
    let followed = ask(cx, secure, &[&cx.site, &site], request, fields, None, (client.0, None)).await;
    Ok(followed.unwrap_or_else(|error| {
        static NOT_FOLLOWED: Warning = Warning::new();
        NOT_FOLLOWED.say(format_args!("the origin redirects to https, which fails: {error} ({})", site.url()));
        first
    }))
}

/// `sites`: what references are turned away from.
async fn ask(
    cx: &Context,
    origin: &Origin,
    sites: &[&Site],
    request: &Request,
    fields: Fields,
    body: Option<Upload>,
    (interim, owner): ClientSide,
) -> Result<Answered, OriginError> {
    let outgoing =
        OriginRequest { method: request.method.clone(), target: cx.site.target(request), fields, body, owner };
    let sent = cx.clock.now();
    let mut response = origin
        .send(outgoing, move |response| {
            if let Some(client) = &interim {
                client.send_interim(response.status, &response.fields);
            }
        })
        .await?;
    let times = Times { request: sent, response: cx.clock.now(), received: cx.clock.wall() };
    turn_inward(sites, &mut response.head.fields, times);
    hint(cx, &response.head);
    Ok(Answered { response, times })
}

/// Date is there (RFC 9110 §6.6.1), and references to the origin lead through Larder.
fn turn_inward(sites: &[&Site], fields: &mut Fields, times: Times) {
    if !fields.contains(&header::DATE) {
        fields.append(header::DATE, date::format(times.received));
    }
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let reference = fields.only(&name).and_then(|value| value.to_str().ok());
        let inward = reference.and_then(|reference| sites.iter().find_map(|site| site.inward(reference)));
        if let Some(value) = inward.and_then(|inward| FieldValue::try_from(inward).ok()) {
            fields.set(name, value);
        }
    }
}

/// Says once how to name an origin that sends its clients past Larder.
fn hint(cx: &Context, response: &ResponseHead) {
    static HINT: Once = Once::new();
    let location = response.fields.only(&header::LOCATION).filter(|_| response.status.is_redirection());
    if let Some(url) = location.and_then(|value| cx.site.other_name(value.to_str().ok()?)) {
        HINT.call_once(|| log::warn!("the origin redirects to another name of its: name it as --origin {url}"));
    }
}

/// Whether an http origin says that the same URL is to be had by https.
fn points_to_https(cx: &Context, request: &Request, response: &ResponseHead) -> bool {
    let moved = matches!(response.status.as_u16(), 301 | 302 | 307 | 308);
    let location = response.fields.only(&header::LOCATION).and_then(|value| value.to_str().ok());
    let Some((authority, rest)) = location.and_then(|l| l.strip_prefix("https://")).map(|l| {
        let end = l.find('/').unwrap_or(l.len());
        l.split_at(end)
    }) else {
        return false;
    };
    let host = cx.site.authority.strip_suffix(":80").unwrap_or(&cx.site.authority);
    let rest = if rest.is_empty() { "/" } else { rest };
    moved
        && authority.strip_suffix(":443").unwrap_or(authority).eq_ignore_ascii_case(host)
        && rest == cx.site.target(request)
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
