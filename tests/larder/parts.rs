//! Parts of large files: kept beside each other, completed by what they lack, and never mixed with another version (W31).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use crate::support::{End, Gate, Origin, Proxy, RecordedRequest, Response, Step, request, respond, until};

pub const FRESH: &str = "Cache-Control: max-age=600";
pub const MIB: usize = 1 << 20;

/// Bytes of a file at this version.
fn content(version: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&version.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A file on an origin that knows single ranges and If-Range.
pub struct File {
    pub versions: Vec<Vec<u8>>,
    pub version: AtomicU64,
    /// Bytes of bodies that were sent.
    sent: AtomicU64,
}

impl File {
    pub fn new(lengths: &[usize]) -> Arc<File> {
        let versions = lengths.iter().zip(0..).map(|(length, version)| content(version, *length)).collect();
        Arc::new(File { versions, version: AtomicU64::new(0), sent: AtomicU64::new(0) })
    }

    pub fn now(&self) -> (u64, &[u8]) {
        let version = self.version.load(SeqCst);
        (version, &self.versions[version as usize])
    }

    pub fn answer(&self, request: &RecordedRequest, fresh: &str) -> Vec<Step> {
        let (version, body) = self.now();
        let tag = format!("\"{version}\"");
        let line = format!("ETag: {tag}");
        if request.method == "POST" {
            return respond(204, &[], "");
        }
        if request.field("If-None-Match") == Some(&tag) {
            return vec![Step::Send(format!("HTTP/1.1 304 N\r\n{fresh}\r\n{line}\r\n\r\n").into_bytes())];
        }
        let range = request.field("Range").filter(|_| request.field("If-Range").is_none_or(|asked| asked == tag));
        let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
            self.sent.fetch_add(if request.method == "HEAD" { 0 } else { body.len() as u64 }, SeqCst);
            let answer = respond(200, &[fresh, &line], if request.method == "HEAD" { &[][..] } else { body });
            return match (request.method.as_str(), answer) {
                ("HEAD", _) => {
                    let head =
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fresh}\r\n{line}\r\n\r\n", body.len());
                    vec![Step::Send(head.into_bytes())]
                }
                (_, answer) => answer,
            };
        };
        let first: usize = first.parse().unwrap();
        let last = last.parse().unwrap_or(body.len() - 1).min(body.len() - 1);
        self.sent.fetch_add((last - first + 1) as u64, SeqCst);
        respond(
            206,
            &[fresh, &line, &format!("Content-Range: bytes {first}-{last}/{}", body.len())],
            &body[first..=last],
        )
    }

    pub fn origin(self: &Arc<File>) -> Origin {
        let file = self.clone();
        Origin::answering(move |request| file.answer(request, FRESH))
    }

    pub fn sent(&self) -> usize {
        self.sent.load(SeqCst) as usize
    }
}

/// Asks for a range, and waits until the part is stored: its last byte is sent a moment before.
pub fn ask(proxy: &Proxy, first: usize, last: usize) -> Response {
    let line = format!("Range: bytes={first}-{last}");
    let answer = proxy.client().ask("GET", "/f", &[&line]);
    let only = [&*line, "Cache-Control: only-if-cached"];
    until("the part to be stored", || proxy.client().ask("GET", "/f", &only).status == 206);
    answer
}

/// The bytes of a 206 must be those of the file.
pub fn assert_part(answer: &Response, file: &File, first: usize, last: usize) {
    let (_, body) = file.now();
    let content_range = format!("bytes {first}-{last}/{}", body.len());
    assert_eq!((answer.status, answer.field("Content-Range"), answer.end), (206, Some(&*content_range), End::Whole));
    assert!(answer.body == body[first..=last], "other bytes");
}

pub fn assert_whole(answer: &Response, file: &File) {
    let (_, body) = file.now();
    let length = body.len().to_string();
    assert_eq!((answer.status, answer.values("Content-Length"), answer.end), (200, vec![&*length], End::Whole));
    assert!(answer.body == body, "other bytes");
}

