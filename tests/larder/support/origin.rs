//! A scripted origin: it sends any bytes, holds and releases, cuts anywhere, and remembers what it was asked.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use socket2::SockRef;

use super::{CANARY, PATIENCE, message};

/// One step of an answer. Behind the last one the connection stays open for the next request.
#[derive(Clone)]
pub enum Step {
    Send(Vec<u8>),
    /// Sends them so many times.
    Repeat(Vec<u8>, usize),
    /// Goes on when the gate is opened.
    Wait(Gate),
    /// Reads the request's body to its end, where the origin was made with [`Origin::before_bodies`].
    ReadBody,
    /// Ends the connection in order.
    Close,
    /// Ends it with a reset: what was sent may be lost on its way.
    Reset,
}

/// Holds an origin until a test opens it.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn closed() -> Gate {
        Gate::default()
    }

    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self, stopping: &AtomicBool) {
        let mut open = self.0.0.lock().unwrap();
        while !*open && !stopping.load(Ordering::Acquire) {
            open = self.0.1.wait_timeout(open, Duration::from_millis(20)).unwrap().0;
        }
    }
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// The head, byte for byte.
    pub head: Vec<u8>,
    pub method: String,
    pub target: String,
    pub fields: Vec<(String, String)>,
    /// Without its framing.
    pub body: Vec<u8>,
    /// Which connection it came on, and as the how manyeth there; both count from 0.
    pub connection: usize,
    pub turn: usize,
    /// As the how manyeth of all; counts from 0.
    pub index: usize,
}

impl RecordedRequest {
    pub fn field(&self, name: &str) -> Option<&str> {
        message::field(&self.fields, name)
    }
}

/// A whole answer with a Content-Length and a field that no log may show. `fields`: lines without their line ends.
pub fn respond(status: u16, fields: &[&str], body: impl AsRef<[u8]>) -> Vec<Step> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\nX-Origin-Key: {CANARY}\r\n", body.len());
    for field in fields {
        bytes.push_str(&format!("{field}\r\n"));
    }
    let mut bytes = format!("{bytes}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    vec![Step::Send(bytes)]
}

type Answering = dyn Fn(&RecordedRequest) -> Vec<Step> + Send + Sync;

struct Shared {
    answering: Box<Answering>,
    before_bodies: bool,
    stopping: AtomicBool,
    record: Mutex<Record>,
    moved: Condvar,
}

#[derive(Default)]
struct Record {
    heads: Vec<Vec<u8>>,
    requests: Vec<RecordedRequest>,
    connections: usize,
    open: usize,
    /// Weak: a reset leaves when the last descriptor goes, and the connection's own must be that.
    streams: Vec<Weak<TcpStream>>,
}

/// Listens on a port of its own until it is dropped.
pub struct Origin {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Origin {
    /// Answers the n-th request with the n-th answer, whatever it asks; what comes behind the last is answered with 500.
    pub fn script(answers: Vec<Vec<Step>>) -> Origin {
        let over = |request: &RecordedRequest| respond(500, &[], format!("unscripted request {}", request.index));
        Origin::answering(move |request| answers.get(request.index).cloned().unwrap_or_else(|| over(request)))
    }

    /// Always the same answer.
    pub fn always(answer: Vec<Step>) -> Origin {
        Origin::answering(move |_| answer.clone())
    }

    pub fn answering(answering: impl Fn(&RecordedRequest) -> Vec<Step> + Send + Sync + 'static) -> Origin {
        Origin::on(local(), answering)
    }

    /// The same, at an address that the test has bound.
    pub fn on(
        listener: TcpListener,
        answering: impl Fn(&RecordedRequest) -> Vec<Step> + Send + Sync + 'static,
    ) -> Origin {
        Origin::listening(listener, Box::new(answering), false)
    }

    /// Answers as soon as the head is there; the body is read where a step says so, or behind the last step.
    pub fn before_bodies(answering: impl Fn(&RecordedRequest) -> Vec<Step> + Send + Sync + 'static) -> Origin {
        Origin::listening(local(), Box::new(answering), true)
    }

