//! The peers that are believed when they say whose request they forward.

use std::net::IpAddr;

use ipnet::IpNet;

/// The networks of `--trusted-proxy`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Adds a network (`10.0.0.0/8`) or an address. Returns false if the text is neither.
    pub fn add(&mut self, text: &str) -> bool {
        let address = || text.parse().ok().map(|address: IpAddr| IpNet::from(address.to_canonical()));
        let network: Option<IpNet> = text.parse().ok().or_else(address);
        self.0.extend(network);
        network.is_some()
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w21_a_trusted_proxy_is_an_address_or_a_network() {
        let mut trusted = TrustedProxies::default();
        for text in ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"] {
            assert!(trusted.add(text), "{text}");
        }
        for text in ["", "10.0.0.0/40", "10.0.0", "example.com", "unix:", "::1/129", "10.0.0.0/8,::1", "1.2.3.4:80"] {
            assert!(!trusted.add(text), "{text}");
        }
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "192.0.2.1", "2001:db8:1::1", "::1"] {
            assert!(trusted.contains(address.parse().unwrap()), "{address}");
        }
        for address in ["11.0.0.1", "192.0.2.2", "::2", "2001:db9::1", "127.0.0.1"] {
            assert!(!trusted.contains(address.parse().unwrap()), "{address}");
        }
    }
}
