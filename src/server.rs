//! Puts the program together: the store, the workers, the listener, the control socket and the signals.

mod check;
mod control;
mod counters;
mod explaining;
mod inventory;
mod offline;
mod origin;
mod purging;
mod reload;
mod service;
mod sites;
mod stopping;
mod tailing;

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    path::PathBuf,
    pin::pin,
    rc::Rc,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use actix_server::ServerHandle;
use arc_swap::ArcSwap;
use socket2::{Domain, Socket, Type};

pub use self::{
    check::{check_folder, check_origins},
    offline::{explain_offline, offline},
    reload::{Changes, Reloader, Source},
    stopping::TOGETHER,
};
use self::{
    counters::Counters,
    explaining::Explainer,
    origin::{is_larder_itself, log_reached, reached, warn_of_insecure, words_for_itself},
    sites::{is_dead, plan},
    stopping::{Requests, Signals, until_stopped},
};
use crate::{
    admin,
    announce::{Holdings, Reached, announce, exposed},
    client::{self, OnRefusal},
    clock::Clock,
    config::Config,
    descriptors, logging,
    message::{FieldValue, StoredHead},
    origin::Prepared,
    policy::DigestKey,
    proxy::{self, Context, Plan, Shared, Sites},
    store::{OpenError, State, Store},
    terminal,
};

/// The most connections that wait to be accepted. The system's own limit may be lower.
const BACKLOG: i32 = 4096;

/// How many ports behind a taken one are tried for one that is free.
const FREE_PORTS: usize = 100;

/// How long the start-up lines wait until the store is open. Requests do not wait.
const OPENING: Duration = Duration::from_secs(1);

/// How long the end waits for the store to write its queue.
const CLOSING: Duration = Duration::from_secs(10);

/// The error of a Larder that cannot run. The text is one line.
#[derive(Debug)]
pub enum RunError {
    Listen {
        host: String,
        port: u16,
        error: io::Error,
        /// A port that is free, if the one that was asked for is not.
        free: Option<u16>,
    },
    Folder(OpenError),
    /// The origin is the address that Larder listens on.
    Itself(String),
    Origin(String),
    Server(io::Error),
}

impl RunError {
    /// Returns the field of the arguments that the error is about, if it is about one: `port`.
    pub fn setting(&self) -> Option<&'static str> {
        match self {
            RunError::Listen { error, .. } => match error.kind() {
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Some("port"),
                _ => Some("host"),
            },
            RunError::Itself(_) => Some("origin"),
            RunError::Origin(_) => Some("origin_ca"),
            RunError::Folder(_) | RunError::Server(_) => None,
        }
    }

    /// Returns the exit code of the program.
    pub fn exit_code(&self) -> u8 {
        match self {
            // EX_TEMPFAIL: the same command may work once the other one has ended
            RunError::Folder(OpenError::Locked(_)) => 75,
            _ => 1,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Listen { host, port, error, free } => match error.kind() {
                io::ErrorKind::AddrInUse => {
                    write!(f, "another program listens on {host}:{port}; stop it, or choose another port")?;
                    free.map_or(Ok(()), |free| write!(f, ", for example {free}"))
                }
                io::ErrorKind::PermissionDenied => {
                    write!(
                        f,
                        "this user may not listen on port {port}; choose one from 1024 on, for example 3000, or allow it \
                         with setcap cap_net_bind_service=+ep"
                    )
                }
                io::ErrorKind::AddrNotAvailable => {
                    write!(
                        f,
                        "this machine does not have the address {host}; choose one that it has, for example 127.0.0.1 or \
                         0.0.0.0"
                    )
                }
                _ => write!(
                    f,
                    "cannot listen on {host}: {error}; choose an address of this machine, for example 127.0.0.1"
                ),
            },
            RunError::Folder(error) => error.fmt(f),
            RunError::Itself(url) => f.write_str(&words_for_itself(url)),
            RunError::Origin(error) => f.write_str(error),
            RunError::Server(error) => write!(f, "the server could not run: {error}"),
        }
    }
}

impl std::error::Error for RunError {}

