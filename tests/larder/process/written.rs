//! How much is written to the disk.

use crate::support::{Origin, Spawned, respond, stats, until};

/// Bytes that a program has sent towards the disk.
fn written(larder: &Spawned) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{}/io", larder.pid())).unwrap();
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    bytes.parse().unwrap()
}

#[test]
fn a_validation_writes_the_head_and_not_the_body() {
    const URLS: usize = 10;
    const ROUNDS: usize = 20;
    const BODY: usize = 200_000;
    let origin = Origin::answering(|request| match request.field("If-None-Match") {
        Some(_) => respond(304, &["Cache-Control: no-cache", "ETag: \"x\""], ""),
        None => respond(200, &["Cache-Control: no-cache", "ETag: \"x\""], "x".repeat(BODY)),
    });
    for memory in ["0B", "64MiB"] {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let larder = Spawned::start(&origin.url(), &cache, &["--memory", memory]);
        let mut client = larder.client();
        let mut round = || {
            let bodies = (0..URLS).map(|n| client.get(&format!("/{n}")).body.len());
            assert!(bodies.into_iter().all(|length| length == BODY));
            until("everything to be written", || stats(&cache)["waiting"] == 0);
        };
        round();
        let (before, asked) = (written(&larder), origin.request_count());
        (0..ROUNDS).for_each(|_| round());
        assert_eq!(origin.request_count() - asked, URLS * ROUNDS, "each is a validation");
        let each = (written(&larder) - before) / (URLS * ROUNDS) as u64;
        println!("--memory {memory}: {each} bytes are written for each validation");
        assert!(each < 10_000, "{each} bytes are written for each validation");
    }
}
