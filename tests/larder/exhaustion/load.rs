//! Many at once, and more than the disk may hold.

use std::{os::unix::fs::MetadataExt, path::Path};

use crate::support::{Gate, Origin, Proxy, Step, open_files, respond};

/// Bytes that this folder occupies; files may go while it is looked at.
pub fn disk_used(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let used = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_used(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    used.sum()
}

#[test]
fn x10_unique_queries_stay_within_the_disk_limit() {
    const LIMIT: u64 = 16 << 20;
    let origin = Origin::answering(|request| {
        let mut body = request.target.clone().into_bytes();
        body.resize(32 << 10, b'.');
        respond(200, &["Cache-Control: max-age=600"], body)
    });
    let proxy = Proxy::start(&origin, &["--disk", "16MiB", "--memory", "64MiB"]);
    let mut client = proxy.client();
    let mut most = 0;
    for n in 0..2000 {
        let target = format!("/?r={n}");
        let response = client.get(&target);
        assert!(response.body.starts_with(target.as_bytes()));
        if n % 50 == 0 {
            most = most.max(disk_used(&proxy.folder()));
        }
    }
    assert!(most <= LIMIT + LIMIT / 20, "{most} bytes on disk at the most");
    assert_eq!(client.get("/?r=1999").x_cache(), "HIT");
}

#[test]
fn x11_a_herd_whose_request_fails_is_one_request_and_fails_at_once() {
    const HERD: usize = 1000;
    // both ends of each are in this process
    assert!(open_files() > 3 * HERD as u64);
    let gate = Gate::closed();
    let held = gate.clone();
    let origin = Origin::answering(move |request| match request.index {
        0 => vec![Step::Wait(held.clone()), Step::Close],
        _ => respond(200, &["Cache-Control: max-age=600"], "back"),
    });
    let proxy = Proxy::start(&origin, &[]);
    let mut herd: Vec<_> = (0..HERD).map(|_| proxy.client()).collect();
    for client in &mut herd {
        client.send(crate::support::request("GET", "/cold", &[]));
    }
    origin.await_requests(1);
    crate::support::until("all to have asked", || proxy.counters().requests.count() == HERD as u64);
    gate.open();
    let mut statuses: Vec<u16> = herd.iter_mut().map(|client| client.response("GET").status).collect();
    // a few may have come to the flight when it had failed already, and made the next one
    statuses.sort_unstable();
    assert!(statuses[10..].iter().all(|status| *status == 502), "{statuses:?}");
    assert!(origin.request_count() < 10, "{}", origin.request_count());
    // the failure itself was not stored
    assert_eq!(proxy.get("/cold").text(), "back");
}
