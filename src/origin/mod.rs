//! The other side: requests to the origin over awc, made safe by `framing`.
//!
//! awc brings the HTTP/1.1 codec. It is driven through its connector service, with one constant request head and no body:
//! what goes over the wire is written, and what comes in is read, by [`framing`]'s connection below it. Connections come from
//! a [`pool`] of Larder's own, and [`stream`] hands them to awc, one for each request. Per request an [`exchange`] holds what
//! both sides of awc need to know of each other.

mod chunk;
mod connect;
mod errors;
mod exchange;
mod framing;
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod kept;
mod names;
mod options;
mod owner;
mod places;
mod pool;
mod request;
mod sending;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod transport;
mod unasked;
mod upload;

use std::{
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use actix_http::{Payload, RequestHead, RequestHeadType, body::None as NoBody};
use actix_service::Service;
use awc::error::SendRequestError;
use bytes::Bytes;
use futures_core::{Stream, future::LocalBoxFuture};
use http::Uri;
use tokio::{sync::SemaphorePermit, task::spawn_local, time::timeout};

pub use self::{
    connect::is_link_local,
    errors::OriginError,
    options::{Options, Prepared},
    owner::Owner,
    request::{Interim, OriginRequest, Pieces, Upload},
    tls::certificates,
    transport::Connection,
};
use self::{
    exchange::{Exchange, Timeouts, Wait},
    head::Framing,
    names::Names,
    places::{Places, Read, Reading},
    pool::Pool,
    stream::{Handing, OriginStream},
    tls::Tls,
    transport::Transport,
};
use crate::{
    boxes::Boxes,
    message::{ConnectionScheme, FieldValue, Fields, ResponseHead},
};

impl Prepared {
    /// Connects to the origin, by TCP and TLS alone, and closes the connection again. Returns what is known of it.
    pub async fn reach(&self) -> Result<Connection, OriginError> {
        let dialled = timeout(self.options.connect_timeout, connect::dial(self.clone())).await;
        dialled.unwrap_or(Err(OriginError::ConnectTimeout)).map(|transport| transport.connection())
    }

    /// Prepares another client of the same host: both share what is known of its name, and their places.
    pub fn beside(&self, options: Options) -> Result<Prepared, String> {
        let (names, places) = (self.names.clone(), self.places.clone());
        Ok(Prepared { names, places, ..Origin::prepare(options)? })
    }
}

/// The final response.
pub struct OriginResponse {
    /// Hop-by-hop fields are gone.
    pub head: ResponseHead,
    /// Content-Length as the origin sent it, also where it frames nothing (HEAD, 304).
    pub length: Option<u64>,
    /// The connection was authenticated in this way, now or before: the response is for this client alone.
    pub bound: Option<ConnectionScheme>,
    pub body: OriginBody,
}

type Call = Box<dyn Fn() -> LocalBoxFuture<'static, Result<Payload, SendRequestError>>>;

/// The client of one worker: cheap to clone, bound to its thread.
#[derive(Clone)]
pub struct Origin {
    client: Rc<Client>,
    /// See [`Origin::owned_by`].
    owner: Option<Rc<Owner>>,
}

struct Client {
    call: Call,
    pool: Rc<Pool>,
    places: Arc<Places>,
    reading: Rc<Reading>,
    timeouts: Timeouts,
    /// A connection may carry another request.
    reuse: bool,
}

impl Origin {
    /// Reads the certificates to trust, once for all workers. Fails, in words, where the host cannot be one for TLS or
    /// `ca` cannot be used.
    pub fn prepare(options: Options) -> Result<Prepared, String> {
        let host = connect::unbracketed(&options.host);
        let tls = options.https.then(|| Tls::new(host, options.ca.as_deref(), options.insecure)).transpose()?;
        let places = Arc::new(Places::new(options.max_connections, options.max_streams));
        Ok(Prepared { tls, options: Arc::new(options), names: Names::system(), places, unasked: Arc::default() })
    }

    /// Must be called within the worker's runtime: it begins to sweep the pool there.
    pub fn new(prepared: Prepared) -> Origin {
        let dialled = prepared.clone();
        Origin::over(&prepared, move || Box::pin(connect::dial(dialled.clone())))
    }

    fn over(
        prepared: &Prepared,
        dial: impl Fn() -> LocalBoxFuture<'static, Result<Transport, OriginError>> + 'static,
    ) -> Origin {
        let Prepared { options, places, unasked, .. } = prepared;
        let reading = Reading::new(places.clone());
        spawn_local(reading.moving());
        let pool = Pool::new(options.pool(), places.clone(), unasked.clone(), dial);
        let reuse = !options.idle_timeout.is_zero();
        if reuse {
            spawn_local(pool.sweeping());
        }
        let uri = Uri::from_static("http://origin/");
        let mut head = RequestHead::default();
        head.uri = uri.clone();
        // else awc makes a map with it for each request
        head.headers.insert(http::header::HOST, FieldValue::from_static("origin"));
        let head = Rc::new(head);
        // without limits of its own: what it is handed has been chosen already
        let awc = Rc::new(awc::Connector::new().connector(Handing).limit(0).finish());
        let boxes = Boxes::default();
        let call: Call = Box::new(move || {
            let (awc, connect) = (awc.clone(), awc::Connect { uri: uri.clone(), addr: None });
            let head = RequestHeadType::Rc(head.clone(), None);
            Box::pin(boxes.pin(async move {
                let connection = awc.call(connect).await?;
                let (_, payload) = connection.send_request(head, NoBody::new()).await?;
                Ok(payload)
            }))
        });
        let timeouts = Timeouts {
            connect: options.connect_timeout,
            first_byte: options.first_byte_timeout,
            between_bytes: options.between_bytes_timeout,
        };
        let client = Client { call, pool, places: places.clone(), reading, timeouts, reuse };
        Origin { client: Rc::new(client), owner: None }
    }

    /// The client for the requests of one client connection: a connection to the origin that they authenticate belongs to
    /// it. `None`: it may carry many users, and such a connection serves one request.
    pub fn owned_by(&self, owner: Option<Rc<Owner>>) -> Origin {
        Origin { client: self.client.clone(), owner }
    }

    /// A place among the few requests that go on though nobody waits for their answers any more; `None`: there are enough.
    pub fn unattended(&self) -> Option<SemaphorePermit<'_>> {
        self.client.places.unattended()
    }

    /// Returns how long a request waits for the head of its answer.
    pub fn patience(&self) -> std::time::Duration {
        self.client.timeouts.first_byte
    }

    /// Sends a request. `interim` is called for each 1xx but 101 and 100, as it comes in. Dropping the future closes the
    /// connection.
    ///
    /// A response may come before the body of the request is out. If it is a refusal, the rest is not sent; otherwise it
    /// is sent while the response's body is read.
    // no `async fn`: that would hold the request twice, and each request writes all of the future
    pub fn send(
        &self,
        mut request: OriginRequest,
        interim: impl FnMut(Interim) + 'static,
    ) -> impl Future<Output = Result<OriginResponse, OriginError>> {
        let Client { pool, reuse, .. } = &*self.client;
        if !(*reuse && pool.may_keep(&request, self.owner.as_ref())) {
            request.fields.set(http::header::CONNECTION, FieldValue::from_static("close"));
        }
        let has_content = request.body.as_ref().is_some_and(|body| body.length != Some(0));
        let exchange = Exchange::new(request, interim);
        async move { self.exchange(exchange?, has_content).await }
    }

    async fn exchange(&self, exchange: Rc<Exchange>, has_content: bool) -> Result<OriginResponse, OriginError> {
        let timeouts = &self.client.timeouts;
        let place = match timeout(timeouts.connect, self.client.places.take(has_content)).await {
            Ok(Ok(place)) => place,
            _ => return Err(OriginError::Exhausted),
        };
        let payload = loop {
            match self.client.attempt(&exchange, self.owner.as_ref()).await {
                Err(error) if exchange.may_go_again(&error) => exchange.again.set(true),
                outcome => break outcome?,
            }
        };
        let Some(head) = exchange.take_answer() else { return Err(OriginError::Closed) };
        let left = if let Framing::Length(length) = head.framing { Some(length) } else { None };
        // with nothing to read the connection is back in the pool already
        let reading = (!matches!(payload, Payload::None)).then(|| (payload, self.client.reading.begin(place)));
        Ok(OriginResponse {
            head: ResponseHead { status: head.status, fields: head.fields },
            length: head.length,
            bound: exchange.bound.get(),
            body: OriginBody { reading, left, exchange, timeouts: *timeouts },
        })
    }
}

