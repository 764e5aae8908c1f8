//! What can be typed: each flag is a field.

use std::path::PathBuf;

use clap::{
    ArgAction, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser},
};

use crate::default;

const EXAMPLES: &str = "\
Examples:
  larder --port 3000 --origin http://dummyjson.com   caches that site on http://127.0.0.1:3000
  larder --origin https://api.example.com/v2         port 3000, below the path /v2 of the origin
  larder --origin http://127.0.0.1:8080 --disk 50G --default-ttl 0s
  larder --clear-cache                               forgets everything, also while Larder runs
  larder stats                                       the hit ratio, the reasons, and the room";

const UNITS: &str = "\
Sizes take a unit, and every unit is binary: 10G, 10GiB and 10GB are all 10 x 1024^3 bytes (B, K, M, G, T).
Times take units, the largest first: 500ms, 30s, 5m, 1h30m, 2d, 1w. Of a flag that is repeated the last one counts.
Each flag but --clear-cache can be set by a variable: --max-object by LARDER_MAX_OBJECT. The flag wins.";

/// The heading, in the help, of the flags that are seldom needed.
const LIMITS: &str = "Timeouts and limits";

/// The command line and the environment, as they were typed.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "larder",
    version,
    about = "A caching HTTP proxy that follows RFC 9111 and keeps its cache across restarts.",
    before_help = EXAMPLES,
    after_help = UNITS,
    help_template = "{before-help}{about-with-newline}\n{usage-heading} {usage}\n\n{all-args}{after-help}",
    override_usage = "larder [--origin] URL [OPTIONS]\n       larder --clear-cache [--origin URL | --cache-dir DIR]\n       larder stats [--json] [--all] [--origin URL | --cache-dir DIR]",
    arg_required_else_help = true,
    args_override_self = true,
    max_term_width = 120
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Port to listen on; 0 lets the system choose
    #[arg(long, env = "LARDER_PORT", default_value = default::PORT, hide_env_values = true)]
    pub port: String,

    /// Address to listen on
    #[arg(long, env = "LARDER_HOST", default_value = default::HOST, hide_env_values = true)]
    pub host: String,

    /// The site to cache: http(s)://host[:port][/base]
    #[arg(id = "origin", long = "origin", env = "LARDER_ORIGIN", value_name = "URL", global = true, action = ArgAction::Append, hide_env_values = true)]
    pub(super) origins: Vec<String>,

    /// The same as --origin
    #[arg(value_name = "ORIGIN", hide = true)]
    pub(super) word: Option<String>,

    /// The site to cache, by the flag, the variable or a word alone.
    #[arg(skip)]
    pub origin: Option<String>,

    /// PEM file of certificates to trust for the origin, besides the system's
    #[arg(long, env = "LARDER_ORIGIN_CA", value_name = "FILE", value_parser = path(), hide_env_values = true)]
    pub origin_ca: Option<PathBuf>,

    /// Trust whatever certificate the origin has: anybody between can read and change everything
    #[arg(long, env = "LARDER_ORIGIN_INSECURE", value_parser = switch, hide_env_values = true)]
    pub origin_insecure: bool,

    /// Let the origin be at a link-local or metadata address (169.254.0.0/16, fe80::/10, fd00:ec2::254)
    #[arg(long, env = "LARDER_ALLOW_LINK_LOCAL_ORIGIN", value_parser = switch, hide_env_values = true)]
    pub allow_link_local_origin: bool,

    /// Clear the cache of --origin or --cache-dir, or every cache in the default place, and end
    #[arg(long)]
    pub clear_cache: bool,

    /// Folder of the cache [default: a folder for each origin in ~/.cache/larder]
    #[arg(long, env = "LARDER_CACHE_DIR", value_name = "DIR", value_parser = path(), global = true, hide_env_values = true)]
    pub cache_dir: Option<PathBuf>,

    /// Memory for the cache: stored responses, and what the store itself needs (at least 64MiB); 0B: only the latter
    #[arg(long, env = "LARDER_MEMORY", value_name = "SIZE", default_value = default::MEMORY, hide_env_values = true)]
    pub memory: String,

    /// Disk space the cache folder may take
    #[arg(long, env = "LARDER_DISK", value_name = "SIZE", default_value = default::DISK, hide_env_values = true)]
    pub disk: String,

    /// Largest body that is stored [default: a quarter of --disk]
    #[arg(long, env = "LARDER_MAX_OBJECT", value_name = "SIZE", hide_env_values = true)]
    pub max_object: Option<String>,

    /// Longest TTL for responses without one of their own; 0s: validate each time
    #[arg(long, env = "LARDER_DEFAULT_TTL", value_name = "TIME", default_value = default::DEFAULT_TTL, hide_env_values = true, allow_hyphen_values = true)]
    pub default_ttl: String,

    /// TTL for 301, 308, 404, 405 and 410 without one of their own
    #[arg(long, env = "LARDER_NEGATIVE_TTL", value_name = "TIME", default_value = default::NEGATIVE_TTL, hide_env_values = true, allow_hyphen_values = true)]
    pub negative_ttl: String,

    /// How long a stale response stands in for an origin that fails and says nothing about it; 0s: not at all
    #[arg(long, env = "LARDER_STALE_IF_ERROR", value_name = "TIME", default_value = default::STALE_IF_ERROR, hide_env_values = true)]
    pub stale_if_error: String,

    /// Let clients reload from the origin also where it gives a TTL (no-cache, max-age, min-fresh, Pragma in requests)
    #[arg(long, env = "LARDER_CLIENT_RELOAD", value_parser = switch, hide_env_values = true)]
    pub client_reload: bool,

    /// Invent a TTL also where the request carried a Cookie
    #[arg(long, env = "LARDER_IGNORE_COOKIES", value_parser = switch, hide_env_values = true)]
    pub ignore_cookies: bool,

    /// RFC 9111 to the letter: no invented TTL but a tenth since Last-Modified, Set-Cookie stored like any field
    #[arg(long, env = "LARDER_STRICT", value_parser = switch, hide_env_values = true)]
    pub strict: bool,

    /// Host names that are served; any other gets 421 [default: any]
    #[arg(long, env = "LARDER_ALLOW_HOST", value_name = "NAME", value_delimiter = ',', hide_env_values = true)]
    pub allow_host: Vec<String>,

    /// Host that the origin gets: the client's, its own, or NAME; auto: the client's where the origin has a private name or an address
    #[arg(long, env = "LARDER_HOST_HEADER", value_name = "auto|client|origin|NAME", default_value = default::HOST_HEADER, hide_env_values = true)]
    pub host_header: String,

    /// Tell the origin who the client is (X-Forwarded-*, Forwarded) also where it gets its own Host
    #[arg(long, env = "LARDER_FORWARD_CLIENT", value_parser = switch, hide_env_values = true)]
    pub forward_client: bool,

    /// Proxies in front of Larder that are believed what they say about the client (X-Forwarded-*, Forwarded); repeatable
    #[arg(long, env = "LARDER_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',', hide_env_values = true)]
    pub trusted_proxy: Vec<String>,

    /// Worker threads [default: one for each core]
    #[arg(long, env = "LARDER_WORKERS", value_name = "N", hide_env_values = true)]
    pub workers: Option<String>,

    /// Time to reach the origin: name, TCP and TLS
    #[arg(help_heading = LIMITS, long, env = "LARDER_CONNECT_TIMEOUT", value_name = "TIME", default_value = default::CONNECT_TIMEOUT, hide_env_values = true)]
    pub connect_timeout: String,

    /// Time for the origin to begin its answer
    #[arg(help_heading = LIMITS, long, env = "LARDER_FIRST_BYTE_TIMEOUT", value_name = "TIME", default_value = default::FIRST_BYTE_TIMEOUT, hide_env_values = true)]
    pub first_byte_timeout: String,

    /// Longest pause within the origin's answer
    #[arg(help_heading = LIMITS, long, env = "LARDER_BETWEEN_BYTES_TIMEOUT", value_name = "TIME", default_value = default::BETWEEN_BYTES_TIMEOUT, hide_env_values = true)]
    pub between_bytes_timeout: String,

    /// How long an idle connection to the origin is kept; 0s: a new one for each request
    #[arg(help_heading = LIMITS, long, env = "LARDER_ORIGIN_KEEP_ALIVE", value_name = "TIME", default_value = default::ORIGIN_KEEP_ALIVE, hide_env_values = true)]
    pub origin_keep_alive: String,

    /// How long a kept connection to the origin must have been silent before it is used again; 0s: it is used at once
    #[arg(help_heading = LIMITS, long, env = "LARDER_ORIGIN_SETTLE", value_name = "TIME", default_value = default::ORIGIN_SETTLE, hide_env_values = true)]
    pub origin_settle: String,

    /// Connections to the origin in use at once, of all workers; at the limit a request waits for --connect-timeout
    #[arg(help_heading = LIMITS, long, env = "LARDER_ORIGIN_CONNECTIONS", value_name = "N", default_value = default::ORIGIN_CONNECTIONS, hide_env_values = true)]
    pub origin_connections: String,

    /// Responses read from the origin for 2s and longer, beside --origin-connections
    #[arg(help_heading = LIMITS, long, env = "LARDER_ORIGIN_STREAMS", value_name = "N", default_value = default::ORIGIN_STREAMS, hide_env_values = true)]
    pub origin_streams: String,

    /// Time for a client to send a request's head
    #[arg(help_heading = LIMITS, long, env = "LARDER_HEAD_TIMEOUT", value_name = "TIME", default_value = default::HEAD_TIMEOUT, hide_env_values = true)]
    pub head_timeout: String,

    /// How long an idle client connection stays open
    #[arg(help_heading = LIMITS, long, env = "LARDER_KEEP_ALIVE", value_name = "TIME", default_value = default::KEEP_ALIVE, hide_env_values = true)]
    pub keep_alive: String,

    /// Longest pause within a request's body
    #[arg(help_heading = LIMITS, long, env = "LARDER_BODY_TIMEOUT", value_name = "TIME", default_value = default::BODY_TIMEOUT, hide_env_values = true)]
    pub body_timeout: String,

    /// Bytes a second that a request's body must reach in each 10s; 0B: any
    #[arg(help_heading = LIMITS, long, env = "LARDER_MIN_RATE", value_name = "SIZE", default_value = default::MIN_RATE, hide_env_values = true)]
    pub min_rate: String,

    /// How long a client may take no bytes of its response
    #[arg(help_heading = LIMITS, long, env = "LARDER_WRITE_TIMEOUT", value_name = "TIME", default_value = default::WRITE_TIMEOUT, hide_env_values = true)]
    pub write_timeout: String,

    /// Largest head of a request
    #[arg(help_heading = LIMITS, long, env = "LARDER_MAX_HEAD", value_name = "SIZE", default_value = default::MAX_HEAD, hide_env_values = true)]
    pub max_head: String,

    /// Field lines of a request's head
    #[arg(help_heading = LIMITS, long, env = "LARDER_MAX_FIELDS", value_name = "N", default_value = default::MAX_FIELDS, hide_env_values = true)]
    pub max_fields: String,

    /// Longest target (path and query) of a request
    #[arg(help_heading = LIMITS, long, env = "LARDER_MAX_TARGET", value_name = "SIZE", default_value = default::MAX_TARGET, hide_env_values = true)]
    pub max_target: String,

    /// Longest method of a request
    #[arg(help_heading = LIMITS, long, env = "LARDER_MAX_METHOD", value_name = "SIZE", default_value = default::MAX_METHOD, hide_env_values = true)]
    pub max_method: String,

    /// Longest extensions of one chunk of a request's body
    #[arg(help_heading = LIMITS, long, env = "LARDER_MAX_CHUNK_EXTENSION", value_name = "SIZE", default_value = default::MAX_CHUNK_EXTENSION, hide_env_values = true)]
    pub max_chunk_extension: String,

    /// Longest extensions of all chunks of a request's body
    #[arg(help_heading = LIMITS, long, env = "LARDER_MAX_CHUNK_EXTENSIONS", value_name = "SIZE", default_value = default::MAX_CHUNK_EXTENSIONS, hide_env_values = true)]
    pub max_chunk_extensions: String,

    /// Longest trailer of a request's body
    #[arg(help_heading = LIMITS, long, env = "LARDER_MAX_TRAILER", value_name = "SIZE", default_value = default::MAX_TRAILER, hide_env_values = true)]
    pub max_trailer: String,

    /// Client connections at once
    #[arg(help_heading = LIMITS, long, env = "LARDER_MAX_CONNECTIONS", value_name = "N", default_value = default::MAX_CONNECTIONS, hide_env_values = true)]
    pub max_connections: String,

    /// Client connections at once from one address
    #[arg(help_heading = LIMITS, long, env = "LARDER_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value = default::MAX_CONNECTIONS_PER_ADDRESS, hide_env_values = true)]
    pub max_connections_per_address: String,

    /// A client connection gets no further request after this long
    #[arg(help_heading = LIMITS, long, env = "LARDER_MAX_CONNECTION_AGE", value_name = "TIME", default_value = default::MAX_CONNECTION_AGE, hide_env_values = true)]
    pub max_connection_age: String,

    /// Requests on one client connection
    #[arg(help_heading = LIMITS, long, env = "LARDER_MAX_CONNECTION_REQUESTS", value_name = "N", default_value = default::MAX_CONNECTION_REQUESTS, hide_env_values = true)]
    pub max_connection_requests: String,

    /// Unread bytes of a request's body that are read away so that its connection can go on
    #[arg(help_heading = LIMITS, long, env = "LARDER_DRAIN_LIMIT", value_name = "SIZE", default_value = default::DRAIN_LIMIT, hide_env_values = true)]
    pub drain_limit: String,

    /// How long that may take, and how long a connection that ends is listened to
    #[arg(help_heading = LIMITS, long, env = "LARDER_DRAIN_TIMEOUT", value_name = "TIME", default_value = default::DRAIN_TIMEOUT, hide_env_values = true)]
    pub drain_timeout: String,

    /// How long running requests may take to end after SIGTERM, SIGINT, or SIGHUP on a terminal
    #[arg(help_heading = LIMITS, long, env = "LARDER_SHUTDOWN_TIMEOUT", value_name = "TIME", default_value = default::SHUTDOWN_TIMEOUT, hide_env_values = true)]
    pub shutdown_timeout: String,

    /// Log more (twice: all that Larder says; only RUST_LOG makes libraries say more)
    #[arg(short, long, env = "LARDER_VERBOSE", action = ArgAction::Count, value_parser = times, global = true, hide_env_values = true)]
    pub verbose: u8,

    /// Log less: no line for each request (twice: errors only)
    #[arg(short, long, env = "LARDER_QUIET", action = ArgAction::Count, value_parser = times, global = true, hide_env_values = true)]
    pub quiet: u8,

    /// Hand every request to actix, to compare
    #[arg(long, hide = true)]
    pub without_lane: bool,

    /// The fields above whose values came from the environment.
    #[arg(skip)]
    pub(super) from_environment: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Show the hit ratio, why requests went to the origin, and how much room the cache takes
    Stats {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
        /// Show empty caches of other origins, too
        #[arg(long)]
        all: bool,
    },
}

impl Arguments {
    /// Returns the name by which the user set this field: `--max-head`, or `LARDER_MAX_HEAD` if its value came from
    /// that variable.
    pub fn name_of(&self, field: &str) -> String {
        if self.from_environment.iter().any(|id| id == field) {
            variable(field)
        } else {
            format!("--{}", field.replace('_', "-"))
        }
    }
}

/// Returns the name of the variable of a flag or of a field: `LARDER_MAX_HEAD`.
pub(super) fn variable(name: &str) -> String {
    format!("LARDER_{}", name.replace('-', "_").to_ascii_uppercase())
}

/// Accepts every path, even an empty one; config says what is wrong with it.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Parses the value of an on/off variable such as LARDER_STRICT=1.
fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("expected 1, true, yes or on, or 0, false, no or off".to_owned()),
    }
}

/// Parses the value of a counted flag's variable such as LARDER_VERBOSE=2.
fn times(text: &str) -> Result<u8, String> {
    let number = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    match number {
        Some(times) => Ok(times),
        None => switch(text).map(u8::from).map_err(|problem| format!("{problem}, or how often, for example 2")),
    }
}
