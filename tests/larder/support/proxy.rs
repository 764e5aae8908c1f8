//! Larder: inside the test's process with a clock that the test moves, or as the real program.

use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use larder::{
    cli::Arguments,
    client::Counters,
    clock::{Clock, Timestamp},
    config::{Config, Surroundings, Task},
    server::{self, Running},
};
use rustix::process::{Pid, Signal, kill_process};

use super::{CANARY, Client, Origin, PATIENCE, Response, SlowDisk};

/// The variable with which all tests run without the direct lane.
const WITHOUT_LANE: &str = "WITHOUT_LANE";

/// Larder in this process, on a port and in a folder of its own.
pub struct Proxy {
    pub address: SocketAddr,
    pub clock: Clock,
    folder: tempfile::TempDir,
    config: Config,
    running: Option<Running>,
}

/// The words for a port and a folder that are nobody else's, two workers and a small disk where the flags do not say.
fn words<'a>(origin: &'a str, folder: &'a Path, flags: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["--origin", origin, "--cache-dir", folder.to_str().unwrap()];
    if !flags.contains(&"--port") {
        words.extend(["--port", "0"]);
    }
    if !flags.contains(&"--workers") {
        words.extend(["--workers", "2"]);
    }
    // what counts how often something is asked for is as large as the disk may be, and is made at each start
    if !flags.contains(&"--disk") {
        words.extend(["--disk", "256MiB"]);
    }
    words.extend(flags);
    if std::env::var_os(WITHOUT_LANE).is_some() {
        words.push("--without-lane");
    }
    words
}

/// What the flags make of themselves.
pub fn config(origin: &str, folder: &Path, flags: &[&str]) -> Config {
    let arguments = Arguments::read([vec!["larder"], words(origin, folder, flags)].concat()).unwrap();
    match Task::new(&arguments, &Surroundings::default()).unwrap() {
        Task::Serve(config) => *config,
        other => panic!("{other:?}"),
    }
}

/// Starts it and waits for its store to be open: until then requests are relayed.
fn start(config: &Config, clock: &Clock) -> Running {
    let running = server::start(config.clone(), clock.clone()).unwrap();
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(running.store.opened());
    running
}

impl Proxy {
    /// Starts it in front of this origin, at a time that every test shares: 2026-01-01T00:00:00Z.
    pub fn start(origin: &Origin, flags: &[&str]) -> Proxy {
        Proxy::tuned(origin, flags, |_| {})
    }

    /// The same in front of the origin of this URL, be there one or not.
    pub fn before(origin: &str, flags: &[&str]) -> Proxy {
        Proxy::before_tuned(origin, flags, |_| {})
    }

    /// In front of this origin, with settings that are no flags.
    pub fn tuned(origin: &Origin, flags: &[&str], tune: impl FnOnce(&mut Config)) -> Proxy {
        Proxy::before_tuned(&origin.url(), flags, tune)
    }

    /// Both at once.
    pub fn before_tuned(origin: &str, flags: &[&str], tune: impl FnOnce(&mut Config)) -> Proxy {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(origin, &folder.path().join("cache"), flags);
        tune(&mut config);
        Proxy::with(config, folder)
    }

    fn with(config: Config, folder: tempfile::TempDir) -> Proxy {
        let clock = Clock::manual(Timestamp::from_seconds(1_767_225_600));
        let running = start(&config, &clock);
        Proxy { address: running.addr, clock, folder, config, running: Some(running) }
    }

    /// Changes the settings while it runs.
    pub fn reload(&mut self, change: impl FnOnce(&mut Config)) -> Result<String, String> {
        let mut config = self.config.clone();
        change(&mut config);
        let changes = self.running.as_ref().unwrap().reload(config.clone())?;
        self.config = config;
        Ok(changes.to_string())
    }

    /// Changes the settings, and starts it again.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.restart();
    }

    /// Stops it and starts it again on the same folder and the same clock.
    pub fn restart(&mut self) {
        self.stop();
        let running = start(&self.config, &self.clock);
        self.address = running.addr;
        self.running = Some(running);
    }

    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop(true);
        }
    }

    /// Waits until so many requests have come in since the start.
    pub fn await_received(&self, count: u64) {
        let began = larder::clock::instant();
        while self.config.client.counters.requests.count() < count {
            assert!(began.elapsed() < PATIENCE, "{} requests came in", self.config.client.counters.requests.count());
            std::thread::yield_now();
        }
    }

    /// Waits until this many requests wait for the answer to another one.
    pub fn await_following(&self, count: usize) {
        let running = self.running.as_ref().unwrap();
        super::until("requests to follow another one", || running.following() >= count);
    }

    /// Waits until no request to the origin is under way that others could share.
    pub fn await_landed(&self) {
        let running = self.running.as_ref().unwrap();
        super::until("the requests to the origin to end", || running.has_landed());
    }

    /// The cache folder.
    pub fn folder(&self) -> PathBuf {
        self.config.store.folder.clone()
    }

    /// What the client side has counted.
    pub fn counters(&self) -> &Counters {
        &self.config.client.counters
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn get(&self, target: &str) -> Response {
        self.client().get(target)
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop(false);
        }
    }
}

/// The program itself, as a user runs it, in an environment without a home.
pub fn larder(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(words).env_clear().stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert_no_secret(said.iter().flat_map(|text| text.lines()));
    output
}

/// The numbers of `larder stats --json` on this folder.
pub fn stats(cache: &Path) -> serde_json::Value {
    let cache = cache.to_str().unwrap();
    let said = output(&mut larder(&["stats", "--json", "--cache-dir", cache]));
    let mut all: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    all[cache].take()
}

