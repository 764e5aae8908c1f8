//! Checks at the start: whether an origin is Larder itself, whether each answers, and whether its certificate counts.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket},
    sync::mpsc,
    time::Duration,
};

use futures_util::future::join_all;

use crate::{
    announce::Reached,
    clock,
    config::{self, Config},
    origin::Prepared,
    units::show_took,
};

/// How long the start waits for the addresses of an origin that has Larder's own port.
const LOOK_UP: Duration = Duration::from_secs(1);

/// How long another address of such an origin has to accept a connection.
const CONNECT: Duration = Duration::from_millis(250);

/// Returns true if requests to the origin would come back to the address that Larder listens on.
pub(super) fn is_larder_itself(origin: &config::Origin, listening: SocketAddr) -> bool {
    if origin.port != listening.port() {
        return false;
    }
    let addresses = addresses(origin.host.trim_matches(['[', ']']));
    let is_own = |address: &IpAddr| is_own(*address, listening.ip(), is_of_this_machine);
    // an application may listen on the other address of localhost
    let is_elsewhere = |address: &IpAddr| TcpStream::connect_timeout(&(*address, origin.port).into(), CONNECT).is_ok();
    let (own, others): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(is_own);
    !own.is_empty() && !others.iter().any(is_elsewhere)
}

/// Says that the origin of this URL is Larder itself, and what to do.
pub(super) fn words_for_itself(url: &str) -> String {
    format!("{url} is the address that Larder itself listens on; name the site's own, or choose another --port")
}

/// Returns the addresses of a host, or none if the look-up takes too long.
fn addresses(host: &str) -> Vec<IpAddr> {
    if let Ok(address) = host.parse() {
        return vec![address];
    }
    let (found, addresses) = mpsc::channel();
    let host = host.to_owned();
    let look_up = move || {
        let resolved = (host.as_str(), 0).to_socket_addrs().map(|all| all.map(|address| address.ip()).collect());
        let _ = found.send(resolved.unwrap_or_default());
    };
    let thread = std::thread::Builder::new().name("look-up".to_owned()).spawn(look_up);
    thread.ok().and_then(|_| addresses.recv_timeout(LOOK_UP).ok()).unwrap_or_default()
}

/// Returns true if a connection to `address` reaches the program that listens on `listening`, on the same port.
fn is_own(address: IpAddr, listening: IpAddr, is_of_this_machine: impl Fn(IpAddr) -> bool) -> bool {
    // a connection to the unspecified address goes to this machine
    let address = match address.to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    match listening.to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.is_ipv4() && is_of_this_machine(address),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => is_of_this_machine(address),
        listening => listening == address,
    }
}

fn is_of_this_machine(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// Logs a warning if certificates are not checked.
pub(super) fn warn_of_insecure(config: &Config) {
    let sites = &config.sites;
    if !sites.iter().any(|site| site.origin_client.insecure) {
        return;
    }
    match (sites.iter().any(|site| site.origin.https), &sites[..]) {
        (true, _) => log::warn!(
            "--origin-insecure: the origin's certificate is not checked; anybody between Larder and the origin can read \
             and change everything"
        ),
        (false, [site]) => log::warn!("--origin-insecure has no effect: {} is not https", site.origin.url),
        (false, _) => log::warn!("--origin-insecure has no effect: no origin is https"),
    }
}

/// Connects to each origin once, by TCP and TLS alone. `origins`: their URLs and clients.
pub(super) async fn reached(origins: &[(String, Prepared)]) -> Reached {
    let began = clock::instant();
    let all = join_all(origins.iter().map(|(_, origin)| origin.reach())).await;
    let failed: Vec<String> = all
        .into_iter()
        .zip(origins)
        .filter_map(|(reached, (url, _))| {
            let error = reached.err()?;
            Some(if origins.len() > 1 { format!("{url}: {error}") } else { error.to_string() })
        })
        .collect();
    match failed.is_empty() {
        true => Reached::Yes(clock::instant().duration_since(began)),
        false => Reached::No(failed.join("\n")),
    }
}

/// Logs whether the origins answer, if the start-up lines could not say it, and why one does not.
pub(super) fn log_reached(reached: &Reached, was_announced: bool) {
    match reached {
        Reached::No(errors) => errors
            .lines()
            .for_each(|error| log::warn!("cannot reach the origin: {error}; only cached responses can be served")),
        Reached::Yes(took) if !was_announced => log::info!("the origin answers, {}", show_took(*took)),
        Reached::Yes(_) | Reached::Unknown => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_larders_own_if_a_connection_to_it_reaches_the_listener() {
        let is_ours = |address: IpAddr| ["127.0.0.1", "127.0.0.2", "::1", "10.0.0.5"].contains(&&*address.to_string());
        for (address, listening, own) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
            ("0.0.0.0", "127.0.0.1", true),
            ("127.0.0.2", "127.0.0.1", false),
            ("10.0.0.5", "127.0.0.1", false),
            ("10.0.0.5", "0.0.0.0", true),
            ("127.0.0.2", "0.0.0.0", true),
            ("10.0.0.6", "0.0.0.0", false),
            ("::1", "0.0.0.0", false),
            ("::1", "::", true),
            ("::", "::1", true),
            ("10.0.0.5", "::", true),
            ("2001:db8::1", "::", false),
        ] {
            let [address, of_listener] = [address, listening].map(|text| text.parse::<IpAddr>().unwrap());
            assert_eq!(is_own(address, of_listener, is_ours), own, "{address} {listening}");
        }
    }

    #[test]
    fn an_origin_with_another_port_or_another_listener_is_not_larder_itself() {
        let at = |url: &str, listening: &str| {
            is_larder_itself(&config::Origin::parse(url).unwrap(), listening.parse().unwrap())
        };
        assert!(at("http://127.0.0.1:3000", "127.0.0.1:3000") && at("https://0.0.0.0:3000/a", "127.0.0.1:3000"));
        assert!(at("http://[::1]:3000", "[::1]:3000"));
        assert!(!at("http://127.0.0.1:3001", "127.0.0.1:3000") && !at("http://[::1]:3000", "127.0.0.1:3000"));
        assert!(!at("http://nosuch.invalid:3000", "127.0.0.1:3000"));
    }
}
