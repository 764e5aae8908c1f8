//! Everything between a client's socket and the core: listening, framing, deadlines and limits.
//!
//! `stream` is the I/O type that actix drives. It reads request heads itself (`head`), refuses what is ambiguous
//! (`refusal`) and hands actix one request at a time, in a fixed form; the request as the client sent it goes to the core
//! (`adapter`). `connection` is the state behind it, with the request's body (`incoming`, its end in `framing`) and what
//! goes out (`output`); `request_body` and `reply_body` are the two streams that the core and actix read, `deadline` is the
//! tick that ends what takes too long, `limits` says how many may come.

mod adapter;
mod connection;
mod deadline;
mod framing;
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod incoming;
mod limits;
mod options;
mod output;
mod refusal;
mod reply_body;
mod request_body;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    io::{self, Read as _, Write as _},
    net::{IpAddr, TcpListener},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix_http::{HttpService, KeepAlive, error::DispatchError};
use actix_server::Server;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::{App, dev::AppConfig};
use bytes::Bytes;
use futures_core::Stream;
#[cfg(any(target_os = "linux", target_os = "android"))]
use socket2::SockRef;
use tokio::net::TcpStream;

use self::{
    connection::{Handle, State},
    deadline::Worker,
    limits::{Admissions, Full},
    stream::ClientStream,
};
pub use self::{
    head::FIELDS_BOUND,
    options::{Counter, Counters, Options},
    request_body::RequestBody,
};
use crate::message::{Fields, Method, StatusCode};

/// Connections over the limit that each worker takes on to be told so: the others wait unaccepted, for no burst may use up the
/// file descriptors that are kept in reserve.
const TOLD: usize = 8;

/// Bytes that the kernel keeps of a response before the network takes them. Its send buffer grows to megabytes, and the socket
/// becomes writable only when a third of it is free: without this bound (which lets what is under way be as much as a fast
/// client takes) a slow reader would look like one that reads nothing.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 128 << 10;

/// A request as it came in, before anything is believed about it. Its framing is sound: there is one Host field in an
/// HTTP/1.1 request, and at most one of Content-Length and `Transfer-Encoding: chunked`.
pub struct Presented {
    pub method: Method,
    /// The request-target as in the request line, byte for byte: any form, a fragment included (RFC 9112 §3.2).
    pub target: String,
    pub http_10: bool,
    /// All field lines in their order, hop-by-hop fields included.
    pub fields: Fields,
    pub peer: Option<IpAddr>,
    pub body: RequestBody,
    pub connection: Connection,
}

/// The client's connection as the core sees it, for the one exchange it was given for: cheap to clone, bound to its
/// thread, without effect once the next request is there.
#[derive(Clone)]
pub struct Connection {
    state: Handle,
    exchange: u64,
}

impl Connection {
    /// Sends an interim response (RFC 9110 §15.2) but 100 and 101; false if it was not sent: to an HTTP/1.0 client, or
    /// when the final response has begun.
    pub fn send_interim(&self, status: StatusCode, fields: &Fields) -> bool {
        match self.state.upgrade() {
            Some(state) => state.borrow_mut().send_interim(self.exchange, status, fields),
            None => false,
        }
    }

    /// Returns what the core keeps for as long as the connection lasts, if it has asked for it before.
    pub fn attachment<T: 'static>(&self) -> Option<Rc<T>> {
        self.state.upgrade()?.borrow().attachment.clone()?.downcast().ok()
    }

    /// The same, made where there is none.
    pub fn attached<T: Default + 'static>(&self) -> Rc<T> {
        self.attachment().unwrap_or_else(|| {
            let attachment = Rc::<T>::default();
            if let Some(state) = self.state.upgrade() {
                state.borrow_mut().attachment = Some(attachment.clone());
            }
            attachment
        })
    }

    /// The response to this request is the last on the connection. To be called before it is returned.
    pub fn close_after(&self) {
        let Some(state) = self.state.upgrade() else { return };
        let mut state = state.borrow_mut();
        if state.exchange == self.exchange {
            state.persistent = false;
        }
    }
}

/// What the core answers. Content-Length, Transfer-Encoding and Connection follow from `body` and the connection; where
/// they stand in `fields` they are left out. Date is added where there is none. A 400 ends the connection.
pub struct Reply {
    pub status: StatusCode,
    pub fields: Fields,
    pub body: ReplyBody,
}

