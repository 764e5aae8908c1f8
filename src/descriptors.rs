//! Open files: each connection is one. As many as the system lets the process have, shared out between clients and the
//! origin.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::config::{Config, Site};

/// The open files that no connection takes: an eighth of all, at least and at most so many. The store needs most of them, two
/// for each database and one for each file of bodies that is read.
const RESERVE: (usize, usize) = (64, 512);

/// Raises the limit of open files, and cuts the limits of connections to what it leaves room for.
pub fn share_out(config: &mut Config) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::debug!("the limit of open files stays as it is: {error}");
    }
    let files = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| files.try_into().unwrap_or(usize::MAX));
    let of_all = |one: fn(&Site) -> usize| config.sites.iter().map(one).fold(0, usize::saturating_add);
    let wanted = Shares {
        clients: config.client.max_connections,
        connections: of_all(|site| site.origin_client.max_connections),
        streams: of_all(|site| site.origin_client.max_streams),
    };
    let shares = wanted.of(files);
    config.client.max_connections = shares.clients;
    // each site has the same part of what it wants, so that none takes the connections of another one
    let part = |wish: usize, share: usize, all: usize| (wish as u128 * share as u128 / all.max(1) as u128) as usize;
    for site in &mut config.sites {
        let client = &mut site.origin_client;
        client.max_connections = part(client.max_connections, shares.connections, wanted.connections).max(1);
        client.max_streams = part(client.max_streams, shares.streams, wanted.streams);
    }
}

/// Connections at once: of clients, to the origin, and of these the ones that carry a response for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shares {
    clients: usize,
    connections: usize,
    streams: usize,
}

impl Shares {
    /// What there is of them with so many files. Of what is not kept in reserve the origin has at most half, for clients that
    /// cannot be answered are of no use; and of that half the streams have what the other connections leave, or half of it.
    fn of(self, files: usize) -> Shares {
        let free = files.saturating_sub((files / 8).clamp(RESERVE.0, RESERVE.1));
        let origin = free / 2;
        let connections = self.connections.min(origin.saturating_sub(self.streams).max(origin / 2)).max(1);
        let streams = self.streams.min(origin.saturating_sub(connections));
        let clients = self.clients.min(free.saturating_sub(connections + streams)).max(1);
        Shares { clients, connections, streams }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_the_origin_together_never_take_what_is_kept_in_reserve() {
        let wanted = Shares { clients: 10_000, connections: 512, streams: 4096 };
        for (files, [clients, connections, streams]) in [
            (usize::MAX, [10_000, 512, 4096]),
            (1_000_000, [10_000, 512, 4096]),
            (10_000, [4_880, 512, 4096]),
            // the streams have what is left of the origin's half
            (4_096, [1_792, 512, 1_280]),
            (1_024, [448, 224, 224]),
            (110, [23, 11, 12]),
            // too few for anything: one by one
            (60, [1, 1, 0]),
        ] {
            let shares = Shares { clients, connections, streams };
            assert_eq!(wanted.of(files), shares, "{files}");
            assert!(files <= 64 || clients + connections + streams <= files - 64.max(files / 8).min(512), "{files}");
        }
        let few = Shares { clients: 100, connections: 400, streams: 10 };
        assert_eq!(few.of(1_024), Shares { connections: 400, ..few });
        assert_eq!(Shares { connections: 500, ..few }.of(1_024), Shares { connections: 438, ..few });
    }
}
