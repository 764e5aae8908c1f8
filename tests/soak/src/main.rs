//! A soak: many clients, two origins that misbehave at random, purges and restarts in between; every byte is compared.
//!
//! One Larder has a plain origin, another one a TLS origin; each client asks both. Both ends share one [`world::World`]: a
//! body's bytes follow from what the answer says that it is, so a client can tell whose answer it has, whether it is whole,
//! and whether it is too old. Only answers that ended in order are judged; one that was visibly cut is what a proxy owes its
//! client when the origin failed. What has to be refused bears a mark that no origin may ever see, and what no log may hold
//! is one word that no line of any log has in it.

mod check;
mod client;
mod log;
#[path = "../../larder/support/message.rs"]
mod message;
mod origin;
mod proxy;
mod random;
mod resource;
mod watch;
mod world;

use std::{fs::File, path::PathBuf, process::ExitCode, sync::Arc};

use client::Client;
use log::Log;
use proxy::Proxy;
use random::Rng;
use world::{Count, World};

const USAGE: &str = "\
tests/soak/run [--requests N] [--seed S] [--clients N] [--slow N] [--faults N] [--verbosity N] [--larder FILE] [--log FILE]
  --requests   how many in all [20000]
  --seed       of everything that is random [the process's number]
  --clients    at once [64]
  --slow       clients that take their time, beside those and their requests [16]
  --faults     of 1,000 answers of the origins [120]
  --verbosity  of the program: 0 to 3, from -q to -vv [3 up to 100000 requests, 1 beyond]
  --larder     the program [target/release/larder]
  --log        where the program's lines go [nowhere]";

/// What each of the two may hold: the least that there is, and nothing but on disk.
const MEMORY: [&str; 2] = ["64MiB", "0B"];
/// Deadlines are short enough for slow clients to miss them.
const FLAGS: &str = "--disk 64MiB --stale-if-error 0s --workers 2 --first-byte-timeout 3s --between-bytes-timeout 3s \
                     --origin-keep-alive 2s --shutdown-timeout 5s --head-timeout 2s --body-timeout 2s \
                     --write-timeout 2s --drain-timeout 2s";

struct Options {
    requests: u64,
    seed: u64,
    clients: u64,
    slow: u64,
    faults: u64,
    verbosity: Option<usize>,
    larder: PathBuf,
    log: Option<PathBuf>,
}

fn options() -> Option<Options> {
    let larder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/release/larder");
    let seed = u64::from(std::process::id());
    let (requests, clients, slow, faults) = (20_000, 64, 16, 120);
    let mut options = Options { requests, seed, clients, slow, faults, verbosity: None, larder, log: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--requests" => options.requests = value.parse().ok()?,
            "--seed" => options.seed = value.parse().ok()?,
            "--clients" => options.clients = value.parse().ok()?,
            "--slow" => options.slow = value.parse().ok()?,
            "--faults" => options.faults = value.parse().ok()?,
            "--verbosity" => options.verbosity = Some(value.parse().ok().filter(|level| *level < 4)?),
            "--larder" => options.larder = value.into(),
            "--log" => options.log = Some(value.into()),
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let Options { requests, seed, clients, slow, .. } = options;
    // all that can be said is too much for a million requests
    let verbosity = options.verbosity.unwrap_or(if requests > 100_000 { 1 } else { 3 });
    println!("soak: {requests} requests, {clients} clients and {slow} slow ones, seed {seed}");
    let world = Arc::new(World::new(seed, requests));
    let folder = tempfile::tempdir().unwrap();
    let (origins, pem) = origin::start(&world, options.faults);
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, pem).unwrap();
    let log = Arc::new(Log::new(options.log.map(|file| File::create(file).unwrap())));
    let mut proxies = [0, 1].map(|side| {
        let mut flags: Vec<String> = FLAGS.split_whitespace().map(str::to_owned).collect();
        flags.extend(["--memory".to_owned(), MEMORY[side].to_owned(), "--origin".to_owned(), origins[side].url()]);
        flags.extend(["--origin-ca".to_owned(), ca.display().to_string()]);
        flags.extend([["-q"].as_slice(), &[], &["-v"], &["-vv"]][verbosity].iter().map(|flag| (*flag).to_owned()));
        let (world, program, log) = (world.clone(), options.larder.clone(), log.clone());
        let folder = folder.path().join(world.sides[side].name);
        let mut proxy = Proxy { world, side, program, folder, log, flags, child: None };
        proxy.start();
        proxy
    });
    let mut watched = proxies.each_mut().map(watch::Watched::begin);
    let threads: Vec<_> = (0..clients + slow)
        .map(|user| {
            let rng = Rng(seed.wrapping_mul(1_000_003).wrapping_add(user));
            let client = Client { world: world.clone(), user, rng, seen: Vec::new() };
            let run = move || if user < clients { client.run() } else { client.run_slowly() };
            std::thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap()
        })
        .collect();
    watch::disturb(&mut proxies, &mut watched, requests, Rng(seed ^ 0xd157));
    for thread in threads {
        if thread.join().is_err() {
            world.problem("a client panicked".to_owned());
        }
    }
    for ((proxy, watched), side) in proxies.iter_mut().zip(&mut watched).zip(&world.sides) {
        watched.settle(proxy);
        watched.judge(&world, side);
        proxy.stop();
    }
    log.judge(&world, verbosity > 0);
    if world.counted(Count::Whole) * 2 < world.counted(Count::Cut) + world.counted(Count::Refused) {
        world.problem("hardly any answer was whole".to_owned());
    }
    if world.counted(Count::Hits) * 20 < world.counted(Count::Whole) {
        world.problem("hardly any answer came from the cache".to_owned());
    }
    let (problems, seconds) = (world.problems(), world.now() / 1000);
    println!("soak: {requests} in {seconds} s; {}; seed {seed}: {problems} problems", world.counts());
    ExitCode::from(u8::from(problems > 0))
}
