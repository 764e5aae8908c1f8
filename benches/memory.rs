//! What the program has resident for the cache, over what it has when it is empty, beside `--memory`. New objects go through
//! that need several times the limit, some of them are asked for again. Fails where a limit is overstepped by more than 25 %.
//! Then what a body of 1 GiB needs while it is stored, while it is served, and while 50 readers stall on it.
//!
//!     cargo bench --bench memory [-- MIB...]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

const MIB: u64 = 1 << 20;
const LIMITS: [u64; 3] = [64, 128, 256];
/// Lengths of bodies: so many that the records count, in the record, in a segment, in a file of its own.
const LENGTHS: [(&str, usize); 5] =
    [("256 B", 256), ("1 KiB", 1 << 10), ("16 KiB", 16 << 10), ("100 KiB", 100 << 10), ("1 MiB", 1 << 20)];
const CLIENTS: u64 = 16;
/// So often what is stored goes through the limit, and so many bytes at least.
const TIMES: u64 = 4;
const AT_LEAST: u64 = 256 * MIB;
/// Bytes of the large body, who stalls on it, and what either may need.
const LARGE: usize = 1 << 30;
const STALLED: usize = 50;
const FOR_LARGE: u64 = 48 * MIB;
const FOR_STALLED: u64 = 16 * MIB;
const MOST_REQUESTS: u64 = 400_000;

/// Answers `/LENGTH/NUMBER` with so many bytes.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            thread::spawn(move || answer(connection));
        }
    });
    address
}

fn answer(connection: TcpStream) {
    let mut writer = connection.try_clone().expect("a second handle");
    let mut lines = BufReader::new(connection).lines();
    while let Some(Ok(line)) = lines.next() {
        let length = line.split('/').nth(1).and_then(|length| length.parse().ok()).unwrap_or(0);
        let end = lines.by_ref().map_while(Result::ok).find(|line| line.is_empty());
        let head = format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: {length}\r\n\r\n");
        let first = [head.into_bytes(), vec![b'x'; length.min(MIB as usize)]].concat();
        let rest =
            std::iter::repeat_n(&first[first.len() - length.min(MIB as usize)..], (length >> 20).saturating_sub(1));
        let mut pieces = std::iter::once(&first[..]).chain(rest);
        if end.is_none() || pieces.try_for_each(|piece| writer.write_all(piece)).is_err() {
            return;
        }
    }
}

struct Larder {
    process: Child,
    address: SocketAddr,
}

impl Larder {
    fn start(origin: SocketAddr, folder: &Path, memory: u64) -> Larder {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("an address");
        drop(taken);
        let flags = [
            ("--port", address.port().to_string()),
            ("--origin", format!("http://{origin}")),
            ("--cache-dir", folder.display().to_string()),
            ("--max-connection-requests", "1000000000".to_owned()),
            ("--max-connection-age", "1d".to_owned()),
            ("--memory", format!("{memory}MiB")),
            ("--disk", format!("{}MiB", (memory * 8).max(1024))),
        ];
        let mut process = Command::new(env!("CARGO_BIN_EXE_larder"))
            .args(flags.iter().flat_map(|(flag, value)| [*flag, value]))
            .arg("-qq")
            .stdout(Stdio::null())
            .spawn()
            .expect("the program");
        while TcpStream::connect(address).is_err() {
            assert!(process.try_wait().expect("its state").is_none(), "it ended");
            thread::sleep(Duration::from_millis(5));
        }
        Larder { process, address }
    }

    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("a /proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        Client { reader: BufReader::new(stream.try_clone().expect("a second handle")), writer: stream }
    }
}

impl Drop for Larder {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Client {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Client {
    /// Was it answered from the cache?
    fn get(&mut self, length: usize, number: u64) -> bool {
        self.ask(length, number, "", length)
    }

