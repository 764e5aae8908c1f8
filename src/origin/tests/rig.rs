//! A scripted origin on a real socket, a thread for each connection; and the client under test.

use std::{
    cell::RefCell,
    future::Future,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout,
};

use crate::{
    message::{ConnectionScheme, FieldName, FieldValue, Fields, Method},
    origin::{Options, Origin, OriginError, OriginRequest, OriginResponse, Pieces, Upload},
};

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Runs a test in a worker's kind of runtime.
pub(super) fn run(test: impl Future<Output = ()>) {
    actix_rt::System::new().block_on(test);
}

/// What ought to happen at once; a test that waits for it in vain fails.
pub(super) async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(10), future).await.expect("it never happened")
}

/// One connection, as the origin sees it.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    /// Which connection it is, from 0.
    pub(super) nth: usize,
    buffer: Vec<u8>,
    said: UnboundedSender<String>,
    told: Arc<Mutex<Receiver<()>>>,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    said: UnboundedReceiver<String>,
    tell: Sender<()>,
}

impl Server {
    /// Runs `serve` for each connection.
    pub(super) fn new(serve: impl Fn(Peer) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (speak, said) = unbounded_channel();
        let (tell, told) = channel();
        let (count, serve, told) = (connections.clone(), Arc::new(serve), Arc::new(Mutex::new(told)));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                let nth = count.fetch_add(1, Ordering::SeqCst);
                let peer = Peer { stream, nth, buffer: Vec::new(), said: speak.clone(), told: told.clone() };
                let serve = serve.clone();
                thread::spawn(move || serve(peer));
            }
        });
        Server { address, connections, said, tell }
    }

    /// Answers every request with these bytes; a `!` at their end closes the connection.
    pub(super) fn answering(answer: impl Into<Vec<u8>>) -> Server {
        let answer = answer.into();
        Server::new(move |mut peer| {
            while peer.head().is_some() {
                match answer.strip_suffix(b"!") {
                    Some(answer) => {
                        peer.send(answer);
                        return;
                    }
                    None => peer.send(&answer),
                }
            }
        })
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What a peer said next.
    pub(super) async fn heard(&mut self) -> String {
        soon(self.said.recv()).await.unwrap()
    }

    /// Lets one peer that waits go on.
    pub(super) fn go_on(&self) {
        self.tell.send(()).unwrap();
    }

    pub(super) fn teller(&self) -> Sender<()> {
        self.tell.clone()
    }

    pub(super) fn options(&self) -> Options {
        options(self.address)
    }

    pub(super) fn client(&self) -> Client {
        Client::new(self.options())
    }
}

impl Peer {
    fn fill(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        let n = self.stream.read(&mut bytes).unwrap_or(0);
        self.buffer.extend_from_slice(&bytes[..n]);
        n > 0
    }

    /// The next request head, empty line included; each byte a char.
    pub(super) fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                return Some(self.buffer.drain(..end + 4).map(char::from).collect());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    pub(super) fn take(&mut self, n: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < n {
            if !self.fill() {
                return None;
            }
        }
        Some(self.buffer.drain(..n).collect())
    }

    pub(super) fn until(&mut self, end: &[u8]) -> Vec<u8> {
        while !self.buffer.ends_with(end) && self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// Whatever comes until the other side closes.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    pub(super) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    pub(super) fn say(&self, words: impl Into<String>) {
        let _ = self.said.send(words.into());
    }

    /// For saying something after the connection is gone.
    pub(super) fn voice(&self) -> UnboundedSender<String> {
        self.said.clone()
    }

    /// Until the test says to go on, or is over.
    pub(super) fn wait(&self) {
        let _ = self.told.lock().unwrap().recv();
    }

    pub(super) fn half_close(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes with a TCP reset.
    pub(super) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

pub(in crate::origin) fn options(address: SocketAddr) -> Options {
    Options {
        https: false,
        host: address.ip().to_string(),
        port: address.port(),
        allow_link_local: false,
        ca: None,
        insecure: false,
        connect_timeout: Duration::from_secs(5),
        first_byte_timeout: Duration::from_secs(20),
        between_bytes_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(60),
        settle: Duration::ZERO,
        max_age: Duration::from_secs(60),
        max_connections: 64,
        max_streams: 64,
        max_head: 64 * 1024,
        max_fields: 200,
    }
}

/// A response read to its end.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) fields: Fields,
    pub(super) length: Option<u64>,
    pub(super) bound: Option<ConnectionScheme>,
    pub(super) body: Result<Vec<u8>, OriginError>,
    pub(super) interims: Vec<u16>,
}

impl Got {
    #[track_caller]
    pub(super) fn is(&self, status: u16, body: &str) {
        let want = (status, Ok(body.as_bytes()));
        assert_eq!((self.status, self.body.as_deref()), want, "{:?}", self.body);
    }