    fn listening(listener: TcpListener, answering: Box<Answering>, before_bodies: bool) -> Origin {
        let address = listener.local_addr().unwrap();
        // the standard library's 128 are too few where hundreds connect at once and this thread is not given a turn
        SockRef::from(&listener).listen(4096).unwrap();
        let shared = Arc::new(Shared {
            answering,
            before_bodies,
            stopping: AtomicBool::new(false),
            record: Mutex::default(),
            moved: Condvar::new(),
        });
        let of_thread = shared.clone();
        let thread = std::thread::spawn(move || {
            let mut connections = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                if of_thread.stopping.load(Ordering::Acquire) {
                    break;
                }
                let (shared, stream) = (of_thread.clone(), Arc::new(stream));
                let connection = shared.note(|record| {
                    record.streams.push(Arc::downgrade(&stream));
                    record.connections += 1;
                    record.open += 1;
                    record.connections - 1
                });
                connections.push(std::thread::spawn(move || {
                    // The other side going away in the middle is what many tests are about.
                    let _ = shared.serve(&stream, connection);
                    drop(stream);
                    shared.note(|record| record.open -= 1);
                }));
            }
            // closing is not enough: a child that another test starts right now holds a copy until it runs its program
            let _ = SockRef::from(&listener).shutdown(Shutdown::Both);
            for connection in connections {
                connection.join().unwrap();
            }
        });
        Origin { address, shared, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of all requests so far, those whose body never came to its end included.
    pub fn heads(&self) -> Vec<Vec<u8>> {
        self.record().heads.clone()
    }

    /// Waits until this many heads came in.
    pub fn await_heads(&self, count: usize) -> Vec<Vec<u8>> {
        self.await_record("heads", |record| record.heads.len() >= count).heads.clone()
    }

    /// All requests so far, in the order in which their heads (or bodies) were complete.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.record().requests.clone()
    }

    pub fn request_count(&self) -> usize {
        self.record().requests.len()
    }

    /// Connections that were ever made.
    pub fn connection_count(&self) -> usize {
        self.record().connections
    }

    /// Waits until this many requests came in.
    pub fn await_requests(&self, count: usize) -> Vec<RecordedRequest> {
        self.await_record("requests", |record| record.requests.len() >= count).requests.clone()
    }

    /// Waits until no connection is open.
    pub fn await_no_connections(&self) {
        self.await_connections(0);
    }

    /// Waits until this many connections are open.
    pub fn await_connections(&self, count: usize) {
        drop(self.await_record("connections", |record| record.open == count));
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.shared.record.lock().unwrap()
    }

    fn await_record(&self, what: &str, reached: impl Fn(&Record) -> bool) -> MutexGuard<'_, Record> {
        let (record, late) = self.shared.moved.wait_timeout_while(self.record(), PATIENCE, |r| !reached(r)).unwrap();
        if late.timed_out() {
            let seen = record.requests.len();
            drop(record);
            panic!("waited for {what}; there were {seen} requests");
        }
        record
    }
}

impl Shared {
    fn note<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        let value = change(&mut self.record.lock().unwrap());
        self.moved.notify_all();
        value
    }

    fn serve(&self, mut stream: &TcpStream, connection: usize) -> io::Result<()> {
        let (mut buffer, mut turn) = (Vec::new(), 0);
        while let Some(head) = message::read_head(&mut stream, &mut buffer)? {
            self.note(|record| record.heads.push(head.clone()));
            let mut request = parse(head, connection, turn);
            let mut unread = self.before_bodies;
            if !unread {
                read_body(&mut stream, &mut buffer, &mut request)?;
            }
            self.note(|record| {
                request.index = record.requests.len();
                record.requests.push(request.clone());
            });
            for step in (self.answering)(&request) {
                match step {
                    Step::Send(bytes) => stream.write_all(&bytes)?,
                    Step::Repeat(bytes, times) => (0..times).try_for_each(|_| stream.write_all(&bytes))?,
                    Step::Wait(gate) => gate.wait(&self.stopping),
                    Step::ReadBody if unread => {
                        unread = false;
                        read_body(&mut stream, &mut buffer, &mut request)?;
                        self.note(|record| record.requests[request.index].body = request.body.clone());
                    }
                    Step::ReadBody => {}
                    Step::Close => return stream.shutdown(Shutdown::Both),
                    Step::Reset => return SockRef::from(stream).set_linger(Some(Duration::ZERO)),
                }
            }
            if unread {
                read_body(&mut stream, &mut buffer, &mut request)?;
            }
            turn += 1;
        }
        Ok(())
    }
}

fn local() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn parse(head: Vec<u8>, connection: usize, turn: usize) -> RecordedRequest {
    let fields = message::fields(&head);
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    let mut words = line.splitn(3, ' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    RecordedRequest { head, method, target, fields, body: Vec::new(), connection, turn, index: 0 }
}

fn read_body(stream: &mut impl Read, buffer: &mut Vec<u8>, request: &mut RecordedRequest) -> io::Result<()> {
    if request.field("Transfer-Encoding").is_some() {
        return message::read_chunked(stream, buffer, &mut request.body);
    }
    let length = request.field("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
    message::read_exactly(stream, buffer, length, &mut request.body)
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        for stream in self.record().streams.iter().filter_map(Weak::upgrade) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
