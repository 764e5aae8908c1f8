//! Purges and restarts in between, and what the processes hold meanwhile.

use crate::{
    proxy::{Held, Proxy},
    random::Rng,
    world::{Side, World, pause},
};

/// Samples of what one process held.
pub struct Watched {
    at_start: Held,
    /// Of the last stretch.
    samples: Vec<Held>,
    at_end: Held,
}

impl Watched {
    /// Before anybody asks.
    pub fn begin(proxy: &mut Proxy) -> Watched {
        let held = proxy.held().unwrap_or_default();
        Watched { at_start: held, samples: Vec::new(), at_end: held }
    }
}

/// Purges and restarts both while requests run, the last two fifths but for purges undisturbed; samples of those.
pub fn disturb(proxies: &mut [Proxy; 2], watched: &mut [Watched; 2], requests: u64, mut rng: Rng) {
    let world = proxies[0].world.clone();
    let (mut cleared, mut restarted, mut shown) = (0, 0, 0);
    loop {
        let left = world.left();
        let done = requests - left;
        if left == 0 {
            return;
        }
        if done * 10 / requests > shown {
            shown = done * 10 / requests;
            let held = proxies.each_mut().map(Proxy::held);
            println!("  {done} after {} s: {}; {held:?}", world.now() / 1000, world.counts());
        }
        if done * 12 / requests > cleared {
            cleared = done * 12 / requests;
            proxies[rng.below(2) as usize].clear();
        }
        if done * 5 < requests * 3 && done * 14 / requests > restarted {
            restarted = done * 14 / requests;
            restart(&mut proxies[restarted as usize % 2], &mut rng);
        }
        for (proxy, watched) in proxies.iter_mut().zip(watched.iter_mut()) {
            if let Some(held) = proxy.held()
                && done * 5 > requests * 3
            {
                watched.samples.push(held);
            }
            if proxy.child.is_none() {
                proxy.start();
            }
        }
        pause(100);
    }
}

fn restart(proxy: &mut Proxy, rng: &mut Rng) {
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

/// Files of the store that may stay open: those of 256 bodies that memory knows of, and five of each generation.
const STORED: u64 = 256 + 5 * 20;

fn others(held: &Held) -> u64 {
    held.descriptors - held.files
}

impl Watched {
    /// What it holds once nobody asks any more, and the idle connections to the origin have had their time.
    pub fn settle(&mut self, proxy: &mut Proxy) {
        for _ in 0..150 {
            self.at_end = proxy.held().unwrap_or_default();
            if others(&self.at_end) <= others(&self.at_start) + 16 {
                break;
            }
            pause(100);
        }
    }

    /// Memory, descriptors and disk have bounds, and do not grow.
    pub fn judge(&self, world: &World, side: &Side) {
        let Watched { at_start, samples, at_end } = self;
        let most = |of: fn(&Held) -> u64, some: &[Held]| some.iter().map(of).max().unwrap_or(0);
        let (early, late) = samples.split_at(samples.len() / 2);
        let (rss, descriptors, disk) =
            (|held: &Held| held.rss_kib, |held: &Held| held.descriptors, |held: &Held| held.disk_kib);
        println!(
            "soak: {}: RSS {} KiB at the start, {} and {} at most in the halves of the last stretch, {} at the end; \
             descriptors {}, {}, {}, {}; disk at most {} KiB",
            side.name,
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
                world.problem(format!("{}: {what}: {is}, and {bound} is the bound", side.name));
            }
        };
        check("RSS in KiB", most(rss, samples), 300 << 10);
        check("growth of RSS in KiB", most(rss, late), most(rss, early) * 5 / 4 + (24 << 10));
        check("descriptors under load", most(descriptors, samples), at_start.descriptors + 64 * 8);
        check("descriptors that stay, without files of the store", others(at_end), others(at_start) + 16);
        check("files of the store that are gone and stay open", at_end.gone, 0);
        check("files of the store that stay open", at_end.files, STORED);
        check("disk in KiB", most(disk, samples), (64 << 10) * 105 / 100);
    }
}
