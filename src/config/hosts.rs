//! The settings about identities: the Host that the origin gets, and the proxies that are believed.

use super::{
    error::ConfigError,
    origin::{self, Origin},
    reader::Reader,
};
use crate::{client::TrustedProxies, proxy::HostMode};

impl Reader<'_> {
    /// Returns which Host the origin gets.
    pub(super) fn host_mode(&self, origin: &Origin) -> Result<HostMode, ConfigError> {
        let typed = &self.arguments.host_header;
        match typed.to_ascii_lowercase().as_str() {
            "auto" => Ok(HostMode::of_origin(&origin.host)),
            "client" => Ok(HostMode::Client),
            "origin" => Ok(HostMode::Origin),
            _ => match origin::host_and_port(typed, 0) {
                Ok((host, 0)) => Ok(HostMode::Named(host)),
                Ok((host, port)) => Ok(HostMode::Named(format!("{host}:{port}"))),
                Err(_) => {
                    let expected = "expected auto, client, origin or a host name, for example app.example.com";
                    Err(self.invalid("host_header", typed, expected))
                }
            },
        }
    }

    /// Returns the proxies whose words about clients are believed.
    pub(super) fn trusted_proxies(&self) -> Result<TrustedProxies, ConfigError> {
        let mut trusted = TrustedProxies::default();
        for typed in &self.arguments.trusted_proxy {
            if !trusted.add(typed.trim()) {
                let expected = "expected an address or a network, for example 127.0.0.1 or 10.0.0.0/8";
                return Err(self.invalid("trusted_proxy", typed, expected));
            }
        }
        Ok(trusted)
    }
}
