//! The settings of a running Larder, once they are checked.

use std::{path::PathBuf, sync::Arc};

use super::origin::Origin;
use crate::{client, policy, proxy::HostMode, rules::Rules, store};

/// The cache folders that a task is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folders {
    One(PathBuf),
    /// All folders of origins below this folder.
    Below(PathBuf),
}

/// The settings of a running Larder. All of them are valid.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: Listen,
    /// The hosts that are served, in lower case, with a port only if one was typed. If empty, every host is served.
    pub allow_hosts: Vec<String>,
    pub log: Log,
    pub store: store::Options,
    pub client: client::Options,
    /// At least one. No two of them answer the same requests.
    pub sites: Vec<Site>,
    /// The number of rules that the operator wrote.
    pub rules: usize,
    /// Lines about settings that may be mistakes.
    pub warnings: Vec<String>,
}

/// One site: the requests that are for it, its origin, and what is done with its answers.
#[derive(Debug, Clone)]
pub struct Site {
    /// The hosts of its requests, in lower case: `example.com`, or `*.example.com` for all names below that one. If empty,
    /// every host.
    pub hosts: Vec<String>,
    /// The beginning of the paths of its requests. It is empty, or begins with `/` and does not end with `/`.
    pub path: String,
    pub origin: Origin,
    /// Which Host the origin gets.
    pub host_mode: HostMode,
    /// True if the origin is told who the client is even if it gets its own Host.
    pub forward_client: bool,
    pub origin_client: crate::origin::Options,
    pub policy: policy::Options,
    pub rules: Arc<Rules>,
}

/// How much is logged: how often `--verbose` and `--quiet` are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    pub verbose: u8,
    pub quiet: u8,
}

/// The address to listen on. Port 0 lets the system choose a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// A name or an address. An IPv6 address is without brackets.
    pub host: String,
    pub port: u16,
}

impl Config {
    /// Says how much the settings hold: `ok: 1 site, 3 rules, 1 origin`.
    pub fn summary(&self) -> String {
        let count = |count: usize, name: &str| format!("{count} {name}{}", if count == 1 { "" } else { "s" });
        let mut origins: Vec<&str> = self.sites.iter().map(|site| &*site.origin.url).collect();
        origins.sort_unstable();
        origins.dedup();
        let [sites, rules, origins] =
            [count(self.sites.len(), "site"), count(self.rules, "rule"), count(origins.len(), "origin")];
        format!("ok: {sites}, {rules}, {origins}")
    }
}
