//! Opens new connections: the addresses of the origin's name are tried side by side, then TLS where there is TLS.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::{
    errors::{OriginError, has_no_descriptor},
    names::Found,
    options::Prepared,
    transport::Transport,
};

/// How long an address has before the next one is tried beside it (RFC 8305 §5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Opens a connection to the origin. Where its addresses were known before and none of them can be used, the name is looked
/// up anew at once: it may have moved.
pub(super) async fn dial(origin: Prepared) -> Result<Transport, OriginError> {
    let host = unbracketed(&origin.options.host);
    let found = origin.names.find(host).await?;
    let mut doubt = Doubt { origin: &origin, host, found: Some(&found).filter(|found| found.remembered) };
    let mut opened = open(&origin, &found.addresses).await;
    if found.remembered && opened.as_ref().is_err_and(|error| *error != OriginError::Exhausted) {
        match origin.names.find_anew(host, &found).await {
            Ok(anew) if anew.addresses != found.addresses => opened = open(&origin, &anew.addresses).await,
            Err(error @ OriginError::Resolve(_)) => opened = Err(error),
            _ => {}
        }
    }
    doubt.found = None;
    opened
}

/// Has the name looked up anew where a connection to remembered addresses is given up because it takes too long.
struct Doubt<'a> {
    origin: &'a Prepared,
    host: &'a str,
    found: Option<&'a Found>,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some(found) = self.found {
            let _ = self.origin.names.doubt(self.host, found);
        }
    }
}

async fn open(origin: &Prepared, addresses: &[IpAddr]) -> Result<Transport, OriginError> {
    let host = unbracketed(&origin.options.host);
    let found = addresses.iter().map(|address| SocketAddr::from((*address, origin.options.port))).collect();
    let addresses = if origin.options.allow_link_local { found } else { without_link_local(host, found)? };
    let tcp = first_to_connect(addresses).await.map_err(|(address, error)| {
        let Some(address) = address else { return OriginError::Resolve(format!("{host} has no address")) };
        let why = format!("{address}: {error}");
        match error.kind() {
            io::ErrorKind::ConnectionRefused => OriginError::Refused(address.to_string()),
            _ if has_no_descriptor(&error) => OriginError::Exhausted,
            _ => OriginError::Unreachable(why),
        }
    })?;
    Ok(match &origin.tls {
        None => Box::new(tcp),
        Some(tls) => Box::new(tls.handshake(tcp).await?),
    })
}

/// Is it link-local, or where a cloud tells its machines their credentials? No site is there, and whoever answers for the
/// origin's name could lead Larder to it.
pub fn is_link_local(address: IpAddr) -> bool {
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address == METADATA,
    }
}

