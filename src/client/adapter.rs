//! Hands answers to actix.

use std::rc::Rc;

use actix_http::ConnectionType;
use actix_web::{
    HttpResponse,
    dev::{ServiceRequest, ServiceResponse},
};

use super::{
    connection::{Handle, Shared},
    lane::{self, Answering, HandedOver, Lane},
    reply_body::Outgoing,
};
use crate::message::StatusCode;

/// Answers a request that was handed to actix, from where the direct lane has left it.
pub(super) async fn answer(request: ServiceRequest) -> Result<ServiceResponse, actix_web::Error> {
    let shared = request.conn_data::<Handle>().and_then(Handle::upgrade);
    let handed_over = request.conn_data::<Rc<Lane>>().and_then(|lane| lane.take());
    let Some((shared, handed_over)) = shared.zip(handed_over) else {
        return Ok(request.into_response(HttpResponse::InternalServerError().finish()));
    };
    let answering = match handed_over {
        HandedOver::Handling(asked, reply) => {
            let Some(reply) = reply.await else {
                return Ok(request.into_response(HttpResponse::InternalServerError().finish()));
            };
            lane::begin(&mut shared.borrow_mut(), &asked, reply)
        }
        HandedOver::Answering(answering) => answering,
    };
    Ok(request.into_response(respond(&shared, answering)))
}

/// Makes the response that actix gets: its head says nothing, and its body begins with the head that the client gets.
fn respond(shared: &Shared, answering: Answering) -> HttpResponse {
    let Answering { exchange, persistent, head, content } = answering;
    shared.borrow_mut().head_of_actix = true;
    let mut response = HttpResponse::with_body(StatusCode::OK, ());
    response.head_mut().no_chunking(true);
    if !persistent {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response.set_body(Outgoing::new(Rc::downgrade(shared), exchange, head, content)).map_into_boxed_body()
}
