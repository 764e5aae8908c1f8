//! Between actix's types and the core's.

use std::rc::Rc;

use actix_http::{ConnectionType, body::BodySize};
use actix_web::{
    HttpResponse,
    dev::{ServiceRequest, ServiceResponse},
};
use http::header;

use super::{
    Connection, Presented, Reply, ReplyBody, RequestBody,
    connection::{Handle, Phase, Shared},
    reply_body::{Content, Outgoing},
};
use crate::message::{Fields, Scheme, StatusCode, Version};

/// Answers a request that actix has handed over, by means of the core's handler.
pub(super) async fn answer<H, F>(request: ServiceRequest, handler: H) -> Result<ServiceResponse, actix_web::Error>
where
    H: Fn(Presented) -> F,
    F: Future<Output = Reply>,
{
    let shared = request.conn_data::<Handle>().and_then(Handle::upgrade);
    let Some((shared, presented)) = shared.and_then(|shared| present(&shared).map(|presented| (shared, presented)))
    else {
        return Ok(request.into_response(HttpResponse::InternalServerError().finish()));
    };
    let exchange = presented.connection.exchange;
    let (head_only, version) = (presented.method == http::Method::HEAD, presented.version);
    let Reply { status, fields, body } = handler(presented).await;
    let framed = frame(head_only, version, status, body);
    Ok(request.into_response(respond(&shared, exchange, status, fields, framed)))
}

/// The request whose head the connection has just passed on.
fn present(shared: &Shared) -> Option<Presented> {
    let mut state = shared.borrow_mut();
    let head = state.head.take()?;
    let exchange = state.exchange;
    Some(Presented {
        method: head.method,
        target: head.target,
        scheme: Scheme::Http,
        version: head.version,
        fields: head.fields,
        peer: state.peer,
        body: RequestBody::new(Rc::downgrade(shared), exchange, head.length, head.chunked),
        connection: Connection { state: Rc::downgrade(shared), exchange },
    })
}

fn respond(shared: &Shared, exchange: u64, status: StatusCode, fields: Fields, framed: Framed) -> HttpResponse {
    let mut state = shared.borrow_mut();
    state.persistent &= !framed.close_delimited
        && status != StatusCode::BAD_REQUEST
        && state.body.can_end(&state.worker.options)
        && !state.worker.stopping();
    if framed.close_delimited {
        state.end_by_closing();
    }
    state.enter(Phase::Answering { streamed: matches!(framed.content, Content::Stream { .. }) });
    let persistent = state.persistent;
    drop(state);

    let mut response = HttpResponse::with_body(status, ());
    let head = response.head_mut();
    if status.canonical_reason().is_none() {
        // actix would make one up
        head.reason = Some("");
    }
    if !persistent {
        head.set_connection_type(ConnectionType::Close);
    }
    head.no_chunking(framed.close_delimited);
    append(head.headers_mut(), fields);
    if let Some(length) = framed.length_field {
        head.headers_mut().append(header::CONTENT_LENGTH, length.into());
    }
    response.set_body(Outgoing::new(Rc::downgrade(shared), exchange, framed.size, framed.content)).map_into_boxed_body()
}

/// The framing fields are not the core's to set: they follow from the body.
fn append(headers: &mut actix_http::header::HeaderMap, fields: Fields) {
    for (name, value) in fields {
        if !matches!(name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION) {
            headers.append(name, value);
        }
    }
}

/// How a body is written.
struct Framed {
    size: BodySize,
    content: Content,
    /// Content-Length as a field of its own: actix writes none for 304.
    length_field: Option<u64>,
    close_delimited: bool,
}

/// RFC 9112 §6.3: which statuses and methods have a body, and how its end is told.
fn frame(head_only: bool, version: Version, status: StatusCode, body: ReplyBody) -> Framed {
    let bodiless =
        |size, length_field| Framed { size, content: Content::Nothing, length_field, close_delimited: false };
    let length = match &body {
        ReplyBody::Empty(length) => *length,
        ReplyBody::Bytes(bytes) => Some(bytes.len() as u64),
        ReplyBody::Stream { length, .. } => *length,
    };
    if status == StatusCode::NOT_MODIFIED {
        return bodiless(BodySize::None, length);
    }
    if status == StatusCode::NO_CONTENT || status.is_informational() {
        return bodiless(BodySize::None, None);
    }
    if head_only {
        return bodiless(length.map_or(BodySize::None, BodySize::Sized), None);
    }
    match body {
        ReplyBody::Empty(_) => bodiless(BodySize::Sized(0), None),
        ReplyBody::Bytes(bytes) => Framed {
            size: BodySize::Sized(bytes.len() as u64),
            content: Content::Bytes(bytes),
            length_field: None,
            close_delimited: false,
        },
        ReplyBody::Stream { length, pieces } => {
            let close_delimited = length.is_none() && version == Version::Http10;
            Framed {
                size: length.map_or(BodySize::Stream, BodySize::Sized),
                content: Content::Stream { rest: length, pieces },
                length_field: None,
                close_delimited,
            }
        }
    }
}
