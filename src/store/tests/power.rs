//! Power loss: what a disk may hold of what a store wrote, opened and looked at.

use std::path::Path;

use super::{
    crash::{child, in_child, strace_is_there},
    support::*,
    trace::{Kept, Op, Trace},
};
use crate::{
    clock,
    message::{FieldName, FieldValue},
    store::{INVALIDATION, Options, State, Store, StoreError, StoredBody, StoredResponse},
};

const STEPS: usize = 90;
const KEYS: usize = 17;
/// So many of the states that a disk may be in are looked at.
const STATES: usize = 105;

/// A step of the workload: what it leaves under its key.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Put(usize),
    Fill(usize),
    Invalidate,
    /// Every key.
    Clear,
}

fn step(number: usize) -> Step {
    match number {
        50 => Step::Clear,
        _ if number % 7 == 3 => Step::Invalidate,
        _ if number % 11 == 5 => Step::Fill(300_000),
        _ => Step::Put([200, 1_900, 30_000, 70_000][number % 4]),
    }
}

fn name(number: usize) -> String {
    format!("key {}", number * 5 % KEYS)
}

/// No two steps leave the same bytes.
fn left(number: usize) -> Option<Content> {
    match step(number) {
        Step::Put(length) | Step::Fill(length) => Some(content(&format!("step {number}"), length)),
        Step::Invalidate | Step::Clear => None,
    }
}

fn stored(folder: &Path) -> Options {
    // more than one generation, and none that is dropped
    Options { disk: 32 * MIB, ..disk_only(folder) }
}

/// Says each step before it is made, and when it is told that it is durable.
async fn work(folder: &Path) {
    let mut store = open(stored(folder)).await;
    for number in 0..STEPS {
        println!("step {number}");
        let name = name(number);
        match step(number) {
            Step::Put(_) => {
                let body = StoredBody::Memory(left(number).expect("a body").0);
                put_body(&store, &name, body);
            }
            Step::Fill(length) => {
                let body = fill_with(&store, &format!("step {number}"), length).await;
                put_body(&store, &name, body);
            }
            Step::Invalidate if number % 2 == 0 => {
                let began = clock::instant();
                store.invalidate_durably(&[key(&name)], None).await;
                // it waits no longer for the disk
                if began.elapsed() < INVALIDATION {
                    println!("durable {number} {name}");
                }
            }
            Step::Invalidate => store.invalidate(&key(&name)),
            Step::Clear => {
                store.clear().await.expect("cleared");
                println!("durable {number}");
            }
        }
        match number % 10 {
            4 => {
                store.flush().await;
                println!("durable {number}");
            }
            // long enough to be written, and not to be synced
            2 | 7 => beat(80).await,
            _ => {}
        }
        if number == 30 {
            store.close().await;
            println!("durable {number}");
            store = open(stored(folder)).await;
        }
    }
}

fn put_body(store: &Store, name: &str, body: StoredBody) {
    let mut response = StoredResponse { body, ..response(name, 0) };
    // sled gives a page that is too long for its segment a file of its own
    let long = FieldValue::from_bytes(&vec![b'x'; 3_000 + name.len() % 3 * 3_500]).expect("a field value");
    response.head.head.fields.append(FieldName::from_static("x-long"), long);
    store.put(key(name), response, store.epoch());
}

async fn fill_with(store: &Store, seed: &str, length: usize) -> StoredBody {
    StoredBody::Disk(fill(store, seed, length).await.expect("filled"))
}

/// What must hold of what is found, at one moment of the trace.
#[derive(Debug, Clone, Copy, Default)]
struct Moment {
    begun: Option<usize>,
    durable: [Option<usize>; KEYS],
}

impl Moment {
    fn of(ops: &[Op]) -> Moment {
        let mut moment = Moment::default();
        for said in ops.iter().filter_map(|op| if let Op::Said(said) = op { Some(said) } else { None }) {
            let mut words = said.split_whitespace();
            let (word, number) = (words.next(), words.next().and_then(|number| number.parse::<usize>().ok()));
            match (word, words.nth(1).and_then(|key| key.parse::<usize>().ok())) {
                (Some("step"), _) => moment.begun = number,
                (Some("durable"), Some(key)) => moment.durable[key] = number,
                (Some("durable"), None) => moment.durable = [number; KEYS],
                _ => {}
            }
        }
        moment
    }

    /// What may be found under a key, and whether it may be missing.
    fn allowed(&self, of: usize) -> (Vec<Content>, bool) {
        let changes = |number: &usize| step(*number) == Step::Clear || name(*number) == format!("key {of}");
        let begun: Vec<usize> = (0..=self.begun.unwrap_or(0)).filter(changes).collect();
        let durable = self.durable[of].map_or(0, |durable| begun.iter().filter(|number| **number <= durable).count());
        let from = durable.saturating_sub(1);
        let since = &begun[from.min(begun.len())..];
        let unchanged = durable == begun.len() && durable > 0;
        let found: Vec<Content> = since.iter().filter_map(|number| left(*number)).collect();
        let missing = !unchanged || found.is_empty();
        (found, missing)
    }
}

