//! Random puts, purges, restarts, crashes and clock jumps, beside a list of all that was done: nothing that was purged is
//! ever found, and nothing else is lost.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::Path,
};

use super::{
    crash::{child, in_child},
    support::*,
};
use crate::{
    clock::Timestamp,
    purge::{Liveness, Position, Strength, Target, tag_hash},
    store::{Epoch, Store, tiers::purges::ON_ITS_WAY},
};

const SITE: &str = "http://origin.test";
const START: i64 = 1_795_000_000_000;
const FOLDERS: u64 = 4;
const NAMES: u64 = 40;
const TAGS: u64 = 5;

/// Names such as `2/17`.
fn name(number: u64) -> String {
    format!("{}/{number}", number % FOLDERS)
}

/// What the model knows of a name.
#[derive(Clone)]
struct Known {
    length: usize,
    tags: Vec<u64>,
    liveness: Liveness,
}

/// A fill that has asked the origin and did not come in yet.
struct Filling {
    number: u64,
    position: Position,
    epoch: Epoch,
    length: usize,
    tags: Vec<u64>,
    /// What the purges since then have made of it.
    liveness: Liveness,
}

/// A purge as the model has it.
#[derive(Clone, Copy)]
enum Asked {
    All,
    Url(u64),
    Folder(u64),
    Tag(u64),
}

impl Asked {
    fn target(self) -> Target {
        match self {
            Asked::All => Target::All,
            Asked::Url(number) => Target::url(SITE, None, &format!("/{}", name(number))),
            Asked::Folder(folder) => Target::prefix(SITE, None, &format!("/{folder}/")).unwrap(),
            Asked::Tag(tag) => Target::tag(&tag.to_string()),
        }
    }

    fn reaches(self, number: u64, tags: &[u64]) -> bool {
        match self {
            Asked::All => true,
            Asked::Url(url) => url == number,
            Asked::Folder(folder) => folder == number % FOLDERS,
            Asked::Tag(tag) => tags.contains(&tag),
        }
    }
}

fn any_purge(random: &mut Random) -> (Asked, Strength) {
    let asked = match random.below(20) {
        0 => Asked::All,
        1..=9 => Asked::Url(random.below(NAMES)),
        10..=14 => Asked::Folder(random.below(FOLDERS)),
        _ => Asked::Tag(random.below(TAGS)),
    };
    (asked, if random.below(3) == 0 { Strength::Soft } else { Strength::Hard })
}

fn worse(old: Liveness, strength: Strength) -> Liveness {
    old.max(if strength == Strength::Soft { Liveness::Stale } else { Liveness::Dead })
}

fn put_filling(store: &Store, filling: &Filling) {
    let name = name(filling.number);
    let mut response = response(&name, filling.length);
    response.head.position = filling.position;
    let mut tags: Vec<u64> = filling.tags.iter().map(|tag| tag_hash(&tag.to_string())).collect();
    tags.sort_unstable();
    response.head.tags = tags.into();
    store.put(key(&name), response, filling.epoch);
}

async fn compare(store: &Store, model: &HashMap<u64, Known>, what: &str) {
    for number in 0..NAMES {
        let found = found(store, &name(number)).await;
        match (found, model.get(&number)) {
            (None, None) => {}
            (Some(_), None) => panic!("{what}: {number} was never stored"),
            (Some(_), Some(known)) if known.liveness == Liveness::Dead => panic!("{what}: {number} was purged"),
            (None, Some(known)) => assert_eq!(known.liveness, Liveness::Dead, "{what}: {number} is lost"),
            (Some(found), Some(known)) => {
                assert_eq!(store.standing(&found).liveness, known.liveness, "{what}: {number}");
                assert_eq!(whole(&found.body).await.unwrap(), content(&name(number), known.length), "{what}");
            }
        }
    }
}

