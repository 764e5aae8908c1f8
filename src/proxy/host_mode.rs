//! Decides which Host the origin gets.

/// Which Host the origin gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostMode {
    /// The client's Host. The origin is an application beside Larder, and builds its URLs from this Host.
    Client,
    /// The origin's own Host. Larder is a client of somebody's site.
    Origin,
    /// The Host given here. All else is as with `Origin`.
    Named(String),
}

impl HostMode {
    /// Returns the mode for `--host-header auto`: `Client` if the origin's host is an address or a private name, else
    /// `Origin`. `host` is in lower case; an IPv6 address has brackets.
    pub fn of_origin(host: &str) -> HostMode {
        const OWN: [&str; 7] = [".localhost", ".local", ".internal", ".lan", ".test", ".home.arpa", ".svc"];
        let name = host.trim_end_matches('.');
        let is_address = name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok();
        // a Kubernetes service: name.namespace.svc, with or without the domain of its cluster
        let is_own = !name.contains('.') || name.contains(".svc.") || OWN.iter().any(|end| name.ends_with(end));
        if is_address || is_own { HostMode::Client } else { HostMode::Origin }
    }

    /// Returns the word of `--host-header`.
    pub fn as_str(&self) -> &str {
        match self {
            HostMode::Client => "client",
            HostMode::Origin => "origin",
            HostMode::Named(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w20_auto_is_client_for_addresses_and_names_of_a_network_of_ones_own() {
        for own in [
            "127.0.0.1",
            "192.0.2.7",
            "[::1]",
            "[2001:db8::1]",
            "localhost",
            "app",
            "my_service",
            "app.localhost",
            "printer.local",
            "app.internal",
            "nas.lan",
            "origin.test",
            "router.home.arpa",
            "web.shop.svc",
            "web.shop.svc.cluster.local",
            "web.shop.svc.example.com",
            "app.internal.",
        ] {
            assert_eq!(HostMode::of_origin(own), HostMode::Client, "{own}");
        }
        for site in
            ["example.com", "dummyjson.com", "www.local.example.com", "mylocal.com", "svc.example.com", "lan.de"]
        {
            assert_eq!(HostMode::of_origin(site), HostMode::Origin, "{site}");
        }
    }
}