/// Runs until a signal asks it to stop, and then until the running requests have ended. `source` reads the settings once
/// more, for a reload.
pub fn run(config: Config, source: Box<Source>) -> Result<(), RunError> {
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Server)?;
    let mut signals = {
        let _within = rt.enter();
        Signals::new().map_err(RunError::Server)?
    };
    warn_of_insecure(&config);
    let running = start_with(config.clone(), Clock::system(), source)?;
    service::notify_ready();
    let (handle, shared) = (running.handle.clone(), running.shared.clone());
    let requests = Requests {
        under_way: || shared.counts.under_way(),
        // a worker may end before it has counted all of its requests
        cut_off: || shared.counts.cut_off() + shared.counts.under_way(),
    };
    let reloader = running.reloader.clone();
    let reload = move || {
        // it reads files, and may wait for them
        let reloader = reloader.clone();
        let reloading = std::thread::Builder::new().name("reload".to_owned()).spawn(move || reloader.read_and_reload());
        if let Err(error) = reloading {
            log::error!("not reloaded: {error}");
        }
    };
    let lines = start_up_lines(&config, running.addr, running.store.clone(), running.origins.clone());
    rt.block_on(async {
        tokio::select! {
            () = until_stopped(handle, requests, running.ended(), &mut signals, reload, config.client.shutdown_timeout) => {}
            () = async { lines.await; std::future::pending().await } => {}
        }
    });
    Ok(())
}

/// Prints the start-up lines. They wait a moment for the store and for the origins; requests do not.
async fn start_up_lines(config: &Config, listening: SocketAddr, store: Store, origins: Vec<(String, Prepared)>) {
    if !log::log_enabled!(log::Level::Warn) {
        return;
    }
    let mut reaching = pin!(reached(&origins));
    let mut known = Reached::Unknown;
    let both = async {
        tokio::join!(store.opened(), async { known = reaching.as_mut().await });
    };
    // facts that are not known by then are left out
    let _ = tokio::time::timeout(OPENING, both).await;
    let (holdings, style) = (holdings(&store), terminal::stderr());
    let home = std::env::var_os("HOME").map(PathBuf::from);
    for line in announce(config, listening, holdings, &known, home.as_deref(), style) {
        logging::say(&line);
    }
    // on a terminal this hint is one of these lines
    if let Some(hint) = exposed(config, listening).filter(|_| !style.columns) {
        log::info!("{hint}");
    }
    match known {
        Reached::Unknown => log_reached(&reaching.await, false),
        known => log_reached(&known, true),
    }
}

/// Returns what the store holds.
fn holdings(store: &Store) -> Holdings {
    let stats = store.stats();
    match stats.state {
        State::Open => Holdings::Open { responses: stats.responses, disk: stats.disk_used },
        State::Opening => Holdings::Opening,
        State::Down(_) | State::Closed => Holdings::MemoryAlone,
    }
}

/// A Larder that runs on threads of its own.
pub struct Running {
    pub addr: SocketAddr,
    pub store: Store,
    /// The URL of each origin, and its client.
    origins: Vec<(String, Prepared)>,
    shared: Arc<Shared>,
    reloader: Arc<Reloader>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
    done: Option<tokio::sync::oneshot::Receiver<()>>,
}

/// Starts a Larder whose settings have no source, and returns when it accepts requests.
pub fn start(config: Config, clock: Clock) -> Result<Running, RunError> {
    let same = config.clone();
    start_with(config, clock, Box::new(move || Ok(same.clone())))
}

fn start_with(mut config: Config, clock: Clock, source: Box<Source>) -> Result<Running, RunError> {
    let wanted = config.clone();
    descriptors::share_out(&mut config);
    let listener = listen(&config)?;
    let addr = listener.local_addr().map_err(RunError::Server)?;
    if let Some(site) = config.sites.iter().find(|site| is_larder_itself(&site.origin, addr)) {
        return Err(RunError::Itself(site.origin.url.clone()));
    }
    let lock = match Store::lock(&config.store.folder) {
        Ok(lock) => Some(lock),
        // the store logs the reason, and tries again: the disk may recover
        Err(OpenError::Io(..)) => None,
        Err(error) => return Err(RunError::Folder(error)),
    };
    let secret = DigestKey::new(Store::secret(lock.as_ref()).map_err(RunError::Server)?);
    let plan = plan(&config, &secret, None).map_err(RunError::Origin)?;
    let mut origins: Vec<(String, Prepared)> = Vec::new();
    for site in &plan.sites {
        if origins.iter().all(|(_, known)| known.options() != site.origin.options()) {
            origins.push((site.url.url(), site.origin.clone()));
        }
    }
    let plan = Arc::new(ArcSwap::from_pointee(plan));
    let is_dead = {
        let (clock, plan) = (clock.clone(), plan.clone());
        move |head: &StoredHead| is_dead(&plan.load(), head, clock.now())
    };
    // without a folder there is no place for the socket
    let has_folder = lock.is_some();
    if !has_folder {
        log::warn!(
            "larder stats and --clear-cache cannot reach this Larder, until it is started again with a cache folder that \
             can be used"
        );
    }
    let store = Store::open_with(config.store.clone(), is_dead, lock);
    let shared = Arc::new(Shared::default());
    let reloader = Arc::new(Reloader::new(wanted, plan.clone(), secret, source));
    let counters = Counters::open(has_folder.then(|| config.store.folder.clone()), shared.clone(), &clock);
    let explainer = Explainer::new(&config, addr.port(), &plan, &store, &clock, &shared);
    let name = explainer.pseudonym.clone();
    let control = has_folder.then(|| control::open(&config, addr, &reloader, explainer, &counters)).flatten();
    let (tell, told) = mpsc::channel();
    let (done_tell, done) = tokio::sync::oneshot::channel();
    let kept = store.clone();
    let thread = std::thread::Builder::new()
        .name("server".to_owned())
        .spawn({
            let shared = shared.clone();
            move || {
                let regularly = counters.write_regularly();
                serve(config, clock, listener, addr, name, plan, kept, shared, control, tell);
                drop(regularly);
                counters.write();
                let _ = done_tell.send(());
            }
        })
        .map_err(RunError::Server)?;
    let handle = told.recv().unwrap_or_else(|_| Err(io::Error::other("it ended at once"))).map_err(RunError::Server)?;
    Ok(Running { addr, store, origins, shared, reloader, handle, thread: Some(thread), done: Some(done) })
}

