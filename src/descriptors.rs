//! Open files: each connection is one. As many as the system lets the process have, shared out between clients and the
//! origin.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::config::Config;

/// What no connection ever takes: the store, the listener and the log need some.
const RESERVE: usize = 64;

/// Raises the limit of open files, and cuts the limits of connections to what it leaves room for.
pub fn share_out(config: &mut Config) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::debug!("the limit of open files stays as it is: {error}");
    }
    let files = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| files.try_into().unwrap_or(usize::MAX));
    let (workers, origin) = (config.client.workers.max(1), config.origin_client.max_connections);
    let (clients, origin) = shares(files, config.client.max_connections, workers, origin);
    config.client.max_connections = clients;
    config.origin_client.max_connections = origin;
}

/// Connections of clients in all, and to the origin of each worker, of so many files: of what is not kept in reserve the
/// origin has half at the most, for clients that cannot be answered are of no use.
fn shares(files: usize, clients: usize, workers: usize, origin: usize) -> (usize, usize) {
    let free = files.saturating_sub(RESERVE);
    let origin = origin.min(free / 2 / workers).max(1);
    let left = free.saturating_sub(origin.saturating_mul(workers));
    (clients.min(left).max(1), origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_the_origin_together_never_take_what_is_kept_in_reserve() {
        for (files, workers, expected) in [
            (usize::MAX, 2, (10_000, 256)),
            (1_000_000, 2, (10_000, 256)),
            // clients have all that the origin does not need
            (2_000, 2, (2_000 - 64 - 512, 256)),
            (1_024, 2, (480, 240)),
            (110, 2, (24, 11)),
            (1_024, 64, (512, 7)),
            // too few for anything: one by one
            (60, 2, (1, 1)),
        ] {
            assert_eq!(shares(files, 10_000, workers, 256), expected, "{files} {workers}");
        }
        assert_eq!(shares(1_024, 100, 2, 256), (100, 240));
    }
}
