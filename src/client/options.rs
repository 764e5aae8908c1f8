//! What the client side may be told, with its defaults, and what it counts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::refusal::OnRefusal;

/// Workers, deadlines and limits of the client side. `Options::default()` holds the defaults named at each field. A
/// deadline of zero is over at once: what is valid is checked where options are made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that serve; the machine's cores.
    pub workers: usize,
    /// Let actix stop the server on SIGINT, SIGTERM and SIGQUIT; off: whoever calls `run` does.
    pub signals: bool,
    /// How long a graceful stop waits for running exchanges, in whole seconds; 30 s.
    pub shutdown_timeout: Duration,

    /// From a head's first byte (or from the opening, where none came) to its end: 408; 10 s.
    pub head_timeout: Duration,
    /// A connection without a request is closed; 75 s.
    pub keep_alive: Duration,
    /// A request body without a byte while Larder waits for one: 408; 30 s.
    pub body_timeout: Duration,
    /// Bytes a second that a request body must reach while Larder waits for it: 408; 500; 0: any.
    pub min_rate: u64,
    /// Over how much waiting `min_rate` is reckoned, again and again; 10 s.
    pub min_rate_grace: Duration,
    /// The origin is asked once a request's chunked content is whole, or pauses for so long; 100 ms.
    pub ahead_pause: Duration,
    /// A response waits and the client takes no byte of it: closed; 30 s.
    pub write_timeout: Duration,
    /// A connection gets no further request after this long; 1 h.
    pub max_age: Duration,
    /// A connection gets no further request after this many; 10,000.
    pub max_requests: u64,

    /// Bytes of a request line and its fields together: 431; 32 KiB.
    pub max_head: usize,
    /// Field lines of a head: 431; 96. At most [`super::FIELDS_BOUND`].
    pub max_fields: usize,
    /// Bytes of a request-target: 414; 8 KiB.
    pub max_target: usize,
    /// Bytes of a method: 501; 32.
    pub max_method: usize,
    /// Bytes of the extensions of one chunk (RFC 9112 §7.1.1): 400; 256.
    pub max_chunk_extension: usize,
    /// Bytes of the chunk extensions of one body: 400; 4 KiB.
    pub max_chunk_extensions: usize,
    /// Bytes of a trailer section: 400; 8 KiB.
    pub max_trailer: usize,
    /// Bytes of a request body that nobody read, read away so that the connection lives on; 64 KiB.
    pub drain_limit: u64,
    /// How long that may take, and how long a closing connection is listened to; 5 s.
    pub drain_timeout: Duration,

    /// Connections at once: 503; 10,000.
    pub max_connections: usize,
    /// Connections at once from one address (IPv6: from one /64): 429; 1,024; 0: any number.
    pub max_connections_per_address: usize,

    /// Called for each request and connection that the client side refuses by itself; `None`.
    pub on_refusal: Option<OnRefusal>,
    /// Where the client side counts.
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
            write_timeout: seconds(30),
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
            on_refusal: None,
            counters: Arc::default(),
        }
    }
}

/// How often something happened since the start. Shared by all workers.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections taken on.
    pub connections: Counter,
    /// Connections turned away because of `max_connections`.
    pub over_connections: Counter,
    /// Connections turned away because of `max_connections_per_address`.
    pub over_address: Counter,
    /// Request heads that were whole and sound.
    pub requests: Counter,
    /// Requests refused here: malformed or over a limit.
    pub refused: Counter,
    /// Heads that did not end in time.
    pub head_timeouts: Counter,
    /// Request bodies that stalled or trickled.
    pub body_timeouts: Counter,
    /// Responses that the client did not take.
    pub write_timeouts: Counter,
    /// Responses broken off because what they were made from broke off.
    pub broken: Counter,
    /// Connections lost to a panic of ours.
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