    pub(super) fn field(&self, name: &'static str) -> Option<&str> {
        Some(self.fields.first(&FieldName::from_static(name))?.to_str().unwrap())
    }
}

pub(super) struct Client(pub(super) Origin);

impl Client {
    pub(super) fn new(options: Options) -> Client {
        Client(Origin::new(Origin::prepare(options).unwrap()))
    }

    pub(super) async fn send(&self, request: OriginRequest) -> Result<Got, OriginError> {
        let interims = Rc::new(RefCell::new(Vec::new()));
        let heard = interims.clone();
        let sent = self.0.send(request, move |interim| heard.borrow_mut().push(interim.status.as_u16()));
        let response = soon(sent).await?;
        let got = read(response).await;
        Ok(Got { interims: interims.borrow().clone(), ..got })
    }

    pub(super) async fn get(&self) -> Result<Got, OriginError> {
        self.send(request(Method::GET, "/")).await
    }

    /// The answer to GET /; panics without one.
    pub(super) async fn got(&self) -> Got {
        self.get().await.unwrap()
    }

    pub(super) async fn upload(&self, method: Method, length: Option<u64>, pieces: Pieces) -> Result<Got, OriginError> {
        let body = Some(Upload { length, pieces });
        self.send(OriginRequest { body, ..request(method, "/up") }).await
    }
}

pub(super) async fn read(response: OriginResponse) -> Got {
    let mut body = response.body;
    let mut bytes = Ok(Vec::new());
    while let Some(next) = soon(body.next()).await {
        match (next, &mut bytes) {
            (Ok(next), Ok(bytes)) => bytes.extend_from_slice(&next),
            (Err(error), _) => bytes = Err(error),
            (Ok(_), Err(_)) => panic!("bytes behind an error"),
        }
    }
    assert!(body.next().await.is_none(), "a body that has ended may be asked again");
    let head = response.head;
    let (status, fields) = (head.status.as_u16(), head.fields);
    Got { status, fields, length: response.length, bound: response.bound, body: bytes, interims: Vec::new() }
}

pub(super) fn request(method: Method, target: &str) -> OriginRequest {
    let fields = fields(&[("host", "origin.test")]);
    OriginRequest { method, target: target.to_owned(), fields, body: None }
}

pub(super) fn fields(lines: &[(&'static str, &str)]) -> Fields {
    lines.iter().map(|(name, value)| (FieldName::from_static(name), FieldValue::from_str(value).unwrap())).collect()
}

/// A stream of what a closure gives; `None` from it ends the stream.
struct FromFn<F>(F);

impl<F: FnMut() -> Option<std::io::Result<Bytes>> + Unpin> Stream for FromFn<F> {
    type Item = std::io::Result<Bytes>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready((self.0)())
    }
}

pub(super) fn pieces(pieces: &[&'static str]) -> Pieces {
    let mut rest = Vec::from(pieces).into_iter();
    from_fn(move || Some(Ok(Bytes::from(rest.next()?))))
}

pub(super) fn from_fn(f: impl FnMut() -> Option<std::io::Result<Bytes>> + Unpin + 'static) -> Pieces {
    Box::pin(FromFn(f))
}

/// `n` bytes in pieces of 64 KiB, and how many of them were asked for.
pub(super) fn zeros(n: usize) -> (Pieces, Rc<std::cell::Cell<usize>>) {
    let pulled = Rc::new(std::cell::Cell::new(0));
    let (count, piece) = (pulled.clone(), Bytes::from(vec![0; 64 * 1024]));
    let pieces = from_fn(move || {
        let size = (n - count.get()).min(piece.len());
        count.set(count.get() + size);
        (size > 0).then(|| Ok(piece.slice(..size)))
    });
    (pieces, pulled)
}

/// Pieces that a test sends when it wants; the end is the sender's drop.
pub(super) fn fed() -> (UnboundedSender<Bytes>, Pieces) {
    struct Fed(UnboundedReceiver<Bytes>);
    impl Stream for Fed {
        type Item = std::io::Result<Bytes>;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            self.0.poll_recv(cx).map(|next| next.map(Ok))
        }
    }
    let (feed, source) = unbounded_channel();
    (feed, Box::pin(Fed(source)))
}
