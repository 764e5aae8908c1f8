//! Composition: the store, the workers, the listener, the control socket and the signals.

mod control;

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    rc::Rc,
    sync::{Arc, Once, mpsc},
    task::Poll,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use actix_server::ServerHandle;
use socket2::{Domain, Socket, Type};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    announce::{Holdings, announce},
    client::{self, OnRefusal},
    clock::{self, Clock},
    config::Config,
    descriptors, logging,
    message::{FieldValue, StoredHead},
    origin::{Origin, Prepared},
    policy::freshness,
    proxy::{self, Context, Health, OriginUrl, Secure, Shared, Site},
    store::{OpenError, State, Store},
};

/// Connections that may wait to be accepted; the system bounds it by its own limit.
const BACKLOG: i32 = 4096;

/// How long the start-up lines wait for the store to be open; requests do not.
const OPENING: Duration = Duration::from_secs(1);

/// What the store has to write when the server has ended is waited for so long.
const CLOSING: Duration = Duration::from_secs(10);

/// Signals that come within this time are one: wrappers pass on what the terminal sends to all.
pub const TOGETHER: Duration = Duration::from_secs(1);

/// Why Larder cannot run. One line.
#[derive(Debug)]
pub enum RunError {
    Listen { host: String, port: u16, error: io::Error },
    Folder(OpenError),
    Origin(String),
    Server(io::Error),
}

impl RunError {
    /// The field of the arguments that it is about, where it is about one: `port`. Its name stands before the words.
    pub fn setting(&self) -> Option<&'static str> {
        match self {
            RunError::Listen { error, .. } => match error.kind() {
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Some("port"),
                _ => Some("host"),
            },
            RunError::Origin(_) => Some("origin_ca"),
            RunError::Folder(_) | RunError::Server(_) => None,
        }
    }

    /// What the program ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            // EX_TEMPFAIL: the same words may do once the other one has ended
            RunError::Folder(OpenError::Locked(_)) => 75,
            _ => 1,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Listen { host, port, error } => match error.kind() {
                io::ErrorKind::AddrInUse => {
                    write!(f, "{port} is taken on {host}; stop what listens there or name another port")
                }
                io::ErrorKind::PermissionDenied => {
                    write!(
                        f,
                        "this user may not listen on {port}; name a port from 1024 on, or let it (setcap cap_net_bind_service=+ep)"
                    )
                }
                io::ErrorKind::AddrNotAvailable => {
                    write!(f, "{host} is no address of this machine; write one of its own, like 127.0.0.1 or 0.0.0.0")
                }
                _ => write!(f, "cannot listen on {host} ({error}); write an address of this machine, like 127.0.0.1"),
            },
            RunError::Folder(error) => error.fmt(f),
            RunError::Origin(error) => f.write_str(error),
            RunError::Server(error) => write!(f, "the server could not run: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

/// Runs until SIGINT, SIGTERM or SIGHUP, then lets running requests end. A second signal ends at once.
pub fn run(config: Config) -> Result<(), RunError> {
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Server)?;
    let mut signals = {
        let _within = rt.enter();
        stopping_signals().map_err(RunError::Server)?
    };
    if config.origin_client.insecure {
        log::warn!(
            "--origin-insecure: the origin's certificate is not checked; anybody between Larder and the origin can read \
             and change everything"
        );
    }
    let running = start(config.clone(), Clock::system())?;
    if log::log_enabled!(log::Level::Warn) {
        let holdings = rt.block_on(holdings(&running.store));
        for line in announce(&config, &[running.addr], holdings) {
            logging::say(&line);
        }
    }
    rt.block_on(until_stopped(running, &mut signals, config.client.shutdown_timeout));
    Ok(())
}

async fn until_stopped(running: Running, signals: &mut [Signal], patience: Duration) {
    let stopping = running.handle.clone();
    let ended = running.ended();
    tokio::pin!(ended);
    let mut asked: Option<Instant> = None;
    loop {
        tokio::select! {
            () = &mut ended => return,
            () = any(signals) => {}
        }
        match asked {
            None => {
                asked = Some(clock::instant());
                log::info!("stopping: waiting up to {patience:?} for the requests under way");
                drop(stopping.stop(true));
            }
            Some(first) if first.elapsed() < TOGETHER => {}
            Some(_) => {
                log::warn!("stopped without waiting for the requests under way");
                logging::flush();
                std::process::exit(1);
            }
        }
    }
}

/// Waits for any of them.
async fn any(signals: &mut [Signal]) {
    std::future::poll_fn(|task| match signals.iter_mut().any(|signal| signal.poll_recv(task).is_ready()) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await
}

/// What asks Larder to stop. A hangup does not where it is ignored from the start: that is what nohup is for.
fn stopping_signals() -> io::Result<Vec<Signal>> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let hangup = ignored.is_none_or(|ignored| ignored & 1 == 0).then(SignalKind::hangup);
    let kinds = [SignalKind::terminate(), SignalKind::interrupt()].into_iter().chain(hangup);
    kinds.map(signal).collect()
}

/// What the store holds, if it says so soon.
async fn holdings(store: &Store) -> Holdings {
    if tokio::time::timeout(OPENING, store.opened()).await.is_err() {
        return Holdings::default();
    }
    let stats = store.stats();
    match stats.state {
        State::Open => Holdings { disk: Some(stats.disk_used), responses: Some(stats.responses) },
        _ => Holdings::default(),
    }
}

/// A Larder that runs on threads of its own.
pub struct Running {
    pub addr: SocketAddr,
    pub store: Store,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
    done: Option<tokio::sync::oneshot::Receiver<()>>,
}

