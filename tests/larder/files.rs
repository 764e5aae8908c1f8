//! Large hits: the kernel sends them from their files.

use std::{fs, path::PathBuf};

use crate::support::{End, Origin, Proxy, request, respond, until};

const LENGTH: usize = 8 << 20;

fn content(target: &str) -> Vec<u8> {
    let seed: u32 = target.bytes().map(u32::from).sum();
    (0..LENGTH as u32).map(|n| (n.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8).collect()
}

fn origin() -> Origin {
    Origin::answering(|request| respond(200, &["Cache-Control: max-age=600"], content(&request.target)))
}

/// Returns when all of it was read once and found right.
fn verified(proxy: &Proxy, target: &str) {
    until("a hit", || proxy.get(target).x_cache() == "HIT");
    assert!(proxy.get(target).body == content(target));
}

/// The files of large bodies in the cache.
fn body_files(proxy: &Proxy) -> Vec<PathBuf> {
    let list = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let generations = list(proxy.folder().join("live")).filter(|path| path.is_dir());
    generations.flat_map(list).filter(|path| path.extension().is_some_and(|extension| extension == "body")).collect()
}

#[test]
fn each_hit_of_a_large_body_and_each_range_of_it_has_the_right_bytes() {
    let (origin, content) = (origin(), content("/a"));
    let proxy = Proxy::start(&origin, &[]);
    verified(&proxy, "/a");
    let mut client = proxy.client();
    for _ in 0..3 {
        let answer = client.get("/a");
        assert!(answer.body == content && answer.x_cache() == "HIT");
        for (first, last) in [(0, 0), (1, 600_000), (262_143, 262_144), (5_000_001, LENGTH - 1)] {
            let answer = client.ask("GET", "/a", &[&format!("Range: bytes={first}-{last}")]);
            assert!(answer.status == 206 && answer.body == content[first..=last], "{first}-{last}");
        }
    }
    let parts = client.ask("GET", "/a", &["Range: bytes=0-9, 4000000-6000000"]).body;
    let second = &content[4_000_000..=6_000_000];
    assert!(parts.windows(second.len()).step_by(1).take(1_000).any(|window| window == second));
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn a_file_that_is_cut_while_it_is_sent_breaks_the_answer_off_and_is_fetched_anew() {
    let (origin, content) = (origin(), content("/a"));
    let proxy = Proxy::start(&origin, &[]);
    verified(&proxy, "/a");
    let mut client = proxy.client();
    let mut answer = client.send(request("GET", "/a", &[])).head();
    let files = body_files(&proxy);
    fs::File::options().write(true).open(&files[0]).unwrap().set_len(6 << 20).unwrap();
    client.body("GET", &mut answer);
    assert!(answer.end != End::Whole && answer.body.len() <= 6 << 20, "{} bytes", answer.body.len());
    assert!(answer.body == content[..answer.body.len()], "no wrong byte");
    until("the response to be fetched anew", || proxy.get("/a").body == content);
    assert_eq!((files.len(), origin.request_count()), (1, 2));
}

#[test]
fn a_file_that_is_removed_while_it_is_sent_is_sent_to_its_end() {
    let (origin, content) = (origin(), content("/a"));
    let proxy = Proxy::start(&origin, &[]);
    verified(&proxy, "/a");
    let mut client = proxy.client();
    let mut answer = client.send(request("GET", "/a", &[])).head();
    body_files(&proxy).into_iter().for_each(|path| fs::remove_file(path).unwrap());
    client.body("GET", &mut answer);
    assert!(answer.end == End::Whole && answer.body == content);
}
