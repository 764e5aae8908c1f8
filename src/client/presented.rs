//! The request that the core gets, and the connection that it came on.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

use super::{
    exchange::Exchange,
    refusal::{EndedBy, OnFate},
    request_body::RequestBody,
    worker::WorkerHandle,
};
use crate::message::{Fields, Method, Scheme, StatusCode, Version};

/// A request as it came in. Only its framing was checked: an HTTP/1.1 request has one Host field, and at most one of
/// Content-Length and `Transfer-Encoding: chunked`.
pub struct Presented {
    pub method: Method,
    /// The request-target of the request line. It may have any form, and a fragment (RFC 9112 §3.2). In a path and a query
    /// each byte beyond ASCII is written as `%XX`; all else is as it came.
    pub target: String,
    /// The scheme of the listener.
    pub scheme: Scheme,
    pub version: Version,
    /// All field lines in their order, hop-by-hop fields included.
    pub fields: Fields,
    pub peer: Option<IpAddr>,
    /// The address of this machine that the client has connected to.
    pub local: Option<SocketAddr>,
    pub body: RequestBody,
    pub connection: Connection,
    pub worker: WorkerHandle,
}

/// The client's connection as the core sees it, for the one exchange that it was given for.
#[derive(Clone)]
pub struct Connection(pub(super) Exchange);

impl Connection {
    /// Sends an interim response (RFC 9110 §15.2) but 100 and 101. Returns false if it was not sent: to an HTTP/1.0
    /// client, or when the final response has begun.
    pub fn send_interim(&self, status: StatusCode, fields: &Fields) -> bool {
        self.0.send_interim(status, fields)
    }

    /// Returns what the core keeps for as long as the connection lasts, if it has asked for it before.
    pub fn attachment<T: 'static>(&self) -> Option<Rc<T>> {
        self.0.attachment()?.downcast().ok()
    }

    /// The same, made where there is none.
    pub fn attached<T: Default + 'static>(&self) -> Rc<T> {
        self.attachment().unwrap_or_else(|| {
            let attachment = Rc::<T>::default();
            self.0.attach(attachment.clone());
            attachment
        })
    }

    /// Returns how the request's content failed, if it did. Nobody gets the core's answer then: the client has left, or the
    /// client side has answered in its place.
    pub fn content_failure(&self) -> Option<io::ErrorKind> {
        self.0.content_failure()
    }

    /// Counts the exchange as a connection of this address, for which a trusted proxy has forwarded the request. Returns
    /// false if the address has as many as one may have.
    pub fn count_for(&self, client: IpAddr) -> bool {
        self.0.count_for(client)
    }

    /// Ends when the client has ended its side of the connection before it has got an answer. A client that has closed its
    /// connection and one that still reads look the same until something is sent to them. To be awaited in one place at a
    /// time.
    pub async fn half_closed(&self) {
        poll_fn(|cx| self.0.poll_half_closed(cx)).await;
    }

    /// Returns true if the client has ended its side of the connection. It may have left, or still read.
    pub fn has_ended_its_side(&self) -> bool {
        self.0.has_ended_its_side()
    }

    /// Returns true if the client had ended its side before its answer was there, and may have got nothing of the `sent`
    /// bytes. To be called when the exchange ends.
    pub fn may_have_got_nothing(&self, sent: u64) -> bool {
        self.0.may_have_got_nothing(sent)
    }

    /// Calls `on_fate` once it is known whether the answer that was just given reaches the client: with true if the client
    /// had left before. If that cannot be known, the answer counts as received. The function must not use the connection.
    pub fn await_fate(&self, on_fate: OnFate) {
        self.0.await_fate(on_fate);
    }

    /// Returns how the client side itself has ended the exchange; `None`: it ends otherwise, or the client has left. To be
    /// called when the exchange ends.
    pub fn ended_by(&self) -> Option<EndedBy> {
        self.0.ended_by()
    }

    /// Makes the response to this request the last on the connection. To be called before the reply is returned.
    pub fn close_after(&self) {
        self.0.close_after();
    }
}
