use std::sync::{Mutex, atomic::Ordering::SeqCst};

use super::support::*;
use crate::store::{Options, format::print::Print};

#[test]
fn stats_say_how_much_of_its_limit_each_tier_uses_and_what_was_evicted() {
    run(async {
        let folder = folder();
        let options = Options { disk: 16 * MIB, max_object: 4 * MIB, ..options(folder.path()) };
        let store = open(options.clone()).await;
        let empty = store.stats();
        assert_eq!((empty.responses, empty.bytes, empty.memory_used, empty.evicted), (0, 0, 0, 0));
        for number in 0..100 {
            put(&store, &number.to_string(), 30_000);
        }
        store.flush().await;
        let stats = store.stats();
        assert_eq!((stats.responses, stats.evicted), (100, 0));
        assert_eq!((stats.memory_limit, stats.disk_limit), (options.memory, options.disk));
        assert!((3_000_000..options.memory).contains(&stats.memory_used), "{stats:?}");
        assert!(stats.disk_used.abs_diff(du(&options.folder)) < 100_000, "{} bytes: {stats:?}", du(&options.folder));
        assert_eq!(stats.effective_disk_limit, options.disk, "the disk has more room than that");
        for number in 100..800 {
            put(&store, &number.to_string(), 30_000);
            if number % 50 == 0 {
                store.flush().await;
            }
        }
        store.close().await;
        let stats = store.stats();
        assert!(stats.evicted > 100 && stats.disk_used <= options.disk, "{stats:?}");
    });
}

/// `larder stats` prints them under these names, and scripts read them.
#[test]
fn stats_keep_their_names() {
    run(async {
        let folder = folder();
        let store = open(options(folder.path())).await;
        let stats = serde_json::to_value(store.stats()).expect("json");
        let names: Vec<&str> = stats.as_object().expect("an object").keys().map(String::as_str).collect();
        let expected = "bytes damaged disk_hits disk_limit disk_used effective_disk_limit errors evicted memory_hits \
                        memory_limit memory_used misses not_read not_written responses set_aside state swept waiting";
        assert_eq!(names, expected.split(' ').collect::<Vec<_>>());
        assert_eq!(stats["state"], "open");
    });
}

#[test]
fn what_was_popular_fades_also_while_nothing_is_written() {
    run(async {
        let folder = folder();
        let store = open(options(folder.path())).await;
        put(&store, "a", 300);
        store.flush().await;
        // so often that the weights fade
        for _ in 0..9_000 {
            store.recall(&key("a")).expect("in memory");
        }
        let weight = || store.0.shared.sketch.weight(Print::of(&key("a")).0);
        let mut beats = 0..10_000;
        while weight() > u8::MAX / 2 {
            assert!(beats.next().is_some(), "it weighs {}", weight());
            beat(1).await;
        }
    });
}

/// The warnings about responses that were not written.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, about: &log::Metadata) -> bool {
        about.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record) {
        let text = record.args().to_string();
        if text.contains("were not written") {
            WARNINGS.lock().expect("no panic").push(text);
        }
    }

    fn flush(&self) {}
}

#[test]
fn how_many_responses_were_not_written_is_said_once_at_the_next_measuring() {
    log::set_logger(&Logger).expect("no other logger");
    log::set_max_level(log::LevelFilter::Warn);
    run(async {
        let folder = folder();
        let store = open(options(folder.path())).await;
        // the writer does not hear of them
        let shared = &store.0.shared;
        [&shared.woken, &shared.has_enough].iter().for_each(|is_told| is_told.store(true, SeqCst));
        for number in 0.. {
            put(&store, &number.to_string(), 100_000);
            if store.stats().not_written == 3 {
                break;
            }
        }
        let said = || WARNINGS.lock().expect("no panic").clone();
        let mut beats = 0..10_000;
        while said().is_empty() {
            assert!(beats.next().is_some(), "nothing was said");
            beat(1).await;
        }
        // twice as long as between two measurings
        beat(2_000).await;
        assert_eq!(said(), ["the disk is too slow: 3 responses were not written to it since the last minute"]);
    });
}
