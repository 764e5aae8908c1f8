//! Which origin, and what its client may do.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{head::Limits, names::Names, places::Places, pool::PoolOptions, tls::Tls, unasked::Unasked};

/// Which origin, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub https: bool,
    /// As in the URL: a name or an address, IPv6 in brackets.
    pub host: String,
    pub port: u16,
    /// Connect also to addresses that are link-local, or a cloud's for the credentials of its machines.
    pub allow_link_local: bool,
    /// PEM certificates to trust besides the system's.
    pub ca: Option<PathBuf>,
    /// Trust every certificate.
    pub insecure: bool,
    /// Name look-up, TCP and TLS together.
    pub connect_timeout: Duration,
    /// From the request's end to the response's head.
    pub first_byte_timeout: Duration,
    /// Between two reads of the response's body, and two writes of the request's.
    pub between_bytes_timeout: Duration,
    /// A pooled connection is closed after this long without a request; zero: each request gets a connection of its own.
    pub idle_timeout: Duration,
    /// A kept connection must have been silent for this long before it is used again.
    pub settle: Duration,
    /// A connection is not used for new requests after this long, so that the name is resolved anew.
    pub max_age: Duration,
    /// Connections in use at once, of all workers; a request waits for one until `connect_timeout`. Requests with content
    /// have at most half of them.
    pub max_connections: usize,
    /// Responses that are read for 2 s and longer, of all workers: each gives its place among `max_connections` back for one
    /// of these, if there is one.
    pub max_streams: usize,
    /// Bytes of a response head.
    pub max_head: usize,
    /// Field lines of a response head.
    pub max_fields: usize,
}

impl Options {
    pub(super) fn limits(&self) -> Limits {
        Limits { head: self.max_head, fields: self.max_fields }
    }

    pub(super) fn pool(&self) -> PoolOptions {
        PoolOptions {
            limits: self.limits(),
            connect_timeout: self.connect_timeout,
            idle_timeout: self.idle_timeout,
            settle: self.settle,
            max_age: self.max_age,
        }
    }
}

/// An origin whose options were checked, and what the workers share of it.
#[derive(Clone)]
pub struct Prepared {
    pub(super) options: Arc<Options>,
    pub(super) tls: Option<Tls>,
    pub(super) names: Names,
    pub(super) places: Arc<Places>,
    pub(super) unasked: Arc<Unasked>,
}

impl Prepared {
    pub fn options(&self) -> &Options {
        &self.options
    }
}
