//! Composition: the store, the workers, the listener, the control socket and the signals.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    rc::Rc,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use actix_server::ServerHandle;
use serde_json::json;
use socket2::{Domain, Socket, Type};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    admin,
    announce::{Holdings, announce},
    client,
    clock::Clock,
    config::Config,
    descriptors,
    message::{FieldValue, StoredHead},
    origin::{Origin, Prepared},
    policy::freshness,
    proxy::{self, Context, Secure, Shared, Site},
    store::{OpenError, State, Store},
};

/// Connections that may wait to be accepted; the system bounds it by its own limit.
const BACKLOG: i32 = 4096;

/// How long the start-up lines wait for the store to be open; requests do not.
const OPENING: Duration = Duration::from_secs(1);

/// Why Larder cannot run. One line; exit code 1.
#[derive(Debug)]
pub enum RunError {
    Listen { host: String, port: u16, error: io::Error },
    Folder(OpenError),
    Origin(String),
    Server(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Listen { host, port, error } if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "--port: {port} is taken on {host}; stop what listens there or name another port")
            }
            RunError::Listen { host, port, error } => {
                write!(f, "--host, --port: cannot listen on {host}:{port}: {error}")
            }
            RunError::Folder(error) => error.fmt(f),
            RunError::Origin(error) => write!(f, "--origin-ca: {error}"),
            RunError::Server(error) => write!(f, "the server could not run: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

/// Runs until SIGINT or SIGTERM, then lets running requests end. A second signal ends at once.
pub fn run(config: Config) -> Result<(), RunError> {
    let quiet = !log::log_enabled!(log::Level::Warn);
    let running = start(config.clone(), Clock::system())?;
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Server)?;
    if !quiet {
        let holdings = rt.block_on(holdings(&running.store));
        for line in announce(&config, &[running.addr], holdings) {
            eprintln!("{line}");
        }
    }
    let stopping = running.handle.clone();
    rt.block_on(async {
        let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
            return;
        };
        let mut asked = false;
        let ended = running.ended();
        tokio::pin!(ended);
        loop {
            tokio::select! {
                () = &mut ended => return,
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if asked {
                log::warn!("stopped without waiting for the requests under way");
                std::process::exit(1);
            }
            asked = true;
            log::info!("stopping: waiting up to {:?} for the requests under way", config.client.shutdown_timeout);
            drop(stopping.stop(true));
        }
    });
    Ok(())
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
    let control = control(&config, &store, &shared);
    let site =
        Site { https: config.origin.https, authority: config.origin.authority(), base: config.origin.base.clone() };
    let pseudonym: Arc<str> = pseudonym().into();
    let Ok(via) = FieldValue::try_from(format!("1.1 {pseudonym}")) else { return };
    let options = config.client.clone();
    let twin = Arc::default();
    let closing = store.clone();
    let worker = move || {
        let cx = Rc::new(Context {
            origin: Origin::new(origin.clone()),
            secure: Secure::of(&config.origin_client, &twin),
            site_url: site.url(),
            site: site.clone(),
            hosts: config.allow_hosts.clone(),
            port: addr.port(),
            pseudonym: pseudonym.clone(),
            via: via.clone(),
            store: store.clone(),
            clock: clock.clone(),
            policy: config.policy.clone(),
            shared: shared.clone(),
        });
        move |presented| proxy::handle(cx.clone(), presented)
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
        closing.close().await;
    });
    drop(control);
    let _ = done.send(());
}

/// The control socket; without it Larder runs all the same.
fn control(config: &Config, store: &Store, shared: &Arc<Shared>) -> Option<admin::Listening> {
    let (store, shared) = (store.clone(), shared.clone());
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let handler = move |command| match command {
        admin::Command::Clear => {
            let cleared = rt.block_on(store.clear()).map_err(|error| error.to_string())?;
            shared.forget_flights();
            Ok(json!({ "responses": cleared.responses, "bytes": cleared.bytes }))
        }
        admin::Command::Stats => serde_json::to_value(store.stats()).map_err(|error| error.to_string()),
        admin::Command::Ping => Ok(json!({})),
    };
    match admin::listen(&config.store.folder, handler) {
        Ok(listening) => Some(listening),
        Err(error) => {
            log::warn!(
                "no control socket in {}: {error}; --clear-cache cannot reach this Larder",
                config.store.folder.display()
            );
            None
        }
    }
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
    first().map_err(|error| RunError::Listen { host: host.clone(), port, error })
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
