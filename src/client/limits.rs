//! Limits the number of connections at once, in all and from one address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{Options, refusal::Refusal, trusted::TrustedProxies};
use crate::message::StatusCode;

/// Counts the open connections. Shared by all workers.
pub(super) struct Admissions {
    most: usize,
    most_per_address: usize,
    trusted: TrustedProxies,
    open: AtomicUsize,
    /// Empty if there is no limit for one address.
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

/// The place of one connection. Dropping it gives the place back.
pub(super) struct Admission {
    admissions: Arc<Admissions>,
    _address: Option<Place>,
}

/// The place of one connection among those of its address. Dropping it gives the place back.
pub(super) struct Place {
    admissions: Arc<Admissions>,
    address: IpAddr,
}

/// The limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Connections,
    Address,
}

impl Full {
    pub fn refusal(self) -> Refusal {
        match self {
            Full::Connections => {
                Refusal { status: StatusCode::SERVICE_UNAVAILABLE, detail: "Too many connections are open." }
            }
            Full::Address => Refusal {
                status: StatusCode::TOO_MANY_REQUESTS,
                detail: "Too many connections are open from this address.",
            },
        }
    }
}

impl Admissions {
    pub fn new(options: &Options) -> Arc<Admissions> {
        Arc::new(Admissions {
            most: options.max_connections.max(1),
            most_per_address: options.max_connections_per_address,
            trusted: options.trusted_proxies.clone(),
            open: AtomicUsize::new(0),
            addresses: Mutex::default(),
        })
    }

    /// Returns the limit for all connections.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Admits a connection of `peer`. The limit for each address does not hold for a trusted proxy.
    pub fn admit(self: &Arc<Admissions>, peer: Option<IpAddr>) -> Result<Admission, Full> {
        let taken =
            self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| (open < self.most).then_some(open + 1));
        taken.map_err(|_| Full::Connections)?;
        // dropping it gives back the place in the total
        let mut admission = Admission { admissions: self.clone(), _address: None };
        if let Some(peer) = peer.filter(|peer| !self.trusted.contains(*peer)) {
            admission._address = admission.place_of(peer)?;
        }
        Ok(admission)
    }

    /// Counts one more connection of this address. Returns `None` if there is no limit for one address.
    fn place(self: &Arc<Admissions>, address: IpAddr) -> Result<Option<Place>, Full> {
        if self.most_per_address == 0 {
            return Ok(None);
        }
        let address = network(address);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let open = addresses.entry(address).or_default();
        if *open >= self.most_per_address {
            return Err(Full::Address);
        }
        *open += 1;
        Ok(Some(Place { admissions: self.clone(), address }))
    }
}

impl Admission {
    /// Counts the connection as one of this address, too.
    pub fn place_of(&self, address: IpAddr) -> Result<Option<Place>, Full> {
        self.admissions.place(address)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.admissions.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let address = self.address;
        let mut addresses = self.admissions.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = addresses.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                addresses.remove(&address);
            }
        }
    }
}

/// Returns the network that counts as one address: with IPv6 a /64, which is what one customer has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admissions(total: usize, per_address: usize) -> Arc<Admissions> {
        Admissions::new(&Options {
            max_connections: total,
            max_connections_per_address: per_address,
            ..Options::default()
        })
    }

    #[test]
    fn a_place_that_is_given_back_can_be_taken_again() {
        let admissions = admissions(2, 0);
        let peer = Some(IpAddr::from([127, 0, 0, 1]));
        let first = admissions.admit(peer).ok();
        let _second = admissions.admit(peer).ok();
        assert_eq!(admissions.admit(peer).err(), Some(Full::Connections));
        drop(first);
        assert!(admissions.admit(peer).is_ok());
    }

    #[test]
    fn one_address_at_its_limit_leaves_room_for_others() {
        let admissions = admissions(10, 1);
        let _first = admissions.admit(Some(IpAddr::from([127, 0, 0, 1]))).ok();
        assert_eq!(admissions.admit(Some(IpAddr::from([127, 0, 0, 1]))).err(), Some(Full::Address));
        assert_eq!(admissions.open.load(Ordering::Relaxed), 1, "a refused connection keeps no place");
        assert!(admissions.admit(Some(IpAddr::from([127, 0, 0, 2]))).is_ok());
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let v6 = |text: &str| network(text.parse().unwrap());
        assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:1"));
        assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
        assert_eq!(v6("::ffff:10.0.0.1"), v6("10.0.0.1"));
    }
}
