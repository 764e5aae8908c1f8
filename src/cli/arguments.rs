//! The command line and the variables: each flag is a field.

use std::{ffi::OsString, path::PathBuf};

use clap::{
    ArgAction, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser},
};

use super::{
    given::Given,
    inventory::{ListArguments, PurgeArguments},
    operator::{ExplainArguments, TailArguments, WarmArguments},
};
use crate::default;

const EXAMPLES: &str = "\
Examples:
  larder --origin http://dummyjson.com               caches that site on http://127.0.0.1:3000
  larder --origin https://api.example.com/v2         the same, below the path /v2 of the site
  larder --origin http://127.0.0.1:8080 --port 3001 --disk 50G --default-ttl 10m
  larder --clear-cache                               empties the cache, also while Larder runs
  larder explain --ask http://127.0.0.1:3000/me      says why it is, or is not, cached
  larder stats                                       shows the hit ratio, the reasons, and the room
  larder warm --sitemap http://127.0.0.1:3000/sitemap.xml
                                                     fetches all of it, so that it is cached
  larder --config larder.toml                        reads sites and rules from a file
  larder check larder.toml --connect                 checks it, and asks its origins";

const UNITS: &str = "\
Sizes are whole or decimal numbers with a unit: B, K, M, G or T. 10G, 10GiB and 10GB are the same.
Times are whole numbers with units, the largest first: 500ms, 30s, 5m, 1h30m, 2d, 1w.
If a flag is repeated, the last one counts. Defaults stand in brackets.
Each flag but --clear-cache can also be set by a variable, LARDER_ and its name: --max-object by
LARDER_MAX_OBJECT. The flag wins over the variable, and the variable over the file of --config.";

const ALL_FLAGS: &str = "All flags of larder can be set, too: larder --help lists them.";

// The groups of flags, in the order in which the help shows them.
const FILE: &str = "Configuration file";
const LISTEN: &str = "Listen";
const ORIGIN: &str = "Origin";
const CACHED: &str = "What is cached";
const ROOM: &str = "Room";
pub(super) const LOG: &str = "Log and help";
const CLIENTS: &str = "Limits on clients";