#[test]
fn whatever_is_put_purged_reopened_and_whatever_the_clock_shows_the_purged_is_gone_and_the_rest_is_there() {
    for memory in [0, 16 * MIB] {
        let folder = folder();
        let options = crate::store::Options { memory, ..options(folder.path()) };
        run(async {
            let mut random = Random::seeded();
            let mut store = open(options.clone()).await;
            let (mut model, mut fillings) = (HashMap::<u64, Known>::new(), Vec::<Filling>::new());
            let mut clock = START;
            for step in 0..600 {
                let what = format!("step {step}");
                match random.below(100) {
                    0..40 => {
                        let length = [0, 100, 2_000, 30_000][random.below(4) as usize];
                        let tags = (0..TAGS).filter(|_| random.below(3) == 0).collect();
                        fillings.push(Filling {
                            number: random.below(NAMES),
                            position: store.position(Timestamp(clock)),
                            epoch: store.epoch(),
                            length,
                            tags,
                            liveness: Liveness::Alive,
                        });
                    }
                    40..70 if !fillings.is_empty() => {
                        let filling = fillings.remove(random.below(fillings.len() as u64) as usize);
                        put_filling(&store, &filling);
                        // one that is dead on arrival displaces nothing
                        if filling.liveness != Liveness::Dead {
                            let Filling { number, length, tags, liveness, .. } = filling;
                            model.insert(number, Known { length, tags, liveness });
                        }
                    }
                    70..85 => {
                        let (asked, strength) = any_purge(&mut random);
                        store.purge(asked.target(), strength, Timestamp(clock)).await.expect("on the disk");
                        for (number, known) in &mut model {
                            if asked.reaches(*number, &known.tags) {
                                known.liveness = worse(known.liveness, strength);
                            }
                        }
                        for filling in &mut fillings {
                            if asked.reaches(filling.number, &filling.tags) {
                                filling.liveness = worse(filling.liveness, strength);
                            }
                        }
                    }
                    85..90 => clock += random.below(40_000_000) as i64 - 20_000_000,
                    90..92 => {
                        store.sweep().await;
                        // the sweep may have forgotten the rules that reach what is on its way for longer
                        let lately = store.position(Timestamp(clock)).milliseconds.saturating_sub(ON_ITS_WAY);
                        fillings.retain(|filling| filling.position.milliseconds >= lately);
                    }
                    92..94 => store.flush().await,
                    94..96 => {
                        store.close().await;
                        store = open(options.clone()).await;
                        fillings.clear();
                    }
                    _ => compare(&store, &model, &what).await,
                }
            }
            compare(&store, &model, "at the end").await;
            store.close().await;
            let store = open(options.clone()).await;
            compare(&store, &model, "after the end").await;
            store.close().await;
        });
    }
}

/// Puts and purges without end. What is done is printed before; a purge also after it is on the disk.
fn purge_for_ever(folder: &Path) {
    run(async {
        let mut random = Random::seeded();
        let store = open(disk_only(folder)).await;
        let mut clock = START;
        let say = |line: String| {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{line}").and_then(|()| out.flush()).expect("a reader");
        };
        for number in 0.. {
            clock += random.below(2_000_000) as i64 - 1_000_000;
            let (folder, at) = (number % 7, Timestamp(clock));
            let name = format!("{folder}/{number}");
            let mut response = response(&name, 500);
            response.head.position = store.position(at);
            say(format!("put {number}"));
            store.put(key(&name), response, store.epoch());
            if number % 20 == 19 {
                store.flush().await;
                say(format!("flushed {number}"));
            }
            if number % 9 == 8 {
                let folder = random.below(7);
                let target = Target::prefix(SITE, None, &format!("/{folder}/")).unwrap();
                say(format!("purging {folder} {number}"));
                store.purge(target, Strength::Hard, at).await.expect("on the disk");
                say(format!("purged {folder} {number}"));
            }
        }
    });
}

#[test]
fn a_killed_process_brings_nothing_back_that_was_purged_and_loses_nothing_that_was_flushed() {
    if let Some(folder) = in_child() {
        return purge_for_ever(&folder);
    }
    let test = "purge_laws::a_killed_process_brings_nothing_back_that_was_purged_and_loses_nothing_that_was_flushed";
    let folder = folder();
    for (round, lines) in [40, 150, 400].into_iter().enumerate() {
        let mut child = child(test, folder.path(), &[]);
        let mut said = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
        let mut done: Vec<String> = said.by_ref().take(lines).collect();
        child.kill().expect("killed");
        child.wait().expect("gone");
        // what it did until it was killed
        done.extend(said);
        let (mut put, mut flushed, mut purged, mut purging) = (Vec::new(), 0, HashMap::<u64, u64>::new(), None);
        for line in done {
            let mut words = line.split(' ');
            let word = words.next().unwrap_or_default();
            let numbers: Vec<u64> = words.filter_map(|number| number.parse().ok()).collect();
            match (word, &numbers[..]) {
                ("put", [number]) => put.push(*number),
                ("flushed", [number]) => flushed = number + 1,
                ("purging", [folder, number]) => purging = Some((*folder, *number)),
                ("purged", [folder, number]) => {
                    purging = None;
                    purged.insert(*folder, number + 1);
                }
                // of the test's own frame
                _ => {}
            }
        }
        assert_eq!(put.first(), Some(&0));
        run(async {
            let store = open(disk_only(folder.path())).await;
            for number in put {
                let is_purged = purged.get(&(number % 7)).is_some_and(|until| number < *until);
                let may_be_purged = purging.is_some_and(|(folder, until)| folder == number % 7 && number <= until);
                let is_there = found(&store, &format!("{}/{number}", number % 7)).await.is_some();
                assert!(!(is_purged && is_there), "round {round}: {number} was purged");
                assert!(is_there || is_purged || may_be_purged || number >= flushed, "round {round}: {number} is lost");
            }
            // the next process must not meet what this one has left under the same names
            store.purge(Target::All, Strength::Hard, Timestamp(0)).await.expect("on the disk");
            store.sweep().await;
            store.close().await;
        });
    }
}
