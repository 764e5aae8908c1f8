//! The options of the client side with their defaults, and its counters.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{refusal::OnRefusal, trusted::TrustedProxies};

/// Workers, deadlines and limits of the client side. Each field names the status that answers what is over the limit, and
/// the default. A deadline of zero is over at once: the caller checks that options are valid.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that serve; as many as the machine has cores.
    pub workers: usize,
    /// Lets actix stop the server on SIGINT, SIGTERM and SIGQUIT; off: the caller of `run` does.
    pub signals: bool,
    /// How long a graceful stop waits for running exchanges, in whole seconds; 30 s.
    pub shutdown_timeout: Duration,

    /// The longest time from a head's first byte (from the opening, if none came) to its end: 408; 10 s.
    pub head_timeout: Duration,
    /// The longest time without a request, then the connection is closed; 75 s.
    pub keep_alive: Duration,
    /// The longest time without a byte of a request body that Larder waits for: 408; 30 s.
    pub body_timeout: Duration,
    /// The lowest rate of a request body that Larder waits for, in bytes per second: 408; 500; 0: no limit.
    pub min_rate: u64,
    /// The waiting time over which `min_rate` is measured, again and again; 10 s.
    pub min_rate_grace: Duration,
    /// The longest pause of chunked content before the origin is asked; 100 ms.
    pub ahead_pause: Duration,
    /// The longest time in which a client takes no byte of its response, then the connection is reset; 60 s.
    pub write_timeout: Duration,
    /// The age at which a connection is closed after its current response; 1 h.
    pub max_age: Duration,
    /// The most requests on one connection; 10,000.
    pub max_requests: u64,

    /// The most bytes of a request line and its fields together: 431; 32 KiB.
    pub max_head: usize,
    /// The most field lines of a head: 431; 96. At most [`super::FIELDS_BOUND`].
    pub max_fields: usize,
    /// The most bytes of a request-target: 414; 8 KiB.
    pub max_target: usize,
    /// The most bytes of a method: 501; 32.
    pub max_method: usize,
    /// The most bytes of the extensions of one chunk (RFC 9112 §7.1.1): 400; 256.
    pub max_chunk_extension: usize,
    /// The most bytes of all chunk extensions of one body: 400; 4 KiB.
    pub max_chunk_extensions: usize,
    /// The most bytes of a trailer section: 400; 8 KiB.
    pub max_trailer: usize,
    /// The most bytes of an unread request body that are discarded to keep the connection open; 64 KiB.
    pub drain_limit: u64,
    /// The longest time for that, and for reading from a connection that is being closed; 5 s.
    pub drain_timeout: Duration,

    /// The most connections at once: 503; 10,000.
    pub max_connections: usize,
    /// The most connections at once from one address (IPv6: from one /64): 429; 1,024; 0: no limit.
    pub max_connections_per_address: usize,
    /// The peers that are believed when they say whose request they forward. `max_connections_per_address` does not hold for
    /// them, but for the clients that they name. None.
    pub trusted_proxies: TrustedProxies,

    /// Answers that are ready at once do not go through actix; true.
    pub direct: bool,
    /// The function that is called for each request and connection that the client side refuses by itself; none.
    pub on_refusal: Option<OnRefusal>,
    /// The counters of the client side.
    pub counters: Arc<Counters>,
}

impl Default for Options {
    fn default() -> Options {
        let seconds = Duration::from_secs;
        Options {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            signals: false,
            shutdown_timeout: seconds(30),
            head_timeout: seconds(10),
            keep_alive: seconds(75),
            body_timeout: seconds(30),
            min_rate: 500,
            min_rate_grace: seconds(10),
            ahead_pause: Duration::from_millis(100),
            write_timeout: seconds(60),
            max_age: seconds(3600),
            max_requests: 10_000,
            max_head: 32 << 10,
            max_fields: 96,
            max_target: 8 << 10,
            max_method: 32,
            max_chunk_extension: 256,
            max_chunk_extensions: 4 << 10,
            max_trailer: 8 << 10,
            drain_limit: 64 << 10,
            drain_timeout: seconds(5),
            max_connections: 10_000,
            max_connections_per_address: 1_024,
            trusted_proxies: TrustedProxies::default(),
            direct: true,
            on_refusal: None,
            counters: Arc::default(),
        }
    }
}

/// Counts events since the start. Shared by all workers.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub connections: Counter,
    /// Connections refused because of `max_connections`.
    pub over_connections: Counter,
    /// Connections refused because of `max_connections_per_address`.
    pub over_address: Counter,
    /// Request heads that were complete and valid.
    pub requests: Counter,
    /// Requests refused by the client side: malformed, late or over a limit.
    pub refused: Counter,
    /// Heads that did not end in time.
    pub head_timeouts: Counter,
    /// Request bodies that stalled or trickled.
    pub body_timeouts: Counter,
    /// Responses whose client took no byte for too long.
    pub write_timeouts: Counter,
    /// Responses broken off because their body failed.
    pub broken: Counter,
    /// Connections lost to a panic of Larder's.
    pub panics: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
