//! A raw blocking client: it sends the bytes it is told to, and tells how each message ended.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    thread::JoinHandle,
    time::Duration,
};

use socket2::{Domain, SockRef, Socket, Type};

use super::{CANARY, PATIENCE, message};

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its framing says that it is whole.
    Whole,
    /// It had no framing; the connection was closed in order.
    Closed,
    /// The connection was closed before the framing's end.
    Cut,
    /// The connection was reset, or the framing is broken.
    Broken,
}

#[derive(Debug, Clone)]
pub struct Response {
    /// Status and fields of the 1xx responses before it.
    pub interim: Vec<(u16, Vec<(String, String)>)>,
    /// The final head, byte for byte.
    pub head: Vec<u8>,
    pub status: u16,
    pub fields: Vec<(String, String)>,
    /// Content, without its framing.
    pub body: Vec<u8>,
    pub end: End,
}

impl Response {
    pub fn field(&self, name: &str) -> Option<&str> {
        message::field(&self.fields, name)
    }

    /// The values of all lines of this name.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let same = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What Larder says in Cache-Status: the last member.
    pub fn cache_status(&self) -> &str {
        self.values("Cache-Status").last().copied().unwrap_or("(none)")
    }

    /// The reason in Cache-Status.
    pub fn detail(&self) -> &str {
        self.cache_status().split("detail=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("(none)")
    }

    /// The X-Cache word.
    pub fn x_cache(&self) -> &str {
        self.field("X-Cache").unwrap_or("(none)")
    }
}

/// A request without a body, with Host and a field that nobody may see. `fields`: lines without their line ends.
pub fn request(method: &str, target: &str, fields: &[&str]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: larder.test\r\nX-Canary: {CANARY}\r\n");
    for field in fields {
        head.push_str(&format!("{field}\r\n"));
    }
    format!("{head}\r\n").into_bytes()
}

/// One connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect(address).unwrap())
    }

    /// Connects from this address of the loopback network.
    pub fn connect_from(source: [u8; 4], address: SocketAddr) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(IpAddr::from(source), 0).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Client::over(socket.into())
    }

    /// Connects as a small device over a network: its kernel takes little at a time, and on loopback megabytes.
    pub fn connect_as_from_afar(address: SocketAddr) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_tcp_mss(1400).unwrap();
        socket.set_recv_buffer_size(32 << 10).unwrap();
        socket.connect(&address.into()).unwrap();
        Client::over(socket.into())
    }

    /// Connects as one of many; see [`hold_little`].
    pub fn connect_as_one_of_many(address: SocketAddr) -> Client {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        hold_little(SockRef::from(&socket));
        socket.connect(&address.into()).unwrap();
        Client::over(socket.into())
    }

    fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, buffer: Vec::new() }
    }

    /// Returns true if there is something to read.
    pub fn is_answered(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        !self.buffer.is_empty() || peeked.is_ok_and(|length| length > 0)
    }

    /// Gives up the connection, for whoever reads it on a runtime. Nothing of an answer was read before.
    pub fn into_stream(self) -> TcpStream {
        assert!(self.buffer.is_empty());
        self.stream
    }

    /// Panics where the other side has gone; see [`Client::try_send`].
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    pub fn get(&mut self, target: &str) -> Response {
        self.ask("GET", target, &[])
    }

    pub fn ask(&mut self, method: &str, target: &str, fields: &[&str]) -> Response {
        self.send(request(method, target, fields)).response(method)
    }

    /// Reads the answer to a request of this method. Panics where not even its head comes.
    pub fn response(&mut self, method: &str) -> Response {
        let mut response = self.head();
        self.body(method, &mut response);
        response
    }

    /// Reads up to and with the next empty line: one head, interim or not.
    pub fn raw_head(&mut self) -> Vec<u8> {
        let head = message::read_head(&mut self.stream, &mut self.buffer).expect("a response head");
        head.expect("a response, but the connection was closed")
    }

    /// Reads the interim responses and the head; the body is still to come.
    pub fn head(&mut self) -> Response {
        self.final_head(|client| Some(client.raw_head())).expect("a head")
    }

    /// The same; `None` where the connection ends before.
    pub fn try_head(&mut self) -> Option<Response> {
        self.final_head(|client| message::read_head(&mut client.stream, &mut client.buffer).ok().flatten())
    }

    fn final_head(&mut self, mut read: impl FnMut(&mut Client) -> Option<Vec<u8>>) -> Option<Response> {
        let mut interim = Vec::new();
        loop {
            let head = read(self)?;
            let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
            let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
            let status = status.unwrap_or_else(|| panic!("no status line: {line:?}"));
            let fields = message::fields(&head);
            if (100..200).contains(&status) && status != 101 {
                interim.push((status, fields));
            } else {
                return Some(Response { interim, head, status, fields, body: Vec::new(), end: End::Whole });
            }
        }
    }

    /// Reads the rest of the body of a response whose head was read.
    pub fn body(&mut self, method: &str, response: &mut Response) {
        let (stream, buffer, body) = (&mut self.stream, &mut self.buffer, &mut response.body);
        let chunked = message::field(&response.fields, "Transfer-Encoding").is_some();
        let length = message::field(&response.fields, "Content-Length").map(|length| length.parse::<usize>());
        let had = body.len();
        let (result, whole) = match length {
            _ if method == "HEAD" || matches!(response.status, 204 | 304) => (Ok(()), End::Whole),
            _ if chunked => (message::read_chunked(stream, buffer, body), End::Whole),
            Some(Ok(length)) => (message::read_exactly(stream, buffer, length - had, body), End::Whole),
            Some(Err(_)) => panic!("a Content-Length that is none"),
            None => (message::read_to_end(stream, buffer, body), End::Closed),
        };
        response.end = match result {
            Ok(()) => whole,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => End::Cut,
            Err(error) if is_timeout(&error) => panic!("no end of the body in {PATIENCE:?}"),
            Err(_) => End::Broken,
        };
    }

    /// Reads this many bytes as they come, framing and all.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        message::read_exactly(&mut self.stream, &mut self.buffer, length, &mut bytes).expect("more bytes");
        bytes
    }

    /// Waits until the other side has closed or reset the connection; what came before that.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match message::read_to_end(&mut self.stream, &mut self.buffer, &mut rest) {
            Err(error) if is_timeout(&error) => panic!("still open after {PATIENCE:?}"),
            _ => rest,
        }
    }

    /// Tells the other side that nothing more will come.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends these bytes again and again, a moment apart, until the other side has gone.
    pub fn trickle(&self, bytes: &'static [u8]) -> JoinHandle<()> {
        let mut stream = self.stream.try_clone().unwrap();
        std::thread::spawn(move || {
            while stream.write_all(bytes).is_ok() {
                std::thread::park_timeout(Duration::from_millis(10));
            }
        })
    }

    /// Leaves with a reset.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// The local address, to find the connection in logs.
    pub fn address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }
}

/// Makes the kernel hold little of a connection, on the socket before it is connected or on the listener. On loopback both
/// sides hold megabytes of each connection. A thousand of these take all the memory that the machine has for TCP, and then
/// it drops what comes in on every connection, other tests' too, and sends it again only after many seconds.
pub fn hold_little(socket: SockRef<'_>) {
    socket.set_tcp_mss(8000).unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    socket.set_send_buffer_size(64 << 10).unwrap();
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl Read for Client {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() {
            return self.stream.read(into);
        }
        let n = into.len().min(self.buffer.len());
        into[..n].copy_from_slice(&self.buffer[..n]);
        self.buffer.drain(..n);
        Ok(n)
    }
}
