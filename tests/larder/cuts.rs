//! Origins that stop at every byte of what they send: a whole answer or a visible break, nothing half stored, nothing
//! unsafe sent twice.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::support::{End, Origin, Proxy, RecordedRequest, Step, respond};

const BODY: &str = "hello, world";

/// Whole messages with the same body, each framed otherwise.
const SAMPLES: [&str; 5] = [
    "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 12\r\n\r\nhello, world",
    "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nhello, \r\n5\r\nworld\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=600\r\n\r\n00c;a=\"b\"\r\nhello, world\r\n0\r\nX-T: 1\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 12\r\n\r\nhello, world",
    "HTTP/1.0 200 OK\r\nContent-Length: 12\r\nCache-Control: max-age=600\r\nConnection: close\r\n\r\nhello, world",
];

/// Target `/warm`: a whole answer, and the connection stays open. Target `/s/n`: the first n bytes of sample s the first time, all of it from then on.
fn cutting(reset: bool) -> (Origin, Arc<AtomicUsize>) {
    let unsafe_requests = Arc::new(AtomicUsize::new(0));
    let counted = unsafe_requests.clone();
    let seen = std::sync::Mutex::new(std::collections::HashSet::new());
    let origin = Origin::answering(move |request: &RecordedRequest| {
        if request.target == "/warm" {
            return respond(200, &["Cache-Control: no-store"], "warm");
        }
        let (sample, cut) = request.target[1..].split_once('/').unwrap();
        let sample = SAMPLES[sample.parse::<usize>().unwrap()];
        if matches!(request.method.as_str(), "POST" | "PATCH") {
            counted.fetch_add(1, Ordering::SeqCst);
        } else if !seen.lock().unwrap().insert(request.target.clone()) {
            return vec![Step::Send(sample.as_bytes().to_vec()), Step::Close];
        }
        let cut = cut.parse::<usize>().unwrap();
        let end = if reset { Step::Reset } else { Step::Close };
        vec![Step::Send(sample.as_bytes()[..cut].to_vec()), end]
    });
    (origin, unsafe_requests)
}

/// Every cut that leaves something out.
fn cuts() -> impl Iterator<Item = (usize, usize)> {
    SAMPLES.iter().enumerate().flat_map(|(n, sample)| (0..sample.len()).map(move |cut| (n, cut)))
}

#[test]
fn a_response_cut_at_any_byte_is_a_502_or_visibly_broken_and_is_not_stored() {
    for reset in [false, true] {
        let (origin, _) = cutting(reset);
        let proxy = Proxy::start(&origin, &[]);
        for (sample, cut) in cuts() {
            let target = format!("/{sample}/{cut}");
            let broken = proxy.get(&target);
            // nothing was answered yet: the request may have been tried once more
            let retried = broken.status == 200 && broken.end == End::Whole && cut == 0;
            let visible = broken.status == 502 || matches!(broken.end, End::Cut | End::Broken);
            assert!(visible || retried, "{target}: {broken:?}");
            assert!(broken.status == 502 || BODY.starts_with(&broken.text()), "{target}: {broken:?}");
            let next = proxy.get(&target);
            let word = if retried { "HIT" } else { "MISS" };
            assert_eq!((next.x_cache(), next.text().as_str(), next.end), (word, BODY, End::Whole), "{target}");
            assert_eq!((proxy.get(&target).x_cache(), proxy.get(&target).text().as_str()), ("HIT", BODY), "{target}");
        }
    }
}

#[test]
fn a_post_or_patch_is_sent_once_wherever_its_answer_is_cut() {
    let (origin, unsafe_requests) = cutting(false);
    let proxy = Proxy::start(&origin, &["--workers", "1"]);
    let mut sent = 0;
    for (n, (sample, cut)) in cuts().enumerate() {
        let method = if n % 2 == 0 { "POST" } else { "PATCH" };
        // on a connection from the pool it could be taken for a lost race
        assert_eq!(proxy.get("/warm").text(), "warm");
        let head = format!("{method} /{sample}/{cut} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
        let answer = proxy.client().send(head).response(method);
        sent += 1;
        assert!(
            answer.status == 502 || matches!(answer.end, End::Cut | End::Broken),
            "{method} {sample}/{cut}: {answer:?}"
        );
        assert_eq!(unsafe_requests.load(Ordering::SeqCst), sent, "{method} {sample}/{cut}");
    }
}