    /// The same, of which so many bytes are read.
    fn ask(&mut self, length: usize, number: u64, field: &str, read: usize) -> bool {
        let request = format!("GET /{length}/{number} HTTP/1.1\r\nHost: bench\r\n{field}\r\n");
        self.writer.write_all(request.as_bytes()).expect("a request");
        let (mut hit, mut line) = (false, String::new());
        loop {
            line.clear();
            self.reader.read_line(&mut line).expect("a head");
            match line.trim_end().to_ascii_lowercase().as_str() {
                "" => break,
                "x-cache: hit" => hit = true,
                _ => {}
            }
        }
        let bytes = std::io::copy(&mut self.reader.by_ref().take(read as u64), &mut std::io::sink());
        assert_eq!(bytes.expect("a body"), read as u64);
        hit
    }
}

/// Bytes resident over those of the empty proxy: at most, and at the end; and the hits.
fn measured(memory: u64, length: usize) -> (u64, u64, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let larder = Larder::start(origin(), folder.path(), memory);
    for number in 0..CLIENTS {
        larder.client().get(0, number);
    }
    let empty = larder.resident();
    let requests = ((memory * MIB * TIMES).max(AT_LEAST) / length as u64).min(MOST_REQUESTS);
    let (next, hits, most, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|threads| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                threads.spawn(|| {
                    let mut client = larder.client();
                    loop {
                        let number = next.fetch_add(1, Relaxed);
                        if number >= requests {
                            return;
                        }
                        client.get(length, number);
                        // one in three is asked for again, later
                        let again = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (number + 1);
                        if number % 3 == 0 && client.get(length, again) {
                            hits.fetch_add(1, Relaxed);
                        }
                    }
                })
            })
            .collect();
        threads.spawn(|| {
            while !done.load(Relaxed) {
                most.fetch_max(larder.resident(), Relaxed);
                thread::sleep(Duration::from_millis(10));
            }
        });
        let ended: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
        done.store(true, Relaxed);
        ended.into_iter().for_each(|client| client.expect("a client"));
    });
    let grown = |bytes: u64| bytes.saturating_sub(empty);
    (grown(most.into_inner()), grown(larder.resident()), hits.into_inner())
}

/// Bytes that a large body needs while it is stored, while it is served, and while readers stall on it.
fn large() -> [u64; 3] {
    let folder = tempfile::tempdir().expect("a folder");
    let larder = Larder::start(origin(), folder.path(), 1024);
    (0..CLIENTS).for_each(|number| _ = larder.client().get(0, number));
    let empty = larder.resident();
    let most_during = |work: &mut dyn FnMut()| {
        let (most, done) = (AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|threads| {
            threads.spawn(|| {
                while !done.load(Relaxed) {
                    most.fetch_max(larder.resident(), Relaxed);
                    thread::sleep(Duration::from_millis(5));
                }
            });
            work();
            done.store(true, Relaxed);
        });
        most.into_inner().saturating_sub(empty)
    };
    let stored = most_during(&mut || assert!(!larder.client().get(LARGE, 0)));
    let range = format!("Range: bytes={}-\r\n", LARGE - 100);
    while !larder.client().ask(LARGE, 0, &range, 100) {}
    let served = most_during(&mut || assert!(larder.client().get(LARGE, 0)));
    let before = larder.resident();
    let stalled: Vec<Client> = (0..STALLED)
        .map(|_| {
            let mut client = larder.client();
            assert!(client.ask(LARGE, 0, "", 1000));
            client
        })
        .collect();
    let stalling = larder.resident().saturating_sub(before);
    drop(stalled);
    [stored, served, stalling]
}

fn main() -> ExitCode {
    let limits: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let limits = if limits.is_empty() { LIMITS.to_vec() } else { limits };
    let mut kept = true;
    for memory in limits {
        for (name, length) in LENGTHS {
            let (most, now, hits) = measured(memory, length);
            let within = most <= memory * MIB * 5 / 4;
            kept &= within;
            let word = if within { "" } else { "  OVER" };
            println!(
                "--memory {memory}MiB, {name}: at most {} MiB, then {} MiB, {hits} hits{word}",
                most / MIB,
                now / MIB
            );
        }
    }
    let [stored, served, stalling] = large();
    kept &= stored.max(served) <= FOR_LARGE && stalling <= FOR_STALLED;
    println!(
        "1 GiB: {} MiB while it is stored, {} MiB while it is served, {} MiB for {STALLED} readers that stall",
        stored / MIB,
        served / MIB,
        stalling / MIB
    );
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