impl Client {
    async fn attempt(&self, exchange: &Rc<Exchange>, owner: Option<&Rc<Owner>>) -> Result<Payload, OriginError> {
        exchange.wait.set(Wait::Other);
        let mut connection = self.pool.connection(exchange.again.get(), owner).await?;
        connection.begin(exchange.clone());
        let stream = OriginStream::new(connection, self.pool.clone(), owner.cloned());
        match exchange.in_time(&self.timeouts, stream.handed_to((self.call)())).await? {
            Ok(payload) => Ok(payload),
            Err(_) => Err(exchange.take_failure().unwrap_or(OriginError::Closed)),
        }
    }
}

/// The response's bytes; ends with `None` only where its end was proven (RFC 9112 §8). Dropping it before that closes the
/// connection.
pub struct OriginBody {
    /// `None` once it has ended.
    reading: Option<(Payload, Read)>,
    /// Bytes to come, where a length says so.
    left: Option<u64>,
    exchange: Rc<Exchange>,
    timeouts: Timeouts,
}

impl OriginBody {
    /// The trailers of a body that has come to its end, but for those that nobody may pass on.
    pub fn take_trailers(&mut self) -> Fields {
        self.exchange.trailers.take()
    }

    /// The next bytes. `None` after the last, and after an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, OriginError>> {
        let (payload, _) = self.reading.as_mut()?;
        let next = poll_fn(|cx| Pin::new(&mut *payload).poll_next(cx));
        let ended = match self.exchange.in_time(&self.timeouts, next).await {
            Ok(Some(Ok(bytes))) => {
                self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
                // whoever knows the length does not ask for the end: awc keeps the connection once it has told it
                if self.left == Some(0)
                    && let Poll::Ready(None) = Pin::new(payload).poll_next(&mut Context::from_waker(Waker::noop()))
                {
                    self.reading = None;
                }
                return Some(Ok(bytes));
            }
            Ok(None) => None,
            Ok(Some(Err(_))) => Some(Err(self.exchange.take_failure().unwrap_or(OriginError::Truncated))),
            Err(error) => Some(Err(error)),
        };
        self.reading = None;
        ended
    }
}