#[test]
fn w31_three_parts_of_4_mb_and_then_the_whole_cost_the_origin_16_mb() {
    let file = File::new(&[16 * MIB]);
    let origin = file.origin();
    let mut proxy = Proxy::start(&origin, &[]);
    for n in [0, 3, 1] {
        assert_part(&ask(&proxy, n * 4 * MIB, (n + 1) * 4 * MIB - 1), &file, n * 4 * MIB, (n + 1) * 4 * MIB - 1);
    }
    let whole = proxy.get("/f");
    assert_whole(&whole, &file);
    assert!(whole.cache_status().contains("fwd=partial"), "{}", whole.cache_status());
    assert_eq!(file.sent(), 16 * MIB);
    let requests = origin.requests();
    let last = requests.last().unwrap();
    let gap = format!("bytes={}-{}", 8 * MIB, 12 * MIB - 1);
    assert_eq!((last.field("Range"), last.field("If-Range")), (Some(&*gap), Some("\"0\"")));
    // the whole is there now, and also after a restart
    for restarts in [false, true] {
        if restarts {
            proxy.restart();
        }
        let again = proxy.get("/f");
        assert_whole(&again, &file);
        assert_eq!(again.x_cache(), "HIT", "{}", again.cache_status());
        assert_eq!(ask(&proxy, 3 * MIB, 13 * MIB).x_cache(), "HIT");
        let head = proxy.client().ask("HEAD", "/f", &[]);
        assert_eq!((head.x_cache(), head.field("Content-Length")), ("HIT", Some(&*(16 * MIB).to_string())));
    }
    assert_eq!((file.sent(), origin.request_count()), (16 * MIB, 4));
}

#[test]
fn w31_60_mb_in_parts_of_15_mb_twice_and_then_the_whole_cost_the_origin_60_mb() {
    let file = File::new(&[60 * MIB]);
    let origin = file.origin();
    let proxy = Proxy::start(&origin, &[]);
    for word in ["MISS", "HIT"] {
        for n in 0..4 {
            let answer = ask(&proxy, n * 15 * MIB, (n + 1) * 15 * MIB - 1);
            assert_part(&answer, &file, n * 15 * MIB, (n + 1) * 15 * MIB - 1);
            assert_eq!(answer.x_cache(), word, "{n} {}", answer.cache_status());
        }
    }
    let whole = proxy.get("/f");
    assert_whole(&whole, &file);
    assert_eq!((whole.x_cache(), file.sent()), ("HIT", 60 * MIB));
}

#[test]
fn w31_several_gaps_are_fetched_one_after_the_other_and_once_for_all_clients() {
    let file = File::new(&[4 * MIB]);
    let (origin_file, gate) = (file.clone(), Gate::closed());
    let held = gate.clone();
    let origin = Origin::answering(move |request| {
        let answer = origin_file.answer(request, FRESH);
        let waits = request.field("If-Range").map(|_| Step::Wait(held.clone()));
        waits.into_iter().chain(answer).collect()
    });
    let proxy = Proxy::start(&origin, &[]);
    for first in [MIB, 3 * MIB] {
        ask(&proxy, first, first + MIB / 2 - 1);
    }
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|n| {
                let mut client = proxy.client();
                client.send(request("GET", "/f", &[]));
                if n == 0 {
                    origin.await_requests(3);
                }
                scope.spawn(move || client.response("GET"))
            })
            .collect();
        proxy.await_following(7);
        gate.open();
        clients.into_iter().for_each(|client| assert_whole(&client.join().unwrap(), &file));
    });
    assert_eq!((file.sent(), origin.request_count()), (4 * MIB, 5));
}

#[test]
fn w31_several_ranges_are_answered_from_several_parts() {
    let file = File::new(&[MIB]);
    let origin = file.origin();
    let proxy = Proxy::start(&origin, &[]);
    for first in [0, 500_000, 900_000] {
        ask(&proxy, first, first + 9_999);
    }
    let ranges = [(10, 19), (500_100, 500_109), (900_000, 909_999)];
    for (last, word) in [(909_999, "HIT"), (919_999, "MISS"), (919_999, "HIT")] {
        let line = format!("Range: bytes=10-19,500100-500109,900000-{last}");
        let answer = proxy.client().ask("GET", "/f", &[&line]);
        assert_eq!((answer.status, answer.x_cache(), answer.end), (206, word, End::Whole), "{}", answer.cache_status());
        let (_, body) = file.now();
        for (first, end) in ranges {
            let end = if end == 909_999 { last } else { end };
            let expected = [format!("bytes {first}-{end}/{MIB}\r\n\r\n").as_bytes(), &body[first..=end]].concat();
            assert!(answer.body.windows(expected.len()).any(|window| window == expected), "{first}-{end}");
        }
    }
    assert_eq!(file.sent(), 40_000);
}

#[test]
fn w31_conditions_are_answered_from_a_part_and_head_asks_for_no_bytes() {
    let file = File::new(&[MIB]);
    let origin = file.origin();
    let proxy = Proxy::start(&origin, &[]);
    ask(&proxy, 0, 9_999);
    for fields in [&["If-None-Match: \"0\""][..], &["If-None-Match: \"0\"", "Range: bytes=700000-700009"]] {
        let answer = proxy.client().ask("GET", "/f", fields);
        assert_eq!((answer.status, answer.x_cache()), (304, "HIT"), "{fields:?}");
    }
    assert_eq!(origin.request_count(), 1);
    let head = proxy.client().ask("HEAD", "/f", &[]);
    assert_eq!((head.status, head.field("Content-Length")), (200, Some(&*MIB.to_string())));
    assert_eq!(file.sent(), 10_000);
    // If-Range of another version: the whole is asked for, and only what is missing comes
    let whole = proxy.client().ask("GET", "/f", &["Range: bytes=0-9", "If-Range: \"other\""]);
    assert_whole(&whole, &file);
    assert_eq!(file.sent(), MIB);
}