/// The calls of a child are played back up to any moment, and of what it had not synced by then some is left out. What was
/// synced stays; names (of files and folders) come and go in the order in which they did, and any sync keeps all those before
/// it, as journalling file systems have it; an append may leave zeros. Two cases: the rest stays up to some moment, and then
/// nothing that was durable is lost; or any of it stays, which is more than a disk does (sled waits for the writing of each
/// batch, though not for the disk's own cache), and then a database may be lost as a whole. A third, where the disk lies about
/// every sync: any of what was ever written stays, anything may be lost, and nothing is wrong. Not modelled: sectors that change
/// without being written.
#[test]
fn whatever_the_disk_kept_when_the_power_went_is_served_right_and_what_was_durable_is_there() {
    if let Some(folder) = in_child() {
        return run(work(&folder));
    }
    if !strace_is_there() {
        return;
    }
    let mut random = Random::seeded();
    let folder = folder();
    let (log, worked) = (folder.path().join("trace"), folder.path().join("worked"));
    let test = "power::whatever_the_disk_kept_when_the_power_went_is_served_right_and_what_was_durable_is_there";
    let strace = ["strace", "-f", "-y", "-xx", "-s", "4194304", "-e", Trace::CALLS, "-o"];
    let output = child(test, &worked, &[&strace[..], &[log.to_str().expect("a path")]].concat()).wait_with_output();
    let output = output.expect("a child");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let trace = Trace::read(&log, &worked.join("cache"));
    let mut all_found = [0; 3];
    run(async {
        for number in 0..STATES {
            let kept = [Kept::InOrder, Kept::Any, Kept::AnyOfAll][number % 3];
            let at = random.below(trace.ops.len() as u64 + 1) as usize;
            let options = stored(&folder.path().join(number.to_string()));
            trace.build(at, kept, &options.folder, &mut random);
            let what = format!("state {number} of {STATES}, {kept:?} behind {at} of {}", trace.ops.len());
            all_found[number % 3] += judge(options, Moment::of(&trace.ops[..at]), kept, &what).await;
        }
    });
    println!("served of what was kept in order, kept at random, kept in spite of lies: {all_found:?}");
    assert!(all_found.iter().all(|found| *found > 0), "{all_found:?}");
}

/// Stores more than the limit, until a generation was removed.
async fn evict(folder: &Path) {
    let store = open(Options { disk: 16 * MIB, max_object: 4 * MIB, ..disk_only(folder) }).await;
    for number in 0.. {
        put(&store, &number.to_string(), 30_000);
        if number % 10 == 9 {
            store.flush().await;
            if store.stats().evicted > 0 {
                break;
            }
        }
    }
    removed(&store).await;
    store.close().await;
}

#[test]
fn the_names_of_a_generation_that_made_room_reach_the_disk_before_its_files_are_removed() {
    if let Some(folder) = in_child() {
        return run(evict(&folder));
    }
    if !strace_is_there() {
        return;
    }
    let folder = folder();
    let (log, worked) = (folder.path().join("trace"), folder.path().join("worked"));
    let test = "power::the_names_of_a_generation_that_made_room_reach_the_disk_before_its_files_are_removed";
    let strace = ["strace", "-f", "-y", "-xx", "-s", "4194304", "-e", Trace::CALLS, "-o"];
    let output = child(test, &worked, &[&strace[..], &[log.to_str().expect("a path")]].concat()).wait_with_output();
    assert!(output.expect("a child").status.success());
    let ops = Trace::read(&log, &worked.join("cache")).ops;
    let moved =
        |op: &Op| matches!(op, Op::Rename(from, to) if from.starts_with("live/fresh-1") && to.starts_with("gone-1"));
    let moved = ops.iter().position(moved).expect("it was moved away");
    let removed = |op: &Op| matches!(op, Op::Remove(path) if path.starts_with("gone-1"));
    let removed = ops.iter().position(removed).expect("it was removed");
    // a folder is no file of the trace
    let synced = ops[moved..removed].iter().filter(|op| matches!(op, Op::Sync(None, _))).count();
    assert!(synced >= 2, "the folder that it left, and the one that it went to: {synced}");
}

/// The body that is found under a name. Where syncs are lies its pieces may be damaged: it breaks off, visibly, and is gone.
async fn readable(store: &Store, name: &str, kept: Kept) -> Option<Content> {
    let stored = found(store, name).await?;
    match whole(&stored.body).await {
        Ok(content) => Some(content),
        Err(StoreError::Damaged(_)) if kept == Kept::AnyOfAll => {
            store.flush().await;
            assert!(found(store, name).await.is_none(), "{name} is found again");
            None
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

/// How many keys are served.
async fn judge(options: Options, mut moment: Moment, kept: Kept, what: &str) -> usize {
    let store = open(options.clone()).await;
    let mut count = 0;
    if kept == Kept::AnyOfAll {
        moment.durable = [None; KEYS];
    }
    assert_eq!(store.stats().state, State::Open, "{what}");
    for of in 0..KEYS {
        let (allowed, mut may_miss) = moment.allowed(of);
        may_miss |= match kept {
            Kept::InOrder => false,
            Kept::Any => store.stats().set_aside + store.stats().damaged > 0,
            Kept::AnyOfAll => true,
        };
        match readable(&store, &format!("key {of}"), kept).await {
            Some(found) => {
                assert!(allowed.contains(&found), "{what}: key {of}: {found:?}, not {allowed:?}");
                count += 1;
            }
            None => assert!(may_miss, "{what}: key {of} is lost: {:?}", store.stats()),
        }
    }
    put(&store, "new", 30_000);
    store.flush().await;
    assert_eq!(served(&store, "new").await, Some(content("new", 30_000)), "{what}");
    store.close().await;
    std::fs::remove_dir_all(options.folder).expect("removed");
    count
}