/// What the program says holds nothing of what the tests keep secret.
fn assert_no_secret<'a>(mut lines: impl Iterator<Item = &'a str>) {
    let found = lines.find(|line| line.contains(CANARY));
    assert_eq!(found, None, "a secret is in the program's output");
}

/// In the line that says where it listens.
fn address(line: &str) -> SocketAddr {
    let address = line.split("listening on http://").nth(1).unwrap_or_default();
    address.split_whitespace().next().unwrap_or_default().parse().unwrap_or_else(|_| panic!("no address: {line:?}"))
}

/// A port that is free now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

type Lines = Arc<(Mutex<Vec<String>>, Condvar)>;

/// A running program. All that it says is looked through for secrets when it has ended.
pub struct Spawned {
    pub address: SocketAddr,
    child: Child,
    /// On stderr.
    log: Lines,
    /// On stdout.
    told: Lines,
    readers: Vec<JoinHandle<()>>,
}

impl Spawned {
    /// Starts it on a free port; returns when it says that it is listening.
    pub fn start(origin: &str, folder: &Path, flags: &[&str]) -> Spawned {
        Spawned::from(&mut larder(&words(origin, folder, flags)))
    }

    /// Starts it on a disk that can be made slow.
    pub fn on_disk(disk: &SlowDisk, origin: &str, folder: &Path, flags: &[&str]) -> Spawned {
        Spawned::from(disk.under(&mut larder(&words(origin, folder, flags))))
    }

    pub fn from(command: &mut Command) -> Spawned {
        let mut spawned = Spawned::at(([0; 4], 0).into(), command.stderr(Stdio::piped()));
        spawned.read_log();
        spawned.address = address(&spawned.await_line("listening on http://"));
        spawned
    }

    /// The same with a stderr that nobody reads behind the line that says where it listens, until `read_log`.
    pub fn unread(origin: &str, folder: &Path, flags: &[&str]) -> Spawned {
        let mut spawned = Spawned::at(([0; 4], 0).into(), larder(&words(origin, folder, flags)).stderr(Stdio::piped()));
        let (stderr, mut line) = (spawned.child.stderr.as_mut().unwrap(), Vec::new());
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            stderr.read_exact(&mut byte).unwrap();
            line.extend(byte);
        }
        spawned.address = address(&String::from_utf8(line).unwrap());
        spawned
    }

    /// Starts it with a terminal of its own as its stderr, and with these variables.
    pub fn on_terminal(origin: &str, folder: &Path, variables: &[(&str, &str)]) -> Spawned {
        let (shows, stderr) = super::terminal::open();
        let port = free_port();
        let mut command = larder(&words(origin, folder, &["--port", &port.to_string()]));
        command.envs(variables.iter().copied()).stderr(stderr);
        let mut spawned = Spawned::at(([127, 0, 0, 1], port).into(), &mut command);
        // the program alone writes to the terminal from now on, so that its end is seen
        drop(command);
        spawned.readers.push(read_lines(shows, spawned.log.clone()));
        super::until("it to listen", || TcpStream::connect(spawned.address).is_ok());
        spawned
    }

    /// Starts it with the stderr that the command has: what it says is not known, where it listens is.
    pub fn at(address: SocketAddr, command: &mut Command) -> Spawned {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let told = Lines::default();
        let readers = vec![read_lines(child.stdout.take().unwrap(), told.clone())];
        Spawned { address, child, log: Lines::default(), told, readers }
    }

    /// From now on somebody reads its stderr.
    pub fn read_log(&mut self) {
        let stderr = self.child.stderr.take().unwrap();
        self.readers.push(read_lines(stderr, self.log.clone()));
    }

    /// Waits for a line of stderr that holds this text.
    pub fn await_line(&self, text: &str) -> String {
        let found = |lines: &Vec<String>| lines.iter().find(|line| line.contains(text)).cloned();
        let lines = self.log.0.lock().unwrap();
        let (lines, _) = self.log.1.wait_timeout_while(lines, PATIENCE, |lines| found(lines).is_none()).unwrap();
        found(&lines).unwrap_or_else(|| panic!("waited for {text:?} in {lines:#?}"))
    }

    /// Everything on stderr so far.
    pub fn log(&self) -> Vec<String> {
        self.log.0.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the system says of the process: the line of this name.
    pub fn status(&self, name: &str) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
    }

    /// Bytes of memory that the program occupies.
    pub fn resident(&self) -> u64 {
        self.status("VmRSS").trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The most that it ever occupied.
    pub fn most_resident(&self) -> u64 {
        self.status("VmHWM").trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Starts it with the limits that the words set for `ulimit`: `-v 1000000`.
    pub fn limited(limits: &str, origin: &str, folder: &Path, flags: &[&str]) -> Spawned {
        let program = larder(&words(origin, folder, flags));
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit {limits} && exec \"$0\" \"$@\"")]).env_clear().stdin(Stdio::null());
        Spawned::from(command.arg(program.get_program()).args(program.get_args()))
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub fn get(&self, target: &str) -> Response {
        self.client().get(target)
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, then waits for its end.
    pub fn stop(self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGTERM; everything on stderr when it has ended.
    pub fn stop_and_read(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        self.log()
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> ExitStatus {
        let mut status = None;
        super::until("the program to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.child.stderr.is_some() {
            self.read_log();
        }
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        if !std::thread::panicking() {
            let said = [&self.log, &self.told].map(|lines| lines.0.lock().unwrap());
            assert_no_secret(said.iter().flat_map(|lines| lines.iter().map(String::as_str)));
        }
    }
}

/// Reads all lines there are, in a thread of its own; they need not be UTF-8.
fn read_lines(from: impl Read + Send + 'static, into: Lines) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            // a terminal ends each line with both
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            into.0.lock().unwrap().push(String::from_utf8_lossy(line).into_owned());
            into.1.notify_all();
        }
    })
}
