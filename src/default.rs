//! The default of each setting, in the form in which a user types it.

pub const PORT: &str = "3000";
pub const HOST: &str = "127.0.0.1";
pub const MEMORY: &str = "256MiB";
pub const DISK: &str = "10GiB";
/// The default of `--max-object` is `--disk` divided by this.
pub const MAX_OBJECT_FRACTION: u64 = 4;
pub const STALE_IF_ERROR: &str = "1d";
pub const DEFAULT_TTL: &str = "1h";
pub const NEGATIVE_TTL: &str = "1s";
pub const CONNECT_TIMEOUT: &str = "5s";
pub const FIRST_BYTE_TIMEOUT: &str = "60s";
pub const BETWEEN_BYTES_TIMEOUT: &str = "60s";
pub const ORIGIN_KEEP_ALIVE: &str = "30s";
pub const ORIGIN_SETTLE: &str = "2ms";
pub const ORIGIN_CONNECTIONS: &str = "512";
pub const ORIGIN_STREAMS: &str = "4096";
pub const HEAD_TIMEOUT: &str = "10s";
pub const KEEP_ALIVE: &str = "75s";
pub const BODY_TIMEOUT: &str = "30s";
pub const MIN_RATE: &str = "500B";
pub const WRITE_TIMEOUT: &str = "60s";
pub const MAX_HEAD: &str = "32KiB";
pub const MAX_FIELDS: &str = "96";
pub const MAX_TARGET: &str = "8KiB";
pub const MAX_METHOD: &str = "32B";
pub const MAX_CHUNK_EXTENSION: &str = "256B";
pub const MAX_CHUNK_EXTENSIONS: &str = "4KiB";
pub const MAX_TRAILER: &str = "8KiB";
pub const MAX_CONNECTIONS: &str = "10000";
pub const MAX_CONNECTIONS_PER_ADDRESS: &str = "1024";
pub const MAX_CONNECTION_AGE: &str = "1h";
pub const MAX_CONNECTION_REQUESTS: &str = "10000";
pub const DRAIN_LIMIT: &str = "64KiB";
pub const DRAIN_TIMEOUT: &str = "5s";
pub const SHUTDOWN_TIMEOUT: &str = "30s";
