//! Request smuggling: what two parsers could read as different requests goes no further, and nothing behind it is read.
//! The names S01 to S28 are those of the project's catalogue of attacks.

mod mutations;
mod passed;
mod rejected;

use larder::config::Config;

use super::support::{Client, Origin, Proxy, respond};

/// Stands behind every attack. The origin must never see it.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: larder.test\r\n\r\n";

/// An origin that answers everything, and Larder in front of it.
struct Target {
    origin: Origin,
    proxy: Proxy,
}

fn target(flags: &[&str]) -> Target {
    tuned(flags, |_| {})
}

/// With settings that are no flags.
fn tuned(flags: &[&str], tune: impl FnOnce(&mut Config)) -> Target {
    let origin = Origin::answering(|request| respond(200, &["Cache-Control: no-store"], &request.target));
    let proxy = Proxy::tuned(&origin, flags, tune);
    Target { origin, proxy }
}

impl Target {
    /// Sends an attack, a request behind it, and expects one answer with this status and the end of the connection.
    fn refuses(&self, name: &str, attack: &[u8], status: u16) {
        let mut client = Client::connect(self.proxy.address);
        // the connection may be at its end before everything is sent
        let _ = client.try_send([attack, SMUGGLED.as_bytes()].concat());
        let heard = String::from_utf8_lossy(&client.rest()).into_owned();
        let heads = heard.lines().filter(|line| line.starts_with("HTTP/1.1 ")).count();
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")) && heads == 1, "{name}: {status}, but: {heard:?}");
        assert!(heard.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{name}: {heard:?}");
        let seen = self.origin.heads();
        assert!(seen.is_empty(), "{name}: the origin saw {:?}", String::from_utf8_lossy(&seen[0]));
    }

    /// A request that comes last: behind it nothing of an attack can be under way any more.
    fn is_untouched(&self) {
        assert_eq!(self.proxy.get("/last").text(), "/last");
        let seen = self.origin.heads();
        assert!(
            seen.len() == 1 && seen[0].starts_with(b"GET /last "),
            "{:?}",
            seen.concat().escape_ascii().to_string()
        );
    }
}
