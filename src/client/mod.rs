//! The client side, between a client's socket and the core: listening, framing, deadlines and limits.
//!
//! | file | what it knows |
//! |---|---|
//! | `stream` | the I/O type that actix drives |
//! | `connection` | the state behind it: what comes in, what goes out, in which order |
//! | `head`, `framing` | parsing: request heads, and where bodies end. What is ambiguous is refused |
//! | `incoming`, `request_body` | the request's body, as the connection and as the core see it |
//! | `presented`, `exchange` | the request and its connection, as the core sees them |
//! | `reply`, `reply_body` | the core's answer, as the core and as actix see it |
//! | `encode`, `output` | the heads of all responses as bytes, and what waits for the socket |
//! | `refusal`, `limits` | the client side's own answers, and how many connections there may be |
//! | `trusted` | the peers that are believed when they say whose request they forward |
//! | `worker`, `deadline` | what all connections of a thread use, and the tick that ends what takes too long |
//! | `lane` | asks the core, and sends what it answers at once |
//! | `adapter` | actix's types |
//!
//! actix parses no head of a client's and writes none that a client gets: it is handed one constant request for each that
//! is not answered at once, and the constant head of its response is dropped.

mod adapter;
mod connection;
mod deadline;
mod encode;
mod exchange;
mod framing;
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod incoming;
mod lane;
mod limits;
mod options;
mod output;
mod presented;
mod refusal;
mod reply;
mod reply_body;
mod request_body;
mod stream;
mod trusted;
mod unsent;
mod worker;

use std::{
    cell::RefCell,
    io::{self, Read as _, Write as _},
    net::TcpListener,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix_http::{HttpService, KeepAlive, error::DispatchError};
use actix_server::Server;
use actix_service::{
    IntoServiceFactory as _, Service as _, ServiceFactoryExt as _, apply_fn_factory, fn_service, map_config,
};
use actix_web::{App, dev::AppConfig};
#[cfg(any(target_os = "linux", target_os = "android"))]
use socket2::SockRef;
use tokio::net::TcpStream;

use self::{
    connection::State,
    deadline::Deadlines,
    lane::{Core, Handler, Lane},
    limits::{Admissions, Full},
    stream::ClientStream,
    worker::Worker,
};
pub use self::{
    head::{FIELDS_BOUND, SPOKE_TLS},
    options::{Counter, Counters, Options},
    presented::{Connection, Presented},
    refusal::{EndedBy, OnRefusal, Refused, problem},
    reply::{FilePiece, Piece, Pieces, Reply, ReplyBody, Trailers},
    request_body::{BytesRead, RequestBody},
    trusted::TrustedProxies,
    worker::{Hold, WorkerHandle},
};

/// Connections over the limit that each worker accepts in order to refuse them. The others wait unaccepted: no burst may
/// use up the file descriptors that are kept in reserve.
const TOLD: usize = 8;

/// Bytes of a response that the kernel may hold unsent. Its send buffer grows to megabytes, and the socket becomes
/// writable only when a third of it is free: without this limit a slow reader would look like one that reads nothing.
/// Bytes that are under way do not count, so a fast client is not slowed down.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 128 << 10;

/// Serves on these listeners. The server is to be awaited within an actix or tokio runtime; its `handle()` stops it.
/// `factory` is called on each worker for each listener, and makes the handler of all requests there. Fails if a listener
/// is unusable.
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
        // the tick of each worker ends what is late to the millisecond
        .shutdown_timeout(options.shutdown_timeout.as_millis().div_ceil(1000) as u64);
    if !options.signals {
        server = server.disable_signals();
    }
    let stop = server.graceful_shutdown_signal();
    for listener in listeners {
        let (options, admissions, stop, factory) = (options.clone(), admissions.clone(), stop.clone(), factory.clone());
        server = server.listen("larder", listener, move || {
            let handler = factory();
            let core: Rc<dyn Core> = Rc::new(Handler::new(handler));
            let worker = Worker::new(options.clone());
            let deadlines = Deadlines::new(worker.clone());
            let app = App::new().default_service(fn_service(adapter::answer));
            // deadlines, keep-alive and the end of connections are the client side's own
            let http = HttpService::build()
                .keep_alive(KeepAlive::Os)
                .client_request_timeout(Duration::ZERO)
                .client_disconnect_timeout(Duration::ZERO)
                .h1_allow_half_closed(false)
                .on_connect_ext(|io: &ClientStream, data| {
                    data.insert(Rc::downgrade(&io.state));
                    data.insert(io.lane.clone());
                })
                .h1(map_config(app.into_factory(), |_| AppConfig::default()));
            let (admissions, stop, serving) = (admissions.clone(), stop.clone(), worker.clone());
            fn_service(move |io: TcpStream| {
                deadlines.start(&stop);
                let opened = open(io, &worker, &core, &admissions);
                if let Ok((stream, _)) = &opened {
                    deadlines.watch(&stream.state);
                }
                std::future::ready(opened)
            })
            .and_then(apply_fn_factory(http, move |opened, http| {
                let (opened, worker): (Opened, _) = (opened, serving.clone());
                let (state, lane) = (opened.0.state.clone(), opened.0.lane.clone());
                let dispatcher = http.call(opened);
                async move {
                    let served = lane.drive(state, dispatcher).await;
                    worker.released().await;
                    served
                }
            }))
        })?;
    }
    Ok(server.run())
}

type Opened = (ClientStream, Option<std::net::SocketAddr>);

/// Accepts a connection, or refuses it with a response.
fn open(
    io: TcpStream,
    worker: &Rc<Worker>,
    core: &Rc<dyn Core>,
    admissions: &Arc<Admissions>,
) -> Result<Opened, DispatchError> {
    let peer = io.peer_addr().ok();
    let counters = &worker.options.counters;
    match admissions.admit(peer.map(|peer| peer.ip())) {
        Ok(admission) => {
            counters.connections.add();
            // without this the end of a response waits 40 ms for an acknowledgement
            let _ = io.set_nodelay(true);
            #[cfg(any(target_os = "linux", target_os = "android"))]
            let _ = SockRef::from(&io).set_tcp_notsent_lowat(UNSENT);
            let state = State::new(io, worker.clone(), peer.map(|peer| peer.ip()), admission);
            let lane = Rc::new(Lane::new(core.clone()));
            Ok((ClientStream { state: Rc::new(RefCell::new(state)), lane }, peer))
        }
        Err(full) => {
            match full {
                Full::Connections => counters.over_connections.add(),
                Full::Address => counters.over_address.add(),
            }
            let refusal = full.refusal();
            let mut sent = 0;
            let response = refusal.response(&worker.date());
            // std's calls, for tokio's would wait for readiness. A request that is there already is read, for otherwise
            // the response would become a reset
            if let Ok(mut io) = io.into_std() {
                let _ = io.read(&mut [0; 4096]);
                if matches!(io.write(&response), Ok(written) if written == response.len()) {
                    sent = refusal.body().len() as u64;
                }
            }
            if let Some(on_refusal) = &worker.options.on_refusal {
                on_refusal.tell(&refusal.told(peer.map(|peer| peer.ip()), sent));
            }
            Err(DispatchError::Io(io::ErrorKind::ConnectionRefused.into()))
        }
    }
}

#[cfg(test)]
mod tests;