/// The command line and the environment, as they were typed.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "larder",
    version,
    about = "Larder: a caching HTTP proxy that says why.",
    before_help = EXAMPLES,
    after_help = UNITS,
    help_template = "{before-help}{about-with-newline}\n{usage-heading} {usage}\n\n{all-args}{after-help}",
    override_usage = "larder [run] [--origin] URL [flags]\n       larder --clear-cache [--origin URL | --cache-dir DIR]\n       larder explain URL [-X METHOD] [-H 'NAME: VALUE'] [-d TEXT] [--ask] [--json] [--exit-code]\n       larder stats [--since TIME] [--watch] [--json] [--all]\n       larder purge URL... | --prefix PATH | --tag TAG | --all [flags]\n       larder ls [GLOB] [flags]\n       larder --config FILE [flags]",
    arg_required_else_help = true,
    args_override_self = true,
    max_term_width = 120
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Read sites, rules and settings from this file of TOML
    #[arg(help_heading = FILE, long, env = "LARDER_CONFIG", value_name = "FILE", value_parser = path(), global = true)]
    pub config: Option<PathBuf>,

    /// Port to listen on; 0: any free port
    #[arg(help_heading = LISTEN, long, env = "LARDER_PORT", value_name = "N", default_value = default::PORT)]
    pub port: String,

    /// Address to listen on; 0.0.0.0: other machines can reach it, too
    #[arg(help_heading = LISTEN, long, env = "LARDER_HOST", value_name = "ADDRESS", default_value = default::HOST)]
    pub host: String,

    /// Serve only these host names, repeatable; any other gets 421 [any]
    #[arg(help_heading = LISTEN, long, env = "LARDER_ALLOW_HOST", value_name = "NAME", value_delimiter = ',')]
    pub allow_host: Vec<String>,

    /// Believe what this proxy says about the client (X-Forwarded-*, Forwarded), repeatable
    #[arg(help_heading = LISTEN, long, env = "LARDER_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',')]
    pub trusted_proxy: Vec<String>,

    /// Worker threads [one for each core]
    #[arg(help_heading = LISTEN, long, env = "LARDER_WORKERS", value_name = "N")]
    pub workers: Option<String>,

    /// Time for running requests to end when Larder is stopped
    #[arg(help_heading = LISTEN, long, env = "LARDER_SHUTDOWN_TIMEOUT", value_name = "TIME", default_value = default::SHUTDOWN_TIMEOUT)]
    pub shutdown_timeout: String,

    /// The site to cache: http(s)://host[:port][/base]
    #[arg(help_heading = ORIGIN, id = "origin", long = "origin", env = "LARDER_ORIGIN", value_name = "URL", global = true, action = ArgAction::Append)]
    pub(super) origins: Vec<String>,

    /// The same as --origin
    #[arg(value_name = "ORIGIN", hide = true)]
    pub(super) word: Option<String>,

    /// The site to cache, from the flag, the variable or a word alone.
    #[arg(skip)]
    pub origin: Option<String>,

    /// Host for the origin: auto, client, origin or a name
    #[arg(help_heading = ORIGIN, long, env = "LARDER_HOST_HEADER", value_name = "MODE", default_value = default::HOST_HEADER)]
    pub host_header: String,

    /// Always tell the origin who the client is (X-Forwarded-*)
    #[arg(help_heading = ORIGIN, long, env = "LARDER_FORWARD_CLIENT", value_parser = switch)]
    pub forward_client: bool,

    /// Trust these PEM certificates, besides the system's
    #[arg(help_heading = ORIGIN, long, env = "LARDER_ORIGIN_CA", value_name = "FILE", value_parser = path())]
    pub origin_ca: Option<PathBuf>,

    /// Trust any certificate; others may read and change data
    #[arg(help_heading = ORIGIN, long, env = "LARDER_ORIGIN_INSECURE", value_parser = switch)]
    pub origin_insecure: bool,

    /// Allow a link-local or cloud metadata address as the origin
    #[arg(help_heading = ORIGIN, long, env = "LARDER_ALLOW_LINK_LOCAL_ORIGIN", value_parser = switch)]
    pub allow_link_local_origin: bool,

    /// Time to reach the origin: name, TCP and TLS
    #[arg(help_heading = ORIGIN, long, env = "LARDER_CONNECT_TIMEOUT", value_name = "TIME", default_value = default::CONNECT_TIMEOUT)]
    pub connect_timeout: String,

    /// Time for the origin to begin its answer
    #[arg(help_heading = ORIGIN, long, env = "LARDER_FIRST_BYTE_TIMEOUT", value_name = "TIME", default_value = default::FIRST_BYTE_TIMEOUT)]
    pub first_byte_timeout: String,

    /// Longest pause within the origin's answer
    #[arg(help_heading = ORIGIN, long, env = "LARDER_BETWEEN_BYTES_TIMEOUT", value_name = "TIME", default_value = default::BETWEEN_BYTES_TIMEOUT)]
    pub between_bytes_timeout: String,

    /// Keep an idle connection for this long; 0s: never
    #[arg(help_heading = ORIGIN, long, env = "LARDER_ORIGIN_KEEP_ALIVE", value_name = "TIME", default_value = default::ORIGIN_KEEP_ALIVE)]
    pub origin_keep_alive: String,

    /// Reuse a connection only after this much silence
    #[arg(help_heading = ORIGIN, long, env = "LARDER_ORIGIN_SETTLE", value_name = "TIME", default_value = default::ORIGIN_SETTLE)]
    pub origin_settle: String,

    /// Connections to the origin in use at once
    #[arg(help_heading = ORIGIN, long, env = "LARDER_ORIGIN_CONNECTIONS", value_name = "N", default_value = default::ORIGIN_CONNECTIONS)]
    pub origin_connections: String,

    /// Responses of 2 s and longer, besides these connections
    #[arg(help_heading = ORIGIN, long, env = "LARDER_ORIGIN_STREAMS", value_name = "N", default_value = default::ORIGIN_STREAMS)]
    pub origin_streams: String,

    /// Longest TTL for responses without Cache-Control or Expires; 0s: validate each time
    #[arg(help_heading = CACHED, long, env = "LARDER_DEFAULT_TTL", value_name = "TIME", default_value = default::DEFAULT_TTL)]
    pub default_ttl: String,

    /// TTL for 301, 308, 404, 405 and 410 without one of their own
    #[arg(help_heading = CACHED, long, env = "LARDER_NEGATIVE_TTL", value_name = "TIME", default_value = default::NEGATIVE_TTL)]
    pub negative_ttl: String,

    /// Serve stale responses for this long while the origin fails, unless it forbids that; 0s: never
    #[arg(help_heading = CACHED, long, env = "LARDER_STALE_IF_ERROR", value_name = "TIME", default_value = default::STALE_IF_ERROR)]
    pub stale_if_error: String,

    /// Obey no-cache, max-age and min-fresh of clients even if the origin gives a TTL
    #[arg(help_heading = CACHED, long, env = "LARDER_CLIENT_RELOAD", value_parser = switch)]
    pub client_reload: bool,

    /// Give responses without a TTL the default one even if the request has a Cookie
    #[arg(help_heading = CACHED, long, env = "LARDER_IGNORE_COOKIES", value_parser = switch)]
    pub ignore_cookies: bool,

    /// Follow RFC 9111 to the letter: a tenth of the time since Last-Modified is the only invented TTL, Set-Cookie is
    /// stored like any header, clients' no-cache is obeyed, and nothing stale is served unless the origin or the client
    /// allows it
    #[arg(help_heading = CACHED, long, env = "LARDER_STRICT", value_parser = switch)]
    pub strict: bool,

    /// Largest body that is stored [a quarter of --disk]
    #[arg(help_heading = CACHED, long, env = "LARDER_MAX_OBJECT", value_name = "SIZE")]
    pub max_object: Option<String>,

    /// A path, and what is done there, repeatable: '/admin bypass'
    #[arg(help_heading = CACHED, long, env = "LARDER_RULE", value_name = "RULE", value_delimiter = '\n')]
    pub rule: Vec<String>,

    /// Leave these parameters out of the key and of requests to the origin, repeatable: 'utm_*'
    #[arg(help_heading = CACHED, long, env = "LARDER_IGNORE_QUERY", value_name = "NAME", value_delimiter = ',')]
    pub ignore_query: Vec<String>,

    /// Sort the parameters: /?a=1&b=2 and /?b=2&a=1 are the same
    #[arg(help_heading = CACHED, long, env = "LARDER_SORT_QUERY", value_parser = switch)]
    pub sort_query: bool,

    /// Cache a response for each value of this request header, repeatable
    #[arg(help_heading = CACHED, long, env = "LARDER_KEY_HEADER", value_name = "NAME", value_delimiter = ',')]
    pub key_header: Vec<String>,

    /// Cache a response for each value of this cookie, repeatable; the origin gets no other cookies
    #[arg(help_heading = CACHED, long, env = "LARDER_KEY_COOKIE", value_name = "NAME", value_delimiter = ',')]
    pub key_cookie: Vec<String>,

    /// Folder of the cache [one for each origin in ~/.cache/larder]
    #[arg(help_heading = ROOM, long, env = "LARDER_CACHE_DIR", value_name = "DIR", value_parser = path(), global = true)]
    pub cache_dir: Option<PathBuf>,

    /// Disk space for the cache
    #[arg(help_heading = ROOM, long, env = "LARDER_DISK", value_name = "SIZE", default_value = default::DISK)]
    pub disk: String,

    /// Memory for the cache, at least 64MiB; 0B: keep all responses on disk
    #[arg(help_heading = ROOM, long, env = "LARDER_MEMORY", value_name = "SIZE", default_value = default::MEMORY)]
    pub memory: String,

    /// Empty the cache of --origin or --cache-dir, or all caches in the default folder, and end
    #[arg(help_heading = ROOM, long)]
    pub clear_cache: bool,

    /// Log more; twice: everything that Larder says
    #[arg(help_heading = LOG, short, long, env = "LARDER_VERBOSE", action = ArgAction::Count, value_parser = times, global = true)]
    pub verbose: u8,

    /// Log less: no line for each request; twice: errors only
    #[arg(help_heading = LOG, short, long, env = "LARDER_QUIET", action = ArgAction::Count, value_parser = times, global = true)]
    pub quiet: u8,

    /// Time to send a request's head
    #[arg(help_heading = CLIENTS, long, env = "LARDER_HEAD_TIMEOUT", value_name = "TIME", default_value = default::HEAD_TIMEOUT)]
    pub head_timeout: String,

    /// Close a connection that is idle for this long
    #[arg(help_heading = CLIENTS, long, env = "LARDER_KEEP_ALIVE", value_name = "TIME", default_value = default::KEEP_ALIVE)]
    pub keep_alive: String,

    /// Longest pause within a request's body
    #[arg(help_heading = CLIENTS, long, env = "LARDER_BODY_TIMEOUT", value_name = "TIME", default_value = default::BODY_TIMEOUT)]
    pub body_timeout: String,

    /// Least bytes a second of a request's body; 0B: any
    #[arg(help_heading = CLIENTS, long, env = "LARDER_MIN_RATE", value_name = "SIZE", default_value = default::MIN_RATE)]
    pub min_rate: String,

    /// Drop a client that reads nothing for this long
    #[arg(help_heading = CLIENTS, long, env = "LARDER_WRITE_TIMEOUT", value_name = "TIME", default_value = default::WRITE_TIMEOUT)]
    pub write_timeout: String,

    /// Largest head of a request
    #[arg(help_heading = CLIENTS, long, env = "LARDER_MAX_HEAD", value_name = "SIZE", default_value = default::MAX_HEAD)]
    pub max_head: String,

    /// Most header lines of a request
    #[arg(help_heading = CLIENTS, long, env = "LARDER_MAX_FIELDS", value_name = "N", default_value = default::MAX_FIELDS)]
    pub max_fields: String,

    /// Longest path and query of a request
    #[arg(help_heading = CLIENTS, long, env = "LARDER_MAX_TARGET", value_name = "SIZE", default_value = default::MAX_TARGET)]
    pub max_target: String,

    /// Longest method of a request
    #[arg(help_heading = CLIENTS, long, env = "LARDER_MAX_METHOD", value_name = "SIZE", default_value = default::MAX_METHOD)]
    pub max_method: String,

    /// Longest extensions of one chunk of a request
    #[arg(help_heading = CLIENTS, long, env = "LARDER_MAX_CHUNK_EXTENSION", value_name = "SIZE", default_value = default::MAX_CHUNK_EXTENSION)]
    pub max_chunk_extension: String,

    /// Longest extensions of all chunks of a request
    #[arg(help_heading = CLIENTS, long, env = "LARDER_MAX_CHUNK_EXTENSIONS", value_name = "SIZE", default_value = default::MAX_CHUNK_EXTENSIONS)]
    pub max_chunk_extensions: String,

    /// Longest trailer of a request
    #[arg(help_heading = CLIENTS, long, env = "LARDER_MAX_TRAILER", value_name = "SIZE", default_value = default::MAX_TRAILER)]
    pub max_trailer: String,

    /// Connections at once
    #[arg(help_heading = CLIENTS, long, env = "LARDER_MAX_CONNECTIONS", value_name = "N", default_value = default::MAX_CONNECTIONS)]
    pub max_connections: String,

    /// Connections at once from one address
    #[arg(help_heading = CLIENTS, long, env = "LARDER_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N", default_value = default::MAX_CONNECTIONS_PER_ADDRESS)]
    pub max_connections_per_address: String,

    /// Take no new request on a connection after this long
    #[arg(help_heading = CLIENTS, long, env = "LARDER_MAX_CONNECTION_AGE", value_name = "TIME", default_value = default::MAX_CONNECTION_AGE)]
    pub max_connection_age: String,

    /// Requests on one connection
    #[arg(help_heading = CLIENTS, long, env = "LARDER_MAX_CONNECTION_REQUESTS", value_name = "N", default_value = default::MAX_CONNECTION_REQUESTS)]
    pub max_connection_requests: String,

    /// Discard up to this much unread request body to keep a connection open
    #[arg(help_heading = CLIENTS, long, env = "LARDER_DRAIN_LIMIT", value_name = "SIZE", default_value = default::DRAIN_LIMIT)]
    pub drain_limit: String,

    /// Time for that, and for a client to close its connection
    #[arg(help_heading = CLIENTS, long, env = "LARDER_DRAIN_TIMEOUT", value_name = "TIME", default_value = default::DRAIN_TIMEOUT)]
    pub drain_timeout: String,

    /// Hand every request to actix, to compare
    #[arg(long, hide = true)]
    pub without_lane: bool,

    /// The command line, without the variables and the file.
    #[arg(skip)]
    pub(super) words: Vec<OsString>,

    /// The value of each flag, and who set it, in the order of the help.
    #[arg(skip)]
    pub(super) given: Vec<Given>,
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Serve the site: the same as larder without a command
    #[command(after_help = ALL_FLAGS)]
    Run {
        /// The site to cache: http(s)://host[:port][/base]
        #[arg(value_name = "URL")]
        url: Option<String>,
    },
    /// Show the hit ratio, why requests went to the origin, and how much room the cache takes
    Stats {
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
        /// Show empty caches of other origins, too
        #[arg(long)]
        all: bool,
        /// Show them anew each 2 seconds; in a pipe one line each time
        #[arg(long)]
        watch: bool,
        /// Count only what this last time has brought, from 1m to 1d: 1h [all that was counted]
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
    },
    /// Remove responses from the cache: URLs, a prefix, a tag, all; the next request fetches them anew
    Purge(Box<PurgeArguments>),
    /// List what is in the cache
    Ls(ListArguments),
    /// Say why a URL is, or is not, answered from the cache, and what would change it
    Explain(ExplainArguments),
    /// Fetch URLs through the running Larder, so that they are in the cache
    Warm(WarmArguments),
    /// Show the log of the running Larder as it comes
    Tail(TailArguments),
    /// Have the running Larder read its file once more
    Reload,
    /// Check the configuration file and the flags, and end
    #[command(after_help = ALL_FLAGS)]
    Check {
        /// The file, in place of --config
        #[arg(value_name = "FILE", value_parser = path())]
        file: Option<PathBuf>,
        /// Also look at the cache folder, and ask each origin for its first page; the exit code is 1 if that fails
        #[arg(long)]
        connect: bool,
    },
    /// Show the configuration
    #[command(subcommand, after_help = ALL_FLAGS)]
    Config(ConfigCommand),
    /// Print the completions for a shell: larder completions bash > /etc/bash_completion.d/larder
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page: larder man | man -l -
    Man,
}

impl Command {
    pub fn name(&self) -> &'static str {
        match self {
            Command::Run { .. } => "run",
            Command::Stats { .. } => "stats",
            Command::Purge(_) => "purge",
            Command::Ls(_) => "ls",
            Command::Explain(_) => "explain",
            Command::Warm(_) => "warm",
            Command::Tail(_) => "tail",
            Command::Completions { .. } => "completions",
            Command::Man => "man",
            Command::Reload => "reload",
            Command::Check { .. } => "check",
            Command::Config(ConfigCommand::Show) => "config show",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Show every setting and who set it, and every rule
    Show,
}

/// Returns true for a command that takes every flag, because it uses all settings.
pub(super) fn takes_all_flags(command: &str) -> bool {
    ["run", "check", "config"].contains(&command)
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
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("expected yes or no (or 1, true, on, 0, false, off)".to_owned()),
    }
}

/// Parses the value of a counted flag's variable such as LARDER_VERBOSE=2.
fn times(text: &str) -> Result<u8, String> {
    let number = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    match number {
        Some(times) => Ok(times),
        None => switch(text).map(u8::from).map_err(|_| "expected a number, for example 2, or yes or no".to_owned()),
    }
}
