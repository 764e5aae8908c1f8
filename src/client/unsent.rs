//! How many bytes the kernel still holds for a client: /proc/net/tcp and tcp6.
//!
//! The kernel calls a socket writable only when much of its buffer is free. A client that reads slowly looks for a long time
//! like one that does not read. Its queue tells them apart: it shrinks. (There is an ioctl for it, SIOCOUTQ, which no safe
//! crate offers.)

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::net::TcpStream;

/// The bytes that wait in the send queues of all TCP sockets, by local and remote address. Bytes that the network has taken
/// wait there until the other side acknowledges them.
#[derive(Debug, Default)]
pub(super) struct Queues(HashMap<(SocketAddr, SocketAddr), u64>);

impl Queues {
    /// Reads the kernel's tables. Where they cannot be read, no queue is known.
    pub fn read() -> Queues {
        let tables =
            ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
        Queues(tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(line).collect())
    }

    /// Returns the bytes that wait for this connection's client; `None`: that is not known.
    pub fn of(&self, io: &TcpStream) -> Option<u64> {
        let ends = (canonical(io.local_addr().ok()?), canonical(io.peer_addr().ok()?));
        self.0.get(&ends).copied()
    }
}

/// Parses a line of the table: the addresses of both ends, and the length of the send queue in bytes.
fn line(line: &str) -> Option<((SocketAddr, SocketAddr), u64)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (address(words.next()?)?, address(words.next()?)?);
    let (unsent, _) = words.nth(1)?.split_once(':')?;
    Some(((local, remote), u64::from_str_radix(unsent, 16).ok()?))
}

/// Parses `0100007F:0BB8`. Each four bytes of the address are a number in the machine's own order.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(8 * at..8 * at + 8)?, 16).ok()?.to_ne_bytes());
    let ip: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let bytes = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()
        }
        _ => return None,
    };
    Some(canonical(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?)))
}

/// An IPv4 address has one form, also on an IPv6 socket.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn lines_of_the_kernels_table_are_read() {
        for (text, ends, unsent) in [
            (
                "   0: 0100007F:0BB8 0200000A:D431 01 0001F400:00000000 01:00000014 00000000     0        0 1 1",
                ("127.0.0.1:3000", "10.0.0.2:54321"),
                0x1f400,
            ),
            (
                "  12: 00000000000000000000000001000000:0BB8 0000000000000000FFFF00000200000A:D431 01 00000001:00000000",
                ("[::1]:3000", "10.0.0.2:54321"),
                1,
            ),
        ] {
            let ends = (ends.0.parse().unwrap(), ends.1.parse().unwrap());
            assert_eq!(line(text), Some((ends, unsent)), "{text}");
        }
        for bad in
            ["", "  sl  local_address rem_address", "0: 0100007F 0:0 01 0:0", "0: 0100007F:0BB8 0100007F:0BB8 01 x:0"]
        {
            assert_eq!(line(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn the_queue_of_a_client_that_does_not_read_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _silent = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut io, _) = listener.accept().unwrap();
        io.set_nonblocking(true).unwrap();
        while io.write(&[0; 64 << 10]).is_ok() {}
        let io = TcpStream::from_std(io).unwrap();
        let unsent = Queues::read().of(&io);
        assert!(unsent.is_some_and(|unsent| unsent > 0), "{unsent:?}");
    }
}
