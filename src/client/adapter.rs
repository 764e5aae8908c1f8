//! Translates between actix's types and the core's.

use std::rc::Rc;

use actix_http::ConnectionType;
use actix_web::{
    HttpResponse,
    dev::{ServiceRequest, ServiceResponse},
};

use super::{
    Connection, Presented, Reply, ReplyBody, RequestBody, Trailers,
    connection::{Handle, Phase, Shared},
    encode::{self, Frame, Length},
    exchange::{Exchange, Http1},
    reply_body::{Chunk, Content, Outgoing},
    worker::WorkerHandle,
};
use crate::{
    fields::trailer::takes_trailers,
    message::{Fields, Method, Scheme, StatusCode, Version},
};

/// Calls the core's handler for a request that actix has handed over, and answers with its reply.
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
    let exchange = shared.borrow().exchange;
    let (head_only, version) = (presented.method == Method::HEAD, presented.version);
    let takes_trailers = takes_trailers(&presented.fields);
    let Reply { status, fields, body, trailers } = handler(presented).await;
    let trailers = if takes_trailers { trailers } else { Trailers::default() };
    let (length, content) = frame(head_only, version, status, body, trailers);
    Ok(request.into_response(respond(&shared, exchange, version, status, &fields, length, content)))
}

/// Makes the core's request from the head that the connection has just read.
fn present(shared: &Shared) -> Option<Presented> {
    let mut state = shared.borrow_mut();
    let head = state.head.take()?;
    let exchange = Exchange::Http1(Http1 { state: Rc::downgrade(shared), number: state.exchange });
    Some(Presented {
        method: head.method,
        target: head.target,
        scheme: Scheme::Http,
        version: head.version,
        fields: head.fields,
        peer: state.peer,
        body: RequestBody::new(exchange.clone(), head.length, head.chunked),
        connection: Connection(exchange),
        worker: WorkerHandle(state.worker.clone()),
    })
}

/// Makes the response that actix gets: its head says nothing, and its body begins with the head that the client gets.
fn respond(
    shared: &Shared,
    exchange: u64,
    version: Version,
    status: StatusCode,
    fields: &Fields,
    length: Length,
    content: Content,
) -> HttpResponse {
    let mut state = shared.borrow_mut();
    let streamed = matches!(content, Content::Stream { .. } | Content::Chunked { .. });
    let close_delimited = streamed && length == Length::Untold;
    state.persistent &= !close_delimited
        && status != StatusCode::BAD_REQUEST
        && state.body.can_end(&state.worker.options)
        && !state.worker.stopping();
    if close_delimited {
        state.end_by_closing();
    }
    let endless = matches!(content, Content::Chunked { .. } | Content::Stream { rest: None, .. });
    state.enter(Phase::Answering { endless });
    state.head_of_actix = true;
    let persistent = state.persistent;
    let head = encode::head(Frame { version, persistent, length }, status, fields, &state.worker.date());
    drop(state);

    let mut response = HttpResponse::with_body(StatusCode::OK, ());
    response.head_mut().no_chunking(true);
    if !persistent {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response.set_body(Outgoing::new(Rc::downgrade(shared), exchange, head, content)).map_into_boxed_body()
}

/// Decides whether the response has a body, and how its head tells where that ends (RFC 9112 §6.3).
fn frame(
    head_only: bool,
    version: Version,
    status: StatusCode,
    body: ReplyBody,
    trailers: Trailers,
) -> (Length, Content) {
    let length = match &body {
        ReplyBody::Empty(length) => *length,
        ReplyBody::Bytes(bytes) => Some(bytes.len() as u64),
        ReplyBody::Stream { length, .. } => *length,
    };
    if status == StatusCode::NO_CONTENT || status.is_informational() {
        return (Length::Untold, Content::Nothing);
    }
    if head_only || status == StatusCode::NOT_MODIFIED {
        return (length.map_or(Length::Untold, Length::Known), Content::Nothing);
    }
    match body {
        ReplyBody::Empty(_) => (Length::Known(0), Content::Nothing),
        ReplyBody::Bytes(bytes) => (Length::Known(bytes.len() as u64), Content::Bytes(bytes)),
        ReplyBody::Stream { length: Some(length), pieces } => {
            (Length::Known(length), Content::Stream { rest: Some(length), pieces })
        }
        ReplyBody::Stream { length: None, pieces } if version == Version::Http10 => {
            (Length::Untold, Content::Stream { rest: None, pieces })
        }
        ReplyBody::Stream { length: None, pieces } => {
            (Length::Chunked, Content::Chunked { next: Chunk::Size, pieces, trailers })
        }
    }
}
