//! More prefixes are purged than rules are kept for.

use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use larder::admin::{
    self, Command,
    purge::{PurgeRequest, What},
};

use super::support::{Origin, Spawned, respond, until};

const FRESH: &str = "Cache-Control: max-age=600";

/// Purges prefixes, and waits until all of them are on the disk. So many at once as the control socket answers.
fn purge_prefixes(cache: &Path, numbers: Range<usize>) {
    let purge = |number: usize| {
        let what = What::Prefix(format!("/{number}"));
        let request = PurgeRequest { what, soft: false, dry_run: false, count: false, yes: false };
        admin::ask(cache, &Command::Purge(request)).unwrap();
    };
    std::thread::scope(|threads| {
        for first in 0..12 {
            let numbers = numbers.clone().skip(first).step_by(12);
            threads.spawn(|| numbers.for_each(purge));
        }
    });
}

/// The warnings that too many prefixes were purged.
fn said_of_prefixes(log: &[String]) -> Vec<&String> {
    log.iter().filter(|line| line.contains(" WARN ") && line.contains("prefixes were purged")).collect()
}

#[test]
fn over_4096_prefixes_it_says_once_what_is_validated_and_serves_nothing_that_was_purged() {
    let edition = Arc::new(AtomicUsize::new(1));
    let published = edition.clone();
    let origin = Origin::answering(move |request| {
        let edition = published.load(SeqCst);
        let tag = match request.target.as_str() {
            "/other" => "\"1\"".to_owned(),
            "/2/x" if edition > 1 => return respond(503, &[], "down"),
            _ => format!("\"{edition}\""),
        };
        match request.field("If-None-Match") {
            Some(known) if known == tag => respond(304, &[FRESH], ""),
            _ => {
                let fields = ["Cache-Control: max-age=600, stale-if-error=600", &format!("ETag: {tag}")];
                respond(200, &fields, format!("{} of {tag}", request.target))
            }
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let larder = Spawned::start(&origin.url(), &cache, &[]);
    let purged = ["/0/x", "/1/x", "/2/x", "/2500/x", "/4000/x", "/5000/x"];
    for target in purged.iter().chain(&["/other"]) {
        until("it to be stored", || larder.get(target).x_cache() == "HIT");
    }
    edition.store(2, SeqCst);
    purge_prefixes(&cache, 0..4096);
    assert_eq!(said_of_prefixes(&larder.log()), [""; 0], "so many it keeps");
    assert_eq!(larder.get("/other").x_cache(), "HIT");
    // the older half goes, then another one
    purge_prefixes(&cache, 4096..6500);
    let cached =
        |larder: &Spawned, target: &str| larder.client().ask("GET", target, &["Cache-Control: only-if-cached"]).status;
    let serves_nothing_purged = |larder: &Spawned, purged: &[&str]| {
        for target in purged {
            assert_eq!(cached(larder, target), 504, "{target}");
            let answer = larder.get(target);
            match *target {
                "/2/x" => assert_eq!((answer.status, answer.text()), (503, "down".into())),
                _ => assert_eq!((answer.status, answer.text()), (200, format!("{target} of \"2\""))),
            }
        }
    };
    serves_nothing_purged(&larder, &purged[..1]);
    let asked = origin.request_count();
    assert_eq!(cached(&larder, "/other"), 504, "it may have been purged");
    assert_eq!(larder.get("/other").text(), "/other of \"1\"");
    assert_eq!(origin.request_count(), asked + 1);
    until("what is confirmed to be fresh again", || larder.get("/other").x_cache() == "HIT");
    let log = larder.stop_and_read();
    let said = said_of_prefixes(&log);
    let words =
        "more than 4096 prefixes were purged: what is older than the first half of them is validated before it is used";
    assert!(said.len() == 1 && said[0].ends_with(words), "{log:#?}");
    let larder = Spawned::start(&origin.url(), &cache, &[]);
    serves_nothing_purged(&larder, &purged[1..]);
    for target in ["/0/x", "/other"] {
        assert_eq!(larder.get(target).x_cache(), "HIT", "{target} came after the purges");
    }
    let log = larder.stop_and_read();
    assert!(!log.iter().any(|line| line.contains("panicked") || line.contains("damaged")), "{log:#?}");
}
