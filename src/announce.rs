//! The lines that Larder prints when it starts.

use std::net::SocketAddr;

use crate::{
    config::Config,
    policy,
    units::{show_duration, show_responses, show_size},
};

/// What the store holds when Larder starts, as far as that is already known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Holdings {
    /// The bytes that the cache folder occupies.
    pub disk: Option<u64>,
    /// The number of stored responses.
    pub responses: Option<u64>,
}

/// Returns the lines for stderr. `listening` are the addresses that are bound.
pub fn announce(config: &Config, listening: &[SocketAddr], holdings: Holdings) -> Vec<String> {
    let mut lines = Vec::new();
    for address in listening {
        lines.push(format!("larder {} listening on http://{address}", env!("CARGO_PKG_VERSION")));
    }
    lines.push(format!("origin: {}", config.origin.url));
    lines.push(caches(&config.policy));
    lines.push(store(config, holdings));
    lines.push(without_freshness(&config.policy));
    if listening.iter().any(|address| !address.ip().is_loopback()) && config.allow_hosts.is_empty() {
        lines.push(
            "note: other machines can reach this port; --allow-host limits which host names are served".to_owned(),
        );
    }
    lines
}

fn caches(policy: &policy::Options) -> String {
    let mut line = "caches: answers to GET, HEAD and QUERY, as far as RFC 9111 allows".to_owned();
    line.push_str(match policy.strict {
        true => "; to the letter (--strict)",
        false => "; those with Set-Cookie only where the origin says public or s-maxage, and without the cookie",
    });
    if !policy.strict && !policy.client_reload {
        line.push_str("; a client's reload is answered from the cache (--client-reload changes that)");
    }
    line
}

fn store(config: &Config, holdings: Holdings) -> String {
    let options = &config.store;
    let mut line = format!("store: {}", options.folder.display());
    if let Some(responses) = holdings.responses {
        line.push_str(&format!(", {}", show_responses(responses)));
    }
    if let Some(disk) = holdings.disk {
        line.push_str(&format!(", {} in use", show_size(disk)));
    }
    line.push_str(&format!(
        "; at most {} on disk, {} in memory, {} for one body",
        show_size(options.disk),
        show_size(options.memory),
        show_size(options.max_object)
    ));
    line
}

fn without_freshness(policy: &policy::Options) -> String {
    let ttl = std::time::Duration::from_secs(policy.default_ttl.0);
    let cookies = if policy.ignore_cookies { "Authorization or a key" } else { "Cookie, Authorization or a key" };
    match (policy.strict, ttl.is_zero()) {
        (true, _) => "no freshness in an answer: a tenth of its age since Last-Modified; without one it is not reused unvalidated".to_owned(),
        (false, true) => format!(
            "no freshness in an answer: a tenth of its age since Last-Modified, never for requests with {cookies} (--default-ttl is 0s)"
        ),
        (false, false) => format!(
            "no freshness in an answer: a tenth of its age since Last-Modified, or {} without one, never for requests with {cookies} (--default-ttl)",
            show_duration(ttl)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::Arguments,
        config::{Surroundings, Task},
    };

    fn lines(words: &[&str], listening: &str, holdings: Holdings) -> Vec<String> {
        let arguments =
            Arguments::read([&["larder", "--origin", "https://a.example/v2", "--cache-dir", "/c"], words].concat())
                .unwrap();
        match Task::new(&arguments, &Surroundings::default()).unwrap() {
            Task::Serve(config) => announce(&config, &[listening.parse().unwrap()], holdings),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_says_where_what_and_how() {
        let lines = lines(&[], "127.0.0.1:3000", Holdings { disk: Some(5 << 20), responses: Some(17) });
        assert_eq!(lines[0], format!("larder {} listening on http://127.0.0.1:3000", env!("CARGO_PKG_VERSION")));
        assert_eq!(lines[1], "origin: https://a.example/v2");
        assert!(lines[2].starts_with("caches: answers to GET, HEAD and QUERY"), "{}", lines[2]);
        assert_eq!(
            lines[3],
            "store: /c, 17 stored responses, 5 MiB in use; at most 10 GiB on disk, 256 MiB in memory, 2.5 GiB for one body"
        );
        assert!(
            lines[4].contains("or 1h without one, never for requests with Cookie, Authorization or a key"),
            "{}",
            lines[4]
        );
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn it_says_only_what_is_known_and_true() {
        let unknown = lines(&["--default-ttl", "0s", "--ignore-cookies"], "[::1]:81", Holdings::default());
        let one = lines(&[], "[::1]:81", Holdings { disk: None, responses: Some(1) });
        assert!(one[3].starts_with("store: /c, 1 stored response;"), "{}", one[3]);
        assert_eq!(unknown[3], "store: /c; at most 10 GiB on disk, 256 MiB in memory, 2.5 GiB for one body");
        assert!(unknown[4].contains("requests with Authorization or a key (--default-ttl is 0s)"), "{}", unknown[4]);
        let strict = lines(&["--strict"], "127.0.0.1:81", Holdings::default());
        assert!(strict[2].ends_with("to the letter (--strict)") && !strict[4].contains("1h"), "{strict:?}");
    }

    #[test]
    fn a_port_that_other_machines_reach_is_pointed_out() {
        assert!(lines(&[], "0.0.0.0:3000", Holdings::default())[5].starts_with("note: other machines"));
        assert_eq!(lines(&["--allow-host", "a"], "0.0.0.0:3000", Holdings::default()).len(), 5);
    }
}
