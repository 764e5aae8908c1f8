//! Everything between a client's socket and the core: listening, framing, deadlines and limits.
//!
//! `stream` is the I/O type that actix drives. It reads request heads itself (`head`), refuses what is ambiguous
//! (`refusal`) and hands actix one request at a time, in a fixed form; the request as the client sent it goes to the core
//! (`adapter`). `connection` is the state behind it, with the request's body (`incoming`, its end in `framing`) and what
//! goes out (`output`); `request_body` and `reply_body` are the two streams that the core and actix read, `worker` is what
//! all connections of a thread use, `deadline` is the tick that ends what takes too long, `limits` says how many may come.
//!
//! The heads of all responses are ours, too (`encode`). actix writes a head that says nothing, which the connection drops.

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
mod limits;
mod options;
mod output;
mod presented;
mod refusal;
mod reply;
mod reply_body;
mod request_body;
mod stream;
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
    limits::{Admissions, Full},
    stream::ClientStream,
    worker::Worker,
};
pub use self::{
    head::FIELDS_BOUND,
    options::{Counter, Counters, Options},
    presented::{Connection, Presented},
    refusal::{OnRefusal, Refused},
    reply::{Pieces, Reply, ReplyBody},
    request_body::RequestBody,
    worker::{Hold, WorkerHandle},
};

/// Connections over the limit that each worker takes on to be told so: the others wait unaccepted, for no burst may use up the
/// file descriptors that are kept in reserve.
const TOLD: usize = 8;

/// Bytes that the kernel keeps of a response before the network takes them. Its send buffer grows to megabytes, and the socket
/// becomes writable only when a third of it is free: without this bound (which lets what is under way be as much as a fast
/// client takes) a slow reader would look like one that reads nothing.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 128 << 10;

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
            let deadlines = Deadlines::new(worker.clone());
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
            let (admissions, stop, serving) = (admissions.clone(), stop.clone(), worker.clone());
            fn_service(move |io: TcpStream| {
                deadlines.start(&stop);
                let opened = open(io, &worker, &admissions);
                if let Ok((stream, _)) = &opened {
                    deadlines.watch(&stream.0);
                }
                std::future::ready(opened)
            })
            .and_then(apply_fn_factory(http, move |opened, http| {
                let (served, worker) = (http.call(opened), serving.clone());
                async move {
                    let served = served.await;
                    worker.released().await;
                    served
                }
            }))
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
            Ok((ClientStream(shared), peer))
        }
        Err(full) => {
            match full {
                Full::Connections => counters.over_connections.add(),
                Full::Address => counters.over_address.add(),
            }
            let refusal = full.refusal();
            let mut sent = 0;
            // as good as can be without waiting (tokio's own calls would, for readiness): a request that is there already
            // must not turn the answer into a reset
            if let Ok(mut io) = io.into_std() {
                let _ = io.read(&mut [0; 4096]);
                sent = io.write(&refusal.response(&worker.date())).unwrap_or(0) as u64;
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