/// Pieces of a body; an `Err` breaks the connection off visibly.
pub type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>;

pub enum ReplyBody {
    /// No body. `Some(n)`: with `Content-Length: n` all the same (HEAD, 304); `None`: 204, 304, or HEAD of unknown length.
    Empty(Option<u64>),
    Bytes(Bytes),
    /// Fewer bytes than `length` break the connection off; what goes beyond is cut. Without a length the body is chunked,
    /// or ends with the connection (HTTP/1.0).
    Stream {
        length: Option<u64>,
        pieces: Pieces,
    },
}

/// Serves on these listeners: to be awaited within an actix or tokio runtime; its `handle()` stops it. `factory` is called
/// on each worker, for each listener, and what it makes gets every request. Fails where a listener cannot be used.
pub fn run<M, H, F>(listeners: Vec<TcpListener>, options: Options, factory: M) -> io::Result<Server>
where
    M: Fn() -> H + Clone + Send + 'static,
    H: Fn(Presented) -> F + Clone + 'static,
    F: Future<Output = Reply> + 'static,
{
    let options = Arc::new(options);
    let admissions = Admissions::new(&options);
    let mut server = Server::build()
        .workers(options.workers.max(1))
        .max_concurrent_connections(admissions.most().div_ceil(options.workers.max(1)) + TOLD)
        .shutdown_timeout(options.shutdown_timeout.as_secs());
    if !options.signals {
        server = server.disable_signals();
    }
    let stop = server.graceful_shutdown_signal();
    for listener in listeners {
        let (options, admissions, stop, factory) = (options.clone(), admissions.clone(), stop.clone(), factory.clone());
        server = server.listen("larder", listener, move || {
            let worker = Worker::new(options.clone());
            let handler = factory();
            let app = App::new().default_service(fn_service(move |request| adapter::answer(request, handler.clone())));
            // deadlines, keep-alive and the end of connections are ours
            let http = HttpService::build()
                .keep_alive(KeepAlive::Os)
                .client_request_timeout(Duration::ZERO)
                .client_disconnect_timeout(Duration::ZERO)
                .h1_allow_half_closed(false)
                .on_connect_ext(|io: &ClientStream, data| {
                    data.insert(Rc::downgrade(&io.0));
                })
                .h1(map_config(app.into_factory(), |_| AppConfig::default()));
            let (admissions, stop) = (admissions.clone(), stop.clone());
            fn_service(move |io: TcpStream| {
                worker.start(&stop);
                std::future::ready(open(io, &worker, &admissions))
            })
            .and_then(http)
        })?;
    }
    Ok(server.run())
}

type Opened = (ClientStream, Option<std::net::SocketAddr>);

/// Takes a connection on, or turns it away in words.
fn open(io: TcpStream, worker: &Rc<Worker>, admissions: &Arc<Admissions>) -> Result<Opened, DispatchError> {
    let peer = io.peer_addr().ok();
    let counters = &worker.options.counters;
    match admissions.admit(peer.map(|peer| peer.ip())) {
        Ok(admission) => {
            counters.connections.add();
            // without it, the end of a response waits 40 ms for an acknowledgement
            let _ = io.set_nodelay(true);
            #[cfg(any(target_os = "linux", target_os = "android"))]
            let _ = SockRef::from(&io).set_tcp_notsent_lowat(UNSENT);
            let state = State::new(io, worker.clone(), peer.map(|peer| peer.ip()), admission);
            let shared = Rc::new(RefCell::new(state));
            worker.watch(&shared);
            Ok((ClientStream(shared), peer))
        }
        Err(full) => {
            match full {
                Full::Connections => counters.over_connections.add(),
                Full::Address => counters.over_address.add(),
            }
            // as good as can be without waiting (tokio's own calls would, for readiness): a request that is there already
            // must not turn the answer into a reset
            if let Ok(mut io) = io.into_std() {
                let _ = io.read(&mut [0; 4096]);
                let _ = io.write(&full.refusal().response());
            }
            Err(DispatchError::Io(io::ErrorKind::ConnectionRefused.into()))
        }
    }
}
