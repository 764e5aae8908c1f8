//! Which origin, and what its client may do.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{head::Limits, tls::Tls};

/// Which origin, and how long it may take.
#[derive(Debug, Clone)]
pub struct Options {
    pub https: bool,
    /// As in the URL: a name or an address, IPv6 in brackets.
    pub host: String,
    pub port: u16,
    /// Connect also to addresses that are link-local, or a cloud's for the credentials of its machines.
    pub allow_link_local: bool,
    /// PEM certificates to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// Name look-up, TCP and TLS together.
    pub connect_timeout: Duration,
    /// From the request's end to the response's head.
    pub first_byte_timeout: Duration,
    /// Between two reads of the response's body, and two writes of the request's.
    pub between_bytes_timeout: Duration,
    /// A pooled connection is closed after this long without a request; zero: each request gets a connection of its own.
    pub idle_timeout: Duration,
    /// A connection is not used for new requests after this long, so that the name is resolved anew.
    pub max_age: Duration,
    /// Connections at once, of one worker; a request waits for one until `connect_timeout`. Requests with content have at
    /// most half of them.
    pub max_connections: usize,
    /// Bytes of a response head.
    pub max_head: usize,
    /// Field lines of a response head.
    pub max_fields: usize,
    /// Take a body in a transfer coding that is not understood for one that ends with the connection (RFC 9112 §6.3,
    /// rule 4), and its bytes for the content; off: such a response is an error.
    pub any_coding: bool,
}

impl Options {
    pub(super) fn limits(&self) -> Limits {
        Limits { head: self.max_head, fields: self.max_fields, any_coding: self.any_coding }
    }
}

/// An origin whose options were checked; what the workers share.
#[derive(Clone)]
pub struct Prepared {
    pub(super) options: Arc<Options>,
    pub(super) tls: Option<Tls>,
}
