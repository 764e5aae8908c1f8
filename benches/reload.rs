//! Whether a reload under load loses a request, or answers one by half of the new rules: 50 reloads while several clients ask
//! as fast as they are answered. It fails if one of them sees that, and prints the rate.
//!
//!     cargo bench --bench reload

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use larder::{
    cli::Arguments,
    clock::{Clock, instant},
    config::{Config, Surroundings, Task},
    message::{FieldName, FieldValue},
    rules::{Conditions, Edits, RuleSpec, Rules, Settings},
    server,
};

const CLIENTS: usize = 4;
const RELOADS: usize = 50;
/// The pause between two reloads.
const PAUSE: Duration = Duration::from_millis(200);
/// The rate that the proof asks for, in requests per second.
const LEAST_RATE: f64 = 2000.0;

/// Answers every request with the same response, for ever.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut requests = BufReader::new(stream.try_clone().unwrap()).lines();
                while requests.by_ref().take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).count() > 0
                {
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nCache-Control: max-age=600\r\n\r\na";
                    (&stream).write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    address
}

fn config(origin: SocketAddr, folder: &std::path::Path) -> Config {
    let origin = format!("http://{origin}");
    let words = ["larder", &origin, "--port", "0", "--disk", "256MiB", "--cache-dir", folder.to_str().unwrap()];
    match Task::new(&Arguments::read(words).unwrap(), &Surroundings::read()).unwrap() {
        Task::Serve(config) => *config,
        other => panic!("{other:?}"),
    }
}

/// Two rules that each write this number into a field of their own.
fn numbered(number: usize) -> Arc<Rules> {
    let rule = |name: &'static str| RuleSpec {
        name: name.into(),
        when: Conditions::default(),
        set: Settings {
            response: Some(Edits {
                set: vec![(FieldName::from_static(name), FieldValue::from_str(&number.to_string()).unwrap())],
                ..Edits::default()
            }),
            ..Settings::default()
        },
    };
    Arc::new(Rules::new(vec![rule("x-one"), rule("x-other")]).unwrap())
}

/// Asks until `ended`. Returns the number of answers.
fn ask(larder: SocketAddr, ended: &AtomicBool) -> usize {
    let mut stream = TcpStream::connect(larder).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let (mut count, mut newest) = (0, 0);
    while !ended.load(Relaxed) {
        // a connection carries a limited number of requests
        if count % 5000 == 4999 {
            stream = TcpStream::connect(larder).unwrap();
            stream.set_nodelay(true).unwrap();
            answers = BufReader::new(stream.try_clone().unwrap());
        }
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: larder.test\r\n\r\n").unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 200 OK\r\n", "a request was lost");
        let mut numbers = Vec::new();
        loop {
            line.clear();
            answers.read_line(&mut line).unwrap();
            let field = line.trim_end().to_ascii_lowercase();
            if field.is_empty() {
                break;
            }
            let value = field.strip_prefix("x-one: ").or(field.strip_prefix("x-other: "));
            numbers.extend(value.map(|number| number.parse::<usize>().unwrap()));
        }
        answers.read_exact(&mut [0]).unwrap();
        assert!(numbers.len() == 2 && numbers[0] == numbers[1], "half of the new rules: {numbers:?}");
        assert!(numbers[0] >= newest, "older rules than before: {} after {newest}", numbers[0]);
        (count, newest) = (count + 1, numbers[0]);
    }
    count
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(origin(), folder.path());
    config.sites[0].rules = numbered(0);
    let running = server::start(config.clone(), Clock::system()).unwrap();
    let (ended, address) = (Arc::new(AtomicBool::new(false)), running.addr);
    let began = instant();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let ended = ended.clone();
            thread::spawn(move || ask(address, &ended))
        })
        .collect();
    for number in 1..=RELOADS {
        thread::sleep(PAUSE);
        config.sites[0].rules = numbered(number);
        running.reload(config.clone()).unwrap();
    }
    ended.store(true, Relaxed);
    let answers: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    let (took, cores) = (began.elapsed().as_secs_f64(), thread::available_parallelism().map_or(0, usize::from));
    let rate = answers as f64 / took;
    println!(
        "{answers} requests in {took:.1} s, {rate:.0} a second, {CLIENTS} clients, {cores} cores, {RELOADS} reloads: none \
         lost, none by half of the new rules"
    );
    if rate < LEAST_RATE {
        println!("the proof asks for {LEAST_RATE} requests a second: run it on a machine that is less busy");
        std::process::exit(1);
    }
    running.stop(false);
}