/// Starts listening; returns when requests are accepted.
pub fn start(mut config: Config, clock: Clock) -> Result<Running, RunError> {
    descriptors::share_out(&mut config);
    let listener = listen(&config)?;
    let addr = listener.local_addr().map_err(RunError::Server)?;
    let origin = Origin::prepare(config.origin_client.clone()).map_err(RunError::Origin)?;
    let lock = match Store::lock(&config.store.folder) {
        Ok(lock) => Some(lock),
        // the disk may recover: the store tries again
        Err(error @ OpenError::Io(..)) => {
            log::error!("{error}; running without a store on disk until that is mended");
            None
        }
        Err(error) => return Err(RunError::Folder(error)),
    };
    let is_dead = {
        let (clock, policy) = (clock.clone(), config.policy.clone());
        move |head: &StoredHead| freshness::is_dead(head, clock.now(), &policy)
    };
    let store = Store::open_with(config.store.clone(), is_dead, lock);
    let shared = Arc::new(Shared::default());
    let (tell, told) = mpsc::channel();
    let (done_tell, done) = tokio::sync::oneshot::channel();
    let kept = store.clone();
    let thread = std::thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || serve(config, clock, listener, addr, origin, kept, shared, tell, done_tell))
        .map_err(RunError::Server)?;
    let handle = told.recv().unwrap_or_else(|_| Err(io::Error::other("it ended at once"))).map_err(RunError::Server)?;
    Ok(Running { addr, store, handle, thread: Some(thread), done: Some(done) })
}

#[expect(clippy::too_many_arguments, reason = "the captures of one thread")]
fn serve(
    config: Config,
    clock: Clock,
    listener: TcpListener,
    addr: SocketAddr,
    origin: Prepared,
    store: Store,
    shared: Arc<Shared>,
    tell: mpsc::Sender<io::Result<ServerHandle>>,
    done: tokio::sync::oneshot::Sender<()>,
) {
    let control = control::open(&config, addr, &store, &shared);
    let url = OriginUrl {
        https: config.origin.https,
        authority: config.origin.authority(),
        base: config.origin.base.clone(),
    };
    let (policy, health, hinted) =
        (Arc::new(config.policy.clone()), Arc::new(Health::default()), Arc::new(Once::new()));
    let pseudonym: Arc<str> = pseudonym().into();
    let Ok(via) = FieldValue::try_from(format!("1.1 {pseudonym}")) else { return };
    let of_refusals = shared.clone();
    let on_refusal = Some(OnRefusal::new(move |refused| proxy::refused_by_client_side(&of_refusals, refused)));
    let options = client::Options { on_refusal, ..config.client.clone() };
    let twin = Arc::default();
    let closing = store.clone();
    let worker = move || {
        let site = Site {
            name: url.url(),
            url: url.clone(),
            origin: Origin::new(origin.clone()),
            secure: Secure::of(&origin, &twin),
            policy: policy.clone(),
            health: health.clone(),
            hinted: Arc::clone(&hinted),
        };
        let cx = Rc::new(Context {
            site: Rc::new(site),
            hosts: config.allow_hosts.clone(),
            port: addr.port(),
            pseudonym: pseudonym.clone(),
            via: via.clone(),
            store: store.clone(),
            clock: clock.clone(),
            counts: shared.counts.of_worker(),
            shared: shared.clone(),
        });
        move |presented| proxy::serve(cx.clone(), presented)
    };
    actix_rt::System::new().block_on(async move {
        match client::run(vec![listener], options, worker) {
            Ok(server) => {
                let _ = tell.send(Ok(server.handle()));
                if let Err(error) = server.await {
                    log::error!("the server ended: {error}");
                }
            }
            Err(error) => drop(tell.send(Err(error))),
        }
        if tokio::time::timeout(CLOSING, closing.close()).await.is_err() {
            log::warn!("the disk does not answer; what was stored last may be lost");
        }
    });
    drop(control);
    let _ = done.send(());
}

fn listen(config: &Config) -> Result<TcpListener, RunError> {
    let (host, port) = (config.listen.host.clone(), config.listen.port);
    let first = || {
        let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
        for address in (host.as_str(), port).to_socket_addrs()? {
            match bind(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    let shown = || if host.contains(':') { format!("[{host}]") } else { host.clone() };
    first().map_err(|error| RunError::Listen { host: shown(), port, error })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// One for each process, so that a loop is told from another Larder in the chain.
fn pseudonym() -> String {
    let seed = format!("{:?} {}", Clock::system().now(), std::process::id());
    format!("larder-{}", &blake3::hash(seed.as_bytes()).to_hex()[..8])
}

impl Running {
    async fn ended(mut self) {
        if let Some(done) = self.done.take() {
            let _ = done.await;
        }
    }

    /// Stops accepting, waits for the requests under way where that is asked for, and writes what is to be written.
    pub fn stop(mut self, graceful: bool) {
        drop(self.handle.stop(graceful));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_listened_on_is_told_with_what_would_be_right() {
        for (host, kind, setting, right) in [
            ("127.0.0.1", io::ErrorKind::AddrInUse, "port", "name another port"),
            ("127.0.0.1", io::ErrorKind::PermissionDenied, "port", "name a port from 1024 on"),
            ("[2001:db8::1]", io::ErrorKind::AddrNotAvailable, "host", "write one of its own"),
            ("nosuch.invalid", io::ErrorKind::Other, "host", "write an address of this machine"),
        ] {
            let error = RunError::Listen { host: host.to_owned(), port: 80, error: kind.into() };
            let text = error.to_string();
            assert_eq!(error.setting(), Some(setting));
            assert!(text.contains(right) && text.lines().count() == 1, "{text}");
        }
    }
}