/// The addresses that may be connected to. Fails where there were others only.
fn without_link_local(host: &str, mut addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, OriginError> {
    let Some(first) = addresses.first().map(SocketAddr::ip) else { return Ok(addresses) };
    addresses.retain(|address| !is_link_local(address.ip()));
    if addresses.is_empty() { Err(OriginError::LinkLocal(format!("{host} is {first}"))) } else { Ok(addresses) }
}

/// An IPv6 address as look-ups and TLS want it.
pub(super) fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Tries the addresses in their order, each a moment after the one before or at once when that failed.
async fn first_to_connect(addresses: Vec<SocketAddr>) -> Result<TcpStream, (Option<SocketAddr>, io::Error)> {
    let mut rest = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut failed = (None, io::ErrorKind::NotFound.into());
    loop {
        let more = match rest.next() {
            Some(address) => {
                attempts.spawn(async move {
                    let tcp = TcpStream::connect(address).await.map_err(|error| (Some(address), error))?;
                    tcp.set_nodelay(true).map_err(|error| (Some(address), error))?;
                    Ok(tcp)
                });
                true
            }
            None => false,
        };
        let delay = if more && rest.len() > 0 { ATTEMPT_DELAY } else { Duration::MAX };
        match timeout(delay, attempts.join_next()).await {
            Ok(Some(Ok(Ok(tcp)))) => return Ok(tcp),
            Ok(Some(Ok(Err(error)))) => failed = error,
            Ok(Some(Err(_))) | Err(_) => {}
            Ok(None) => return Err(failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Ipv4Addr, TcpListener},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use socket2::{Domain, Socket, Type};

    use super::*;
    use crate::origin::{Options, Origin, names::Names};

    fn run<T>(test: impl Future<Output = T>) -> T {
        actix_rt::System::new().block_on(test)
    }

    fn refusing() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    /// Answers no more: its queue is full. Holds the sockets that make it so.
    fn silent() -> (SocketAddr, Vec<Socket>) {
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let listener = socket();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut sockets = vec![listener];
        for _ in 0..4 {
            let waiting = socket();
            waiting.set_nonblocking(true).unwrap();
            let _ = waiting.connect(&address);
            sockets.push(waiting);
        }
        (address.as_socket().unwrap(), sockets)
    }

    #[test]
    fn an_address_that_refuses_or_says_nothing_does_not_keep_the_next_one_from_being_tried() {
        let there = TcpListener::bind("127.0.0.1:0").unwrap();
        let (silent, _sockets) = silent();
        let addresses = vec![refusing(), silent, there.local_addr().unwrap()];
        let tcp = run(async { timeout(Duration::from_secs(10), first_to_connect(addresses)).await }).unwrap().unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), there.local_addr().unwrap());
        assert!(tcp.nodelay().unwrap());
    }

    #[test]
    fn a_connection_that_takes_too_long_to_a_remembered_address_has_the_name_looked_up_anew() {
        let (silent, _sockets) = silent();
        let options = Options { host: "origin.test".to_owned(), ..crate::origin::tests::options(silent) };
        let looked_up = Arc::new(AtomicUsize::new(0));
        let counted = looked_up.clone();
        let names = Names::resolved_by(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(vec![silent.ip()])
        });
        let prepared = Prepared { names, ..Origin::prepare(options).unwrap() };
        run(async {
            prepared.names.find("origin.test").await.unwrap();
            assert!(timeout(Duration::from_millis(30), dial(prepared)).await.is_err());
            let again = async {
                while looked_up.load(Ordering::SeqCst) < 2 {
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_secs(10), again).await.expect("no further look-up");
        });
    }

    #[test]
    fn link_local_and_metadata_addresses_are_dropped_in_every_form_and_none_beside_them() {
        let (ours, theirs) = (
            [
                "169.254.0.0",
                "169.254.169.254",
                "169.254.255.255",
                "fe80::1",
                "febf::1",
                "fd00:ec2::254",
                "::ffff:169.254.1.1",
            ],
            [
                "169.253.255.255",
                "169.255.0.0",
                "10.0.0.1",
                "127.0.0.1",
                "::1",
                "fec0::1",
                "fd00:ec2::253",
                "::ffff:10.0.0.1",
            ],
        );
        let at = |text: &&str| SocketAddr::from((text.parse::<IpAddr>().unwrap(), 80));
        let error = without_link_local("a.example", ours.iter().map(at).collect()).unwrap_err();
        assert_eq!(error, OriginError::LinkLocal("a.example is 169.254.0.0".to_owned()));
        let left: Vec<SocketAddr> = theirs.iter().map(at).collect();
        assert_eq!(without_link_local("a.example", ours.iter().chain(&theirs).map(at).collect()), Ok(left));
        assert_eq!(without_link_local("a.example", Vec::new()), Ok(Vec::new()));
    }

    #[test]
    fn where_no_address_answers_the_last_one_is_told() {
        let (first, last) = (refusing(), refusing());
        let (address, error) = run(first_to_connect(vec![first, last])).unwrap_err();
        assert_eq!((address, error.kind()), (Some(last), io::ErrorKind::ConnectionRefused));
        assert_eq!(run(first_to_connect(Vec::new())).unwrap_err().0, None);
    }
}