#[test]
fn w31_when_the_validator_changes_the_old_parts_go() {
    let file = File::new(&[MIB, MIB]);
    let origin = file.origin();
    let proxy = Proxy::start(&origin, &[]);
    for first in [0, 200_000, 400_000] {
        ask(&proxy, first, first + 99_999);
    }
    file.version.store(1, SeqCst);
    // a range of which nothing is stored shows the change
    assert_part(&ask(&proxy, 800_000, 899_999), &file, 800_000, 899_999);
    for first in [0, 200_000, 400_000] {
        let answer = ask(&proxy, first, first + 99_999);
        assert_part(&answer, &file, first, first + 99_999);
        assert_eq!(answer.x_cache(), "MISS", "{first}");
    }
    assert_whole(&proxy.get("/f"), &file);
    assert_eq!(file.sent(), 300_000 + MIB);
}

#[test]
fn w31_a_change_between_two_gaps_breaks_the_answer_off_and_the_next_one_is_right() {
    let file = File::new(&[MIB, MIB]);
    let changes = file.clone();
    let origin = Origin::answering(move |request| {
        let answer = changes.answer(request, FRESH);
        if request.index == 2 {
            changes.version.store(1, SeqCst);
        }
        answer
    });
    let proxy = Proxy::start(&origin, &[]);
    ask(&proxy, 200_000, 299_999);
    ask(&proxy, 600_000, 699_999);
    let cut = proxy.get("/f");
    assert_eq!((cut.status, cut.end), (200, End::Cut));
    assert!(cut.body == file.versions[0][..cut.body.len()], "other bytes");
    assert_whole(&proxy.get("/f"), &file);
}

#[test]
fn w31_an_unsafe_request_forgets_all_parts() {
    let file = File::new(&[MIB]);
    let origin = file.origin();
    let proxy = Proxy::start(&origin, &[]);
    let parts = [0, 500_000];
    for forgets in [true, false, true] {
        for first in parts {
            ask(&proxy, first, first + 9_999);
        }
        let before = file.sent();
        if forgets {
            assert_eq!(proxy.client().ask("POST", "/f", &["Content-Length: 0"]).status, 204);
            // what was asked for in the moment of the change is not stored
            proxy.advance(1);
        }
        for first in parts {
            assert_part(&ask(&proxy, first, first + 9_999), &file, first, first + 9_999);
        }
        assert_eq!(file.sent() - before, if forgets { 20_000 } else { 0 });
    }
}

#[test]
fn w31_stale_parts_are_validated_together_by_one_304() {
    let file = File::new(&[MIB]);
    let stale = file.clone();
    let origin = Origin::answering(move |request| stale.answer(request, "Cache-Control: max-age=10"));
    let proxy = Proxy::start(&origin, &[]);
    for first in [0, 10_000, 500_000] {
        ask(&proxy, first, first + 9_999);
    }
    proxy.advance(20);
    let answer = ask(&proxy, 5_000, 14_999);
    assert_part(&answer, &file, 5_000, 14_999);
    assert_eq!(origin.requests().last().unwrap().field("If-None-Match"), Some("\"0\""));
    for (first, last) in [(0, 19_999), (500_000, 509_999)] {
        let answer = ask(&proxy, first, last);
        assert_part(&answer, &file, first, last);
        assert_eq!(answer.x_cache(), "HIT", "{first} {}", answer.cache_status());
    }
    assert_eq!((file.sent(), origin.request_count()), (30_000, 4));
}

/// The offset and the bytes of each part of a multipart answer, as far as they came.
pub fn multipart(answer: &Response) -> Vec<(usize, &[u8])> {
    let body = &answer.body[..];
    let find = |from: usize, what: &[u8]| body[from..].windows(what.len()).position(|window| window == what);
    let (mut at, mut parts) = (0, Vec::new());
    while let Some(begin) = find(at, b"Content-Range: bytes ") {
        let begin = at + begin + 21;
        let Some(head) = find(begin, b"\r\n\r\n") else { break };
        let range = std::str::from_utf8(&body[begin..begin + head]).unwrap();
        let (first, last) = range.split('/').next().unwrap().split_once('-').unwrap();
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        let content = begin + head + 4;
        let end = (content + last + 1 - first).min(body.len());
        parts.push((first, &body[content..end]));
        at = end;
    }
    parts
}