#[expect(clippy::too_many_arguments, reason = "the captures of one thread")]
fn serve(
    config: Config,
    clock: Clock,
    listener: TcpListener,
    addr: SocketAddr,
    pseudonym: Arc<str>,
    plan: Arc<ArcSwap<Plan>>,
    store: Store,
    shared: Arc<Shared>,
    control: Option<admin::Listening>,
    tell: mpsc::Sender<io::Result<ServerHandle>>,
) {
    let Ok(via) = FieldValue::try_from(format!("1.1 {pseudonym}")) else { return };
    let of_refusals = shared.clone();
    let on_refusal = Some(OnRefusal::new(move |refused| proxy::refused_by_client_side(&of_refusals, refused)));
    let options = client::Options { on_refusal, ..config.client.clone() };
    let (closing, watched) = (store.clone(), shared.clone());
    let worker = move || {
        let cx = Rc::new(Context {
            sites: Sites::new(plan.clone()),
            port: addr.port(),
            trusted: config.client.trusted_proxies.clone(),
            pseudonym: pseudonym.clone(),
            via: via.clone(),
            store: store.clone(),
            keys: Default::default(),
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
    // a tail would hold the socket open
    watched.tails.close();
    drop(control);
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
    first().map_err(|error| RunError::Listen {
        free: (error.kind() == io::ErrorKind::AddrInUse).then(|| free_port(&host, port)).flatten(),
        host: shown(),
        port,
        error,
    })
}

/// Returns a free port near `port`. Another program may take it before anybody uses it.
fn free_port(host: &str, port: u16) -> Option<u16> {
    let is_free = |port: &u16| {
        let mut addresses = (host, *port).to_socket_addrs().ok()?;
        addresses.all(|address| bind(address).is_ok()).then_some(())
    };
    (port..=u16::MAX).skip(1).take(FREE_PORTS).find(|port| is_free(port).is_some())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Running {
    /// Takes over new settings. See [`Reloader::reload`].
    pub fn reload(&self, config: Config) -> Result<Changes, String> {
        self.reloader.reload(config)
    }

    /// The number of requests that wait for the answer to another one.
    pub fn following(&self) -> usize {
        self.shared.following()
    }

    /// Returns true if no request to the origin is under way that others could share.
    pub fn has_landed(&self) -> bool {
        self.shared.has_landed()
    }

    async fn ended(mut self) {
        if let Some(done) = self.done.take() {
            let _ = done.await;
        }
    }

    /// Stops accepting connections, and waits until the store has written everything. If `graceful`, it also waits for
    /// the running requests.
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
            ("127.0.0.1", io::ErrorKind::AddrInUse, "port", "choose another port, for example 81"),
            ("127.0.0.1", io::ErrorKind::PermissionDenied, "port", "choose one from 1024 on, for example 3000"),
            ("[2001:db8::1]", io::ErrorKind::AddrNotAvailable, "host", "choose one that it has, for example 127.0.0.1"),
            (
                "nosuch.invalid",
                io::ErrorKind::Other,
                "host",
                "choose an address of this machine, for example 127.0.0.1",
            ),
        ] {
            let error = RunError::Listen { host: host.to_owned(), port: 80, error: kind.into(), free: Some(81) };
            let text = error.to_string();
            assert_eq!(error.setting(), Some(setting));
            assert!(text.contains(right) && text.lines().count() == 1, "{text}");
        }
    }
}
