//! Hands answers to actix that were not ready at once.

use std::rc::Rc;

use actix_http::ConnectionType;
use actix_web::{
    HttpResponse,
    dev::{ServiceRequest, ServiceResponse},
};

use super::{
    connection::{Handle, Shared},
    lane::{self, Lane},
    reply_body::{Answering, Outgoing},
};
use crate::message::StatusCode;

/// Answers a request that was handed to actix, from where the direct lane has left it.
pub(super) async fn answer(request: ServiceRequest) -> Result<ServiceResponse, actix_web::Error> {
    let shared = request.conn_data::<Handle>().and_then(Handle::upgrade);
    let handed_over = request.conn_data::<Rc<Lane>>().and_then(|lane| lane.take());
    let Some((shared, (asked, reply))) = shared.zip(handed_over) else {
        return Ok(request.into_response(HttpResponse::InternalServerError().finish()));
    };
    let reply = reply.await;
    let answering = lane::begin(&mut shared.borrow_mut(), &asked, reply);
    Ok(request.into_response(respond(&shared, answering)))
}

/// Makes the response that actix gets: its head says nothing, and its body has no bytes, but sends the answer.
fn respond(shared: &Shared, answering: Answering) -> HttpResponse {
    shared.borrow_mut().head_of_actix = true;
    let mut response = HttpResponse::with_body(StatusCode::OK, ());
    response.head_mut().no_chunking(true);
    if !answering.persistent {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response.set_body(Outgoing::new(Rc::downgrade(shared), answering)).map_into_boxed_body()
}
