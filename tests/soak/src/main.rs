//! A soak: many clients, an origin that misbehaves at random, purges and restarts in between; every byte is compared.
//!
//! Both ends share one [`world::World`]: a body's bytes follow from what the answer says that it is, so a client can tell
//! whose answer it has, whether it is whole, and whether it is too old. Only answers that ended in order are judged; one
//! that was visibly cut is what a proxy owes its client when the origin failed.

mod check;
mod client;
#[path = "../../larder/support/message.rs"]
mod message;
mod origin;
mod proxy;
mod world;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use client::Client;
use proxy::{Held, Proxy};
use world::{Count, Rng, World, pause};

const USAGE: &str = "\
tests/soak/run [--requests N] [--seed S] [--clients N] [--faults N] [--larder FILE] [--log FILE]
  --requests  how many in all [20000]
  --seed      of everything that is random [the process's number]
  --clients   at once [64]
  --faults    of 1,000 answers of the origin [120]
  --larder    the program [target/release/larder]
  --log       where the program's lines go [nowhere]";

struct Options {
    requests: u64,
    seed: u64,
    clients: u64,
    faults: u64,
    larder: PathBuf,
    log: Option<PathBuf>,
}

fn options() -> Option<Options> {
    let larder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/release/larder");
    let seed = u64::from(std::process::id());
    let mut options = Options { requests: 20_000, seed, clients: 64, faults: 120, larder, log: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--requests" => options.requests = value.parse().ok()?,
            "--seed" => options.seed = value.parse().ok()?,
            "--clients" => options.clients = value.parse().ok()?,
            "--faults" => options.faults = value.parse().ok()?,
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
    println!("soak: {} requests, {} clients, seed {}", options.requests, options.clients, options.seed);
    let world = Arc::new(World::new(options.seed));
    let folder = tempfile::tempdir().unwrap();
    let flags = "--memory 8MiB --disk 64MiB --workers 2 --first-byte-timeout 3s --between-bytes-timeout 3s \
                 --origin-keep-alive 2s --shutdown-timeout 5s -q";
    let mut proxy = Proxy {
        world: world.clone(),
        program: options.larder.clone(),
        folder: folder.path().join("cache"),
        origin: origin::start(&world, options.faults),
        address: Arc::default(),
        log: Arc::default(),
        flags: flags.split_whitespace().map(str::to_owned).collect(),
        child: None,
    };
    proxy.start();
    let at_start = proxy.held().unwrap_or_default();
    let left = Arc::new(AtomicU64::new(options.requests));
    let clients: Vec<_> = (0..options.clients)
        .map(|user| {
            let rng = Rng(options.seed.wrapping_mul(1_000_003).wrapping_add(user));
            let (world, address, left) = (world.clone(), proxy.address.clone(), left.clone());
            let client = Client { world, user, rng, address, left, seen: Vec::new() };
            std::thread::Builder::new().stack_size(512 << 10).spawn(move || client.run()).unwrap()
        })
        .collect();
    let samples = disturb(&mut proxy, &left, options.requests, Rng(options.seed ^ 0xd157));
    for client in clients {
        if client.join().is_err() {
            world.problem("a client panicked".to_owned());
        }
    }
    let at_end = settled(&mut proxy, at_start);
    held(&world, at_start, &samples, at_end);
    proxy.stop();
    judge_log(&world, &proxy.log, options.log);
    let (problems, seconds) = (world.problems(), world.now() / 1000);
    println!(
        "soak: {} in {seconds} s; {}; seed {}: {problems} problems",
        options.requests,
        world.counts(),
        options.seed
    );
    ExitCode::from(u8::from(problems > 0))
}

/// Purges and restarts while requests run, the last two fifths but for purges undisturbed; samples of those.
fn disturb(proxy: &mut Proxy, left: &AtomicU64, requests: u64, mut rng: Rng) -> Vec<Held> {
    let mut samples = Vec::new();
    let (mut cleared, mut restarted, mut shown) = (0, 0, 0);
    loop {
        let left = left.load(SeqCst);
        let done = requests - left;
        if left == 0 {
            return samples;
        }
        if done * 10 / requests > shown {
            shown = done * 10 / requests;
            println!("  {done} after {} s: {}; {:?}", proxy.world.now() / 1000, proxy.world.counts(), proxy.held());
        }
        if done * 12 / requests > cleared {
            cleared = done * 12 / requests;
            proxy.clear();
        }
        if done * 5 < requests * 3 && done * 14 / requests > restarted {
            restarted = done * 14 / requests;
            if rng.chance(500) {
                proxy.stop()
            } else {
                proxy.kill()
            }
            // now and then it is cleared where nobody runs
            if rng.chance(300) {
                proxy.clear();
            }
            proxy.start();
        }
        if let Some(held) = proxy.held()
            && done * 5 > requests * 3
        {
            samples.push(held);
        }
        if proxy.child.is_none() {
            proxy.start();
        }
        pause(100);
    }
}

/// What it holds once nobody asks any more, and the idle connections to the origin have had their time.
fn settled(proxy: &mut Proxy, at_start: Held) -> Held {
    let mut held = Held::default();
    for _ in 0..150 {
        held = proxy.held().unwrap_or_default();
        if held.descriptors <= at_start.descriptors + 40 {
            break;
        }
        pause(100);
    }
    held
}

/// Memory, descriptors and disk have bounds, and do not grow.
fn held(world: &World, at_start: Held, samples: &[Held], at_end: Held) {
    let most = |of: fn(&Held) -> u64, some: &[Held]| some.iter().map(of).max().unwrap_or(0);
    let (early, late) = samples.split_at(samples.len() / 2);
    let (rss, descriptors, disk) =
        (|held: &Held| held.rss_kib, |held: &Held| held.descriptors, |held: &Held| held.disk_kib);
    println!(
        "soak: RSS {} KiB at the start, {} and {} at most in the halves of the last stretch, {} at the end; \
         descriptors {}, {}, {}, {}; disk at most {} KiB",
        at_start.rss_kib,
        most(rss, early),
        most(rss, late),
        at_end.rss_kib,
        at_start.descriptors,
        most(descriptors, early),
        most(descriptors, late),
        at_end.descriptors,
        most(disk, samples),
    );
    let check = |what: &str, is: u64, bound: u64| {
        if is > bound {
            world.problem(format!("{what}: {is}, and {bound} is the bound"));
        }
    };
    check("RSS in KiB", most(rss, samples), 300 << 10);
    check("growth of RSS in KiB", most(rss, late), most(rss, early) * 5 / 4 + (24 << 10));
    check("descriptors under load", most(descriptors, samples), at_start.descriptors + 64 * 8);
    check("descriptors that stay", at_end.descriptors, at_start.descriptors + 40);
    check("disk in KiB", most(disk, samples), (64 << 10) * 105 / 100);
}

fn judge_log(world: &World, log: &Mutex<Vec<String>>, to: Option<PathBuf>) {
    let log = log.lock().unwrap();
    let bad = |line: &&String| line.contains("panicked") || line.contains("ERROR");
    for line in log.iter().filter(bad).take(20) {
        world.problem(format!("in its log: {line}"));
    }
    if let Some(to) = to {
        std::fs::write(to, log.join("\n")).unwrap();
    }
    if world.counted(Count::Whole) * 2 < world.counted(Count::Cut) + world.counted(Count::Refused) {
        world.problem("hardly any answer was whole".to_owned());
    }
}
