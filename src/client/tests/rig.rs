//! A server on port 0 with a small core behind it, and a raw client.

use std::{
    future::poll_fn,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use actix_server::ServerHandle;

use crate::{
    client::{Counters, Options, Presented, Reply, ReplyBody, RequestBody, Trailers, run},
    message::{Fields, StatusCode},
};

/// Patience of the raw client: nothing in the tests takes as long.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Server {
    pub address: SocketAddr,
    pub counters: Arc<Counters>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// One worker that answers with `core`.
    pub fn start<F>(options: Options, core: impl Fn(Presented) -> F + Clone + Send + 'static) -> Server
    where
        F: Future<Output = Reply> + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let options = Options { workers: 1, ..options };
        let counters = options.counters.clone();
        let (started, handle) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_rt::System::new().block_on(async move {
                let server = run(vec![listener], options, move || core.clone()).unwrap();
                started.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Server { address, counters, handle: handle.recv().unwrap(), thread: Some(thread) }
    }

    pub fn connect(&self) -> Client {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { socket, seen: Vec::new() }
    }

    /// Sends all of this on a connection of its own and returns what came back until its end.
    pub fn ask(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        client.send(bytes);
        client.rest().text
    }

    /// Begins a graceful stop without waiting for it.
    pub fn stop(&self) {
        drop(self.handle.stop(true));
    }

    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        self.join();
    }
}

pub struct Client {
    pub socket: TcpStream,
    seen: Vec<u8>,
}

/// A core that tells what it got: method, target and body.
pub async fn echo(presented: Presented) -> Reply {
    let asked = format!("{} {}", presented.method, presented.target);
    match collect(presented.body).await {
        Ok(body) => text_reply(200, format!("{asked} [{}]", text(&body))),
        Err(error) => text_reply(502, format!("{asked} {:?}", error.kind())),
    }
}

/// A core that never looks at the body.
pub async fn blind(presented: Presented) -> Reply {
    text_reply(200, format!("{} {} unread", presented.method, presented.target))
}

pub async fn collect(body: RequestBody) -> io::Result<Vec<u8>> {
    let mut pieces = body.into_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = poll_fn(|cx| pieces.as_mut().poll_next(cx)).await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}

pub fn text_reply(status: u16, body: String) -> Reply {
    let status = StatusCode::from_u16(status).unwrap();
    Reply {
        status,
        written: None,
        fields: Fields::new(),
        body: ReplyBody::Bytes(body.into()),
        trailers: Trailers::default(),
    }
}

pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// The last request of a connection.
pub fn last(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
}

/// Sends a word when it is dropped.
pub struct Tell(pub mpsc::Sender<&'static str>, pub &'static str);

impl Drop for Tell {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

/// How a connection ended, and all that came before.
#[derive(Debug, PartialEq, Eq)]
pub struct Rest {
    pub text: String,
    /// `None`: in order; `Some`: what the socket said.
    pub broken: Option<io::ErrorKind>,
}

impl Client {
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).unwrap();
    }

    pub fn end_sending(&self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads until `mark` has come, and returns everything up to and with it.
    pub fn until(&mut self, mark: &str) -> String {
        loop {
            let found = self.seen.windows(mark.len()).position(|window| window == mark.as_bytes());
            if let Some(at) = found {
                let text = self.seen.drain(..at + mark.len()).collect();
                return String::from_utf8(text).unwrap();
            }
            let mut buffer = [0; 4096];
            let read = self.socket.read(&mut buffer).unwrap();
            assert!(read > 0, "the connection ended before {mark:?}: {:?}", String::from_utf8_lossy(&self.seen));
            self.seen.extend_from_slice(&buffer[..read]);
        }
    }

    /// Reads to the connection's end.
    pub fn rest(mut self) -> Rest {
        let mut bytes = std::mem::take(&mut self.seen);
        let broken = loop {
            let mut buffer = [0; 64 << 10];
            match self.socket.read(&mut buffer) {
                Ok(0) => break None,
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
                Err(error) => break Some(error.kind()),
            }
        };
        assert_ne!(broken, Some(io::ErrorKind::WouldBlock), "the connection stays open: {:?}", text(&bytes));
        Rest { text: text(&bytes), broken }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The status codes of all final responses in `text`.
pub fn statuses(text: &str) -> Vec<u16> {
    text.match_indices("HTTP/1.").filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok()).collect()
}
